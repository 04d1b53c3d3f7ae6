/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Boots and blessings of a machine against a real TPM, with a power cut, a fault or an attack between any two
 * of its commands. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/process.h"
#include "fault.h"
#include "fixture.h"
#include "osguard/osguard.h"
#include "osguard/rollback-tpm.h"
#include "osguard/status.h"
#include "osguard/watchdog.h"
#include "signers.h"
#include "swtpm.h"
#include "tpm/attestation.h"
#include "tpm/nv.h"

/* A machine: its TPM, its volume (a file of it), and what its owner signs. */
struct machine {
        struct swtpm tpm;
        struct authority owner;
        struct signers keys;
        char generation[96];
        uint8_t *token;
        size_t token_size;
};

static struct machine m;

static void start(void)
{
        static const enum trust_purpose purposes[] = {TRUST_BUILD};

        m = (struct machine){};
        swtpm_start(&m.tpm);
        authority_make(&m.owner);
        signers_make(&m.keys, purposes, ELEMENTSOF(purposes));
        (void)snprintf(m.generation, sizeof(m.generation), "%s/generation", m.tpm.directory);
}

static void stop(void)
{
        free(m.token);
        signers_done(&m.keys);
        authority_done(&m.owner);
        swtpm_done(&m.tpm);
}

TestSuite(machine, .init = start, .fini = stop, .timeout = 300);

/* --- a boot --- */

struct versions {
        uint64_t image;
        uint16_t host[3];
};

static const struct versions first = {1, {1, 0, 0}}, second = {2, {1, 0, 0}}, third = {2, {1, 1, 0}};

static void path_of(const char *name, char ret[static 96])
{
        (void)snprintf(ret, 96, "%s/%s", m.tpm.directory, name);
        (void)unlink(ret);
}

/* Everything that the steps before `versions` leave behind. */
static int prepare(struct boot *b, const char *tcti, const struct versions *v, struct error *e)
{
        char log[96], machine_log[96];
        int r;

        path_of("osguard.cel", log);
        path_of("machine.cel", machine_log);
        *b = (struct boot){.image = {.security_version = v->image},
                           .trust = m.keys.trust,
                           .esp = {.token = m.token, .token_size = m.token_size},
                           .authority = m.owner.public_area};
        memcpy(b->host.reference.version, v->host, sizeof(v->host));
        r = tpm_open(tcti, &b->tpm, e);
        if (r >= 0)
                r = event_log_create(log, OSGUARD_PCR, b->tpm, &b->log, e);
        if (r >= 0)
                r = event_log_create(machine_log, OSGUARD_MACHINE_PCR, b->tpm, &b->machine_log, e);
        return r < 0 ? r : event_log_append(b->log, "image", "test", 4, e);
}

static void finish(struct boot *b)
{
        event_log_free(b->log);
        event_log_free(b->machine_log);
        tpm_free(b->tpm);
}

/* The value of PCR 14 after the event of prepare(), as the owner predicts it. */
static void predict(struct tpm_pcr_policy *ret)
{
        static const uint8_t content[] = {0, 0, 0, 0, 5, 'i', 'm', 'a', 'g', 'e',
                                          1, 0, 0, 0, 4, 't', 'e', 's', 't'};
        uint8_t state[64] = {};

        *ret = (struct tpm_pcr_policy){.pcrs = 1u << 7 | 1u << 11 | 1u << 12 | 1u << 14};
        cr_assert_eq(trust_sha256(content, sizeof(content), state + 32), 0);
        cr_assert_eq(trust_sha256(state, sizeof(state), ret->values[14]), 0);
        authority_sign(&m.owner, ret);
}

/* As the steps from `versions` to `lock` do, without a volume. */
static int boot(const char *tcti, const struct versions *v, struct error *e)
{
        struct tpm_pcr_policy policy;
        struct boot b;
        int r;

        predict(&policy);
        r = prepare(&b, tcti, v, e);
        b.esp.policies = &policy;
        b.esp.n_policies = 1;
        if (r >= 0)
                r = boot_read_rollback(&b, e);
        if (r >= 0)
                r = boot_check_generation(&b, m.generation, e);
        if (r >= 0)
                r = boot_promise(&b, e);
        if (r >= 0)
                r = event_log_append(b.log, "cap", "", 0, e);
        finish(&b);
        return r;
}

