/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity sign and verity verify as pipelines use them: keys that lie elsewhere, signers below an authority.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/process.h"
#include "scratch.h"
#include "trust/trust.h"

/* An image with its root hash in the file hash, the authorities and signers of pki.sh, trust with one of them
 * and a list that revokes leaf-revoked. */
static void set_up(void)
{
        scratch_enter();
        cr_assert_eq(setenv("PATH", BIN_DIR ":/usr/sbin:/usr/bin:/sbin:/bin", 1), 0);
        shell("sh " PKI " %s", TRUST_OID_PURPOSES);
        shell("mkdir t trust pinned && echo hello >t/a && printf %%s $(verity build t -o t.img) >hash && "
              "verity keygen --purpose=layer --key=own.key --certificate=own.pem && "
              "cp own.pem pinned/layer.pem && cp root.pem trust/layer.pem && cp revoking.crl trust/crl.pem "
              "&& "
              "cat leaf-middle.pem middle.pem >leaf-middle-path.pem");
}

TestSuite(sign, .init = set_up, .fini = scratch_leave);

#define SIGN "verity sign t.img --root-hash=$(cat hash) "
#define VERIFY "verity verify t.img --root-hash=$(cat hash) --signature=s "

static void expect(const char *line, int status, const char *says)
{
        char *argv[] = {(char *)"sh", (char *)"-c", (char *)line, NULL};
        struct process_result result = {};

        cr_assert_eq(process_run(argv, NULL, &result, NULL), 0);
        cr_expect_eq(result.status, status, "%s: exit status %d expected, found %d: %s", line, status,
                     result.status, result.output);
        cr_expect_not_null(strstr(result.output, says), "%s: \"%s\" expected, found: %s", line, says,
                           result.output);
        free(result.output);
        shell("! ls *.tmp d s 2>/dev/null");
}

