/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dm-verity devices by libcryptsetup, with parameters from the signed geometry alone: the superblock is not
 * read. */
#include <errno.h>
#include <libcryptsetup.h>
#include <libdevmapper.h>
#include <string.h>

#include "internal.h"

DEFINE_CLEANUP(struct crypt_device *, crypt_free)

/* Keeps libcryptsetup's last error message for ours. */
static void keep_message(int level, const char *message, void *userdata)
{
        struct error *said = userdata;

        if (level == CRYPT_LOG_ERROR)
                (void)error_set(said, 0, "%.*s", (int)strcspn(message, "\n"), message);
}

/* Of the kernel's answers about a signature libcryptsetup returns -ENOKEY alone; libdevmapper's message ends
 * with the others. */
static int refusal(int r, const struct error *said)
{
        static const int reasons[] = {EBADMSG, EKEYREJECTED};

        for (size_t i = 0; i < ELEMENTSOF(reasons); i++)
                if (strstr(said->message, strerror(reasons[i])))
                        return -reasons[i];
        return r;
}

static int set_up(struct crypt_device *cd, const struct verity_geometry *g, const char *data_device)
{
        struct crypt_params_verity params = {
                .hash_name = g->algorithm,
                .data_device = data_device,
                .salt = (const char *)g->salt,
                .salt_size = (uint32_t)g->salt_size,
                .hash_type = 1,
                .data_block_size = g->data_block_size,
                .hash_block_size = g->hash_block_size,
                .data_size = g->data_blocks,
                .hash_area_offset = verity_tree_offset(g),
                .flags = CRYPT_VERITY_NO_HEADER,
        };

        /* "Format" without a header and without creating hashes only takes the parameters; nothing is
         * written. */
        return crypt_format(cd, CRYPT_VERITY, NULL, NULL, NULL, NULL, 0, &params);
}

int verity_open_device(const char *name, const char *data_device, const char *hash_device,
                       const struct verity_geometry *g, const void *signature, size_t signature_size,
                       enum verity_corruption corruption, struct error *e)
{
        _cleanup_(crypt_free_ptr) struct crypt_device *cd = NULL;
        uint32_t flags = CRYPT_ACTIVATE_READONLY;
        struct error said = {};
        int r;

        r = verity_geometry_check(g, e);
        if (r < 0)
                return r;
        if (g->root_hash_size == 0)
                return error_set(e, -EINVAL, "%s: a root hash expected, found none", name);
        if (corruption == VERITY_CORRUPTION_PANIC)
                flags |= CRYPT_ACTIVATE_PANIC_ON_CORRUPTION;
        /* There may be no udev to make the node or to acknowledge it: libdevmapper makes it. */
        dm_udev_set_sync_support(0);
        r = crypt_init(&cd, hash_device);
        if (r < 0)
                return error_errno(e, r, "%s", hash_device);
        crypt_set_log_callback(cd, keep_message, &said);
        r = set_up(cd, g, data_device);
        if (r >= 0)
                r = crypt_activate_by_signed_key(cd, name, (const char *)g->root_hash, g->root_hash_size,
                                                 signature, signature ? signature_size : 0, flags);
        if (r < 0 && signature)
                r = refusal(r, &said);
        if (r < 0 && said.message[0] != '\0')
                return error_set(e, r, "%s: dm-verity over %s: %.400s", name, data_device, said.message);
        return r < 0 ? error_errno(e, r, "%s: dm-verity over %s", name, data_device) : 0;
}

int verity_close_device(const char *name, bool deferred, struct error *e)
{
        int r;

        dm_udev_set_sync_support(0);
        r = crypt_deactivate_by_name(NULL, name, deferred ? CRYPT_DEACTIVATE_DEFERRED : 0);
        return r < 0 ? error_errno(e, r, "%s: closing", name) : 0;
}
