/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "osguard/osguard.h"

#define SYSTEMD "/usr/lib/systemd/systemd"
#define LOG_MAX (1024u * 1024)

static const struct {
        const char *name;
        int (*run)(struct boot *b, struct error *e);
} steps[] = {
        {"surroundings", step_surroundings},
        {"modules", step_modules},
        {"settings", step_settings},
        {"tpm", step_tpm},
        {"ipe-boot", step_ipe_boot},
        {"root", step_root},
        {"versions", step_versions},
        {"selinux", step_selinux},
        {"payload", step_payload},
        {"ipe-host", step_ipe_host},
        {"lock", step_lock},
};

static double uptime(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_BOOTTIME, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The log of a refused boot leaves by the console, since nothing else will be there to read it. */
static void print_log(void)
{
        _cleanup_free_ char *log = NULL;
        _cleanup_free_ unsigned char *text = NULL;
        size_t size = 0;

        if (read_file(AT_FDCWD, OSGUARD_LOG, LOG_MAX, &log, &size, NULL) < 0)
                return;
        text = malloc(4 * ((size + 2) / 3) + 1);
        if (!text)
                return;
        (void)EVP_EncodeBlock(text, (unsigned char *)log, (int)size);
        (void)fprintf(stderr, "osguard-log: %s\n", text);
}

_Noreturn static void refuse(struct boot *b, const char *step, int r, struct error *e)
{
        char reason[1024];
        int n;

        if (!e->message[0])
                (void)error_errno(e, r, "no detail");
        n = snprintf(reason, sizeof(reason), "%s: %s", step, e->message);
        (void)log_error(r, "boot refused: %s", reason);
        if (b->log) {
                (void)event_log_append(b->log, "failure", reason, (size_t)n, NULL);
                print_log();
        }
        sync();
        (void)reboot(RB_POWER_OFF);
        for (;;)
                (void)pause();
}

_Noreturn void osguard_boot(void)
{
        char *const argv[] = {(char *)SYSTEMD, NULL};
        char *const environment[] = {(char *)"PATH=/usr/bin", (char *)"TERM=vt102", NULL};
        struct boot b = {};
        struct error e = {};

        log_info("start at %.2f s", uptime());
        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                int r = steps[i].run(&b, &e);

                if (r < 0)
                        refuse(&b, steps[i].name, r, &e);
                log_info("%s done at %.2f s", steps[i].name, uptime());
        }
        (void)execve(SYSTEMD, argv, environment);
        refuse(&b, "systemd", -errno, &e);
}
