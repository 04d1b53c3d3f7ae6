/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chains, validity and revocation, on authorities that data/pki.sh makes; and what the kernel was seen to
 * answer to signatures that we refuse. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "../verity-tools/scratch.h"
#include "base/file.h"
#include "trust/trust.h"

static const char data[] = "b1f70444dd50abab40255db49cf605164124b9c8152ffe9ed810eada35ea2ca5";
#define SIZE (sizeof(data) - 1)

static void set_up(void)
{
        scratch_enter();
        shell("sh %s/pki.sh %s", TEST_DATA, TRUST_OID_PURPOSES);
        put("data", data, SIZE);
}

TestSuite(path, .init = set_up, .fini = scratch_leave);

/* Signs as `signer` with the certificates of `inside`, and verifies with a directory of `trusted` and
 * `lists`. */
static int verify(const char *signer, const char *inside, const char *trusted, const char *lists, int64_t at,
                  struct trust_report *report, struct error *e)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *store = NULL;
        _cleanup_free_ char *der = NULL;
        size_t size;
        int r;

        shell("rm -rf trust && mkdir trust && for x in %s; do cat $x.pem; done >trust/layer.pem && "
              "for x in %s; do cp $x.crl trust/$x.crl.pem; done",
              trusted, lists);
        shell("for x in %s; do cat $x.pem; done >inside.pem; "
              "openssl cms -sign -binary -noattr -in data -signer %s.pem -inkey %s.key $(test -s inside.pem "
              "&& "
              "echo -certfile inside.pem) -outform DER -out signature",
              inside, signer, signer);
        r = trust_store_open_pki(AT_FDCWD, "trust", at, &store, e);
        if (r < 0)
                return r;
        der = slurp("signature", &size);
        return trust_report_detached(store, TRUST_LAYER, data, SIZE, der, size, report, e);
}

#define DEEP "deep1 deep2 deep3 deep4 deep5 deep6 deep7 deep8"

