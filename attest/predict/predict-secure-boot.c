/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Secure Boot's state and who vouched for the UKI: PCR 7 (PFP 1.06, section 3.3.4.8; EDK2's order). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "attest/firmware-log.h"
#include "attest/predict/prediction.h"
#include "attest/predict/variable-store.h"
#include "base/cleanup.h"

#define PCR 7u
#define LIST_HEADER_SIZE 28u
#define OWNER_SIZE 16u
#define LISTS_MAX 256u

DEFINE_CLEANUP(X509 *, X509_free)

/* EFI_CERT_X509_GUID a5c059a1-94e4-4aa7-87b5-ab155c2bf072, EFI_CERT_SHA256_GUID
 * c1c41626-504c-4092-aca9-41f936934328. */
static const uint8_t x509_guid[16] = {0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a,
                                      0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72};
static const uint8_t sha256_guid[16] = {0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40,
                                        0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28};

/* UEFI_VARIABLE_DATA: GUID, lengths of name (characters) and data, both in full. */
static int add_variable(struct prediction *p, uint32_t type, const uint8_t guid[static 16], const char *name,
                        struct slice value, struct error *e)
{
        size_t n = strlen(name);
        _cleanup_free_ uint8_t *event = calloc(1, 32 + 2 * n + value.size);
        uint64_t length = htole64(n), size = htole64(value.size);
        char source[80];

        if (!event)
                return -ENOMEM;
        memcpy(event, guid, 16);
        memcpy(event + 16, &length, 8);
        memcpy(event + 24, &size, 8);
        for (size_t i = 0; i < n; i++)
                event[32 + 2 * i] = (uint8_t)name[i];
        if (value.size)
                memcpy(event + 32 + 2 * n, value.bytes, value.size);
        (void)snprintf(source, sizeof(source), "%s %s",
                       type == EV_EFI_VARIABLE_AUTHORITY ? "authority in" : "variable", name);
        return prediction_add_data(p, PCR, type, event, 32 + 2 * n + value.size, source, e);
}

/* --- signature databases (UEFI specification, 32.4.1) --- */

/* One entry of a database: what kind, and owner with data. */
struct entry {
        const uint8_t *type;
        struct slice signature;
};

struct cursor {
        struct slice lists; /* what is left of them */
        const uint8_t *type;
        struct slice signatures; /* what is left of the present list */
        size_t size;             /* of each */
};

static int open_list(struct cursor *c, struct error *e)
{
        const uint8_t *header = c->lists.bytes;
        struct slice list;

        if (c->lists.size < LIST_HEADER_SIZE || !slice_cut(c->lists, 0, get_le32(header + 16), &list) ||
            !slice_cut(list, LIST_HEADER_SIZE + (uint64_t)get_le32(header + 20),
                       list.size - LIST_HEADER_SIZE - (uint64_t)get_le32(header + 20), &c->signatures))
                return error_set(e, -EBADMSG, "signature database: a list inside it expected");
        c->size = get_le32(header + 24);
        if (c->size <= OWNER_SIZE || c->signatures.size % c->size != 0)
                return error_set(e, -EBADMSG, "signature database: entries that fill their list expected");
        c->type = header;
        c->lists = (struct slice){header + list.size, c->lists.size - list.size};
        return 0;
}

/* 1: an entry; 0: the end. */
static int next_entry(struct cursor *c, struct entry *ret, struct error *e)
{
        for (unsigned n = 0; c->signatures.size == 0; n++) {
                int r;

                if (c->lists.size == 0)
                        return 0;
                if (n == LISTS_MAX)
                        return error_set(e, -E2BIG, "signature database: at most 256 empty lists expected");
                r = open_list(c, e);
                if (r < 0)
                        return r;
        }
        *ret = (struct entry){c->type, {c->signatures.bytes, c->size}};
        c->signatures = (struct slice){c->signatures.bytes + c->size, c->signatures.size - c->size};
        return 1;
}

/* Whether the entry speaks of this executable. */
static int matches(const struct entry *entry, const struct pe *pe, const uint8_t digest[static 32],
                   struct error *e)
{
        struct slice data = {entry->signature.bytes + OWNER_SIZE, entry->signature.size - OWNER_SIZE};
        _cleanup_(X509_free_ptr) X509 *x = NULL;
        const unsigned char *p = data.bytes;

