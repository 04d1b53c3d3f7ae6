/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"
#include "fuzz.h"
#include "verity-tools/build-internal.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* No name that comes out leaves the root, and no file is setuid. */
static void check_image(int fd)
{
        struct archive *a = archive_read_new();
        struct archive_entry *entry;

        PROMISE(archive_read_support_format_tar(a) == ARCHIVE_OK);
        if (archive_read_open_fd(a, fd, 65536) == ARCHIVE_OK)
                while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
                        const char *name = archive_entry_pathname(entry);

                        PROMISE(name && name[0] != '/' && strncmp(name, "../", 3) != 0 &&
                                !strstr(name, "/../"));
                        PROMISE(archive_entry_filetype(entry) != AE_IFREG ||
                                (archive_entry_perm(entry) & 06000) == 0);
                }
        (void)archive_read_free(a);
}

/* Gives a block the magic and the checksum of a header: otherwise hardly any input would get past them. */
static void make_header(uint8_t *block)
{
        unsigned sum = 0;
        char text[8];

        memcpy(block + 257, "ustar\00000", 8);
        memset(block + 148, ' ', 8);
        for (size_t i = 0; i < 512; i++)
                sum += block[i];
        (void)snprintf(text, sizeof(text), "%06o", sum);
        memcpy(block + 148, text, 7);
}

/* What comes out lies in memory here: a file that claims to be large must fail to be written, not fill the
 * machine. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        static const struct rlimit limit = {.rlim_cur = 64u << 20, .rlim_max = 64u << 20};

        PROMISE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        return 0;
}

/* The input is a row of headers of 64 bytes each: 32 of the name, 32 of the fields from the mode on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_close_ int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
        uint64_t at = 0;

        (void)signal(SIGXFSZ, SIG_IGN); /* here, since libFuzzer takes the signal for itself at its start */
        for (; size >= 64; data += 64, size -= 64, at += 512) {
                uint8_t block[512] = {};

                memcpy(block, data, 32);
                memcpy(block + 100, data + 32, 8);
                memcpy(block + 124, data + 40, 12);
                block[156] = data[52];
                memcpy(block + 157, data + 53, 11);
                make_header(block);
                PROMISE(pwrite_full(in, block, sizeof(block), at) == 0);
        }
        PROMISE(pwrite_full(in, data, size, at) == 0);
        if (tar_normalise(in, "input", out, false, NULL) == 0 && lseek(out, 0, SEEK_SET) == 0)
                check_image(out);
        return 0;
}
