/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipe-policy generate, ipe-policy from-audit */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "program.h"

#define RECORDS_MAX ((size_t)256 * 1024 * 1024)

int verb_generate(int argc, char **argv)
{
        static const char *const ways[] = {"signature", "root-hash"};
        _cleanup_(ipe_layers_done) struct ipe_layers layers = {};
        struct ipe_generate_options o = {options.policy_name, options.policy_version ?: "1.0.0", false};
        _cleanup_free_ char *text = NULL;
        struct error e = {};
        unsigned way = 0;
        int r;

        if (!o.name || options.images.n == 0) {
                log_error(0, "generate: --policy-name and --image expected");
                return EXIT_COULD_NOT_TRY;
        }
        r = choose("by", options.by, ways, ELEMENTSOF(ways), &way, &e);
        if (r >= 0)
                r = read_images(&layers, &e);
        o.by_root_hash = way == 1;
        if (r >= 0)
                r = ipe_policy_generate(&layers, &o, &text, &e);
        if (r >= 0)
                r = write_output(text, &e);
        return r < 0 ? fail(r, &e) : EXIT_SUCCESS;
}

static void tell_refused(void *userdata, const char *operation, const char *path, const char *reason)
{
        log_warning("%s %s is not allowed: %s", operation, path, reason);
}

struct devices {
        struct ipe_device items[64];
        char *names[64], *digests[64];
        size_t n;
};

static void devices_done(struct devices *d)
{
        for (size_t i = 0; i < d->n; i++) {
                free(d->names[i]);
                free(d->digests[i]);
        }
}

static int devices_from_options(struct devices *ret, struct error *e)
{
        int r = 0;

        for (size_t i = 0; i < options.maps.n && r >= 0; i++) {
                const char *item = options.maps.items[i], *equals = strchr(item, '=');

                if (!equals)
                        return error_set(e, -EDOM, "--map: DEVICE=ALGORITHM:HEX expected, found \"%s\"",
                                         item);
                ret->names[i] = strndup(item, (size_t)(equals - item));
                ret->n++;
                if (!ret->names[i])
                        return error_errno(e, -ENOMEM, "--map");
                ret->items[i].name = ret->names[i];
                r = parse_digest("map", equals + 1, &ret->digests[i], &ret->items[i].root_hash, e);
        }
        return r;
}

static int from_audit(const char *path, struct ipe_audit_result *ret, struct error *e)
{
        _cleanup_(ipe_layers_done) struct ipe_layers layers = {};
        _cleanup_(devices_done) struct devices devices = {};
        _cleanup_file_ struct policy_file f = {};
        _cleanup_free_ char *records = NULL, *text = NULL;
        struct ipe_audit_options o = {.layers = &layers, .refused = tell_refused};
        size_t size;
        int r;

        if ((r = policy_file_read(path, &f, e)) < 0 || (r = devices_from_options(&devices, e)) < 0 ||
            (r = read_images(&layers, e)) < 0 ||
            (r = read_file(AT_FDCWD, "/dev/stdin", RECORDS_MAX, &records, &size, e)) < 0)
                return r;
        o.devices = devices.items;
        o.n_devices = devices.n;
        r = ipe_policy_from_audit(f.text, f.size, records, &o, ret, &text, e);
        return r < 0 ? r : write_output(text, e);
}

int verb_from_audit(int argc, char **argv)
{
        struct ipe_audit_result result = {};
        struct error e = {};
        int r = from_audit(argv[0], &result, &e);

        if (r < 0)
                return fail(r, &e);
        log_info("%zu records, %zu rules added, %zu refused", result.n_records, result.n_rules,
                 result.n_refused);
        return result.n_refused > 0 ? EXIT_ANSWER_IS_NO : EXIT_SUCCESS;
}
