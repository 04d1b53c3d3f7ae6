/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tpm2-tools reckons, reads and unseals the same. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/process.h"
#include "fixture.h"
#include "swtpm.h"
#include "tpm/attestation.h"
#include "tpm/nv.h"
#include "tpm/seal.h"

static struct swtpm machine;
static struct authority owner;
static struct tpm *tpm;

static void open_tpm(void)
{
        struct error e = {};

        cr_assert_eq(tpm_open(machine.tcti, &tpm, &e), 0, "%s", e.message);
}

static void start(void)
{
        swtpm_start_certified(&machine);
        authority_make(&owner);
        open_tpm();
}

static void stop(void)
{
        tpm_free(tpm);
        authority_done(&owner);
        swtpm_done(&machine);
}

TestSuite(peers, .init = start, .fini = stop, .timeout = 120);

static void put(const char *name, const void *data, size_t size)
{
        char path[96];
        struct error e = {};

        (void)snprintf(path, sizeof(path), "%s/%s", machine.directory, name);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, data, size, 0600, &e), 0, "%s", e.message);
}

static size_t get(const char *name, char **ret)
{
        char path[96];
        struct error e = {};
        size_t size = 0;

        (void)snprintf(path, sizeof(path), "%s/%s", machine.directory, name);
        cr_assert_eq(read_file(AT_FDCWD, path, 65536, ret, &size, &e), 0, "%s", e.message);
        return size;
}

static void expect_file(const char *name, const void *data, size_t size)
{
        char *found = NULL;
        size_t n = get(name, &found);

        cr_expect(n == size && memcmp(found, data, size) == 0, "%s is another", name);
        free(found);
}

/* Runs a shell script in the scratch directory with the TPM to itself. */
static char *run(const char *script)
{
        char whole[4096];
        char *argv[] = {"sh", "-c", whole, NULL};
        struct process_result result = {};
        struct error e = {};

        tpm = tpm_free(tpm);
        cr_assert_lt(snprintf(whole, sizeof(whole), "set -e; cd %s; export TPM2TOOLS_TCTI=%s\n%s",
                              machine.directory, machine.tcti, script),
                     (int)sizeof(whole));
        cr_assert_eq(process_run(argv, &(struct process_options){.timeout_ms = 60 * 1000}, &result, &e), 0,
                     "%s", e.message);
        cr_assert_eq(result.status, 0, "%s\n%s", script, result.output);
        open_tpm();
        return result.output;
}

static void put_pem(const char *name, const struct tpm_public *p)
{
        BIO *bio = BIO_new(BIO_s_mem());
        struct error e = {};
        EVP_PKEY *key = NULL;
        char *text = NULL;
        long size;

        cr_assert_eq(tpm_public_to_key(p, &key, &e), 0, "%s", e.message);
        cr_assert_eq(PEM_write_bio_PUBKEY(bio, key), 1);
        size = BIO_get_mem_data(bio, &text);
        put(name, text, (size_t)size);
        EVP_PKEY_free(key);
        BIO_free(bio);
}

/* DER of the authority's signature over the policy, as the tools take it. */
static void put_signature(const char *name, const struct tpm_pcr_policy *p)
{
        uint8_t message[TPM_POLICY_TO_SIGN_SIZE], der[80];
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        size_t size = sizeof(der);

        cr_assert_eq(tpm_policy_to_sign(p, message, NULL), 0);
        cr_assert_eq(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, owner.key), 1);
        cr_assert_eq(EVP_DigestSign(context, der, &size, message, sizeof(message)), 1);
        put(name, der, size);
        put("to-sign", message, sizeof(message));
        EVP_MD_CTX_free(context);
}

Test(peers, names_and_policies)
{
        uint8_t digest[TPM_POLICY_SIZE];
        struct tpm_pcr_policy approved;

        extend(tpm, 14, "image");
        authority_approve(&owner, tpm, &approved);
        put("owner.pem", owner.pem, strlen(owner.pem));
        free(run("tpm2_loadexternal -C o -G ecc -u owner.pem -c key.ctx -n key.name\n"
                 "tpm2_startauthsession -S s -g sha256\n"
                 "tpm2_policypcr -S s -l sha256:7,11,12,14 -L pcr.policy\n"
                 "tpm2_policyauthorize -S s -L authorize.policy -i pcr.policy -n key.name -q $(printf "
                 "holdfast-volume | od -An -tx1 | tr -d ' \\n')\n"
                 "tpm2_flushcontext s\n"));
        expect_file("key.name", owner.public_area.name, TPM_NAME_SIZE);
        cr_assert_eq(tpm_policy_pcr(&approved, digest, NULL), 0);
        expect_file("pcr.policy", digest, sizeof(digest));
        cr_assert_eq(tpm_policy_authorize(&owner.public_area, digest, NULL), 0);
        expect_file("authorize.policy", digest, sizeof(digest));
}

