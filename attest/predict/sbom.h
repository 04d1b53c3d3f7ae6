/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The packages of an image as an SPDX 2.3 document. */
#pragma once

#include "attest/predict/image-json.h"

/* packages: as image/tree lists them, [{"name", "version", "architecture", "source"}, …]. The same packages
 * in the same image give the same document: it has no time, and its namespace is made from the root hash. */
int sbom_make(const struct image_json *image, sd_json_variant *packages, sd_json_variant **ret,
              struct error *e);
