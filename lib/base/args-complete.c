/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --completion: scripts for shells, made from the table. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/args-internal.h"

enum value_kind { VALUE_NONE, VALUE_WORDS, VALUE_FILE, VALUE_DIRECTORY, VALUE_FREE };

/* What a metavar says of its values: "a|b" in lower case are the only ones. */
static enum value_kind value_of(const struct arg_option *o)
{
        if (o->type == ARG_FLAG)
                return VALUE_NONE;
        if (strstr(o->metavar, "FILE"))
                return VALUE_FILE;
        if (strstr(o->metavar, "DIR"))
                return VALUE_DIRECTORY;
        for (const char *c = o->metavar; *c; c++)
                if (isupper((unsigned char)*c))
                        return VALUE_FREE;
        return strchr(o->metavar, '|') ? VALUE_WORDS : VALUE_FREE;
}

static void print_words(const char *metavar)
{
        for (const char *c = metavar; *c; c++)
                putchar(*c == '|' ? ' ' : *c);
}

/* Text inside single quotes. A quote becomes `apostrophe`; a backslash stands before the `special` ones. */
static void print_quoted(const char *text, const char *apostrophe, const char *special)
{
        for (const char *c = text; *c; c++) {
                if (*c == '\'') {
                        (void)fputs(apostrophe, stdout);
                        continue;
                }
                if (strchr(special, *c))
                        putchar('\\');
                putchar(*c);
        }
}

/* The name of a shell function for this program. */
static void print_function(const struct arg_program *p)
{
        putchar('_');
        for (const char *c = p->name; *c; c++)
                putchar(isalnum((unsigned char)*c) ? *c : '_');
}

/* --- bash --- */

static void bash_option_words(const struct arg_program *p, const struct arg_verb *v)
{
        for (const struct arg_option *o = p->options; o->name; o++)
                if (args_takes(v, o))
                        printf("--%s%s ", o->name, o->type == ARG_FLAG ? "" : "=");
        printf("--help --version");
}

static void bash_values(const struct arg_program *p)
{
        for (const struct arg_option *o = p->options; o->name; o++) {
                enum value_kind kind = value_of(o);

                if (kind == VALUE_NONE)
                        continue;
                printf("    --%s", o->name);
                if (o->letter)
                        printf(" | -%c", o->letter);
                printf(") ");
                if (kind == VALUE_WORDS) {
                        printf("mapfile -t COMPREPLY < <(compgen -W '");
                        print_words(o->metavar);
                        printf("' -- \"$word\"); ");
                } else if (kind == VALUE_DIRECTORY) {
                        printf("compopt +o default -o dirnames; ");
                } else if (kind == VALUE_FREE) {
                        printf("compopt +o default; ");
                }
                printf("return ;;\n");
        }
}

static void bash_verbs(const struct arg_program *p)
{
        printf("  local verbs='");
        for (const struct arg_verb *v = p->verbs; v->name; v++)
                printf("%s%s", v == p->verbs ? "" : " ", v->name);
        printf("'\n"
               "  for ((i = 1; i < COMP_CWORD && ${#verb} == 0; i++)); do\n"
               "    [[ \" $verbs \" != *\" ${COMP_WORDS[i]} \"* ]] || verb=${COMP_WORDS[i]}\n"
               "  done\n"
               "  case $verb in\n");
        for (const struct arg_verb *v = p->verbs; v->name; v++) {
                printf("    %s) options='", v->name);
                bash_option_words(p, v);
                printf("'%s ;;\n", v->max == 0 ? " operands=none" : "");
        }
        printf("    *) options='--help --version --completion=' operands=$verbs ;;\n"
               "  esac\n");
}

/* bash takes "=" for a word of its own: what stands before it is the option. */
static const char bash_words[] =
        "()\n{\n"
        "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
        "  local verb='' options='' operands='' i\n"
        "  if [[ $word == = ]]; then\n"
        "    word=\n"
        "  elif [[ $before == = ]]; then\n"
        "    before=${COMP_WORDS[COMP_CWORD - 2]}\n"
        "  fi\n"
        "  COMPREPLY=()\n"
        "  case $before in\n"
        "    --completion) mapfile -t COMPREPLY < <(compgen -W 'bash zsh fish' -- \"$word\"); return ;;\n";

static const char bash_offer[] = "  if [[ $word == -* ]]; then\n"
                                 "    mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
                                 "    [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace\n"
                                 "  elif [[ $operands == none ]]; then\n"
                                 "    compopt +o default\n"
                                 "  elif [[ $operands ]]; then\n"
                                 "    mapfile -t COMPREPLY < <(compgen -W \"$operands\" -- \"$word\")\n"
                                 "    compopt +o default\n"
                                 "  fi\n"
                                 "}\n"
                                 "complete -o default -F ";

static void print_bash(const struct arg_program *p)
{
        printf("# Completion of %s for bash, made by \"%s --completion=bash\".\n", p->name, p->name);
        print_function(p);
        (void)fputs(bash_words, stdout);
        bash_values(p);
        printf("  esac\n");
        if (args_has_verbs(p)) {
                bash_verbs(p);
        } else {
                printf("  options='");
                bash_option_words(p, p->verbs);
                printf("'\n");
        }
        (void)fputs(bash_offer, stdout);
        print_function(p);
        printf(" %s\n", p->name);
}

/* --- zsh --- */

#define ZSH_APOSTROPHE "'\\''"
#define ZSH_SPECIAL "\\[]:"

