/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the firmware measures of itself (Tcg2Pei of EDK2). */
#include <stdio.h>

#include "attest/firmware-log.h"
#include "attest/predict/prediction.h"

static int add_volume(struct prediction *p, const struct firmware_volume *v, size_t number, struct error *e)
{
        char source[80];

        (void)snprintf(source, sizeof(source), "firmware volume %zu%s", number,
                       v->runs_in_place ? " as its modules left it in memory" : "");
        if (v->runs_in_place)
                return prediction_add_open(p, 0, EV_EFI_PLATFORM_FIRMWARE_BLOB, source, e);
        return prediction_add_data(p, 0, EV_EFI_PLATFORM_FIRMWARE_BLOB, v->bytes.bytes, v->bytes.size, source,
                                   e);
}

int predict_firmware(struct prediction *p, const struct firmware *f, struct error *e)
{
        int r;

        r = prediction_add_data(p, 0, EV_S_CRTM_VERSION, f->version.bytes, f->version.size,
                                "firmware version", e);
        for (size_t i = 0; r >= 0 && i < f->n_volumes; i++)
                r = add_volume(p, &f->volumes[i], i, e);
        if (r >= 0)
                r = prediction_add_separator(p, 0, e);
        if (r >= 0)
                r = prediction_add_separator(p, 2, e);
        if (r >= 0)
                r = prediction_add_separator(p, 3, e);
        p->pcrs |= 1u << 0 | 1u << 2 | 1u << 3;
        return r;
}
