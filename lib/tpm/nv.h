/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two kinds of NV index (TPM 2.0 Library, Part 1, section 37; Part 3, section 31): a counter that anybody may
 * step, and a record that only an approved boot may write.
 *
 * An index counts as ours when its Name is that of the one public area that we would define; everything else
 * is foreign. All commands run in the salted session of tpm.h. Every function may also return
 *   -EBUSY    the TPM says that it is in lock-out, to which nothing of ours is subject
 *   -EAGAIN   the TPM asks to try later
 *   -EIO      it refuses for another reason; -ENODEV: it is gone; -EPROTO: its answer is not genuine */
#pragma once

#include "tpm/authorize.h"

/* Indexes of the rollback state: the generation, and the records of even and odd generations. */
#define TPM_NV_COUNTER 0x018f0d01u
#define TPM_NV_RECORD 0x018f0d02u

#define TPM_NV_RECORD_MAX 512u /* bytes */

/* The Name of an index, reckoned without a TPM, as TPM2_NV_Certify shows it: once stepped or written. */
int tpm_nv_counter_name(uint32_t index, uint8_t ret[static TPM_NAME_SIZE], struct error *e);

/* Makes a counter. It starts, with its first increment, above any counter that this TPM ever held.
 * -EEXIST: the index is taken; -ENOSPC: no room in the TPM. */
int tpm_nv_define_counter(struct tpm *tpm, uint32_t index, struct error *e);

/* -ENOENT: no such index; -EBADMSG: foreign; -ENODATA: never incremented. The absence alone is not
 * authenticated: an error carries no HMAC. Define the counter before you believe in it. */
int tpm_nv_read_counter(struct tpm *tpm, uint32_t index, uint64_t *ret, struct error *e);

/* Steps by one. -ENOENT, -EBADMSG as above. */
int tpm_nv_increment(struct tpm *tpm, uint32_t index, struct error *e);

/* Makes a record of exactly size bytes that only `authority` lets write. -EEXIST, -ENOSPC as above. */
int tpm_nv_define_record(struct tpm *tpm, uint32_t index, const struct tpm_public *authority, size_t size,
                         struct error *e);

/* Reads the size bytes. -ENOENT: no such index; -EBADMSG: foreign, which it also is with another size or
 * authority; -ENODATA: defined, never written. */
int tpm_nv_read_record(struct tpm *tpm, uint32_t index, const struct tpm_public *authority, void *ret,
                       size_t size, struct error *e);

/* Writes all size bytes in one command. -ENOENT, -EBADMSG as above; -EPERM, -EKEYREJECTED as in authorize.h.
 */
int tpm_nv_write_record(struct tpm *tpm, uint32_t index, const struct tpm_authorization *a, const void *data,
                        size_t size, struct error *e);

/* Removes an index, whoever made it. -ENOENT: no such index. */
int tpm_nv_undefine(struct tpm *tpm, uint32_t index, struct error *e);
