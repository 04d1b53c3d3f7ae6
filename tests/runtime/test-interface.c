/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "runtime/api/interface.h"

/* The interface is a contract with clients that are not in this tree: it changes by decision. */
Test(interface, golden)
{
        _cleanup_free_ char *text = NULL, *golden = NULL;
        struct error e = {};

        cr_assert_geq(sd_varlink_idl_format(&vl_interface_io_holdfast_Groups, &text), 0);
        cr_assert_geq(
                read_file(AT_FDCWD, TEST_DATA "/io.holdfast.Groups.varlink", 1 << 20, &golden, NULL, &e), 0,
                "%s", e.message);
        cr_assert_str_eq(text, golden,
                         "differs from tests/runtime/data/io.holdfast.Groups.varlink; found:\n%s", text);
}
