// Preloaded into a program, makes one of its calls that change the file system go wrong, as a full
// disk or a killed process would: AWQ_FAULT=KIND:N, KIND
//   count   nothing; the number of calls goes to the file AWQ_FAULT_COUNT at exit
//   kill    SIGKILL before the N-th call
//   torn    the N-th call, if it writes, writes half of its bytes; then SIGKILL
//   full    from the N-th call on, whatever needs room fails with ENOSPC
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long calls;

static int is_kind(const char* kind) {
  const char* fault = getenv("AWQ_FAULT");
  return fault != NULL && strncmp(fault, kind, strlen(kind)) == 0;
}

static long when(void) {
  const char* fault = getenv("AWQ_FAULT");
  const char* colon = fault != NULL ? strchr(fault, ':') : NULL;
  return colon != NULL ? atol(colon + 1) : 0;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

// Counts a call. 1: it is to fail for want of room; 2: it is to be cut in half.
static int strike(int needs_room) {
  const long n = atomic_fetch_add(&calls, 1) + 1;
  if (is_kind("kill") && n == when()) die();
  if (is_kind("torn") && n == when()) return 2;
  if (is_kind("full") && n >= when() && needs_room) return 1;
  return 0;
}

static __attribute__((destructor)) void report(void) {
  const char* path = getenv("AWQ_FAULT_COUNT");
  if (path == NULL || !is_kind("count")) return;
  FILE* out = fopen(path, "w");
  if (out == NULL) return;
  fprintf(out, "%ld\n", atomic_load(&calls));
  fclose(out);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void* data, size_t bytes) {
  const int fault = fd > 2 ? strike(1) : 0;
  if (fault == 1) return errno = ENOSPC, -1;
  if (fault == 2) {
    REAL(write)(fd, data, bytes / 2);
    die();
  }
  return REAL(write)(fd, data, bytes);
}

static ssize_t pwrite_with(__typeof__(&pwrite) real, int fd, const void* data, size_t bytes,
                           off_t at) {
  const int fault = strike(1);
  if (fault == 1) return errno = ENOSPC, -1;
  if (fault == 2) {
    real(fd, data, bytes / 2, at);
    die();
  }
  return real(fd, data, bytes, at);
}
ssize_t pwrite(int fd, const void* data, size_t bytes, off_t at) {
  return pwrite_with(REAL(pwrite), fd, data, bytes, at);
}
ssize_t pwrite64(int fd, const void* data, size_t bytes, off64_t at) {
  return pwrite_with((__typeof__(&pwrite))REAL(pwrite64), fd, data, bytes, at);
}

// Calls that are done whole or not at all: `torn` kills behind them.
#define WHOLE(type, name, needs_room, parameters, arguments) \
  type name parameters {                                     \
    const int fault = strike(needs_room);                    \
    if (fault == 1) return errno = ENOSPC, -1;               \
    const type result = REAL(name) arguments;                \
    if (fault == 2) die();                                   \
    return result;                                           \
  }
WHOLE(int, fsync, 1, (int fd), (fd))
WHOLE(int, mkdir, 1, (const char* path, mode_t mode), (path, mode))
WHOLE(int, ftruncate, 0, (int fd, off_t size), (fd, size))
WHOLE(int, rename, 0, (const char* from, const char* to), (from, to))
WHOLE(int, unlink, 0, (const char* path), (path))
WHOLE(int, unlinkat, 0, (int folder, const char* path, int flags), (folder, path, flags))
WHOLE(int, remove, 0, (const char* path), (path))
WHOLE(int, rmdir, 0, (const char* path), (path))
