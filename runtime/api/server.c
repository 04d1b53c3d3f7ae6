/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/api/server.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <systemd/sd-varlink.h>

#include "base/file.h"
#include "base/json.h"
#include "runtime/api/follow.h"
#include "runtime/api/interface.h"

#define CONNECTIONS_MAX 256u
#define STOP_TIMEOUT_S 10u
#define STOP_TIMEOUT_MAX_S 86400u

struct server {
        sd_event *event;
        struct manager *manager;
        sd_varlink_server *varlink;
        struct followers followers;
};

static const char *error_name(int r)
{
        switch (r) {
        case -EBADMSG:
        case -EKEYREJECTED:
        case -ENOKEY:
                return GROUPS_ERROR_NOT_TRUSTED;
        default:
                return GROUPS_ERROR_FAILED;
        }
}

static int fail(sd_varlink *link, const char *id, const struct error *e)
{
        return sd_varlink_errorbo(link, id, SD_JSON_BUILD_PAIR_STRING("message", e->message));
}

static int reply_group(sd_varlink *link, sd_json_variant *group)
{
        return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT("group", group));
}

/* The answer to a request that took its time. The link was referenced for it; a client that left has
 * cancelled. */
static void on_answer(void *userdata, int r, const struct error *e, sd_json_variant *group)
{
        sd_varlink *link = userdata;

        if (r < 0)
                (void)fail(link, error_name(r), e);
        else
                (void)reply_group(link, group);
        (void)sd_varlink_unref(link);
}

static int on_run(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
                  void *userdata)
{
        struct server *s = userdata;
        _cleanup_(definition_free_ptr) struct definition *d = NULL;
        sd_json_variant *v = sd_json_variant_by_key(parameters, "definition");
        struct error e = {"out of memory"};
        int r;

        if (!v || !sd_json_variant_is_object(v))
                return sd_varlink_error_invalid_parameter_name(link, "definition");
        r = definition_from_json(v, &d, &e);
        if (r < 0)
                return fail(link, GROUPS_ERROR_INVALID_DEFINITION, &e);
        r = manager_run(s->manager, d, on_answer, sd_varlink_ref(link), &e);
        if (r < 0) {
                (void)sd_varlink_unref(link);
                return fail(link,
                            r == -EEXIST   ? GROUPS_ERROR_GROUP_EXISTS
                            : r == -EINVAL ? GROUPS_ERROR_INVALID_DEFINITION
                            : r == -ENOENT ? GROUPS_ERROR_NO_SUCH_IMAGE
                                           : error_name(r),
                            &e);
        }
        (void)TAKE_PTR(d);
        return 0;
}

static int on_list(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
                   void *userdata)
{
        struct server *s = userdata;
        _cleanup_json_ sd_json_variant *groups = NULL;
        int r = manager_list(s->manager, &groups);

        if (r < 0)
                return sd_varlink_error_errno(link, r);
        return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT("groups", groups));
}

static int on_stats(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
                    void *userdata)
{
        struct server *s = userdata;
        _cleanup_json_ sd_json_variant *list = NULL;
        struct error e = {"out of memory"};
        int r = manager_stats(s->manager, json_optional_string(parameters, "name"), &list, &e);

        if (r < 0)
                return fail(link, r == -ENOENT ? GROUPS_ERROR_NO_SUCH_GROUP : GROUPS_ERROR_FAILED, &e);
        return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT("containers", list));
}

/* Fields that the interface calls mandatory are there: sd-varlink checks calls against it. */
static int on_show(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
                   void *userdata)
{
        struct server *s = userdata;
        _cleanup_json_ sd_json_variant *group = NULL;
        const char *name = json_optional_string(parameters, "name");
        struct error e = {"out of memory"};

        if (!name)
                return sd_varlink_error_invalid_parameter_name(link, "name");
        if (manager_show(s->manager, name, &group, &e) < 0)
                return fail(link, GROUPS_ERROR_NO_SUCH_GROUP, &e);
        return reply_group(link, group);
}

static int read_timeout(sd_json_variant *parameters, uint64_t *ret_ms)
{
        sd_json_variant *v = sd_json_variant_by_key(parameters, "timeout");
        uint64_t seconds = STOP_TIMEOUT_S;

        if (v && !sd_json_variant_is_null(v)) {
                if (!sd_json_variant_is_unsigned(v) || sd_json_variant_unsigned(v) > STOP_TIMEOUT_MAX_S)
                        return -EINVAL;
                seconds = sd_json_variant_unsigned(v);
        }
        *ret_ms = seconds * 1000;
        return 0;
}

