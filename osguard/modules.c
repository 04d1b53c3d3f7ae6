/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <libkmod.h>
#include <string.h>

#include "base/file.h"
#include "osguard/osguard.h"

static int load(struct kmod_ctx *ctx, const char *name, struct error *e)
{
        struct kmod_list *list = NULL, *item;
        int r;

        r = kmod_module_new_from_lookup(ctx, name, &list);
        if (r < 0 || !list)
                return error_set(e, r < 0 ? r : -ENOENT, "module %s: expected in the initrd, not found",
                                 name);
        kmod_list_foreach(item, list)
        {
                struct kmod_module *module = kmod_module_get_module(item);

                r = kmod_module_probe_insert_module(module, 0, NULL, NULL, NULL, NULL);
                if (r < 0)
                        (void)error_errno(e, r, "module %s", kmod_module_get_name(module));
                (void)kmod_module_unref(module);
                if (r < 0)
                        break;
        }
        (void)kmod_module_unref_list(list);
        return r < 0 ? r : 0;
}

/* Everything that the machine will need is loaded now; then module loading ends for this boot. */
int step_modules(struct boot *b, struct error *e)
{
        struct kmod_ctx *ctx = kmod_new(NULL, NULL);
        int r = 0;

        if (!ctx)
                return error_set(e, -ENOMEM, "libkmod");
        r = kmod_load_resources(ctx);
        if (r < 0)
                (void)error_errno(e, r, "module index");
        for (size_t i = 0; r >= 0 && b->image.modules[i]; i++)
                r = load(ctx, b->image.modules[i], e);
        (void)kmod_unref(ctx);
        return r < 0 ? r : write_kernel_file("/proc/sys/kernel/modules_disabled", "1", 1, e);
}
