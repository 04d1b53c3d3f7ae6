/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RECORD_MAX 1024
/* audit records reach the log through a kernel thread, which a slow emulated machine may run late. */
#define RECORD_WAIT_MS 3000
/* Where no record may be the right answer, and after a record, in case that another follows. */
#define QUIET_WAIT_MS 300
#define LAST_WAIT_MS 20
#define CHILDREN_MAX 32

/* The processes of the current attempt. Shared memory, because children have children. */
static struct {
        unsigned n;
        pid_t pids[CHILDREN_MAX];
} *children;

/* How a layer shows itself in the kernel's log. */
static const struct {
        const char *layer, *sign;
} records[] = {
        {"IPE", "type=1420 "},
        {"SELinux", "avc:  denied "},
        {"SELinux", "SELinux: "},
        {"lockdown", "Lockdown: "},
        {"dm-verity", " is corrupted"},
        {"dm-verity", "device-mapper: table: "},
        {"module signature", "Loading of unsigned module"},
        {"module signature", "module verification failed"},
};

static void start(struct tap *t, FILE *out)
{
        t->out = out;
        fprintf(out, "TAP version 13\n");
        children = mmap(NULL, sizeof(*children), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (children == MAP_FAILED) {
                fprintf(out, "Bail out! shared memory: %s\n", strerror(errno));
                _exit(1);
        }
        fflush(out);
}

void tap_start(struct tap *t, FILE *out)
{
        *t = (struct tap){.kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
        start(t, out);
}

void tap_start_blind(struct tap *t, FILE *out)
{
        *t = (struct tap){.blind = true, .kmsg = -1};
        start(t, out);
}

FILE *tap_open_port(const char *name)
{
        DIR *ports = opendir("/sys/class/virtio-ports");
        FILE *port = NULL;
        char path[300], found[64];

        for (const struct dirent *entry; !port && ports && (entry = readdir(ports));) {
                (void)snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
                FILE *f = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
                if (!f)
                        continue;
                bool right = fgets(found, sizeof(found), f) && strcspn(found, "\n") == strlen(name) &&
                             strncmp(found, name, strlen(name)) == 0;
                (void)fclose(f);
                (void)snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
                if (right)
                        port = fopen(path, "r+e");
        }
        if (ports)
                (void)closedir(ports);
        return port;
}

int tap_finish(struct tap *t)
{
        fprintf(t->out, "1..%u\n", t->count);
        fflush(t->out);
        return t->failed > 0;
}

/* One line; comments must not break it, so control characters and '#' become blanks. */
static void line(struct tap *t, bool ok, const char *name, const char *comment)
{
        t->count++;
        if (!ok)
                t->failed++;
        fprintf(t->out, "%sok %u - %s", ok ? "" : "not ", t->count, name);
        if (comment && *comment) {
                fputs(" # ", t->out);
                for (const char *c = comment; *c; c++)
                        fputc((unsigned char)*c < ' ' || *c == '#' ? ' ' : *c, t->out);
        }
        fputc('\n', t->out);
        fflush(t->out);
}

void tap_check(struct tap *t, bool ok, const char *name, const char *detail)
{
        line(t, ok, name, detail);
}

/* The text of the next record: 1, or 0 when there is none now. */
static int next_record(struct tap *t, char ret[RECORD_MAX])
{
        char buf[RECORD_MAX];

        for (;;) {
                ssize_t n = read(t->kmsg, buf, sizeof(buf) - 1);
                if (n < 0 && errno == EPIPE) /* overwritten in the ring: go on with what is left */
                        continue;
                if (n < 0)
                        return 0;
                buf[n] = '\0';
                buf[strcspn(buf, "\n")] = '\0';
                const char *text = strchr(buf, ';'); /* "priority,sequence,time,flags;text" */
                if (!text)
                        continue;
                (void)snprintf(ret, RECORD_MAX, "%s", text + 1);
                return 1;
        }
}

unsigned tap_records(struct tap *t, const char *text)
{
        char record[RECORD_MAX];
        unsigned n = 0;

        if (t->kmsg < 0 || lseek(t->kmsg, 0, SEEK_SET) < 0)
                return 0;
        while (next_record(t, record) > 0)
                if (strstr(record, text)) {
                        fprintf(t->out, "record: %s\n", record);
                        n++;
                }
        fflush(t->out);
        return n;
}

void tap_child(pid_t pid)
{
        if (children->n < CHILDREN_MAX)
                children->pids[children->n++] = pid;
}

void tap_mark(struct tap *t)
{
        children->n = 0;
        if (t->kmsg >= 0)
                (void)lseek(t->kmsg, 0, SEEK_END);
}

static const char *layer_of(const char *record)
{
        for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
                if (strstr(record, records[i].sign))
                        return records[i].layer;
        return NULL;
}

static bool listed(const char *layers, const char *layer)
{
        size_t n = strlen(layer);
        for (const char *p = layers; (p = strstr(p, layer)); p += n)
                if ((p == layers || p[-1] == '|') && (p[n] == '\0' || p[n] == '|'))
                        return true;
        return false;
}

static bool has_record_layer(const char *layers)
{
        for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
                if (listed(layers, records[i].layer))
                        return true;
        return false;
}

/* The first layer of the list that writes no records: an errno is all it leaves. */
static const char *silent_layer(const char *layers, char *buf, size_t size)
{
        while (*layers) {
                size_t n = strcspn(layers, "|");
                (void)snprintf(buf, size, "%.*s", (int)n, layers);
                if (!has_record_layer(buf) || strcmp(buf, "module signature") == 0)
                        return buf;
                layers += n + (layers[n] == '|');
        }
        return NULL;
}

/* Records of what a process did name it; those of the kernel's own workers (usermode helpers) and of
 * device-mapper cannot be told apart and count for whoever runs. */
static bool is_ours(const char *record)
{
        const char *p = strstr(record, " pid=");
        if (!p || strstr(record, "comm=\"kworker"))
                return true;
        pid_t pid = (pid_t)strtol(p + 5, NULL, 10);
        for (unsigned i = 0; i < children->n; i++)
                if (children->pids[i] == pid)
                        return true;
        return pid == getpid();
}

/* The last record of a wanted layer since the mark, else the last of any. Returns its layer or NULL. */
static const char *find_record(struct tap *t, const char *layers, int wait_ms, char ret[RECORD_MAX])
{
        const char *found = NULL;
        char record[RECORD_MAX];
        bool wanted = false;

        ret[0] = '\0';
        while (t->kmsg >= 0) {
                if (next_record(t, record) == 0) {
                        if (wait_ms <= 0)
                                break;
                        (void)nanosleep(&(struct timespec){.tv_nsec = 10L * 1000 * 1000}, NULL);
                        wait_ms -= 10;
                        continue;
                }
                const char *layer = layer_of(record);
                if (!layer || !is_ours(record) || (wanted && !listed(layers, layer)))
                        continue;
                found = layer;
                wanted = listed(layers, layer);
                memcpy(ret, record, sizeof(record));
                if (wanted && wait_ms > LAST_WAIT_MS)
                        wait_ms = LAST_WAIT_MS;
        }
        return found;
}

void tap_worked(struct tap *t, const char *name, const struct outcome *o)
{
        char comment[RECORD_MAX + 256], record[RECORD_MAX];

        if (o->verdict == ATTEMPT_WORKED) {
                line(t, true, name, NULL);
                return;
        }
        const char *layer = find_record(t, "IPE|SELinux", RECORD_WAIT_MS, record);
        (void)snprintf(comment, sizeof(comment), "%s at %s: %s; record: %s; refused by: %s",
                       o->verdict == ATTEMPT_REFUSED ? "refused" : "could not be tried", o->step,
                       strerror(o->error), layer ? record : "none", layer ? layer : "unknown");
        line(t, false, name, comment);
}

void tap_refused(struct tap *t, const char *name, const struct outcome *o, const char *layers, int error)
{
        char comment[RECORD_MAX + 256], record[RECORD_MAX], silent[64];

        if (o->verdict != ATTEMPT_REFUSED) {
                (void)snprintf(comment, sizeof(comment), "%s at %s: %s",
                               o->verdict == ATTEMPT_WORKED ? "it worked" : "could not be tried", o->step,
                               strerror(o->error));
                line(t, false, name, comment);
                return;
        }
        if (t->blind) {
                (void)snprintf(comment, sizeof(comment), "errno %d (%s) at %s; to be refused by: %s",
                               o->error, strerror(o->error), o->step, layers);
                line(t, o->error == error, name, comment);
                return;
        }
        bool may_be_silent = o->error == error && silent_layer(layers, silent, sizeof(silent));
        const char *layer = find_record(t, layers, may_be_silent ? QUIET_WAIT_MS : RECORD_WAIT_MS, record);
        bool ok = layer && listed(layers, layer);
        if (!layer && may_be_silent) {
                layer = silent;
                ok = true;
        }
        if (!record[0])
                (void)snprintf(record, sizeof(record), "errno %d (%s) at %s", o->error, strerror(o->error),
                               o->step);
        (void)snprintf(comment, sizeof(comment), "record: %s; refused by: %s", record,
                       layer ? layer : "unknown");
        line(t, ok, name, comment);
}

void tap_rows(struct tap *t, const char *prefix, const struct tap_row *rows, size_t n)
{
        char name[200];

        for (size_t i = 0; i < n; i++) {
                (void)snprintf(name, sizeof(name), "%s: %s", prefix, rows[i].name);
                tap_mark(t);
                struct outcome o = rows[i].attempt();
                if (rows[i].refused_by)
                        tap_refused(t, name, &o, rows[i].refused_by, rows[i].error);
                else
                        tap_worked(t, name, &o);
        }
}
