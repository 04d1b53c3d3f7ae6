/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tar-writer.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"

#define BLOCK 512

static uint8_t *extend(struct tar_writer *w, size_t size)
{
        if (w->size + size > w->room) {
                uint8_t *data = realloc(w->data, 2 * (w->size + size));

                cr_assert_not_null(data);
                w->data = data;
                w->room = 2 * (w->size + size);
        }
        memset(w->data + w->size, 0, size);
        w->size += size;
        return w->data + w->size - size;
}

static void octal(uint8_t *field, int digits, uint64_t value)
{
        char text[32];

        (void)snprintf(text, sizeof(text), "%0*" PRIo64, digits, value);
        memcpy(field, text, (size_t)digits);
}

static void text(uint8_t *field, size_t size, const char *value)
{
        for (size_t i = 0; i < size && value[i]; i++)
                field[i] = (uint8_t)value[i];
}

static void checksum(uint8_t *block)
{
        unsigned sum = 0;

        memset(block + 148, ' ', 8);
        for (size_t i = 0; i < BLOCK; i++)
                sum += block[i];
        octal(block + 148, 6, sum);
        block[154] = 0;
}

static void put_header(struct tar_writer *w, const struct tar_header *h)
{
        uint8_t *b = extend(w, BLOCK);

        text(b, 100, h->name);
        octal(b + 100, 7, h->mode);
        octal(b + 108, 7, h->uid);
        octal(b + 116, 7, h->gid);
        if (h->size_field)
                memcpy(b + 124, h->size_field, 12);
        else
                octal(b + 124, 11, h->size);
        octal(b + 136, 11, h->mtime);
        b[156] = (uint8_t)(h->type ? h->type : '0');
        text(b + 157, 100, h->link ? h->link : "");
        text(b + 257, 5, "ustar");
        text(b + 263, 2, "00");
        octal(b + 329, 7, h->major);
        octal(b + 337, 7, h->minor);
        checksum(b);
}

void tar_writer_data(struct tar_writer *w, const void *data, size_t size)
{
        uint8_t *b = extend(w, (size + BLOCK - 1) / BLOCK * BLOCK);

        if (size > 0)
                memcpy(b, data, size);
}

void tar_writer_header(struct tar_writer *w, const struct tar_header *h)
{
        if (w->pax) {
                put_header(w, &(struct tar_header){
                                      .name = "pax", .mode = 0644, .type = 'x', .size = w->pax_size});
                tar_writer_data(w, w->pax, w->pax_size);
                free(w->pax);
                w->pax = NULL;
                w->pax_size = 0;
        }
        put_header(w, h);
}

void tar_writer_file(struct tar_writer *w, const char *name, const char *content)
{
        tar_writer_header(w, &(struct tar_header){.name = name, .mode = 0644, .size = strlen(content)});
        tar_writer_data(w, content, strlen(content));
}

void tar_writer_directory(struct tar_writer *w, const char *name)
{
        tar_writer_header(w, &(struct tar_header){.name = name, .mode = 0755, .type = '5'});
}

void tar_writer_pax(struct tar_writer *w, const char *key, const void *value, size_t size)
{
        size_t body = strlen(key) + size + 3, total = body + 1;
        char digits[24], *pax;
        int n;

        while ((size_t)snprintf(digits, sizeof(digits), "%zu", total) + body != total)
                total++;
        pax = realloc(w->pax, w->pax_size + total + 1);
        cr_assert_not_null(pax);
        w->pax = pax;
        n = snprintf(w->pax + w->pax_size, total + 1, "%zu %s=", total, key);
        memcpy(w->pax + w->pax_size + n, value, size);
        w->pax_size += total;
        w->pax[w->pax_size - 1] = '\n';
}

void tar_writer_save_raw(struct tar_writer *w, const char *path)
{
        put(path, w->data ? w->data : (const uint8_t *)"", w->size);
        free(w->data);
        *w = (struct tar_writer){};
}

void tar_writer_save(struct tar_writer *w, const char *path)
{
        (void)extend(w, 2 * BLOCK);
        tar_writer_save_raw(w, path);
}
