/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attest verify, as an operator runs it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/process.h"
#include "evidence-machine.h"
#include "trust/trust.h"

static struct evidence_machine machine;
static char evidence_path[96], policy_path[96], nonce[2 * MACHINE_NONCE_SIZE + 1];

static void put(const char *path, const char *text)
{
        struct error e = {};

        cr_assert_eq(write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600, &e), 0, "%s", e.message);
}

static void put_policy(const char *required)
{
        char text[512];

        (void)snprintf(text, sizeof(text),
                       "{\"version\":1,\"keys\":[\"%s\"],\"validity_seconds\":300,\"required\":%s}",
                       machine.key_name, required);
        put(policy_path, text);
}

static void start(void)
{
        _cleanup_evidence_ struct evidence ev = {};
        _cleanup_free_ char *text = NULL;

        evidence_machine_start(&machine, NULL);
        evidence_machine_collect(&machine, &ev);
        cr_assert_eq(evidence_format(&ev, &text, NULL), 0);
        (void)snprintf(evidence_path, sizeof(evidence_path), "%s/evidence.json", machine.swtpm.directory);
        (void)snprintf(policy_path, sizeof(policy_path), "%s/policy.json", machine.swtpm.directory);
        put(evidence_path, text);
        hex_encode(MACHINE_NONCE, MACHINE_NONCE_SIZE, nonce);
}

static void stop(void)
{
        evidence_machine_done(&machine);
}

TestSuite(verify, .init = start, .fini = stop, .timeout = 120);

/* Options besides: a manifest and who may have signed it. */
static char reference_option[128] = "--json=off", trust_option[128] = "--json=off";

static void expect(const char *with_nonce, const char *json, int status, const char *output)
{
        char program[] = BIN_DIR "/attest", policy[128], nonce_option[128];
        char *argv[] = {program,          "verify",     evidence_path, policy, nonce_option,
                        reference_option, trust_option, (char *)json,  NULL};
        struct process_result r = {};
        struct error e = {};

        (void)snprintf(policy, sizeof(policy), "--policy=%s", policy_path);
        (void)snprintf(nonce_option, sizeof(nonce_option), "--nonce=%s", with_nonce);
        cr_assert_eq(process_run(argv, &(struct process_options){.timeout_ms = 60000}, &r, &e), 0, "%s",
                     e.message);
        cr_expect_eq(r.status, status, "%s", r.output);
        cr_expect(strstr(r.output, output), "\"%s\" expected, found %s", output, r.output);
        free(r.output);
}

Test(verify, accepted_and_refused)
{
        put_policy("{\"secure-boot\":{\"allowed\":[true]},\"security-version\":{\"min\":3}}");
        expect(nonce, "--json=off", 0, "secure-boot");
        expect(nonce, "--json=pretty", 0, "\"affirming\"");
        put_policy("{\"secure-boot\":{\"allowed\":[true]},\"security-version\":{\"min\":4}}");
        expect(nonce, "--json=off", 1, "claim security-version: {\"min\":4} expected, found 3");
        expect(nonce, "--json=pretty", 1, "\"contraindicated\"");
        expect("00112233445566778899", "--json=off", 1, "nonce: ");
        expect("00112233445566778899", "--json=short", 1, "holdfast.reason");
}

Test(verify, could_not_try)
{
        put_policy("{\"secure-boot\":{\"alowed\":[true]}}");
        expect(nonce, "--json=off", 2, "another one");
        put_policy("{\"secure-boot\":{\"allowed\":[true]}}");
        expect("0011", "--json=off", 2, "--nonce");
        put(evidence_path, "{}");
        expect(nonce, "--json=off", 1, "evidence");
}

/* An owner's key, his trust directory, and a manifest that he signed. */
static void sign_manifest(const char *text)
{
        const struct trust_generate_options o = {
                .purpose = TRUST_BUILD, .algorithm = TRUST_P256, .common_name = "owner"};
        _cleanup_(trust_signer_free_ptr) struct trust_signer *signer = NULL;
        _cleanup_free_ char *key = NULL, *certificate = NULL;
        _cleanup_free_ uint8_t *der = NULL;
        char trust[96], path[128], key_path[128];
        struct error e = {};
        size_t size;

        (void)snprintf(trust, sizeof(trust), "%s/trust", machine.swtpm.directory);
        cr_assert_eq(make_directories(trust, 0700, &e), 0, "%s", e.message);
        cr_assert_eq(trust_generate(&o, &key, &certificate, &e), 0, "%s", e.message);
        (void)snprintf(path, sizeof(path), "%s/build.pem", trust);
        put(path, certificate);
        (void)snprintf(key_path, sizeof(key_path), "%s/build.key", machine.swtpm.directory);
        put(key_path, key);
        cr_assert_eq(trust_signer_open(&(struct trust_signer_options){.key = key_path, .certificate = path},
                                       &signer, &e),
                     0, "%s", e.message);
        cr_assert_eq(trust_sign(signer, TRUST_BUILD, text, strlen(text), true, &der, &size, &e), 0, "%s",
                     e.message);
        (void)snprintf(path, sizeof(path), "%s/manifest.p7m", machine.swtpm.directory);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, der, size, 0600, &e), 0, "%s", e.message);
        (void)snprintf(reference_option, sizeof(reference_option), "--reference=%.100s", path);
        (void)snprintf(trust_option, sizeof(trust_option), "--trust=%s", trust);
}

static void put_manifest(const char *pcr7)
{
        char text[512], digest[65];
        uint8_t image[32];

        cr_assert_eq(trust_sha256(MACHINE_IMAGE, strlen(MACHINE_IMAGE), image), 0);
        hex_encode(image, sizeof(image), digest);
        (void)snprintf(text, sizeof(text),
                       "{\"version\":1,\"image_sha256\":\"%s\",\"variant\":\"prod\",\"security_version\":3,"
                       "\"root_hash\":\"" MACHINE_ROOT_HASH "\",\"pcrs\":{\"7\":\"%s\"}}",
                       digest, pcr7);
        sign_manifest(text);
}

Test(verify, reference)
{
        char pcr7[65];
        uint8_t value[32];
        struct error e = {};

        cr_assert_eq(tpm_pcr_read(machine.tpm, 7, value, &e), 0, "%s", e.message);
        hex_encode(value, sizeof(value), pcr7);
        put_policy("{}");
        put_manifest(pcr7);
        expect(nonce, "--json=off", 0, "pcr7");
        pcr7[0] = pcr7[0] == '0' ? '1' : '0';
        put_manifest(pcr7);
        expect(nonce, "--json=off", 1, "claim pcr7: ");
        sign_manifest("{\"version\":1}");
        expect(nonce, "--json=off", 2, "build manifest");
}

/* Signed with a key that was trusted before the owner made a new one. */
Test(verify, reference_of_another_owner)
{
        char path[128];
        _cleanup_free_ char *old = NULL;
        struct error e = {};
        size_t size;

        put_policy("{}");
        put_manifest(MACHINE_ROOT_HASH);
        (void)snprintf(path, sizeof(path), "%s/manifest.p7m", machine.swtpm.directory);
        cr_assert_eq(read_file(AT_FDCWD, path, TRUST_ATTACHED_MAX, &old, &size, &e), 0, "%s", e.message);
        put_manifest(MACHINE_ROOT_HASH);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, old, size, 0600, &e), 0, "%s", e.message);
        expect(nonce, "--json=off", 1, "manifest.p7m");
}

Test(verify, nothing_demanded)
{
        put_policy("{}");
        expect(nonce, "--json=off", 1, "neither policy nor reference demands anything");
}
