/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to runtime/group/: parts of the group file that have a source file of their own. Readers are for
 * the tables of reader.h; what they allocate is freed by definition_free(), also where they fail. */
#pragma once

#include "runtime/group/definition.h"
#include "runtime/group/reader.h"

/* definition-volume.c: properties.volumes of a struct definition, volumeMounts of a struct
 * definition_container. */
int definition_read_volumes(struct reader *r, const struct node *n, void *target);
int definition_read_mounts(struct reader *r, const struct node *n, void *target);

/* Once all is read: every mount names a volume, and those of secrets become read-only. */
int definition_check_mounts(struct reader *r, const struct node *n, struct definition *d);

int definition_volumes_to_json(const struct definition *d, sd_json_variant **ret);
int definition_mounts_to_json(const struct definition_container *c, sd_json_variant **ret);
void definition_free_volumes(struct definition_volume *volumes, size_t n);
void definition_free_mounts(struct definition_mount *mounts, size_t n);

/* definition-probe.c: livenessProbe and readinessProbe of a struct definition_container. */
int definition_read_liveness(struct reader *r, const struct node *n, void *target);
int definition_read_readiness(struct reader *r, const struct node *n, void *target);
int definition_probe_to_json(const struct definition_probe *p, sd_json_variant **ret);
struct definition_probe *definition_free_probe(struct definition_probe *p);
