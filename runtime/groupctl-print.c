/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "runtime/groupctl.h"

#define COLUMNS_MAX 7

/* A line of a table; `text` is for cells that are made here. */
struct row {
        const char *cells[COLUMNS_MAX];
        char text[COLUMNS_MAX][48];
};

/* One row for each element of the array. */
static int print_table(const char *const *headings, size_t n, sd_json_variant *list,
                       void (*fill)(sd_json_variant *v, struct row *row))
{
        struct table *t = table_new(headings, n);
        int r = t ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < sd_json_variant_elements(list); i++) {
                struct row row;

                fill(sd_json_variant_by_index(list, i), &row);
                r = table_add(t, row.cells, n);
        }
        if (r >= 0)
                r = table_print(t);
        (void)table_free(t);
        return r;
}

static const char *text_of(sd_json_variant *v, const char *field)
{
        return json_optional_string(v, field) ?: "-";
}

static const char *number_of(sd_json_variant *v, const char *field, char ret[static 48])
{
        sd_json_variant *f = sd_json_variant_by_key(v, field);

        if (!f || !sd_json_variant_is_integer(f))
                return "-";
        (void)snprintf(ret, 48, "%ld", (long)sd_json_variant_integer(f));
        return ret;
}

static void fill_group(sd_json_variant *g, struct row *row)
{
        sd_json_variant *containers = sd_json_variant_by_key(g, "containers");
        size_t running = 0, n = containers ? sd_json_variant_elements(containers) : 0;

        for (size_t k = 0; k < n; k++)
                running += strcmp(text_of(sd_json_variant_by_index(containers, k), "state"), "Running") == 0;
        (void)snprintf(row->text[3], sizeof(row->text[3]), "%zu/%zu", running, n);
        row->cells[0] = text_of(g, "name");
        row->cells[1] = text_of(g, "state");
        row->cells[2] = text_of(g, "address");
        row->cells[3] = row->text[3];
        row->cells[4] = text_of(g, "created");
}

int print_groups(sd_json_variant *groups)
{
        static const char *const headings[] = {"NAME", "STATE", "ADDRESS", "CONTAINERS", "CREATED"};

        return print_table(headings, ELEMENTSOF(headings), groups, fill_group);
}

static void fill_container(sd_json_variant *c, struct row *row)
{
        row->cells[0] = text_of(c, "name");
        row->cells[1] = text_of(c, "image");
        row->cells[2] = text_of(c, "state");
        row->cells[3] = number_of(c, "exitCode", row->text[3]);
        row->cells[4] = text_of(c, "reason");
        row->cells[5] = number_of(c, "restartCount", row->text[5]);
        row->cells[6] = text_of(c, "startTime");
}

static int print_containers(sd_json_variant *containers)
{
        static const char *const headings[] = {"CONTAINER", "IMAGE",    "STATE",  "EXIT",
                                               "REASON",    "RESTARTS", "STARTED"};

        return print_table(headings, ELEMENTSOF(headings), containers, fill_container);
}

int print_group(sd_json_variant *g)
{
        sd_json_variant *init = sd_json_variant_by_key(g, "initContainers"),
                        *containers = sd_json_variant_by_key(g, "containers");
        int r = 0;

        printf("Group %s: %s, address %s, restart policy %s, created %s\n", text_of(g, "name"),
               text_of(g, "state"), text_of(g, "address"), text_of(g, "restartPolicy"),
               text_of(g, "created"));
        if (sd_json_variant_by_key(g, "reason"))
                printf("Reason: %s\n", text_of(g, "reason"));
        if (init)
                r = print_containers(init);
        return r >= 0 && containers ? print_containers(containers) : r;
}

static void format_mib(sd_json_variant *v, const char *field, char ret[static 48])
{
        sd_json_variant *f = sd_json_variant_by_key(v, field);

        if (f && sd_json_variant_is_unsigned(f))
                (void)snprintf(ret, 48, "%.1f", (double)sd_json_variant_unsigned(f) / (1 << 20));
        else
                (void)snprintf(ret, 48, "-");
}

static void fill_usage(sd_json_variant *c, struct row *row)
{
        sd_json_variant *cpu = sd_json_variant_by_key(c, "cpuMicroseconds");
        double seconds =
                cpu && sd_json_variant_is_unsigned(cpu) ? (double)sd_json_variant_unsigned(cpu) / 1e6 : 0;

        (void)snprintf(row->text[2], sizeof(row->text[2]), "%.3f", seconds);
        format_mib(c, "memoryBytes", row->text[3]);
        format_mib(c, "memoryLimitBytes", row->text[4]);
        row->cells[0] = text_of(c, "group");
        row->cells[1] = text_of(c, "container");
        for (size_t i = 2; i < 5; i++)
                row->cells[i] = row->text[i];
        row->cells[5] = number_of(c, "processes", row->text[5]);
}

int print_stats(sd_json_variant *containers)
{
        static const char *const headings[] = {"GROUP",      "CONTAINER", "CPU SECONDS",
                                               "MEMORY MIB", "LIMIT MIB", "PROCESSES"};

        return print_table(headings, ELEMENTSOF(headings), containers, fill_usage);
}

int print_deleted(sd_json_variant *g)
{
        printf("Group %s is deleted\n", text_of(g, "name"));
        return 0;
}

int print_version(sd_json_variant *v)
{
        sd_json_variant *selinux = sd_json_variant_by_key(v, "selinux"),
                        *store = sd_json_variant_by_key(v, "store");

        printf("groupctl %s, groupd %s, SELinux %s, image store %s\n", HOLDFAST_VERSION,
               text_of(v, "version"), selinux && sd_json_variant_boolean(selinux) ? "on" : "off",
               store && sd_json_variant_boolean(store) ? "mounted" : "absent");
        return 0;
}

int print_log(sd_json_variant *entries)
{
        for (size_t i = 0; i < sd_json_variant_elements(entries); i++) {
                sd_json_variant *entry = sd_json_variant_by_index(entries, i);
                bool to_stderr = strcmp(text_of(entry, "stream"), "stderr") == 0;

                (void)fprintf(to_stderr ? stderr : stdout, "%s\n", text_of(entry, "text"));
        }
        return 0;
}

/* A line each: there may be more to come, so no column can be made to fit. */
int print_events(sd_json_variant *events)
{
        for (size_t i = 0; i < sd_json_variant_elements(events); i++) {
                sd_json_variant *event = sd_json_variant_by_index(events, i);
                const char *container = json_optional_string(event, "container");

                printf("%s %-7s %s%s%s %s: %s\n", text_of(event, "time"), text_of(event, "type"),
                       text_of(event, "group"), container ? "/" : "", container ?: "",
                       text_of(event, "reason"), text_of(event, "message"));
        }
        return 0;
}
