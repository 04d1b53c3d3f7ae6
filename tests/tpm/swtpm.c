/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swtpm.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"

#define STATE_FILE "tpm2-00.permall"
#define STATE_MAX ((size_t)1024 * 1024)

static bool listens(const struct swtpm *s, const char *name)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

        cr_assert_geq(fd, 0);
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", s->directory, name);
        r = connect(fd, (const struct sockaddr *)&address, sizeof(address));
        (void)close(fd);
        return r == 0;
}

static void run_swtpm(const struct swtpm *s)
{
        char server[96], control[104], state[80], log[96];

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)snprintf(state, sizeof(state), "dir=%s", s->directory);
        (void)snprintf(server, sizeof(server), "type=unixio,path=%s/tpm", s->directory);
        (void)snprintf(control, sizeof(control), "type=unixio,path=%s/tpm.ctrl", s->directory);
        (void)snprintf(log, sizeof(log), "file=%s/swtpm.log", s->directory);
        (void)execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server, "--ctrl",
                     control, "--flags", "startup-clear", "--log", log, NULL);
        _exit(127);
}

void swtpm_restart(struct swtpm *s)
{
        swtpm_stop(s);
        s->pid = fork();
        cr_assert_geq(s->pid, 0);
        if (s->pid == 0)
                run_swtpm(s);
        for (int i = 0; i < 500; i++) {
                if (listens(s, "tpm.ctrl") && listens(s, "tpm"))
                        return;
                cr_assert_eq(waitpid(s->pid, NULL, WNOHANG), 0, "swtpm ended, see %s/swtpm.log",
                             s->directory);
                (void)usleep(20 * 1000);
        }
        cr_assert_fail("swtpm does not listen");
}

static void make_directory(struct swtpm *s)
{
        *s = (struct swtpm){.directory = "/tmp/holdfast-tpm-XXXXXX"};
        cr_assert(mkdtemp(s->directory));
        (void)snprintf(s->tcti, sizeof(s->tcti), "swtpm:path=%s/tpm", s->directory);
}

void swtpm_start(struct swtpm *s)
{
        make_directory(s);
        swtpm_restart(s);
}

__attribute__((format(printf, 3, 4))) static void write_text(const char *directory, const char *name,
                                                             const char *format, ...)
{
        char path[96], text[512];
        struct error e = {};
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
        cr_assert_eq(write_file_new(AT_FDCWD, path, text, strlen(text), 0644, &e), 0, "%s", e.message);
}

void swtpm_start_certified(struct swtpm *s)
{
        char ca[80], config[96], log[96];
        char *argv[] = {"swtpm_setup",
                        "--tpm2",
                        "--tpmstate",
                        s->directory,
                        "--create-ek-cert",
                        "--not-overwrite",
                        "--config",
                        config,
                        "--logfile",
                        log,
                        NULL};
        struct error e = {};

        make_directory(s);
        (void)snprintf(ca, sizeof(ca), "%s/ca", s->directory);
        (void)snprintf(config, sizeof(config), "%s/setup.conf", ca);
        (void)snprintf(log, sizeof(log), "%s/setup.log", ca);
        cr_assert_eq(mkdir(ca, 0700), 0);
        write_text(ca, "localca.conf",
                   "statedir = %s\nsigningkey = %s/key.pem\nissuercert = %s/issuer.pem\ncertserial = "
                   "%s/serial\n",
                   ca, ca, ca, ca);
        write_text(ca, "localca.options",
                   "--platform-manufacturer Holdfast\n--platform-version 1\n--platform-model test\n");
        write_text(ca, "setup.conf",
                   "create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = %s/localca.conf\n"
                   "create_certs_tool_options = %s/localca.options\n",
                   ca, ca);
        cr_assert_eq(process_check(argv, &(struct process_options){.timeout_ms = 120 * 1000}, &e), 0, "%s",
                     e.message);
        swtpm_restart(s);
}

void swtpm_stop(struct swtpm *s)
{
        if (s->pid == 0)
                return;
        (void)kill(s->pid, SIGKILL);
        (void)waitpid(s->pid, NULL, 0);
        s->pid = 0;
}

static void copy_state(const struct swtpm *s, const char *from, const char *to)
{
        char source[128], target[128], *state = NULL;
        struct error e = {};
        size_t size = 0;

        (void)snprintf(source, sizeof(source), "%s/%s", s->directory, from);
        (void)snprintf(target, sizeof(target), "%s/%s", s->directory, to);
        cr_assert_eq(read_file(AT_FDCWD, source, STATE_MAX, &state, &size, &e), 0, "%s", e.message);
        cr_assert_eq(write_file_atomic(AT_FDCWD, target, state, size, 0600, &e), 0, "%s", e.message);
        free(state);
}

void swtpm_snapshot(const struct swtpm *s, const char *name)
{
        copy_state(s, STATE_FILE, name);
}

void swtpm_restore(struct swtpm *s, const char *name)
{
        swtpm_stop(s);
        copy_state(s, name, STATE_FILE);
        swtpm_restart(s);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

void swtpm_done(struct swtpm *s)
{
        swtpm_stop(s);
        (void)nftw(s->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
