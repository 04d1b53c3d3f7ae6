/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attest eventlog */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "attest/firmware-log.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"
#include "program.h"

#define DESCRIPTION_MAX 160u

static const char *name_of(uint16_t algorithm, size_t size, char *buffer)
{
        (void)snprintf(buffer, size, "0x%04x", algorithm);
        return pcr_algorithm_name(algorithm) ?: buffer;
}

static void print_event(const struct firmware_event *ev)
{
        char text[DESCRIPTION_MAX], hex[2 * PCR_DIGEST_MAX + 1], type[16], algorithm[8];

        firmware_event_describe(ev, sizeof(text), text);
        (void)snprintf(type, sizeof(type), "0x%x", ev->type);
        printf("%u\tPCR %d\t%s\t%s\n", ev->number, (int)ev->pcr, firmware_event_type_name(ev->type) ?: type,
               text);
        for (size_t i = 0; i < ev->n_digests; i++) {
                hex_encode(ev->digests[i].bytes, ev->digests[i].size, hex);
                printf("\t%s:%s\n", name_of(ev->digests[i].algorithm, sizeof(algorithm), algorithm), hex);
        }
}

static int event_to_json(const struct firmware_event *ev, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *digests = NULL;
        char text[DESCRIPTION_MAX], algorithm[8];
        int r;

        for (size_t i = 0; i < ev->n_digests; i++) {
                r = sd_json_variant_set_fieldb(
                        &digests, name_of(ev->digests[i].algorithm, sizeof(algorithm), algorithm),
                        SD_JSON_BUILD_HEX(ev->digests[i].bytes, ev->digests[i].size));
                if (r < 0)
                        return r;
        }
        firmware_event_describe(ev, sizeof(text), text);
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_UNSIGNED("number", ev->number),
                SD_JSON_BUILD_PAIR_UNSIGNED("pcr", ev->pcr), SD_JSON_BUILD_PAIR_UNSIGNED("type", ev->type),
                SD_JSON_BUILD_PAIR_CONDITION(!!firmware_event_type_name(ev->type), "type_name",
                                             SD_JSON_BUILD_STRING(firmware_event_type_name(ev->type))),
                SD_JSON_BUILD_PAIR_VARIANT("digests", digests),
                SD_JSON_BUILD_PAIR_STRING("description", text),
                SD_JSON_BUILD_PAIR_UNSIGNED("size", ev->data_size));
}

static int show_events(struct firmware_log *l, sd_json_variant **events, struct error *e)
{
        struct firmware_event ev = {};
        int r;

        while ((r = firmware_log_next(l, &ev, e)) > 0) {
                _cleanup_json_ sd_json_variant *v = NULL;

                if (options.json == JSON_OFF) {
                        print_event(&ev);
                        continue;
                }
                if ((r = event_to_json(&ev, &v)) < 0 || (r = sd_json_variant_append_array(events, v)) < 0)
                        return r;
        }
        return r;
}

static int bank_to_json(const struct pcr_bank *bank, sd_json_variant **ret)
{
        for (unsigned i = 0; i < PCR_COUNT; i++) {
                char name[4];
                int r;

                if (!(bank->extended & 1u << i))
                        continue;
                (void)snprintf(name, sizeof(name), "%u", i);
                r = sd_json_variant_set_fieldb(ret, name, SD_JSON_BUILD_HEX(bank->value[i], bank->size));
                if (r < 0)
                        return r;
        }
        return 0;
}

static void print_bank(const struct pcr_bank *bank)
{
        char hex[2 * PCR_DIGEST_MAX + 1];

        printf("%s\n", pcr_algorithm_name(bank->algorithm));
        for (unsigned i = 0; i < PCR_COUNT; i++) {
                if (!(bank->extended & 1u << i))
                        continue;
                hex_encode(bank->value[i], bank->size, hex);
                printf("\tPCR %u\t%s\n", i, hex);
        }
}

/* The values of each bank that every event has a digest for. */
static int show_banks(const struct firmware_log *l, sd_json_variant **banks)
{
        for (size_t i = 0; i < l->n_banks; i++) {
                _cleanup_json_ sd_json_variant *v = NULL;
                struct pcr_bank bank;
                int r;

                if (!pcr_algorithm_name(l->banks[i].algorithm))
                        continue;
                r = firmware_log_replay(l->bytes, l->size, l->banks[i].algorithm, &bank, NULL);
                if (r == -EBADMSG)
                        continue;
                if (r < 0)
                        return r;
                if (options.json == JSON_OFF)
                        print_bank(&bank);
                else if ((r = bank_to_json(&bank, &v)) < 0 ||
                         (r = sd_json_variant_set_field(banks, pcr_algorithm_name(bank.algorithm), v)) < 0)
                        return r;
        }
        return 0;
}

static int show_log(const char *path, struct error *broken, struct error *e)
{
        _cleanup_json_ sd_json_variant *events = NULL, *banks = NULL, *v = NULL;
        struct firmware_claims claims;
        _cleanup_free_ char *log = NULL;
        struct firmware_log l;
        size_t size;
        int r, check;

        if ((r = read_file(AT_FDCWD, path, FIRMWARE_LOG_MAX, &log, &size, e)) < 0 ||
            (r = firmware_log_open(log, size, &l, e)) < 0 || (r = show_events(&l, &events, e)) < 0 ||
            (r = show_banks(&l, &banks)) < 0)
                return r;
        check = firmware_log_check(log, size, l.banks[l.n_banks - 1].algorithm, &claims, broken);
        if (options.json == JSON_OFF)
                return check;
        r = sd_json_buildo(
                &v, SD_JSON_BUILD_PAIR_VARIANT("events", events), SD_JSON_BUILD_PAIR_VARIANT("pcrs", banks),
                SD_JSON_BUILD_PAIR_BOOLEAN("well_formed", check == 0),
                SD_JSON_BUILD_PAIR_CONDITION(check < 0, "reason", SD_JSON_BUILD_STRING(broken->message)));
        if (r >= 0)
                r = json_print(v, options.json);
        return r < 0 ? error_errno(e, r, "printing the log") : check;
}

int verb_eventlog(int argc, char **argv)
{
        struct error broken = {}, e = {};
        int r = show_log(argv[0], &broken, &e);

        return r < 0 ? fail(r, e.message[0] ? &e : &broken) : EXIT_SUCCESS;
}
