/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What osguard and attest ask of a TPM, once as a program, or many times in one process to be timed.
 *
 *   bench-tpm prepare TCTI DIRECTORY         makes the owner's key, a sealed object and a counter, and leaves
 *                                            in DIRECTORY what lib/tpm and tpm2-tools need to use them
 *   bench-tpm run TCTI DIRECTORY OPERATION   counter, quote or unseal, each beginning with a new connection
 *   bench-tpm rounds TCTI DIRECTORY N        as JSON {"OPERATION": [SECONDS, …], …}, all operations in turn;
 *                                            `random` is one bare command without a session */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

#include "base/file.h"
#include "base/log.h"
#include "tpm/attestation.h"
#include "tpm/nv.h"
#include "tpm/seal.h"
#include "trust/trust.h"

#define FILE_MAX 4096u
#define ROUNDS_MAX 1000u
#define QUOTED 0xffffu /* PCR 0 to 15 */

static const uint8_t secret[32] = "what a bench seals is no secret";

struct state {
        const char *tcti;
        int directory;
        struct tpm *tpm;
        ESYS_CONTEXT *bare;
        struct tpm_public owner;
        struct tpm_pcr_policy approved;
        struct tpm_sealed sealed;
};

static int get(const struct state *s, const char *name, void *ret, size_t size, struct error *e)
{
        _cleanup_free_ char *bytes = NULL;
        size_t found = 0;
        int r = read_file(s->directory, name, FILE_MAX, &bytes, &found, e);

        if (r < 0)
                return r;
        if (found != size)
                return error_set(e, -EBADMSG, "%s: %zu bytes expected, found %zu", name, size, found);
        memcpy(ret, bytes, size);
        return 0;
}

static int put(const struct state *s, const char *name, const void *bytes, size_t size, struct error *e)
{
        return write_file_atomic(s->directory, name, bytes, size, 0600, e);
}

/* --- prepare --- */

static int make_owner(struct state *s, struct error *e)
{
        const struct trust_generate_options options = {
                .purpose = TRUST_BUILD, .algorithm = TRUST_P256, .common_name = "bench"};
        _cleanup_free_ char *key = NULL, *certificate = NULL;
        int r;

        r = trust_generate(&options, &key, &certificate, e);
        if (r >= 0)
                r = put(s, "owner.key", key, strlen(key), e);
        if (r >= 0)
                r = put(s, "owner.pem", certificate, strlen(certificate), e);
        return r < 0 ? r : tpm_public_from_pem(certificate, &s->owner, e);
}

static int approve(struct state *s, const char *directory, struct error *e)
{
        _cleanup_(trust_signer_free_ptr) struct trust_signer *signer = NULL;
        uint8_t message[TPM_POLICY_TO_SIGN_SIZE];
        char key[512], certificate[512];
        int r;

        (void)snprintf(key, sizeof(key), "%s/owner.key", directory);
        (void)snprintf(certificate, sizeof(certificate), "%s/owner.pem", directory);
        r = trust_signer_open(&(struct trust_signer_options){.key = key, .certificate = certificate}, &signer,
                              e);
        if (r < 0)
                return r;
        s->approved.pcrs = 1u << 7 | 1u << 11 | 1u << 12 | 1u << 14;
        r = tpm_pcrs_read(s->tpm, s->approved.pcrs, s->approved.values, e);
        if (r >= 0)
                r = tpm_policy_to_sign(&s->approved, message, e);
        if (r >= 0)
                r = put(s, "to-sign", message, sizeof(message), e);
        if (r < 0)
                return r;
        return trust_sign_ecdsa(signer, TRUST_BUILD, message, sizeof(message), s->approved.signature, e);
}

static int prepare(struct state *s, const char *directory, struct error *e)
{
        int r;

        r = make_owner(s, e);
        if (r >= 0)
                r = approve(s, directory, e);
        if (r >= 0)
                r = tpm_seal(s->tpm, &s->owner, secret, sizeof(secret), &s->sealed, e);
        if (r >= 0)
                r = tpm_nv_define_counter(s->tpm, TPM_NV_COUNTER, e);
        if (r >= 0)
                r = tpm_nv_increment(s->tpm, TPM_NV_COUNTER, e);
        if (r >= 0)
                r = put(s, "approved", &s->approved, sizeof(s->approved), e);
        if (r >= 0)
                r = put(s, "public", s->sealed.public_area.bytes, s->sealed.public_area.size, e);
        if (r >= 0)
                r = put(s, "private", s->sealed.private_area, s->sealed.private_size, e);
        return r;
}

/* --- operations --- */

static int load(struct state *s, struct error *e)
{
        _cleanup_free_ char *pem = NULL, *public_area = NULL, *private_area = NULL;
        size_t public_size = 0, private_size = 0;
        int r;

        r = read_file(s->directory, "owner.pem", FILE_MAX, &pem, NULL, e);
        if (r >= 0)
                r = read_file(s->directory, "public", FILE_MAX, &public_area, &public_size, e);
        if (r >= 0)
                r = read_file(s->directory, "private", FILE_MAX, &private_area, &private_size, e);
        if (r >= 0)
                r = get(s, "approved", &s->approved, sizeof(s->approved), e);
        if (r >= 0)
                r = tpm_public_from_pem(pem, &s->owner, e);
        if (r < 0)
                return r;
        return tpm_sealed_parse(&s->owner, public_area, public_size, private_area, private_size, &s->sealed,
                                e);
}

