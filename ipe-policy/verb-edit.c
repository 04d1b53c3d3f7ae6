/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipe-policy fmt, ipe-policy bump */
#include <string.h>

#include "base/log.h"
#include "program.h"

int verb_fmt(int argc, char **argv)
{
        _cleanup_file_ struct policy_file file = {};
        _cleanup_free_ char *text = NULL;
        struct error e = {};
        int r;

        r = policy_file_read(argv[0], &file, &e);
        if (r >= 0)
                r = ipe_policy_format(file.text, file.size, &text, &e);
        if (r < 0)
                return fail(r, &e);
        if (options.check)
                return file.size == strlen(text) && memcmp(file.text, text, file.size) == 0
                               ? EXIT_SUCCESS
                               : EXIT_ANSWER_IS_NO;
        r = write_output(text, &e);
        return r < 0 ? fail(r, &e) : EXIT_SUCCESS;
}

int verb_bump(int argc, char **argv)
{
        static const char *const parts[] = {
                [IPE_MAJOR] = "major", [IPE_MINOR] = "minor", [IPE_REVISION] = "revision"};
        _cleanup_file_ struct policy_file file = {};
        unsigned part = IPE_REVISION;
        _cleanup_free_ char *text = NULL;
        struct error e = {};
        int r;

        r = choose("part", options.part, parts, ELEMENTSOF(parts), &part, &e);
        if (r >= 0)
                r = policy_file_read(argv[0], &file, &e);
        if (r >= 0)
                r = ipe_policy_bump(file.text, file.size, (enum ipe_version_part)part, &text, &e);
        if (r >= 0)
                r = write_output(text, &e);
        return r < 0 ? fail(r, &e) : EXIT_SUCCESS;
}