static void zsh_option(const struct arg_option *o)
{
        enum value_kind kind = value_of(o);
        const char *plus = kind == VALUE_NONE ? "" : "+", *equals = kind == VALUE_NONE ? "" : "=";

        if (o->type == ARG_LIST)
                printf("'*'");
        else if (o->letter)
                printf("'(-%c --%s)'", o->letter, o->name);
        if (o->letter)
                printf("{-%c%s,--%s%s}'[", o->letter, plus, o->name, equals);
        else
                printf("'--%s%s[", o->name, equals);
        print_quoted(o->help, ZSH_APOSTROPHE, ZSH_SPECIAL);
        printf("]");
        if (kind != VALUE_NONE) {
                printf(":");
                print_quoted(o->metavar, ZSH_APOSTROPHE, ZSH_SPECIAL);
                printf(":");
        }
        if (kind == VALUE_WORDS) {
                printf("(");
                print_words(o->metavar);
                printf(")");
        } else if (kind == VALUE_FILE) {
                printf("_files");
        } else if (kind == VALUE_DIRECTORY) {
                printf("_directories");
        }
        printf("' ");
}

static void zsh_arguments(const struct arg_program *p, const struct arg_verb *v)
{
        printf("_arguments ");
        for (const struct arg_option *o = p->options; o->name; o++)
                if (args_takes(v, o))
                        zsh_option(o);
        printf("'(- *)'{-h,--help}'[show this help]'");
        if (v->max != 0) {
                printf(" '*:");
                print_quoted(v->operands, ZSH_APOSTROPHE, ZSH_SPECIAL);
                printf(":_files'");
        }
        printf("\n");
}

static void print_zsh(const struct arg_program *p)
{
        printf("#compdef %s\n# Made by \"%s --completion=zsh\".\n", p->name, p->name);
        if (!args_has_verbs(p)) {
                zsh_arguments(p, p->verbs);
                return;
        }
        printf("local curcontext=$curcontext state line\n"
               "typeset -A opt_args\n"
               "_arguments -C '(- *)'{-h,--help}'[show this help]' '(- *)--version[show the version]' \\\n"
               "  '(- *)--completion=[print a completion script]:shell:(");
        print_words(ARGS_SHELLS);
        printf(")' '1:verb:->verb' '*::operand:->operand' && return\n"
               "if [[ $state == verb ]]; then\n"
               "  local -a verbs=(\n");
        for (const struct arg_verb *v = p->verbs; v->name; v++) {
                printf("    '%s:", v->name);
                print_quoted(v->help, ZSH_APOSTROPHE, "\\:");
                printf("'\n");
        }
        printf("  )\n"
               "  _describe verb verbs\n"
               "  return\n"
               "fi\n"
               "case $words[1] in\n");
        for (const struct arg_verb *v = p->verbs; v->name; v++) {
                printf("  %s) ", v->name);
                zsh_arguments(p, v);
                printf("  ;;\n");
        }
        printf("esac\n");
}

/* --- fish --- */

#define FISH_APOSTROPHE "\\'"

static void fish_condition(const struct arg_program *p, const char *verbs)
{
        printf("complete -c %s", p->name);
        if (args_has_verbs(p) && verbs)
                printf(" -n '__fish_seen_subcommand_from %s'", verbs);
}

static void fish_option(const struct arg_program *p, const struct arg_option *o)
{
        enum value_kind kind = value_of(o);

        fish_condition(p, o->verbs);
        printf(" -l %s", o->name);
        if (o->letter)
                printf(" -s %c", o->letter);
        if (kind == VALUE_FILE) {
                printf(" -rF");
        } else if (kind == VALUE_DIRECTORY) {
                printf(" -xa '(__fish_complete_directories)'");
        } else if (kind == VALUE_WORDS) {
                printf(" -xa '");
                print_words(o->metavar);
                printf("'");
        } else if (kind == VALUE_FREE) {
                printf(" -x");
        }
        printf(" -d '");
        print_quoted(o->help, FISH_APOSTROPHE, "\\");
        printf("'\n");
}

static void print_fish(const struct arg_program *p)
{
        printf("# Completion of %s for fish, made by \"%s --completion=fish\".\n", p->name, p->name);
        if (args_has_verbs(p))
                printf("complete -c %s -f\n", p->name);
        for (const struct arg_verb *v = p->verbs; args_has_verbs(p) && v->name; v++) {
                printf("complete -c %s -n __fish_use_subcommand -a %s -d '", p->name, v->name);
                print_quoted(v->help, FISH_APOSTROPHE, "\\");
                printf("'\n");
                if (v->max != 0) {
                        fish_condition(p, v->name);
                        printf(" -F\n");
                }
        }
        for (const struct arg_option *o = p->options; o->name; o++)
                fish_option(p, o);
        printf("complete -c %s -s h -l help -d 'show this help'\n"
               "complete -c %s -l version -d 'show the version'\n"
               "complete -c %s -l completion -xa 'bash zsh fish' -d 'print a completion script'\n",
               p->name, p->name, p->name);
}

int args_print_completion(const struct arg_program *p, const char *shell)
{
        if (strcmp(shell, "bash") == 0)
                print_bash(p);
        else if (strcmp(shell, "zsh") == 0)
                print_zsh(p);
        else if (strcmp(shell, "fish") == 0)
                print_fish(p);
        else
                return -EINVAL;
        return 0;
}
