/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mutate.h"

#include <string.h>

uint64_t random_next(uint64_t *state)
{
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        return *state * 0x2545f4914f6cdd1d;
}

static void mutate_once(uint8_t *data, size_t n, uint64_t *state)
{
        static const uint32_t numbers[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x100, 0x01000000};
        size_t at = random_next(state) % n;
        uint32_t number = numbers[random_next(state) % (sizeof(numbers) / sizeof(*numbers))];

        switch (random_next(state) % 3) {
        case 0:
                data[at] ^= (uint8_t)(1u << random_next(state) % 8);
                break;
        case 1:
                data[at] = (uint8_t)random_next(state);
                break;
        default:
                memcpy(data + at, &number, n - at < sizeof(number) ? n - at : sizeof(number));
        }
}

void mutate(uint8_t *data, size_t n, uint64_t *state)
{
        for (uint64_t i = 1 + random_next(state) % 4; n > 0 && i > 0; i--)
                mutate_once(data, n, state);
}
