/* A disk that keeps only what was fsynced, and fails when it is told to: LD_PRELOAD of a server, for power cuts.
 *
 * BADDISK_FILE    the database; it and its `-wal` are on the bad disk, nothing else is
 * BADDISK_KEPT    a folder: at each successful fsync the file is copied to it, so it has what a power cut would leave
 * BADDISK_ORDERS  a file with an order, read at every call and empty as long as the disk is well:
 *                 "fsync N"  fsync fails with errno N        "write N"  a write fails with errno N
 *                 "hang"     fsync waits until the order is gone
 *                 "lie"      fsync of the log says that all is well, and keeps nothing
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MAX_BYTES 4096
#define HANG_STEP_US 2000

/* The name of a file on the bad disk, or NULL for a descriptor of anything else. */
static const char *ours(int fd, char path[PATH_MAX_BYTES])
{
    const char *database = getenv("BADDISK_FILE");
    char link[64];
    struct stat about;
    if (database == NULL || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_nlink == 0)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX_BYTES - 1);
    if (size < 0)
        return NULL;
    path[size] = 0;
    size_t length = strlen(database);
    if (strncmp(path, database, length) != 0 || (path[length] != 0 && strcmp(path + length, "-wal") != 0))
        return NULL;
    return strrchr(path, '/') + 1;
}

/* Whether the order is this one; `failure` gets the errno that it names. */
static int is_ordered(const char *word, int *failure)
{
    char text[64] = "";
    const char *orders = getenv("BADDISK_ORDERS");
    int file = orders == NULL ? -1 : open(orders, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    if (size <= 0 || strncmp(text, word, strlen(word)) != 0)
        return 0;
    *failure = atoi(text + strlen(word));
    return 1;
}

/* Copy the file beside the earlier copy, then rename: a kill in between leaves the earlier one whole. */
static void keep(int fd, const char *name)
{
    static ssize_t (*real_write)(int, const void *, size_t);
    char target[PATH_MAX_BYTES], unfinished[PATH_MAX_BYTES + 8];
    char buffer[1 << 16];
    off_t offset = 0;
    ssize_t size;
    if (real_write == NULL)
        real_write = dlsym(RTLD_NEXT, "write");
    snprintf(target, sizeof target, "%s/%s", getenv("BADDISK_KEPT"), name);
    snprintf(unfinished, sizeof unfinished, "%s.new", target);
    int copy = open(unfinished, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (copy < 0)
        abort();
    while ((size = pread(fd, buffer, sizeof buffer, offset)) > 0) {
        if (real_write(copy, buffer, size) != size)
            abort();
        offset += size;
    }
    close(copy);
    if (rename(unfinished, target) != 0)
        abort();
}

static int synced(int fd, int (*real)(int))
{
    char path[PATH_MAX_BYTES];
    const char *name = ours(fd, path);
    int failure = 0;
    if (name == NULL)
        return real(fd);
    if (is_ordered("fsync ", &failure)) {
        errno = failure;
        return -1;
    }
    while (is_ordered("hang", &failure))
        usleep(HANG_STEP_US);
    int result = real(fd);
    if (result == 0 && !(is_ordered("lie", &failure) && strstr(name, "-wal")))
        keep(fd, name);
    return result;
}

int fsync(int fd)
{
    static int (*real)(int);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "fsync");
    return synced(fd, real);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "fdatasync");
    return synced(fd, real);
}

static int fails(int fd)
{
    char path[PATH_MAX_BYTES];
    int failure = 0;
    if (ours(fd, path) == NULL || !is_ordered("write ", &failure))
        return 0;
    errno = failure;
    return 1;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "write");
    return fails(fd) ? -1 : real(fd, bytes, size);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "pwrite");
    return fails(fd) ? -1 : real(fd, bytes, size, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "pwrite64");
    return fails(fd) ? -1 : real(fd, bytes, size, offset);
}
