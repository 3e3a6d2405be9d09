/*
 * Disk faults that come and go while a process runs. The file that HAKIRI_DISK_CONTROL names is mapped and
 * read at each call; whoever writes to it decides what happens to files below HAKIRI_DISK_FOLDER:
 *   sync_delay_ms   every sync takes so much longer
 *   sync_errno      every sync fails with it
 *   write_errno     every write fails with it
 * A write with O_DSYNC is a sync too. `hits` counts the calls that met a fault. Loaded with LD_PRELOAD in
 * front of the C library; a program that is linked statically is out of its reach.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
  volatile int64_t sync_delay_ms, sync_errno, write_errno;
  int64_t hits;
};

static struct control sound;
static struct control *control = &sound;
static const char *folder = "/";

__attribute__((constructor)) static void map_control(void) {
  const char *path = getenv("HAKIRI_DISK_CONTROL"), *below = getenv("HAKIRI_DISK_FOLDER");
  if (!path || !below) return;
  folder = below;
  int file = open(path, O_RDWR | O_CLOEXEC);
  void *mapped =
      file < 0 ? MAP_FAILED
               : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) {
    /* Without it the faults of a scenario would silently not happen. */
    fprintf(stderr, "%s cannot be mapped: %s\n", path, strerror(errno));
    _exit(127);
  }
  close(file);
  control = mapped;
}

static int concerns(int file) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  size_t part = strlen(folder);
  return strncmp(path, folder, part) == 0 && (path[part] == '/' || path[part] == 0);
}

static void hit(void) { __sync_add_and_fetch(&control->hits, 1); }

/* -1 with errno when the sync shall fail. */
static int play_sync(int file) {
  if ((control->sync_delay_ms == 0 && control->sync_errno == 0) || !concerns(file)) return 0;
  hit();
  int64_t ms = control->sync_delay_ms;
  struct timespec rest = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&rest, &rest) < 0 && errno == EINTR) continue;
  if (control->sync_errno == 0) return 0;
  errno = (int)control->sync_errno;
  return -1;
}

/* -1 with errno when the write shall fail. */
static int play_write(int file) {
  if (control->write_errno == 0 || !concerns(file)) return 0;
  hit();
  errno = (int)control->write_errno;
  return -1;
}

/* -1 with errno when the write has happened, but its sync shall fail. */
static int play_sync_of_write(int file) {
  if (control->sync_delay_ms == 0 && control->sync_errno == 0) return 0;
  int saved = errno;
  if (fcntl(file, F_GETFL) & O_DSYNC) return play_sync(file);
  errno = saved;
  return 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define SYNC(name)                                                                                 \
  int name(int file) {                                                                             \
    static __typeof__(&name) real;                                                                 \
    if (!real) real = REAL(name);                                                                  \
    return play_sync(file) < 0 ? -1 : real(file);                                                  \
  }

#define WRITE(name, parameters, ...)                                                               \
  ssize_t name parameters {                                                                        \
    static __typeof__(&name) real;                                                                 \
    if (!real) real = REAL(name);                                                                  \
    if (play_write(file) < 0) return -1;                                                           \
    ssize_t written = real(__VA_ARGS__);                                                           \
    return written >= 0 && play_sync_of_write(file) < 0 ? -1 : written;                            \
  }

SYNC(fsync)
SYNC(fdatasync)
WRITE(write, (int file, const void *bytes, size_t length), file, bytes, length)
WRITE(pwrite, (int file, const void *bytes, size_t length, off_t at), file, bytes, length, at)
WRITE(pwrite64, (int file, const void *bytes, size_t length, off64_t at), file, bytes, length, at)
WRITE(writev, (int file, const struct iovec *parts, int count), file, parts, count)
WRITE(pwritev, (int file, const struct iovec *parts, int count, off_t at), file, parts, count, at)
WRITE(pwritev64, (int file, const struct iovec *parts, int count, off64_t at), file, parts, count, at)
