/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the guests' checks make of an outcome and the kernel's records: above all, when they fail. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/vm/guest/tap.h"

#define IPE "audit: type=1420 audit(1.0:1): ipe_op=EXECUTE pid=%d comm=\"x\" path=\"/a\""
#define AVC "audit: type=1400 audit(1.0:1): avc:  denied  { execute } for  pid=%d comm=\"x\""

/* One attempt: what became of it, what the kernel logged (%d: our pid + stranger), what was expected, the
 * verdict. */
struct attempt {
        char what[48];
        enum verdict verdict;
        int error;
        char records[2][100];
        int stranger; /* added to the pid in the records */
        char layers[32];
        int expected_error;
        bool blind;
        bool ok;
        char says[48]; /* part of the line */
};

static struct attempt attempts[] = {
        {"record of the layer", ATTEMPT_REFUSED, EACCES, {IPE}, 0, "IPE", 0, false, true, "refused by: IPE"},
        {"record of another layer",
         ATTEMPT_REFUSED,
         EACCES,
         {AVC},
         0,
         "IPE",
         0,
         false,
         false,
         "refused by: SELinux"},
        {"one of two layers",
         ATTEMPT_REFUSED,
         EACCES,
         {AVC},
         0,
         "IPE|SELinux",
         0,
         false,
         true,
         "refused by: SELinux"},
        {"no record", ATTEMPT_REFUSED, EACCES, {""}, 0, "IPE", EACCES, false, false, "refused by: unknown"},
        {"record of another process",
         ATTEMPT_REFUSED,
         EACCES,
         {IPE},
         1,
         "IPE",
         EACCES,
         false,
         false,
         "unknown"},
        {"it worked", ATTEMPT_WORKED, 0, {IPE}, 0, "IPE", 0, false, false, "it worked"},
        {"it could not be tried",
         ATTEMPT_VOID,
         ENOENT,
         {IPE},
         0,
         "IPE",
         ENOENT,
         false,
         false,
         "could not be tried"},
        {"silent layer", ATTEMPT_REFUSED, EPERM, {""}, 0, "Yama", EPERM, false, true, "refused by: Yama"},
        {"silent layer, other errno", ATTEMPT_REFUSED, EIO, {""}, 0, "Yama", EPERM, false, false, "unknown"},
        {"silent layer, but a record",
         ATTEMPT_REFUSED,
         EPERM,
         {AVC},
         0,
         "Yama",
         EPERM,
         false,
         false,
         "SELinux"},
        {"silent layer or record",
         ATTEMPT_REFUSED,
         EPERM,
         {AVC},
         0,
         "Yama|SELinux",
         EPERM,
         false,
         true,
         "SELinux"},
        {"wanted record after another",
         ATTEMPT_REFUSED,
         EACCES,
         {AVC, IPE},
         0,
         "IPE",
         0,
         false,
         true,
         "refused by: IPE"},
        {"name inside another name",
         ATTEMPT_REFUSED,
         EACCES,
         {IPE},
         0,
         "NOTIPE|IPEX",
         0,
         false,
         false,
         "refused by: IPE"},
        {"verity without a pid",
         ATTEMPT_REFUSED,
         EIO,
         {"device-mapper: verity: 7:0: data block 1 is corrupted"},
         0,
         "dm-verity",
         0,
         false,
         true,
         "refused by: dm-verity"},
        {"verity's greeting",
         ATTEMPT_REFUSED,
         EIO,
         {"device-mapper: verity: sha256 using shash"},
         0,
         "dm-verity",
         0,
         false,
         false,
         "unknown"},
        {"blind, right errno",
         ATTEMPT_REFUSED,
         EPERM,
         {""},
         0,
         "seccomp",
         EPERM,
         true,
         true,
         "to be refused by: seccomp"},
        {"blind, other errno",
         ATTEMPT_REFUSED,
         EACCES,
         {""},
         0,
         "seccomp",
         EPERM,
         true,
         false,
         "to be refused by"},
        {"blind, it worked", ATTEMPT_WORKED, 0, {""}, 0, "seccomp", EPERM, true, false, "it worked"},
};

/* As /dev/kmsg: one record a read. */
static void log_records(int fd, const struct attempt *a)
{
        char text[256], record[300];

        for (size_t i = 0; i < 2 && a->records[i][0]; i++) {
                const char *number = strstr(a->records[i], "%d");
                if (number)
                        (void)snprintf(text, sizeof(text), "%.*s%d%s", (int)(number - a->records[i]),
                                       a->records[i], getpid() + a->stranger, number + 2);
                else
                        (void)snprintf(text, sizeof(text), "%s", a->records[i]);
                int n = snprintf(record, sizeof(record), "5,1,2,-;%s\n", text);
                cr_assert_eq(write(fd, record, (size_t)n), n);
        }
}

ParameterizedTestParameters(tap, refused)
{
        return cr_make_param_array(struct attempt, attempts, sizeof(attempts) / sizeof(attempts[0]));
}

ParameterizedTest(const struct attempt *a, tap, refused)
{
        char *text = NULL;
        size_t size = 0;
        struct tap t;
        int log[2];

        FILE *out = open_memstream(&text, &size);
        if (a->blind) {
                tap_start_blind(&t, out);
        } else {
                cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, log), 0);
                tap_start(&t, out);
                t.kmsg = log[0];
                log_records(log[1], a);
        }
        struct outcome o = {.verdict = a->verdict, .error = a->error, .step = "exec"};
        tap_refused(&t, a->what, &o, a->layers, a->expected_error);
        cr_expect_eq(tap_finish(&t), !a->ok, "%s", a->what);
        (void)fclose(out);
        cr_expect_not_null(strstr(text, a->ok ? "\nok 1 - " : "\nnot ok 1 - "), "%s: %s", a->what, text);
        cr_expect_not_null(strstr(text, a->says), "%s: \"%s\" expected in %s", a->what, a->says, text);
        free(text);
}

Test(tap, worked_and_escapes)
{
        struct outcome worked = {.verdict = ATTEMPT_WORKED},
                       refused = {.verdict = ATTEMPT_REFUSED, .error = EIO};
        char *text = NULL;
        size_t size = 0;
        struct tap t;

        FILE *out = open_memstream(&text, &size);
        tap_start_blind(&t, out);
        tap_worked(&t, "first", &worked);
        tap_worked(&t, "second", &refused);
        tap_check(&t, false, "third", "a # in\na detail");
        cr_expect_eq(tap_finish(&t), 1);
        (void)fclose(out);
        cr_expect_not_null(strstr(text, "\nok 1 - first\n"));
        cr_expect_not_null(strstr(text, "\nnot ok 2 - second # refused at"));
        cr_expect_not_null(strstr(text, "\nnot ok 3 - third # a   in a detail\n"), "%s", text);
        cr_expect_not_null(strstr(text, "\n1..3\n"));
        free(text);
}
