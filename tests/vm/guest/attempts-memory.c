/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Executable memory without a signed file behind it; see attempts.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "tests/vm/guest/attempts.h"

#define PAGE 4096

/* endbr64; mov eax, 42; ret */
static const unsigned char code[] = {0xf3, 0x0f, 0x1e, 0xfa, 0xb8, HELPER_RAN, 0, 0, 0, 0xc3};

/* Its text is what the attempts patch; the volatile pointer keeps the compiler from knowing its value. */
__attribute__((noinline, used, aligned(64))) static int patch_me(void)
{
        static volatile int zero;
        return zero + zero;
}
static int (*volatile patch_me_pointer)(void) = patch_me;

static struct outcome call(int (*f)(void), const char *what)
{
        return f() == HELPER_RAN ? attempt_worked()
                                 : attempt_void(EINVAL, "%s: patched code did not answer", what);
}

static struct outcome map_file(const char *path, int prot, int then)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return attempt_void(errno, "open %s", path);
        void *p = mmap(NULL, PAGE, prot, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
                return attempt_refused(errno, "mmap %s", path);
        struct outcome o = attempt_worked();
        if (then && mprotect(p, PAGE, then) < 0)
                o = attempt_refused(errno, "mprotect %s", path);
        (void)munmap(p, PAGE);
        return o;
}

struct outcome try_mmap_exec(const char *path)
{
        return map_file(path, PROT_READ | PROT_EXEC, 0);
}

struct outcome try_mprotect_exec(const char *path)
{
        return map_file(path, PROT_READ, PROT_READ | PROT_EXEC);
}

static struct outcome anonymous_rwx(const void *arg)
{
        (void)arg;
        void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return attempt_refused(errno, "mmap anonymous RWX");
        memcpy(p, code, sizeof(code));
        return call((int (*)(void))p, "anonymous RWX");
}

struct outcome try_anonymous_rwx(void)
{
        return attempt_in_child(anonymous_rwx, NULL);
}

static struct outcome anonymous_rw_then_rx(const void *arg)
{
        (void)arg;
        void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return attempt_void(errno, "mmap anonymous RW");
        memcpy(p, code, sizeof(code));
        if (mprotect(p, PAGE, PROT_READ | PROT_EXEC) < 0)
                return attempt_refused(errno, "mprotect anonymous RX");
        return call((int (*)(void))p, "anonymous RX");
}

struct outcome try_anonymous_rw_then_rx(void)
{
        return attempt_in_child(anonymous_rw_then_rx, NULL);
}

static struct outcome patch_mapping(const char *path, int first, int second)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return attempt_void(errno, "open %s", path);
        void *p = mmap(NULL, PAGE, first, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
                return attempt_refused(errno, "mmap %s", path);
        if (first & PROT_WRITE)
                memcpy(p, code, sizeof(code));
        if (mprotect(p, PAGE, second) < 0)
                return attempt_refused(errno, "mprotect %s", path);
        if (!(first & PROT_WRITE))
                memcpy(p, code, sizeof(code));
        return call((int (*)(void))p, path);
}

static struct outcome rx_to_rwx(const void *path)
{
        return patch_mapping(path, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC);
}

struct outcome try_rx_to_rwx(const char *path)
{
        return attempt_in_child(rx_to_rwx, path);
}

static struct outcome private_write_then_rx(const void *path)
{
        return patch_mapping(path, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC);
}

struct outcome try_private_write_then_rx(const char *path)
{
        return attempt_in_child(private_write_then_rx, path);
}

static struct outcome write_own_memory(void *where, const void *what, size_t size)
{
        _cleanup_close_ int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return attempt_refused(errno, "open /proc/self/mem");
        if (pwrite(fd, what, size, (off_t)(uintptr_t)where) != (ssize_t)size)
                return attempt_refused(errno, "write /proc/self/mem");
        return attempt_worked();
}

struct outcome try_proc_mem_data(void)
{
        volatile int target = 0;
        int value = HELPER_RAN;

        struct outcome o = write_own_memory((void *)&target, &value, sizeof(value));
        if (o.verdict == ATTEMPT_WORKED && target != HELPER_RAN)
                return attempt_void(EIO, "/proc/self/mem: data unchanged");
        return o;
}

static struct outcome proc_mem_text(const void *arg)
{
        (void)arg;
        struct outcome o = write_own_memory((void *)patch_me_pointer, code, sizeof(code));
        return o.verdict == ATTEMPT_WORKED ? call(patch_me_pointer, "/proc/self/mem") : o;
}

struct outcome try_proc_mem_text(void)
{
        return attempt_in_child(proc_mem_text, NULL);
}

static struct outcome poke_text(pid_t pid)
{
        for (size_t i = 0; i < sizeof(code); i += sizeof(long)) {
                long word = 0;
                size_t n = sizeof(code) - i < sizeof(long) ? sizeof(code) - i : sizeof(long);
                memcpy(&word, code + i, n);
                if (ptrace(PTRACE_POKETEXT, pid, (char *)patch_me_pointer + i, word) < 0)
                        return attempt_refused(errno, "PTRACE_POKETEXT");
        }
        return attempt_worked();
}

struct outcome try_ptrace_poke_text(void)
{
        int status;
        pid_t pid = attempt_fork();

        if (pid < 0)
                return attempt_void(errno, "fork");
        if (pid == 0) {
                if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                        _exit(errno);
                (void)raise(SIGSTOP);
                _exit(patch_me_pointer() == HELPER_RAN ? 200 : 201);
        }
        if (waitpid(pid, &status, 0) < 0)
                return attempt_void(errno, "waitpid");
        if (WIFEXITED(status))
                return attempt_refused(WEXITSTATUS(status), "PTRACE_TRACEME");
        struct outcome o = poke_text(pid);
        if (o.verdict != ATTEMPT_WORKED || ptrace(PTRACE_CONT, pid, NULL, NULL) < 0)
                (void)kill(pid, SIGKILL);
        if (waitpid(pid, &status, 0) < 0)
                return attempt_void(errno, "waitpid");
        if (o.verdict == ATTEMPT_WORKED && !(WIFEXITED(status) && WEXITSTATUS(status) == 200))
                return attempt_void(EINVAL, "ptrace: patched code did not answer");
        return o;
}
