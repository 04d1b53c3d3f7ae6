/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The EFI system partition: whoever has the disk may write it, so nothing counts but what is signed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "ipe-policy/ipe-policy.h"
#include "osguard/osguard.h"

#define ESP_TYPE "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" /* Discoverable Partitions Specification */
#define ESP_MOUNT "/run/holdfast/esp"
#define TOKEN_FILE_MAX (16u * 1024)

int esp_mount(const char *disk, bool write, int *ret_dirfd, struct error *e)
{
        unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW;
        struct partition p = {};
        int r, fd;

        r = partition_find_by_type(ESP_TYPE, disk, &p, e);
        if (r < 0)
                return error_prefix(e, r, "ESP");
        if (mkdir(ESP_MOUNT, 0700) < 0 && errno != EEXIST)
                return error_errno(e, -errno, ESP_MOUNT);
        if (mount(p.path, ESP_MOUNT, "vfat", write ? flags : flags | MS_RDONLY, NULL) < 0)
                return error_errno(e, -errno, "mount %s", p.path);
        fd = open(ESP_MOUNT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
                r = error_errno(e, -errno, ESP_MOUNT);
                (void)umount(ESP_MOUNT);
                return r;
        }
        *ret_dirfd = fd;
        return 0;
}

int esp_unmount(struct error *e)
{
        if (umount(ESP_MOUNT) < 0)
                return error_errno(e, -errno, "unmount " ESP_MOUNT);
        if (rmdir(ESP_MOUNT) < 0)
                return error_errno(e, -errno, ESP_MOUNT);
        return 0;
}

void esp_done(struct esp *esp)
{
        free(esp->policies);
        free(esp->host);
        free(esp->host_policies);
        free(esp->token);
        free(esp->manifest);
        *esp = (struct esp){};
}

static int read_manifest(int dirfd, const struct trust_store *trust, const struct image *image,
                         struct esp *esp, struct error *e)
{
        char path[sizeof(ESP_DIRECTORY) + 48], hex[65];
        _cleanup_free_ char *der = NULL;
        const void *text = NULL;
        size_t size = 0, text_size = 0;
        uint8_t digest[32];
        int r;

        if (trust_sha256(image->text, image->size, digest) < 0)
                return error_set(e, -EIO, OSGUARD_IMAGE ": SHA-256 failed");
        hex_encode(digest, sizeof(digest), hex);
        (void)snprintf(path, sizeof(path), ESP_DIRECTORY "/%.32s.p7m", hex);
        r = read_file(dirfd, path, MANIFEST_MAX, &der, &size, e);
        if (r < 0)
                return error_prefix(e, r, "build manifest");
        r = trust_verify_attached(trust, TRUST_BUILD, der, size, &text, &text_size, e);
        if (r < 0)
                return error_prefix(e, r, "%s", path);
        r = pcr_policies_parse(path, text, text_size, digest, &esp->policies, &esp->n_policies, e);
        if (r < 0)
                return r;
        esp->manifest = (uint8_t *)TAKE_PTR(der);
        esp->manifest_size = size;
        return 0;
}

/* -ENOENT is success: the file is optional. */
static int read_optional(int dirfd, const char *path, size_t max, uint8_t **ret, size_t *ret_size,
                         struct error *e)
{
        int r = file_exists(dirfd, path);

        if (r <= 0)
                return r < 0 ? error_errno(e, r, "%s", path) : 0;
        return read_file(dirfd, path, max, (char **)ret, ret_size, e);
}

static int read_host_policy(int dirfd, struct esp *esp, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r;

        r = read_optional(dirfd, ESP_DIRECTORY "/ipe-host.p7b", IPE_POLICY_MAX, &esp->host, &esp->host_size,
                          e);
        if (r < 0 || !esp->host)
                return r;
        r = read_file(dirfd, ESP_DIRECTORY "/ipe-host.json", MANIFEST_MAX, &text, &size, e);
        if (r < 0)
                return error_prefix(e, r, "PCR policies of ipe-host.p7b");
        return pcr_policies_parse(ESP_DIRECTORY "/ipe-host.json", text, size, NULL, &esp->host_policies,
                                  &esp->n_host_policies, e);
}

int esp_read(int dirfd, const struct trust_store *trust, const struct image *image, struct esp *ret,
             struct error *e)
{
        _cleanup_(esp_done) struct esp esp = {};
        int r;

        r = read_manifest(dirfd, trust, image, &esp, e);
        if (r >= 0)
                r = read_host_policy(dirfd, &esp, e);
        if (r >= 0)
                r = read_optional(dirfd, ESP_DIRECTORY "/recovery.p7m", TOKEN_FILE_MAX, &esp.token,
                                  &esp.token_size, e);
        if (r < 0)
                return r;
        *ret = esp;
        esp = (struct esp){};
        return 0;
}

int step_esp(struct boot *b, struct error *e)
{
        int r, unmounted, fd = -EBADF;

        r = esp_mount(b->disk, false, &fd, e);
        if (r < 0)
                return r;
        r = esp_read(fd, b->trust, &b->image, &b->esp, e);
        (void)close_fd(fd);
        unmounted = esp_unmount(r < 0 ? NULL : e);
        if (r < 0 || unmounted < 0)
                return r < 0 ? r : unmounted;
        return write_file_atomic(AT_FDCWD, OSGUARD_MANIFEST, b->esp.manifest, b->esp.manifest_size, 0644, e);
}
