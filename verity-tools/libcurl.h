/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libcurl, loaded when somebody talks to a registry: it and the 30 libraries behind it take longer to load
 * than all others of the program together, and who signs or verifies has no use for them. */
#pragma once

#include <curl/curl.h>

#include "base/error.h"

#define LIBCURL_FUNCTIONS(F)                                                                                 \
        F(easy_cleanup)                                                                                      \
        F(easy_getinfo)                                                                                      \
        F(easy_init)                                                                                         \
        F(easy_perform)                                                                                      \
        F(easy_reset)                                                                                        \
        F(easy_setopt)                                                                                       \
        F(easy_strerror)                                                                                     \
        F(free)                                                                                              \
        F(global_cleanup)                                                                                    \
        F(global_init)                                                                                       \
        F(slist_append)                                                                                      \
        F(slist_free_all)                                                                                    \
        F(url)                                                                                               \
        F(url_cleanup)                                                                                       \
        F(url_get)                                                                                           \
        F(url_set)

/* Its functions, without their prefix. */
struct libcurl {
#define LIBCURL_MEMBER(name) typeof(curl_##name) *name;
        LIBCURL_FUNCTIONS(LIBCURL_MEMBER)
#undef LIBCURL_MEMBER
};

/* NULL until libcurl_load() succeeded, the same ever after. */
extern const struct libcurl *curl;

/* Any number of times, by threads too. -ENOPKG: the library is not installed, or too old. */
int libcurl_load(struct error *e);
