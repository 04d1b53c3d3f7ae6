/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an attacker who is root tries. Each function makes one attempt, leaves nothing behind, and says what
 * became of it; none of them knows whether it should have worked. They do not print and do not read the
 * kernel's log.
 *
 * "Runs" means that code of the file was executed: the helper programs answer with an exit status that
 * nothing else has. The programs live on the test disk or in a test image: helper (static; also what is
 * copied about), stranger (static, not in any signed image), dynamic and preload.so. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/vm/guest/tap.h"

enum {
        HELPER_RAN = 42,  /* helper or dynamic ran */
        PRELOAD_RAN = 43, /* the constructor of preload.so ran */
        STRANGER_RAN = 44 /* stranger ran */
};

struct outcome attempt_worked(void);
struct outcome attempt_refused(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct outcome attempt_void(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* fork() that tells tap.h about the child. */
pid_t attempt_fork(void);

/* Calls f(arg) in a child process, so that a crash or a changed limit stays there. A fatal signal is void. */
struct outcome attempt_in_child(struct outcome (*f)(const void *arg), const void *arg);

/* Starting programs. status: the exit status that proves that the code ran. */
struct outcome try_exec(const char *path, int status);
struct outcome try_exec_argv(const char *const argv[], const char *const envp[], int status);
/* Copies source to directory/NAME, runs the copy, removes it. */
struct outcome try_exec_copy(const char *source, const char *directory, int status);
/* execveat() of a descriptor: of the file itself, or of a memfd filled with its content. */
struct outcome try_exec_fd(const char *path, int status);
struct outcome try_exec_memfd(const char *source, int status);
/* A script in directory whose interpreter is the (allowed) helper: by its own name, or given to the
 * interpreter. */
struct outcome try_exec_script(const char *helper, const char *directory);
struct outcome try_interpret_script(const char *helper, const char *directory);
/* The dynamic linker started by name on a program; library_path may be NULL. */
struct outcome try_ld_so(const char *ld_so, const char *library_path, const char *dynamic);
/* LD_PRELOAD=library on an allowed dynamic program: works if the library's constructor ran. */
struct outcome try_ld_preload(const char *ld_so, const char *library_path, const char *dynamic,
                              const char *library);

/* Executable memory. */
struct outcome try_mmap_exec(const char *path);     /* PROT_READ|PROT_EXEC mapping of a file */
struct outcome try_mprotect_exec(const char *path); /* read-only mapping, then PROT_EXEC */
struct outcome try_anonymous_rwx(void);             /* one anonymous mapping, RWX at once */
struct outcome try_anonymous_rw_then_rx(void);      /* what a JIT does */
struct outcome try_rx_to_rwx(const char *path);     /* private RX mapping, made writable, patched, called */
struct outcome try_private_write_then_rx(const char *path); /* private RW mapping, patched, made RX, called */
struct outcome try_proc_mem_data(void);                     /* /proc/self/mem on writable data */
struct outcome try_proc_mem_text(void);                     /* /proc/self/mem on the text of this program */
struct outcome try_ptrace_poke_text(void);                  /* PTRACE_POKETEXT on a traced child */

/* Kernel code. module: an uncompressed .ko; name: its module name, removed again when it was loaded. */
struct outcome try_finit_module(const char *module, const char *name);
struct outcome try_init_module(const char *module, const char *name);
struct outcome try_kexec_load(void);
struct outcome try_kexec_file_load(const char *kernel);

/* IPE and its neighbours. Paths below /sys/kernel/security, which must be mounted. */
struct outcome try_ipe_load_policy(const char *path,
                                   const char *name); /* new_policy; works if policies/NAME appears */
struct outcome try_ipe_activate(const char *name);
struct outcome try_ipe_delete(const char *name);
struct outcome try_ipe_off(void);                /* enforce=0; put back at once when it worked */
struct outcome try_ipe_leaked_descriptor(void);  /* enforce opened as root, written without CAP_MAC_ADMIN */
struct outcome try_ipe_without_capability(void); /* the same, opened without it: the twin */
struct outcome try_ima_policy(const char *rule);
struct outcome try_selinux_off(void);
struct outcome try_selinux_load_policy(void); /* the policy that is loaded, once more */
struct outcome try_memory_device(void);       /* /dev/mem for writing */
struct outcome try_user_namespace(void);
/* A crashing child makes the kernel start PROGRAM --core as usermode helper, which writes its capability mask
 * to the file `answer`: works if it ran and the mask is not empty. */
struct outcome try_core_pattern(const char *program, const char *answer);

/* Uncovers the initramfs under the root in a mount namespace of its own, writes a copy of source into it and
 * runs it. */
struct outcome try_old_initramfs(const char *source);

/* Labels and what they keep out of reach. Paths must exist. */
struct outcome try_open(const char *path, int flags); /* nothing but open(2): asks for the permission */
struct outcome try_write(const char *path, const char *text);
/* /proc/self/attr/ATTRIBUTE of a child: "current" changes its domain, "exec" and "fscreate" those to come. */
struct outcome try_attribute(const char *attribute, const char *context);
struct outcome try_exec_as(const char *context, const char *program, int status);
struct outcome try_create_as(const char *context, const char *path);    /* of a file that is not there */
struct outcome try_relabel(const char *directory, const char *context); /* a new file in the directory */
struct outcome try_relabel_memfd(const char *context);
struct outcome try_node(const char *path, mode_t type, unsigned major, unsigned minor);
struct outcome try_socket(int family, int type, int protocol);
struct outcome try_bind(uint16_t port); /* TCP */
struct outcome try_listen(void);        /* TCP, any port */
struct outcome try_perf_event(void);
struct outcome try_bpf_map(void);

/* Mounts. source and directories must exist. */
struct outcome try_mount(const char *source, const char *target, const char *type, unsigned long flags,
                         const char *options);
/* A fuseblk mount of the block device `device`, served by us with the content of `content`: then runs it. */
struct outcome try_fuseblk(const char *device, const char *content, const char *mountpoint, int status);
/* An overlay of lower with upper/work below the writable directory `scratch`, mounted on scratch/merged with
 * extra_options (may be NULL), then what `action` says with the file `name` of the lower. */
enum overlay_action {
        OVERLAY_RUN_LOWER,     /* run it */
        OVERLAY_RUN_COPIED_UP, /* change its data's timestamp so that it is copied up, run it */
        OVERLAY_RUN_NEW,       /* copy it to a new name, run that */
        OVERLAY_SETUID,        /* chmod 4755: works if the mode took and the file still runs */
};
struct outcome try_overlay(const char *lower, const char *scratch, const char *extra_options,
                           const char *name, enum overlay_action action);

/* Small tools that the programs share. All return 0 or a negative errno. */
int copy_file(const char *from, const char *to, mode_t mode);
int write_text(const char *path, const char *text); /* one write(2) to an existing file */
