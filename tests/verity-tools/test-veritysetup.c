/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trees of every geometry, between veritysetup and the program in both directions, and mkfs.erofs's images on
 * the way from format to signature. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include "base/process.h"
#include "scratch.h"

#define SALT_256                                                                                             \
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"   \
        "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"   \
        "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f"   \
        "909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"   \
        "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"   \
        "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"

static void set_up(void)
{
        scratch_enter();
        cr_assert_eq(setenv("PATH", BIN_DIR ":/usr/sbin:/usr/bin:/sbin:/bin", 1), 0);
}

TestSuite(veritysetup, .init = set_up, .fini = scratch_leave);

struct geometry_case {
        char hash[8];
        unsigned data_block, hash_block, blocks;
        char salt[2 * 256 + 1];
};

ParameterizedTestParameters(veritysetup, geometries)
{
        static struct geometry_case cases[] = {
                {"sha256", 4096, 4096, 1, "-"},       {"sha256", 4096, 4096, 2, "00"},
                {"sha256", 4096, 4096, 128, "aabb"},  {"sha256", 4096, 4096, 129, SALT_256},
                {"sha256", 512, 512, 16, "aa"},       {"sha256", 512, 512, 300, "-"},
                {"sha256", 1024, 4096, 131, "aa"},    {"sha256", 4096, 512, 17, SALT_256},
                {"sha256", 2048, 1024, 1100, "00ff"}, {"sha384", 4096, 4096, 65, "abcd"},
                {"sha384", 512, 512, 70, SALT_256},   {"sha384", 4096, 1024, 1, "-"},
                {"sha512", 4096, 4096, 64, "abcd"},   {"sha512", 512, 4096, 513, "-"},
                {"sha512", 1024, 512, 100, SALT_256},
        };

        return cr_make_param_array(struct geometry_case, cases, ELEMENTSOF(cases));
}

static void make_data(const struct geometry_case *c)
{
        size_t size = (size_t)c->data_block * c->blocks;
        _cleanup_free_ uint8_t *data = malloc(size);

        fill_pattern(data, size);
        put("data", data, size);
}

/* The options by which both programs understand the same; $g in the shell. */
static void describe(const struct geometry_case *c)
{
        char text[1024];

        (void)snprintf(text, sizeof(text), "--hash=%s --data-block-size=%u --hash-block-size=%u --salt=%s",
                       c->hash, c->data_block, c->hash_block, c->salt);
        cr_assert_eq(setenv("g", text, 1), 0);
}

#define ROOT_HASH "sed -n 's/^Root hash:[[:space:]]*//p'"
#define UUID "01234567-89ab-cdef-0123-456789abcdef"

ParameterizedTest(struct geometry_case *c, veritysetup, geometries)
{
        make_data(c);
        describe(c);
        shell("veritysetup format data theirs $g --uuid=" UUID " | " ROOT_HASH " >root && "
              "verity verify data --hash-file=theirs --root-hash=$(cat root)");
        shell("test $(verity format data --hash-file=ours $g --uuid=" UUID ") = $(cat root) && "
              "veritysetup verify data ours $(cat root) && cmp -n $(stat -c %%s ours) ours theirs");
        shell("veritysetup format data theirs --no-superblock $g --data-blocks=%u | " ROOT_HASH " >root && "
              "verity verify data --hash-file=theirs --no-superblock $g --root-hash=$(cat root)",
              c->blocks);
        shell("test $(verity format data --hash-file=ours --no-superblock $g) = $(cat root) && "
              "veritysetup verify data ours $(cat root) --no-superblock $g --data-blocks=%u && "
              "cmp -n $(stat -c %%s ours) ours theirs",
              c->blocks);
}

static void make_plain_data(void)
{
        make_data(&(struct geometry_case){.data_block = 4096, .blocks = 200});
}

