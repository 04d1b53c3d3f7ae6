/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* osguard's own events: PCR 14, in the order of lib/tpm/EVENTS.md. */
#include <errno.h>

#include "attest/predict/prediction.h"
#include "ipe-policy/ipe-policy.h"
#include "tpm/event-log.h"

#define PCR 14u

static int add(struct prediction *p, const char *name, const void *data, size_t size, bool after_volume,
               struct error *e)
{
        uint8_t digest[32];
        int r;

        r = event_digest(name, data, size, digest, e);
        if (r >= 0)
                r = prediction_add(p, PCR, PREDICTION_OWN_EVENT, digest, name, e);
        if (r >= 0)
                p->events[p->n - 1].after_volume = after_volume;
        return r;
}

static int add_text(struct prediction *p, const char *name, const char *text, struct error *e)
{
        return add(p, name, text, strlen(text), false, e);
}

static int add_policy(struct prediction *p, const struct image_policy *policy, struct error *e)
{
        char text[384];

        image_policy_event(policy, sizeof(text), text);
        return add_text(p, "ipe-policy", text, e);
}

/* What osguard asks of a host policy that stands for the image's. */
static int check_host(const struct image_json *image, const struct image_policy *host, struct error *e)
{
        const struct image_policy *old = &image->ipe_host;

        if (strcmp(host->name, old->name) != 0)
                return error_set(e, -EINVAL, "IPE host policy: policy_name: %s expected, found %s", old->name,
                                 host->name);
        if (ipe_policy_compare_versions(host->version, old->version) <= 0)
                return error_set(e, -ESTALE,
                                 "IPE host policy: policy_version: above %u.%u.%u expected, found %u.%u.%u",
                                 old->version[0], old->version[1], old->version[2], host->version[0],
                                 host->version[1], host->version[2]);
        return 0;
}

static int check_payload(const struct image_json *image, const char *payload, struct error *e)
{
        if (strcmp(image->variant, "prod") == 0)
                return error_set(e, -EINVAL, "payload: none expected for the variant prod");
        if (strlen(payload) != 64 || strspn(payload, "0123456789abcdef") != 64)
                return error_set(e, -EINVAL,
                                 "payload: 64 lower-case hexadecimal digits expected, found \"%.80s\"",
                                 payload);
        return 0;
}

int predict_osguard(struct prediction *p, const struct image_json *image, const struct image_policy *host,
                    const char *payload, struct error *e)
{
        int r = 0;

        if (host)
                r = check_host(image, host, e);
        if (r >= 0 && payload)
                r = check_payload(image, payload, e);
        if (r >= 0)
                r = add(p, "image", image->text, image->size, false, e);
        if (r >= 0)
                r = add_policy(p, &image->ipe_boot, e);
        if (r >= 0)
                r = add_text(p, "root", image->root_hash, e);
        if (r >= 0)
                r = add_policy(p, host ?: &image->ipe_host, e);
        if (r >= 0)
                r = add_text(p, "selinux-policy", image->selinux, e);
        if (r >= 0 && payload)
                r = add(p, "payload", payload, strlen(payload), true, e);
        if (r >= 0)
                r = add(p, "cap", "switch-root", strlen("switch-root"), true, e);
        p->pcrs |= 1u << PCR;
        return r;
}