        if (memcmp(entry->type, sha256_guid, 16) == 0)
                return slice_equal(data, (struct slice){digest, 32});
        if (memcmp(entry->type, x509_guid, 16) != 0)
                return 0;
        x = d2i_X509(NULL, &p, (long)data.size);
        return x ? pe_signed_by(pe, x, e) : 0;
}

/* The first entry that does: 1, or 0. */
static int find_entry(struct slice database, const struct pe *pe, const uint8_t digest[static 32],
                      struct slice *ret, struct error *e)
{
        struct cursor c = {.lists = database};
        struct entry entry = {};
        int r;

        while ((r = next_entry(&c, &entry, e)) > 0) {
                r = matches(&entry, pe, digest, e);
                if (r < 0)
                        return r;
                if (r > 0) {
                        *ret = entry.signature;
                        return 1;
                }
        }
        return r;
}

static int find_authority(struct slice db, struct slice dbx, const struct pe *pe, struct slice *ret,
                          struct error *e)
{
        uint8_t digest[32];
        struct slice forbidden = {};
        int r;

        r = pe_authenticode(pe, digest, e);
        if (r >= 0)
                r = find_entry(dbx, pe, digest, &forbidden, e);
        if (r > 0)
                return error_set(e, -EKEYREJECTED,
                                 "UKI: not in dbx expected, found in it: firmware refuses it");
        if (r >= 0)
                r = find_entry(db, pe, digest, ret, e);
        if (r == 0)
                return error_set(e, -EKEYREJECTED,
                                 "UKI: a signature by a certificate in db expected, found none: "
                                 "firmware refuses it");
        return r < 0 ? r : 0;
}

/* --- PCR 7 --- */

struct secure_boot {
        struct slice enable, pk, kek, db, dbx, dbt, dbr;
};

static int read_variables(struct slice store, struct secure_boot *ret, struct error *e)
{
        const struct {
                const uint8_t *guid;
                const char *name;
                struct slice *value;
        } wanted[] = {
                {efi_secure_boot_enable_guid, "SecureBootEnable", &ret->enable},
                {efi_global_guid, "PK", &ret->pk},
                {efi_global_guid, "KEK", &ret->kek},
                {efi_security_guid, "db", &ret->db},
                {efi_security_guid, "dbx", &ret->dbx},
                {efi_security_guid, "dbt", &ret->dbt},
                {efi_security_guid, "dbr", &ret->dbr},
        };

        for (size_t i = 0; i < ELEMENTSOF(wanted); i++) {
                int r = variable_find(store, wanted[i].guid, wanted[i].name, wanted[i].value, e);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_variables(struct prediction *p, const struct secure_boot *s, struct error *e)
{
        static const uint8_t on = 1;
        const struct {
                const uint8_t *guid;
                const char *name;
                struct slice value;
                bool optional;
        } measured[] = {
                {efi_global_guid, "SecureBoot", {&on, 1}, false}, {efi_global_guid, "PK", s->pk, false},
                {efi_global_guid, "KEK", s->kek, false},          {efi_security_guid, "db", s->db, false},
                {efi_security_guid, "dbx", s->dbx, false},        {efi_security_guid, "dbt", s->dbt, true},
                {efi_security_guid, "dbr", s->dbr, true},
        };

        for (size_t i = 0; i < ELEMENTSOF(measured); i++) {
                int r = 0;

                if (!measured[i].optional || measured[i].value.size)
                        r = add_variable(p, EV_EFI_VARIABLE_DRIVER_CONFIG, measured[i].guid, measured[i].name,
                                         measured[i].value, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

int predict_secure_boot(struct prediction *p, struct slice variables, const struct uki *uki, struct error *e)
{
        struct slice authority = {};
        struct secure_boot s = {};
        int r;

        r = read_variables(variables, &s, e);
        if (r >= 0 && (s.pk.size == 0 || s.enable.size != 1 || s.enable.bytes[0] != 1))
                r = error_set(e, -EKEYREJECTED,
                              "Secure Boot: on expected, found off: nobody vouches for a UKI");
        if (r >= 0)
                r = find_authority(s.db, s.dbx, &uki->pe, &authority, e);
        if (r >= 0)
                r = add_variables(p, &s, e);
        if (r >= 0)
                r = prediction_add_separator(p, PCR, e);
        if (r >= 0)
                r = add_variable(p, EV_EFI_VARIABLE_AUTHORITY, efi_security_guid, "db", authority, e);
        p->pcrs |= 1u << PCR;
        return r;
}