static int bless(const char *tcti, struct error *e)
{
        _cleanup_(tpm_free_ptr) struct tpm *tpm = NULL;
        struct record result;
        int r = tpm_open(tcti, &tpm, e);

        return r < 0 ? r : rollback_bless(tpm, &m.owner.public_area, m.generation, &result, e);
}

/* Power on, boot, and when that went well the blessing. */
static int run(const struct versions *v, struct error *e)
{
        int r;

        swtpm_restart(&m.tpm);
        r = boot(m.tpm.tcti, v, e);
        return r < 0 ? r : bless(m.tpm.tcti, e);
}

static void must_run(const struct versions *v)
{
        struct error e = {};

        cr_assert_eq(run(v, &e), 0, "%s", e.message);
}

static void must_refuse(const struct versions *v, int expected, const char *message)
{
        struct error e = {};

        cr_assert_eq(run(v, &e), expected, "%s", e.message);
        cr_expect(strstr(e.message, message), "\"%s\" expected, found \"%s\"", message, e.message);
}

static struct tpm *open_tpm(void)
{
        struct tpm *tpm = NULL;
        struct error e = {};

        cr_assert_eq(tpm_open(m.tpm.tcti, &tpm, &e), 0, "%s", e.message);
        return tpm;
}

static uint64_t read_counter(void)
{
        _cleanup_(tpm_free_ptr) struct tpm *tpm = open_tpm();
        struct error e = {};
        uint64_t value = 0;

        cr_assert_eq(tpm_nv_read_counter(tpm, TPM_NV_COUNTER, &value, &e), 0, "%s", e.message);
        return value;
}

static void undefine(uint32_t index)
{
        _cleanup_(tpm_free_ptr) struct tpm *tpm = open_tpm();
        struct error e = {};

        cr_assert_eq(tpm_nv_undefine(tpm, index, &e), 0, "%s", e.message);
}

/* --- a healthy machine --- */

Test(machine, first_boot_then_the_same_again)
{
        must_run(&first);
        cr_expect_eq(read_counter(), 2, "one for being made, one blessing");
        must_run(&first);
        cr_expect_eq(read_counter(), 2, "nothing changed");
}

Test(machine, floors_rise_with_the_blessing)
{
        struct error e = {};

        must_run(&first);
        swtpm_restart(&m.tpm);
        cr_assert_eq(boot(m.tpm.tcti, &second, &e), 0, "%s", e.message);
        must_run(&first);
        must_run(&second);
        must_refuse(&first, -ESTALE, "image: security version 2 or higher expected, found 1");
        must_run(&third);
        must_refuse(&second, -ESTALE, "host IPE policy: version 1.1.0 or higher expected, found 1.0.0");
        must_run(&third);
}

/* The newer image was never blessed; the older one's blessing must not bring what it promised into force. */
Test(machine, an_image_that_failed_leaves_no_floor)
{
        struct error e = {};

        must_run(&first);
        swtpm_restart(&m.tpm);
        cr_assert_eq(boot(m.tpm.tcti, &third, &e), 0, "%s", e.message);
        must_run(&first);
        must_run(&first);
        must_run(&second);
}

Test(machine, a_boot_that_nobody_approved_promises_nothing)
{
        struct tpm_pcr_policy policy;
        struct error e = {};
        struct boot b;

        must_run(&first);
        swtpm_restart(&m.tpm);
        predict(&policy);
        cr_assert_eq(prepare(&b, m.tpm.tcti, &second, &e), 0, "%s", e.message);
        b.esp.policies = &policy;
        b.esp.n_policies = 1;
        cr_assert_eq(event_log_append(b.log, "cap", "", 0, &e), 0);
        cr_assert_eq(boot_read_rollback(&b, &e), 0, "%s", e.message);
        cr_expect_eq(boot_promise(&b, &e), -EPERM);
        cr_expect(strstr(e.message, "PCR 14"), "%s", e.message);
        finish(&b);
        must_run(&first);
}

