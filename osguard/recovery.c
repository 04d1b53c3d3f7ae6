/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery tokens at work. One is looked at only where the TPM's state is broken, so that none can do harm to
 * a healthy machine. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "osguard/osguard.h"
#include "osguard/rollback-tpm.h"
#include "tpm/attestation.h"
#include "tpm/nv.h"

/* *ret stays as it is where there is none. */
static int read_token(struct boot *b, struct token *ret, uint8_t ret_name[static TPM_NAME_SIZE],
                      struct error *e)
{
        int r = tpm_ek_name(b->tpm, ret_name, e);

        if (r >= 0 && b->esp.token)
                r = token_read(b->trust, b->esp.token, b->esp.token_size, ret, e);
        return r;
}

static int refuse(int r, const char *why, const uint8_t name[static TPM_NAME_SIZE], uint64_t counter,
                  struct error *e)
{
        char hex[2 * TPM_NAME_SIZE + 1];

        hex_encode(name, TPM_NAME_SIZE, hex);
        return error_set(e, r, "%s; the owner may sign a recovery token: tpm %s counter %" PRIu64, why, hex,
                         counter);
}

/* Something else lies where the counter should be: a token for the counter 0 gives leave to remove it. */
int boot_recover_counter(struct boot *b, struct error *e)
{
        struct token token = {.counter = UINT64_MAX};
        uint8_t name[TPM_NAME_SIZE];
        int r;

        r = read_token(b, &token, name, e);
        if (r < 0)
                return r;
        if (token.counter != 0 || memcmp(token.tpm, name, sizeof(name)) != 0)
                return refuse(-EBADMSG, "TPM: our counter expected, found a foreign index in its place", name,
                              0, e);
        return rollback_remove_counter(b->tpm, &b->rollback, e);
}

/* The owner's word in place of the record in force, which is lost or not to be believed. */
int boot_recover(struct boot *b, int why, const struct error *message, struct error *e)
{
        uint8_t name[TPM_NAME_SIZE];
        struct token token;
        int r;

        r = read_token(b, &token, name, e);
        if (r >= 0 && !b->esp.token)
                r = refuse(why, message->message, name, b->rollback.counter, e);
        return r < 0 ? r : rollback_accept_token(&b->rollback, &token, name, &b->decision, e);
}

int osguard_request(sd_json_variant **ret, struct error *e)
{
        _cleanup_(tpm_free_ptr) struct tpm *tpm = NULL;
        char hex[2 * TPM_NAME_SIZE + 1];
        uint8_t name[TPM_NAME_SIZE];
        uint64_t counter = 0;
        int r;

        r = tpm_open("device:/dev/tpmrm0", &tpm, e);
        if (r >= 0)
                r = tpm_ek_name(tpm, name, e);
        if (r >= 0) {
                r = tpm_nv_read_counter(tpm, TPM_NV_COUNTER, &counter, e);
                if (r == -EBADMSG)
                        r = 0;
        }
        if (r < 0)
                return r;
        hex_encode(name, sizeof(name), hex);
        r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("tpm", hex),
                           SD_JSON_BUILD_PAIR_UNSIGNED("counter", counter));
        return r < 0 ? error_errno(e, r, "request") : 0;
}
