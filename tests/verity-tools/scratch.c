/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/process.h"

static char dir[] = "/tmp/test-verity-XXXXXX";

void scratch_enter(void)
{
        cr_assert_not_null(mkdtemp(dir));
        cr_assert_eq(chdir(dir), 0);
}

void scratch_leave(void)
{
        char *argv[] = {(char *)"rm", (char *)"-rf", dir, NULL};

        cr_assert_eq(process_check(argv, NULL, NULL), 0);
}

void put(const char *path, const void *data, size_t size)
{
        char parent[512];
        char *slash;

        (void)snprintf(parent, sizeof(parent), "%s", path);
        slash = strrchr(parent, '/');
        if (slash) {
                *slash = '\0';
                cr_assert_eq(make_directories(parent, 0755, NULL), 0);
        }
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, data, size, 0644, NULL), 0);
}

void put_text(const char *path, const char *text)
{
        put(path, text, strlen(text));
}

__attribute__((format(printf, 1, 0))) static struct process_result run_shell(const char *format, va_list ap)
{
        struct process_result result = {};
        char *line = NULL;

        cr_assert_gt(vasprintf(&line, format, ap), 0);
        char *argv[] = {(char *)"sh", (char *)"-c", line, NULL};
        cr_assert_eq(process_run(argv, NULL, &result, NULL), 0);
        cr_assert_eq(result.status, 0, "%s: %s", line, result.output);
        free(line);
        return result;
}

void shell(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        free(run_shell(format, ap).output);
        va_end(ap);
}

char *shell_output(const char *format, ...)
{
        va_list ap;
        char *output;

        va_start(ap, format);
        output = run_shell(format, ap).output;
        va_end(ap);
        if (output[0] != '\0' && output[strlen(output) - 1] == '\n')
                output[strlen(output) - 1] = '\0';
        return output;
}

char *slurp(const char *path, size_t *ret_size)
{
        char *data = NULL;
        size_t size = 0;

        cr_assert_eq(read_file(AT_FDCWD, path, 64u << 20, &data, &size, NULL), 0, "%s", path);
        if (ret_size)
                *ret_size = size;
        return data;
}

void fill_pattern(uint8_t *data, size_t size)
{
        uint32_t x = 1;

        for (size_t i = 0; i < size; i++) {
                x = x * 1664525 + 1013904223;
                data[i] = (uint8_t)(x >> 24);
        }
}

struct trust_signer *make_signer(const char *name, enum trust_purpose purpose)
{
        char *key = NULL, *certificate = NULL, key_path[64], certificate_path[64];
        struct trust_signer *s = NULL;

        (void)snprintf(key_path, sizeof(key_path), "%s.key", name);
        (void)snprintf(certificate_path, sizeof(certificate_path), "%s.pem", name);
        cr_assert_eq(trust_generate(&(struct trust_generate_options){.purpose = purpose,
                                                                     .algorithm = TRUST_P256,
                                                                     .common_name = name},
                                    &key, &certificate, NULL),
                     0);
        put_text(key_path, key);
        put_text(certificate_path, certificate);
        cr_assert_eq(trust_signer_open(
                             &(struct trust_signer_options){.key = key_path, .certificate = certificate_path},
                             &s, NULL),
                     0);
        free(key);
        free(certificate);
        return s;
}