/* A newer host policy changes PCR 14, and so brings its own signed PCR policy. */
Test(machine, a_host_policy_of_the_ESP_is_approved_by_its_own)
{
        struct tpm_pcr_policy policy, other = {.pcrs = 1u << 14};
        struct error e = {};
        struct boot b;

        predict(&policy);
        authority_sign(&m.owner, &other);
        cr_assert_eq(prepare(&b, m.tpm.tcti, &third, &e), 0, "%s", e.message);
        b.esp.policies = &other;
        b.esp.host_policies = &policy;
        b.esp.n_policies = b.esp.n_host_policies = 1;
        cr_assert_eq(boot_read_rollback(&b, &e), 0, "%s", e.message);
        cr_expect_eq(boot_promise(&b, &e), -EPERM, "the image's do not describe it");
        b.host.from_esp = true;
        cr_expect_eq(boot_promise(&b, &e), 0, "%s", e.message);
        finish(&b);
        cr_assert_eq(bless(m.tpm.tcti, &e), 0, "%s", e.message);
        must_refuse(&second, -ESTALE, "host IPE policy: version 1.1.0 or higher expected, found 1.0.0");
}

Test(machine, what_was_read_is_in_the_log_of_the_machine)
{
        _cleanup_free_ char *log = NULL;
        uint8_t replayed[32], pcr[32];
        struct error e = {};
        struct tpm *tpm;
        size_t size;
        char path[96];

        must_run(&first);
        tpm = open_tpm();
        (void)snprintf(path, sizeof(path), "%s/machine.cel", m.tpm.directory);
        cr_assert_eq(read_file(AT_FDCWD, path, 65536, &log, &size, &e), 0, "%s", e.message);
        cr_assert_eq(event_log_replay((uint8_t *)log, size, replayed, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_pcr_read(tpm, OSGUARD_MACHINE_PCR, pcr, &e), 0, "%s", e.message);
        cr_expect_arr_eq(replayed, pcr, 32);
        cr_expect(memmem(log, size, "counter", 7) && memmem(log, size, "1 0 0.0.0 none first-boot", 25));
        tpm_free(tpm);
}

/* --- the report --- */

struct line {
        const char *name, *data;
};

/* A log of these events; its PCR is one that nobody uses. The caller frees *ret. */
static void make_log(struct tpm *tpm, const struct line *lines, size_t n, char **ret, size_t *ret_size)
{
        struct event_log *log = NULL;
        struct error e = {};
        char path[96];

        path_of("report.cel", path);
        cr_assert_eq(event_log_create(path, 16, tpm, &log, &e), 0, "%s", e.message);
        for (size_t i = 0; i < n; i++)
                cr_assert_eq(event_log_append(log, lines[i].name, lines[i].data, strlen(lines[i].data), &e),
                             0);
        event_log_free(log);
        cr_assert_eq(read_file(AT_FDCWD, path, 65536, ret, ret_size, &e), 0, "%s", e.message);
}

/* The links that are not as expected, one letter each, in the order of the report. */
static const char *report(const char *policy, const char *counter, const char *volume, uint64_t image)
{
        const struct line own[] = {{"ipe-policy", "00 boot 9.9.9"}, {"ipe-policy", policy}};
        const struct line machine[] = {{"counter", counter}, {"volume", volume}};
        _cleanup_free_ char *log = NULL, *machine_log = NULL;
        struct report p = {.image.security_version = image};
        static char letters[8];
        struct rollback found;
        struct error e = {};
        size_t size = 0, machine_size = 0, n = 0;
        struct tpm *tpm = open_tpm();

        make_log(tpm, own, 2, &log, &size);
        make_log(tpm, machine, 2, &machine_log, &machine_size);
        cr_assert_eq(rollback_read(tpm, &m.owner.public_area, &found, &e), 0, "%s", e.message);
        report_state(&p, &found, (uint8_t *)log, size, (uint8_t *)machine_log, machine_size);
        cr_assert_geq(p.r, 0);
        for (size_t i = 0; i < sd_json_variant_elements(p.links); i++) {
                sd_json_variant *link = sd_json_variant_by_index(p.links, i);

                if (!sd_json_variant_boolean(sd_json_variant_by_key(link, "ok")))
                        letters[n++] = sd_json_variant_string(sd_json_variant_by_key(link, "name"))[0];
        }
        letters[n] = '\0';
        sd_json_variant_unref(p.links);
        tpm_free(tpm);
        return letters;
}

Test(machine, report_of_each_link)
{
        must_run(&third);
        cr_expect_str_eq(report("00 host 1.1.0", "1", "tmpfs", 2), "", "blessed since");
        cr_expect_str_eq(report("00 host 1.2.0", "2", "tmpfs", 3), "");
        cr_expect_str_eq(report("00 host 1.1.0", "3", "tmpfs", 2), "G", "the generation");
        cr_expect_str_eq(report("00 host 1.1.0", "0", "tmpfs", 2), "G");
        cr_expect_str_eq(report("00 host 1.1.0", "2", "tmpfs", 1), "S", "the security version");
        cr_expect_str_eq(report("00 host 1.0.9", "2", "tmpfs", 2), "V", "the host policy's version");
        cr_expect_str_eq(report("nonsense", "2", "tmpfs", 2), "V");
        cr_expect_str_eq(report("00 host 1.1.0", "2", "000b", 2), "D", "the data volume");
        undefine(TPM_NV_RECORD);
        cr_expect_str_eq(report("00 host 1.1.0", "2", "tmpfs", 2), "R", "the record");
}

/* --- the power goes --- */

/* One run of which the nth command is spoiled; what comes after it does not happen. */
static int run_cut(struct fault_proxy *proxy, const struct versions *v, unsigned nth, enum fault_kind kind,
                   uint32_t rc)
{
        struct error e = {};
        int r;

        swtpm_restart(&m.tpm);
        fault_set(proxy, nth, kind, rc);
        r = boot(fault_tcti(proxy), v, &e);
        return r < 0 ? r : bless(fault_tcti(proxy), &e);
}

/* The TPM and the volume at one moment. */
static void copy_generation(const char *from, const char *to)
{
        _cleanup_free_ char *text = NULL;
        struct error e = {};
        size_t size = 0;

        if (file_exists(AT_FDCWD, from) == 0) {
                (void)unlink(to);
                return;
        }
        cr_assert_eq(read_file(AT_FDCWD, from, 64, &text, &size, &e), 0, "%s", e.message);
        cr_assert_eq(write_file_atomic(AT_FDCWD, to, text, size, 0600, &e), 0, "%s", e.message);
}

static void keep(const char *name)
{
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/%s.generation", m.tpm.directory, name);
        swtpm_stop(&m.tpm);
        swtpm_snapshot(&m.tpm, name);
        copy_generation(m.generation, path);
}

static void put_back(const char *name)
{
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/%s.generation", m.tpm.directory, name);
        swtpm_restore(&m.tpm, name);
        copy_generation(path, m.generation);
}

/* After a run of `next` that broke off at its nth command, `next` runs; `before` runs as long as `next` was
 * not blessed, and never afterwards. */
static void check_cut(const struct versions *before, const struct versions *next, uint64_t blessed,
                      unsigned nth)
{
        struct error e = {};
        int r;

        keep("cut");
        r = run(next, &e);
        cr_assert_eq(r, 0, "command %u, next: %s", nth, e.message);
        if (!before)
                return;
        cr_assert_eq(run(before, &e), -ESTALE, "command %u: a rollback", nth);
        put_back("cut");
        r = read_counter() >= blessed ? -ESTALE : 0;
        cr_assert_eq(run(before, &e), r, "command %u, before: %s", nth, e.message);
}

/* Breaks a run of `next` off at each of its commands. */
static void cut_everywhere(const struct versions *before, const struct versions *next, enum fault_kind kind,
                           uint32_t rc)
{
        struct fault_proxy *proxy = fault_start(&m.tpm);
        uint64_t blessed;
        unsigned commands, broken = 0;

        if (before)
                must_run(before);
        keep("start");
        cr_assert_eq(run_cut(proxy, next, 0, FAULT_NONE, 0), 0);
        commands = fault_count(proxy);
        blessed = read_counter();
        for (unsigned nth = 1; nth <= commands; nth++) {
                put_back("start");
                broken += run_cut(proxy, next, nth, kind, rc) < 0;
                check_cut(before, next, blessed, nth);
        }
        cr_expect_gt(broken, commands / 2, "%u of %u", broken, commands);
        fault_stop(proxy);
}

#define RC_FAILURE 0x101u
#define RC_NV_RATE 0x920u

Test(machine, power_cut_after_any_command_of_the_first_boot)
{
        cut_everywhere(NULL, &first, FAULT_CUT, 0);
}

Test(machine, power_cut_after_any_command_of_an_update)
{
        cut_everywhere(&first, &third, FAULT_CUT, 0);
}

/* --- a TPM that errs --- */

Test(machine, any_command_of_the_first_boot_fails_once)
{
        cut_everywhere(NULL, &first, FAULT_RC, RC_FAILURE);
}

Test(machine, any_command_of_an_update_fails_once)
{
        cut_everywhere(&first, &third, FAULT_RC, RC_NV_RATE);
}

Test(machine, any_answer_of_an_update_is_not_genuine)
{
        cut_everywhere(&first, &third, FAULT_GARBLE, 0);
}

static void hangs(const char *step, void *userdata)
{
        _exit(strcmp(step, "versions") == 0 ? 42 : 43);
}

Test(machine, a_TPM_that_hangs_ends_the_boot)
{
        struct fault_proxy *proxy;
        int status = 0;
        pid_t pid;

        must_run(&first);
        swtpm_restart(&m.tpm);
        proxy = fault_start(&m.tpm);
        fault_set(proxy, 12, FAULT_HANG, 0);
        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                struct watchdog *w = NULL;
                struct error e = {};

                if (watchdog_new(hangs, NULL, &w) < 0)
                        _exit(1);
                watchdog_set(w, "versions", 2000);
                (void)boot(fault_tcti(proxy), &second, &e);
                _exit(0);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 42, "status %x", status);
        fault_stop(proxy);
        must_run(&first);
}

