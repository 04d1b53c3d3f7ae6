/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Enrolment with a real TPM and the certificate that its maker's authority gave it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attest/enrol.h"
#include "base/file.h"
#include "swtpm.h"

static struct swtpm machine;
static struct tpm *tpm;
static struct tpm_ek ek;
static struct enrol_request request;
static char *authorities;

static char *read_authority(const struct swtpm *s)
{
        char path[96], *pem = NULL;
        struct error e = {};

        (void)snprintf(path, sizeof(path), "%s/ca/issuer.pem", s->directory);
        cr_assert_eq(read_file(AT_FDCWD, path, 65536, &pem, NULL, &e), 0, "%s", e.message);
        return pem;
}

static void start(void)
{
        struct error e = {};

        swtpm_start_certified(&machine);
        cr_assert_eq(tpm_open(machine.tcti, &tpm, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_ek_read(tpm, &ek, &e), 0, "%s", e.message);
        cr_assert(ek.certificate);
        request = (struct enrol_request){.ek = ek.public_area,
                                         .ek_certificate = ek.certificate,
                                         .ek_certificate_size = ek.certificate_size};
        cr_assert_eq(tpm_ak_read(tpm, &request.ak, &e), 0, "%s", e.message);
        authorities = read_authority(&machine);
}

static void stop(void)
{
        free(authorities);
        tpm_ek_done(&ek);
        tpm_free(tpm);
        swtpm_done(&machine);
}

TestSuite(enrol, .init = start, .fini = stop, .timeout = 120);

static int begin(struct tpm_credential *c, struct enrol_challenge *challenge, struct error *e)
{
        return enrol_begin(&request, authorities, time(NULL), c, challenge, e);
}

Test(enrol, whole)
{
        struct enrol_challenge challenge;
        struct tpm_credential credential;
        struct error e = {};
        uint8_t secret[32];
        size_t size = 0;

        cr_assert_eq(begin(&credential, &challenge, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_activate_credential(tpm, &request.ek, &credential, secret, &size, &e), 0, "%s",
                     e.message);
        cr_expect_eq(enrol_finish(&challenge, secret, size, &e), 0, "%s", e.message);
        cr_expect_arr_eq(challenge.ak_name, request.ak.name, TPM_NAME_SIZE);
        cr_expect_eq(enrol_finish(&challenge, secret, size, &e), -EKEYREJECTED, "a second answer");
}

Test(enrol, wrong_secret)
{
        struct enrol_challenge challenge;
        struct tpm_credential credential;
        uint8_t secret[32] = {};
        size_t size = 0;

        cr_assert_eq(begin(&credential, &challenge, NULL), 0);
        cr_expect_eq(enrol_finish(&challenge, secret, sizeof(secret), NULL), -EKEYREJECTED);
        cr_assert_eq(tpm_activate_credential(tpm, &request.ek, &credential, secret, &size, NULL), 0);
        cr_expect_eq(enrol_finish(&challenge, secret, size, NULL), -EKEYREJECTED, "the right one, too late");
}

/* A credential for one attestation key opens nothing for another, though the EK is the same (CVE-2021-3406).
 */
Test(enrol, another_ak)
{
        struct enrol_challenge challenge;
        struct tpm_credential credential;
        uint8_t secret[32];
        size_t size = 0;

        request.ak.name[5] ^= 1;
        cr_assert_eq(begin(&credential, &challenge, NULL), 0);
        cr_expect_lt(tpm_activate_credential(tpm, &request.ek, &credential, secret, &size, NULL), 0);
}

Test(enrol, certificates)
{
        struct enrol_challenge challenge;
        struct tpm_credential credential;
        struct tpm_public good = request.ek;
        struct error e = {};

        cr_expect_eq(enrol_begin(&request, authorities, 0, &credential, &challenge, &e), -EKEYEXPIRED, "%s",
                     e.message);
        cr_expect_eq(enrol_begin(&request, "no PEM", time(NULL), &credential, &challenge, &e), -EINVAL);
        request.ek = request.ak;
        cr_expect_eq(begin(&credential, &challenge, &e), -EKEYREJECTED, "%s", e.message);
        request.ek = good;
        request.ek_certificate_size--;
        cr_expect_eq(begin(&credential, &challenge, &e), -EBADMSG, "%s", e.message);
        request.ek_certificate_size++;
        ek.certificate[ek.certificate_size - 1] ^= 1;
        cr_expect_eq(begin(&credential, &challenge, &e), -EKEYREJECTED, "%s", e.message);
        ek.certificate[ek.certificate_size - 1] ^= 1;
        cr_expect_eq(begin(&credential, &challenge, &e), 0, "%s", e.message);
}

/* The maker's authority of another TPM. */
Test(enrol, another_authority)
{
        struct enrol_challenge challenge;
        struct tpm_credential credential;
        struct swtpm other;
        struct error e = {};

        swtpm_start_certified(&other);
        free(authorities);
        authorities = read_authority(&other);
        cr_expect_eq(begin(&credential, &challenge, &e), -ENOKEY, "%s", e.message);
        swtpm_done(&other);
}
