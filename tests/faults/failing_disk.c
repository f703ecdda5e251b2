/* A disk that fails when told to, and remembers the order of what it was told.
 *
 * Preloaded into a process, it stands between it and the kernel for files whose path contains $FAILING_DISK_MATCH.
 * `failing_disk_arm(n, error)` makes the n-th write or sync from then on fail with `error`, once; `failing_disk_disarm`
 * ends that and returns how many there were. Where $FAILING_DISK_LOG is set, each one that succeeds is appended there:
 *
 *     op (1 byte: W write, T truncate, S sync, U unlink), path length, offset, data length (int64 each), path, data
 *
 * A truncate has its size as offset. Files whose path contains "-shm" can fail, but are not logged: they are memory.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int armed, fail_with, log_fd = -2;
static int64_t fail_at, count;

void failing_disk_arm(int64_t n, int error) {
    pthread_mutex_lock(&turn);
    armed = 1, fail_at = n, fail_with = error, count = 0;
    pthread_mutex_unlock(&turn);
}

int64_t failing_disk_disarm(void) {
    pthread_mutex_lock(&turn);
    armed = 0;
    int64_t calls = count;
    pthread_mutex_unlock(&turn);
    return calls;
}

static int is_ours(const char *path) {
    const char *match = getenv("FAILING_DISK_MATCH");
    return match && strstr(path, match);
}

/* Whether the file is one of ours; its path goes to `path`. */
static int ours(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_ours(path);
}

/* Counts a call; whether it is the one that must fail. Holds `turn`. */
static int fails(void) {
    if (!armed || ++count != fail_at) return 0;
    errno = fail_with;
    return 1;
}

static void put(const void *bytes, size_t length) {
    if (syscall(SYS_write, log_fd, bytes, length) != (long)length) abort();
}

static void note(char op, const char *path, int64_t offset, const void *data, int64_t length) {
    if (log_fd == -2) {
        const char *name = getenv("FAILING_DISK_LOG");
        log_fd = name ? open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    }
    if (log_fd < 0 || strstr(path, "-shm")) return;
    int64_t lengths[] = {(int64_t)strlen(path), offset, length};
    put(&op, 1);
    put(lengths, sizeof lengths);
    put(path, strlen(path));
    if (length) put(data, length);
}

/* Defines a function that stands before the C library's: `record` is what it logs. */
#define STAND_BEFORE(result, name, parameters, arguments, record)                   \
    result name parameters {                                                        \
        static result(*real) parameters;                                            \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);                       \
        char path[PATH_MAX];                                                        \
        if (!ours(fd, path)) return real arguments;                                 \
        pthread_mutex_lock(&turn);                                                  \
        result done = fails() ? -1 : real arguments;                                \
        int error = errno;                                                          \
        if (done >= 0) record;                                                      \
        pthread_mutex_unlock(&turn);                                                \
        errno = error;                                                              \
        return done;                                                                \
    }

STAND_BEFORE(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size),
             note('W', path, lseek(fd, 0, SEEK_CUR) - done, data, done))
STAND_BEFORE(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at),
             note('W', path, at, data, done))
STAND_BEFORE(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at),
             note('W', path, at, data, done))
STAND_BEFORE(int, ftruncate, (int fd, off_t size), (fd, size), note('T', path, size, NULL, 0))
STAND_BEFORE(int, ftruncate64, (int fd, off64_t size), (fd, size), note('T', path, size, NULL, 0))
STAND_BEFORE(int, fsync, (int fd), (fd), note('S', path, 0, NULL, 0))
STAND_BEFORE(int, fdatasync, (int fd), (fd), note('S', path, 0, NULL, 0))

int unlink(const char *path) {
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&turn);
    if (done == 0 && is_ours(path)) note('U', path, 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    return done;
}
