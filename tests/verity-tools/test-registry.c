/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real registries on this machine, with and without TLS and credentials, and one that misbehaves. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/file.h"
#include "base/process.h"
#include "image-source.h"
#include "scratch.h"
#include "verity-tools/registry.h"
#include "verity-tools/transfer.h"

static struct {
        struct trust_signer *layer, *manifest;
        pid_t registry;
        int pidfd, port;
} made = {.pidfd = -EBADF};

static void set_up(void)
{
        scratch_enter();
        made.layer = make_signer("layer", TRUST_LAYER);
        made.manifest = make_signer("manifest", TRUST_MANIFEST);
        make_source();
        shell("mkdir trust && cp layer.pem manifest.pem trust/");
        cr_assert_eq(setenv("HOME", "/nonexistent", 1), 0);
        cr_assert_eq(unsetenv("DOCKER_CONFIG"), 0);
        cr_assert_eq(unsetenv("REGISTRY_AUTH_FILE"), 0);
}

static void stop_registry(void)
{
        siginfo_t info;

        if (made.pidfd < 0)
                return;
        (void)kill(made.registry, SIGKILL);
        (void)waitid(P_PIDFD, (id_t)made.pidfd, &info, WEXITED);
        made.pidfd = close_fd(made.pidfd);
}

static void tear_down(void)
{
        stop_registry();
        trust_signer_free(made.layer);
        trust_signer_free(made.manifest);
        scratch_leave();
}

TestSuite(registry, .init = set_up, .fini = tear_down, .timeout = 120);

/* --- starting one --- */

