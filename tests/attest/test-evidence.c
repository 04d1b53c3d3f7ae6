/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence of a machine with a real TPM: accepted as it is, and refused for each binding that does not hold.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/hex.h"
#include "evidence-machine.h"
#include "mutate.h"
#include "tpm/event-log.h"
#include "tpm/nv.h"

static struct evidence_machine machine;
static struct evidence evidence;
static const char *keys[1];
static struct evidence_demand demand = {
        .statement = {.nonce = MACHINE_NONCE, .nonce_size = MACHINE_NONCE_SIZE},
        .keys = keys,
        .n_keys = 1,
};

static void start(void)
{
        evidence_machine_start(&machine, NULL);
        evidence_machine_collect(&machine, &evidence);
        keys[0] = machine.key_name;
}

static void stop(void)
{
        evidence_done(&evidence);
        evidence_machine_done(&machine);
}

TestSuite(evidence, .init = start, .fini = stop, .timeout = 900);

static void expect(int result, const char *reason)
{
        _cleanup_(verified_evidence_free_ptr) struct verified_evidence *v = NULL;
        struct error e = {};

        cr_expect_eq(evidence_verify(&evidence, &demand, &v, &e), result, "%s: %s", reason, e.message);
        cr_expect(strstr(e.message, reason), "\"%s\" expected, found \"%s\"", reason, e.message);
        cr_expect_eq(!!v, result == 0);
}

Test(evidence, accepted)
{
        expect(0, "");
}

static void expect_claim(const struct claims *c, const char *name, const char *expected)
{
        const struct claim *claim = claims_find(c, name);
        _cleanup_free_ char *found = NULL;

        cr_assert(claim, "%s", name);
        cr_assert_geq(sd_json_variant_format(claim->value, 0, &found), 0);
        cr_expect_str_eq(found, expected, "%s: %s", name, found);
        cr_expect(claim->source[0]);
}

Test(evidence, claims)
{
        _cleanup_(verified_evidence_free_ptr) struct verified_evidence *v = NULL;
        _cleanup_claims_ struct claims c = {};
        struct error e = {};

        cr_assert_eq(evidence_verify(&evidence, &demand, &v, &e), 0, "%s", e.message);
        cr_assert_eq(claims_collect(v, &c, &e), 0, "%s", e.message);
        expect_claim(&c, "secure-boot", "true");
        expect_claim(&c, "boot-services-exited", "true");
        expect_claim(&c, "variant", "\"prod\"");
        expect_claim(&c, "security-version", "3");
        expect_claim(&c, "root-hash", "\"" MACHINE_ROOT_HASH "\"");
        expect_claim(&c, "verity-roots", "[\"" MACHINE_ROOT_HASH "\"]");
        expect_claim(&c, "ipe-policies", "[\"aabb boot 1.0.0\",\"ccdd host 2.0.0\"]");
        expect_claim(&c, "capped", "true");
        expect_claim(&c, "counter", "1");
        expect_claim(&c, "ima-violations", "0");
        expect_claim(&c, "machine-slot", "[\"11111111-2222-3333-4444-555555555555\"]");
        expect_claim(&c, "machine-counter", "[\"1\",\"0\"]");
        cr_expect_null(claims_find(&c, "failure"));
        cr_expect_null(claims_find(&c, "pcr16"));
        cr_expect(claims_find(&c, "pcr15"));
}

/* As JSON and back it says the same, byte for byte. */
Test(evidence, text_form)
{
        _cleanup_free_ char *text = NULL, *again = NULL;
        _cleanup_evidence_ struct evidence parsed = {};
        struct error e = {};

        cr_assert_eq(evidence_format(&evidence, &text, &e), 0, "%s", e.message);
        cr_assert_eq(evidence_parse(text, strlen(text), &parsed, &e), 0, "%s", e.message);
        cr_assert_eq(evidence_format(&parsed, &again, &e), 0, "%s", e.message);
        cr_expect_str_eq(text, again);
}

Test(evidence, nonce)
{
        struct evidence_demand good = demand;

        demand.statement.nonce = "a nonce of twenty-twO";
        expect(-ESTALE, "nonce");
        demand.statement.nonce_size = 4;
        expect(-EINVAL, "nonce");
        demand = good;
        expect(0, "");
}

Test(evidence, key)
{
        char name[sizeof(machine.key_name)];
        struct evidence_part good = evidence.key;

        memcpy(name, machine.key_name, sizeof(name));
        name[20] = name[20] == '0' ? '1' : '0';
        keys[0] = name;
        expect(-ENOKEY, "key: one of the 1 trusted");
        keys[0] = "";
        expect(-ENOKEY, "key");
        demand.n_keys = 0;
        expect(-ENOKEY, "key");
        demand.n_keys = 1;
        keys[0] = machine.key_name;
        evidence.key.size--;
        expect(-EBADMSG, "key");
        evidence.key = good;
        expect(0, "");
}

