/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/group/history.h"

#include <errno.h>
#include <stdlib.h>

int history_keep(sd_json_variant **history, sd_json_variant *event)
{
        _cleanup_json_ sd_json_variant *kept = NULL;
        size_t n = *history ? sd_json_variant_elements(*history) : 0;
        int r = 0;

        for (size_t i = n < HISTORY_EVENTS_MAX ? 0 : n - HISTORY_EVENTS_MAX + 1; r >= 0 && i < n; i++)
                r = sd_json_variant_append_array(&kept, sd_json_variant_by_index(*history, i));
        if (r >= 0)
                r = sd_json_variant_append_array(&kept, event);
        if (r < 0)
                return r;
        (void)sd_json_variant_unref(*history);
        *history = TAKE_PTR(kept);
        return 0;
}

int history_add(sd_json_variant **history, const struct history_event *event)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        int r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_UNSIGNED("number", event->number),
                               SD_JSON_BUILD_PAIR_STRING("time", event->time),
                               SD_JSON_BUILD_PAIR_STRING("group", event->group),
                               SD_JSON_BUILD_PAIR_CONDITION(!!event->container, "container",
                                                            SD_JSON_BUILD_STRING(event->container)),
                               SD_JSON_BUILD_PAIR_STRING("type", event->warning ? "Warning" : "Normal"),
                               SD_JSON_BUILD_PAIR_STRING("reason", event->reason),
                               SD_JSON_BUILD_PAIR_STRING("message", event->message));

        return r < 0 ? r : history_keep(history, v);
}

static uint64_t number_of(sd_json_variant *event)
{
        return sd_json_variant_unsigned(sd_json_variant_by_key(event, "number"));
}

int history_check(sd_json_variant *history, const char *name, uint64_t *ret_last, struct error *e)
{
        static const char *const fields[] = {"time", "group", "type", "reason", "message"};
        uint64_t last = 0, number;

        if (!sd_json_variant_is_array(history) || sd_json_variant_elements(history) > HISTORY_EVENTS_MAX)
                return error_set(e, -EINVAL, "%s: field \"events\": a list of at most %u expected", name,
                                 HISTORY_EVENTS_MAX);
        for (size_t i = 0; i < sd_json_variant_elements(history); i++) {
                sd_json_variant *event = sd_json_variant_by_index(history, i);
                sd_json_variant *container = sd_json_variant_by_key(event, "container");
                const char *text;
                int r = json_unsigned(event, name, "number", UINT64_MAX / 2, &number, e);

                for (size_t k = 0; r >= 0 && k < ELEMENTSOF(fields); k++)
                        r = json_string(event, name, fields[k], &text, e);
                if (r < 0)
                        return r;
                if (number <= last || (container && !sd_json_variant_is_string(container)))
                        return error_set(e, -EINVAL, "%s: event %zu: rising numbers and names expected", name,
                                         i);
                last = number;
        }
        *ret_last = last;
        return 0;
}

static int compare(const void *a, const void *b)
{
        uint64_t x = number_of(*(sd_json_variant *const *)a), y = number_of(*(sd_json_variant *const *)b);

        return x < y ? -1 : x > y;
}

int history_read(sd_json_variant *const *histories, size_t n, uint64_t *position, size_t max,
                 sd_json_variant **ret)
{
        _cleanup_free_ sd_json_variant **found = NULL; /* borrowed */
        _cleanup_json_ sd_json_variant *list = NULL;
        size_t n_found = 0;
        int r;

        found = (sd_json_variant **)calloc(n * HISTORY_EVENTS_MAX + 1, sizeof(*found));
        if (!found)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; histories[i] && k < sd_json_variant_elements(histories[i]); k++) {
                        sd_json_variant *event = sd_json_variant_by_index(histories[i], k);

                        if (number_of(event) > *position)
                                found[n_found++] = event;
                }
        if (n_found > 1)
                qsort((void *)found, n_found, sizeof(*found), compare);
        r = sd_json_variant_new_array(&list, found, n_found < max ? n_found : max);
        if (r < 0)
                return r;
        if (n_found > 0)
                *position = number_of(found[(n_found < max ? n_found : max) - 1]);
        *ret = TAKE_PTR(list);
        return 0;
}
