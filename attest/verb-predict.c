/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attest predict */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "attest/firmware-log.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/table.h"
#include "inputs.h"
#include "program.h"

static int add_event(struct table *t, const struct predicted_event *ev)
{
        const char *type =
                ev->type == PREDICTION_OWN_EVENT ? "osguard" : firmware_event_type_name(ev->type) ?: "unknown";
        char pcr[8], hex[65];

        (void)snprintf(pcr, sizeof(pcr), "%u", ev->pcr);
        hex_encode(ev->digest, sizeof(ev->digest), hex);
        return table_add(t, (const char *[]){pcr, type, ev->open ? "(the machine's)" : hex, ev->source}, 4);
}

static int print_events(const struct prediction *p)
{
        struct table *t = table_new((const char *const[]){"PCR", "EVENT", "SHA-256", "SOURCE"}, 4);
        int r = t ? 0 : -ENOMEM;

        for (unsigned pcr = 0; pcr < PREDICTION_PCRS; pcr++)
                for (size_t i = 0; r >= 0 && i < p->n; i++)
                        if (p->events[i].pcr == pcr)
                                r = add_event(t, &p->events[i]);
        if (r >= 0)
                r = table_print(t);
        if (t)
                table_free(t);
        return r;
}

static void print_value(const struct prediction *p, unsigned pcr, enum prediction_moment moment,
                        const char *note)
{
        struct error why = {};
        uint8_t value[32];
        char hex[65];

        if (!(p->pcrs & 1u << pcr))
                return;
        if (prediction_value(p, pcr, moment, value, &why) < 0) {
                printf("%s\n", why.message);
                return;
        }
        hex_encode(value, sizeof(value), hex);
        printf("PCR %-2u %s%s\n", pcr, hex, note);
}

static int print_prediction(const struct prediction *p)
{
        int r;

        if (options.json != JSON_OFF) {
                _cleanup_json_ sd_json_variant *v = NULL;

                r = prediction_to_json(p, &v);
                return r < 0 ? r : json_print(v, options.json);
        }
        r = print_events(p);
        printf("\n");
        for (unsigned pcr = 0; pcr < PREDICTION_PCRS; pcr++)
                print_value(p, pcr, PREDICTION_READY, "");
        print_value(p, 14, PREDICTION_VOLUME, " when the data volume is opened");
        return r;
}

static int compare(const struct prediction *p, const char *path, struct error *e)
{
        _cleanup_free_ char *log = NULL;
        size_t size = 0;
        int r;

        r = read_file(AT_FDCWD, path, FIRMWARE_LOG_MAX, &log, &size, e);
        if (r < 0)
                return r;
        r = prediction_compare(p, log, size, e);
        return r < 0 ? error_prefix(e, r, "%s", path) : 0;
}

int verb_predict(int argc, char **argv)
{
        _cleanup_inputs_ struct inputs in = {};
        struct error e = {};
        int r = inputs_predict(argv[0], &in, &e);

        if (r >= 0)
                r = print_prediction(&in.prediction);
        for (size_t i = 0; r >= 0 && i < options.against.n; i++)
                r = compare(&in.prediction, options.against.items[i], &e);
        return r < 0 ? fail(r, &e) : EXIT_SUCCESS;
}
