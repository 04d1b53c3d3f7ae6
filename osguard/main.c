/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/args.h"
#include "base/log.h"
#include "base/table.h"
#include "osguard/osguard.h"

static enum json_mode json;

static const char *text(sd_json_variant *link, const char *field)
{
        return sd_json_variant_string(sd_json_variant_by_key(link, field));
}

static int print_table(sd_json_variant *links)
{
        static const char *const headings[] = {"LINK", "EXPECTED", "FOUND", "OK"};
        struct table *t = table_new(headings, ELEMENTSOF(headings));
        int r = t ? 0 : -1;

        for (size_t i = 0; r >= 0 && i < sd_json_variant_elements(links); i++) {
                sd_json_variant *l = sd_json_variant_by_index(links, i);
                const char *cells[] = {text(l, "name"), text(l, "expected"), text(l, "found"),
                                       sd_json_variant_boolean(sd_json_variant_by_key(l, "ok")) ? "yes"
                                                                                                : "NO"};

                r = table_add(t, cells, ELEMENTSOF(cells));
        }
        if (r >= 0)
                r = table_print(t);
        table_free(t);
        return r;
}

static int status(int argc, char **argv)
{
        _cleanup_json_ sd_json_variant *links = NULL;
        struct error e = {};
        int r, answer = EXIT_SUCCESS;

        r = osguard_status(&links, &e);
        if (r < 0) {
                log_failure(r, &e);
                return EXIT_COULD_NOT_TRY;
        }
        r = json == JSON_OFF ? print_table(links) : json_print(links, json);
        for (size_t i = 0; i < sd_json_variant_elements(links); i++)
                if (!sd_json_variant_boolean(
                            sd_json_variant_by_key(sd_json_variant_by_index(links, i), "ok")))
                        answer = EXIT_ANSWER_IS_NO;
        return r < 0 ? EXIT_COULD_NOT_TRY : answer;
}

/* What the owner has to know to sign a recovery token. */
static int request(int argc, char **argv)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        struct error e = {};
        int r;

        r = osguard_request(&v, &e);
        if (r < 0) {
                log_failure(r, &e);
                return EXIT_COULD_NOT_TRY;
        }
        if (json != JSON_OFF)
                return json_print(v, json) < 0 ? EXIT_COULD_NOT_TRY : EXIT_SUCCESS;
        (void)printf("tpm %s counter %" PRIu64 "\n", text(v, "tpm"),
                     sd_json_variant_unsigned(sd_json_variant_by_key(v, "counter")));
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_COULD_NOT_TRY;
}

/* PID 1 of a namespace is no reason to set up the machine. */
static bool is_initramfs(void)
{
        struct statfs st;

        return statfs("/", &st) == 0 && (st.f_type == RAMFS_MAGIC || st.f_type == TMPFS_MAGIC);
}

int main(int argc, char **argv)
{
        static const struct arg_verb verbs[] = {
                {"status", "", 0, 0, "Show each link of the chain: expected, found", status},
                {"request", "", 0, 0, "Show what a recovery token for this machine has to name", request},
                {},
        };
        static const struct arg_option options[] = {
                {"json", 0, ARG_JSON, &json, "off|short|pretty", NULL, "Print JSON"},
                {},
        };
        static const struct arg_program program = {
                "osguard",
                "Init-time component of Holdfast: everything between the kernel and systemd.",
                verbs,
                options,
        };

        log_setup("osguard");
        if (argc == 1 && getpid() == 1 && is_initramfs())
                osguard_boot();
        return args_run(&program, argc, argv);
}
