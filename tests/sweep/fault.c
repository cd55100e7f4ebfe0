/* Loaded before the C library (LD_PRELOAD), it makes the n-th call of one kind fail, or kills the
 * program there. Built and driven by main.rs.
 *
 *   FAULT_KIND    what fails, by the names below
 *   FAULT_AT      n, from 1
 *   FAULT_ERRNO   with which errno; without it the program is killed at that call. A write that is
 *                 killed has written the first half of its bytes.
 *   FAULT_COUNTS  a file to which a program that ends appends a line "kind calls" for each kind
 *
 * Calls on what lies below /sys/devices do not count: a library looks there, in hundreds of calls, for the
 * sizes of the processor's caches, and does without what it cannot read.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN, READ, WRITE, CLOSE, STAT, LIST, CLOSEDIR, SYNC, RENAME, UNLINK, MKDIR, SEEK, TRUNCATE, LOCK, CWD, THREAD, SPAWN, KINDS };
static const char *const NAMES[KINDS] = { "open", "read", "write", "close", "stat", "list", "closedir", "sync", "rename", "unlink", "mkdir", "seek", "truncate", "lock", "cwd", "thread", "spawn" };

static atomic_long calls[KINDS];
static int fault_kind = -1;
static long fault_at;
static int fault_errno;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *kind = getenv("FAULT_KIND"), *at = getenv("FAULT_AT"), *number = getenv("FAULT_ERRNO");
    for (int k = 0; kind && k < KINDS; k++)
        if (!strcmp(kind, NAMES[k])) fault_kind = k;
    fault_at = at ? atol(at) : 0;
    fault_errno = number ? atoi(number) : 0;
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("FAULT_COUNTS");
    if (!path) return;
    int file = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    for (int k = 0; k < KINDS; k++) {
        char line[64];
        int length = snprintf(line, sizeof line, "%s %ld\n", NAMES[k], (long)calls[k]);
        if (REAL(write)(file, line, length) != length) abort();
    }
    REAL(close)(file);
}

/* The descriptors of what does not count. */
static atomic_bool ignored[1024];

/* The standard library asks with no path whether there is statx at all. */
static int is_of_the_processor(const char *path) { return path && !strncmp(path, "/sys/devices/", 13); }
static int is_ignored(int file) { return file >= 0 && file < 1024 && ignored[file]; }
static int opened(int file, const char *path) {
    if (file >= 0 && file < 1024) ignored[file] = is_of_the_processor(path);
    return file;
}

static int is_hit(enum kind kind) {
    return atomic_fetch_add(&calls[kind], 1) + 1 == fault_at && (int)kind == fault_kind;
}

/* Whether the call fails, with errno set; does not return where the program is killed. */
static int fails(enum kind kind) {
    if (!is_hit(kind)) return 0;
    if (!fault_errno) kill(getpid(), SIGKILL);
    errno = fault_errno;
    return 1;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return !is_of_the_processor(path) && fails(OPEN) ? -1 : opened(REAL(open)(path, flags, mode), path);
}
int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return !is_of_the_processor(path) && fails(OPEN) ? -1 : opened(REAL(open64)(path, flags, mode), path);
}
ssize_t read(int file, void *bytes, size_t count) { return !is_ignored(file) && fails(READ) ? -1 : REAL(read)(file, bytes, count); }
ssize_t write(int file, const void *bytes, size_t count) {
    if (is_hit(WRITE)) {
        if (fault_errno) return errno = fault_errno, -1;
        if (REAL(write)(file, bytes, count / 2) >= 0) kill(getpid(), SIGKILL);
        kill(getpid(), SIGKILL);
    }
    return REAL(write)(file, bytes, count);
}
ssize_t writev(int file, const struct iovec *parts, int count) { return fails(WRITE) ? -1 : REAL(writev)(file, parts, count); }
/* A descriptor whose close fails is closed all the same. */
int close(int file) {
    int hit = !is_ignored(file) && fails(CLOSE), number = errno, result = REAL(close)(file);
    return hit ? errno = number, -1 : result;
}
int statx(int at, const char *path, int flags, unsigned mask, struct statx *found) {
    return !is_of_the_processor(path) && !is_ignored(at) && fails(STAT) ? -1 : REAL(statx)(at, path, flags, mask, found);
}
DIR *opendir(const char *path) {
    DIR *directory = !is_of_the_processor(path) && fails(LIST) ? NULL : REAL(opendir)(path);
    if (directory) opened(dirfd(directory), path);
    return directory;
}
struct dirent64 *readdir64(DIR *directory) { return !is_ignored(dirfd(directory)) && fails(LIST) ? NULL : REAL(readdir64)(directory); }
int closedir(DIR *directory) {
    int hit = !is_ignored(dirfd(directory)) && fails(CLOSEDIR), number = errno, result = REAL(closedir)(directory);
    return hit ? errno = number, -1 : result;
}
int fsync(int file) { return fails(SYNC) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return fails(SYNC) ? -1 : REAL(fdatasync)(file); }
int rename(const char *from, const char *to) { return fails(RENAME) ? -1 : REAL(rename)(from, to); }
int unlink(const char *path) { return fails(UNLINK) ? -1 : REAL(unlink)(path); }
int mkdir(const char *path, mode_t mode) { return fails(MKDIR) ? -1 : REAL(mkdir)(path, mode); }
off64_t lseek64(int file, off64_t to, int from) { return fails(SEEK) ? -1 : REAL(lseek64)(file, to, from); }
int ftruncate64(int file, off64_t length) { return fails(TRUNCATE) ? -1 : REAL(ftruncate64)(file, length); }
int flock(int file, int what) { return fails(LOCK) ? -1 : REAL(flock)(file, what); }
char *getcwd(char *bytes, size_t count) { return fails(CWD) ? NULL : REAL(getcwd)(bytes, count); }
int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *given) {
    return fails(THREAD) ? errno : REAL(pthread_create)(thread, how, run, given);
}
int posix_spawnp(pid_t *child, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
                 char *const words[], char *const names[]) {
    return fails(SPAWN) ? errno : REAL(posix_spawnp)(child, file, actions, how, words, names);
}
pid_t fork(void) { return fails(SPAWN) ? -1 : REAL(fork)(); }
