/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The variable store of UEFI firmware as EDK2 keeps it in flash: a firmware volume with authenticated
 * variables. Read as it lies there; a write that the firmware had not finished is refused. */
#pragma once

#include "attest/slice.h"
#include "base/error.h"

#define VARIABLE_STORE_MAX ((size_t)16 * 1024 * 1024)

/* EFI_GLOBAL_VARIABLE, EFI_IMAGE_SECURITY_DATABASE_GUID and EDK2's SecureBootEnable, as they lie in memory.
 */
extern const uint8_t efi_global_guid[16], efi_security_guid[16], efi_secure_boot_enable_guid[16];

/* The value of a variable; points into the store. name: ASCII. 1: found; 0: there is none; -EBADMSG: not a
 * variable store, or it has two, or one that is being replaced. */
int variable_find(struct slice store, const uint8_t guid[static 16], const char *name, struct slice *ret,
                  struct error *e);