Test(veritysetup, trees_behind_the_data)
{
        make_plain_data();
        shell("cp data theirs && "
              "veritysetup format theirs theirs --hash-offset=819200 --salt=- --uuid=" UUID " | " ROOT_HASH
              " >root && verity verify theirs --hash-offset=819200 --root-hash=$(cat root)");
        shell("test $(verity format data -o ours --salt=- --uuid=" UUID ") = $(cat root) && "
              "cmp -n $(stat -c %%s ours) ours theirs");
        shell("verity format data -o ours --hash-offset=1000448 >root && "
              "veritysetup verify ours ours $(cat root) --hash-offset=1000448 && "
              "verity verify ours --hash-offset=1000448 --root-hash=$(cat root)");
        shell("verity format data -o ours --hash-offset=999424 --no-superblock --salt=aa >root && "
              "veritysetup verify ours ours $(cat root) --hash-offset=999424 --no-superblock --salt=aa "
              "--data-blocks=200 && verity verify ours --hash-offset=999424 --no-superblock --salt=aa "
              "--data-blocks=200 --root-hash=$(cat root)");
}

Test(veritysetup, fewer_blocks_than_there_are)
{
        make_plain_data();
        shell("veritysetup format data theirs --data-blocks=77 --salt=aa --uuid=" UUID " | " ROOT_HASH
              " >root && verity verify data --hash-file=theirs --root-hash=$(cat root) && "
              "test $(verity format data --hash-file=ours --data-blocks=77 --salt=aa --uuid=" UUID
              ") = $(cat root) && cmp ours theirs");
}

Test(veritysetup, error_correction_beside_the_tree_is_left_alone)
{
        make_plain_data();
        shell("cp data one && truncate -s 2097152 one && "
              "veritysetup format one one --data-blocks=200 --hash-offset=819200 --fec-device=one "
              "--fec-offset=1048576 --fec-roots=2 | " ROOT_HASH
              " >root && verity verify one --hash-offset=819200 --root-hash=$(cat root)");
        shell("veritysetup format data tree --fec-device=fec --fec-roots=24 | " ROOT_HASH
              " >root && verity verify data --hash-file=tree --root-hash=$(cat root)");
}

/* --- images of mkfs.erofs --- */

ParameterizedTestParameters(veritysetup, foreign_images)
{
        static struct {
                char options[64];
        } cases[] = {
                {"-T0"},
                {"-Enoinline_data"},
                {"--chunksize=4096"},
                {"-zlz4"},
                {"-zlz4hc,9 -C65536 -Ededupe"},
                {"-zlz4 -Eall-fragments,ztailpacking"},
                {"-x1 --xattr-prefix=user.some."},
        };

        return cr_make_param_array(char[64], cases, ELEMENTSOF(cases));
}

ParameterizedTest(char (*options)[64], veritysetup, foreign_images)
{
        shell("mkdir -p t/d && seq 1 20000 >t/d/f && ln -s f t/d/l && echo x >t/x && "
              "mkfs.erofs --quiet %s t.img t && n=$(stat -c %%s t.img) && "
              "veritysetup format t.img t.img --hash-offset=$n --salt=" SALT_256 " | " ROOT_HASH " >root",
              *options);
        shell("verity keygen --purpose=layer --key=k --certificate=layer.pem --algorithm=p256 && "
              "verity sign t.img --root-hash=$(cat root) --key=k --certificate=layer.pem -o sig && "
              "verity verify t.img --root-hash=$(cat root) --signature=sig --trust=. && "
              "verity inspect t.img && "
              "verity sign t.img --root-hash=$(cat root) --key=k --certificate=layer.pem -o p "
              "--format=partition && verity verify t.img --signature=p --trust=.");
}

/* --- refusals --- */

struct refusal {
        char line[640];
        int status;
        char says[96];
};

