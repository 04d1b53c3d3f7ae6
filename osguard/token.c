/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recovery tokens: {"version":1,"tpm":NAME,"counter":N,"image_floor":N,"ipe_host_floor":"N.N.N","volume":…}
 */
#include <errno.h>
#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "ipe-policy/ipe-policy.h"
#include "osguard/osguard.h"

#define TOKEN_MAX 4096u

static int read_tpm(sd_json_variant *root, struct token *token, struct error *e)
{
        const char *hex = NULL;
        int r;

        r = json_string(root, TOKEN, "tpm", &hex, e);
        if (r >= 0 && hex_decode(hex, token->tpm, sizeof(token->tpm)) < 0)
                r = error_set(e, -EINVAL, TOKEN ": tpm: %u hexadecimal digits expected, found \"%.80s\"",
                              2 * TPM_NAME_SIZE, hex);
        return r;
}

/* "make": the machine has no volume; "keep": the one that is there, whatever its Name; or that Name. */
static int read_volume(sd_json_variant *root, struct token *token, struct error *e)
{
        const char *volume = NULL;
        int r;

        r = json_string(root, TOKEN, "volume", &volume, e);
        if (r < 0)
                return r;
        token->keep_volume = strcmp(volume, "keep") == 0;
        if (token->keep_volume || strcmp(volume, "make") == 0)
                return 0;
        token->record.has_volume = true;
        if (hex_decode(volume, token->record.volume, sizeof(token->record.volume)) < 0)
                return error_set(e, -EINVAL, TOKEN ": volume: keep, make or a Name expected, found \"%.80s\"",
                                 volume);
        return 0;
}

int token_parse(const char *text, size_t size, struct token *ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *root = NULL;
        char copy[TOKEN_MAX + 1];
        const char *floor = NULL;
        struct token token = {};
        uint64_t version = 0;
        int r;

        if (size > TOKEN_MAX || memchr(text, '\0', size))
                return error_set(e, -EINVAL, TOKEN ": text of at most %u bytes expected", TOKEN_MAX);
        memcpy(copy, text, size);
        copy[size] = '\0';
        r = json_parse(TOKEN, copy, &root, e);
        if (r >= 0)
                r = json_unsigned(root, TOKEN, "version", UINT32_MAX, &version, e);
        if (r >= 0 && version != 1)
                r = error_set(e, -EINVAL, TOKEN ": version: 1 expected, found %lu", (unsigned long)version);
        if (r >= 0)
                r = read_tpm(root, &token, e);
        if (r >= 0)
                r = json_unsigned(root, TOKEN, "counter", INT64_MAX, &token.counter, e);
        if (r >= 0)
                r = json_unsigned(root, TOKEN, "image_floor", UINT32_MAX, &token.record.image_floor, e);
        if (r >= 0)
                r = json_string(root, TOKEN, "ipe_host_floor", &floor, e);
        if (r >= 0)
                r = ipe_policy_parse_version(floor, token.record.host_floor);
        if (r == -EINVAL && floor)
                r = error_set(e, r, TOKEN ": ipe_host_floor: N.N.N expected, found \"%.40s\"", floor);
        if (r >= 0)
                r = read_volume(root, &token, e);
        if (r < 0)
                return r;
        token.record.generation = token.counter;
        *ret = token;
        return 0;
}

int token_read(const struct trust_store *trust, const void *der, size_t size, struct token *ret,
               struct error *e)
{
        const void *text = NULL;
        size_t text_size = 0;
        int r;

        r = trust_verify_attached(trust, TRUST_BUILD, der, size, &text, &text_size, e);
        if (r < 0)
                return error_prefix(e, r, TOKEN);
        return token_parse(text, text_size, ret, e);
}
