/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program as a pipeline uses it: exit status, what it prints, and files that are not replaced. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/process.h"
#include "scratch.h"

/* Keys, a trust directory, and a signed image t.img with its root hash in the file hash. */
static void set_up(void)
{
        scratch_enter();
        cr_assert_eq(setenv("PATH", BIN_DIR ":/usr/sbin:/usr/bin:/sbin:/bin", 1), 0);
        shell("mkdir trust t && echo hello >t/a && "
              "for p in layer policy manifest; do verity keygen --purpose=$p --key=$p.key "
              "--certificate=$p.pem --algorithm=p256; done && "
              "cp *.pem trust && verity build t -o t.img >hash && "
              "verity sign t.img --root-hash=$(cat hash) --key=layer.key --certificate=layer.pem -o t.sig");
}

TestSuite(program, .init = set_up, .fini = scratch_leave);

struct invocation {
        char line[200];
        int status;
        char says[80];
};

ParameterizedTestParameters(program, exit_status)
{
        static struct invocation cases[] = {
                {"verity verify t.img --root-hash=$(cat hash)", 0, "match the root hash"},
                {"verity verify t.img --root-hash=$(cat hash) --signature=t.sig --trust=trust", 0,
                 "and the signature"},
                {"verity verify t.img --root-hash=$(cat hash) --signature=t.sig --trust=trust "
                 "--purpose=policy",
                 1, "purpose policy expected, found layer"},
                {"verity verify t.img --root-hash=$(cat hash | tr 0-9 1-90)", 1, "t.img"},
                {"printf x | dd of=t.img bs=1 seek=2000 conv=notrunc; verity verify t.img --root-hash=$(cat "
                 "hash)",
                 1, "t.img"},
                {"verity verify t.img", 2, "--root-hash"},
                {"verity verify t.img --root-hash=xyz", 2, "root_hash"},
                {"verity verify t.img --root-hash=$(cat hash) --signature=t.sig", 2, "together"},
                {"verity verify t.img --root-hash=$(cat hash) --signature=t.sig --trust=absent", 2, "absent"},
                {"verity verify t.img --root-hash=$(cat hash) --signature=t.sig --trust=trust --purpose=all",
                 2, "--purpose"},
                {"verity verify absent --root-hash=$(cat hash)", 2, "absent"},
                {"verity verify hash --root-hash=$(cat hash)", 1, "EROFS"},
                {"verity verify t", 2, "--trust"},
                {"verity verify t --trust=trust", 2, "oci-layout"},
                {"verity sign t.img --root-hash=$(cat hash) --key=policy.key --certificate=policy.pem -o s",
                 1, "purpose layer"},
                {"verity sign t.img --root-hash=$(cat hash) --key=layer.key --certificate=policy.pem -o s", 1,
                 "policy.pem"},
                {"verity sign t.img --root-hash=$(cat hash) --key=layer.key --certificate=layer.pem", 2,
                 "--output"},
                {"verity sign t.img --root-hash=$(cat hash) --key=layer.key --certificate=layer.pem -o s "
                 "--format=pem",
                 2, "--format"},
                {"verity sign hash --root-hash=$(cat hash) --key=layer.key --certificate=layer.pem -o s", 1,
                 "EROFS"},
                {"verity build t", 2, "--output"},
                {"verity build absent -o x", 2, "absent"},
                {"verity build t -o x --file-contexts=absent", 2, "absent"},
                {"chmod u+s t/a; verity build t -o x", 1, "--allow-setuid"},
                {"verity image t -o x", 2, "--certificate"},
                {"verity keygen --purpose=layer --key=layer.key --certificate=new.pem", 2, "layer.key"},
                {"verity keygen --purpose=layer --key=new.key --certificate=layer.pem", 2, "layer.pem"},
                {"verity keygen --purpose=other --key=new.key --certificate=new.pem", 2, "found \"other\""},
                {"verity keygen --purpose=layer --key=new.key --certificate=new.pem --algorithm=dsa", 2,
                 "rsa2048"},
                {"mkdir l && : >l/libcurl.so.4 && LD_LIBRARY_PATH=l verity image docker://127.0.0.1/a -o x "
                 "--key=layer.key --certificate=layer.pem --manifest-key=layer.key "
                 "--manifest-certificate=layer.pem",
                 2, "libcurl.so.4"},
                {"mkdir l && : >l/libcurl.so.4 && LD_LIBRARY_PATH=l verity verify t.img "
                 "--root-hash=$(cat hash)",
                 0, ""},
                {"verity", 2, "verb"},
                {"verity --help", 0, "verify"},
        };

        return cr_make_param_array(struct invocation, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct invocation *i, program, exit_status)
{
        char *argv[] = {(char *)"sh", (char *)"-c", i->line, NULL};
        struct process_result result = {};

        cr_assert_eq(process_run(argv, NULL, &result, NULL), 0);
        cr_expect_eq(result.status, i->status, "%s: exit status %d expected, found %d: %s", i->line,
                     i->status, result.status, result.output);
        cr_expect_not_null(strstr(result.output, i->says), "%s: \"%s\" expected, found: %s", i->line, i->says,
                           result.output);
        free(result.output);
        shell("! ls *.tmp 2>/dev/null && ! ls x s 2>/dev/null");
}

Test(program, keygen_keeps_keys_to_itself_and_replaces_nothing)
{
        struct stat st;

        cr_assert_eq(stat("layer.key", &st), 0);
        cr_expect_eq(st.st_mode & 07777, 0600);
        shell("cp layer.key before && ! verity keygen --purpose=layer --key=layer.key "
              "--certificate=layer.pem && cmp before layer.key");
        shell("! verity keygen --purpose=layer --key=new.key --certificate=layer.pem && test ! -e new.key");
        shell("openssl x509 -in layer.pem -noout -ext extendedKeyUsage | grep -q critical");
}

Test(program, json_of_keygen_names_the_files)
{
        _cleanup_free_ char *text = shell_output("verity keygen --purpose=policy --key=n.key "
                                                 "--certificate=n.pem --algorithm=p256 --json=short");

        cr_expect_str_eq(text, "{\"purpose\":\"policy\",\"key\":\"n.key\",\"certificate\":\"n.pem\"}");
}

Test(program, json_of_sign_names_what_was_signed)
{
        shell("verity sign t.img --root-hash=$(cat hash) --key=layer.key --certificate=layer.pem -o s "
              "--json=short >json && echo \"{\\\"root_hash\\\":\\\"$(cat hash)\\\","
              "\\\"purpose\\\":\\\"layer\\\",\\\"signature\\\":\\\"s\\\"}\" | cmp - json");
}

Test(program, json_of_build_has_the_agreed_fields)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *text = shell_output("verity build t -o j.img --json=short"),
                            *hash = slurp("hash", NULL);
        const char *s = NULL;
        uint64_t offset = 0, size = 0;
        struct error e = {};

        cr_assert_eq(json_parse("json", text, &v, &e), 0, "%s", e.message);
        cr_expect_eq(json_string(v, "json", "root_hash", &s, &e), 0);
        cr_expect_eq(strncmp(s, hash, 64), 0);
        cr_expect_eq(json_unsigned(v, "json", "hash_offset", UINT64_MAX, &offset, &e), 0);
        cr_expect_eq(json_unsigned(v, "json", "data_size", UINT64_MAX, &size, &e), 0);
        cr_expect_eq(offset, size);
        cr_expect_eq(json_string(v, "json", "salt", &s, &e), 0);
        cr_expect_eq(strlen(s), 64);
        cr_expect_eq(json_string(v, "json", "algorithm", &s, &e), 0);
        cr_expect_str_eq(s, "sha256");
        cr_expect_eq(file_exists(AT_FDCWD, "j.img"), 1);
}

Test(program, a_signature_partition_is_what_systemd_has)
{
        shell("verity sign t.img --root-hash=$(cat hash) --key=layer.key --certificate=layer.pem -o p "
              "--format=partition && "
              "test $(stat -c %%s p) = 16384 && "
              "test $(tr -d '\\0' <p | cut -d'\"' -f8) = "
              "$(openssl x509 -in layer.pem -outform der | sha256sum | cut -d' ' -f1) && "
              "verity verify t.img --root-hash=$(cat hash) --signature=p --trust=trust");
}
