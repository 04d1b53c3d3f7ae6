/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "attest/predict/gpt.h"
#include "attest/predict/initrd.h"
#include "attest/predict/variable-store.h"
#include "base/file.h"
#include "ipe-policy/ipe-policy.h"
#include "program.h"

#define UKI_MAX ((size_t)512 * 1024 * 1024)

void inputs_done(struct inputs *in)
{
        image_json_done(&in->image);
        free(in->uki_file);
        in->uki_file = NULL;
}

static int read_uki(const char *path, struct inputs *in, struct error *e)
{
        uint8_t *text = NULL;
        size_t size = 0;
        int r;

        r = read_file(AT_FDCWD, path, UKI_MAX, &in->uki_file, &size, e);
        if (r < 0)
                return r;
        r = uki_parse((struct slice){(uint8_t *)in->uki_file, size}, &in->uki, e);
        if (r >= 0)
                r = initrd_find(in->uki.sections[UKI_INITRD], IMAGE_JSON_PATH, &text, &size, e);
        if (r >= 0)
                r = image_json_parse((char *)text, size, &in->image, e);
        return r < 0 ? error_prefix(e, r, "%s", path) : 0;
}

/* osguard powers the machine off where the two differ. */
static int check_cmdline(const struct inputs *in, struct error *e)
{
        struct slice found = uki_cmdline(&in->uki);

        if (slice_equal(found, (struct slice){(const uint8_t *)in->image.cmdline, strlen(in->image.cmdline)}))
                return 0;
        return error_set(e, -EBADMSG,
                         "UKI: .cmdline: the command line of image.json expected, found another");
}

static int predict_firmware_file(struct inputs *in, struct error *e)
{
        _cleanup_(firmware_done) struct firmware firmware = {};
        _cleanup_free_ char *file = NULL;
        size_t size = 0;
        int r;

        if (!options.firmware)
                return 0;
        r = read_file(AT_FDCWD, options.firmware, FIRMWARE_FILE_MAX, &file, &size, e);
        if (r < 0)
                return r;
        r = firmware_parse((struct slice){(uint8_t *)file, size}, &firmware, e);
        if (r >= 0)
                r = predict_firmware(&in->prediction, &firmware, e);
        return r < 0 ? error_prefix(e, r, "%s", options.firmware) : 0;
}

static int predict_variables(struct inputs *in, struct error *e)
{
        _cleanup_free_ char *file = NULL;
        size_t size = 0;
        int r;

        if (!options.variables)
                return 0;
        r = read_file(AT_FDCWD, options.variables, VARIABLE_STORE_MAX, &file, &size, e);
        if (r < 0)
                return r;
        r = predict_secure_boot(&in->prediction, (struct slice){(uint8_t *)file, size}, &in->uki, e);
        return r < 0 ? error_prefix(e, r, "%s", options.variables) : 0;
}

static int predict_disk_file(struct inputs *in, struct error *e)
{
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ uint8_t *head = NULL;
        int r;

        if (!options.disk)
                return 0;
        fd = open(options.disk, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return error_errno(e, -errno, "%s", options.disk);
        head = malloc(GPT_HEAD_SIZE);
        if (!head)
                return -ENOMEM;
        r = pread_full(fd, head, GPT_HEAD_SIZE, 0);
        if (r < 0)
                return error_errno(e, r, "%s", options.disk);
        r = predict_disk(&in->prediction, (struct slice){head, GPT_HEAD_SIZE}, e);
        return r < 0 ? error_prefix(e, r, "%s", options.disk) : 0;
}

static int predict_image(struct inputs *in, struct error *e)
{
        struct image_policy host = {};
        _cleanup_free_ char *der = NULL;
        size_t size = 0;
        int r;

        if (options.ipe_host) {
                r = read_file(AT_FDCWD, options.ipe_host, IPE_POLICY_MAX, &der, &size, e);
                if (r < 0)
                        return r;
                r = image_policy_read(der, size, &host, e);
                if (r < 0)
                        return error_prefix(e, r, "%s", options.ipe_host);
        }
        return predict_osguard(&in->prediction, &in->image, options.ipe_host ? &host : NULL, options.payload,
                               e);
}

static int apply_profile(struct inputs *in, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r;

        if (!options.profile)
                return 0;
        r = read_signed(options.profile, PROFILE_MAX, &text, &size, e);
        if (r < 0)
                return r;
        r = profile_parse(text, size, &in->profile, e);
        if (r >= 0)
                r = profile_apply(&in->profile, &in->prediction, e);
        return r < 0 ? error_prefix(e, r, "%s", options.profile) : 0;
}

int inputs_predict(const char *uki, struct inputs *ret, struct error *e)
{
        int r;

        r = read_uki(uki, ret, e);
        if (r >= 0)
                r = check_cmdline(ret, e);
        if (r >= 0)
                r = predict_firmware_file(ret, e);
        if (r >= 0)
                r = predict_uki(&ret->prediction, &ret->uki, e);
        if (r >= 0)
                r = predict_disk_file(ret, e);
        if (r >= 0)
                r = predict_variables(ret, e);
        if (r >= 0)
                r = predict_image(ret, e);
        return r < 0 ? r : apply_profile(ret, e);
}

int open_signer(struct trust_signer **ret, struct error *e)
{
        const struct trust_signer_options o = {.key = options.key,
                                               .certificate = options.certificate,
                                               .providers = options.providers.items,
                                               .n_providers = options.providers.n};
        _cleanup_(trust_signer_free_ptr) struct trust_signer *s = NULL;
        int r;

        if (!options.key || !options.certificate || !options.output)
                return error_set(e, -EINVAL, "--key=, --certificate= and --output= expected, see --help");
        if ((r = trust_signer_open(&o, &s, e)) < 0 || (r = trust_signer_check_time(s, time(NULL), e)) < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

int read_signed(const char *path, size_t max, char **ret, size_t *ret_size, struct error *e)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *trust = NULL;
        const void *content = NULL;
        _cleanup_free_ char *der = NULL;
        size_t size = 0, content_size = 0;
        int r;

        if (!options.trust)
                return error_set(e, -EINVAL, "%s: --trust= expected, to check its signature", path);
        r = trust_store_open_pki(AT_FDCWD, options.trust, (int64_t)time(NULL), &trust, e);
        if (r >= 0)
                r = read_file(AT_FDCWD, path, max, &der, &size, e);
        if (r < 0)
                return r;
        r = trust_verify_attached(trust, TRUST_BUILD, der, size, &content, &content_size, e);
        if (r < 0)
                return error_prefix(e, r, "%s", path);
        if (memchr(content, '\0', content_size))
                return error_set(e, -EBADMSG, "%s: text expected, found a NUL byte", path);
        *ret = strndup(content, content_size);
        *ret_size = content_size;
        return *ret ? 0 : -ENOMEM;
}

int write_signed(const struct trust_signer *signer, const char *text, size_t max, struct error *e)
{
        _cleanup_free_ uint8_t *der = NULL;
        size_t size = 0;
        int r;

        r = trust_sign(signer, TRUST_BUILD, text, strlen(text), true, &der, &size, e);
        if (r >= 0 && size > max)
                r = error_set(e, -EFBIG, "%s: at most %zu bytes expected, found %zu", options.output, max,
                              size);
        return r < 0 ? r : write_file_atomic(AT_FDCWD, options.output, der, size, 0644, e);
}
