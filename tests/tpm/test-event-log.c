/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log and the PCR say the same, on a real TPM implementation; and the reader takes nothing that is no
 * log. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "fault.h"
#include "swtpm.h"
#include "tpm/event-log.h"

static struct swtpm machine;
static char log_path[80];
static struct tpm *tpm;

static void start(void)
{
        struct error e = {};

        swtpm_start(&machine);
        (void)snprintf(log_path, sizeof(log_path), "%s/log", machine.directory);
        cr_assert_eq(tpm_open(machine.tcti, &tpm, &e), 0, "%s", e.message);
}

static void stop(void)
{
        tpm_free(tpm);
        swtpm_done(&machine);
}

static size_t write_log(uint8_t **ret)
{
        _cleanup_(event_log_free_ptr) struct event_log *log = NULL;
        struct error e = {};
        char *text = NULL;
        size_t size = 0;

        cr_assert_eq(event_log_create(log_path, 14, tpm, &log, &e), 0, "%s", e.message);
        cr_assert_eq(event_log_append(log, "image", "{}", 2, &e), 0, "%s", e.message);
        cr_assert_eq(event_log_append(log, "root", "abc", 3, &e), 0, "%s", e.message);
        cr_assert_eq(event_log_append(log, "cap", "", 0, &e), 0, "%s", e.message);
        cr_assert_eq(read_file(AT_FDCWD, log_path, 1 << 20, &text, &size, &e), 0, "%s", e.message);
        *ret = (uint8_t *)text;
        return size;
}

Test(event_log, replay_equals_pcr, .init = start, .fini = stop)
{
        uint8_t *log = NULL, replayed[32], pcr[32];
        size_t size = write_log(&log);
        char mark_path[96], *mark = NULL;
        struct error e = {};

        cr_assert_eq(event_log_replay(log, size, replayed, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_pcr_read(tpm, 14, pcr, &e), 0, "%s", e.message);
        cr_expect_arr_eq(replayed, pcr, 32);
        (void)snprintf(mark_path, sizeof(mark_path), "%s.mark", log_path);
        cr_assert_eq(read_file(AT_FDCWD, mark_path, 64, &mark, NULL, &e), 0, "%s", e.message);
        cr_expect_str_eq(mark, "3\n");
        free(mark);
        free(log);
}

/* PCR_Extend goes wrong, seen by the TPM or not; what comes next still finds a log to follow. */
static void spoil(struct fault_proxy *proxy, enum fault_kind kind)
{
        _cleanup_(event_log_free_ptr) struct event_log *log = NULL;
        _cleanup_free_ char *text = NULL;
        uint8_t replayed[32], pcr[32];
        struct error e = {};
        size_t size = 0;

        (void)unlink(log_path);
        tpm = tpm_free(tpm);
        swtpm_restart(&machine);
        cr_assert_eq(tpm_open(fault_tcti(proxy), &tpm, &e), 0, "%s", e.message);
        cr_assert_eq(event_log_create(log_path, 14, tpm, &log, &e), 0, "%s", e.message);
        cr_assert_eq(event_log_append(log, "image", "{}", 2, &e), 0, "%s", e.message);
        fault_set(proxy, 1, kind, 0x101);
        cr_assert_lt(event_log_append(log, "root", "abc", 3, &e), 0);
        cr_assert_eq(event_log_append(log, "failure", "x", 1, &e), 0, "%s", e.message);
        cr_assert_eq(read_file(AT_FDCWD, log_path, 1 << 20, &text, &size, &e), 0, "%s", e.message);
        cr_assert_eq(event_log_replay((uint8_t *)text, size, replayed, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_pcr_read(tpm, 14, pcr, &e), 0, "%s", e.message);
        cr_expect_arr_eq(replayed, pcr, 32);
}

Test(event_log, replay_equals_pcr_after_an_error_of_the_tpm, .init = start, .fini = stop, .timeout = 120)
{
        struct fault_proxy *proxy = fault_start(&machine);

        spoil(proxy, FAULT_RC);
        spoil(proxy, FAULT_LOST);
        tpm = tpm_free(tpm);
        fault_stop(proxy);
}

Test(event_log, records_can_be_read, .init = start, .fini = stop)
{
        struct event_record record;
        size_t offset = 0, size;
        uint8_t *log = NULL;

        size = write_log(&log);
        cr_assert_eq(event_log_next(log, size, &offset, &record, NULL), 1);
        cr_expect_str_eq(record.name, "image");
        cr_expect_eq(record.pcr, 14);
        cr_assert_eq(event_log_next(log, size, &offset, &record, NULL), 1);
        cr_expect_eq(record.data_size, 3);
        cr_expect_arr_eq(record.data, "abc", 3);
        free(log);
}

Test(event_log, no_second_log, .init = start, .fini = stop)
{
        struct event_log *log = NULL;
        uint8_t *text = NULL;

        (void)write_log(&text);
        cr_expect_eq(event_log_create(log_path, 14, tpm, &log, NULL), -EEXIST);
        free(text);
}

/* Every prefix ends in -ENODATA but those that end between records; every changed byte is noticed. */
Test(event_log, cut_or_changed, .init = start, .fini = stop)
{
        uint8_t *log = NULL, replayed[32], original[32];
        size_t size = write_log(&log);
        unsigned whole = 0;

        cr_assert_eq(event_log_replay(log, size, original, NULL), 0);
        for (size_t n = 0; n < size; n++) {
                int r = event_log_replay(log, n, replayed, NULL);

                cr_assert(r == 0 || r == -ENODATA, "prefix of %zu: %d", n, r);
                whole += r == 0;
        }
        cr_expect_eq(whole, 3, "the empty log and the two record boundaries");
        for (size_t i = 0; i < size; i++) {
                int r;

                log[i] ^= 1;
                r = event_log_replay(log, size, replayed, NULL);
                log[i] ^= 1;
                /* The PCR number and the digests of other banks are not what this replay is over. */
                cr_assert(r < 0 || memcmp(replayed, original, 32) == 0, "byte %zu", i);
        }
        free(log);
}

Test(tpm, absent)
{
        struct tpm *none = NULL;
        struct error e = {};

        cr_expect_lt(tpm_open("swtpm:path=/nonexistent/socket", &none, &e), 0);
        cr_expect(e.message[0]);
        cr_expect_null(none);
}
