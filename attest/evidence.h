/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence: what a machine hands out about itself, as one JSON text (README.md, section "Evidence"). Parsing
 * says nothing about truth: evidence_verify() does. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-json.h>

#include "attest/pcr.h"
#include "attest/quote.h"
#include "base/cleanup.h"
#include "base/error.h"

#define EVIDENCE_MAX ((size_t)64 * 1024 * 1024) /* bytes of the text */
#define EVIDENCE_LOGS_MAX 4u

enum evidence_kind {
        EVIDENCE_HOLDFAST, /* a machine of this project: all PCRs to 15, all logs */
        EVIDENCE_TPM,      /* any machine with a TPM: a quote, and the logs that it has */
};

struct evidence_part {
        uint8_t *bytes; /* NULL: absent */
        size_t size;
};

struct evidence {
        enum evidence_kind kind;
        struct pcr_bank values; /* as claimed; `extended`: those that are */
        struct evidence_part quote, quote_signature;
        struct evidence_part counter, counter_signature; /* TPM2_NV_Certify of the rollback counter */
        struct evidence_part key;                        /* TPM2B_PUBLIC of the attestation key */
        struct evidence_part key_spki;       /* or its SubjectPublicKeyInfo alone (EVIDENCE_TPM) */
        struct evidence_part ek_certificate; /* X.509, DER */
        struct evidence_part firmware_log, ima_log;
        struct evidence_part manifest;                /* CMS */
        struct evidence_part logs[EVIDENCE_LOGS_MAX]; /* our own, each of one PCR */
        size_t n_logs;
};

/* -EBADMSG names the field: missing, unknown, too large, not Base64. Free with evidence_done(). */
int evidence_parse(const char *text, size_t size, struct evidence *ret, struct error *e);
int evidence_format(const struct evidence *ev, char **ret, struct error *e);
void evidence_done(struct evidence *ev);
#define _cleanup_evidence_ _cleanup_(evidence_done)

/* --- verifying --- */

/* What every piece of evidence is held to before it says anything. */
struct evidence_demand {
        struct statement_demand statement;
        uint32_t pcrs; /* EVIDENCE_TPM: the PCRs that have to be quoted; the other kind: always 0 to 15 */
        const char *const
                *keys; /* trusted attestation keys: hexadecimal Names, or fingerprints of those without */
        size_t n_keys;
};

struct verified_evidence;

/* Checks every binding, in this order: key, signature, scheme, magic, type, nonce, selection, values,
 * counter, the replay of each log, the grammar of each log. The first that fails ends it, its name begins the
 * message. `ev` is borrowed. */
int evidence_verify(const struct evidence *ev, const struct evidence_demand *demand,
                    struct verified_evidence **ret, struct error *e);
struct verified_evidence *verified_evidence_free(struct verified_evidence *v);
DEFINE_CLEANUP(struct verified_evidence *, verified_evidence_free)

/* --- claims --- */

#define CLAIMS_MAX 96u

/* One thing that evidence says. */
struct claim {
        char name[32];
        sd_json_variant *value;
        char source[64]; /* the event or field that says so */
};

struct claims {
        struct claim items[CLAIMS_MAX];
        size_t n;
};

/* All that the evidence says (README.md, section "Claims"). -EBADMSG: an event of ours that says nothing that
 * we know. */
int claims_collect(const struct verified_evidence *v, struct claims *ret, struct error *e);
void claims_done(struct claims *c);
#define _cleanup_claims_ _cleanup_(claims_done)

/* NULL if nothing says so. */
const struct claim *claims_find(const struct claims *c, const char *name);
