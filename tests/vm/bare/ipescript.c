/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/vm/bare/ipescript.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"

#define IPE "/sys/kernel/security/ipe/"
#define SCRIPT_MAX ((size_t)16 << 20)

struct entry {
        char kind[8], path[600], name[200];
        int error;
        size_t size;
        const char *data;
};

/* Reads the entry at *at and steps over it. */
static bool next_entry(const char **at, const char *end, struct entry *ret)
{
        int head = 0;

        if (sscanf(*at, "%7s %599[^ ] %d %zu %199[^\n]%n", ret->kind, ret->path, &ret->error, &ret->size,
                   ret->name, &head) != 5 ||
            (*at)[head] != '\n')
                return false;
        ret->data = *at + head + 1;
        if (ret->size > (size_t)(end - ret->data))
                return false;
        *at = ret->data + ret->size;
        return true;
}

static int play(const struct entry *entry, char *detail, size_t size)
{
        _cleanup_free_ char *found = NULL;
        char path[sizeof(IPE) + sizeof(entry->path)];
        size_t found_size;
        int r;

        (void)snprintf(path, sizeof(path), IPE "%s", entry->path);
        if (strcmp(entry->kind, "write") == 0) {
                r = write_kernel_file(path, entry->data, entry->size, NULL);
                (void)snprintf(detail, size, "%s: %s expected, found %s", entry->path,
                               entry->error ? strerrorname_np(entry->error) : "success",
                               r ? strerrorname_np(-r) : "success");
                return r == -entry->error;
        }
        r = read_file(AT_FDCWD, path, 4096, &found, &found_size, NULL);
        (void)snprintf(detail, size, "%s: %.*s expected, found %s", entry->path, (int)entry->size,
                       entry->data, r < 0 ? strerrorname_np(-r) : found);
        return r == 0 && found_size == entry->size && memcmp(found, entry->data, entry->size) == 0;
}

void check_ipe_script(struct tap *tap, const char *path)
{
        _cleanup_free_ char *script = NULL;
        char name[256], detail[1024];
        unsigned n = 0, wrong = 0;
        struct error e = {};
        const char *at;
        size_t size;

        if (read_file(AT_FDCWD, path, SCRIPT_MAX, &script, &size, &e) < 0) {
                tap_check(tap, false, "IPE: the script is read", e.message);
                return;
        }
        for (at = script; at < script + size; n++) {
                struct entry entry;

                if (!next_entry(&at, script + size, &entry)) {
                        tap_check(tap, false, "IPE: the script is read", at);
                        return;
                }
                if (play(&entry, detail, sizeof(detail)))
                        continue;
                wrong++;
                (void)snprintf(name, sizeof(name), "IPE: the kernel's answer: %s", entry.name);
                tap_check(tap, false, name, detail);
        }
        (void)snprintf(name, sizeof(name),
                       "IPE: %u answers of the kernel are those that ipe-policy foretells", n);
        tap_check(tap, wrong == 0 && n > 0, name, NULL);
}
