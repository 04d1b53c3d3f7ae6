/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Directories of trusted certificates and revocation lists. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/file.h"
#include "trust/internal.h"

#define CRL_FILE_MAX ((size_t)4 * 1024 * 1024)

struct trust_store *trust_store_free(struct trust_store *s)
{
        if (!s)
                return NULL;
        for (size_t p = 0; p < TRUST_PURPOSES; p++)
                trust_certificates_done(&s->certificates[p]);
        for (size_t i = 0; i < s->n_crls; i++)
                X509_CRL_free(s->crls[i]);
        free(s->path);
        free(s);
        return NULL;
}

size_t trust_store_count(const struct trust_store *s, enum trust_purpose purpose)
{
        return s->certificates[purpose].n;
}

/* --- certificates --- */

static int check_certificate(const struct trust_store *s, const char *path, X509 *x,
                             enum trust_purpose purpose, struct error *e)
{
        enum trust_purpose found = trust_certificate_purpose(x);
        EVP_PKEY *key = X509_get0_pubkey(x);

        if (found != purpose && !(s->pki && X509_check_ca(x) == 1 && trust_may_issue(x, purpose)))
                return error_set(e, -EKEYREJECTED, "%s: certificate for the purpose %s expected, found %s",
                                 path, trust_purpose_to_string(purpose),
                                 trust_purpose_to_string(found) ?: "none or several");
        if (!key)
                return trust_openssl_error(e, -EKEYREJECTED, "%s: public key", path);
        return trust_check_key(path, key, e);
}

static int load_purpose(int dirfd, enum trust_purpose purpose, struct trust_store *s, struct error *e)
{
        struct trust_certificates *c = &s->certificates[purpose];
        _cleanup_free_ char *file = NULL;
        int r;

        if (asprintf(&file, "%s/%s.pem", s->path, trust_purpose_to_string(purpose)) < 0) {
                file = NULL;
                return -ENOMEM;
        }
        r = file_exists(dirfd, file);
        if (r <= 0)
                return r < 0 ? error_errno(e, r, "%s", file) : 0;
        r = trust_read_certificates(dirfd, file, c, e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < c->n; i++) {
                r = check_certificate(s, file, c->items[i], purpose, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- revocation lists --- */

/* What OpenSSL does not ask of a list: an end of its validity, and a digest that nobody can forge. */
static int check_crl(const char *file, const X509_CRL *crl, struct error *e)
{
        int digest = NID_undef;

        if (!X509_CRL_get0_nextUpdate(crl))
                return error_set(e, -EBADMSG, "%s: a revocation list with nextUpdate expected, found none",
                                 file);
        (void)OBJ_find_sigid_algs(X509_CRL_get_signature_nid(crl), &digest, NULL);
        if (digest == NID_md5 || digest == NID_sha1)
                return error_set(e, -EBADMSG,
                                 "%s: a revocation list signed with SHA-256 or better expected, "
                                 "found %s",
                                 file, OBJ_nid2sn(digest));
        return 0;
}

static int parse_crls(const char *file, BIO *bio, struct trust_store *s, struct error *e)
{
        size_t before = s->n_crls;

        for (;;) {
                X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
                int r;

                if (!crl && s->n_crls > before &&
                    ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
                        ERR_clear_error();
                        return 0;
                }
                if (!crl)
                        return trust_openssl_error(e, -EBADMSG, "%s: PEM revocation list expected", file);
                if (s->n_crls == ELEMENTSOF(s->crls)) {
                        X509_CRL_free(crl);
                        return error_set(e, -E2BIG, "%s: at most %zu revocation lists expected, found more",
                                         file, s->n_crls);
                }
                s->crls[s->n_crls++] = crl;
                r = check_crl(file, crl, e);
                if (r < 0)
                        return r;
        }
}

static int load_crl_file(int dirfd, const char *file, struct trust_store *s, struct error *e)
{
        _cleanup_(BIO_free_all_ptr) BIO *bio = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r;

        r = read_file(dirfd, file, CRL_FILE_MAX, &text, &size, e);
        if (r < 0)
                return r;
        bio = BIO_new_mem_buf(text, (int)size);
        return bio ? parse_crls(file, bio, s, e) : -ENOMEM;
}

static bool is_crl_name(const char *name)
{
        const char *suffix = strlen(name) < 8 ? name : name + strlen(name) - 8;

        return strcmp(name, "crl.pem") == 0 || strcmp(suffix, ".crl.pem") == 0;
}

static int load_crls(int dirfd, struct trust_store *s, struct error *e)
{
        _cleanup_closedir_ DIR *dir = NULL;
        struct dirent *entry;
        int fd = openat(dirfd, s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir) {
                int r = -errno;

                (void)close_fd(fd);
                return error_errno(e, r, "%s", s->path);
        }
        while ((errno = 0, entry = readdir(dir))) {
                _cleanup_free_ char *file = NULL;
                int r;

                if (!is_crl_name(entry->d_name))
                        continue;
                if (asprintf(&file, "%s/%s", s->path, entry->d_name) < 0) {
                        file = NULL;
                        return -ENOMEM;
                }
                r = load_crl_file(dirfd, file, s, e);
                if (r < 0)
                        return r;
        }
        return errno ? error_errno(e, -errno, "%s", s->path) : 0;
}

/* --- both --- */

static int open_store(int dirfd, const char *path, bool pki, int64_t at, struct trust_store **ret,
                      struct error *e)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->pki = pki;
        s->at = at;
        s->path = strdup(path);
        if (!s->path)
                return -ENOMEM;
        r = file_exists(dirfd, path);
        if (r <= 0)
                return error_errno(e, r < 0 ? r : -ENOENT, "%s: directory of trusted certificates", path);
        for (enum trust_purpose p = 0; p < TRUST_PURPOSES; p++) {
                r = load_purpose(dirfd, p, s, e);
                if (r < 0)
                        return r;
        }
        if (pki) {
                r = load_crls(dirfd, s, e);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(s);
        return 0;
}

int trust_store_open(int dirfd, const char *path, struct trust_store **ret, struct error *e)
{
        return open_store(dirfd, path, false, 0, ret, e);
}

int trust_store_open_pki(int dirfd, const char *path, int64_t at, struct trust_store **ret, struct error *e)
{
        return open_store(dirfd, path, true, at, ret, e);
}
