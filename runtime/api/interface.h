/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The Varlink interface of groupd: io.holdfast.Groups. */
#pragma once

#include <systemd/sd-varlink-idl.h>

#define GROUPS_INTERFACE "io.holdfast.Groups"
#define GROUPS_SOCKET "/run/holdfast/groupd.sock"

#define GROUPS_ERROR_NO_SUCH_GROUP GROUPS_INTERFACE ".NoSuchGroup"
#define GROUPS_ERROR_GROUP_EXISTS GROUPS_INTERFACE ".GroupExists"
#define GROUPS_ERROR_INVALID_DEFINITION GROUPS_INTERFACE ".InvalidDefinition"
#define GROUPS_ERROR_NO_SUCH_IMAGE GROUPS_INTERFACE ".NoSuchImage"
#define GROUPS_ERROR_NOT_TRUSTED GROUPS_INTERFACE ".NotTrusted"
#define GROUPS_ERROR_FAILED GROUPS_INTERFACE ".Failed"

extern const sd_varlink_interface vl_interface_io_holdfast_Groups;
