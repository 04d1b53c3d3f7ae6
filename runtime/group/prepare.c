/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a group has as a whole: its images and layers, its cgroup, its network. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "runtime/group/internal.h"
#include "runtime/net/net.h"

/* --- images and layers --- */

static int find_image(struct container *c, struct error *e)
{
        const struct manager *m = c->group->manager;
        _cleanup_(store_image_free_ptr) struct store_image *image = NULL;
        int r;

        if (!m->store && m->store_status < 0)
                return error_set(e, m->store_status, "image \"%s\": %s", c->definition->image,
                                 m->store_error.message);
        if (!m->store)
                return error_set(e, -ENOENT, "image \"%s\": this machine has no image store",
                                 c->definition->image);
        r = store_find_image(m->store, c->definition->image, m->trust, &image, e);
        if (r == -ENOENT)
                return error_set(e, r, "image \"%s\": not in the image store (%s/store)",
                                 c->definition->image, m->options.run);
        if (r < 0)
                return r;
        r = layers_check_policy(m->options.ipe, image->layers, image->n_layers, e);
        if (r < 0)
                return error_prefix(e, r, "image \"%s\"", c->definition->image);
        /* A group goes on with the image it began with. */
        if (c->image_digest[0] && strcmp(c->image_digest, image->digest) != 0)
                return error_set(e, -ESTALE, "image \"%s\": %s expected, the store now has %s",
                                 c->definition->image, c->image_digest, image->digest);
        memcpy(c->image_digest, image->digest, sizeof(c->image_digest));
        c->image = TAKE_PTR(image);
        return 0;
}

