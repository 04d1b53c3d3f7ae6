/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs that were recorded in the text form: the kernel's own digests of them are those that we compute. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/ima-log.h"
#include "base/cleanup.h"
#include "base/hex.h"
#include "ima-writer.h"
#include "mutate.h"
#include "vectors.h"

/* Lines of "PCR TEMPLATE-DIGEST ima-ng ALGORITHM:DIGEST PATH". */
static void convert(const char *name, struct written_ima *ret)
{
        char path[64], template[129], algorithm[16], digest[129], file[64];
        size_t size;
        _cleanup_free_ char *text = NULL;
        unsigned pcr;

        (void)snprintf(path, sizeof(path), "ima/keylime/%s", name);
        text = (char *)vector_read(path, &size);
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
                uint8_t sha1[20];
                size_t at = ret->size;

                cr_assert_eq(sscanf(line, "%u %128s ima-ng %15[^:]:%128s %63s", &pcr, template, algorithm,
                                    digest, file),
                             5, "%s", line);
                ima_add_file(ret, algorithm, digest, file);
                cr_assert_eq(hex_decode(template, sha1, sizeof(sha1)), 0);
                memcpy(ret->bytes + at + 4, sha1, sizeof(sha1));
        }
}

Test(ima_vectors, digests_are_the_kernels)
{
        static const char *const names[] = {"ima-log-sha1", "ima-log-sha256", "ima-log-sha384",
                                            "ima-log-sha512"};

        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
                struct written_ima l = {};
                struct ima_entry entry;
                struct pcr_bank bank;
                struct error e = {};
                size_t offset = 0;
                uint32_t n = 0;

                convert(names[i], &l);
                while (ima_log_next(l.bytes, l.size, &offset, n, &entry, &e) > 0)
                        n++;
                cr_expect_eq(n, 2, "%s: %s", names[i], e.message);
                cr_expect_str_eq(entry.name, "/data");
                cr_assert_eq(pcr_bank_start(&bank, PCR_SHA256), 0);
                cr_expect_eq(ima_log_replay(l.bytes, l.size, &bank, NULL), 0);
        }
}

Test(ima_vectors, mutations, .timeout = 900)
{
        uint64_t state = 0x9e3779b97f4a7c15;
        struct written_ima l = {}, copy;
        struct pcr_bank original, bank;

        convert("ima-log-sha256", &l);
        cr_assert_eq(pcr_bank_start(&original, PCR_SHA256), 0);
        cr_assert_eq(ima_log_replay(l.bytes, l.size, &original, NULL), 0);
        for (unsigned i = 0; i < 10000; i++) {
                copy = l;
                mutate(copy.bytes, copy.size, &state);
                cr_assert_eq(pcr_bank_start(&bank, PCR_SHA256), 0);
                if (ima_log_replay(copy.bytes, copy.size, &bank, NULL) == 0 &&
                    memcmp(copy.bytes, l.bytes, l.size) != 0)
                        cr_assert_neq(memcmp(&bank, &original, sizeof(bank)), 0, "mutation %u", i);
        }
}
