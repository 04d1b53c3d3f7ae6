/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attest evidence */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/collect.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"
#include "program.h"

#define DEFAULT_TCTI "device:/dev/tpmrm0"

int nonce_option(uint8_t ret[static QUOTE_NONCE_MAX], size_t *ret_size, struct error *e)
{
        size_t n = options.nonce ? strlen(options.nonce) / 2 : 0;

        if (n < QUOTE_NONCE_MIN || n > QUOTE_NONCE_MAX || hex_decode(options.nonce, ret, n) < 0)
                return error_set(e, -EINVAL, "--nonce: %u to %u bytes in hexadecimal expected",
                                 QUOTE_NONCE_MIN, QUOTE_NONCE_MAX);
        *ret_size = n;
        return 0;
}

static int collect(struct error *e)
{
        _cleanup_(tpm_free_ptr) struct tpm *tpm = NULL;
        _cleanup_evidence_ struct evidence ev = {};
        _cleanup_free_ char *text = NULL;
        uint8_t nonce[QUOTE_NONCE_MAX];
        size_t nonce_size;
        int r;

        if ((r = nonce_option(nonce, &nonce_size, e)) < 0 ||
            (r = tpm_open(getenv("HOLDFAST_TCTI") ?: DEFAULT_TCTI, &tpm, e)) < 0 ||
            (r = evidence_collect(tpm, &collect_this_machine, nonce, nonce_size, &ev, e)) < 0 ||
            (r = evidence_format(&ev, &text, e)) < 0)
                return r;
        if (options.output)
                return write_file_atomic(AT_FDCWD, options.output, text, strlen(text), 0644, e);
        return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? error_errno(e, -EIO, "printing the evidence")
                                                              : 0;
}

int verb_evidence(int argc, char **argv)
{
        struct error e = {};

        return collect(&e) < 0 ? (log_failure(-EIO, &e), EXIT_COULD_NOT_TRY) : EXIT_SUCCESS;
}
