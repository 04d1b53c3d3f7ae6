/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Machine profiles, and predictions against logs. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attest/firmware-log.h"
#include "attest/predict/profile.h"
#include "log-writer.h"

/* PEI's volume as it was in memory; what is hashed is not in the log. */
static void add_volume(struct written_log *l, void *memory)
{
        static const uint8_t where[16] = {0, 0, 0x82, 0, 0, 0, 0, 0, 0, 0, 0x0e};

        log_add(l, 0, EV_EFI_PLATFORM_FIRMWARE_BLOB, where, sizeof(where), memory, strlen(memory));
}

static struct written_log write_log(const char *memory)
{
        struct written_log l;

        log_write_boot(&l, LOG_BEFORE_SEPARATORS, add_volume, (void *)memory);
        return l;
}

/* The firmware of write_log(). */
static struct prediction predict(void)
{
        struct prediction p = {};

        cr_assert_eq(prediction_add_data(&p, 0, EV_S_CRTM_VERSION, "v\0\0", 4, "firmware version", NULL), 0);
        cr_assert_eq(prediction_add_open(&p, 0, EV_EFI_PLATFORM_FIRMWARE_BLOB, "volume", NULL), 0);
        cr_assert_eq(prediction_add_data(&p, 0, EV_SEPARATOR, "\0\0\0", 4, "separator", NULL), 0);
        p.pcrs = 1;
        return p;
}

static struct profile record(const struct written_log *l)
{
        struct profile profile;
        struct error e = {};
        char *text = NULL;

        cr_assert_eq(profile_record("vm", l->bytes, l->size, &text, &e), 0, "%s", e.message);
        cr_assert_eq(profile_parse(text, strlen(text), &profile, &e), 0, "%s", e.message);
        free(text);
        return profile;
}

Test(profile, closes_what_is_open_and_adds_what_is_the_machines)
{
        struct written_log l = write_log("1 GiB"), other = write_log("2 GiB");
        struct profile profile = record(&l);
        struct prediction p = predict();
        struct pcr_bank bank;
        struct error e = {};
        uint8_t value[32];

        cr_expect_eq(prediction_value(&p, 0, PREDICTION_READY, value, &e), -ENODATA);
        cr_expect_eq(prediction_compare(&p, l.bytes, l.size, &e), 0, "%s", e.message);
        cr_expect_eq(prediction_compare(&p, other.bytes, other.size, &e), 0, "%s", e.message);
        cr_assert_eq(profile_apply(&profile, &p, &e), 0, "%s", e.message);
        cr_expect_eq(prediction_compare(&p, l.bytes, l.size, &e), 0, "%s", e.message);
        cr_expect_eq(prediction_compare(&p, other.bytes, other.size, &e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "PCR 0, event 2"), "%s", e.message);
        cr_assert_eq(firmware_log_replay(l.bytes, l.size, PCR_SHA256, &bank, NULL), 0);
        for (unsigned pcr = 0; pcr < 7; pcr++) {
                if (pcr == 4 || pcr == 5)
                        continue;
                cr_assert_eq(prediction_value(&p, pcr, PREDICTION_READY, value, &e), 0, "%s", e.message);
                cr_expect_arr_eq(value, bank.value[pcr], 32, "PCR %u", pcr);
        }
}

Test(profile, of_another_firmware_is_refused)
{
        struct written_log l = write_log("1 GiB");
        struct profile profile = record(&l), shorter = profile, longer = profile;
        struct prediction p = predict();

        p.events[0].digest[0] ^= 1;
        cr_expect_eq(profile_apply(&profile, &p, NULL), -EBADMSG, "another version");
        p = predict();
        shorter.n = 1;
        cr_expect_eq(profile_apply(&shorter, &p, NULL), -EBADMSG, "an event less");
        p = predict();
        longer.events[longer.n++] = longer.events[0];
        cr_expect_eq(profile_apply(&longer, &p, NULL), -EBADMSG, "an event more");
}

Test(profile, wrong_texts_and_logs_are_refused)
{
        static const char *const texts[] = {
                "{}",
                "{\"version\": 2, \"name\": \"a\", \"events\": []}",
                "{\"version\": 1, \"name\": \"a b\", \"events\": []}",
                "{\"version\": 1, \"name\": \"\", \"events\": []}",
                "{\"version\": 1, \"name\": \"a\", \"events\": [{\"pcr\": 7, \"type\": 4, \"digest\": "
                "\"00\"}]}",
                "{\"version\": 1, \"name\": \"a\", \"events\": [{\"pcr\": 1, \"type\": 4, \"digest\": "
                "\"00\"}]}",
                "{\"version\": 1, \"name\": \"a\", \"events\": [{\"type\": 4}]}",
        };
        struct written_log l = write_log("1 GiB");
        struct profile profile;
        char *text = NULL;

        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
                cr_expect_eq(profile_parse(texts[i], strlen(texts[i]), &profile, NULL), -EINVAL, "%s",
                             texts[i]);
        text = (char *)"{\"version\": 1, \"name\": \"a\", \"events\": [{\"pcr\": 4294967296, \"type\": 4}]}";
        cr_expect_eq(profile_parse(text, strlen(text), &profile, NULL), -ERANGE);
        cr_expect_eq(profile_record("two words", l.bytes, l.size, &text, NULL), -EINVAL);
        cr_expect_eq(profile_record("vm", l.bytes, l.size - 1, &text, NULL), -EBADMSG);
}

Test(compare, first_difference_is_named)
{
        struct written_log l = write_log("1 GiB");
        struct profile profile = record(&l);
        struct prediction p = {};
        struct error e = {};

        cr_assert_eq(profile_apply(&profile, &p, NULL), 0);
        cr_expect_eq(prediction_compare(&p, l.bytes, l.size, &e), 0, "%s", e.message);
        cr_assert_eq(prediction_add_data(&p, 3, EV_POST_CODE, "rom", 3, "option ROM", NULL), 0);
        cr_expect_eq(prediction_compare(&p, l.bytes, l.size, &e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "PCR 3, event 2: EV_POST_CODE (option ROM) expected"), "%s",
                           e.message);
        p.n--;
        p.events[p.n - 1].digest[5] ^= 1;
        cr_expect_eq(prediction_compare(&p, l.bytes, l.size, &e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "PCR 6, event 1: EV_SEPARATOR"), "%s", e.message);
        p.n--;
        cr_expect_eq(prediction_compare(&p, l.bytes, l.size, &e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "none expected"), "%s", e.message);
        cr_expect_eq(prediction_compare(&p, "text", 4, &e), -EBADMSG);
}
