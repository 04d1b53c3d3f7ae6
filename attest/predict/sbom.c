/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attest/predict/sbom.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PACKAGES_MAX 4096u
#define NAMESPACE "https://spdx.org/spdxdocs/holdfast-"

/* SPDX identifiers (SPDX 2.3, 7.2) have letters, digits, "." and "-"; Debian's names also have "+". */
static void make_identifier(const char *name, size_t number, size_t size, char *ret)
{
        int n = snprintf(ret, size, "SPDXRef-Package-%zu-%s", number, name);

        for (int i = 0; i < n && (size_t)i < size - 1; i++)
                if (!isalnum((unsigned char)ret[i]) && ret[i] != '.')
                        ret[i] = '-';
}

/* Percent-encoding (RFC 3986) of a part of a package URL; cut short where it does not fit. */
static void encode_part(const char *text, size_t size, char *ret)
{
        size_t n = 0;

        for (; *text && n + 4 < size; text++)
                if (isalnum((unsigned char)*text) || strchr(".-_:", *text))
                        ret[n++] = *text;
                else
                        n += (size_t)snprintf(ret + n, 4, "%%%02X", (unsigned char)*text);
        ret[n] = '\0';
}

/* A package URL (purl) names it for databases of vulnerabilities. */
static int package_to_json(sd_json_variant *package, size_t number, sd_json_variant **ret, struct error *e)
{
        const char *name = NULL, *version = NULL, *architecture = NULL, *source = NULL;
        char identifier[160], url[640], encoded_name[256], encoded_version[256];
        int r;

        r = json_string(package, "packages", "name", &name, e);
        if (r >= 0)
                r = json_string(package, "packages", "version", &version, e);
        if (r >= 0)
                r = json_string(package, "packages", "architecture", &architecture, e);
        if (r >= 0)
                r = json_string(package, "packages", "source", &source, e);
        if (r < 0)
                return r;
        make_identifier(name, number, sizeof(identifier), identifier);
        encode_part(name, sizeof(encoded_name), encoded_name);
        encode_part(version, sizeof(encoded_version), encoded_version);
        (void)snprintf(url, sizeof(url), "pkg:deb/debian/%s@%s?arch=%.64s", encoded_name, encoded_version,
                       architecture);
        r = sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("SPDXID", identifier), SD_JSON_BUILD_PAIR_STRING("name", name),
                SD_JSON_BUILD_PAIR_STRING("versionInfo", version),
                SD_JSON_BUILD_PAIR_STRING("downloadLocation", "NOASSERTION"),
                SD_JSON_BUILD_PAIR_BOOLEAN("filesAnalyzed", false),
                SD_JSON_BUILD_PAIR_STRING("sourceInfo", source),
                SD_JSON_BUILD_PAIR("externalRefs",
                                   SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_OBJECT(
                                           SD_JSON_BUILD_PAIR_STRING("referenceCategory", "PACKAGE-MANAGER"),
                                           SD_JSON_BUILD_PAIR_STRING("referenceType", "purl"),
                                           SD_JSON_BUILD_PAIR_STRING("referenceLocator", url)))));
        return r < 0 ? error_errno(e, r, "packages") : 0;
}

static int packages_to_json(sd_json_variant *packages, sd_json_variant **ret_packages,
                            sd_json_variant **ret_identifiers, struct error *e)
{
        size_t n = sd_json_variant_elements(packages);

        if (!sd_json_variant_is_array(packages) || n < 1 || n > PACKAGES_MAX)
                return error_set(e, -EINVAL, "packages: an array of 1 to %u expected", PACKAGES_MAX);
        for (size_t i = 0; i < n; i++) {
                _cleanup_json_ sd_json_variant *v = NULL;
                int r = package_to_json(sd_json_variant_by_index(packages, i), i, &v, e);

                if (r >= 0)
                        r = sd_json_variant_append_array(ret_packages, v);
                if (r >= 0)
                        r = sd_json_variant_append_array(ret_identifiers,
                                                         sd_json_variant_by_key(v, "SPDXID"));
                if (r < 0)
                        return r;
        }
        return 0;
}

int sbom_make(const struct image_json *image, sd_json_variant *packages, sd_json_variant **ret,
              struct error *e)
{
        _cleanup_json_ sd_json_variant *list = NULL, *identifiers = NULL;
        char namespace[sizeof(NAMESPACE) + 160];
        int r;

        r = packages_to_json(packages, &list, &identifiers, e);
        if (r < 0)
                return r;
        (void)snprintf(namespace, sizeof(namespace), NAMESPACE "%s", image->root_hash);
        r = sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("spdxVersion", "SPDX-2.3"),
                SD_JSON_BUILD_PAIR_STRING("dataLicense", "CC0-1.0"),
                SD_JSON_BUILD_PAIR_STRING("SPDXID", "SPDXRef-DOCUMENT"),
                SD_JSON_BUILD_PAIR_STRING("name", image->name),
                SD_JSON_BUILD_PAIR_STRING("documentNamespace", namespace),
                SD_JSON_BUILD_PAIR(
                        "creationInfo",
                        SD_JSON_BUILD_OBJECT(
                                SD_JSON_BUILD_PAIR_STRING("created", "1970-01-01T00:00:00Z"),
                                SD_JSON_BUILD_PAIR("creators", SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_STRING(
                                                                       "Tool: attest-" HOLDFAST_VERSION))))),
                SD_JSON_BUILD_PAIR_VARIANT("documentDescribes", identifiers),
                SD_JSON_BUILD_PAIR_VARIANT("packages", list));
        return r < 0 ? error_errno(e, r, "packages") : 0;
}