/* Values that were not quoted, under numbers that were, and the reverse. */
Test(evidence, values)
{
        evidence.values.value[7][0] ^= 1;
        expect(-EPERM, "values");
        evidence.values.value[7][0] ^= 1;
        evidence.values.extended |= 1u << 16;
        expect(-EPERM, "selection");
        evidence.values.extended = 0x7fff;
        expect(-EPERM, "selection");
        evidence.values.extended = 0xffff;
        evidence.values.algorithm = PCR_SHA384;
        expect(-EPERM, "selection: the SHA-256 bank");
        evidence.values.algorithm = PCR_SHA256;
        expect(0, "");
}

/* Every log is needed, whole, and its own. */
Test(evidence, logs)
{
        struct evidence_part *const parts[] = {&evidence.firmware_log, &evidence.ima_log, &evidence.logs[0],
                                               &evidence.logs[1]};

        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                struct evidence_part good = *parts[i];
                _cleanup_(verified_evidence_free_ptr) struct verified_evidence *v = NULL;

                parts[i]->size -= 1;
                cr_expect_lt(evidence_verify(&evidence, &demand, &v, NULL), 0, "log %zu cut", i);
                *parts[i] = good;
                parts[i]->bytes[good.size / 2] ^= 1;
                cr_expect_lt(evidence_verify(&evidence, &demand, &v, NULL), 0, "log %zu changed", i);
                parts[i]->bytes[good.size / 2] ^= 1;
        }
        expect(0, "");
}

/* No byte of our logs can be another one: also numbers, PCRs and the digests of other banks. */
Test(evidence, own_logs_to_the_byte)
{
        for (size_t k = 0; k < evidence.n_logs; k++)
                for (size_t i = 0; i < evidence.logs[k].size; i++) {
                        struct verified_evidence *v = NULL;

                        evidence.logs[k].bytes[i] ^= 1;
                        cr_expect_lt(evidence_verify(&evidence, &demand, &v, NULL), 0, "log %zu, byte %zu", k,
                                     i);
                        evidence.logs[k].bytes[i] ^= 1;
                }
        expect(0, "");
}

Test(evidence, absent_logs)
{
        struct evidence_part good = evidence.firmware_log, second = evidence.logs[1];

        evidence.firmware_log.bytes = NULL;
        expect(-EPERM, "firmware log: expected");
        evidence.firmware_log = good;
        good = evidence.ima_log;
        evidence.ima_log.bytes = NULL;
        expect(-EPERM, "IMA log: expected");
        evidence.ima_log = good;
        evidence.n_logs = 1;
        expect(-EPERM, "event log");
        evidence.n_logs = 2;
        evidence.logs[1] = evidence.logs[0];
        expect(-EPERM, "event log: one for each");
        evidence.logs[1] = second;
        expect(0, "");
}

Test(evidence, counter)
{
        struct evidence_part good = evidence.counter;

        evidence.counter = evidence.quote;
        expect(-EKEYREJECTED, "counter");
        evidence.counter = good;
        evidence.counter.bytes[good.size - 1] ^= 1;
        expect(-EKEYREJECTED, "counter: signature");
        evidence.counter.bytes[good.size - 1] ^= 1;
        expect(0, "");
}

/* The key is the same after a reset, and the old statement about the counter is not of this boot. */
Test(evidence, counter_of_another_boot)
{
        struct evidence_part counter = evidence.counter, signature = evidence.counter_signature;
        struct evidence old = evidence, fresh = {};
        struct error e = {};

        tpm_free(machine.tpm);
        machine.tpm = NULL;
        swtpm_restart(&machine.swtpm);
        cr_assert_eq(tpm_open(machine.swtpm.tcti, &machine.tpm, &e), 0, "%s", e.message);
        /* PCRs are zeros now, which their logs do not say: the counter is looked at before them. */
        machine.files.ima_log = "/dev/null";
        machine.files.own_logs[0] = machine.files.own_logs[1] = NULL;
        evidence_machine_collect(&machine, &fresh);
        evidence = fresh;
        free(evidence.counter.bytes);
        free(evidence.counter_signature.bytes);
        evidence.counter = counter;
        evidence.counter_signature = signature;
        expect(-EPERM, "counter: certified in the boot of the quote");
        old.counter = old.counter_signature = (struct evidence_part){};
        evidence_done(&old);
}

