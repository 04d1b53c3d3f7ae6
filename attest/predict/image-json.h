/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image.json, what a signed UKI says about its image: the members that other people need who do not boot it.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"

#define IMAGE_JSON_PATH "etc/holdfast/image.json"

struct image_policy {
        char sha256[65]; /* of the signed policy, lower-case hex */
        char name[256];
        uint16_t version[3];
};

struct image_json {
        char *text; /* the bytes as they stand, owned; a NUL follows */
        size_t size;
        sd_json_variant *json; /* owned; the strings below point into it */
        const char *name, *variant, *cmdline, *root_hash;
        char selinux[65];
        uint64_t security_version;
        struct image_policy ipe_boot, ipe_host;
};

/* Takes text over, also where it fails. -EINVAL names the member that is missing or wrong. */
int image_json_parse(char *text, size_t size, struct image_json *ret, struct error *e);
void image_json_done(struct image_json *image);

/* What osguard measures of a policy: digest of the signed policy, name, version. der: CMS with content. */
int image_policy_read(const void *der, size_t size, struct image_policy *ret, struct error *e);

/* "SHA256 NAME VERSION", the data of the event `ipe-policy`. */
void image_policy_event(const struct image_policy *policy, size_t size, char *ret);
