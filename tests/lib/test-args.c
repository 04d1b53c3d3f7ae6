/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The argument parser, its messages, and the completion scripts that it makes. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/args.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/process.h"

static char dir[] = "/tmp/test-args-XXXXXX";

static void enter_directory(void)
{
        cr_assert_not_null(mkdtemp(dir));
        cr_assert_eq(chdir(dir), 0);
}

static void leave_directory(void)
{
        char *argv[] = {(char *)"rm", (char *)"-rf", dir, NULL};

        cr_assert_eq(process_check(argv, NULL, NULL), 0);
}

static struct {
        bool flag;
        const char *text;
        uint64_t number;
        struct arg_list list;
        enum json_mode json;
        int operands;
} seen;

static int note(int argc, char **argv)
{
        seen.operands = argc;
        return 5;
}

static int run_args(int argc, const char *const *argv)
{
        static const struct arg_verb verbs[] = {
                {"do", "A [B]", 1, 2, "does it", note}, {"other", "", 0, 0, "doesn't", note}, {}};
        static const struct arg_option arguments[] = {
                {"flag", 'f', ARG_FLAG, &seen.flag, NULL, NULL, "a flag"},
                {"text", 't', ARG_STRING, &seen.text, "TEXT", "do", "a text"},
                {"number", 0, ARG_UNSIGNED, &seen.number, "N", "do other", "a number"},
                {"item", 0, ARG_LIST, &seen.list, "ITEM", "other do", "an item"},
                {"alien", 0, ARG_STRING, &seen.text, "TEXT", "other do-not", "of other verbs"},
                {"json", 0, ARG_JSON, &seen.json, "off|short|pretty", NULL, "a mode"},
                {"input", 'i', ARG_STRING, &seen.text, "FILE", "do", "it's [a] file: \\"},
                {"folder", 0, ARG_STRING, &seen.text, "DIR", "do", "a directory"},
                {},
        };
        static const struct arg_program program = {"prog", "a program", verbs, arguments};
        char *copy[16] = {(char *)"prog"};

        for (int i = 0; i < argc; i++)
                copy[i + 1] = (char *)argv[i];
        return args_run(&program, argc + 1, copy);
}

#define RUN(...) run_args((int)ELEMENTSOF(((const char *[]){__VA_ARGS__})), (const char *[]){__VA_ARGS__})

Test(args, options_anywhere)
{
        cr_expect_eq(
                RUN("--text=x", "do", "--number", "12", "a", "-f", "--item=1", "--json=short", "--item", "2"),
                5);
        cr_expect(seen.flag);
        cr_expect_str_eq(seen.text, "x");
        cr_expect_eq(seen.number, 12);
        cr_expect_eq(seen.list.n, 2);
        cr_expect_eq(seen.json, JSON_SHORT);
        cr_expect_eq(seen.operands, 1);
}

Test(args, two_dashes_end_options)
{
        cr_expect_eq(RUN("do", "--", "--flag", "--text"), 5);
        cr_expect_eq(seen.operands, 2);
        cr_expect_not(seen.flag);
}

Test(args, wrong_usage_is_2_and_named)
{
        cr_redirect_stderr();
        cr_expect_eq(RUN("do"), 2, "too few operands");
        cr_expect_eq(RUN("do", "a", "b", "c"), 2, "too many");
        cr_expect_eq(RUN("dont", "a"), 2, "no such verb");
        cr_expect_eq(RUN("do", "a", "--nothing"), 2, "no such option");
        cr_expect_eq(RUN("do", "a", "--flag=1"), 2, "a flag with a value");
        cr_expect_eq(RUN("do", "a", "--text"), 2, "a value is missing");
        cr_expect_eq(RUN("do", "a", "--number=-1"), 2, "not a number");
        cr_expect_eq(RUN("do", "a", "--number=99999999999999999999"), 2, "too large");
        cr_expect_eq(RUN("do", "a", "--json=yes"), 2, "no such mode");
        cr_expect_eq(RUN("do", "a", "--alien=1"), 2, "an option of another verb");
        cr_expect_eq(RUN("--alien=1", "do", "a"), 2, "the same before the verb");
        cr_expect_eq(RUN("do", "a", "-fx"), 2, "a flag's letter with a value");
        cr_expect_eq(RUN("do", "a", "-x"), 2, "no such letter");
        cr_expect_eq(RUN("do", "a", "--=x"), 2, "no name at all");
        cr_expect_eq(RUN("do", "a", "-t"), 2, "a letter whose value is missing");
        cr_expect_eq(RUN("--completion=csh"), 2, "no such shell");
}

