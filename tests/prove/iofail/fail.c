// A disk that fails on request, for one process and its children: loaded with LD_PRELOAD, steered through a shared file.
//
// Counts every call that writes, syncs, grows, creates, renames or removes a file below the folders in IOFAIL_BELOW (separated
// by ':'), and makes those from a given number on fail. Reading never fails. The file that IOFAIL_CONTROL names holds
// `struct control`; the proof reads and writes it while the process runs (see disk.rs, which has the same layout).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE, SYNC, GROW, CREATE, CHANGE, KINDS }; // CHANGE: rename, remove, shrink
enum how { FULL = 1, QUOTA, BROKEN, READ_ONLY, TORN, UNSYNCED };

struct control {
    uint64_t calls;         // so many were made
    uint64_t from;          // the first that fails; 0: none does
    uint64_t how;           // enum how
    uint64_t left;          // so many more fail
    uint64_t failed;        // so many did
    uint64_t of[KINDS];     // calls by kind
};

static struct control *control;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("IOFAIL_CONTROL");
    int fd = path ? (int)openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED)
        control = shared;
}

static int is_below(const char *path) {
    const char *folder = getenv("IOFAIL_BELOW");
    while (folder && *folder) {
        size_t length = strcspn(folder, ":");
        if (strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0'))
            return 1;
        folder += length + (folder[length] == ':');
    }
    return 0;
}

static int is_ours(int fd) {
    char link[64], path[4096];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length <= 0)
        return 0;
    path[length] = '\0';
    return is_below(path);
}

// What this kind of call meets on such a disk; 0: nothing.
static int trouble(enum kind kind, uint64_t how) {
    switch (how) {
    case FULL:
    case TORN:
        return kind == SYNC || kind == CHANGE ? 0 : ENOSPC;
    case QUOTA:
        return kind == SYNC || kind == CHANGE ? 0 : EDQUOT;
    case BROKEN:
        return EIO;
    case READ_ONLY:
        return kind == SYNC ? 0 : EROFS;
    case UNSYNCED:
        return kind == SYNC ? EIO : 0;
    }
    return 0;
}

// Counts a call of ours, and answers the error it meets, or 0.
static int count(enum kind kind) {
    __atomic_add_fetch(&control->of[kind], 1, __ATOMIC_SEQ_CST);
    uint64_t number = __atomic_add_fetch(&control->calls, 1, __ATOMIC_SEQ_CST);
    uint64_t from = __atomic_load_n(&control->from, __ATOMIC_SEQ_CST);
    if (from == 0 || number < from)
        return 0;
    int error = trouble(kind, __atomic_load_n(&control->how, __ATOMIC_SEQ_CST));
    uint64_t left = __atomic_load_n(&control->left, __ATOMIC_SEQ_CST);
    while (error && left > 0)
        if (__atomic_compare_exchange_n(&control->left, &left, left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            __atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
            return error;
        }
    return 0;
}

static int meets(int fd, enum kind kind) {
    int error = control && is_ours(fd) ? count(kind) : 0;
    if (error)
        errno = error;
    return error;
}

// A torn write gets half of what it was given to the disk before there is no more room.
static size_t torn(size_t size) {
    return control->how == TORN ? size / 2 : 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) {
    if (!meets(fd, WRITE))
        return REAL(write)(fd, data, size);
    return torn(size) ? REAL(write)(fd, data, torn(size)) : -1;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    if (!meets(fd, WRITE))
        return REAL(pwrite64)(fd, data, size, at);
    return torn(size) ? REAL(pwrite64)(fd, data, torn(size), at) : -1;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return pwrite64(fd, data, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int number) {
    return meets(fd, WRITE) ? -1 : REAL(writev)(fd, parts, number);
}

ssize_t pwritev(int fd, const struct iovec *parts, int number, off_t at) {
    return meets(fd, WRITE) ? -1 : REAL(pwritev)(fd, parts, number, at);
}

int fsync(int fd) {
    return meets(fd, SYNC) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd) {
    return meets(fd, SYNC) ? -1 : REAL(fdatasync)(fd);
}

// A disk without room can still give some back.
static int grows(int fd, off64_t size) {
    struct stat file;
    return fstat(fd, &file) != 0 || size > file.st_size;
}

int ftruncate64(int fd, off64_t size) {
    enum kind kind = grows(fd, size) ? GROW : CHANGE;
    return meets(fd, kind) ? -1 : REAL(ftruncate64)(fd, size);
}

int ftruncate(int fd, off_t size) {
    return ftruncate64(fd, size);
}

int fallocate64(int fd, int mode, off64_t at, off64_t size) {
    return meets(fd, GROW) ? -1 : REAL(fallocate64)(fd, mode, at, size);
}

int posix_fallocate64(int fd, off64_t at, off64_t size) {
    int error = meets(fd, GROW);
    return error ? error : REAL(posix_fallocate64)(fd, at, size);
}

int rename(const char *from, const char *to) {
    int error = control && is_below(to) ? count(CHANGE) : 0;
    errno = error ? error : errno;
    return error ? -1 : REAL(rename)(from, to);
}

int unlink(const char *path) {
    int error = control && is_below(path) && access(path, F_OK) == 0 ? count(CHANGE) : 0;
    errno = error ? error : errno;
    return error ? -1 : REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    int error = control && is_below(path) && access(path, F_OK) != 0 ? count(CREATE) : 0;
    errno = error ? error : errno;
    return error ? -1 : REAL(mkdir)(path, mode);
}

// A file that is there already needs no room; on a disk that can only be read it can't be opened for writing either.
static int meets_open(const char *path, int flags) {
    if (!control || !is_below(path) || (flags & (O_CREAT | O_ACCMODE)) == 0)
        return 0;
    int before = errno;
    int is_new = access(path, F_OK) != 0;
    errno = before;
    int error = is_new ? (flags & O_CREAT) ? count(CREATE) : 0
                       : control->how == READ_ONLY ? count(CREATE) : 0;
    errno = error ? error : errno;
    return error;
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name)                                                                \
    int name(const char *path, int flags, ...) {                                  \
        va_list rest;                                                             \
        va_start(rest, flags);                                                    \
        mode_t mode = mode_of(flags, rest);                                       \
        va_end(rest);                                                             \
        return meets_open(path, flags) ? -1 : REAL(name)(path, flags, mode);      \
    }
OPEN(open)
OPEN(open64)

// What midwatch starts gets no environment but its own: its supervisors get what steers us, all else gets nothing.
int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                 char *const argv[], char *const given[]) {
    static const char *const OURS[] = {"LD_PRELOAD", "IOFAIL_CONTROL", "IOFAIL_BELOW"};
    char ours[3][4096], *environment[64];
    size_t number = 0;
    int is_supervisor = argv[0] && argv[1] && strcmp(argv[1], "supervise") == 0;
    while (given && given[number] && number < 60) {
        environment[number] = given[number];
        number++;
    }
    for (size_t n = 0; is_supervisor && n < 3; n++)
        if (getenv(OURS[n])) {
            snprintf(ours[n], sizeof ours[n], "%s=%s", OURS[n], getenv(OURS[n]));
            environment[number++] = ours[n];
        }
    environment[number] = NULL;
    return REAL(posix_spawnp)(pid, file, actions, attributes, argv, is_supervisor ? environment : given);
}