Test(machine, no_TPM)
{
        struct error e = {};

        swtpm_stop(&m.tpm);
        cr_expect_lt(boot(m.tpm.tcti, &first, &e), 0);
        cr_expect(strstr(e.message, "TPM"), "%s", e.message);
}

/* --- what an owner of the TPM does with our indexes --- */

static int tool(const char *program, ...)
{
        char *argv[14] = {(char *)program};
        char tcti[160], *const environment[] = {tcti, (char *)"PATH=/usr/bin", NULL};
        struct process_result result = {};
        struct error e = {};
        va_list ap;
        int r;

        va_start(ap, program);
        for (size_t i = 1; i < ELEMENTSOF(argv) - 1 && (argv[i] = va_arg(ap, char *)); i++)
                ;
        va_end(ap);
        (void)snprintf(tcti, sizeof(tcti), "TPM2TOOLS_TCTI=%s", m.tpm.tcti);
        r = process_run(argv, &(struct process_options){.timeout_ms = 60000, .environment = environment},
                        &result, &e);
        cr_assert_eq(r, 0, "%s: %s", program, e.message);
        free(result.output);
        return result.status;
}

/* An ordinary index that anybody may write. */
static void define_foreign(const char *index)
{
        cr_assert_eq(tool("/usr/bin/tpm2_nvdefine", index, "-C", "o", "-s", "98", "-a",
                          "authread|authwrite|no_da", NULL),
                     0);
}