Test(path, chains)
{
        static const struct {
                const char *signer, *inside, *trusted, *lists;
                int result;
                const char *says;
        } cases[] = {
                {"leaf", "", "root", "", 0, ""},
                {"leaf-middle", "middle", "root", "", 0, ""},
                {"leaf-middle", "", "middle", "", 0, ""},
                {"leaf-layers", "layers", "root", "", 0, ""},
                {"pinned", "", "pinned", "", 0, ""},
                {"leaf", "", "leaf", "", 0, ""},
                {"leaf", "", "root", "empty", 0, ""},
                {"leaf-middle", "middle", "root", "empty", 0, ""},
                {"leaf", "", "root other", "revoking", 0, ""},

                {"leaf-deep8", DEEP, "root", "", 0, ""},
                {"leaf-deep9", DEEP " deep9", "root", "", -EKEYREJECTED, "too long"},

                {"leaf-middle", "", "root", "", -ENOKEY, "unable to get"},
                {"leaf-stranger", "stranger", "root", "", -ENOKEY, "CN=stranger"},
                {"leaf-stranger", "", "root", "", -ENOKEY, "SHA-256 "},
                {"pinned", "", "root", "", -ENOKEY, "self"},
                {"leaf-policy", "", "root", "", -EKEYREJECTED, "purpose layer expected, found policy"},
                {"leaf-plain-usage", "", "root", "", -EKEYREJECTED, "found none or several"},
                {"root", "", "root", "", -EKEYREJECTED, "found none or several"},
                {"leaf", "", "mail", "", -EKEYREJECTED, "trust/layer.pem: certificate for the purpose layer"},
                {"leaf-curve", "", "root", "", -EKEYREJECTED, "P-256 or P-384 expected, found EC secp521r1"},
                {"leaf-usage", "", "root", "", -EKEYREJECTED, "digitalSignature"},
                {"leaf-deep", "below-short short", "root", "", -EKEYREJECTED, "path length"},
                {"leaf-no-sign", "no-sign", "root", "", -EKEYREJECTED, "invalid CA"},
                {"leaf-no-ca", "no-ca", "root", "", -EKEYREJECTED, "invalid CA"},
                {"leaf-mail", "mail", "root", "", -EKEYREJECTED, "extended key usage"},
                {"leaf-edwards", "edwards", "root", "", -EKEYREJECTED, "kernel would answer ENOPKG"},
                {"leaf-no-ids", "", "root", "", -EKEYREJECTED, "kernel would answer ENOKEY"},
                {"leaf-critical", "", "root", "", -EKEYREJECTED, "critical extension"},
                {"leaf-sha1", "", "root", "", -EKEYREJECTED, "too weak"},

                {"leaf-old", "", "root", "", -EKEYEXPIRED, "expired since 2021-01-01T00:00:00Z"},
                {"leaf-future", "", "root", "", -EKEYEXPIRED, "not valid before 2090-01-01T00:00:00Z"},

                {"leaf-revoked", "", "root", "revoking", -EKEYREVOKED, "revoked on 20"},
                {"leaf-revoked", "", "root", "empty revoking", -EKEYREVOKED, "revoked on 20"},
                {"leaf-middle", "middle", "root", "revoking-middle", -EKEYREVOKED, "CN=middle revoked"},
                {"leaf-revoked", "", "root", "revoking empty", -EKEYREVOKED, "revoked on 20"},
                {"leaf", "", "leaf", "empty", -EKEYREJECTED, "valid revocation list"},
                {"leaf", "", "root", "old", -EKEYREJECTED, "CRL has expired"},
                {"leaf", "", "root", "future", -EKEYREJECTED, "CRL is not yet valid"},
                {"leaf", "", "root", "forged", -EKEYREJECTED, "valid revocation list"},
                {"leaf", "", "root", "scope", -EKEYREJECTED, "valid revocation list"},
                {"leaf", "", "root", "sha1", -EBADMSG, "SHA-256 or better"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct trust_report report = {};
                struct error e = {};
                int r = verify(cases[i].signer, cases[i].inside, cases[i].trusted, cases[i].lists, time(NULL),
                               &report, &e);

                cr_expect_eq(r, cases[i].result, "%s under %s with %s: %d expected, found %d: %s",
                             cases[i].signer, cases[i].trusted, cases[i].lists, cases[i].result, r,
                             e.message);
                cr_expect_not_null(strstr(e.message, cases[i].says), "%s: \"%s\" expected, found %s",
                                   cases[i].signer, cases[i].says, e.message);
        }
}

static int64_t in_2020(void)
{
        return 1590000000;
}

Test(path, time_asked_for)
{
        struct trust_report report;
        struct error e = {};

        cr_expect_eq(verify("leaf-old", "", "leaf-old", "", in_2020(), &report, &e), 0, "%s", e.message);
        cr_expect_eq(verify("leaf-old", "", "root", "", in_2020(), &report, &e), -EKEYEXPIRED,
                     "the authority is younger");
        cr_expect_eq(verify("leaf-revoked", "", "root", "revoking", time(NULL) + 1000, &report, &e),
                     -EKEYREVOKED);
}

Test(path, a_report_goes_on_behind_an_expired_certificate)
{
        static const char *const checks[] = {"form",     "signer",     "chain",
                                             "validity", "revocation", "signature"};
        struct trust_report report = {};

        cr_expect_eq(verify("leaf-old", "", "root", "", time(NULL), &report, NULL), -EKEYEXPIRED);
        cr_assert_eq(report.n, ELEMENTSOF(checks));
        for (size_t i = 0; i < report.n; i++) {
                cr_expect_str_eq(report.findings[i].check, checks[i]);
                cr_expect_eq(report.findings[i].result, i == 3 ? -EKEYEXPIRED : 0);
                cr_expect_eq(report.findings[i].kernel, 0, "the kernel knows no clock");
                cr_expect(*report.findings[i].expected && *report.findings[i].found);
        }
}

/* Loaders in the machine know neither authorities nor time. */
Test(path, a_plain_store_trusts_certificates_by_themselves_alone)
{
        struct trust_report report;
        struct trust_store *store = NULL;
        struct error e = {};

        cr_expect_eq(verify("leaf-old", "", "root", "", time(NULL), &report, &e), -EKEYEXPIRED);
        cr_expect_eq(trust_store_open(AT_FDCWD, "trust", &store, &e), -EKEYREJECTED);
        cr_expect_eq(verify("leaf-old", "root", "leaf", "", time(NULL), &report, &e), -ENOKEY);
        cr_assert_eq(trust_store_open(AT_FDCWD, "trust", &store, &e), 0, "%s", e.message);
        {
                size_t size;
                _cleanup_free_ char *der = slurp("signature", &size);

                cr_expect_eq(trust_verify_detached(store, TRUST_LAYER, data, SIZE, der, size, &e), -ENOKEY);
        }
        trust_store_free(store);
}

Test(path, limits)
{
        struct trust_report report;
        struct error e = {};
        struct trust_store *store = NULL;

        shell("rm -f many.pem; for i in $(seq 33); do cat middle.pem >>many.pem; "
              "openssl req -new -x509 -key stranger.key -subj /CN=$i -out $i.pem && cat $i.pem "
              ">>different.pem; "
              "done");
        cr_expect_lt(verify("leaf", "different", "root", "", time(NULL), &report, &e), 0);
        cr_expect_not_null(strstr(e.message, "32 are the limit"), "%s", e.message);
        cr_expect_eq(verify("leaf", "", "many", "", time(NULL), &report, &e), -E2BIG);
        shell("rm -rf trust && mkdir trust && for i in $(seq 33); do cat empty.crl; done >trust/crl.pem");
        cr_expect_eq(trust_store_open_pki(AT_FDCWD, "trust", 0, &store, &e), -E2BIG);
        shell("head -c 4194305 /dev/zero >trust/crl.pem");
        cr_expect_eq(trust_store_open_pki(AT_FDCWD, "trust", 0, &store, &e), -EFBIG);
        shell("echo hello >trust/crl.pem");
        cr_expect_eq(trust_store_open_pki(AT_FDCWD, "trust", 0, &store, &e), -EBADMSG);
        cr_expect_null(store);
}

/* Rows of what Linux 6.12 answered to `openssl cms -sign` with these options; 0: it takes it. */
Test(path, what_the_kernel_answers)
{
        static const struct {
                const char *options, *content;
                int result, kernel;
                const char *says;
        } rows[] = {
                {"-binary -noattr", "", 0, 0, ""},
                {"-binary -noattr -nocerts", "", 0, 0, ""},
                {"-binary -noattr -keyid", "", 0, 0, ""},
                {"-binary -noattr -md sha512", "", 0, 0, ""},
                {"-binary -noattr -md sha1", "", -EBADMSG, 0, "sha1"},
                {"-binary -nosmimecap", "", -EBADMSG, 0, "no signed attributes"},
                {"-binary", "", -EBADMSG, -EKEYREJECTED, "no signed attributes"},
                {"-binary -noattr -nodetach", "", -EBADMSG, -EBADMSG, "one with content"},
                {"-binary -noattr -keyopt rsa_padding_mode:pss", "", -EBADMSG, -ENOPKG, "rsassaPss"},
                {"-binary -noattr", "; echo >>content", -EKEYREJECTED, -EKEYREJECTED, "newline"},
                {"-binary -noattr", "; tr a-f A-F <data >content", -EKEYREJECTED, -EKEYREJECTED,
                 "upper case"},
                {"-binary -noattr", "; tr a-f A-F <data | basenc --base16 -d >content", -EKEYREJECTED,
                 -EKEYREJECTED, "bytes that the digits"},
                {"-binary -noattr", "; echo x >content", -EKEYREJECTED, -EKEYREJECTED, "something else"},
        };
        struct trust_store *store = NULL;

        shell("openssl req -new -x509 -newkey rsa:2048 -nodes -subj /CN=rsa -keyout rsa.key -out rsa.pem "
              "-addext "
              "extendedKeyUsage=critical,%s.3 && mkdir trust && cp rsa.pem trust/layer.pem",
              TRUST_OID_PURPOSES);
        cr_assert_eq(trust_store_open_pki(AT_FDCWD, "trust", time(NULL), &store, NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct trust_report report = {};
                struct error e = {};
                size_t size;
                _cleanup_free_ char *der = NULL;
                int r;

                shell("cp data content%s", rows[i].content);
                shell("openssl cms -sign -in content -signer rsa.pem -inkey rsa.key -outform DER -out s %s",
                      rows[i].options);
                der = slurp("s", &size);
                r = trust_report_detached(store, TRUST_LAYER, data, SIZE, der, size, &report, &e);
                cr_expect_eq(r, rows[i].result, "%s%s: %s", rows[i].options, rows[i].content, e.message);
                cr_expect_eq(report.findings[report.n - 1].kernel, rows[i].kernel, "%s%s: %s",
                             rows[i].options, rows[i].content, e.message);
                cr_expect_not_null(strstr(e.message, rows[i].says), "%s: %s", rows[i].says, e.message);
        }
        trust_store_free(store);
}
