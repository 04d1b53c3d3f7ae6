/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the TPM says about itself. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "base/process.h"
#include "fixture.h"
#include "swtpm.h"
#include "tpm/attestation.h"
#include "tpm/nv.h"

static const uint8_t nonce[20] = "a nonce of 20 bytes";
static struct swtpm machine;
static struct tpm *tpm;

static void open_tpm(void)
{
        struct error e = {};

        cr_assert_eq(tpm_open(machine.tcti, &tpm, &e), 0, "%s", e.message);
}

static void start(void)
{
        swtpm_start(&machine);
        open_tpm();
}

static void start_certified(void)
{
        swtpm_start_certified(&machine);
        open_tpm();
}

static void stop(void)
{
        tpm_free(tpm);
        swtpm_done(&machine);
}

static void unmarshal(const struct tpm_statement *s, TPMS_ATTEST *ret)
{
        size_t offset = 0;

        cr_assert_eq(Tss2_MU_TPMS_ATTEST_Unmarshal(s->attest, s->attest_size, &offset, ret), TSS2_RC_SUCCESS);
        cr_assert_eq(offset, s->attest_size);
        cr_expect_eq(ret->magic, TPM2_GENERATED_VALUE);
        cr_expect_eq(ret->extraData.size, sizeof(nonce));
        cr_expect_arr_eq(ret->extraData.buffer, nonce, sizeof(nonce));
}

TestSuite(attestation, .init = start, .fini = stop);

Test(attestation, quote_is_over_all_sixteen)
{
        struct tpm_quote quote;
        struct tpm_public ak;
        TPMS_ATTEST attest;
        struct error e = {};
        uint8_t value[32];

        for (unsigned i = 0; i < 16; i++)
                extend(tpm, i, "something");
        cr_assert_eq(tpm_quote(tpm, nonce, sizeof(nonce), 0xffff, &quote, &e), 0, "%s", e.message);
        unmarshal(&quote.statement, &attest);
        cr_expect_eq(attest.type, TPM2_ST_ATTEST_QUOTE);
        cr_expect_eq(attest.attested.quote.pcrSelect.count, 1);
        cr_expect_eq(attest.attested.quote.pcrSelect.pcrSelections[0].hash, TPM2_ALG_SHA256);
        for (unsigned i = 0; i < 16; i++) {
                cr_assert_eq(tpm_pcr_read(tpm, i, value, &e), 0, "%s", e.message);
                cr_expect_arr_eq(quote.values[i], value, 32);
        }
        cr_assert_eq(tpm_ak_read(tpm, &ak, &e), 0, "%s", e.message);
        cr_expect_eq(tpm_ak_check(&ak, &e), 0, "%s", e.message);
}

Test(attestation, sizes)
{
        uint8_t large[TPM_NONCE_MAX + 1] = {};
        struct tpm_quote quote;

        cr_expect_eq(tpm_quote(tpm, nonce, 0, 1, &quote, NULL), -EINVAL);
        cr_expect_eq(tpm_quote(tpm, large, sizeof(large), 1, &quote, NULL), -EINVAL);
        cr_expect_eq(tpm_quote(tpm, nonce, sizeof(nonce), 0, &quote, NULL), -EINVAL);
        cr_expect_eq(tpm_quote(tpm, nonce, sizeof(nonce), 1u << 24, &quote, NULL), -EINVAL);
        cr_expect_eq(tpm_quote(tpm, large, TPM_NONCE_MAX, 1u << 23, &quote, NULL), 0);
}

