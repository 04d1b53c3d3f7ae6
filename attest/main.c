/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/log.h"
#include "program.h"

struct attest_options options = {.counter = UINT64_MAX, .image_floor = UINT64_MAX};

static const struct arg_verb verbs[] = {
        {"eventlog", "FILE", 1, 1, "Show a firmware log, the PCRs it gives, and whether it is well-formed",
         verb_eventlog},
        {"predict", "UKI", 1, 1, "Tell what a boot will measure, from the files that it boots from",
         verb_predict},
        {"manifest", "UKI", 1, 1, "Sign what an image is and will measure: the build manifest",
         verb_manifest},
        {"authorize", "UKI…", 1, 64,
         "Sign PCR policies that open the data volume under a newer IPE host policy", verb_authorize},
        {"profile", "FIRMWARE-LOG", 1, 1, "Sign what a machine adds to its firmware's measurements",
         verb_profile},
        {"token", "", 0, 0, "Sign a recovery token for a machine whose TPM lost its record", verb_token},
        {"evidence", "", 0, 0, "Prove with the TPM what this machine booted", verb_evidence},
        {"verify", "EVIDENCE", 1, 1, "Judge a machine by its evidence", verb_verify},
        {"show", "FILE", 1, 1, "Print a signed manifest or profile", verb_show},
        {},
};

#define PREDICTING "predict manifest authorize"
#define SIGNING "manifest authorize profile token"

static const struct arg_option arguments[] = {
        {"json", 0, ARG_JSON, &options.json, "off|short|pretty", "eventlog predict show verify",
         "print JSON; of verify the attestation result (EAR)"},
        {"firmware", 0, ARG_STRING, &options.firmware, "FILE", PREDICTING,
         "the firmware's code (OVMF_CODE): PCRs 0, 2, 3"},
        {"variables", 0, ARG_STRING, &options.variables, "FILE", PREDICTING,
         "its variable store (OVMF_VARS): PCR 7"},
        {"disk", 0, ARG_STRING, &options.disk, "FILE", PREDICTING, "the system disk: PCR 5"},
        {"profile", 0, ARG_STRING, &options.profile, "FILE", PREDICTING,
         "a signed machine profile: PCRs 0, 1, 2, 3, 6"},
        {"ipe-host", 0, ARG_STRING, &options.ipe_host, "FILE", PREDICTING,
         "signed IPE policy instead of the image's"},
        {"payload", 0, ARG_STRING, &options.payload, "HEX", "predict manifest",
         "root hash of the payload disk"},
        {"against", 0, ARG_LIST, &options.against, "FILE", "predict",
         "a real log, the firmware's or osguard's: name the first event that differs; may be repeated"},
        {"packages", 0, ARG_STRING, &options.packages, "FILE", "manifest", "packages.json of the image"},
        {"name", 0, ARG_STRING, &options.name, "NAME", "profile", "of the profile"},
        {"tpm", 0, ARG_STRING, &options.tpm, "HEX", "token",
         "Name of the machine's endorsement key, from its message or from osguard request"},
        {"counter", 0, ARG_UNSIGNED, &options.counter, "N", "token", "the counter, likewise"},
        {"image-floor", 0, ARG_UNSIGNED, &options.image_floor, "N", "token",
         "lowest security version of an image that boots there"},
        {"ipe-host-floor", 0, ARG_STRING, &options.ipe_host_floor, "N.N.N", "token",
         "lowest version of an IPE host policy"},
        {"volume", 0, ARG_STRING, &options.volume, "VOLUME", "token",
         "the data volume: keep (the one that is there), make (a new one), or its key's Name"},
        {"key", 0, ARG_STRING, &options.key, "FILE|URI", SIGNING, "private key of the purpose build"},
        {"certificate", 0, ARG_STRING, &options.certificate, "FILE|URI", SIGNING, "its certificate"},
        {"provider", 0, ARG_LIST, &options.providers, "NAME", SIGNING,
         "OpenSSL provider to load; may be repeated"},
        {"nonce", 0, ARG_STRING, &options.nonce, "HEX", "evidence verify",
         "what the verifier asked with: 8 to 64 bytes"},
        {"reference", 0, ARG_STRING, &options.reference, "FILE", "verify",
         "signed build manifest of the image"},
        {"policy", 0, ARG_STRING, &options.policy, "FILE", "verify", "appraisal policy"},
        {"output", 'o', ARG_STRING, &options.output, "FILE", SIGNING " evidence",
         "what is written; replaced if it is there"},
        {"trust", 0, ARG_STRING, &options.trust, "DIR", PREDICTING " show verify",
         "directory of trusted <purpose>.pem"},
        {},
};

int fail(int r, const struct error *e)
{
        (void)log_failure(r, e);
        return r == -EBADMSG || r == -EKEYREJECTED || r == -ENOKEY || r == -EKEYEXPIRED || r == -EKEYREVOKED
                       ? EXIT_ANSWER_IS_NO
                       : EXIT_COULD_NOT_TRY;
}

int main(int argc, char **argv)
{
        static const struct arg_program program = {
                "attest",
                "What a machine booted: predicted, recorded, proven and judged.",
                verbs,
                arguments,
        };

        log_setup(argv[0]);
        return args_run(&program, argc, argv);
}
