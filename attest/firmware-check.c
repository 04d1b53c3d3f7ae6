/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The grammar that a firmware log has to follow before anything in it is believed. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "firmware-log.h"

/* The separators of PFP section 10.4.1: zeros where the firmware hands over, ones where it found an error. */
static const uint8_t separator_done[4] = {0, 0, 0, 0};
static const uint8_t separator_error[4] = {0xff, 0xff, 0xff, 0xff};

/* Action texts that the judgement of a boot leans on (PFP table "EV_EFI_ACTION Strings"). */
#define ACTION_MAX 128u
static const char action_exit[] = "Exit Boot Services Invocation";
static const char action_exit_failed[] = "Exit Boot Services Returned with Failure";
static const char action_exited[] = "Exit Boot Services Returned with Success";
static const char action_debug[] = "UEFI Debug Mode";
static const char action_no_dma_protection[] = "DMA Protection Disabled";
static const char *const actions[] = {
        "Calling EFI Application from Boot Option",
        "Returning from EFI Application from Boot Option",
        action_exit,
        action_exit_failed,
        action_exited,
        action_debug,
        action_no_dma_protection,
};

/* EFI_GLOBAL_VARIABLE and EFI_IMAGE_SECURITY_DATABASE_GUID (UEFI 2.10, sections 3.3 and 32.6.1). */
static const uint8_t global_guid[16] = {0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11,
                                        0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};
static const uint8_t security_guid[16] = {0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45,
                                          0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f};

enum variable { SECURE_BOOT, PK, KEK, DB, DBX, VARIABLES };
static const struct {
        const char *name;
        const uint8_t *guid;
} variables[VARIABLES] = {
        [SECURE_BOOT] = {"SecureBoot", global_guid},
        [PK] = {"PK", global_guid},
        [KEK] = {"KEK", global_guid},
        [DB] = {"db", security_guid},
        [DBX] = {"dbx", security_guid},
};

#define SEPARATORS 2u
#define MARKS (SEPARATORS + ELEMENTSOF(actions))

/* In one bank: the digests of both separators, then of the actions. */
struct marks {
        uint16_t algorithm;
        size_t size;
        uint8_t digest[MARKS][PCR_DIGEST_MAX];
};

struct check {
        struct marks marks[FIRMWARE_BANKS_MAX];
        size_t n_marks;
        uint16_t algorithm;
        struct firmware_claims *claims;
        uint32_t separated; /* PCRs whose separator was seen */
        bool have_variable[VARIABLES];
        bool exiting;
};

static int refuse(const struct firmware_event *ev, struct error *e, const char *rule)
{
        return error_set(e, -EBADMSG, "firmware log: event %u (%s in PCR %u): %s", ev->number,
                         firmware_event_type_name(ev->type) ?: "unknown type", ev->pcr, rule);
}

/* Whether the event's digests are those of these bytes, in every bank that we can compute. */
static bool digests_are_of(const struct firmware_event *ev, const void *data, size_t size)
{
        bool any = false;

        for (size_t i = 0; i < ev->n_digests; i++) {
                const struct firmware_digest *d = &ev->digests[i];
                uint8_t digest[PCR_DIGEST_MAX];

                if (pcr_hash(d->algorithm, data, size, digest) < 0)
                        continue;
                if (memcmp(digest, d->bytes, d->size) != 0)
                        return false;
                any = true;
        }
        return any;
}

