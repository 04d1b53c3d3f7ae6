/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What somebody may do to a firmware log whose digests he cannot change, and what broken firmware writes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "attest/firmware-log.h"
#include "log-writer.h"

static void nothing(struct written_log *l, void *userdata)
{
}

static void expect_refused(enum log_place place, void (*add)(struct written_log *, void *),
                           const char *reason)
{
        struct written_log l;
        struct firmware_claims claims;
        struct error e = {};
        int r;

        log_write_boot(&l, place, add, NULL);
        r = firmware_log_check(l.bytes, l.size, PCR_SHA256, &claims, &e);
        cr_expect_eq(r, -EBADMSG);
        cr_expect(strstr(e.message, reason), "\"%s\" expected, found \"%s\"", reason, e.message);
}

Test(firmware_grammar, whole_boot)
{
        struct firmware_claims claims = {};
        struct written_log l;
        struct error e = {};

        log_write_boot(&l, LOG_END, nothing, NULL);
        cr_assert_eq(firmware_log_check(l.bytes, l.size, PCR_SHA256, &claims, &e), 0, "%s", e.message);
        cr_expect(claims.secure_boot);
        cr_expect(claims.boot_services_exited);
        cr_expect_eq(claims.db.size, 7);
        cr_expect_arr_eq(claims.db.value, "allowed", 7);
        cr_expect_eq(claims.dbx.size, 0);
        cr_assert_eq(claims.n_applications, 1);
        cr_expect_eq(claims.applications[0].digest.size, 32);
        cr_assert_eq(claims.n_authorities, 1);
        cr_expect_str_eq(claims.authorities[0].variable.name, "db");
}

static void second_separator(struct written_log *l, void *userdata)
{
        log_add_separator(l, 7, 0);
}

static void error_separator(struct written_log *l, void *userdata)
{
        log_add_separator(l, 0, UINT32_MAX);
}

static void hidden_separator(struct written_log *l, void *userdata)
{
        log_add(l, 3, EV_COMPACT_HASH, "harmless", 8, "\0\0\0\0", 4);
}

static void hidden_error(struct written_log *l, void *userdata)
{
        log_add(l, 3, EV_COMPACT_HASH, "harmless", 8, "\xff\xff\xff\xff", 4);
}

static void false_separator(struct written_log *l, void *userdata)
{
        log_add(l, 11, EV_SEPARATOR, "\0\0\0\0", 4, "something else", 14);
}

Test(firmware_grammar, separators)
{
        expect_refused(LOG_BEFORE_SEPARATORS, second_separator, "a second separator");
        expect_refused(LOG_BEFORE_SEPARATORS, error_separator, "the firmware reports an error");
        expect_refused(LOG_START, hidden_separator, "a separator's digest under another type");
        expect_refused(LOG_START, hidden_error, "a separator's digest under another type");
        expect_refused(LOG_START, false_separator, "its digest is not that of its data");
}

static void late_variable(struct written_log *l, void *userdata)
{
        log_add_variable(l, EV_EFI_VARIABLE_DRIVER_CONFIG, "dbt", 0, "", 0);
}

static void second_variable(struct written_log *l, void *userdata)
{
        log_add_variable(l, EV_EFI_VARIABLE_DRIVER_CONFIG, "SecureBoot", 1, "", 0);
}

static void wrong_secure_boot(struct written_log *l, void *userdata)
{
        log_add_variable(l, EV_EFI_VARIABLE_DRIVER_CONFIG, "SecureBoot", 1, "\1\1", 2);
}

static void false_variable(struct written_log *l, void *userdata)
{
        log_add(l, 7, EV_EFI_VARIABLE_DRIVER_CONFIG, "x", 1, "another", 7);
}

static void no_variable(struct written_log *l, void *userdata)
{
        log_add_data(l, 7, EV_EFI_VARIABLE_DRIVER_CONFIG, "x", 1);
}

static void strange_type(struct written_log *l, void *userdata)
{
        log_add_data(l, 7, EV_IPL, "x", 1);
}

static void debug_mode(struct written_log *l, void *userdata)
{
        log_add_action(l, 7, "UEFI Debug Mode");
}

static void hidden_debug_mode(struct written_log *l, void *userdata)
{
        log_add(l, 7, EV_EFI_VARIABLE_AUTHORITY, "x", 1, "UEFI Debug Mode", 15);
}

/* An authority that is a digest is as short as an action is. */
static void hidden_authority(struct written_log *l, void *userdata)
{
        static const uint8_t authority[32 + 4 + 16 + 32] = {[16] = 2, [24] = 48, [32] = 'd', [34] = 'b'};

        log_add_data(l, 7, EV_EFI_ACTION, authority, sizeof(authority));
}

Test(firmware_grammar, secure_boot)
{
        expect_refused(LOG_BEFORE_SEPARATORS, late_variable, "a variable after the separator");
        expect_refused(LOG_START, second_variable, "a variable that was measured already");
        expect_refused(LOG_START, wrong_secure_boot, "SecureBoot is one byte");
        expect_refused(LOG_START, false_variable, "its digest is not that of its data");
        expect_refused(LOG_START, no_variable, "a UEFI variable expected");
        expect_refused(LOG_START, strange_type, "does not belong there");
        expect_refused(LOG_START, debug_mode, "without its protection");
        expect_refused(LOG_AFTER_SEPARATORS, hidden_authority, "a short text expected");
        expect_refused(LOG_START, hidden_debug_mode, "an action's digest under another type");
}

static void hidden_event(struct written_log *l, void *userdata)
{
        log_add_data(l, 0, EV_NO_ACTION, "x", 1);
}

