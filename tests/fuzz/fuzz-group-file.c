/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A group file, and what is made of it: a file that is accepted means the same after it went over the wire.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/group/definition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_(definition_free_ptr) struct definition *d = NULL, *again = NULL;
        _cleanup_json_ sd_json_variant *v = NULL;
        struct error e;

        if (definition_parse("fuzz", (const char *)data, size, &d, &e) < 0)
                return 0;
        if (definition_to_json(d, &v) < 0 || definition_from_json(v, &again, &e) < 0)
                PROMISE(false);
        if (strcmp(d->name, again->name) != 0 || d->n_containers != again->n_containers)
                PROMISE(false);
        for (size_t i = 0; i < d->n_containers; i++)
                if (d->containers[i].cpu_limit != again->containers[i].cpu_limit ||
                    d->containers[i].memory_limit != again->containers[i].memory_limit)
                        PROMISE(false);
        return 0;
}