/* The digests that separators and actions have in each bank of the log, computed once. */
static int learn_marks(struct check *c, const struct firmware_log *l)
{
        int r = 0;

        for (size_t i = 0; i < l->n_banks; i++) {
                struct marks *m = &c->marks[c->n_marks];

                m->algorithm = l->banks[i].algorithm;
                m->size = pcr_digest_size(m->algorithm);
                if (m->size == 0)
                        continue;
                c->n_marks++;
                r = pcr_hash(m->algorithm, separator_done, sizeof(separator_done), m->digest[0]);
                if (r >= 0)
                        r = pcr_hash(m->algorithm, separator_error, sizeof(separator_error), m->digest[1]);
                for (size_t k = 0; r >= 0 && k < ELEMENTSOF(actions); k++)
                        r = pcr_hash(m->algorithm, actions[k], strlen(actions[k]), m->digest[SEPARATORS + k]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Whether any one of the event's digests is that of a mark from `first` to before `end`. */
static bool looks_like(const struct check *c, const struct firmware_event *ev, size_t first, size_t end)
{
        for (size_t i = 0; i < c->n_marks; i++) {
                const struct marks *m = &c->marks[i];
                const uint8_t *digest = firmware_event_digest(ev, m->algorithm);

                for (size_t k = first; digest && k < end; k++)
                        if (memcmp(digest, m->digest[k], m->size) == 0)
                                return true;
        }
        return false;
}

static bool data_is(const struct firmware_event *ev, const void *data, size_t size)
{
        return ev->data_size == size && memcmp(ev->data, data, size) == 0;
}

static bool is_action(const struct firmware_event *ev, const char *text)
{
        return data_is(ev, text, strlen(text));
}

/* The type is not measured: what has the digest of a separator or an action must be one. */
static int check_look_alikes(const struct check *c, const struct firmware_event *ev, struct error *e)
{
        if (ev->type != EV_SEPARATOR && looks_like(c, ev, 0, SEPARATORS))
                return refuse(ev, e, "a separator's digest under another type");
        if (ev->type != EV_EFI_ACTION && ev->type != EV_ACTION && looks_like(c, ev, SEPARATORS, MARKS))
                return refuse(ev, e, "an action's digest under another type");
        return 0;
}

static int check_separator(struct check *c, const struct firmware_event *ev, struct error *e)
{
        if (!digests_are_of(ev, ev->data, ev->data_size))
                return refuse(ev, e, "its digest is not that of its data");
        if (c->separated & 1u << ev->pcr)
                return refuse(ev, e, "a second separator");
        c->separated |= 1u << ev->pcr;
        if (ev->pcr > 7)
                return 0;
        if (data_is(ev, separator_error, sizeof(separator_error)))
                return refuse(ev, e, "the firmware reports an error");
        if (!data_is(ev, separator_done, sizeof(separator_done)))
                return refuse(ev, e, "four zero bytes expected");
        return 0;
}

static int check_no_action(const struct firmware_event *ev, struct error *e)
{
        uint8_t locality;

        if (firmware_event_locality(ev, &locality) == -EBADMSG)
                return refuse(ev, e, "a StartupLocality of 0, 3 or 4 expected");
        if (ev->pcr == UINT32_MAX)
                return 0;
        if (ev->pcr != 0)
                return refuse(ev, e, "EV_NO_ACTION belongs to PCR 0");
        for (size_t i = 0; i < ev->n_digests; i++)
                for (size_t j = 0; j < ev->digests[i].size; j++)
                        if (ev->digests[i].bytes[j])
                                return refuse(ev, e, "a digest that is not extended has to be zeros");
        return 0;
}

/* Printable ASCII; some firmware ends it with a NUL. */
static bool is_text(const struct firmware_event *ev)
{
        size_t n = ev->data_size;

        if (n > 0 && ev->data[n - 1] == '\0')
                n--;
        for (size_t i = 0; i < n; i++)
                if (ev->data[i] < 0x20 || ev->data[i] > 0x7e)
                        return false;
        return true;
}

static int check_action(struct check *c, const struct firmware_event *ev, struct error *e)
{
        /* Other data could be an image or a variable, whose digest it then has. */
        if (ev->data_size > ACTION_MAX || !is_text(ev))
                return refuse(ev, e, "a short text expected");
        if (!digests_are_of(ev, ev->data, ev->data_size))
                return refuse(ev, e, "its digest is not that of its data");
        if (is_action(ev, action_debug) || is_action(ev, action_no_dma_protection))
                return refuse(ev, e, "the firmware runs without its protection");
        if (is_action(ev, action_exit) || is_action(ev, action_exited) || is_action(ev, action_exit_failed)) {
                if (ev->pcr != 5)
                        return refuse(ev, e, "leaving the boot services belongs to PCR 5");
                if (c->claims->boot_services_exited)
                        return refuse(ev, e, "the boot services were left already");
                c->exiting = is_action(ev, action_exit);
                c->claims->boot_services_exited = is_action(ev, action_exited);
        }
        return 0;
}

static bool is_variable(const struct firmware_variable *v, enum variable which)
{
        return strcmp(v->name, variables[which].name) == 0 &&
               memcmp(v->guid, variables[which].guid, sizeof(v->guid)) == 0;
}

static int keep_secure_boot(struct check *c, const struct firmware_event *ev,
                            const struct firmware_variable *v, struct error *e)
{
        if (v->size > 1 || (v->size == 1 && v->value[0] > 1))
                return refuse(ev, e, "SecureBoot is one byte of 0 or 1");
        c->claims->secure_boot = v->size == 1 && v->value[0] == 1;
        return 0;
}

/* The configuration of Secure Boot: each variable once, before the separator. */
static int check_boot_variable(struct check *c, const struct firmware_event *ev, struct error *e)
{
        struct firmware_variable v, *const kept[VARIABLES] = {[PK] = &c->claims->pk,
                                                              [KEK] = &c->claims->kek,
                                                              [DB] = &c->claims->db,
                                                              [DBX] = &c->claims->dbx};

        if (firmware_event_variable(ev, &v) < 0)
                return refuse(ev, e, "a UEFI variable expected");
        if (c->separated & 1u << 7)
                return refuse(ev, e, "a variable after the separator");
        for (unsigned i = 0; i < VARIABLES; i++) {
                if (!is_variable(&v, i))
                        continue;
                if (c->have_variable[i])
                        return refuse(ev, e, "a variable that was measured already");
                c->have_variable[i] = true;
                if (i == SECURE_BOOT)
                        return keep_secure_boot(c, ev, &v, e);
                *kept[i] = v;
        }
        return 0;
}

static int check_authority(struct check *c, const struct firmware_event *ev, struct error *e)
{
        struct firmware_claims *claims = c->claims;
        struct firmware_authority *a;

        if (claims->n_authorities == FIRMWARE_ITEMS_MAX)
                return refuse(ev, e, "too many authorities");
        a = &claims->authorities[claims->n_authorities];
        if (firmware_event_variable(ev, &a->variable) < 0)
                return refuse(ev, e, "a UEFI variable expected");
        a->event = ev->number;
        claims->n_authorities++;
        return 0;
}

/* PCR 7 holds nothing but the configuration of Secure Boot and the authorities that it named. */
static int check_pcr7(struct check *c, const struct firmware_event *ev, struct error *e)
{
        switch (ev->type) {
        case EV_SEPARATOR:
        case EV_EFI_ACTION:
                return 0;
        case EV_EFI_VARIABLE_DRIVER_CONFIG:
                return check_boot_variable(c, ev, e);
        case EV_EFI_VARIABLE_AUTHORITY:
                return check_authority(c, ev, e);
        default:
                return refuse(ev, e, "this type does not belong there");
        }
}

/* PCR 4 holds nothing but what was started: under another type it would not be noticed. */
static int check_pcr4(struct check *c, const struct firmware_event *ev, struct error *e)
{
        struct firmware_claims *claims = c->claims;

        if (ev->type == EV_SEPARATOR || ev->type == EV_EFI_ACTION || ev->type == EV_ACTION)
                return 0;
        if (ev->type != EV_EFI_BOOT_SERVICES_APPLICATION)
                return refuse(ev, e, "this type does not belong there");
        if (c->exiting || claims->boot_services_exited)
                return refuse(ev, e, "an application after the boot services were left");
        if (claims->n_applications == FIRMWARE_ITEMS_MAX)
                return refuse(ev, e, "too many applications");
        claims->applications[claims->n_applications++] =
                (struct firmware_application){ev->number,
                                              {c->algorithm, (uint16_t)pcr_digest_size(c->algorithm),
                                               firmware_event_digest(ev, c->algorithm)}};
        return 0;
}

/* A boot variable's digest is over the whole structure, or over the value alone in older firmware. */
static bool digest_fits_data(const struct firmware_event *ev)
{
        struct firmware_variable v;

        switch (ev->type) {
        case EV_EFI_VARIABLE_BOOT:
                return digests_are_of(ev, ev->data, ev->data_size) ||
                       (firmware_event_variable(ev, &v) == 0 && digests_are_of(ev, v.value, v.size));
        case EV_EFI_VARIABLE_DRIVER_CONFIG:
        case EV_EFI_VARIABLE_BOOT2:
        case EV_EFI_VARIABLE_AUTHORITY:
        case EV_EFI_GPT_EVENT:
        case EV_S_CRTM_VERSION:
                return digests_are_of(ev, ev->data, ev->data_size);
        default:
                return true;
        }
}

static int check_event(struct check *c, const struct firmware_event *ev, struct error *e)
{
        int r;

        if (ev->type == EV_NO_ACTION)
                return check_no_action(ev, e);
        if (ev->pcr == 0 && c->separated & 1)
                return refuse(ev, e, "the firmware's own PCR after its separator");
        r = check_look_alikes(c, ev, e);
        if (r >= 0 && ev->type == EV_SEPARATOR)
                r = check_separator(c, ev, e);
        if (r >= 0 && (ev->type == EV_EFI_ACTION || ev->type == EV_ACTION))
                r = check_action(c, ev, e);
        if (r >= 0 && !digest_fits_data(ev))
                r = refuse(ev, e, "its digest is not that of its data");
        if (r >= 0 && ev->pcr == 7)
                r = check_pcr7(c, ev, e);
        if (r >= 0 && ev->pcr == 4)
                r = check_pcr4(c, ev, e);
        return r;
}

static int check_end(const struct check *c, struct error *e)
{
        const struct firmware_claims *claims = c->claims;

        for (unsigned i = 0; i <= 7; i++)
                if (!(c->separated & 1u << i))
                        return error_set(e, -EBADMSG,
                                         "firmware log: PCR %u: a separator expected, found none", i);
        for (unsigned i = 0; i < VARIABLES; i++)
                if (!c->have_variable[i])
                        return error_set(e, -EBADMSG,
                                         "firmware log: PCR 7: the variable %s expected, found none",
                                         variables[i].name);
        if (claims->secure_boot && (!claims->pk.size || !claims->kek.size || !claims->db.size))
                return error_set(e, -EBADMSG,
                                 "firmware log: PCR 7: Secure Boot is on, PK, KEK and db expected, found "
                                 "an empty one");
        if (claims->secure_boot && claims->n_applications && !claims->n_authorities)
                return error_set(e, -EBADMSG,
                                 "firmware log: PCR 7: Secure Boot is on, the authority of what was "
                                 "started expected, found none");
        return 0;
}

int firmware_log_check(const void *log, size_t size, uint16_t algorithm, struct firmware_claims *ret,
                       struct error *e)
{
        struct firmware_claims claims = {};
        struct check c = {.algorithm = algorithm, .claims = &claims};
        struct firmware_event ev = {};
        struct firmware_log l;
        int r;

        r = firmware_log_open(log, size, &l, e);
        if (r < 0)
                return r;
        r = learn_marks(&c, &l);
        if (r < 0)
                return error_errno(e, r, "firmware log");
        while ((r = firmware_log_next(&l, &ev, e)) > 0) {
                if (ev.type != EV_NO_ACTION && !firmware_event_digest(&ev, algorithm))
                        return refuse(&ev, e, "a digest for the bank asked for expected, found none");
                r = check_event(&c, &ev, e);
                if (r < 0)
                        return r;
        }
        if (r >= 0)
                r = check_end(&c, e);
        if (r < 0)
                return r;
        *ret = claims;
        return 0;
}
