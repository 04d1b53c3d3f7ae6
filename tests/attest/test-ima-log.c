/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <string.h>

#include "attest/ima-log.h"
#include "base/hex.h"
#include "ima-writer.h"

#define ROOT_HASH "a3000000000000000000000000000000000000000000000000000000000000b5"

static void write_log(struct written_ima *l)
{
        l->size = 0;
        ima_add_file(l, "sha256", ROOT_HASH, "boot_aggregate");
        ima_add_verity(l, "root", ROOT_HASH);
        ima_add_violation(l, "/usr/lib/modules/x.ko");
        ima_add_buffer(l, "selinux-policy-hash", "0123456789abcdef0123456789abcdef", 32);
}

Test(ima_log, entries)
{
        static const char *const names[] = {"boot_aggregate", "dm_table_load", "/usr/lib/modules/x.ko",
                                            "selinux-policy-hash"};
        struct ima_entry entry;
        struct written_ima l;
        size_t offset = 0;

        write_log(&l);
        for (uint32_t i = 0; i < 4; i++) {
                cr_assert_eq(ima_log_next(l.bytes, l.size, &offset, i, &entry, NULL), 1, "%u", i);
                cr_expect_str_eq(entry.name, names[i]);
                cr_expect_str_eq(entry.algorithm, "sha256");
                cr_expect_eq(entry.digest_size, 32);
                cr_expect_eq(entry.violation, i == 2);
                cr_expect_eq(!!entry.buffer, i % 2);
        }
        cr_expect_eq(ima_log_next(l.bytes, l.size, &offset, 4, &entry, NULL), 0);
}

/* By hand: the hash of the template data, ones for the violation. */
Test(ima_log, replay)
{
        uint8_t state[64] = {};
        struct ima_entry entry;
        struct pcr_bank bank;
        struct written_ima l;
        size_t offset = 0;

        write_log(&l);
        for (uint32_t i = 0; ima_log_next(l.bytes, l.size, &offset, i, &entry, NULL) > 0; i++) {
                SHA256(entry.template_data, entry.template_size, state + 32);
                if (entry.violation)
                        memset(state + 32, 0xff, 32);
                SHA256(state, 64, state);
        }
        cr_assert_eq(pcr_bank_start(&bank, PCR_SHA256), 0);
        cr_assert_eq(ima_log_replay(l.bytes, l.size, &bank, NULL), 0);
        cr_expect_arr_eq(bank.value[10], state, 32);
        cr_expect_eq(bank.extended, 1u << 10);
}

/* Where a violation says what it was; the PCR does not know. */
static bool is_unmeasured(const struct written_ima *l, size_t byte)
{
        struct ima_entry entry;
        size_t offset = 0;

        for (uint32_t i = 0; ima_log_next(l->bytes, l->size, &offset, i, &entry, NULL) > 0; i++)
                if (entry.violation && l->bytes + byte >= entry.template_data &&
                    l->bytes + byte < entry.template_data + entry.template_size)
                        return true;
        return false;
}

/* Every other changed bit is refused, or changes the PCR. */
Test(ima_log, changed_or_cut)
{
        struct pcr_bank original, bank;
        struct written_ima l;
        unsigned whole = 0;

        write_log(&l);
        cr_assert_eq(pcr_bank_start(&original, PCR_SHA256), 0);
        cr_assert_eq(ima_log_replay(l.bytes, l.size, &original, NULL), 0);
        for (size_t i = 0; i < 8 * l.size; i++) {
                int r;

                if (is_unmeasured(&l, i / 8))
                        continue;
                l.bytes[i / 8] ^= 1u << i % 8;
                cr_assert_eq(pcr_bank_start(&bank, PCR_SHA256), 0);
                r = ima_log_replay(l.bytes, l.size, &bank, NULL);
                l.bytes[i / 8] ^= 1u << i % 8;
                cr_assert(r < 0 || memcmp(&bank, &original, sizeof(bank)) != 0, "bit %zu", i);
        }
        for (size_t n = 0; n < l.size; n++) {
                cr_assert_eq(pcr_bank_start(&bank, PCR_SHA256), 0);
                whole += ima_log_replay(l.bytes, n, &bank, NULL) == 0;
        }
        cr_expect_eq(whole, 4, "the empty log and three borders between entries");
}

