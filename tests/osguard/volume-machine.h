/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine with a TPM, a data partition and an ESP, which boots as far as its volume. The partition is a
 * file; a file beside it stands for the device that device-mapper would make of it, which no machine but the
 * guest of tests/vm needs to have. What goes wrong besides the step itself fails the test. */
#pragma once

#include "fixture.h"
#include "osguard/volume.h"
#include "signers.h"
#include "swtpm.h"

#define DISK_SIZE (48u * 1024 * 1024)

struct machine {
        struct swtpm tpm;
        const char *tcti;        /* another way to it, for machine_boot(); NULL: its own */
        struct authority *owner; /* borrowed */
        const struct trust_store *trust;
        char variant[8]; /* of the image that boots */
        struct tpm_pcr_policy approved[4];
        size_t n_approved;
        char directory[64], disk[96], mapped[96], esp[96];
        struct boot boot; /* of machine_boot(), until machine_off() */
        struct volume_found found;
        struct error e; /* of the last boot */
};

/* A new machine of this owner with a blank disk, for which one image, "image", is approved of. */
void machine_make(struct machine *m, struct authority *owner, const struct trust_store *trust);
void machine_done(struct machine *m);

/* The owner approves of one more image. */
void machine_approve(struct machine *m, const char *image);

/* Powers on and boots the image to the point where its volume is there, or refused: the negative errno. */
int machine_boot(struct machine *m, const char *image);

/* The same in two halves: up to step volume, on a TPM that was just powered on, and that step with what it
 * promises. */
void machine_start(struct machine *m, const char *image);
int machine_bring_up(struct machine *m);

/* Steps the counter, as osguard-bless does when everything runs. */
void machine_bless(struct machine *m);

/* Power off without a word. */
void machine_off(struct machine *m);

/* A blank disk. */
void machine_wipe_disk(struct machine *m);

/* Boots, which has to succeed or fail with this errno and a message that has this text; then power off. */
void expect_boot(struct machine *m, const char *image);
void expect_refused(struct machine *m, const char *image, int expected, const char *text);

/* A machine whose volume is made and blessed, powered off. */
void machine_with_volume(struct machine *m, struct authority *owner, const struct trust_store *trust);
