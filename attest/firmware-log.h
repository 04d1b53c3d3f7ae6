/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The firmware's event log (TCG PC Client Platform Firmware Profile, PFP 1.06, section 10): TCG_PCR_EVENT2
 * after a Spec ID event, or the SHA-1 TCG_PCR_EVENT of TPM 1.2. Nothing is copied: events point into the log,
 * which has to stay.
 *
 * An event's type and data are not measured, only its digests are. So firmware_log_check() demands that what
 * looks like one thing is that thing; what it fills in may be believed once the log's replay equals quoted
 * PCRs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/pcr.h"
#include "base/error.h"

#define FIRMWARE_LOG_MAX ((size_t)4 * 1024 * 1024)
#define FIRMWARE_EVENTS_MAX 16384u
#define FIRMWARE_BANKS_MAX 8u

/* Event types (PFP table "Events"). */
enum firmware_event_type {
        EV_POST_CODE = 0x1,
        EV_NO_ACTION = 0x3,
        EV_SEPARATOR = 0x4,
        EV_ACTION = 0x5,
        EV_EVENT_TAG = 0x6,
        EV_S_CRTM_CONTENTS = 0x7,
        EV_S_CRTM_VERSION = 0x8,
        EV_CPU_MICROCODE = 0x9,
        EV_PLATFORM_CONFIG_FLAGS = 0xa,
        EV_TABLE_OF_DEVICES = 0xb,
        EV_COMPACT_HASH = 0xc,
        EV_IPL = 0xd,
        EV_IPL_PARTITION_DATA = 0xe,
        EV_NONHOST_CODE = 0xf,
        EV_NONHOST_CONFIG = 0x10,
        EV_NONHOST_INFO = 0x11,
        EV_OMIT_BOOT_DEVICE_EVENTS = 0x12,
        EV_POST_CODE2 = 0x13,
        EV_EFI_VARIABLE_DRIVER_CONFIG = 0x80000001u,
        EV_EFI_VARIABLE_BOOT = 0x80000002u,
        EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003u,
        EV_EFI_BOOT_SERVICES_DRIVER = 0x80000004u,
        EV_EFI_RUNTIME_SERVICES_DRIVER = 0x80000005u,
        EV_EFI_GPT_EVENT = 0x80000006u,
        EV_EFI_ACTION = 0x80000007u,
        EV_EFI_PLATFORM_FIRMWARE_BLOB = 0x80000008u,
        EV_EFI_HANDOFF_TABLES = 0x80000009u,
        EV_EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000000au,
        EV_EFI_HANDOFF_TABLES2 = 0x8000000bu,
        EV_EFI_VARIABLE_BOOT2 = 0x8000000cu,
        EV_EFI_GPT_EVENT2 = 0x8000000du,
        EV_EFI_HCRTM_EVENT = 0x80000010u,
        EV_EFI_VARIABLE_AUTHORITY = 0x800000e0u,
        EV_EFI_SPDM_FIRMWARE_BLOB = 0x800000e1u,
        EV_EFI_SPDM_FIRMWARE_CONFIG = 0x800000e2u,
};

struct firmware_digest {
        uint16_t algorithm; /* TPM_ALG_ID */
        uint16_t size;      /* bytes, as the log's header says for the algorithm */
        const uint8_t *bytes;
};

struct firmware_event {
        uint32_t number; /* counted from 0; 0 is the Spec ID event of a log that has one */
        size_t offset;   /* of the event in the log */
        uint32_t pcr, type;
        struct firmware_digest digests[FIRMWARE_BANKS_MAX];
        size_t n_digests;
        const uint8_t *data;
        size_t data_size;
};

struct firmware_log {
        const uint8_t *bytes;
        size_t size;
        bool agile; /* TCG_PCR_EVENT2 after a Spec ID event; otherwise SHA-1 alone */
        struct firmware_digest banks[FIRMWARE_BANKS_MAX]; /* algorithm and size of each */
        size_t n_banks;
        size_t next;     /* offset of the event to be read */
        uint32_t number; /* its number */
};

/* Reads the header. -EBADMSG: not a log; -EFBIG: above FIRMWARE_LOG_MAX. */
int firmware_log_open(const void *log, size_t size, struct firmware_log *ret, struct error *e);

/* Reads the next event, the Spec ID event included. 1: an event; 0: the end, where nothing is left but bytes
 * that are all 0x00 or all 0xff (a table's unused room); -EBADMSG: not an event, or not with one digest for
 * each bank. */
int firmware_log_next(struct firmware_log *l, struct firmware_event *ret, struct error *e);

/* The digest for the bank `algorithm`, or NULL. */
const uint8_t *firmware_event_digest(const struct firmware_event *ev, uint16_t algorithm);

/* Replays the whole log for one bank: every event but EV_NO_ACTION, from the locality that a StartupLocality
 * event tells (PFP section 10.4.5.3). -ENOTSUP: the log has no such bank; -EBADMSG: an event
 * has no digest for it. */
int firmware_log_replay(const void *log, size_t size, uint16_t algorithm, struct pcr_bank *ret,
                        struct error *e);

/* The locality of a StartupLocality event: 0, 3 or 4. -ENOENT if the event is something else, -EBADMSG if it
 * is a wrong one. */
int firmware_event_locality(const struct firmware_event *ev, uint8_t *ret);

/* --- what events say --- */

/* "EV_SEPARATOR", …; NULL for a type that we do not know. */
const char *firmware_event_type_name(uint32_t type);

/* A UEFI variable as it was measured (UEFI_VARIABLE_DATA, PFP section 10.2.6). */
struct firmware_variable {
        uint8_t guid[16]; /* as in the log: first three fields little-endian */
        char name[64];    /* UTF-16 as ASCII, "?" for anything else */
        const uint8_t *value;
        size_t size;
};

/* -EBADMSG unless the event's data is one variable with nothing behind it. */
int firmware_event_variable(const struct firmware_event *ev, struct firmware_variable *ret);

/* One line for people: a variable's name, an action's text, an application's path, … "" where there is
 * nothing to say. Always printable ASCII. */
void firmware_event_describe(const struct firmware_event *ev, size_t size, char *ret);

/* --- claims --- */

#define FIRMWARE_ITEMS_MAX 64u

/* What a log says of a boot. Points into the log. */
struct firmware_claims {
        bool secure_boot;
        bool boot_services_exited;                 /* the operating system took over */
        struct firmware_variable pk, kek, db, dbx; /* EFI_SIGNATURE_LISTs; size 0: the variable is empty */
        struct firmware_authority {                /* who signed what was started, in order (PCR 7) */
                uint32_t event;
                struct firmware_variable variable;
        } authorities[FIRMWARE_ITEMS_MAX];
        size_t n_authorities;
        struct firmware_application { /* what was started, in order (PCR 4) */
                uint32_t event;
                struct firmware_digest digest; /* Authenticode digest for the bank that was asked for */
        } applications[FIRMWARE_ITEMS_MAX];
        size_t n_applications;
};

/* Checks every event of the log against the grammar of README.md, section "Firmware log", and fills in what
 * the log says; digests of `algorithm`. -EBADMSG names the event and the rule that it breaks. */
int firmware_log_check(const void *log, size_t size, uint16_t algorithm, struct firmware_claims *ret,
                       struct error *e);
