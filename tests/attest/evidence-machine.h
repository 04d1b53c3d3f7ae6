/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine that booted: a real TPM (swtpm) whose PCRs hold what synthetic logs say, and the files of those
 * logs. */
#pragma once

#include "attest/collect.h"
#include "attest/evidence.h"
#include "ima-writer.h"
#include "log-writer.h"
#include "swtpm.h"

#define MACHINE_NONCE "a nonce of twenty-one"
#define MACHINE_NONCE_SIZE (sizeof(MACHINE_NONCE) - 1)
#define MACHINE_ROOT_HASH "a3000000000000000000000000000000000000000000000000000000000000b5"
#define MACHINE_IMAGE "{\"version\":1,\"variant\":\"prod\",\"security_version\":3}"

struct evidence_machine {
        struct swtpm swtpm;
        struct tpm *tpm;
        struct written_log firmware;
        struct written_ima ima;
        char paths[4][96]; /* firmware log, IMA log, logs of PCRs 14 and 15 */
        struct collect_files files;
        char key_name[2 * TPM_NAME_SIZE + 1]; /* of its attestation key, in hexadecimal */
};

/* Boots it. Its rollback counter is defined and stepped once. `late`: an event that PCR 14 gets after its
 * cap, or NULL. */
void evidence_machine_start(struct evidence_machine *m, const char *late);
void evidence_machine_done(struct evidence_machine *m);

/* Its evidence with MACHINE_NONCE. */
void evidence_machine_collect(struct evidence_machine *m, struct evidence *ret);
