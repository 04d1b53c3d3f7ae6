/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every engine of this processor against OpenSSL on the same blocks. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "scratch.h"
#include "verity-tools/hash-engine.h"
#include "verity-tools/internal.h"

#define BLOCKS_MAX 40
#define BLOCK_MAX 4096

static uint8_t data[BLOCKS_MAX * BLOCK_MAX + 64], salt[VERITY_SALT_MAX];

static void reference(const char *algorithm, size_t salt_size, const uint8_t *block, size_t block_size,
                      uint8_t ret[static EVP_MAX_MD_SIZE])
{
        static uint8_t message[VERITY_SALT_MAX + BLOCK_MAX];

        memcpy(message, salt, salt_size);
        memcpy(message + salt_size, block, block_size);
        cr_assert_eq(EVP_Q_digest(NULL, algorithm, NULL, message, salt_size + block_size, ret, NULL), 1);
}

/* n blocks from an address that need not be aligned: the digests, their padding, and nothing behind them. */
static void check(const struct hasher *h, const char *algorithm, size_t salt_size, size_t block_size,
                  size_t n, size_t misalignment, size_t slot)
{
        static uint8_t digests[BLOCKS_MAX * 64 + 1];
        size_t size = verity_digest_size(algorithm);
        uint8_t expected[EVP_MAX_MD_SIZE];
        static const uint8_t zeros[64];

        memset(digests, 0xaa, sizeof(digests));
        cr_assert_eq(hasher_blocks(h, data + misalignment, n, block_size, digests, slot), 0);
        for (size_t i = 0; i < n; i++) {
                reference(algorithm, salt_size, data + misalignment + i * block_size, block_size, expected);
                cr_assert_eq(memcmp(digests + i * slot, expected, size), 0,
                             "%s, %s: block %zu of %zu, %zu bytes each, salt of %zu, misaligned by %zu",
                             algorithm, hasher_engine(h), i, n, block_size, salt_size, misalignment);
                cr_assert_eq(memcmp(digests + i * slot + size, zeros, slot - size), 0);
        }
        cr_assert_eq(digests[n * slot], 0xaa);
}

static void check_engine(const struct hasher *h, const char *algorithm, size_t salt_size, size_t slot)
{
        static const size_t block_sizes[] = {512, 1024, 2048, 4096};

        for (size_t n = 1; n <= BLOCKS_MAX; n += salt_size == 32 ? 1 : 13)
                for (size_t b = 0; b < ELEMENTSOF(block_sizes); b++)
                        check(h, algorithm, salt_size, block_sizes[b], n, (salt_size + n) % 64, slot);
}

/* Whether the engine is there. */
static bool try_engine(const char *algorithm, const char *engine, size_t slot)
{
        for (size_t salt_size = 0; salt_size <= VERITY_SALT_MAX; salt_size++) {
                _cleanup_(hasher_free_ptr) struct hasher *h = NULL;
                struct error e = {};
                int r;

                r = hasher_new(algorithm, salt, salt_size, engine, &h, &e);
                if (r == -EOPNOTSUPP)
                        return false;
                cr_assert_eq(r, 0, "%s", e.message);
                if (engine)
                        cr_assert_str_eq(hasher_engine(h), engine);
                check_engine(h, algorithm, salt_size, slot);
        }
        return true;
}

static void fill(void)
{
        fill_pattern(data, sizeof(data));
        fill_pattern(salt, sizeof(salt));
}

Test(hash, every_engine_gives_what_openssl_gives, .init = fill)
{
        unsigned tried = 0, absent = 0;

        for (const char *const *engine = hasher_engines; *engine; engine++)
                if (try_engine("sha256", *engine, tried % 2 ? 64 : 32)) {
                        tried++;
                } else {
                        absent++;
                        (void)fprintf(stderr, "hash engine %s: not tested, this processor lacks it\n",
                                      *engine);
                }
        (void)fprintf(stderr, "hash engines: %u tested, %u not on this processor\n", tried, absent);
        cr_expect_geq(tried, 1, "OpenSSL is always there");
}

Test(hash, without_a_name_one_of_them_is_taken, .init = fill)
{
        _cleanup_(hasher_free_ptr) struct hasher *h = NULL;
        const char *const *engine = hasher_engines;

        cr_assert_eq(hasher_new("sha256", salt, 32, NULL, &h, NULL), 0);
        check_engine(h, "sha256", 32, 32);
        while (*engine && strcmp(*engine, hasher_engine(h)) != 0)
                engine++;
        cr_expect_not_null(*engine);
}

Test(hash, longer_digests_come_from_openssl, .init = fill)
{
        cr_expect(try_engine("sha384", NULL, 64));
        cr_expect(try_engine("sha512", "openssl", 64));
        cr_expect_not(try_engine("sha512", "avx512", 64));
}

Test(hash, what_is_not_there_is_refused)
{
        struct hasher *h = NULL;
        struct error e = {};

        cr_expect_eq(hasher_new("sha1", salt, 0, NULL, &h, &e), -EINVAL);
        cr_expect_eq(hasher_new("sha256", salt, VERITY_SALT_MAX + 1, NULL, &h, &e), -EINVAL);
        cr_expect_eq(hasher_new("sha256", salt, 0, "quantum", &h, &e), -EOPNOTSUPP);
        cr_expect_not_null(strstr(e.message, "quantum"), "%s", e.message);
}