ParameterizedTestParameters(veritysetup, refusals)
{
        static struct refusal cases[] = {
                {"verity format data", 2, "either --output= or --hash-file="},
                {"verity format data -o x --hash-file=y", 2, "either --output= or --hash-file="},
                {"verity format data -o data", 2, "data"},
                {"verity format data -o x --data-block-size=3000", 2, "3000"},
                {"verity format data -o x --data-block-size=8192", 2, "8192"},
                {"verity format data -o x --data-block-size=4294971392", 2, "power of two"},
                {"verity format data -o x --hash-block-size=256", 2, "256"},
                {"verity format data -o x --hash=sha1", 2, "sha1"},
                {"verity format data -o x --salt=abc", 2, "abc"},
                {"verity format data -o x --salt=" SALT_256 "00", 2, "256 bytes"},
                {"verity format data -o x --uuid=1", 2, "--uuid"},
                {"verity format data -o x --data-blocks=201", 2, "823296 bytes"},
                {"verity format data -o x --hash-offset=4096", 2, "behind the 819200 bytes"},
                {"verity format data -o x --hash-offset=819201", 2, "multiple of 512"},
                {"verity format data -o x --hash-offset=819712 --no-superblock", 2, "multiple of 4096"},
                {"head -c 5000 data >odd; verity format odd -o x", 2, "whole blocks of 4096"},
                {": >empty; verity format empty -o x", 2, "data blocks"},
                {"verity format absent -o x", 2, "absent"},
                {"verity format data -o absent/x", 2, "absent"},
                {"verity verify data --root-hash=00", 1, "--hash-offset= or --hash-file="},
                {"verity verify data --hash-offset=0 --root-hash=00", 1, "signature"},
                {"verity verify data --hash-offset=900000000 --root-hash=00", 1, "found the end at 819200"},
                {"verity verify data --hash-file=tree --salt=00 --root-hash=00", 2, "--no-superblock"},
                {"verity verify data --hash-file=tree --root-hash=00", 2, "32 bytes expected"},
                {"verity verify data --hash-file=tree", 2, "--root-hash"},
                {"veritysetup format data t0 --format=0 >/dev/null; "
                 "verity verify data --hash-file=t0 --root-hash=00",
                 1, "hash type 1, salt before data, expected, found 0"},
                {"veritysetup format data t1 --hash=sha1 >/dev/null; "
                 "verity verify data --hash-file=t1 --root-hash=00",
                 1, "found \"sha1\""},
                {"verity format data --hash-file=h >r; verity sign data --hash-file=h --root-hash=$(cat r) "
                 "--key=k --certificate=layer.pem -o x",
                 1, "EROFS: magic"},
                {"mv t/a \"$(printf 't/\\033[31m')\"; chmod u+s t/*; mkfs.erofs --quiet e t; verity format e "
                 "-o e2 >r; "
                 "verity sign e2 --root-hash=$(cat r) --key=k --certificate=layer.pem -o x",
                 1, "/\\x1b[31m: a file without setuid"},
                {"chmod u+s t/a; mkfs.erofs --quiet e t; verity format e -o e2 >r; "
                 "verity sign e2 --root-hash=$(cat r) --key=k --certificate=layer.pem -o x",
                 1, "/a: a file without setuid"},
                {"mkfs.erofs --quiet e t; verity format e --hash-file=h --data-blocks=1 >r; "
                 "head -c 4096 e >e1; cat h >>e1; verity sign e --hash-file=h --root-hash=$(cat r) --key=k "
                 "--certificate=layer.pem -o x",
                 1, "bytes that the hash tree covers"},
                {": >blob; mkfs.erofs --quiet --blobdev=blob --chunksize=4096 e t; verity format "
                 "e -o e2 >r; "
                 "verity sign e2 --root-hash=$(cat r) --key=k --certificate=layer.pem -o x",
                 1, "one device expected"},
                {"mkfs.erofs --quiet -b512 e t; verity format e -o e2 --data-block-size=512 >r; "
                 "verity sign e2 --root-hash=$(cat r) --key=k --certificate=layer.pem -o x "
                 "--hash-offset=$(stat -c %s e | awk '{print int(($1+4095)/4096)*4096}')",
                 1, "blocks of 4096"},
        };

        return cr_make_param_array(struct refusal, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct refusal *c, veritysetup, refusals)
{
        char *argv[] = {(char *)"sh", (char *)"-c", c->line, NULL};
        struct process_result result = {};

        make_plain_data();
        shell("mkdir t && seq 1 3000 >t/a && veritysetup format data tree && "
              "verity keygen --purpose=layer --key=k --certificate=layer.pem --algorithm=p256");
        cr_assert_eq(process_run(argv, NULL, &result, NULL), 0);
        cr_expect_eq(result.status, c->status, "%s: exit status %d expected, found %d: %s", c->line,
                     c->status, result.status, result.output);
        cr_expect_not_null(strstr(result.output, c->says), "%s: \"%s\" expected, found: %s", c->line, c->says,
                           result.output);
        free(result.output);
        shell("! ls x y *.tmp 2>/dev/null");
}
