/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A unified kernel image (UAPI specification UKI) as systemd-stub 257 starts it: the sections that it
 * measures, and what it hands to the kernel. */
#pragma once

#include "attest/predict/pe.h"

/* In the order in which the stub measures them. */
enum uki_section { UKI_LINUX, UKI_OSREL, UKI_CMDLINE, UKI_INITRD, UKI_UNAME, UKI_SBAT, UKI_SECTIONS };

extern const char *const uki_section_names[UKI_SECTIONS];

struct uki {
        struct pe pe;
        struct slice sections[UKI_SECTIONS];
};

/* Points into file. -EBADMSG: not a UKI, or one that lacks a section of those above, has one twice, or one
 * that the stub would treat in a way that is not predicted here (profiles, device trees, microcode, …). */
int uki_parse(struct slice file, struct uki *ret, struct error *e);

/* SHA-256 of the kernel's command line as its EFI stub measures it: UTF-16 with a NUL. -EBADMSG if it is not
 * printable ASCII. */
int uki_load_options(const struct uki *uki, uint8_t ret[static 32], struct error *e);

/* SHA-256 of the initrd as the kernel's EFI stub measures it: the section, then the archive in which the stub
 * hands on the section .osrel. */
int uki_initrd(const struct uki *uki, uint8_t ret[static 32], struct error *e);

/* The command line as the kernel sees it: the section without blanks at both ends. */
struct slice uki_cmdline(const struct uki *uki);
