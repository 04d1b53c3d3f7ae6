/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs that an owner's build calls: predict, manifest, authorize, profile, show. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/process.h"
#include "log-writer.h"
#include "osguard/osguard.h"
#include "predict-fixture.h"

#define SIGN "--key=build.key --certificate=build.pem"
#define FILES "--firmware=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd --variables=vars.fd"

static void enter(void)
{
        predict_enter();
        trust_signer_free(make_signer("layer", TRUST_LAYER));
        put_text("host.ipe", "policy_name=host policy_version=2.0.0\nDEFAULT action=DENY\n"
                             "op=EXECUTE dmverity_signature=TRUE action=ALLOW\n");
        shell("mkdir trust && cp build.pem trust");
}

TestSuite(program, .init = enter, .fini = scratch_leave);

/* Expects this exit status, and the text in what was printed. */
static void expect(int status, const char *text, const char *arguments)
{
        struct process_result result = {};
        char line[2048];

        (void)snprintf(line, sizeof(line), BIN_DIR "/attest %s", arguments);
        cr_assert_eq(process_run((char *[]){(char *)"sh", (char *)"-c", line, NULL}, NULL, &result, NULL), 0);
        cr_expect_eq(result.status, status, "%s: %d: %s", arguments, result.status, result.output);
        cr_expect_not_null(strstr(result.output, text), "%s: %s", arguments, result.output);
        free(result.output);
}

Test(program, a_manifest_is_written_shown_and_taken_by_osguard)
{
        struct tpm_pcr_policy *policies = NULL;
        struct error e = {};
        char *text;
        size_t n = 0;

        put_text("packages.json", "[{\"name\": \"bash\", \"version\": \"5\", \"architecture\": \"amd64\", "
                                  "\"source\": \"bash\"}]");
        expect(0, "", "manifest uki.efi " FILES " --packages=packages.json " SIGN " -o manifest.p7m");
        expect(0, "\"SPDX-2.3\"", "show manifest.p7m --trust=trust");
        text = shell_output(BIN_DIR "/attest show manifest.p7m --trust=trust --json=short");
        cr_expect_eq(pcr_policies_parse("manifest", text, strlen(text), NULL, &policies, &n, &e), 0, "%s",
                     e.message);
        cr_expect_eq(n, 1u);
        free(policies);
        free(text);
}

/* osguard takes no more than 2 MiB: the machine would not boot. */
Test(program, a_manifest_that_osguard_cannot_read_is_not_written)
{
        shell("{ echo '['; for i in $(seq 1 3999); do printf '{\"name\":\"%%0600d\",\"version\":\"5\","
              "\"architecture\":\"amd64\",\"source\":\"s\"},' $i; done; "
              "echo '{\"name\":\"x\",\"version\":\"5\",\"architecture\":\"amd64\",\"source\":\"s\"}]'; } "
              ">packages.json");
        expect(2, "manifest.p7m: at most",
               "manifest uki.efi " FILES " --packages=packages.json " SIGN " -o manifest.p7m");
        shell("test ! -e manifest.p7m");
}

Test(program, the_answer_is_no_where_a_signature_or_a_file_is_not_right)
{
        expect(0, "", "manifest uki.efi " FILES " " SIGN " -o manifest.p7m");
        expect(2, "--trust=", "show manifest.p7m");
        shell("mkdir none");
        expect(1, "manifest.p7m", "show manifest.p7m --trust=none");
        expect(1, "purpose", "manifest uki.efi " FILES " --key=layer.key --certificate=layer.pem -o x.p7m");
        expect(2, "--output=", "manifest uki.efi " FILES " " SIGN);
        expect(2, "PCR 7", "manifest uki.efi " SIGN " -o x.p7m");
        expect(2, "uki.efi", "manifest uki.efi " FILES " " SIGN " -o uki.efi");
        expect(1, "linux", "predict linux");
        expect(2, "absent", "predict absent");
        make_uki("foreign.efi", "foreign", "");
        expect(1, "db", "predict foreign.efi " FILES);
        shell("test ! -e x.p7m");
}

/* osguard would power such a machine off. */
Test(program, a_command_line_that_osguard_refuses_is_not_predicted)
{
        put_text("cmdline", "console=ttyS0 quiet init=/bin/sh\n");
        make_uki("other.efi", "boot", "");
        expect(1, ".cmdline", "predict other.efi");
}

Test(program, a_newer_host_policy_gets_its_policies_for_several_images)
{
        struct tpm_pcr_policy *policies = NULL;
        char *text;
        size_t n = 0;

        trust_signer_free(make_signer("policy", TRUST_POLICY));
        shell(BIN_DIR "/ipe-policy sign host.ipe --key=policy.key --certificate=policy.pem -o host.p7b");
        put_text("osrel", "ID=holdfast\nVERSION_ID=4\n");
        make_uki("next.efi", "boot", "");
        expect(0, "",
               "authorize uki.efi next.efi --variables=vars.fd --ipe-host=host.p7b " SIGN
               " -o ipe-host.json");
        text = slurp("ipe-host.json", NULL);
        cr_expect_eq(pcr_policies_parse("ipe-host.json", text, strlen(text), NULL, &policies, &n, NULL), 0);
        cr_assert_eq(n, 2u);
        cr_expect_arr_eq(policies[0].values[14], policies[1].values[14], 32);
        cr_expect_arr_neq(policies[0].values[11], policies[1].values[11], 32);
        expect(2, "--ipe-host=", "authorize uki.efi --variables=vars.fd " SIGN " -o x.json");
        expect(1, "host.ipe", "authorize uki.efi --variables=vars.fd --ipe-host=host.ipe " SIGN " -o x.json");
        free(policies);
        free(text);
}

static void add_nothing(struct written_log *l, void *unused)
{
}

Test(program, a_profile_is_recorded_and_only_taken_signed)
{
        struct written_log l;

        log_write_boot(&l, LOG_END, add_nothing, NULL);
        put("log", l.bytes, l.size);
        expect(0, "", "profile log --name=vm " SIGN " -o vm.p7m");
        expect(2, "--name=", "profile log " SIGN " -o vm.p7m");
        expect(0, "profile vm", "predict uki.efi --profile=vm.p7m --trust=trust");
        expect(2, "--trust=", "predict uki.efi --profile=vm.p7m");
        expect(1, "vm.p7m", "predict uki.efi " FILES " --profile=vm.p7m --trust=trust");
        expect(1, "PCR 4, event 3", "predict uki.efi --against=log");
}
