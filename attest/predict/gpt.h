/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A disk's GUID partition table as firmware measures it to PCR 5. */
#pragma once

#include "attest/slice.h"
#include "base/error.h"

/* Bytes at the beginning of a disk that are enough for every table that is taken. */
#define GPT_HEAD_SIZE ((size_t)64 * 1024)

/* UEFI_GPT_DATA (PFP section 10.2.5) from the first bytes of a disk with sectors of 512 bytes: the header,
 * how many partitions there are, their entries. To be freed. -EBADMSG: no table there, or a damaged one. */
int gpt_event(struct slice head, uint8_t **ret, size_t *ret_size, struct error *e);