static int end_group(struct server *s, sd_varlink *link, sd_json_variant *parameters,
                     int (*request)(struct manager *m, const char *name, uint64_t timeout_ms,
                                    manager_answer_t answer, void *userdata, struct error *e))
{
        const char *name = json_optional_string(parameters, "name");
        struct error e = {"out of memory"};
        uint64_t timeout_ms;

        if (!name)
                return sd_varlink_error_invalid_parameter_name(link, "name");
        if (read_timeout(parameters, &timeout_ms) < 0)
                return sd_varlink_error_invalid_parameter_name(link, "timeout");
        if (request(s->manager, name, timeout_ms, on_answer, sd_varlink_ref(link), &e) < 0) {
                (void)sd_varlink_unref(link);
                return fail(link, GROUPS_ERROR_NO_SUCH_GROUP, &e);
        }
        return 0;
}

static int on_stop(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
                   void *userdata)
{
        return end_group(userdata, link, parameters, manager_stop);
}

static int on_delete(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
                     void *userdata)
{
        return end_group(userdata, link, parameters, manager_delete);
}

static int on_wait(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
                   void *userdata)
{
        struct server *s = userdata;
        const char *name = json_optional_string(parameters, "name");
        struct error e = {"out of memory"};

        if (!name)
                return sd_varlink_error_invalid_parameter_name(link, "name");
        if (manager_wait(s->manager, name, on_answer, sd_varlink_ref(link), &e) < 0) {
                (void)sd_varlink_unref(link);
                return fail(link, GROUPS_ERROR_NO_SUCH_GROUP, &e);
        }
        return 0;
}

static int on_version(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
                      void *userdata)
{
        struct server *s = userdata;

        return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_STRING("version", HOLDFAST_VERSION),
                                  SD_JSON_BUILD_PAIR_BOOLEAN("selinux", manager_has_selinux(s->manager)),
                                  SD_JSON_BUILD_PAIR_BOOLEAN("store", manager_has_store(s->manager)));
}

static int on_logs(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
                   void *userdata)
{
        struct server *s = userdata;

        return follow_logs(&s->followers, link, parameters);
}

static int on_events(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
                     void *userdata)
{
        struct server *s = userdata;

        return follow_events(&s->followers, link, parameters);
}

/* --- connections --- */

static void on_disconnect(sd_varlink_server *server, sd_varlink *link, void *userdata)
{
        struct server *s = userdata;

        followers_drop(&s->followers, link);
        for (unsigned n = manager_cancel(s->manager, link); n > 0; n--)
                (void)sd_varlink_unref(link);
}

static int bind_methods(sd_varlink_server *v)
{
        return sd_varlink_server_bind_method_many(
                v, GROUPS_INTERFACE ".Run", on_run, GROUPS_INTERFACE ".List", on_list,
                GROUPS_INTERFACE ".Show", on_show, GROUPS_INTERFACE ".Stop", on_stop,
                GROUPS_INTERFACE ".Delete", on_delete, GROUPS_INTERFACE ".Wait", on_wait,
                GROUPS_INTERFACE ".Logs", on_logs, GROUPS_INTERFACE ".Events", on_events,
                GROUPS_INTERFACE ".Stats", on_stats, GROUPS_INTERFACE ".Version", on_version);
}

int server_new(sd_event *event, struct manager *manager, const char *socket, struct server **ret,
               struct error *e)
{
        _cleanup_(server_free_ptr) struct server *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->event = sd_event_ref(event);
        s->manager = manager;
        s->followers = (struct followers){.event = s->event, .manager = manager};
        r = sd_varlink_server_new(&s->varlink,
                                  SD_VARLINK_SERVER_ROOT_ONLY | SD_VARLINK_SERVER_INHERIT_USERDATA);
        if (r >= 0)
                r = sd_varlink_server_set_info(s->varlink, "Holdfast", "groupd", HOLDFAST_VERSION, "");
        if (r >= 0)
                r = sd_varlink_server_add_interface(s->varlink, &vl_interface_io_holdfast_Groups);
        if (r >= 0)
                r = bind_methods(s->varlink);
        if (r >= 0)
                r = sd_varlink_server_bind_disconnect(s->varlink, on_disconnect);
        if (r >= 0)
                r = sd_varlink_server_set_connections_max(s->varlink, CONNECTIONS_MAX);
        if (r >= 0)
                r = sd_varlink_server_set_connections_per_uid_max(s->varlink, CONNECTIONS_MAX);
        if (r >= 0)
                r = sd_varlink_server_attach_event(s->varlink, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return error_errno(e, r, "Varlink server");
        (void)sd_varlink_server_set_userdata(s->varlink, s);
        r = sd_varlink_server_listen_address(s->varlink, socket, 0600);
        if (r < 0)
                return error_errno(e, r, "%s", socket);
        *ret = TAKE_PTR(s);
        return 0;
}

struct server *server_free(struct server *s)
{
        if (!s)
                return NULL;
        followers_drop(&s->followers, NULL);
        (void)sd_varlink_server_unref(s->varlink);
        (void)sd_event_unref(s->event);
        free(s);
        return NULL;
}