static int run_random(struct state *s, struct error *e)
{
        TPM2B_DIGEST *bytes = NULL;
        TSS2_RC rc = Esys_GetRandom(s->bare, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, 16, &bytes);

        Esys_Free(bytes);
        return rc == TSS2_RC_SUCCESS ? 0 : error_set(e, -EIO, "GetRandom: 0x%08x", rc);
}

static int run_pcr(struct state *s, struct error *e)
{
        uint8_t value[32];

        return tpm_pcr_read(s->tpm, 14, value, e);
}

static int run_counter(struct state *s, struct error *e)
{
        uint64_t value = 0;
        int r = tpm_nv_read_counter(s->tpm, TPM_NV_COUNTER, &value, e);

        return r < 0 || value == 1 ? r : error_set(e, -EBADMSG, "counter: 1 expected, found another");
}

static int run_quote(struct state *s, struct error *e)
{
        struct tpm_quote quote;

        return tpm_quote(s->tpm, secret, sizeof(secret), QUOTED, &quote, e);
}

static int run_unseal(struct state *s, struct error *e)
{
        const struct tpm_authorization a = {&s->owner, &s->approved, 1};
        uint8_t found[sizeof(secret)];
        int r = tpm_unseal(s->tpm, &s->sealed, &a, found, sizeof(found), e);

        if (r >= 0 && memcmp(found, secret, sizeof(secret)) != 0)
                r = error_set(e, -EBADMSG, "unseal: what was sealed expected, found something else");
        return r;
}

static const struct operation {
        const char *name;
        int (*run)(struct state *s, struct error *e);
} operations[] = {{"random", run_random},
                  {"pcr", run_pcr},
                  {"counter", run_counter},
                  {"quote", run_quote},
                  {"unseal", run_unseal}};

static int run_one(struct state *s, const char *name, struct error *e)
{
        for (size_t i = 1; i < ELEMENTSOF(operations); i++)
                if (strcmp(operations[i].name, name) == 0)
                        return operations[i].run(s, e);
        return error_set(e, -EINVAL, "operation: pcr, counter, quote or unseal expected, found %s", name);
}

/* --- many --- */

static double now(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Behind the same connection, since a TPM without a resource manager takes one. */
static int open_bare(struct state *s, TSS2_TCTI_CONTEXT **ret_tcti, struct error *e)
{
        TSS2_RC rc = Tss2_TctiLdr_Initialize(s->tcti, ret_tcti);

        if (rc == TSS2_RC_SUCCESS)
                rc = Esys_Initialize(&s->bare, *ret_tcti, NULL);
        return rc == TSS2_RC_SUCCESS ? 0 : error_set(e, -ENODEV, "%s: 0x%08x", s->tcti, rc);
}

static int measure(struct state *s, size_t i, size_t n, double *ret, struct error *e)
{
        TSS2_TCTI_CONTEXT *tcti = NULL;
        int r = i == 0 ? open_bare(s, &tcti, e) : tpm_open(s->tcti, &s->tpm, e);

        /* The first one of a connection makes its session. */
        if (r >= 0)
                r = operations[i].run(s, e);
        for (size_t k = 0; r >= 0 && k < n; k++) {
                double start = now();

                r = operations[i].run(s, e);
                ret[k] = now() - start;
        }
        Esys_Finalize(&s->bare);
        Tss2_TctiLdr_Finalize(&tcti);
        s->tpm = tpm_free(s->tpm);
        return r;
}

static int rounds(struct state *s, size_t n, struct error *e)
{
        static double seconds[ELEMENTSOF(operations)][ROUNDS_MAX];
        const size_t at_once = 5;
        int r = 0;

        for (size_t done = 0; r >= 0 && done < n; done += at_once)
                for (size_t i = 0; r >= 0 && i < ELEMENTSOF(operations); i++)
                        r = measure(s, i, at_once < n - done ? at_once : n - done, &seconds[i][done], e);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(operations); i++) {
                (void)printf("%s\"%s\": [", i == 0 ? "{" : "], ", operations[i].name);
                for (size_t k = 0; k < n; k++)
                        (void)printf("%s%.6f", k == 0 ? "" : ", ", seconds[i][k]);
        }
        (void)puts(r < 0 ? "" : "]}");
        return r;
}

static int run(struct state *s, const char *const *operands, struct error *e)
{
        const char *verb = operands[0], *last = operands[3];
        int r;

        if (strcmp(verb, "prepare") != 0 && (r = load(s, e)) < 0)
                return r;
        if (strcmp(verb, "rounds") == 0) {
                unsigned long n = strtoul(last, NULL, 10);

                return n > 0 && n <= ROUNDS_MAX
                               ? rounds(s, n, e)
                               : error_set(e, -EINVAL, "rounds: 1 to %u expected", ROUNDS_MAX);
        }
        r = tpm_open(s->tcti, &s->tpm, e);
        if (r >= 0)
                r = strcmp(verb, "prepare") == 0 ? prepare(s, operands[2], e) : run_one(s, last, e);
        s->tpm = tpm_free(s->tpm);
        return r;
}

int main(int argc, char **argv)
{
        struct state s = {.directory = -EBADF};
        struct error e = {};
        int r;

        log_setup("bench-tpm");
        if (argc != (argc > 1 && strcmp(argv[1], "prepare") == 0 ? 4 : 5)) {
                (void)log_error(-EINVAL, "prepare, run or rounds with its operands expected");
                return 2;
        }
        s.tcti = argv[2];
        s.directory = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = s.directory < 0 ? error_errno(&e, -errno, "%s", argv[3])
                            : run(&s, (const char *const *)argv + 1, &e);
        if (r < 0)
                (void)log_failure(r, &e);
        return r < 0 ? 2 : 0;
}