int group_find_images(struct group *g, struct error *e)
{
        for (size_t i = 0; i < g->definition->n_containers; i++) {
                int r = g->containers[i].image ? 0 : find_image(&g->containers[i], e);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Releases the layers of the first n containers, and the first k of the next. */
static void release_layers(struct group *g, size_t n, size_t k)
{
        for (size_t i = 0; i <= n && i < g->definition->n_containers; i++) {
                const struct store_image *image = g->containers[i].image;
                struct error e;

                for (size_t j = 0; image && j < (i < n ? image->n_layers : k); j++)
                        if (layers_release(g->manager->layers, image->layers[j].digest, &e) < 0)
                                manager_say(g->manager, "%s", e.message);
        }
}

int group_acquire_layers(struct group *g, struct error *e)
{
        int r;

        if (g->holds_layers)
                return 0;
        r = group_find_images(g, e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < g->definition->n_containers; i++)
                for (size_t j = 0; j < g->containers[i].image->n_layers; j++) {
                        const char *path;

                        r = layers_acquire(g->manager->layers, &g->containers[i].image->layers[j], &path, e);
                        if (r < 0) {
                                release_layers(g, i, j);
                                return r;
                        }
                }
        g->holds_layers = true;
        return 0;
}

/* --- the network --- */

static void netns_path(const struct group *g, char ret[static PATH_MAX])
{
        (void)snprintf(ret, PATH_MAX, "%s/netns/%s", g->manager->options.run, g->definition->name);
}

static int choose_address(struct group *g, const struct net_uplink *uplink, struct error *e)
{
        const struct manager *m = g->manager;
        _cleanup_free_ struct in_addr *used = calloc(m->n_groups, sizeof(*used));
        size_t n = 0;

        if (!used)
                return -ENOMEM;
        for (size_t i = 0; i < m->n_groups; i++)
                if (m->groups[i] != g && m->groups[i]->address.s_addr != 0)
                        used[n++] = m->groups[i]->address;
        return net_choose_address(uplink, used, n, g->definition->has_ip ? &g->definition->ip : NULL,
                                  &g->address, e);
}

static int connect_group(struct group *g, struct error *e)
{
        char path[PATH_MAX], directory[PATH_MAX];
        struct net_uplink uplink;
        int r;

        netns_path(g, path);
        r = net_find_uplink(&uplink, e);
        if (r < 0)
                return r;
        r = choose_address(g, &uplink, e);
        if (r >= 0) /* before the kernel has it: whoever comes after us must know what to remove */
                r = group_save(g, e);
        if (r < 0)
                return r;
        if (snprintf(directory, sizeof(directory), "%s/netns", g->manager->options.run) >=
            (int)sizeof(directory))
                return -ENAMETOOLONG;
        r = make_directories(directory, 0700, e);
        return r < 0 ? r : net_create(path, g->interface, &uplink, g->address, e);
}

static void prepare_failed(struct group *g, const struct error *e)
{
        group_fail(g, e);
        group_event(g, EVENT_PREPARE_FAILED, 0, 0);
}

static int on_uplink_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct group *g = userdata;

        g->timer = sd_event_source_disable_unref(g->timer);
        group_prepare(g);
        return 0;
}

/* The network comes last, because it may have to wait: at boot a group can be asked for before the uplink has
 * its address. */
static void prepare_network(struct group *g)
{
        struct manager *m = g->manager;
        struct error e = {"out of memory"};
        int r;

        r = connect_group(g, &e);
        if (r >= 0) {
                g->uplink_deadline_ms = 0;
                group_event(g, EVENT_PREPARED, 0, 0);
                return;
        }
        if (g->uplink_deadline_ms == 0)
                g->uplink_deadline_ms = now_ms() + UPLINK_WAIT_MS;
        if (r == -EAGAIN && g->machine.want == WANT_RUN && now_ms() < g->uplink_deadline_ms &&
            sd_event_add_time_relative(m->event, &g->timer, CLOCK_BOOTTIME, (uint64_t)UPLINK_POLL_MS * 1000,
                                       1000, on_uplink_timer, g) >= 0)
                return;
        if (r == -EAGAIN)
                (void)error_prefix(&e, r, "waited %u s", UPLINK_WAIT_MS / 1000);
        g->uplink_deadline_ms = 0;
        (void)error_prefix(&e, r, "network");
        prepare_failed(g, &e);
}

void group_prepare(struct group *g)
{
        struct error e = {"out of memory"};
        int r;

        r = group_check_type(g, &e);
        if (r >= 0)
                r = group_acquire_layers(g, &e);
        if (r >= 0)
                r = cgroup_make_group(g, &e);
        if (r >= 0 && g->uplink_deadline_ms == 0) /* else they were made before the uplink was waited for */
                r = volumes_make(g, &e);
        if (r < 0)
                prepare_failed(g, &e);
        else
                prepare_network(g);
}

static void await_release(struct group *g);

static int on_release_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        await_release(userdata);
        return 0;
}

/* "Deleted" means gone: the devices of its layers too, unless something else holds them. */
static void await_release(struct group *g)
{
        struct manager *m = g->manager;

        g->timer = sd_event_source_disable_unref(g->timer);
        if (layers_closing(m->layers) > 0 && now_ms() < g->release_deadline_ms &&
            sd_event_add_time_relative(m->event, &g->timer, CLOCK_BOOTTIME, RELEASE_POLL_USEC,
                                       RELEASE_POLL_USEC, on_release_timer, g) >= 0)
                return;
        group_event(g, EVENT_RELEASED, 0, 0);
}

void group_release(struct group *g)
{
        char path[PATH_MAX];
        struct error e;

        g->timer = sd_event_source_disable_unref(g->timer);
        netns_path(g, path);
        if (net_remove(path, g->interface, g->address, &e) < 0)
                manager_say(g->manager, "%s", e.message);
        g->address.s_addr = 0;
        if (g->holds_layers)
                release_layers(g, g->definition->n_containers, 0);
        g->holds_layers = false;
        volumes_remove(g->manager, g->definition->name);
        cgroup_of_group(g, path);
        if (cgroup_remove(path) < 0)
                manager_say(g->manager, "cgroup %s could not be removed", path);
        (void)snprintf(path, sizeof(path), "%s/containers/%s", g->manager->options.run, g->definition->name);
        if (remove_tree(path, &e) < 0)
                manager_say(g->manager, "%s", e.message);
        g->release_deadline_ms = now_ms() + RELEASE_WAIT_MS;
        await_release(g);
}