/* Signs a token for this TPM, or with `other` for one whose Name differs. */
static void sign_token(uint64_t counter, uint64_t floor, bool other)
{
        _cleanup_(tpm_free_ptr) struct tpm *tpm = open_tpm();
        char name[2 * TPM_NAME_SIZE + 1], text[512];
        uint8_t endorsement[TPM_NAME_SIZE];
        struct error e = {};

        cr_assert_eq(tpm_ek_name(tpm, endorsement, &e), 0, "%s", e.message);
        endorsement[33] ^= other;
        hex_encode(endorsement, TPM_NAME_SIZE, name);
        (void)snprintf(text, sizeof(text),
                       "{\"version\":1,\"tpm\":\"%s\",\"counter\":%" PRIu64 ",\"image_floor\":%" PRIu64
                       ",\"ipe_host_floor\":\"1.0.0\",\"volume\":\"make\"}",
                       name, counter, floor);
        free(m.token);
        signers_sign(&m.keys, TRUST_BUILD, text, strlen(text), &m.token, &m.token_size);
}

/* The machine does not boot; it does with a token for this TPM and counter, once; then all is as before. */
static void check_recovery(uint64_t counter, const char *message)
{
        must_refuse(&second, -ENOKEY, message);
        must_refuse(&second, -ENOKEY, "counter");
        sign_token(counter, 2, true);
        must_refuse(&second, -EKEYREJECTED, "recovery token: tpm:");
        sign_token(counter + 1, 2, false);
        must_refuse(&second, -EKEYREJECTED, "recovery token: counter:");
        sign_token(counter, 2, false);
        must_refuse(&first, -ESTALE, "security version 2 or higher expected, found 1");
        must_run(&second);
        cr_expect_eq(read_counter(), counter + 1, "spent");
        must_run(&second);
        cr_expect_eq(read_counter(), counter + 1, "a token does nothing on a healthy machine");
        must_refuse(&first, -ESTALE, "security version 2 or higher expected, found 1");
        undefine(TPM_NV_RECORD + ((counter + 1) & 1));
        must_refuse(&second, -EKEYREJECTED, "recovery token: counter:");
}