/* The template's name is not measured, and a signature stands where a buffer does. */
Test(ima_log, hidden_buffer)
{
        struct pcr_bank bank;
        struct written_ima l = {};
        uint8_t *name;

        ima_add_verity(&l, "root", ROOT_HASH);
        name = memmem(l.bytes, l.size, "ima-buf", 7);
        cr_assert(name);
        name[4] = 's';
        name[5] = 'i';
        name[6] = 'g';
        cr_assert_eq(pcr_bank_start(&bank, PCR_SHA256), 0);
        cr_expect_eq(ima_log_replay(l.bytes, l.size, &bank, NULL), -EBADMSG);
}

Test(ima_log, sizes)
{
        static const uint32_t sizes[] = {0x7fffffff, 0xffffffff, 0x80000000, 2u << 20};
        struct pcr_bank bank;
        struct written_ima l;

        cr_assert_eq(pcr_bank_start(&bank, PCR_SHA256), 0);
        for (size_t i = 0; i < 4; i++)
                for (size_t at = 24; at <= 34; at += 10) { /* of the template's name, of its data */
                        write_log(&l);
                        memcpy(l.bytes + at, &sizes[i], 4);
                        cr_expect_eq(ima_log_replay(l.bytes, l.size, &bank, NULL), -EBADMSG);
                }
}

static int parse_table(const char *text, struct ima_table *ret)
{
        struct written_ima l = {};
        struct ima_entry entry;
        size_t offset = 0;

        ima_add_buffer(&l, "dm_table_load", text, strlen(text));
        cr_assert_eq(ima_log_next(l.bytes, l.size, &offset, 0, &entry, NULL), 1);
        return ima_table_parse(&entry, ret, NULL);
}

Test(ima_table, verity)
{
        struct ima_entry entry;
        struct ima_table t = {};
        struct written_ima l;
        size_t offset = 0;
        char hex[65];

        write_log(&l);
        cr_assert_eq(ima_log_next(l.bytes, l.size, &offset, 0, &entry, NULL), 1);
        cr_expect_eq(ima_table_parse(&entry, &t, NULL), -ENOENT);
        cr_assert_eq(ima_log_next(l.bytes, l.size, &offset, 1, &entry, NULL), 1);
        cr_assert_eq(ima_table_parse(&entry, &t, NULL), 0);
        cr_expect_str_eq(t.name, "root");
        cr_expect_str_eq(t.target, "verity");
        cr_expect_str_eq(t.verity_algorithm, "sha256");
        cr_assert_eq(t.root_digest_size, 32);
        hex_encode(t.root_digest, 32, hex);
        cr_expect_str_eq(hex, ROOT_HASH);
}

/* A name may hold what looks like a field: the kernel puts a backslash before it. */
Test(ima_table, other_forms)
{
        static const struct {
                const char *text;
                int result;
                size_t root_digest_size;
        } cases[] = {
                {"dm_version=4.48.0;name=a\\,root_digest\\=00,uuid=,num_targets=1;target_name=verity,"
                 "verity_algorithm=sha256,root_digest=abcd;",
                 0, 2},
                {"dm_version=4.48.0;name=a,uuid=,num_targets=1;target_name=crypt,cipher=aes;", 0, 0},
                {"dm_version=4.48.0;name=a,uuid=,num_targets=2;target_name=linear,x=y;target_name=linear,x="
                 "y;",
                 0, 0},
                {"dm_version=4.48.0;name=a,uuid=,num_targets=1;target_name=verity,root_digest=abcd;",
                 -EBADMSG, 0},
                {"dm_version=4.48.0;name=a,uuid=,num_targets=1;target_name=verity,verity_algorithm=sha256;",
                 -EBADMSG, 0},
                {"dm_version=4.48.0;name=a,name=b,uuid=,num_targets=1;target_name=crypt,x=y;", -EBADMSG, 0},
                {"dm_version=4.48.0;name=a,uuid=,num_targets=1;target_name=crypt,x=y;target_name=verity,x=y;",
                 -EBADMSG, 0},
                {"dm_version=4.48.0;name=a,uuid=,num_targets=0;target_name=crypt,x=y;", -EBADMSG, 0},
                {"dm_version=4.48.0;name=a,uuid=,num_targets=1;target_name=verity", -EBADMSG, 0},
                {"", -EBADMSG, 0},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                struct ima_table t = {};

                cr_expect_eq(parse_table(cases[i].text, &t), cases[i].result, "%s", cases[i].text);
                if (cases[i].result == 0)
                        cr_expect_eq(t.root_digest_size, cases[i].root_digest_size, "%s", cases[i].text);
        }
}
