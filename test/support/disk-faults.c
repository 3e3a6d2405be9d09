/*
 * Plays one disk fault on the files whose path has HAKIRI_FAULT_PATH in it. HAKIRI_FAULT says which,
 * HAKIRI_FAULT_AT when, counting from 1 (writes or syncs of such files, or bytes written to them):
 *   sync-error   that sync, and no other, fails with EIO; a write with O_DSYNC is a sync too
 *   write-error  that write fails with EIO
 *   full         no byte beyond so many is written: ENOSPC
 *   torn         of that write only HAKIRI_FAULT_BYTES bytes are written, then the process ends
 *   slow         every sync from that one on takes HAKIRI_FAULT_BYTES milliseconds longer
 * Loaded with LD_PRELOAD in front of the C library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

typedef int (*sync_function)(int);
typedef ssize_t (*pwrite_function)(int, const void *, size_t, off64_t);

static long counter;

static int is_fault(const char *name) {
  const char *fault = getenv("HAKIRI_FAULT");
  return fault && strcmp(fault, name) == 0;
}

static long number(const char *name) {
  const char *text = getenv(name);
  return text ? atol(text) : 0;
}

static int concerns(int file) {
  const char *part = getenv("HAKIRI_FAULT_PATH");
  char link[64], path[4096];
  if (!part) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strstr(path, part) != NULL;
}

static int play_fault_of_sync(void) {
  long nth = __sync_add_and_fetch(&counter, 1);
  if (is_fault("sync-error") && nth == number("HAKIRI_FAULT_AT")) {
    errno = EIO;
    return -1;
  }
  if (is_fault("slow") && nth >= number("HAKIRI_FAULT_AT")) {
    long ms = number("HAKIRI_FAULT_BYTES");
    struct timespec wait = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&wait, NULL);
  }
  return 0;
}

static int play_sync(int file, const char *name) {
  if ((is_fault("sync-error") || is_fault("slow")) && concerns(file) && play_fault_of_sync() < 0)
    return -1;
  return ((sync_function)dlsym(RTLD_NEXT, name))(file);
}

int fsync(int file) { return play_sync(file, "fsync"); }
int fdatasync(int file) { return play_sync(file, "fdatasync"); }

static ssize_t play_write(int file, const void *bytes, size_t length, off64_t offset) {
  pwrite_function real = (pwrite_function)dlsym(RTLD_NEXT, "pwrite64");
  if (!concerns(file)) return real(file, bytes, length, offset);
  if ((is_fault("sync-error") || is_fault("slow")) && (fcntl(file, F_GETFL) & O_DSYNC)) {
    ssize_t written = real(file, bytes, length, offset);
    return play_fault_of_sync() < 0 ? -1 : written;
  }
  if (is_fault("full")) {
    long before = __sync_fetch_and_add(&counter, (long)length);
    long room = number("HAKIRI_FAULT_AT") - before;
    if (room <= 0) {
      errno = ENOSPC;
      return -1;
    }
    return real(file, bytes, (long)length < room ? length : (size_t)room, offset);
  }
  if (is_fault("write-error") || is_fault("torn")) {
    long nth = __sync_add_and_fetch(&counter, 1);
    if (nth == number("HAKIRI_FAULT_AT")) {
      if (is_fault("torn")) {
        size_t kept = (size_t)number("HAKIRI_FAULT_BYTES");
        real(file, bytes, kept < length ? kept : length, offset);
        _exit(137);
      }
      errno = EIO;
      return -1;
    }
  }
  return real(file, bytes, length, offset);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
  return play_write(file, bytes, length, offset);
}
ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
  return play_write(file, bytes, length, offset);
}
