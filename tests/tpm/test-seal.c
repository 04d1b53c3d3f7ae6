/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Secrets that only this TPM gives out, to an approved boot alone. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/process.h"
#include "fixture.h"
#include "swtpm.h"
#include "tpm/seal.h"

static const uint8_t secret[32] = "thirty-two bytes that are secret";
static struct swtpm machine;
static struct authority owner;
static struct tpm_pcr_policy approved;
static struct tpm_authorization authorization;
static struct tpm *tpm;

static struct tpm *open_tpm(const struct swtpm *s)
{
        struct tpm *opened = NULL;
        struct error e = {};

        cr_assert_eq(tpm_open(s->tcti, &opened, &e), 0, "%s", e.message);
        return opened;
}

static void start(void)
{
        swtpm_start(&machine);
        authority_make(&owner);
        tpm = open_tpm(&machine);
        extend(tpm, 14, "image");
        authority_approve(&owner, tpm, &approved);
        authorization = (struct tpm_authorization){&owner.public_area, &approved, 1};
}

static void stop(void)
{
        tpm_free(tpm);
        authority_done(&owner);
        swtpm_done(&machine);
}

static void seal(struct tpm_sealed *ret)
{
        struct error e = {};

        cr_assert_eq(tpm_seal(tpm, &owner.public_area, secret, sizeof(secret), ret, &e), 0, "%s", e.message);
}

static void expect_unsealed(const struct tpm_sealed *sealed)
{
        uint8_t found[sizeof(secret)] = {};
        struct error e = {};

        cr_assert_eq(tpm_unseal(tpm, sealed, &authorization, found, sizeof(found), &e), 0, "%s", e.message);
        cr_expect_arr_eq(found, secret, sizeof(secret));
}

static void expect_refused(struct tpm *by, const struct tpm_sealed *sealed, int expected, const char *message)
{
        uint8_t found[sizeof(secret)] = {}, nothing[sizeof(secret)] = {};
        struct error e = {};

        cr_expect_eq(tpm_unseal(by, sealed, &authorization, found, sizeof(found), &e), expected, "%s",
                     e.message);
        cr_expect(strstr(e.message, message), "%s", e.message);
        cr_expect_arr_eq(found, nothing, sizeof(found));
}

TestSuite(seal, .init = start, .fini = stop);

Test(seal, comes_back_after_a_reboot)
{
        struct tpm_sealed sealed, parsed;
        struct error e = {};

        seal(&sealed);
        expect_unsealed(&sealed);
        tpm_free(tpm);
        swtpm_restart(&machine);
        tpm = open_tpm(&machine);
        expect_refused(tpm, &sealed, -EPERM, "PCR 14: ");
        extend(tpm, 14, "image");
        cr_assert_eq(tpm_sealed_parse(&owner.public_area, sealed.public_area.bytes, sealed.public_area.size,
                                      sealed.private_area, sealed.private_size, &parsed, &e),
                     0, "%s", e.message);
        cr_expect_arr_eq(parsed.public_area.name, sealed.public_area.name, TPM_NAME_SIZE);
        expect_unsealed(&parsed);
}

Test(seal, a_capped_boot_gets_nothing)
{
        struct tpm_sealed sealed;

        seal(&sealed);
        extend(tpm, 14, "cap");
        expect_refused(tpm, &sealed, -EPERM, "PCR 14: ");
}

/* A new image means new values, and one more signature for what was sealed long ago. */
Test(seal, newly_signed_policy)
{
        struct tpm_pcr_policy policies[2] = {approved};
        struct tpm_sealed sealed;

        seal(&sealed);
        extend(tpm, 11, "another image");
        expect_refused(tpm, &sealed, -EPERM, "PCR 11: ");
        authority_approve(&owner, tpm, &policies[1]);
        authorization = (struct tpm_authorization){&owner.public_area, policies, 2};
        expect_unsealed(&sealed);
}

Test(seal, policy_that_the_owner_did_not_sign)
{
        struct authority stranger;
        struct tpm_sealed sealed;

        seal(&sealed);
        authority_make(&stranger);
        authority_sign(&stranger, &approved);
        expect_refused(tpm, &sealed, -EKEYREJECTED, "signature");
        /* The stranger's word for himself satisfies his policy, which is not the object's: the TPM refuses.
         */
        authorization.authority = &stranger.public_area;
        expect_refused(tpm, &sealed, -EPERM, "Unseal");
        authority_done(&stranger);
}

