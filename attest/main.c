/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/log.h"
#include "program.h"

struct attest_options options;

static const struct arg_verb verbs[] = {
        {"eventlog", "FILE", 1, 1, "Show a firmware log, the PCRs it gives, and whether it is well-formed",
         verb_eventlog},
        {},
};

static const struct arg_option arguments[] = {
        {"json", 0, ARG_JSON, &options.json, "off|short|pretty", "eventlog", "print JSON"},
        {},
};

int fail(int r, const struct error *e)
{
        (void)log_failure(r, e);
        return r == -EBADMSG || r == -EKEYREJECTED || r == -ENOKEY || r == -EKEYEXPIRED || r == -EKEYREVOKED
                       ? EXIT_ANSWER_IS_NO
                       : EXIT_COULD_NOT_TRY;
}

int main(int argc, char **argv)
{
        static const struct arg_program program = {
                "attest",
                "What a machine booted: predicted, recorded, proven and judged.",
                verbs,
                arguments,
        };

        log_setup(argv[0]);
        return args_run(&program, argc, argv);
}
