/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signed images between layouts and registries, as they are. */
#pragma once

#include "layout.h"
#include "verity-tools/build.h"

/* Pushes the one image of our layout at path and its referrers to docker://…. The tag is set last: who sees
 * the image by its name also finds its signatures. */
int layout_push(const char *path, const char *reference, const struct registry_options *o, struct error *e);

/* Copies the image docker://… and its signatures to a layout that is not published, beside `place`. The
 * layers are fetched once store_find_image() is content with the rest; what is in them is not looked at.
 * -ENOKEY: there are no signatures. */
int layout_fetch(const char *reference, const char *place, const struct registry_options *o,
                 const struct trust_store *trust, struct layout **ret, struct error *e);