static void pause_ms(long ms)
{
        (void)nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static struct sockaddr_in loopback(int port)
{
        return (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int free_port(void)
{
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in a = loopback(0);
        socklen_t size = sizeof(a);

        cr_assert_geq(fd, 0);
        cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &size), 0);
        return ntohs(a.sin_port);
}

static bool listens(int port)
{
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in a = loopback(port);

        cr_assert_geq(fd, 0);
        return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

/* Debian's docker-registry; `more` is YAML: TLS, authentication. */
static void start_registry(const char *tls, const char *auth)
{
        char *argv[] = {(char *)"docker-registry", (char *)"serve", (char *)"registry.yml", NULL};
        char text[1024];

        made.port = free_port();
        (void)snprintf(text, sizeof(text),
                       "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: registry}}\n"
                       "http:\n  addr: 127.0.0.1:%d\n%s%s",
                       made.port, tls, auth);
        put_text("registry.yml", text);
        cr_assert_eq(process_spawn(argv, NULL, &made.registry, &made.pidfd, NULL), 0);
        for (int i = 0; i < 400 && !listens(made.port); i++)
                pause_ms(50);
        cr_assert(listens(made.port), "docker-registry does not listen");
}

static void start_faulty(const char *certificate)
{
        char *argv[] = {(char *)"python3", (char *)FAULT_REGISTRY, (char *)"source",  (char *)"port",
                        (char *)"log",     (char *)certificate,    (char *)"tls.key", NULL};
        char *port;

        cr_assert_eq(process_spawn(argv, NULL, &made.registry, &made.pidfd, NULL), 0);
        for (int i = 0; i < 400 && file_exists(AT_FDCWD, "port") == 0; i++)
                pause_ms(50);
        port = slurp("port", NULL);
        made.port = atoi(port);
        free(port);
}

static int convert(const char *source, const char *output, const char *push,
                   const struct registry_options *registry, struct error *e)
{
        struct build_oci_options o = {
                .layer_signer = made.layer,
                .manifest_signer = made.manifest,
                .push = push,
                .scratch = "scratch",
                .platform = "linux/amd64",
        };
        _cleanup_(build_oci_result_done) struct build_oci_result result = {};

        if (registry)
                o.registry = *registry;
        return build_oci(source, output, &o, &result, e);
}

/* "docker://127.0.0.1:PORT/REST" */
static const char *url(const char *rest)
{
        static char text[4][256];
        static unsigned n;
        char *ret = text[n++ % 4];

        (void)snprintf(ret, 256, "docker://127.0.0.1:%d/%s", made.port, rest);
        return ret;
}

static void expect_nothing_left(void)
{
        shell("test -z \"$(ls | grep -E 'tmp$|^store')\"");
}

/* --- with docker-registry --- */

Test(registry, what_skopeo_pushed_comes_back_signed)
{
        struct error e = {};

        start_registry("", "");
        shell("skopeo --insecure-policy copy -q --dest-tls-verify=false oci:source:sample:1 %s",
              url("sample:1"));
        cr_assert_eq(convert(url("sample:1"), "store", NULL, NULL, &e), 0, "%s", e.message);
        shell("%s/verity verify store --trust=trust", BIN_DIR);
        cr_assert_eq(convert("source", "direct", NULL, NULL, &e), 0, "%s", e.message);
        shell("for b in $(find direct -size +8k -path '*sha256/*' -printf '%%f '); do test -e "
              "store/blobs/sha256/$b || exit 1; done");
}

Test(registry, pushed_image_is_found_with_its_signatures)
{
        _cleanup_free_ char *raw = NULL, *tree = NULL;
        struct error e = {};

        start_registry("", "");
        cr_assert_eq(convert("source:sample:1", NULL, url("signed:1"), NULL, &e), 0, "%s", e.message);
        shell("%s/verity verify %s --trust=trust", BIN_DIR, url("signed:1"));
        raw = shell_output("skopeo inspect --raw --tls-verify=false %s", url("signed:1"));
        cr_expect_not_null(strstr(raw, "application/vnd.erofs"), "%s", raw);
        cr_expect_not_null(strstr(raw, "\"org.erofs.role\":\"overlay-lower\""), "%s", raw);
        tree = shell_output("oras discover --plain-http --format=json 127.0.0.1:%d/signed:1", made.port);
        cr_expect_not_null(strstr(tree, OCI_VERITY_SIGNATURE_TYPE), "%s", tree);
        cr_expect_not_null(strstr(tree, OCI_MANIFEST_SIGNATURE_TYPE), "%s", tree);
        expect_nothing_left();
}

Test(registry, pushing_twice_lists_each_signature_once)
{
        _cleanup_free_ char *n = NULL;
        struct error e = {};

        start_registry("", "");
        for (int i = 0; i < 2; i++)
                cr_assert_eq(convert("source:sample:1", "store", url("signed:1"), NULL, &e), 0, "%s",
                             e.message);
        n = shell_output(
                "oras discover --plain-http --format=json 127.0.0.1:%d/signed:1 | grep -c '\"artifactType\"'",
                made.port);
        cr_expect_str_eq(n, "4", "two layer signatures, which ECDSA makes anew, and two of the manifest");
}

Test(registry, signatures_alone_are_of_the_layers_as_they_are)
{
        struct build_oci_options o = {
                .layer_signer = made.layer,
                .scratch = "scratch",
                .platform = "linux/amd64",
                .signatures_only = true,
        };
        _cleanup_(build_oci_result_done) struct build_oci_result result = {};
        _cleanup_free_ char *before = NULL, *after = NULL, *root_hash = NULL, *signatures = NULL;
        struct error e = {};

        start_registry("", "");
        shell("skopeo --insecure-policy copy -q --dest-tls-verify=false oci:source:sample:1 %s",
              url("sample:1"));
        before = shell_output("skopeo inspect --raw --tls-verify=false %s", url("sample:1"));
        o.push = url("sample:1");
        cr_assert_eq(build_oci(o.push, NULL, &o, &result, &e), 0, "%s", e.message);
        after = shell_output("skopeo inspect --raw --tls-verify=false %s", url("sample:1"));
        cr_expect_str_eq(before, after);
        root_hash =
                shell_output("%s/verity build a.tar.gz -o a.img && sha256sum a.tar.gz | cut -c1-64", BIN_DIR);
        signatures =
                shell_output("r=127.0.0.1:%d/sample && d=$(oras discover --plain-http --format=json $r:1 | "
                             "grep -A1 digest | grep -o 'sha256:[0-9a-f]*' | tail -1) && "
                             "oras manifest fetch --plain-http $r@$d",
                             made.port);
        cr_expect_not_null(strstr(signatures, strchr(root_hash, '\n') + 1), "%s", signatures);
        *strchr(root_hash, '\n') = '\0';
        cr_expect_not_null(strstr(signatures, root_hash), "%s", signatures);
        cr_expect_not_null(strstr(signatures, "\"io.cncf.notary.dm-verity.signature\":\"true\""), "%s",
                           signatures);
        cr_expect_not_null(strstr(signatures, "layer-1.pkcs7.sig"), "%s", signatures);
        expect_nothing_left();
}

/* A certificate authority, a certificate for 127.0.0.1 from it, and an authority that has nothing to do with
 * it. */
static void make_tls(void)
{
        shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out "
              "ca.pem "
              "-subj /CN=ca -days 2 2>&1 && cp ca.pem other.pem && "
              "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out tls.csr "
              "-subj /CN=registry 2>&1 && printf 'subjectAltName=IP:127.0.0.1' >ext && "
              "openssl x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -days 2 -extfile ext -out tls.pem 2>&1 "
              "&& "
              "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout other.key -out "
              "other.pem -subj /CN=other -days 2 2>&1");
}

#define TLS "  tls: {certificate: tls.pem, key: tls.key}\n"
#define AUTH "auth: {htpasswd: {realm: test, path: htpasswd}}\n"

Test(registry, tls_and_basic_auth)
{
        struct registry_options o = {.tls_ca = "ca.pem"};
        struct error e = {};

        make_tls();
        shell("htpasswd -Bbn user secret >htpasswd");
        start_registry(TLS, AUTH);

        cr_expect_eq(convert("source:sample:1", "store", url("signed:1"), &o, &e), -EACCES, "%s", e.message);
        cr_expect_not_null(strstr(e.message, "--authfile"), "%s", e.message);
        expect_nothing_left();

        shell("printf '{\"auths\":{\"127.0.0.1:%d\":{\"auth\":\"%%s\"}}}' $(printf user:wrong | base64) "
              ">auth.json",
              made.port);
        o.authfile = "auth.json";
        cr_expect_eq(convert("source:sample:1", "store", url("signed:1"), &o, &e), -EACCES, "%s", e.message);

        shell("printf '{\"auths\":{\"127.0.0.1:%d\":{\"auth\":\"%%s\"}}}' $(printf user:secret | base64) "
              ">auth.json",
              made.port);
        cr_expect_eq(convert("source:sample:1", "store", url("signed:1"), &o, &e), 0, "%s", e.message);
        shell("%s/verity verify %s --trust=trust --tls-ca=ca.pem --authfile=auth.json", BIN_DIR,
              url("signed:1"));

        o.tls_ca = "other.pem";
        cr_expect_eq(convert(url("signed:1"), "again", NULL, &o, &e), -EPROTO, "%s", e.message);
        cr_expect_not_null(strstr(e.message, "--tls-ca"), "%s", e.message);
}

/* --- with one that misbehaves --- */

struct fault {
        char repository[24];
        int error;
        char message[48];
};

ParameterizedTestParameters(registry, faults)
{
        static struct fault cases[] = {
                {"plain", 0, ""},
                {"flaky", 0, ""},
                {"resume", 0, ""},
                {"hang", -ETIMEDOUT, "127.0.0.1"},
                {"stall", -ETIMEDOUT, "blobs/sha256:"},
                {"less", -ERANGE, "blobs/sha256:"},
                {"more", -EBADMSG, "bytes expected, found more"},
                {"wrong", -EBADMSG, "content with that digest"},
                {"error", -EREMOTEIO, "HTTP status 500"},
                {"loop", -ELOOP, "at most 5 redirects"},
                {"faraway", -EPROTO, "HTTPS expected"},
                {"file", -EPROTO, "a URL with a host expected"},
                {"lyingheader", -EBADMSG, "Docker-Content-Digest"},
                {"bigmanifest", -EMSGSIZE, "at most 4194304 bytes"},
                {"html", -EBADMSG, "text/html"},
                {"absent", -ENOENT, "MANIFEST_UNKNOWN"},
                {"farrealm", -EPROTO, "HTTPS expected"},
                {"hugetoken", -EPROTO, "token"},
                {"badtoken", -EPROTO, "token"},
        };

        return cr_make_param_array(struct fault, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct fault *f, registry, faults)
{
        struct registry_options o = {.stall_seconds = 1};
        struct error e = {};
        char name[64];

        start_faulty(NULL);
        (void)snprintf(name, sizeof(name), "%s:1", f->repository);
        cr_expect_eq(convert(url(name), "store", NULL, &o, &e), f->error, "%s: %s", f->repository, e.message);
        cr_expect_not_null(strstr(e.message, f->message), "%s: %s", f->repository, e.message);
        if (f->error == 0)
                shell("%s/verity verify store --trust=trust", BIN_DIR);
        else
                expect_nothing_left();
}

ParameterizedTestParameters(registry, faults_while_verifying)
{
        static struct fault cases[] = {
                {"plain", -ENOKEY, "signatures expected, found none"},
                {"stall", -ETIMEDOUT, "blobs/sha256:"},
                {"more", -EBADMSG, "bytes expected, found more"},
                {"wrong", -EBADMSG, "content with that digest"},
                {"lyingheader", -EBADMSG, "Docker-Content-Digest"},
                {"html", -EBADMSG, "text/html"},
                {"bigsignature", -EBADMSG, "at most 65536 bytes"},
                {"farpages", -EPROTO, "the next page on http://127.0.0.1:"},
                {"endlesspages", -EBADMSG, "at most 32 pages"},
                {"lostpages", -EBADMSG, "HTTP status 404"},
                {"absent", -ENOENT, "MANIFEST_UNKNOWN"},
        };

        return cr_make_param_array(struct fault, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct fault *f, registry, faults_while_verifying)
{
        struct registry_options o = {.stall_seconds = 1};
        _cleanup_(trust_store_free_ptr) struct trust_store *trust = NULL;
        struct layout *copy = NULL;
        struct error e = {};
        char name[64];

        start_faulty(NULL);
        (void)snprintf(name, sizeof(name), "%s:1", f->repository);
        cr_assert_eq(trust_store_open(AT_FDCWD, "trust", &trust, &e), 0, "%s", e.message);
        cr_expect_eq(layout_fetch(url(name), "scratch", &o, trust, &copy, &e), f->error, "%s: %s",
                     f->repository, e.message);
        cr_expect_not_null(strstr(e.message, f->message), "%s: %s", f->repository, e.message);
        cr_expect_null(copy);
        expect_nothing_left();
        if (f->error == -ENOKEY)
                shell("test $(grep -c '^GET .*/blobs/' log) = 1 # no layer of an image that nobody signed");
}

static void put_credentials(void)
{
        shell("printf '{\"auths\":{\"127.0.0.1:%d\":{\"auth\":\"%%s\"}}}' $(printf user:secret | base64) "
              ">auth.json",
              made.port);
}

Test(registry, credentials_do_not_follow_redirects)
{
        struct registry_options o = {.authfile = "auth.json"};
        struct error e = {};

        start_faulty(NULL);
        put_credentials();
        cr_assert_eq(convert(url("elsewhere:1"), "store", NULL, &o, &e), 0, "%s", e.message);
        shell("grep -q '^GET /v2/elsewhere/.* Basic ' log && grep -q '^GET /elsewhere/.* -$' log && "
              "! grep -q '^GET /elsewhere/.* Basic' log");
}

/* 0.0.0.0 is this machine, but no name of it that is known to be. */
Test(registry, hosts_in_no_proxy_are_reached_without_one)
{
        struct registry_options o = {.plain_http = true};
        struct error e = {};
        char name[64];

        start_faulty(NULL);
        (void)snprintf(name, sizeof(name), "docker://0.0.0.0:%d/plain:1", made.port);
        cr_assert_eq(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
        cr_assert_eq(unsetenv("NO_PROXY") | unsetenv("no_proxy"), 0);
        cr_expect_eq(convert(name, "store", NULL, &o, &e), -EIO, "%s", e.message);
        cr_assert_eq(setenv("no_proxy", "0.0.0.0", 1), 0);
        cr_expect_eq(convert(name, "store", NULL, &o, &e), 0, "%s", e.message);
}

Test(registry, tokens_are_fetched_with_the_credentials_and_used)
{
        struct registry_options o = {.authfile = "auth.json"};
        struct error e = {};

        start_faulty(NULL);
        put_credentials();
        cr_assert_eq(convert(url("token:1"), "store", NULL, &o, &e), 0, "%s", e.message);
        shell("grep -q '^GET /token/token?service=the.*&scope=repository.*pull Basic ' log && "
              "! grep -q '^GET /v2/.* Basic' log && grep -q '^GET /v2/token/blobs.* Bearer good-token' log");
        shell("rm -r store; echo '{}' >auth.json");
        cr_expect_eq(convert(url("token:1"), "store", NULL, &o, &e), -EACCES, "%s", e.message);
}

Test(registry, redirects_do_not_leave_tls)
{
        struct registry_options o = {.tls_ca = "ca.pem"};
        struct error e = {};

        make_tls();
        start_faulty("tls.pem");
        cr_assert_eq(convert(url("plain:1"), "store", NULL, &o, &e), 0, "%s", e.message);
        shell("rm -r store");
        cr_expect_eq(convert(url("downgrade:1"), "store", NULL, &o, &e), -EPROTO, "%s", e.message);
        cr_expect_not_null(strstr(e.message, "HTTPS expected, found http"), "%s", e.message);
        expect_nothing_left();
}

Test(registry, referrers_come_in_pages)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *trust = NULL;
        struct registry_options o = {};
        struct layout *copy = NULL;
        struct error e = {};

        start_faulty(NULL);
        cr_assert_eq(convert("source:sample:1", NULL, url("pages:2"), NULL, &e), 0, "%s", e.message);
        cr_assert_eq(trust_store_open(AT_FDCWD, "trust", &trust, &e), 0, "%s", e.message);
        cr_expect_eq(layout_fetch(url("pages:2"), "scratch", &o, trust, &copy, &e), 0, "%s", e.message);
        shell("test $(grep -c '^GET /v2/pages/referrers/' log) = 3");
        layout_free(copy);
}

Test(registry, registries_with_the_referrers_api_get_no_tag)
{
        struct error e = {};

        start_faulty(NULL);
        cr_assert_eq(convert("source:sample:1", NULL, url("api:2"), NULL, &e), 0, "%s", e.message);
        shell("grep -q '^PUT /v2/api/manifests/2 ' log && ! grep -q 'manifests/sha256-' log");
        cr_assert_eq(convert("source:sample:1", NULL, url("awayupload:2"), NULL, &e), -EPROTO, "%s",
                     e.message);
}