Test(args, letters_take_their_value_both_ways)
{
        cr_expect_eq(RUN("do", "a", "-tb"), 5);
        cr_expect_str_eq(seen.text, "b");
        cr_expect_eq(RUN("do", "a", "-t", "--"), 5, "whatever the value looks like");
        cr_expect_str_eq(seen.text, "--");
        cr_expect_eq(RUN("do", "a", "-t=b"), 5);
        cr_expect_str_eq(seen.text, "=b");
}

/* The message for a mistyped name. */
static void expect_suggestion(const char *typed, const char *meant)
{
        _cleanup_free_ char *said = NULL;

        cr_assert_not_null(freopen("said", "w", stderr));
        cr_expect_eq(RUN("do", "a", typed), 2);
        cr_assert_eq(fflush(stderr), 0);
        cr_assert_eq(read_file(AT_FDCWD, "said", 1000, &said, NULL, NULL), 0);
        cr_expect_not_null(strstr(said, meant), "%s: \"%s\" expected, found %s", typed, meant, said);
}

Test(args, the_name_that_was_meant, .init = enter_directory, .fini = leave_directory)
{
        expect_suggestion("--txet=1", "--text meant");
        expect_suggestion("--numbr", "--number meant");
        expect_suggestion("--items", "--item meant");
        expect_suggestion("--qqqqqq", "see --help");
        expect_suggestion("--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                          "see --help");
}

Test(args, help_and_version)
{
        cr_redirect_stdout();
        cr_expect_eq(RUN("--help"), 0);
        cr_expect_eq(RUN("do", "--version"), 0);
        cr_expect_eq(RUN("do", "--help"), 0);
}

static int say(int argc, char **argv)
{
        puts("result");
        return 0;
}

static int deny(int argc, char **argv)
{
        puts("difference");
        return 1;
}

Test(args, a_result_that_nobody_gets_is_a_failure)
{
        static const struct arg_verb verbs[] = {{"", "", 0, 0, "", say}, {}};
        static const struct arg_option none[] = {{}};
        static const struct arg_verb denials[] = {{"", "", 0, 0, "", deny}, {}};
        static const struct arg_program program = {"prog", "a program", verbs, none};
        static const struct arg_program no = {"prog", "a program", denials, none};
        char *argv[] = {(char *)"prog", NULL};

        cr_redirect_stderr();
        cr_assert_not_null(freopen("/dev/full", "w", stdout));
        cr_expect_eq(args_run(&program, 1, argv), 2);
        cr_assert_not_null(freopen("/dev/full", "w", stdout));
        cr_expect_eq(args_run(&no, 1, argv), 2, "\"no\" is no answer without what was asked for");
        cr_assert_not_null(freopen("/dev/null", "w", stdout));
        cr_expect_eq(args_run(&program, 1, argv), 0);
        cr_expect_eq(args_run(&no, 1, argv), 1);
}

/* --- completion --- */

static void write_completion(const char *shell, const char *path)
{
        char option[32];

        (void)snprintf(option, sizeof(option), "--completion=%s", shell);
        cr_assert_not_null(freopen(path, "w", stdout));
        cr_assert_eq(RUN(option), 0);
        cr_assert_eq(fflush(stdout), 0);
}

/* What bash would offer for the words of a line, the last one unfinished, and the compopt calls. */
static void expect_bash(const char *words, const char *offered)
{
        char line[500];
        char *argv[] = {(char *)"bash", (char *)"-c", line, NULL};
        struct process_result result = {};

        (void)snprintf(line, sizeof(line),
                       "set -eu; compopt() { called+=\" $*\"; }; . ./prog.bash; called=; COMP_WORDS=(%s); "
                       "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _prog; echo \"${COMPREPLY[*]}$called\"",
                       words);
        cr_assert_eq(process_run(argv, NULL, &result, NULL), 0);
        result.output[strcspn(result.output, "\n")] = '\0';
        cr_expect_str_eq(result.output, offered, "%s: \"%s\" expected, found \"%s\"", words, offered,
                         result.output);
        free(result.output);
}

Test(args, completion_for_bash, .init = enter_directory, .fini = leave_directory)
{
        write_completion("bash", "prog.bash");
        expect_bash("prog ''", "do other +o default");
        expect_bash("prog d", "do +o default");
        expect_bash("prog --v", "--version");
        expect_bash("prog --c", "--completion= -o nospace");
        expect_bash("prog --completion = z", "zsh");
        expect_bash("prog do --t", "--text= -o nospace");
        expect_bash("prog do --alien", "");
        expect_bash("prog other --n", "--number= -o nospace");
        expect_bash("prog other ''", " +o default");
        expect_bash("prog do a", "");
        expect_bash("prog do --json =", "off short pretty");
        expect_bash("prog do --json = s", "short");
        expect_bash("prog do --json p", "pretty");
        expect_bash("prog do -i ''", "");
        expect_bash("prog do --folder = ''", " +o default -o dirnames");
        expect_bash("prog do --text ''", " +o default");
}

/* What fish would offer for a line that is being written, and its descriptions. */
static void expect_fish(const char *text, const char *offered)
{
        char line[500];
        char *argv[] = {(char *)"fish", (char *)"--no-config", (char *)"-c", line, NULL};
        struct process_result result = {};

        (void)snprintf(line, sizeof(line), "source prog.fish; complete -C '%s' | string join ,", text);
        cr_assert_eq(process_run(argv, NULL, &result, NULL), 0);
        result.output[strcspn(result.output, "\n")] = '\0';
        cr_expect_str_eq(result.output, offered, "%s: \"%s\" expected, found \"%s\"", text, offered,
                         result.output);
        free(result.output);
}

Test(args, completion_for_fish, .init = enter_directory, .fini = leave_directory)
{
        cr_assert_eq(setenv("HOME", ".", 1), 0);
        write_completion("fish", "prog.fish");
        expect_fish("prog ot", "other\tdoesn't");
        expect_fish("prog do --tex", "--text\ta text");
        expect_fish("prog do --inp", "--input\tit's [a] file: \\");
        expect_fish("prog do --json=p", "--json=pretty\ta mode");
        expect_fish("prog do --al", "");
        expect_fish("prog other --nu", "--number\ta number");
        expect_fish("prog --completion=z", "--completion=zsh\tprint a completion script");
}

/* A terminal in which zsh completes each of these lines, and shows what they became. */
static const char zsh_terminal[] =
        "zmodload zsh/zpty; zpty z zsh -f -i; zpty -w z 'PS1=; fpath=($PWD $fpath); autoload -U compinit; "
        "compinit -D -u; show() { print -r -- \"<$BUFFER@\"; BUFFER= }; zle -N show; bindkey \"^X\" show; "
        "bindkey \"^I\" complete-word; print READY%'; zpty -r z out $'*READY%\\r*'; "
        "for l in \"$@\"; do zpty -w -n z \"$l\"$'\\t\\x18'; zpty -r z out '*<*@'; "
        "print -r -- \"${${out##*<}%@*}\"; done; zpty -d z";

Test(args, completion_for_zsh, .init = enter_directory, .fini = leave_directory, .timeout = 60)
{
        char *argv[] = {(char *)"zsh",
                        (char *)"-f",
                        (char *)"-c",
                        (char *)zsh_terminal,
                        (char *)"zsh",
                        (char *)"prog ot",
                        (char *)"prog do --te",
                        (char *)"prog do --json=p",
                        (char *)"prog do --al",
                        (char *)"prog other --nu",
                        (char *)"prog --completion=z",
                        (char *)"prog do -i in",
                        (char *)"prog do --folder=in",
                        NULL};
        struct process_result result = {};

        cr_assert_eq(setenv("HOME", ".", 1) | setenv("TERM", "dumb", 1), 0);
        cr_assert_eq(mkdir("in", 0755), 0);
        write_completion("zsh", "_prog");
        cr_assert_eq(process_run(argv, NULL, &result, NULL), 0);
        cr_expect_str_eq(result.output,
                         "prog other \nprog do --text=\nprog do --json=pretty \nprog do --al\n"
                         "prog other --number=\nprog --completion=zsh \nprog do -i in/\n"
                         "prog do --folder=in/\n",
                         "%s", result.output);
        free(result.output);
}

Test(args, completion_quotes_for_zsh_and_fish, .init = enter_directory, .fini = leave_directory)
{
        _cleanup_free_ char *zsh = NULL, *fish = NULL;

        write_completion("zsh", "_prog");
        write_completion("fish", "prog.fish");
        cr_assert_eq(read_file(AT_FDCWD, "_prog", 10000, &zsh, NULL, NULL), 0);
        cr_assert_eq(read_file(AT_FDCWD, "prog.fish", 10000, &fish, NULL, NULL), 0);
        cr_expect_eq(strncmp(zsh, "#compdef prog\n", 14), 0);
        cr_expect_not_null(
                strstr(zsh, "'(-i --input)'{-i+,--input=}'[it'\\''s \\[a\\] file\\: \\\\]:FILE:_files' "));
        cr_expect_not_null(strstr(zsh, "'--json=[a mode]:off|short|pretty:(off short pretty)' "));
        cr_expect_not_null(strstr(zsh, "'other:doesn'\\''t'\n"));
        cr_expect_not_null(strstr(fish,
                                  "complete -c prog -n '__fish_seen_subcommand_from do' -l input -s i -rF "
                                  "-d 'it\\'s [a] file: \\\\'\n"));
        cr_expect_not_null(strstr(fish, "complete -c prog -l json -xa 'off short pretty' -d 'a mode'\n"));
}
