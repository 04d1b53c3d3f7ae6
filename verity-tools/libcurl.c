/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libcurl.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#define LIBRARY "libcurl.so.4"

const struct libcurl *curl;

static struct libcurl functions;
static struct error failure;

static void load_once(void)
{
        void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
        bool complete = library;

#define LOAD(name) complete = complete && (functions.name = dlsym(library, "curl_" #name));
        LIBCURL_FUNCTIONS(LOAD)
#undef LOAD
        if (complete)
                curl = &functions;
        else
                (void)error_set(&failure, -ENOPKG, "registries cannot be reached: %s", dlerror());
}

int libcurl_load(struct error *e)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        (void)pthread_once(&once, load_once);
        return curl ? 0 : error_set(e, -ENOPKG, "%s", failure.message);
}
