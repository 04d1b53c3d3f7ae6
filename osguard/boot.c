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
#include "osguard/watchdog.h"

#define SYSTEMD "/usr/lib/systemd/systemd"
#define LOG_MAX (1024u * 1024)

/* Seconds: what a step may take before the boot ends. Any may wait for the TPM: IMA extends PCR 10 for its
 * policy and for each module. A TPM's slowest command takes some seconds; making a volume writes to a disk of
 * any size. */
static const struct {
        const char *name;
        int (*run)(struct boot *b, struct error *e);
        unsigned seconds;
} steps[] = {
        {"surroundings", step_surroundings, 120},
        {"modules", step_modules, 120},
        {"settings", step_settings, 120},
        {"tpm", step_tpm, 120},
        {"ipe-boot", step_ipe_boot, 120},
        {"root", step_root, 120},
        {"esp", step_esp, 120},
        {"versions", step_versions, 120},
        {"measure", step_measure, 120},
        {"volume", step_volume, 900},
        {"selinux", step_selinux, 120},
        {"promise", step_promise, 120},
        {"payload", step_payload, 120},
        {"ipe-host", step_ipe_host, 120},
        {"lock", step_lock, 120},
};

static double uptime(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_BOOTTIME, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The logs of a refused boot leave by the console, since nothing else will be there to read them. */
static void print_log(const char *path, const char *name)
{
        _cleanup_free_ char *log = NULL;
        _cleanup_free_ unsigned char *text = NULL;
        size_t size = 0;

        if (read_file(AT_FDCWD, path, LOG_MAX, &log, &size, NULL) < 0)
                return;
        text = malloc(4 * ((size + 2) / 3) + 1);
        if (!text)
                return;
        (void)EVP_EncodeBlock(text, (unsigned char *)log, (int)size);
        (void)fprintf(stderr, "%s: %s\n", name, text);
}

_Noreturn static void power_off(void)
{
        print_log(OSGUARD_LOG, "osguard-log");
        print_log(OSGUARD_MACHINE_LOG, "osguard-machine-log");
        (void)reboot(RB_POWER_OFF);
        for (;;)
                (void)pause();
}

_Noreturn static void refuse(struct boot *b, const char *step, int r, struct error *e)
{
        char reason[1024];
        int n;

        if (!e->message[0])
                (void)error_errno(e, r, "no detail");
        n = snprintf(reason, sizeof(reason), "%s: %s", step, e->message);
        (void)log_error(r, "boot refused: %s", reason);
        if (b->log)
                (void)event_log_append(b->log, "failure", reason, (size_t)n, NULL);
        sync();
        power_off();
}

/* In the watchdog's thread: the other one waits for something that does not come, most likely the TPM. */
static void refuse_hang(const char *step, void *userdata)
{
        (void)log_error(-ETIMEDOUT, "boot refused: %s: an end in time expected, it hangs", step);
        power_off();
}

static void run_steps(struct boot *b, struct watchdog *w)
{
        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                struct error e = {};
                int r;

                watchdog_set(w, steps[i].name, UINT64_C(1000) * steps[i].seconds);
                r = steps[i].run(b, &e);
                /* What is told about a failure asks the TPM once more: the time goes on. */
                if (r < 0)
                        refuse(b, steps[i].name, r, &e);
                log_info("%s done at %.2f s", steps[i].name, uptime());
                if (b->note)
                        log_warning("%s", b->note);
                b->note = NULL;
        }
}

_Noreturn void osguard_boot(void)
{
        char *const argv[] = {(char *)SYSTEMD, NULL};
        char *const environment[] = {(char *)"PATH=/usr/bin", (char *)"TERM=vt102", NULL};
        struct watchdog *w = NULL;
        struct boot b = {};
        struct error e = {};
        int r;

        log_info("start at %.2f s", uptime());
        r = watchdog_new(refuse_hang, NULL, &w);
        if (r < 0)
                refuse(&b, "watchdog", r, &e);
        run_steps(&b, w);
        watchdog_free(w);
        (void)execve(SYSTEMD, argv, environment);
        refuse(&b, "systemd", -errno, &e);
}
