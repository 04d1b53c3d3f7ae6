/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signatures for an image: by the keys at hand, or in two steps by keys that lie elsewhere. */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "convert.h"

static int path_in(const char *directory, enum trust_purpose purpose, const char *name, const char *suffix,
                   char ret[static PATH_MAX], struct error *e)
{
        if (snprintf(ret, PATH_MAX, "%s/%s-%s.%s", directory, trust_purpose_to_string(purpose), name,
                     suffix) >= PATH_MAX)
                return error_errno(e, -ENAMETOOLONG, "%s", directory);
        return 0;
}

/* What the key has to sign, where it lies elsewhere. */
static int write_digest(const char *directory, const struct trust_signer *signer, enum trust_purpose purpose,
                        const char *name, const char *text, struct error *e)
{
        struct trust_digest d = {};
        char path[PATH_MAX];
        int r;

        if ((r = trust_signer_digest(signer, purpose, text, strlen(text), &d, e)) < 0 ||
            (r = make_directories(directory, 0755, e)) < 0 ||
            (r = path_in(directory, purpose, name, "digest", path, e)) < 0)
                return r;
        return write_file_atomic(AT_FDCWD, path, d.bytes, d.size, 0644, e);
}

int conversion_sign(struct conversion *c, enum trust_purpose purpose, const char *name, const char *text,
                    struct oci_blob *ret, struct error *e)
{
        const struct build_oci_options *o = c->o;
        const struct trust_signer *signer = purpose == TRUST_MANIFEST ? o->manifest_signer : o->layer_signer;
        _cleanup_free_ uint8_t *der = NULL;
        char path[PATH_MAX];
        size_t size = 0;
        int r;

        if (o->digest_out)
                return write_digest(o->digest_out, signer, purpose, name, text, e);
        r = o->attach ? path_in(o->attach, purpose, name, "sig", path, e) : 0;
        if (r >= 0)
                r = trust_sign_detached(signer, purpose, text, o->attach ? path : NULL, &der, &size, e);
        return r < 0 ? r : layout_put(c->out, der, size, ret, e);
}
