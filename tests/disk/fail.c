/* Preloaded into newswatch by tests/disk.rs: makes the Nth write-like call on the files of one folder fail.
 *
 * FAIL_FOLDER  files below it count
 * FAIL_AT      which call fails, from 1; 0 for none
 * FAIL_ERRNO   the error it gives
 * FAIL_ON      set: every later call fails too
 * FAIL_REPORT  a file elsewhere that is told at the end how many calls there were and how many failed
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *folder, *report;
static long fail_at;
static int fail_errno, fail_on;
static atomic_long calls, failed;

__attribute__((constructor)) static void begin(void) {
    folder = getenv("FAIL_FOLDER");
    report = getenv("FAIL_REPORT");
    fail_at = getenv("FAIL_AT") ? atol(getenv("FAIL_AT")) : 0;
    fail_errno = getenv("FAIL_ERRNO") ? atoi(getenv("FAIL_ERRNO")) : EIO;
    fail_on = getenv("FAIL_ON") != NULL;
}

__attribute__((destructor)) static void end(void) {
    if (!report) return;
    FILE *file = fopen(report, "w");
    if (!file) return;
    fprintf(file, "%ld %ld\n", atomic_load(&calls), atomic_load(&failed));
    fclose(file);
}

static int fails_path(const char *path) {
    if (!folder || strncmp(path, folder, strlen(folder)) != 0) return 0;
    long call = atomic_fetch_add(&calls, 1) + 1;
    if (fail_at == 0 || call < fail_at || (call > fail_at && !fail_on)) return 0;
    atomic_fetch_add(&failed, 1);
    errno = fail_errno;
    return 1;
}

static int fails(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails_path(path);
}

#define REAL(name, ...) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)

ssize_t write(int fd, const void *bytes, size_t count) { return fails(fd) ? -1 : REAL(write, fd, bytes, count); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return fails(fd) ? -1 : REAL(writev, fd, parts, count); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return fails(fd) ? -1 : REAL(pwrite, fd, bytes, count, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) { return fails(fd) ? -1 : REAL(pwrite64, fd, bytes, count, at); }
int fsync(int fd) { return fails(fd) ? -1 : REAL(fsync, fd); }
int fdatasync(int fd) { return fails(fd) ? -1 : REAL(fdatasync, fd); }
int ftruncate(int fd, off_t length) { return fails(fd) ? -1 : REAL(ftruncate, fd, length); }
int ftruncate64(int fd, off64_t length) { return fails(fd) ? -1 : REAL(ftruncate64, fd, length); }

#define OPENS(name, ...)                                                                                                     \
    {                                                                                                                        \
        va_list rest;                                                                                                        \
        va_start(rest, flags);                                                                                               \
        mode_t mode = va_arg(rest, mode_t);                                                                                  \
        va_end(rest);                                                                                                        \
        return (flags & O_CREAT) && fails_path(path) ? -1 : REAL(name, __VA_ARGS__, mode);                                   \
    }
int open(const char *path, int flags, ...) OPENS(open, path, flags)
int open64(const char *path, int flags, ...) OPENS(open64, path, flags)
int openat(int at, const char *path, int flags, ...) OPENS(openat, at, path, flags)
int openat64(int at, const char *path, int flags, ...) OPENS(openat64, at, path, flags)
