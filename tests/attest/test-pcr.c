/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>

#include "attest/pcr.h"
#include "base/hex.h"

Test(pcr, start_values)
{
        struct pcr_bank bank;
        uint8_t zeros[32] = {}, ones[32];

        memset(ones, 0xff, sizeof(ones));
        cr_assert_eq(pcr_bank_start(&bank, PCR_SHA256), 0);
        cr_expect_arr_eq(bank.value[16], zeros, 32);
        cr_expect_arr_eq(bank.value[17], ones, 32);
        cr_expect_arr_eq(bank.value[22], ones, 32);
        cr_expect_arr_eq(bank.value[23], zeros, 32);
        cr_expect_eq(pcr_bank_start(&bank, 0x0027), -ENOTSUP);
}

/* SHA-256 of 64 zero bytes, which any tool computes. */
Test(pcr, extend)
{
        struct pcr_bank bank;
        uint8_t zeros[64] = {};
        char hex[65];

        cr_assert_eq(pcr_bank_start(&bank, PCR_SHA256), 0);
        cr_assert_eq(pcr_bank_extend(&bank, 8, zeros), 0);
        hex_encode(bank.value[8], 32, hex);
        cr_expect_str_eq(hex, "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");
        cr_expect_eq(bank.extended, 1u << 8);
        cr_expect_eq(pcr_bank_extend(&bank, 24, zeros), -ERANGE);
}
