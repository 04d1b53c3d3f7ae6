/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-varlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runtime/api/address.h"
#include "runtime/api/interface.h"
#include "runtime/groupctl.h"

static sd_varlink *connect_machine(void)
{
        sd_varlink *link = NULL;
        int fd = unix_connect(groupctl.machine, 0), r;

        r = fd < 0 ? fd : sd_varlink_connect_fd(&link, fd);
        if (r < 0) {
                log_error(r, "%s: groupd expected there: %s", groupctl.machine, strerror(-r));
                return NULL;
        }
        (void)sd_varlink_set_relative_timeout(link, UINT64_MAX); /* a group takes the time it takes */
        return link;
}

/* Says why groupd said no: 1; or that it could not answer: 2. */
static int refused(const char *id, sd_json_variant *reply)
{
        if (strcmp(id, SD_VARLINK_ERROR_DISCONNECTED) == 0) {
                log_error(0, "%s: groupd, or the machine, closed the connection", groupctl.machine);
                return EXIT_COULD_NOT_TRY;
        }
        log_error(0, "%s", json_optional_string(reply, "message") ?: id);
        return strncmp(id, GROUPS_INTERFACE ".", strlen(GROUPS_INTERFACE ".")) == 0 ? EXIT_ANSWER_IS_NO
                                                                                    : EXIT_COULD_NOT_TRY;
}

static int failed(int r)
{
        log_error(r, "%s: %s", groupctl.machine, strerror(-r));
        return EXIT_COULD_NOT_TRY;
}

int groupctl_call(const char *method, sd_json_variant *parameters, const char *field,
                  int (*print)(sd_json_variant *v))
{
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = connect_machine();
        sd_json_variant *reply = NULL, *v;
        const char *id = NULL;
        int r;

        if (!link)
                return EXIT_COULD_NOT_TRY;
        r = sd_varlink_call(link, method, parameters, &reply, &id);
        if (r < 0)
                return failed(r);
        if (id)
                return refused(id, reply);
        v = field ? sd_json_variant_by_key(reply, field) : reply;
        if (!v) {
                log_error(0, "%s: field \"%s\" expected in the reply, not found", groupctl.machine, field);
                return EXIT_COULD_NOT_TRY;
        }
        r = groupctl.json_mode == JSON_OFF ? print(v) : json_print(v, groupctl.json_mode);
        return r < 0 ? EXIT_COULD_NOT_TRY : EXIT_SUCCESS;
}

struct reader {
        const char *field;
        int (*print)(sd_json_variant *list);
        bool done;
        int status;
};

/* As JSON, each element is a text of its own. */
static int print_portion(const struct reader *reader, sd_json_variant *list)
{
        int r = 0;

        if (list && groupctl.json_mode == JSON_OFF)
                r = reader->print(list);
        for (size_t i = 0; r >= 0 && groupctl.json_mode != JSON_OFF && i < sd_json_variant_elements(list);
             i++)
                r = json_print(sd_json_variant_by_index(list, i), groupctl.json_mode);
        return r >= 0 && fflush(stdout) != 0 ? -errno : r;
}

static int on_reply(sd_varlink *link, sd_json_variant *reply, const char *id, sd_varlink_reply_flags_t flags,
                    void *userdata)
{
        struct reader *reader = userdata;

        if (id)
                reader->status = refused(id, reply);
        else if (print_portion(reader, sd_json_variant_by_key(reply, reader->field)) < 0)
                reader->status = EXIT_COULD_NOT_TRY;
        if (reader->status != EXIT_SUCCESS || !(flags & SD_VARLINK_REPLY_CONTINUES))
                reader->done = true;
        return 0;
}

int groupctl_follow(const char *method, sd_json_variant *parameters, const char *field,
                    int (*print)(sd_json_variant *list))
{
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = connect_machine();
        struct reader reader = {.field = field, .print = print, .status = EXIT_SUCCESS};
        int r;

        if (!link)
                return EXIT_COULD_NOT_TRY;
        (void)sd_varlink_set_userdata(link, &reader);
        r = sd_varlink_bind_reply(link, on_reply);
        if (r >= 0)
                r = sd_varlink_observe(link, method, parameters);
        while (r >= 0 && !reader.done) {
                r = sd_varlink_process(link);
                if (r == 0)
                        r = sd_varlink_wait(link, UINT64_MAX);
        }
        return r < 0 && !reader.done ? failed(r) : reader.status;
}