static void no_action_elsewhere(struct written_log *l, void *userdata)
{
        log_add_no_action(l, 4, "x", 1);
}

static void wrong_locality(struct written_log *l, void *userdata)
{
        log_add_no_action(l, 0, "StartupLocality\0\1", 17);
}

static void late_firmware(struct written_log *l, void *userdata)
{
        log_add_data(l, 0, EV_EFI_PLATFORM_FIRMWARE_BLOB, "x", 1);
}

static void late_application(struct written_log *l, void *userdata)
{
        log_add(l, 4, EV_EFI_BOOT_SERVICES_APPLICATION, "image", 5, "another", 7);
}

static void hidden_application(struct written_log *l, void *userdata)
{
        log_add(l, 4, EV_EFI_BOOT_SERVICES_DRIVER, "image", 5, "another", 7);
}

static void application_as_action(struct written_log *l, void *userdata)
{
        char image[512] = "MZ";

        log_add_data(l, 4, EV_EFI_ACTION, image, sizeof(image));
}

static void second_exit(struct written_log *l, void *userdata)
{
        log_add_action(l, 5, "Exit Boot Services Returned with Success");
}

Test(firmware_grammar, order)
{
        expect_refused(LOG_START, hidden_event, "has to be zeros");
        expect_refused(LOG_START, no_action_elsewhere, "belongs to PCR 0");
        expect_refused(LOG_START, wrong_locality, "StartupLocality");
        expect_refused(LOG_AFTER_SEPARATORS, late_firmware, "after its separator");
        expect_refused(LOG_END, late_application, "after the boot services were left");
        expect_refused(LOG_AFTER_APPLICATION, hidden_application, "does not belong there");
        expect_refused(LOG_AFTER_APPLICATION, application_as_action, "a short text expected");
        expect_refused(LOG_END, second_exit, "left already");
}

static void start_at_3(struct written_log *l, void *userdata)
{
        log_add_no_action(l, 0, "StartupLocality\0\3", 17);
}

Test(firmware_grammar, locality)
{
        struct pcr_bank zero, three;
        struct written_log l;
        struct error e = {};

        log_write_boot(&l, LOG_END, nothing, NULL);
        cr_assert_eq(firmware_log_replay(l.bytes, l.size, PCR_SHA256, &zero, &e), 0, "%s", e.message);
        log_write_boot(&l, LOG_START, start_at_3, NULL);
        cr_assert_eq(firmware_log_replay(l.bytes, l.size, PCR_SHA256, &three, &e), 0, "%s", e.message);
        cr_expect_arr_neq(zero.value[0], three.value[0], 32);
        cr_expect_arr_eq(zero.value[1], three.value[1], 32);
        log_write_boot(&l, LOG_END, start_at_3, NULL);
        cr_expect_eq(firmware_log_replay(l.bytes, l.size, PCR_SHA256, &three, &e), -EBADMSG);
}

/* A log cut anywhere but between events is refused, and between them its grammar is. */
Test(firmware_grammar, cut)
{
        struct firmware_claims claims;
        struct written_log l;
        struct pcr_bank bank;

        log_write_boot(&l, LOG_END, nothing, NULL);
        for (size_t n = 0; n < l.size; n++) {
                int r = firmware_log_replay(l.bytes, n, PCR_SHA256, &bank, NULL);

                cr_assert(r == 0 || r == -EBADMSG, "%zu bytes: %d", n, r);
                if (firmware_log_check(l.bytes, n, PCR_SHA256, &claims, NULL) == 0)
                        cr_assert(!claims.boot_services_exited, "%zu bytes", n);
        }
}

/* Every bank's digest of every event may be missing, doubled or unknown. */
Test(firmware_grammar, numbers_out_of_bounds)
{
        static const struct {
                size_t offset; /* in the second event */
                uint32_t value;
                const char *reason;
        } cases[] = {
                {0, 24, "a PCR below 24"},
                {0, UINT32_MAX, "a PCR below 24"},
                {8, 0, "1 to 1 digests"},
                {8, UINT32_MAX, "1 to 1 digests"},
                {12, 0x00c, "algorithms"},
                {46, 3000000000u, "bytes of data expected"},
                {46, UINT32_MAX, "bytes of data expected"},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                struct error e = {};
                struct written_log l;
                struct pcr_bank bank;
                size_t first;

                log_begin(&l);
                first = l.size;
                log_add_data(&l, 0, EV_POST_CODE, "x", 1);
                for (size_t b = 0; b < 4; b++)
                        l.bytes[first + cases[i].offset + b] = (uint8_t)(cases[i].value >> 8 * b);
                cr_expect_eq(firmware_log_replay(l.bytes, l.size, PCR_SHA256, &bank, &e), -EBADMSG,
                             "case %zu", i);
                cr_expect(strstr(e.message, cases[i].reason), "case %zu: %s", i, e.message);
        }
}

Test(firmware_grammar, padding)
{
        struct pcr_bank plain, padded;
        struct written_log l;

        log_write_boot(&l, LOG_END, nothing, NULL);
        cr_assert_eq(firmware_log_replay(l.bytes, l.size, PCR_SHA256, &plain, NULL), 0);
        memset(l.bytes + l.size, 0xff, 100);
        cr_assert_eq(firmware_log_replay(l.bytes, l.size + 100, PCR_SHA256, &padded, NULL), 0);
        cr_expect_arr_eq(plain.value, padded.value, sizeof(plain.value));
        l.bytes[l.size + 50] = 0;
        cr_expect_eq(firmware_log_replay(l.bytes, l.size + 100, PCR_SHA256, &padded, NULL), -EBADMSG);
}
