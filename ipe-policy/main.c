/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"
#include "program.h"

struct ipe_options options;

static const struct arg_verb verbs[] = {
        {"info", "POLICY", 1, 1, "Show name, version and what may execute", verb_info},
        {"lint", "POLICY…", 1, -1, "Find what the kernel refuses, and what it takes but nobody means",
         verb_lint},
        {"fmt", "POLICY", 1, 1, "Print the canonical form", verb_fmt},
        {"bump", "POLICY", 1, 1, "Raise the version", verb_bump},
        {"eval", "POLICY", 1, 1, "Say whether something is allowed, and by which rule", verb_eval},
        {"explain", "POLICY", 1, 1, "The same, with each rule that was asked", verb_explain},
        {"diff", "OLD NEW", 2, 2, "Show by example what becomes allowed or denied", verb_diff},
        {"generate", "", 0, 0, "Write a policy that allows the layers of images", verb_generate},
        {"from-audit", "POLICY", 1, 1, "Add what the kernel's records on standard input say was denied",
         verb_from_audit},
        {"simulate-upgrade", "ACTIVE NEW…", 2, -1, "Predict the kernel's answers when policies are loaded",
         verb_simulate_upgrade},
        {"sign", "POLICY", 1, 1, "Sign a policy in the form that the kernel loads", verb_sign},
        {"verify", "SIGNED", 1, 1, "Check signature, purpose and policy", verb_verify},
        {},
};

#define PROPERTIES_OF "eval explain"

static const struct arg_option arguments[] = {
        {"output", 'o', ARG_STRING, &options.output, "FILE", "fmt bump generate from-audit sign",
         "what is written; replaced if it is there"},
        {"format", 0, ARG_STRING, &options.format, "text|json|sarif", "lint", "form of the findings"},
        {"severity", 0, ARG_STRING, &options.severity, "error|warning|info", "lint",
         "exit 1 from this severity on (default: error)"},
        {"previous", 0, ARG_STRING, &options.previous, "FILE", "lint",
         "the version must be above this policy's"},
        {"boot", 0, ARG_FLAG, &options.boot, NULL, "lint", "the policy is for the initramfs"},
        {"allow-list", 0, ARG_FLAG, &options.allow_list, NULL, "lint",
         "ask for root hashes beside signatures"},
        {"check", 0, ARG_FLAG, &options.check, NULL, "fmt", "print nothing; exit 1 if the form is another"},
        {"part", 0, ARG_STRING, &options.part, "major|minor|revision", "bump",
         "what is raised (default: revision)"},
        {"op", 0, ARG_STRING, &options.operation, "OPERATION", PROPERTIES_OF,
         "EXECUTE (default), KMODULE, …"},
        {"boot-verified", 0, ARG_STRING, &options.flags[IPE_BOOT_VERIFIED], "TRUE|FALSE", PROPERTIES_OF,
         "it is on the initramfs"},
        {"dmverity-signature", 0, ARG_STRING, &options.flags[IPE_DMVERITY_SIGNATURE], "TRUE|FALSE",
         PROPERTIES_OF, "its device was opened with a signature"},
        {"dmverity-roothash", 0, ARG_STRING, &options.dmverity_roothash, "ALGORITHM:HEX", PROPERTIES_OF,
         "its device's root hash"},
        {"fsverity-signature", 0, ARG_STRING, &options.flags[IPE_FSVERITY_SIGNATURE], "TRUE|FALSE",
         PROPERTIES_OF, "it has a signed fs-verity digest"},
        {"fsverity-digest", 0, ARG_STRING, &options.fsverity_digest, "ALGORITHM:HEX", PROPERTIES_OF,
         "its fs-verity digest"},
        {"path", 0, ARG_STRING, &options.path, "FILE", PROPERTIES_OF, "a file of this machine"},
        {"kernel", 0, ARG_STRING, &options.kernel, "6.12|7.3", "explain", "which kernel (default: 6.12)"},
        {"image", 0, ARG_LIST, &options.images, "MANIFEST|LAYOUT[:NAME]",
         "eval explain diff generate from-audit", "layers of an OCI image; may be repeated"},
        {"trust", 0, ARG_STRING, &options.trust, "DIR", "verify eval explain diff generate from-audit",
         "directory of trusted <purpose>.pem"},
        {"by", 0, ARG_STRING, &options.by, "signature|root-hash", "generate",
         "allow all that is signed (default), or each layer"},
        {"policy-name", 0, ARG_STRING, &options.policy_name, "NAME", "generate", "name of the policy"},
        {"policy-version", 0, ARG_STRING, &options.policy_version, "N.N.N", "generate",
         "its version (default: 1.0.0)"},
        {"map", 0, ARG_LIST, &options.maps, "DEVICE=ALGORITHM:HEX", "from-audit",
         "root hash of a device in the records; may be repeated"},
        {"key", 0, ARG_STRING, &options.key, "FILE|URI", "sign", "private key of purpose \"policy\""},
        {"certificate", 0, ARG_STRING, &options.certificate, "FILE|URI", "sign", "its certificate"},
        {"provider", 0, ARG_LIST, &options.providers, "NAME", "sign",
         "OpenSSL provider to load; may be repeated"},
        {"json", 0, ARG_JSON, &options.json, "off|short|pretty",
         "info eval explain diff simulate-upgrade verify", "print JSON"},
        {},
};

int main(int argc, char **argv)
{
        static const struct arg_program program = {
                "ipe-policy",
                "Policies of the kernel's Integrity Policy Enforcement: checked, explained, made and signed.",
                verbs,
                arguments,
        };

        log_setup(argv[0]);
        return args_run(&program, argc, argv);
}
