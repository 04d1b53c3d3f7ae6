/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* osguard-bless: runs once, when groupd is ready, and makes what this boot promised hold from now on. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/args.h"
#include "base/log.h"
#include "osguard/osguard.h"
#include "osguard/rollback-tpm.h"

static const char *tcti = "device:/dev/tpmrm0", *trust = OSGUARD_TRUST, *file = OSGUARD_GENERATION;

static int run(int argc, char **argv)
{
        _cleanup_(tpm_free_ptr) struct tpm *tpm = NULL;
        struct tpm_public authority;
        struct record record;
        struct error e = {};
        int r;

        r = build_authority_read(trust, &authority, &e);
        if (r >= 0)
                r = tpm_open(tcti, &tpm, &e);
        if (r >= 0)
                r = rollback_bless(tpm, &authority, file, &record, &e);
        if (r < 0) {
                log_failure(r, &e);
                return EXIT_COULD_NOT_TRY;
        }
        (void)printf("generation %" PRIu64 ": security version %" PRIu64
                     " or higher, IPE host policy %u.%u.%u or higher\n",
                     record.generation, record.image_floor, record.host_floor[0], record.host_floor[1],
                     record.host_floor[2]);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_COULD_NOT_TRY;
}

int main(int argc, char **argv)
{
        static const struct arg_verb verbs[] = {
                {"", "", 0, 0, "", run},
                {},
        };
        static const struct arg_option options[] = {
                {"tcti", 0, ARG_STRING, &tcti, "TCTI", NULL, "The TPM (default: device:/dev/tpmrm0)"},
                {"trust", 0, ARG_STRING, &trust, "DIR", NULL,
                 "Trusted certificates (default: " OSGUARD_TRUST ")"},
                {"generation", 0, ARG_STRING, &file, "FILE", NULL,
                 "Where the generation is noted (default: " OSGUARD_GENERATION ")"},
                {},
        };
        static const struct arg_program program = {
                "osguard-bless",
                "Makes the versions that run the oldest that will boot here from now on.",
                verbs,
                options,
        };

        log_setup("osguard-bless");
        return args_run(&program, argc, argv);
}
