/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the writing library share. */
#pragma once

#include "verity-tools/build.h"

/* Copies the tar at source_fd (any dialect, any supported compression) to out_fd as a plain pax archive that
 * mkfs.erofs reads as we do: relative names without "..", numeric owners, time 0, no holes, only the extended
 * attributes that a layer may have. */
int tar_normalise(int source_fd, const char *name, int out_fd, bool allow_setuid, struct error *e);

/* Walks a directory tree and refuses files with setuid, setgid or capabilities. */
int tree_refuse_setuid(int dirfd, const char *path, struct error *e);

/* A new file beside `path` under a temporary name, which the caller removes or renames. */
int temporary_beside(const char *path, char **ret_name, int *ret_fd, struct error *e);

/* build_image() from an open tar, written to out (path of an existing empty file). */
int build_from_tar(int source_fd, const char *name, const char *out, const struct build_options *o,
                   struct verity_geometry *ret, struct error *e);