Test(machine, record_in_force_is_missing)
{
        must_run(&second);
        undefine(TPM_NV_RECORD);
        check_recovery(2, "record of generation 2 expected, found none");
}

/* Who may define may define ours, but not write it. */
Test(machine, record_made_again_by_somebody)
{
        struct error e = {};
        struct tpm *tpm;

        must_run(&second);
        undefine(TPM_NV_RECORD);
        tpm = open_tpm();
        cr_assert_eq(tpm_nv_define_record(tpm, TPM_NV_RECORD, &m.owner.public_area, RECORD_SIZE, &e), 0, "%s",
                     e.message);
        tpm_free(tpm);
        check_recovery(2, "record of generation 2 expected, found none");
}

Test(machine, older_record_in_force_by_its_index)
{
        struct error e = {};
        struct tpm *tpm;

        must_run(&first);
        must_run(&second);
        tpm = open_tpm();
        cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        tpm_free(tpm);
        check_recovery(4, "record of generation 4 expected, found one of another generation");
}

Test(machine, foreign_index_in_the_place_of_a_record)
{
        must_run(&second);
        undefine(TPM_NV_RECORD);
        define_foreign("0x018f0d02");
        check_recovery(2, "record of generation 2 expected, found a foreign index in the place of a record");
}

Test(machine, foreign_index_in_the_place_of_the_candidate)
{
        must_run(&second);
        undefine(TPM_NV_RECORD + 1);
        define_foreign("0x018f0d03");
        check_recovery(2, "found a foreign index in the place of a record");
}

/* A TPM's counters never start where one has been: the record of the old one is not in force. */
Test(machine, counter_is_missing)
{
        must_run(&second);
        undefine(TPM_NV_COUNTER);
        check_recovery(3, "record of generation 3 expected, found none");
}

