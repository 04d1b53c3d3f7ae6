/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Texts that come signed, but may be signed by a careless owner: machine profiles and image.json. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "attest/predict/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct prediction p = {}, own = {};
        struct image_json image;
        struct profile profile;
        char *text = malloc(size + 1);

        if (profile_parse((const char *)data, size, &profile, NULL) == 0) {
                PROMISE(profile.n <= PREDICTION_EVENTS_MAX);
                (void)profile_apply(&profile, &p, NULL);
        }
        if (!text)
                return 0;
        memcpy(text, data, size);
        text[size] = '\0';
        if (image_json_parse(text, size, &image, NULL) == 0) {
                PROMISE(predict_osguard(&own, &image, NULL, NULL, NULL) == 0);
                image_json_done(&image);
        }
        return 0;
}
