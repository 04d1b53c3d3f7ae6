/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attest verify */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attest/appraise.h"
#include "attest/evidence.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/table.h"
#include "inputs.h"
#include "program.h"

/* What the verb reads before it judges. */
struct request {
        char *policy_text, *evidence_text, *reference_text;
        struct appraisal_policy policy;
        struct evidence evidence;
        sd_json_variant *reference;
        uint8_t nonce[QUOTE_NONCE_MAX];
        size_t nonce_size;
};

static void request_done(struct request *q)
{
        appraisal_policy_done(&q->policy);
        evidence_done(&q->evidence);
        sd_json_variant_unref(q->reference);
        free(q->policy_text);
        free(q->evidence_text);
        free(q->reference_text);
}

/* What the verifier itself brings: if that is wrong nothing can be judged. */
static int read_demands(struct request *q, struct error *e)
{
        size_t size;
        int r;

        if (!options.policy)
                return error_set(e, -EINVAL, "--policy= expected, see --help");
        if ((r = nonce_option(q->nonce, &q->nonce_size, e)) < 0 ||
            (r = read_file(AT_FDCWD, options.policy, APPRAISAL_POLICY_MAX, &q->policy_text, &size, e)) < 0)
                return r;
        r = appraisal_policy_parse(q->policy_text, size, &q->policy, e);
        if (r < 0)
                return error_prefix(e, -EINVAL, "%s", options.policy);
        if (!options.reference)
                return 0;
        if ((r = read_signed(options.reference, TRUST_ATTACHED_MAX, &q->reference_text, &size, e)) < 0 ||
            (r = json_parse(options.reference, q->reference_text, &q->reference, e)) < 0)
                return r;
        return 0;
}

/* Sets the appraisal if every binding holds. */
static int judge(struct request *q, struct verified_evidence **v, struct claims *claims, struct appraisal *a,
                 struct error *e)
{
        const struct evidence_demand demand = {
                .statement = {.nonce = q->nonce,
                              .nonce_size = q->nonce_size,
                              .allow_sha1 = q->policy.allow_sha1},
                .pcrs = q->policy.pcrs,
                .keys = q->policy.keys,
                .n_keys = q->policy.n_keys,
        };
        int r;

        if ((r = evidence_parse(q->evidence_text, strlen(q->evidence_text), &q->evidence, e)) < 0 ||
            (r = evidence_verify(&q->evidence, &demand, v, e)) < 0 || (r = claims_collect(*v, claims, e)) < 0)
                return r;
        return appraise(claims, &q->policy, q->reference, a, e);
}

static int print_table(const struct appraisal *a)
{
        static const char *const headings[] = {"", "CLAIM", "EXPECTED", "FOUND", "FROM"};
        struct table *t = table_new(headings, ELEMENTSOF(headings));
        int r = t ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < a->n; i++) {
                const struct appraisal_finding *f = &a->findings[i];
                const char *cells[] = {f->met ? "ok" : "NO", f->claim, f->expected, f->found ?: "nothing",
                                       f->source ?: ""};

                r = table_add(t, cells, ELEMENTSOF(cells));
        }
        if (r >= 0)
                r = table_print(t);
        table_free(t);
        return r;
}

static int print_ear(const struct request *q, const struct appraisal *a, const char *reason)
{
        _cleanup_json_ sd_json_variant *ear = NULL;
        int r = appraisal_to_ear(a, reason, &q->policy, q->nonce, q->nonce_size, (uint64_t)time(NULL), &ear);

        return r < 0 ? r : json_print(ear, options.json);
}

static void name_first_failure(const struct appraisal *a)
{
        for (size_t i = 0; i < a->n; i++) {
                const struct appraisal_finding *f = &a->findings[i];

                if (!f->met) {
                        log_error(0, "claim %s: %s expected, found %s", f->claim, f->expected,
                                  f->found ?: "nothing");
                        return;
                }
        }
        log_error(0, "neither policy nor reference demands anything");
}

static int show(const struct request *q, const struct appraisal *a, const struct error *failed)
{
        int r = 0;

        if (options.json != JSON_OFF)
                r = print_ear(q, a, failed->message[0] ? failed->message : NULL);
        else if (a)
                r = print_table(a);
        if (r < 0) {
                log_error(r, "printing the result");
                return EXIT_COULD_NOT_TRY;
        }
        if (!a)
                log_failure(-EPERM, failed);
        else if (!a->met)
                name_first_failure(a);
        return a && a->met ? EXIT_SUCCESS : EXIT_ANSWER_IS_NO;
}

int verb_verify(int argc, char **argv)
{
        _cleanup_(verified_evidence_free_ptr) struct verified_evidence *v = NULL;
        _cleanup_appraisal_ struct appraisal a = {};
        _cleanup_claims_ struct claims claims = {};
        _cleanup_(request_done) struct request q = {};
        struct error e = {};
        size_t size;
        int r;

        r = read_demands(&q, &e);
        if (r < 0)
                return fail(r, &e);
        r = read_file(AT_FDCWD, argv[0], EVIDENCE_MAX, &q.evidence_text, &size, &e);
        if (r >= 0 && strlen(q.evidence_text) != size)
                r = error_set(&e, -EBADMSG, "evidence: a text expected, found a NUL byte");
        else if (r < 0)
                return fail(r, &e);
        if (r >= 0)
                r = judge(&q, &v, &claims, &a, &e);
        if (r == -ENOMEM || r == -EINVAL || r == -EIO)
                return fail(r, &e);
        return show(&q, r < 0 ? NULL : &a, &e);
}
