/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports from inside a guest how its boot went, as lines KEY=VALUE on the virtio-serial port
 * io.holdfast.payload. The same program runs in both images; READY_UNIT, ENGINE and ENGINE_SOCKET say what
 * differs. Times are microseconds of the kernel's clocks (which agree, since no guest sleeps), memory is in
 * KiB. It ends with a line "end=0", or with "error=REASON". */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT "io.holdfast.payload"
#define POLL_MS 100
#define TRIES 600u   /* times POLL_MS: how long the engine may take to appear */
#define SETTLE_S 20u /* from the engine's first answer until the machine counts as idle */

static FILE *port;

_Noreturn static void fail(const char *what, int error)
{
        if (port)
                fprintf(port, "error=%s: %s\n", what, strerror(error));
        exit(EXIT_FAILURE);
}

static void sleep_ms(unsigned ms)
{
        (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* By its name in sysfs: one of the images has no links made by udev. */
static FILE *open_port(void)
{
        DIR *ports = opendir("/sys/class/virtio-ports");
        const struct dirent *entry;
        FILE *found = NULL;

        while (!found && ports && (entry = readdir(ports))) {
                char path[300], name[64] = "";
                FILE *f;

                (void)snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
                f = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
                if (!f)
                        continue;
                if (!fgets(name, sizeof(name), f))
                        name[0] = '\0';
                (void)fclose(f);
                name[strcspn(name, "\n")] = '\0';
                (void)snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
                if (strcmp(name, PORT) == 0)
                        found = fopen(path, "r+e");
        }
        if (ports)
                (void)closedir(ports);
        return found;
}

/* Runs a program with its standard output on fd (-1: nowhere); its exit status, or a negative errno. */
static int run(char *const argv[], int fd)
{
        char *const environment[] = {(char *)"PATH=/usr/sbin:/usr/bin", (char *)"HOME=/root", NULL};
        posix_spawn_file_actions_t actions;
        pid_t pid;
        int status, r;

        r = posix_spawn_file_actions_init(&actions);
        if (r == 0 && fd < 0)
                r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        else if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn(&pid, argv[0], &actions, NULL, argv, environment);
        (void)posix_spawn_file_actions_destroy(&actions);
        if (r != 0)
                return -r;
        if (waitpid(pid, &status, 0) < 0)
                return -errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

/* Until the engine has answered one request. Looking for its socket costs nothing, so the boot is not slowed
 * down by clients that come too early. */
static void wait_for_engine(void)
{
        char *const argv[] = {ENGINE, NULL};
        unsigned tries = TRIES;
        int r = -ENOENT;

        while (tries-- > 0) {
                if (access(ENGINE_SOCKET, F_OK) == 0 && (r = run(argv, -1)) == 0)
                        return;
                sleep_ms(POLL_MS);
        }
        fail("the container engine does not answer", r < 0 ? -r : EIO);
}

static void report_clock(const char *name)
{
        struct timespec now;

        if (clock_gettime(CLOCK_BOOTTIME, &now) < 0)
                fail("clock", errno);
        fprintf(port, "%s=%lld\n", name, (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

static void report_memory(void)
{
        FILE *f = fopen("/proc/meminfo", "re");
        char line[128];

        if (!f)
                fail("/proc/meminfo", errno);
        while (fgets(line, sizeof(line), f)) {
                unsigned long long kib;
                char name[32];

                if (sscanf(line, "%31[^:]: %llu kB", name, &kib) == 2)
                        fprintf(port, "%s=%llu\n", name, kib);
        }
        (void)fclose(f);
}

static void report_systemd(const char *properties, const char *unit)
{
        char *const argv[] = {(char *)"/usr/bin/systemctl", (char *)"show", (char *)properties, (char *)unit,
                              NULL};
        int r;

        r = run(argv, fileno(port));
        if (r != 0)
                fail("systemctl show", r < 0 ? -r : EIO);
}

int main(void)
{
        port = open_port();
        if (!port) {
                fprintf(stderr, "<3>%s: no such virtio-serial port: %s\n", PORT, strerror(errno));
                return EXIT_FAILURE;
        }
        setlinebuf(port);
        report_clock("start");
        wait_for_engine();
        report_clock("engine");
        sleep_ms(SETTLE_S * 1000);
        report_memory();
        report_systemd("--property=InitRDTimestampMonotonic,UserspaceTimestampMonotonic", NULL);
        report_systemd("--property=ActiveState,ActiveEnterTimestampMonotonic", READY_UNIT);
        fprintf(port, "end=0\n");
        return fclose(port) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
