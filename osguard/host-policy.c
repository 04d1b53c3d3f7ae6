/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which IPE host policy this boot runs under. A newer one on the ESP takes a layer back between two images.
 */
#include <errno.h>
#include <string.h>

#include "ipe-policy/ipe-policy.h"
#include "osguard/osguard.h"

#define ESP_FILE "ESP: " ESP_DIRECTORY "/ipe-host.p7b"

void host_policy_done(struct host_policy *host)
{
        free(host->der);
        *host = (struct host_policy){};
}

static int refuse_older(const char *what, const uint16_t expected[static 3], const uint16_t found[static 3],
                        struct error *e)
{
        return error_set(e, -ESTALE, "%s: version %u.%u.%u or higher expected, found %u.%u.%u", what,
                         expected[0], expected[1], expected[2], found[0], found[1], found[2]);
}

/* 1: it is to be used instead of the image's; 0: it is the image's. */
static int check_newer(const struct trust_store *trust, const struct image *image, const struct esp *esp,
                       struct policy_reference *ret, struct error *e)
{
        int r;

        r = ipe_policy_check(trust, ESP_FILE, esp->host, esp->host_size, image->ipe_host.name, true, ret, e);
        if (r < 0 || memcmp(ret->sha256, image->ipe_host.sha256, sizeof(ret->sha256)) == 0)
                return r;
        r = ipe_policy_compare_versions(ret->version, image->ipe_host.version);
        if (r < 0)
                return refuse_older(ESP_FILE, image->ipe_host.version, ret->version, e);
        if (r == 0)
                return error_set(
                        e, -ESTALE,
                        ESP_FILE
                        ": a version above the image's %u.%u.%u expected, found another policy of the same",
                        ret->version[0], ret->version[1], ret->version[2]);
        return 1;
}

static int take_from_esp(const struct trust_store *trust, const struct image *image, const struct esp *esp,
                         struct host_policy *ret, struct error *e)
{
        int r;

        r = check_newer(trust, image, esp, &ret->reference, e);
        if (r <= 0)
                return r;
        ret->der = malloc(esp->host_size);
        if (!ret->der)
                return -ENOMEM;
        memcpy(ret->der, esp->host, esp->host_size);
        ret->size = esp->host_size;
        ret->from_esp = true;
        return 0;
}

int host_policy_choose(const struct trust_store *trust, const struct image *image, const char *path,
                       const struct esp *esp, struct host_policy *ret, struct error *e)
{
        _cleanup_(host_policy_done) struct host_policy host = {};
        int r = 0;

        if (esp->host)
                r = take_from_esp(trust, image, esp, &host, e);
        if (r >= 0 && !host.der) {
                host.reference = image->ipe_host;
                r = ipe_policy_load_file(trust, path, &image->ipe_host, true, &host.der, &host.size, e);
        }
        if (r < 0)
                return r;
        if (ipe_policy_compare_versions(host.reference.version, image->ipe_boot.version) < 0)
                return refuse_older("host IPE policy", image->ipe_boot.version, host.reference.version, e);
        *ret = host;
        host = (struct host_policy){};
        return 0;
}