Test(machine, counter_made_again_by_somebody)
{
        struct error e = {};
        struct tpm *tpm;

        must_run(&second);
        undefine(TPM_NV_COUNTER);
        tpm = open_tpm();
        cr_assert_eq(tpm_nv_define_counter(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        tpm_free(tpm);
        check_recovery(3, "record of generation 3 expected, found none");
}

Test(machine, foreign_index_in_the_place_of_the_counter)
{
        must_run(&second);
        undefine(TPM_NV_COUNTER);
        define_foreign("0x018f0d01");
        must_refuse(&second, -EBADMSG, "found a foreign index in its place");
        sign_token(2, 2, false);
        must_refuse(&second, -EBADMSG, "counter 0");
        sign_token(0, 2, true);
        must_refuse(&second, -EBADMSG, "counter 0");
        sign_token(0, 2, false);
        must_refuse(&second, -EKEYREJECTED, "recovery token: counter: 3 expected, found 0");
        free(m.token);
        m.token = NULL;
        check_recovery(3, "record of generation 3 expected, found none");
}

/* The password is not part of the public area: the index is ours by its Name, and does not let itself be
 * read.
 */
Test(machine, record_made_again_with_a_password)
{
        struct error e = {};
        char path[96];
        uint8_t policy[TPM_POLICY_SIZE];

        must_run(&second);
        undefine(TPM_NV_RECORD + 1);
        path_of("policy", path);
        cr_assert_eq(tpm_policy_authorize(&m.owner.public_area, policy, NULL), 0);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, policy, sizeof(policy), 0600, NULL), 0);
        cr_assert_eq(tool("/usr/bin/tpm2_nvdefine", "0x018f0d03", "-C", "o", "-s", "98", "-p", "secret", "-L",
                          path, "-a", "policywrite|authread|no_da", NULL),
                     0);
        swtpm_restart(&m.tpm);
        cr_assert_eq(boot(m.tpm.tcti, &third, &e), 0, "%s", e.message);
        cr_expect_eq(bless(m.tpm.tcti, &e), -ENOKEY);
        check_recovery(2, "found a foreign index in the place of a record");
}

Test(machine, counter_made_again_with_a_password)
{
        must_run(&second);
        undefine(TPM_NV_COUNTER);
        cr_assert_eq(tool("/usr/bin/tpm2_nvdefine", "0x018f0d01", "-C", "o", "-s", "8", "-p", "secret", "-a",
                          "nt=counter|authread|authwrite|no_da", NULL),
                     0);
        check_recovery(3, "record of generation 3 expected, found none");
}

Test(machine, counter_with_a_password_that_was_stepped)
{
        must_run(&second);
        undefine(TPM_NV_COUNTER);
        cr_assert_eq(tool("/usr/bin/tpm2_nvdefine", "0x018f0d01", "-C", "o", "-s", "8", "-p", "secret", "-a",
                          "nt=counter|authread|authwrite|no_da", NULL),
                     0);
        cr_assert_eq(
                tool("/usr/bin/tpm2_nvincrement", "0x018f0d01", "-C", "0x018f0d01", "-P", "secret", NULL), 0);
        must_refuse(&second, -EBADMSG, "found a foreign index in its place");
        sign_token(0, 2, false);
        must_refuse(&second, -EKEYREJECTED, "recovery token: counter: 4 expected, found 0");
        free(m.token);
        m.token = NULL;
        check_recovery(4, "record of generation 4 expected, found one of another generation");
}

/* Which TPM a token is for must not hang on what its owner may write there. */
Test(machine, foreign_index_in_the_place_of_a_certificate)
{
        static const uint8_t garbage[98] = {1};
        char path[96];

        must_run(&second);
        undefine(TPM_NV_RECORD);
        define_foreign("0x01c0000a");
        path_of("garbage", path);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, garbage, sizeof(garbage), 0600, NULL), 0);
        cr_assert_eq(tool("/usr/bin/tpm2_nvwrite", "0x01c0000a", "-C", "0x01c0000a", "-i", path, NULL), 0);
        check_recovery(2, "record of generation 2 expected, found none");
}

