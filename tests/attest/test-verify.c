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

static void expect(const char *with_nonce, const char *json, int status, const char *output)
{
        char policy[128], nonce_option[128];
        struct process_result r = {};
        struct error e = {};

        (void)snprintf(policy, sizeof(policy), "--policy=%s", policy_path);
        (void)snprintf(nonce_option, sizeof(nonce_option), "--nonce=%s", with_nonce);
        {
                char *argv[] = {BIN_DIR "/attest", "verify",     evidence_path, policy,
                                nonce_option,      (char *)json, NULL};

                cr_assert_eq(process_run(argv, &(struct process_options){.timeout_ms = 60000}, &r, &e), 0,
                             "%s", e.message);
        }
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