/* Text forms that version 1 does not have. */
Test(evidence, refused_texts)
{
        static const struct {
                const char *text, *reason;
        } cases[] = {
                {"", "evidence"},
                {"[]", "an object"},
                {"{}", "version"},
                {"{\"version\":2,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{}}", "version 1"},
                {"{\"version\":1,\"kind\":\"snp\",\"algorithm\":\"sha256\",\"pcrs\":{}}", "kind"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"md5\",\"pcrs\":{}}", "algorithm"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{\"24\":\"00\"}}",
                 "pcrs"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{\"00\":\"00\"}}",
                 "pcrs"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{\"0\":\"00\"}}", "pcrs"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{},\"x\":1}",
                 "found another one"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{},\"quote\":\"*\"}",
                 "Base64"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{},\"quote\":\"\"}",
                 "1 to 2048"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{},\"quote\":\"AA==\"}",
                 "quote_signature expected"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{},\"quote\":\"AA==\","
                 "\"quote_signature\":\"AA==\"}",
                 "one attestation key"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{},\"quote\":\"AA==\","
                 "\"quote_signature\":\"AA==\",\"key\":\"AA==\",\"logs\":[\"AA==\"]}",
                 "holdfast alone"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{},\"logs\":[1,2,3,4,5]}",
                 "at most 4"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{},\"kind\":"
                 "\"holdfast\"}",
                 "twice"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{},\"pcrs\":{}}",
                 "twice"},
                {"{\"version\":1,\"kind\":\"tpm\",\"algorithm\":\"sha256\",\"pcrs\":{},\"quote\":\"AA==\","
                 "\"quote\":\"AA==\"}",
                 "twice"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct evidence parsed = {};
                struct error e = {};

                cr_expect_eq(evidence_parse(cases[i].text, strlen(cases[i].text), &parsed, &e), -EBADMSG,
                             "%s", cases[i].text);
                cr_expect(strstr(e.message, cases[i].reason), "%s: %s", cases[i].text, e.message);
        }
}

static bool same_claims(const struct claims *a, const struct claims *b)
{
        bool same = a->n == b->n;

        for (size_t i = 0; same && i < a->n; i++)
                same = strcmp(a->items[i].name, b->items[i].name) == 0 &&
                       sd_json_variant_equal(a->items[i].value, b->items[i].value);
        return same;
}

/* Whatever is changed in the text is refused, or says the same: of an EV_POST_CODE, say, the data are not
 * measured. */
Test(evidence, mutations, .timeout = 900)
{
        _cleanup_(verified_evidence_free_ptr) struct verified_evidence *original = NULL;
        _cleanup_claims_ struct claims expected = {};
        _cleanup_free_ char *text = NULL, *copy = NULL;
        uint64_t state = 0x9e3779b97f4a7c15;
        size_t n;

        cr_assert_eq(evidence_format(&evidence, &text, NULL), 0);
        n = strlen(text);
        copy = malloc(n + 1);
        cr_assert(copy);
        cr_assert_eq(evidence_verify(&evidence, &demand, &original, NULL), 0);
        cr_assert_eq(claims_collect(original, &expected, NULL), 0);
        for (unsigned i = 0; i < 10000; i++) {
                _cleanup_(verified_evidence_free_ptr) struct verified_evidence *v = NULL;
                _cleanup_evidence_ struct evidence changed = {};
                _cleanup_claims_ struct claims claims = {};

                memcpy(copy, text, n + 1);
                mutate((uint8_t *)copy, n, &state);
                if (evidence_parse(copy, strlen(copy), &changed, NULL) < 0 ||
                    evidence_verify(&changed, &demand, &v, NULL) < 0 || claims_collect(v, &claims, NULL) < 0)
                        continue;
                cr_assert(same_claims(&claims, &expected), "mutation %u", i);
        }
}

/* The same with the bytes of each part, past JSON and Base64. */
Test(evidence, mutated_parts, .timeout = 900)
{
        struct evidence_part *const parts[] = {
                &evidence.quote,  &evidence.quote_signature, &evidence.counter, &evidence.counter_signature,
                &evidence.key,    &evidence.firmware_log,    &evidence.ima_log, &evidence.logs[0],
                &evidence.logs[1]};
        _cleanup_(verified_evidence_free_ptr) struct verified_evidence *original = NULL;
        _cleanup_claims_ struct claims expected = {};
        uint64_t state = 0x9e3779b97f4a7c15;

        cr_assert_eq(evidence_verify(&evidence, &demand, &original, NULL), 0);
        cr_assert_eq(claims_collect(original, &expected, NULL), 0);
        for (unsigned i = 0; i < 20000; i++) {
                _cleanup_(verified_evidence_free_ptr) struct verified_evidence *v = NULL;
                _cleanup_claims_ struct claims claims = {};
                struct evidence_part *part = parts[i % ELEMENTSOF(parts)], good = *part;
                uint8_t changed[WRITTEN_LOG_MAX];

                cr_assert_leq(good.size, sizeof(changed));
                memcpy(changed, good.bytes, good.size);
                mutate(changed, good.size, &state);
                part->bytes = changed;
                if (evidence_verify(&evidence, &demand, &v, NULL) == 0 &&
                    claims_collect(v, &claims, NULL) == 0)
                        cr_assert(same_claims(&claims, &expected), "mutation %u", i);
                *part = good;
        }
}

/* Any machine's: no logs of ours, and the PCRs that the verifier asks for. */
Test(evidence, bare)
{
        struct evidence_part ima;

        evidence.kind = EVIDENCE_TPM;
        demand.pcrs = 0xffff;
        expect(0, "");
        demand.pcrs = 0xfff;
        expect(-EPERM, "selection");
        demand.pcrs = 0xffff;
        ima = evidence.ima_log;
        evidence.ima_log = evidence.firmware_log;
        expect(-EBADMSG, "IMA log");
        evidence.ima_log = ima;
        evidence.ima_log.size = 0;
        expect(-EPERM, "IMA log: its replay");
        evidence.ima_log = ima;
        demand.pcrs = 0;
        evidence.values.extended = 0;
        expect(-EPERM, "selection: the policy names no PCRs");
        evidence.values.extended = 0xffff;
}

/* After its cap nothing can pass for osguard, and a name that no table has says nothing. */
Test(evidence_events, after_the_cap, .timeout = 900)
{
        struct evidence_machine m;
        struct evidence ev = {};
        const char *names[] = {m.key_name};
        struct evidence_demand d = demand;
        struct verified_evidence *v = NULL;
        struct claims c = {};
        struct error e = {};

        evidence_machine_start(&m, "root");
        evidence_machine_collect(&m, &ev);
        d.keys = names;
        cr_assert_eq(evidence_verify(&ev, &d, &v, &e), 0, "%s", e.message);
        cr_expect_eq(claims_collect(v, &c, &e), -EBADMSG);
        cr_expect(strstr(e.message, "nothing after the cap"), "%s", e.message);
        verified_evidence_free(v);
        evidence_done(&ev);
        evidence_machine_done(&m);
}

/* A log goes on growing after the quote: what came later is left out. */
Test(evidence, log_grew)
{
        _cleanup_free_ char *log = NULL;
        struct evidence fresh = {};
        struct written_ima grown;
        struct error e = {};
        size_t size;

        grown = machine.ima;
        ima_add_file(&grown, "sha256", MACHINE_ROOT_HASH, "/usr/bin/later");
        cr_assert_eq(write_file_atomic(AT_FDCWD, machine.paths[1], grown.bytes, grown.size, 0600, &e), 0);
        cr_assert_eq(read_file(AT_FDCWD, machine.paths[2], 1 << 20, &log, &size, &e), 0);
        evidence_machine_collect(&machine, &fresh);
        cr_expect_eq(fresh.ima_log.size, machine.ima.size);
        cr_expect_eq(fresh.logs[0].size, size);
        evidence_done(&fresh);
        cr_assert_eq(write_file_atomic(AT_FDCWD, machine.paths[1], grown.bytes, 0, 0600, &e), 0);
        cr_expect_eq(
                evidence_collect(machine.tpm, &machine.files, MACHINE_NONCE, MACHINE_NONCE_SIZE, &fresh, &e),
                -EAGAIN);
}

/* groupd's log before its first event: empty, cut, or written and not extended. */
Test(evidence, log_not_begun)
{
        static const uint8_t osguard[] = {CEL_PCR, 0, 0, 0, 4, 0, 0, 0, 14};
        struct event_record record = {};
        struct evidence_part first = evidence.logs[0];
        char path[sizeof(machine.paths[0])];
        struct error e = {};
        uint8_t *pcr;
        size_t n = 0;

        cr_assert_eq(event_log_next(first.bytes, first.size, &n, &record, &e), 1, "%s", e.message);
        pcr = memmem(first.bytes, n, osguard, sizeof(osguard));
        cr_assert(pcr);
        pcr[sizeof(osguard) - 1] = 13;
        (void)snprintf(path, sizeof(path), "%s/groupd.cel", machine.swtpm.directory);
        machine.files.own_logs[2] = path;
        for (size_t i = 0; i < 3; i++) {
                const size_t sizes[] = {0, n - 1, n};
                struct evidence fresh = {};

                cr_assert_eq(write_file_atomic(AT_FDCWD, path, first.bytes, sizes[i], 0600, &e), 0);
                evidence_machine_collect(&machine, &fresh);
                cr_expect_eq(fresh.n_logs, 2, "%zu bytes", sizes[i]);
                evidence_done(&fresh);
        }
        pcr[sizeof(osguard) - 1] = 14;
}