Test(machine, TPM_of_another_life)
{
        struct error e = {};
        struct tpm *tpm = open_tpm();

        cr_assert_eq(tpm_nv_define_counter(tpm, 0x018f0d7f, &e), 0, "%s", e.message);
        cr_assert_eq(tpm_nv_increment(tpm, 0x018f0d7f, &e), 0, "%s", e.message);
        tpm_free(tpm);
        undefine(0x018f0d7f);
        check_recovery(2, "record of generation 2 expected, found none");
}

/* --- the TPM's room and its lock-out --- */

/* Defines indexes of this size until there is no more room. */
static void fill(unsigned base, const char *size)
{
        char index[16];
        unsigned n = 0;

        do
                (void)snprintf(index, sizeof(index), "0x%08x", base + n++);
        while (n < 1000 && tool("/usr/bin/tpm2_nvdefine", index, "-C", "o", "-s", size, "-a",
                                "authread|authwrite", NULL) == 0);
        cr_assert_lt(n, 1000);
}

/* The first boot takes all the room that there will ever be need of. */
Test(machine, NV_is_full)
{
        fill(0x01800000, "1024");
        fill(0x01810000, "8");
        must_refuse(&first, -ENOSPC, "NV_DefineSpace");
        cr_assert_eq(tool("/usr/bin/tpm2_nvundefine", "0x01800000", "-C", "o", NULL), 0);
        must_run(&first);
        fill(0x01820000, "8");
        must_run(&second);
        must_run(&third);
}

Test(machine, TPM_in_lock_out_boots)
{
        must_run(&first);
        cr_assert_eq(tool("/usr/bin/tpm2_dictionarylockout", "-s", "-n", "1", "-t", "1000000", "-l",
                          "1000000", NULL),
                     0);
        cr_assert_eq(tool("/usr/bin/tpm2_nvdefine", "0x01800000", "-C", "o", "-s", "8", "-p", "secret", "-a",
                          "authread|authwrite", NULL),
                     0);
        cr_assert_neq(tool("/usr/bin/tpm2_nvread", "0x01800000", "-C", "0x01800000", "-P", "guess", NULL), 0);
        cr_assert_neq(
                tool("/usr/bin/tpm2_nvwrite", "0x01800000", "-C", "0x01800000", "-P", "secret", "-i-", NULL),
                0, "it is in lock-out");
        must_run(&second);
        must_refuse(&first, -ESTALE, "security version");
}

/* --- the TPM and the volume belong together --- */

Test(machine, TPM_state_from_an_older_copy)
{
        must_run(&first);
        swtpm_stop(&m.tpm);
        swtpm_snapshot(&m.tpm, "older");
        must_run(&second);
        swtpm_restore(&m.tpm, "older");
        must_refuse(&first, -ESTALE, "counter 3 or higher expected by the volume, found 2");
        sign_token(2, 2, false);
        must_refuse(&first, -ESTALE, "security version 2 or higher expected, found 1");
        must_run(&second);
        cr_expect_eq(read_counter(), 3);
        must_refuse(&first, -ESTALE, "security version 2 or higher expected, found 1");
}

Test(machine, another_TPM)
{
        char directory[64];

        must_run(&first);
        must_run(&second);
        (void)snprintf(directory, sizeof(directory), "%s", m.tpm.directory);
        swtpm_stop(&m.tpm);
        swtpm_start(&m.tpm);
        must_refuse(&first, -ESTALE, "counter 3 or higher expected by the volume, found 1");
        (void)tool("/usr/bin/rm", "-r", directory, NULL);
}

/* The candidate was written by a boot that nobody blessed; stepping the counter by hand is what blessing
 * does, and raises floors: it never lowers one. */
Test(machine, anybody_may_step_the_counter_and_gains_nothing)
{
        struct error e = {};
        struct tpm *tpm;

        must_run(&first);
        swtpm_restart(&m.tpm);
        cr_assert_eq(boot(m.tpm.tcti, &second, &e), 0, "%s", e.message);
        tpm = open_tpm();
        cr_assert_eq(tpm_nv_increment(tpm, TPM_NV_COUNTER, &e), 0, "%s", e.message);
        tpm_free(tpm);
        must_refuse(&first, -ESTALE, "security version 2 or higher expected, found 1");
        must_run(&second);
}