Test(seal, no_policies)
{
        struct tpm_sealed sealed;

        seal(&sealed);
        authorization.n = 0;
        expect_refused(tpm, &sealed, -EPERM, "at least one signed policy expected");
}

Test(seal, another_tpm)
{
        struct tpm_sealed sealed;
        struct swtpm other;
        struct tpm *second;

        seal(&sealed);
        swtpm_start(&other);
        second = open_tpm(&other);
        extend(second, 14, "image");
        expect_refused(second, &sealed, -EBADMSG, "sealed by this TPM expected");
        tpm_free(second);
        swtpm_done(&other);
}

/* No bit of either blob may be another. */
Test(seal, changed_blobs)
{
        struct tpm_sealed sealed, changed;
        unsigned taken = 0;

        seal(&sealed);
        for (size_t i = 0; i < sealed.public_area.size + sealed.private_size; i += 3) {
                uint8_t found[sizeof(secret)];
                uint8_t *byte = NULL;
                int r;

                changed = sealed;
                byte = i < sealed.public_area.size ? &changed.public_area.bytes[i]
                                                   : &changed.private_area[i - sealed.public_area.size];
                *byte ^= 1;
                r = tpm_sealed_parse(&owner.public_area, changed.public_area.bytes, changed.public_area.size,
                                     changed.private_area, changed.private_size, &changed, NULL);
                if (r < 0) {
                        cr_assert_eq(r, -EBADMSG, "byte %zu", i);
                        continue;
                }
                taken++;
                r = tpm_unseal(tpm, &changed, &authorization, found, sizeof(found), NULL);
                cr_assert(r == -EBADMSG || r == -EIO, "byte %zu: %d", i, r);
        }
        cr_expect_gt(taken, 20);
        expect_unsealed(&sealed);
}

Test(seal, foreign_template)
{
        struct authority stranger;
        struct tpm_sealed sealed, parsed;
        struct error e = {};

        seal(&sealed);
        authority_make(&stranger);
        cr_expect_eq(tpm_sealed_parse(&stranger.public_area, sealed.public_area.bytes,
                                      sealed.public_area.size, sealed.private_area, sealed.private_size,
                                      &parsed, &e),
                     -EBADMSG);
        cr_expect_eq(tpm_sealed_parse(&owner.public_area, owner.public_area.bytes, owner.public_area.size,
                                      sealed.private_area, sealed.private_size, &parsed, &e),
                     -EBADMSG);
        authority_done(&stranger);
}

Test(seal, sizes)
{
        uint8_t large[TPM_SECRET_MAX + 1] = {}, found[TPM_SECRET_MAX];
        struct tpm_sealed sealed;
        struct error e = {};

        cr_expect_eq(tpm_seal(tpm, &owner.public_area, large, 0, &sealed, NULL), -EINVAL);
        cr_expect_eq(tpm_seal(tpm, &owner.public_area, large, sizeof(large), &sealed, NULL), -EINVAL);
        cr_assert_eq(tpm_seal(tpm, &owner.public_area, large, TPM_SECRET_MAX, &sealed, &e), 0, "%s",
                     e.message);
        cr_expect_eq(tpm_unseal(tpm, &sealed, &authorization, found, TPM_SECRET_MAX, &e), 0, "%s", e.message);
        cr_expect_eq(tpm_unseal(tpm, &sealed, &authorization, found, 32, &e), -EBADMSG);
}

/* TPM2_Clear makes a new storage root key: what was sealed is lost. */
Test(seal, cleared)
{
        char *argv[] = {"tpm2_clear", "-T", machine.tcti, NULL};
        struct tpm_sealed sealed;
        struct error e = {};

        seal(&sealed);
        tpm = tpm_free(tpm);
        cr_assert_eq(process_check(argv, &(struct process_options){.timeout_ms = 60 * 1000}, &e), 0, "%s",
                     e.message);
        tpm = open_tpm(&machine);
        expect_refused(tpm, &sealed, -EBADMSG, "sealed by this TPM expected");
}
