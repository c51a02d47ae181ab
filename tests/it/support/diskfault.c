/* A disk that fails when data is to be made safe: preloaded into the program, fsync and fdatasync answer EIO for as long
 * as the file named by DISKFAULT exists. What the kernel says of a real bad sector comes out of the same two calls. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int fails(void) {
    const char *file = getenv("DISKFAULT");
    return file != NULL && access(file, F_OK) == 0;
}

static int sync_by(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (fails()) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int fsync(int fd) { return sync_by("fsync", fd); }

int fdatasync(int fd) { return sync_by("fdatasync", fd); }
