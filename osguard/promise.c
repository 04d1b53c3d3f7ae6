/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this boot promises: that nothing older than it will boot here, once it is blessed. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "osguard/osguard.h"
#include "osguard/rollback-tpm.h"

struct tpm_authorization boot_authorization(const struct boot *b)
{
        return (struct tpm_authorization){
                .authority = &b->authority,
                .policies = b->host.from_esp ? b->esp.host_policies : b->esp.policies,
                .n = b->host.from_esp ? b->esp.n_host_policies : b->esp.n_policies,
        };
}

int boot_check_generation(struct boot *b, const char *path, struct error *e)
{
        const struct record opened = b->next;
        uint64_t generation = 0;
        struct error why = {};
        int r;

        r = generation_read(path, &generation, e);
        if (r < 0 || generation <= b->rollback.counter || b->decision.source == ROLLBACK_TOKEN)
                return r;
        r = error_set(&why, -ESTALE,
                      "TPM: counter %" PRIu64 " or higher expected by the volume, found %" PRIu64, generation,
                      b->rollback.counter);
        r = boot_recover(b, r, &why, e);
        if (r >= 0)
                r = boot_take_record(b, e);
        if (r < 0)
                return r;
        b->next.has_volume = opened.has_volume;
        memcpy(b->next.volume, opened.volume, sizeof(b->next.volume));
        return 0;
}

int boot_promise(struct boot *b, struct error *e)
{
        const struct tpm_authorization a = boot_authorization(b);

        if (!rollback_must_write(&b->rollback, &b->decision, &b->next))
                return 0;
        return rollback_write(b->tpm, &a, &b->rollback, b->decision.source == ROLLBACK_TOKEN, &b->next, e);
}

int step_promise(struct boot *b, struct error *e)
{
        int r = boot_check_generation(b, OSGUARD_SYSROOT OSGUARD_GENERATION, e);

        return r < 0 ? r : boot_promise(b, e);
}
