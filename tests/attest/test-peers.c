/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tpm2_checkquote takes what we take, and tpm2_eventlog reads what we read. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/process.h"
#include "evidence-machine.h"

static struct evidence_machine machine;
static struct evidence evidence;

static void start(void)
{
        evidence_machine_start(&machine, NULL);
        evidence_machine_collect(&machine, &evidence);
}

static void stop(void)
{
        evidence_done(&evidence);
        evidence_machine_done(&machine);
}

TestSuite(attest_peers, .init = start, .fini = stop, .timeout = 120);

static void put(const char *name, const struct evidence_part *part, char path[static 96])
{
        struct error e = {};

        (void)snprintf(path, 96, "%s/%s", machine.swtpm.directory, name);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, part->bytes, part->size, 0600, &e), 0, "%s",
                     e.message);
}

static int run(char *const argv[], char **ret_output)
{
        struct process_result r = {};
        struct error e = {};

        cr_assert_eq(process_run(argv, &(struct process_options){.timeout_ms = 60000}, &r, &e), 0, "%s",
                     e.message);
        *ret_output = r.output;
        return r.status;
}

/* tpm2_print turns the public area into a PEM key. */
static void put_key(char path[static 96])
{
        char area[96], *output = NULL;
        struct error e = {};

        put("ak.pub", &evidence.key, area);
        (void)snprintf(path, 96, "%s/ak.pem", machine.swtpm.directory);
        {
                char *argv[] = {"tpm2_print", "-t", "TPM2B_PUBLIC", "-f", "pem", area, NULL};

                cr_assert_eq(run(argv, &output), 0, "%s", output);
        }
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, output, strlen(output), 0600, &e), 0, "%s", e.message);
        free(output);
}

Test(attest_peers, checkquote)
{
        char key[96], message[96], signature[96], nonce[2 * MACHINE_NONCE_SIZE + 1], *output = NULL;

        put_key(key);
        put("quote", &evidence.quote, message);
        put("signature", &evidence.quote_signature, signature);
        hex_encode(MACHINE_NONCE, MACHINE_NONCE_SIZE, nonce);
        for (unsigned i = 0; i < 2; i++) {
                char *argv[] = {"tpm2_checkquote", "-u", key,   "-m", message,  "-s",
                                signature,         "-q", nonce, "-g", "sha256", NULL};

                cr_expect_eq(run(argv, &output) == 0, i == 0, "%s", output);
                free(output);
                nonce[0] ^= 1;
        }
}

/* "pcrs:", "  sha256:", then "    0  : 0x…" for each PCR that the log extends. */
Test(attest_peers, eventlog)
{
        char *argv[] = {"tpm2_eventlog", machine.paths[0], NULL}, *output = NULL;
        unsigned found = 0;

        cr_assert_eq(run(argv, &output), 0, "%s", output);
        for (unsigned pcr = 0; pcr < 8; pcr++) {
                char hex[65], line[96];

                hex_encode(evidence.values.value[pcr], 32, hex);
                (void)snprintf(line, sizeof(line), "%-3u: 0x%s\n", pcr, hex);
                found += strstr(output, line) != NULL;
        }
        cr_expect_eq(found, 8, "%s", output);
        free(output);
}
