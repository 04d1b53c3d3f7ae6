/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "subjects.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void subjects_done(struct subjects *s)
{
        for (size_t i = 0; i < s->n; i++)
                free(s->items[i].name);
        free(s->items);
        for (size_t i = 0; i < s->n_digests; i++)
                free(s->digests[i]);
        ipe_layers_done(&s->layers);
}

static struct subject *add(struct subjects *s)
{
        struct subject *bigger = reallocarray(s->items, s->n + 1, sizeof(*bigger));

        if (!bigger)
                return NULL;
        s->items = bigger;
        s->items[s->n] = (struct subject){};
        return &s->items[s->n++];
}

int subjects_from_images(struct subjects *ret, struct error *e)
{
        int r = read_images(&ret->layers, e);

        for (size_t i = 0; i < ret->layers.n && r >= 0; i++) {
                const struct ipe_layer *l = &ret->layers.items[i];
                struct subject *s = add(ret);

                if (!s || asprintf(&s->name, "layer %u of %s", l->number, l->image) < 0)
                        return error_errno(e, -ENOMEM, "layers");
                s->subject = ipe_layer_subject(l);
        }
        return r;
}

static int flag_option(enum ipe_property_type type, bool *ret, struct error *e)
{
        static const char *const names[] = {"FALSE", "TRUE"};
        unsigned value = *ret;
        char name[32];
        int r;

        (void)snprintf(name, sizeof(name), "%s", ipe_property_to_string(type));
        *strchr(name, '_') = '-';
        r = choose(name, options.flags[type], names, ELEMENTSOF(names), &value, e);
        *ret = value != 0;
        return r;
}

static int digest_option(struct subjects *s, const char *option, const char *value, struct ipe_digest *ret,
                         struct error *e)
{
        int r;

        if (!value)
                return 0;
        r = parse_digest(option, value, &s->digests[s->n_digests], ret, e);
        if (r >= 0)
                s->n_digests++;
        return r;
}

int subjects_from_options(struct subjects *ret, struct error *e)
{
        struct subject *s;
        int r;

        if (options.images.n > 0)
                return subjects_from_images(ret, e);
        s = add(ret);
        if (s)
                s->name = strdup(options.path ?: "a file with these properties");
        if (!s || !s->name)
                return error_errno(e, -ENOMEM, "subject");
        if (options.path) {
                r = ipe_observe_file(options.path, &ret->observation, e);
                if (r < 0)
                        return r;
                s->subject = ret->observation.subject;
        }
        if ((r = flag_option(IPE_BOOT_VERIFIED, &s->subject.boot_verified, e)) < 0 ||
            (r = flag_option(IPE_DMVERITY_SIGNATURE, &s->subject.dmverity_signature, e)) < 0 ||
            (r = flag_option(IPE_FSVERITY_SIGNATURE, &s->subject.fsverity_signature, e)) < 0 ||
            (r = digest_option(ret, "dmverity-roothash", options.dmverity_roothash,
                               &s->subject.dmverity_roothash, e)) < 0)
                return r;
        return digest_option(ret, "fsverity-digest", options.fsverity_digest, &s->subject.fsverity_digest, e);
}
