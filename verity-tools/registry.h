/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A repository of a registry (OCI distribution specification 1.1), for reading and writing. Nothing that a
 * registry says is believed: documents and blobs are checked against their digests while they arrive.
 * Credentials go to the registry and to the token server it names, never after a redirect to another host.
 * All functions may be called from several threads. */
#pragma once

#include "verity-tools/build.h"
#include "verity-tools/internal.h"

/* HOST[:PORT]/REPOSITORY[:TAG][@sha256:HEX]. Names without a host are Docker Hub's. */
struct registry_reference {
        char host[256], repository[256];
        char tag[129];   /* "" if there is a digest alone; "latest" if there is neither */
        char digest[72]; /* "" if none is given */
};
int registry_reference_parse(const char *text, struct registry_reference *ret, struct error *e);

struct registry;

/* Reads the credentials for this repository; nothing is sent yet. */
int registry_open(const struct registry_reference *reference, const struct registry_options *o,
                  struct registry **ret, struct error *e);
struct registry *registry_free(struct registry *r);
DEFINE_CLEANUP(struct registry *, registry_free)

/* Ends the downloads of other threads: -ECANCELED. */
void registry_stop(struct registry *r);

/* Has `received` called, from any thread, for each piece of a blob. */
void registry_watch(struct registry *r, void (*received)(void *userdata, size_t size), void *userdata);

/* A manifest or index as the registry has it. */
struct registry_document {
        char *text; /* NUL-terminated */
        size_t size;
        char digest[72];
        char media_type[128];
};
void registry_document_done(struct registry_document *d);

/* Gets the manifest of this tag or digest (and then it is the one with that digest). -ENOENT: there is none.
 */
int registry_get_manifest(struct registry *r, const char *name, struct registry_document *ret,
                          struct error *e);

/* Writes a blob to fd from its beginning: d->size bytes with d->digest or an error. */
int registry_get_blob(struct registry *r, const struct oci_descriptor *d, int fd, struct error *e);

/* Calls for the descriptor of each manifest whose subject is this one: from the referrers API, page by page,
 * or from the fallback tag where there is no such API. An error of `call` ends it. -ENOENT: there is no list.
 */
typedef int (*registry_referrer_t)(void *userdata, sd_json_variant *descriptor, struct error *e);
int registry_each_referrer(struct registry *r, const char *subject, registry_referrer_t call, void *userdata,
                           struct error *e);

/* The target of the link rel=next in a header Link (RFC 8288). */
#define REGISTRY_LINK_MAX 4096
bool registry_link_next(const char *header, char ret[static REGISTRY_LINK_MAX]);

/* Puts a blob of this size and digest, unless it is there. */
int registry_put_blob(struct registry *r, const char *digest, int fd, uint64_t size, struct error *e);

/* Puts a manifest under a tag or its digest. ret_subject: the registry says that it lists the manifest among
 * the referrers of its subject. May be NULL. */
int registry_put_manifest(struct registry *r, const char *name, const char *media_type, const char *text,
                          size_t size, bool *ret_subject, struct error *e);

/* Adds a manifest's descriptor to the fallback tag of its subject, for registries without the referrers API.
 */
int registry_add_referrer(struct registry *r, const char *subject, sd_json_variant *descriptor,
                          struct error *e);

/* --- credentials --- */

struct registry_challenge {
        bool bearer; /* else basic */
        char realm[1024], service[256], scope[1024];
};

/* The first challenge of a WWW-Authenticate header that we can answer. -EBADMSG: there is none. */
int registry_challenge_parse(const char *header, struct registry_challenge *ret, struct error *e);

/* "USER:PASSWORD" for a host and repository from the text of an auth file, to be freed; NULL if it has none.
 * -EOPNOTSUPP: a helper program has them. */
int registry_credentials_parse(const char *text, const char *name, const char *host, const char *repository,
                               char **ret, struct error *e);

/* The same from the file given, or from where $REGISTRY_AUTH_FILE, $DOCKER_CONFIG or $HOME say. */
int registry_credentials_find(const char *authfile, const char *host, const char *repository, char **ret,
                              struct error *e);
