/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs share: reading policies and images, writing texts, exit status. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"
#include "program.h"

/* No text of a policy begins with this byte. */
#define DER_SEQUENCE 0x30

int fail(int r, const struct error *e)
{
        log_failure(r, e);
        switch (r) {
        case -EACCES:
        case -EBADMSG:
        case -EMSGSIZE:
        case -EINVAL:
        case -EKEYREJECTED:
        case -EKEYEXPIRED:
        case -EKEYREVOKED:
        case -ENAMETOOLONG:
        case -ENOKEY:
        case -ERANGE:
                return EXIT_ANSWER_IS_NO;
        default:
                return EXIT_COULD_NOT_TRY;
        }
}

static int unwrap(struct policy_file *f, struct error *e)
{
        _cleanup_free_ char *der = f->text;
        size_t size = f->size;

        f->text = NULL;
        f->is_signed = true;
        return ipe_signed_content(der, size, &f->text, &f->size, e);
}

int policy_file_read(const char *path, struct policy_file *ret, struct error *e)
{
        const char *file = strcmp(path, "-") == 0 ? "/dev/stdin" : path;
        struct policy_file f = {};
        uint8_t digest[32];
        int r;

        r = read_file(AT_FDCWD, file, IPE_POLICY_MAX, &f.text, &f.size, e);
        if (r == -EFBIG)
                return error_set(e, -EMSGSIZE,
                                 "%s: at most %zu bytes expected, the kernel takes no more, found more", path,
                                 IPE_POLICY_MAX);
        if (r < 0)
                return r == -EACCES ? -EPERM : r;
        if (trust_sha256(f.text, f.size, digest) < 0)
                r = error_set(e, -EIO, "%s: SHA-256 failed", path);
        hex_encode(digest, sizeof(digest), f.digest);
        if (r >= 0 && f.size > 0 && f.text[0] == DER_SEQUENCE)
                r = unwrap(&f, e);
        if (r < 0) {
                policy_file_done(&f);
                return error_prefix(e, r, "%s", path);
        }
        *ret = f;
        return 0;
}

int policy_file_open(const char *path, struct policy_file *ret, struct error *e)
{
        int r = policy_file_read(path, ret, e);

        if (r < 0)
                return r;
        r = ipe_policy_parse(ret->text, ret->size, &ret->policy, e);
        return r < 0 ? error_prefix(e, r, "%s", path) : 0;
}

void policy_file_done(struct policy_file *f)
{
        ipe_policy_free(f->policy);
        free(f->text);
        *f = (struct policy_file){};
}

int choose(const char *option, const char *value, const char *const names[], unsigned n, unsigned *ret,
           struct error *e)
{
        if (!value)
                return 0;
        for (unsigned i = 0; i < n; i++)
                if (strcmp(names[i], value) == 0) {
                        *ret = i;
                        return 0;
                }
        return error_set(e, -EDOM, "--%s: one of its values expected (see --help), found \"%s\"", option,
                         value);
}

int write_output(const char *text, struct error *e)
{
        if (options.output && check_output(options.output, NULL, 0, e) < 0)
                return -EDOM;
        if (options.output)
                return write_file_atomic(AT_FDCWD, options.output, text, strlen(text), 0644, e);
        return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? error_errno(e, -EIO, "standard output") : 0;
}

int read_images(struct ipe_layers *ret, struct error *e)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *trust = NULL;
        int r = 0;

        if (options.trust)
                r = trust_store_open_pki(AT_FDCWD, options.trust, (int64_t)time(NULL), &trust, e);
        for (size_t i = 0; i < options.images.n && r >= 0; i++)
                r = ipe_layers_read(options.images.items[i], trust, ret, e);
        return r;
}

int parse_digest(const char *option, const char *value, char **ret_copy, struct ipe_digest *ret,
                 struct error *e)
{
        _cleanup_free_ char *copy = strdup(value);
        char *hex = copy ? strchr(copy, ':') : NULL;

        if (!copy)
                return error_errno(e, -ENOMEM, "--%s", option);
        if (!hex || strlen(hex + 1) % 2 != 0 || strspn(hex + 1, "0123456789abcdef") != strlen(hex + 1))
                return error_set(e, -EDOM, "--%s: ALGORITHM:HEX in lower case expected, found \"%s\"", option,
                                 value);
        *hex++ = '\0';
        *ret = (struct ipe_digest){copy, hex};
        *ret_copy = TAKE_PTR(copy);
        return 0;
}
