/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contexts as the tests write them. */
#pragma once

#define HOST(type) "system_u:system_r:" type ":s0-s0:c0.c1023"
#define CONTAINER(categories) "system_u:system_r:container_t:s0:" categories
#define INIT_CONTAINER "system_u:system_r:init_container_t:s0:c1,c2"
#define CONFIDENTIAL "system_u:system_r:confidential_container_t:s0:c1,c2"
#define OBJECT(type) "system_u:object_r:" type ":s0"
#define OBJECT_OF(type, categories) "system_u:object_r:" type ":s0:" categories
