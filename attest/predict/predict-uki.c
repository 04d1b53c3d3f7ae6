/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What firmware, systemd-stub and the kernel's EFI stub measure of a UKI, and of the disk that it lies on. */
#include <errno.h>
#include <stdlib.h>

#include "attest/firmware-log.h"
#include "attest/predict/gpt.h"
#include "attest/predict/prediction.h"
#include "base/cleanup.h"

static int add_action(struct prediction *p, unsigned pcr, const char *action, struct error *e)
{
        return prediction_add_data(p, pcr, EV_EFI_ACTION, action, strlen(action), action, e);
}

/* PCR 4: one application. The stub starts the kernel inside it without asking the firmware. */
static int predict_application(struct prediction *p, const struct uki *uki, struct error *e)
{
        uint8_t digest[32];
        int r;

        r = pe_authenticode(&uki->pe, digest, e);
        if (r >= 0)
                r = add_action(p, 4, "Calling EFI Application from Boot Option", e);
        if (r >= 0)
                r = prediction_add_separator(p, 4, e);
        return r < 0 ? r
                     : prediction_add(p, 4, EV_EFI_BOOT_SERVICES_APPLICATION, digest, "UKI (Authenticode)",
                                      e);
}

/* PCR 11: each section, first its name with the NUL, then its bytes. */
static int predict_sections(struct prediction *p, const struct uki *uki, struct error *e)
{
        for (size_t i = 0; i < UKI_SECTIONS; i++) {
                const char *name = uki_section_names[i];
                char source[32];
                int r;

                (void)snprintf(source, sizeof(source), "name of %s", name);
                r = prediction_add_data(p, 11, EV_IPL, name, strlen(name) + 1, source, e);
                (void)snprintf(source, sizeof(source), "section %s", name);
                if (r >= 0)
                        r = prediction_add_data(p, 11, EV_IPL, uki->sections[i].bytes, uki->sections[i].size,
                                                source, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* PCR 9: the kernel's EFI stub. */
static int predict_kernel(struct prediction *p, const struct uki *uki, struct error *e)
{
        uint8_t options[32], initrd[32];
        int r;

        r = uki_load_options(uki, options, e);
        if (r >= 0)
                r = uki_initrd(uki, initrd, e);
        if (r >= 0)
                r = prediction_add(p, 9, EV_EVENT_TAG, options, "command line", e);
        return r < 0 ? r : prediction_add(p, 9, EV_EVENT_TAG, initrd, "initrd", e);
}

int predict_uki(struct prediction *p, const struct uki *uki, struct error *e)
{
        int r;

        r = predict_application(p, uki, e);
        if (r >= 0)
                r = predict_kernel(p, uki, e);
        if (r >= 0)
                r = predict_sections(p, uki, e);
        p->pcrs |= 1u << 4 | 1u << 9 | 1u << 11 | 1u << 12;
        return r;
}

int predict_disk(struct prediction *p, struct slice head, struct error *e)
{
        _cleanup_free_ uint8_t *gpt = NULL;
        size_t size = 0;
        int r;

        r = gpt_event(head, &gpt, &size, e);
        if (r >= 0)
                r = prediction_add_separator(p, 5, e);
        if (r >= 0)
                r = prediction_add_data(p, 5, EV_EFI_GPT_EVENT, gpt, size, "partition table", e);
        if (r >= 0)
                r = add_action(p, 5, "Exit Boot Services Invocation", e);
        if (r >= 0)
                r = add_action(p, 5, "Exit Boot Services Returned with Success", e);
        p->pcrs |= 1u << 5;
        return r;
}