Test(attestation, keys_stay_the_same)
{
        struct tpm_public ak, again;
        struct tpm_ek ek, ek_again;
        struct error e = {};

        cr_assert_eq(tpm_ak_read(tpm, &ak, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_ek_read(tpm, &ek, &e), 0, "%s", e.message);
        cr_expect_null(ek.certificate, "this TPM has none");
        tpm_free(tpm);
        swtpm_restart(&machine);
        open_tpm();
        cr_assert_eq(tpm_ak_read(tpm, &again, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_ek_read(tpm, &ek_again, &e), 0, "%s", e.message);
        cr_expect_arr_eq(ak.name, again.name, TPM_NAME_SIZE);
        cr_expect_arr_eq(ek.public_area.name, ek_again.public_area.name, TPM_NAME_SIZE);
        cr_expect_eq(tpm_ak_check(&ek.public_area, NULL), -EBADMSG);
}

Test(attestation, counter_is_certified)
{
        uint8_t name[TPM_NAME_SIZE], value[8] = {[7] = 2};
        struct tpm_statement statement;
        const TPMS_NV_CERTIFY_INFO *nv;
        TPMS_ATTEST attest;
        struct error e = {};

        cr_expect_eq(tpm_certify_counter(tpm, TPM_NV_COUNTER, nonce, sizeof(nonce), &statement, NULL),
                     -ENOENT);
        cr_assert_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_expect_eq(tpm_certify_counter(tpm, TPM_NV_COUNTER, nonce, sizeof(nonce), &statement, NULL),
                     -ENODATA);
        for (int i = 0; i < 2; i++)
                cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_certify_counter(tpm, TPM_NV_COUNTER, nonce, sizeof(nonce), &statement, &e), 0, "%s",
                     e.message);
        unmarshal(&statement, &attest);
        nv = &attest.attested.nv;
        cr_assert_eq(tpm_nv_counter_name(TPM_NV_COUNTER, name, &e), 0, "%s", e.message);
        cr_expect_eq(attest.type, TPM2_ST_ATTEST_NV);
        cr_expect_eq(nv->offset, 0);
        cr_assert_eq(nv->nvContents.size, 8);
        cr_expect_arr_eq(nv->nvContents.buffer, value, 8);
        cr_assert_eq(nv->indexName.size, TPM_NAME_SIZE);
        cr_expect_arr_eq(nv->indexName.name, name, TPM_NAME_SIZE);
}

/* The whole round for one endorsement key: what opens the credential, and what does not. */
static void activate(void)
{
        static const char secret[32] = "what only the right TPM may read";
        struct tpm_credential credential, changed;
        struct tpm_public ak;
        struct tpm_ek ek;
        uint8_t found[32] = {};
        struct error e = {};
        size_t size = 0;

        cr_assert_eq(tpm_ek_read(tpm, &ek, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_ak_read(tpm, &ak, &e), 0, "%s", e.message);
        for (size_t n = 1; n <= sizeof(secret); n += 31) {
                cr_assert_eq(tpm_make_credential(&ek.public_area, ak.name, secret, n, &credential, &e), 0,
                             "%s", e.message);
                cr_assert_eq(tpm_activate_credential(tpm, &ek.public_area, &credential, found, &size, &e), 0,
                             "%s", e.message);
                cr_assert_eq(size, n);
                cr_expect_arr_eq(found, secret, n);
        }
        changed = credential;
        changed.blob[changed.blob_size - 1] ^= 1;
        cr_expect_eq(tpm_activate_credential(tpm, &ek.public_area, &changed, found, &size, &e), -EKEYREJECTED,
                     "%s", e.message);
        changed = credential;
        changed.blob_size--;
        cr_expect_eq(tpm_activate_credential(tpm, &ek.public_area, &changed, found, &size, NULL), -EBADMSG);
        cr_assert_eq(tpm_make_credential(&ek.public_area, ek.public_area.name, secret, 32, &credential, &e),
                     0);
        cr_expect_eq(tpm_activate_credential(tpm, &ek.public_area, &credential, found, &size, &e),
                     -EKEYREJECTED, "made for another object: %s", e.message);
        cr_expect_eq(tpm_activate_credential(tpm, &ak, &credential, found, &size, NULL), -EKEYREJECTED);
        cr_expect_eq(tpm_make_credential(&ek.public_area, ak.name, secret, 0, &credential, NULL), -EINVAL);
        cr_expect_eq(tpm_make_credential(&ek.public_area, ak.name, secret, 33, &credential, NULL), -EINVAL);
        cr_expect_eq(tpm_make_credential(&ak, ak.name, secret, 32, &credential, NULL), -EKEYREJECTED);
        tpm_ek_done(&ek);
}

Test(attestation, activation_ecc)
{
        activate();
}

Test(attestation, activation_rsa, .init = start_certified)
{
        activate();
}

Test(attestation, another_tpm)
{
        struct tpm_credential credential;
        struct tpm *second = NULL;
        struct swtpm other;
        struct tpm_public ak;
        struct tpm_ek ek;
        uint8_t found[32];
        struct error e = {};
        size_t size;

        cr_assert_eq(tpm_ek_read(tpm, &ek, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_ak_read(tpm, &ak, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_make_credential(&ek.public_area, ak.name, "x", 1, &credential, &e), 0, "%s",
                     e.message);
        swtpm_start(&other);
        cr_assert_eq(tpm_open(other.tcti, &second, &e), 0, "%s", e.message);
        cr_expect_eq(tpm_activate_credential(second, &ek.public_area, &credential, found, &size, &e),
                     -EKEYREJECTED);
        cr_expect(strstr(e.message, "the one of this TPM expected"), "%s", e.message);
        tpm_free(second);
        swtpm_done(&other);
        tpm_ek_done(&ek);
}

/* swtpm_setup's CA vouches for the key that we make from the template. */
Test(attestation, certificate_is_of_the_key, .init = start_certified)
{
        const uint8_t *at;
        EVP_PKEY *key = NULL;
        struct tpm_ek ek;
        X509 *certificate;
        struct error e = {};

        cr_assert_eq(tpm_ek_read(tpm, &ek, &e), 0, "%s", e.message);
        cr_assert(ek.certificate);
        at = ek.certificate;
        certificate = d2i_X509(NULL, &at, (long)ek.certificate_size);
        cr_assert(certificate && at == ek.certificate + ek.certificate_size);
        cr_assert_eq(tpm_public_to_key(&ek.public_area, &key, &e), 0, "%s", e.message);
        cr_expect_eq(EVP_PKEY_eq(key, X509_get0_pubkey(certificate)), 1);
        EVP_PKEY_free(key);
        X509_free(certificate);
        tpm_ek_done(&ek);
}
