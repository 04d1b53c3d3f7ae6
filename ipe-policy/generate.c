/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ipe-policy/author.h"

static bool is_repeated(const struct ipe_layers *layers, size_t i)
{
        for (size_t k = 0; k < i; k++)
                if (strcmp(layers->items[k].root_hash, layers->items[i].root_hash) == 0)
                        return true;
        return false;
}

static void write_layer(FILE *f, const struct ipe_layer *l)
{
        fprintf(f,
                "# %s, layer %u\nop=EXECUTE dmverity_signature=TRUE dmverity_roothash=%s:%s action=ALLOW\n",
                l->image, l->number, l->algorithm, l->root_hash);
}

int ipe_policy_generate(const struct ipe_layers *layers, const struct ipe_generate_options *o, char **ret,
                        struct error *e)
{
        _cleanup_policy_ struct ipe_policy *check = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f;
        int r;

        for (size_t i = 0; i < layers->n; i++)
                if (!layers->items[i].is_signed)
                        return error_set(e, -EKEYREJECTED,
                                         "%s: layer %u (%s:%s): a signature expected, found none",
                                         layers->items[i].image, layers->items[i].number,
                                         layers->items[i].algorithm, layers->items[i].root_hash);
        f = open_memstream(&text, &size);
        if (!f)
                return error_errno(e, -ENOMEM, "policy");
        fprintf(f, "policy_name=%s policy_version=%s\nDEFAULT action=DENY\n", o->name, o->version);
        if (!o->by_root_hash)
                fputs("op=EXECUTE dmverity_signature=TRUE action=ALLOW\n", f);
        for (size_t i = 0; i < layers->n && o->by_root_hash; i++)
                if (!is_repeated(layers, i))
                        write_layer(f, &layers->items[i]);
        if (fclose(f) != 0)
                return error_errno(e, -ENOMEM, "policy");
        r = ipe_policy_parse(text, size, &check, e);
        if (r < 0)
                return error_prefix(e, r, "the policy made from \"%s\" and \"%s\"", o->name, o->version);
        *ret = TAKE_PTR(text);
        return 0;
}