/* One test for all: making the authorities takes longer than the rest. */
Test(sign, exit_status)
{
        static const struct {
                const char *line;
                int status;
                const char *says;
        } cases[] = {
                {SIGN "--certificate=own.pem -o s", 2, "one of --key=, --digest-out= and --attach="},
                {SIGN "--key=own.key --attach=t/a --certificate=own.pem -o s", 2, "one of --key="},
                {SIGN "--digest-out=d", 2, "--certificate="},
                {SIGN "--digest-out=t.img --certificate=own.pem", 2, "t.img"},
                {SIGN "--digest-out=d --certificate=leaf-policy.pem", 1,
                 "purpose layer expected, found policy"},
                {SIGN "--attach=t/a --certificate=own.pem", 2, "--output="},
                {SIGN "--attach=t/a --certificate=own.pem -o s", 1, "t/a: raw signature"},
                {SIGN "--attach=absent --certificate=own.pem -o s", 2, "absent"},
                {SIGN "--key=own.key --certificate=own.pem -o s --provider=none", 2, "provider \"none\""},
                {SIGN "--key=leaf.key --certificate=leaf.pem -o s && " VERIFY
                      "--trust=trust; s=$?; rm s; exit $s",
                 0, "and the signature a trusted one for layer"},
                {SIGN "--key=leaf-middle.key --certificate=leaf-middle-path.pem -o s && " VERIFY
                      "--trust=trust; s=$?; rm s; exit $s",
                 0, "and the signature"},
                {SIGN "--key=leaf-middle.key --certificate=leaf-middle.pem -o s && " VERIFY
                      "--trust=trust; s=$?; rm s; exit $s",
                 1, "unable to get"},
                {SIGN "--key=leaf-revoked.key --certificate=leaf-revoked.pem -o s && " VERIFY
                      "--trust=trust; s=$?; rm s; exit $s",
                 1, "revoked on"},
                {SIGN "--key=own.key --certificate=own.pem -o s && " VERIFY
                      "--trust=pinned --at=2020-02-29T12:00:00+01:00; s=$?; rm s; exit $s",
                 1, "valid at 2020-02-29T11:00:00Z expected"},
                {SIGN "--key=own.key --certificate=own.pem -o s && " VERIFY
                      "--trust=pinned --at=@$(($(date +%s) + 100000)); s=$?; rm s; exit $s",
                 0, "and the signature"},
                {SIGN "--key=leaf-old.key --certificate=leaf-old.pem -o s", 1, "expired since 2021-01-01"},
                {SIGN "--key=leaf-future.key --certificate=leaf-future.pem -o s", 1,
                 "not valid before 2090-01-01"},
                {SIGN "--certificate=leaf-old.pem --digest-out=s", 1, "expired since 2021-01-01"},
                {SIGN "--key=leaf-old.key --certificate=leaf-old.pem -o s --at=2020-06-01T00:00:00Z && rm s",
                 0, ""},
                {SIGN "--key=leaf.key --certificate=leaf.pem -o s --at=2020-06-01T00:00:00Z", 1,
                 "certificates valid at 2020-06-01T00:00:00Z expected"},
                {SIGN "--key=own.key --certificate=own.pem -o s && " VERIFY
                      "--trust=pinned --at=yesterday; s=$?; rm s; exit $s",
                 2, "--at"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                expect(cases[i].line, cases[i].status, cases[i].says);
}

/* What the key's owner gets is the digest and nothing else, and what comes back is the signature. */
Test(sign, a_key_elsewhere_gives_the_same_signature)
{
        shell(SIGN
              "--key=own.key --certificate=own.pem -o expected && " SIGN
              "--certificate=own.pem --digest-out=digest >printed && "
              "test $(stat -c %%s digest) = 32 && "
              "test $(cat printed) = $(openssl dgst -sha256 -r hash | cut -d' ' -f1) && "
              "openssl pkeyutl -sign -inkey own.key -in digest -pkeyopt digest:sha256 | base64 >raw && " SIGN
              "--certificate=own.pem --attach=raw -o s && cmp s expected && " SIGN
              "--certificate=own.pem --attach=raw -o p --format=partition && "
              "verity verify t.img --root-hash=$(cat hash) --signature=p --trust=pinned");
}

Test(sign, json_of_the_digest)
{
        shell(SIGN "--certificate=leaf.pem --digest-out=digest --json=short >json && "
                   "grep -q '\"digest_algorithm\":\"sha256\"' json && grep -q "
                   "'\"signature_scheme\":\"ECDSA\"' json && "
                   "grep -qF \"\\\"digest_base64\\\":\\\"$(base64 -w0 digest)\\\"\" json && "
                   "grep -q \"\\\"root_hash\\\":\\\"$(cat hash)\\\"\" json");
}

Test(sign, json_of_a_refusal_has_every_check)
{
        shell(SIGN "--key=leaf-revoked.key --certificate=leaf-revoked.pem -o s && ! " VERIFY
                   "--trust=trust --json=short >json && grep -q '\"signature_verified\":false' json && "
                   "grep -q '{\"check\":\"revocation\",\"ok\":false,' json && "
                   "grep -q '{\"check\":\"signature\",\"ok\":true,' json");
}

/* The command of the README. */
Test(sign, openssl_verifies_what_we_sign)
{
        shell(SIGN
              "--key=own.key --certificate=own.pem -o s && "
              "openssl cms -verify -binary -inform DER -in s -content hash -certfile own.pem -nointern "
              "-noverify "
              "-out /dev/null && " SIGN "--key=leaf-middle.key --certificate=leaf-middle-path.pem -o s && "
              "openssl cms -verify -binary -inform DER -in s -content hash -CAfile root.pem -purpose any "
              "-out /dev/null");
}

/* --- authorities --- */

#define CA "--issuer-key=ca.key --issuer-certificate=ca.pem "

Test(sign, keygen_makes_authorities_and_signers_below_them)
{
        shell("verity keygen --purpose=layer --authority --key=ca.key --certificate=ca.pem --algorithm=p384 "
              "&& "
              "verity keygen --purpose=layer --days=90 --key=ci.key --certificate=ci.pem --algorithm=p256 " CA
              "&& mkdir ca && cp ca.pem ca/layer.pem && " SIGN
              "--key=ci.key --certificate=ci.pem -o s && " VERIFY "--trust=ca && "
              "! " VERIFY "--trust=pinned && "
              "! " VERIFY "--trust=ca --at=@$(($(date +%%s) + 91 * 86400)) && "
              "openssl verify -x509_strict -CAfile ca.pem -purpose any ci.pem");
        shell("verity keygen --purpose=policy --key=no.key --certificate=no.pem " CA "2>says; test $? = 1 && "
              "grep -q 'may issue for the purpose policy' says && test ! -e no.key");
        shell("! verity keygen --purpose=layer --key=no.key --certificate=no.pem --issuer-key=ci.key "
              "--issuer-certificate=ci.pem");
        shell("! " SIGN "--key=ca.key --certificate=ca.pem -o no.sig");
        shell("verity keygen --purpose=layer --key=no.key --certificate=no.pem --issuer-key=ca.key; test $? "
              "= 2");
        shell("verity keygen --purpose=layer --key=no.key --certificate=no.pem --days=36501; test $? = 2");
}