Test(peers, unseal)
{
        static const char secret[] = "what was sealed";
        struct tpm_pcr_policy approved;
        struct tpm_sealed sealed;
        struct error e = {};
        TPMS_ECC_POINT unique = {.x.size = 32, .y.size = 32}; /* the tool takes it as it lies in memory */

        extend(tpm, 14, "image");
        authority_approve(&owner, tpm, &approved);
        cr_assert_eq(tpm_seal(tpm, &owner.public_area, secret, strlen(secret), &sealed, &e), 0, "%s",
                     e.message);
        put("public", sealed.public_area.bytes, sealed.public_area.size);
        put("private", sealed.private_area, sealed.private_size);
        put("unique", &unique, sizeof(unique));
        put("owner.pem", owner.pem, strlen(owner.pem));
        put_signature("signature", &approved);
        free(run("tpm2_loadexternal -Q -C o -G ecc -u owner.pem -c key.ctx -n key.name\n"
                 "tpm2_verifysignature -Q -c key.ctx -g sha256 -m to-sign -s signature -f ecdsa -t ticket\n"
                 "tpm2_flushcontext -t\n"
                 "tpm2_createprimary -Q -C o -g sha256 -G ecc:null:aes128cfb -u unique -c srk.ctx "
                 "-a 'restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda'\n"
                 "tpm2_load -Q -C srk.ctx -u public -r private -c object.ctx -n object.name\n"
                 "tpm2_flushcontext -t\n"
                 "tpm2_startauthsession -S s -g sha256 --policy-session\n"
                 "tpm2_policypcr -Q -S s -l sha256:7,11,12,14 -L pcr.policy\n"
                 "tpm2_policyauthorize -Q -S s -i pcr.policy -n key.name -t ticket -q $(printf "
                 "holdfast-volume | od -An -tx1 | tr -d ' \\n')\n"
                 "tpm2_unseal -c object.ctx -p session:s -o secret\n"
                 "tpm2_flushcontext s\n"));
        expect_file("secret", secret, strlen(secret));
        expect_file("object.name", sealed.public_area.name, TPM_NAME_SIZE);
}

Test(peers, nv_public_areas)
{
        uint8_t name[TPM_NAME_SIZE];
        char hex[2 * TPM_NAME_SIZE + 1], *said;
        struct error e = {};

        cr_assert_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_nv_define_record(tpm, TPM_NV_RECORD, &owner.public_area, 64, &e), 0, "%s",
                     e.message);
        said = run("tpm2_nvreadpublic 0x018f0d01; tpm2_nvreadpublic 0x018f0d02; tpm2_nvread -C 0x018f0d01 "
                   "0x018f0d01 | od -An -tx1");
        cr_assert_eq(tpm_nv_counter_name(TPM_NV_COUNTER, name, &e), 0, "%s", e.message);
        hex_encode(name, sizeof(name), hex);
        cr_expect(strstr(said, hex), "%s", said);
        cr_expect(strstr(said, "authwrite|nt=0x1|authread|no_da|written"), "%s", said);
        cr_expect(strstr(said, "policywrite|authread|no_da"), "%s", said);
        cr_expect(strstr(said, "00 00 00 00 00 00 00 01"), "%s", said);
        free(said);
}

Test(peers, quote)
{
        static const uint8_t nonce[] = {1, 2, 3, 4};
        uint8_t values[3 * 32];
        struct tpm_quote quote;
        struct tpm_public ak;
        struct error e = {};

        extend(tpm, 14, "image");
        cr_assert_eq(tpm_quote(tpm, nonce, sizeof(nonce), 1u << 0 | 1u << 7 | 1u << 14, &quote, &e), 0, "%s",
                     e.message);
        cr_assert_eq(tpm_ak_read(tpm, &ak, &e), 0, "%s", e.message);
        memcpy(values, quote.values[0], 32);
        memcpy(values + 32, quote.values[7], 32);
        memcpy(values + 64, quote.values[14], 32);
        put("attest", quote.statement.attest, quote.statement.attest_size);
        put("signature", quote.statement.signature, quote.statement.signature_size);
        put("values", values, sizeof(values));
        put_pem("ak.pem", &ak);
        free(run("tpm2_checkquote -u ak.pem -m attest -s signature -g sha256 -q 01020304 -F values -f values "
                 "-l sha256:0,7,14\n"
                 "! tpm2_checkquote -u ak.pem -m attest -s signature -g sha256 -q 01020305 2>/dev/null"));
}

/* A credential that TPM2_MakeCredential's other implementation made. */
Test(peers, make_credential)
{
        static const char secret[] = "thirty-two bytes of a credential";
        char *bytes = NULL, script[512], name[2 * TPM_NAME_SIZE + 1];
        struct tpm_credential c = {};
        uint8_t found[32];
        struct tpm_public ak;
        struct tpm_ek ek;
        struct error e = {};
        size_t size, n = 0;

        cr_assert_eq(tpm_ek_read(tpm, &ek, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_ak_read(tpm, &ak, &e), 0, "%s", e.message);
        hex_encode(ak.name, sizeof(ak.name), name);
        put("ek.public", ek.public_area.bytes, ek.public_area.size);
        put("secret", secret, sizeof(found));
        (void)snprintf(script, sizeof(script),
                       "tpm2_makecredential -Q -T none -u ek.public -s secret -n %s -o made", name);
        free(run(script));
        size = get("made", &bytes);
        /* A magic number and a version of four bytes each, then the two structures. */
        cr_assert_gt(size, 10);
        c.blob_size = 2 + (size_t)((uint8_t)bytes[8] << 8 | (uint8_t)bytes[9]);
        cr_assert_lt(8 + c.blob_size, size);
        c.seed_size = size - 8 - c.blob_size;
        memcpy(c.blob, bytes + 8, c.blob_size);
        memcpy(c.seed, bytes + 8 + c.blob_size, c.seed_size);
        cr_assert_eq(tpm_activate_credential(tpm, &ek.public_area, &c, found, &n, &e), 0, "%s", e.message);
        cr_expect_eq(n, sizeof(found));
        cr_expect_arr_eq(found, secret, sizeof(found));
        free(bytes);
        tpm_ek_done(&ek);
}
