/*
 * The switch between the hosts of a chaos lab: takes each Ethernet frame that a host sends, and delivers,
 * delays, doubles, holds back or drops it as the link from that host to the other is set. Stands in for
 * `tc netem`, which not every kernel has. One thread, one heap of frames that wait for their time.
 *
 * Usage: switch SEED. Lines on stdin say what is so, answers come on stdout; it ends with stdin:
 *   port N NAME                 the interface NAME of this namespace leads to host N; answer: `port N`
 *   link FROM TO CUT DELAY_US JITTER_US LOSS_PPM DUPLICATE_PPM REORDER_PPM KBIT_PER_S
 *                               one link of the next whole state; links that are not named are sound
 *   apply ID                    the lines since the last `apply` are the whole state; answer: `applied ID`
 *
 * A frame belongs to the host whose number is the last byte of its destination address, so nothing is
 * learned and nothing floods: a cut link is a black hole, never an unreachable neighbour.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  HOSTS_MAX = 64,
  /* The kernel hands us up to 64 KiB at once, after a header that says what is left to do to them. */
  OFFLOAD_BYTES = 10,
  FRAME_BYTES_MAX = 70000,
  LINK_QUEUE_BYTES_MAX = 8 << 20,
  FRAMES_MAX = 1 << 16,
  BURST_MAX = 64,
};
/* A slow link's buffer: what would wait longer is dropped, as a router does. */
static const int64_t RATE_QUEUE_NS_MAX = 500 * 1000000LL;
/* So long is a frame held back that others shall overtake. */
static const int64_t HOLD_NS = 10 * 1000000LL;

struct state {
  int is_cut;
  int64_t delay_ns, jitter_ns;
  double loss, duplicate, reorder;
  double kbit;
};
struct link {
  struct state now, next;
  int64_t free_at;  /* when the last byte of what a slow link has taken is out */
  int64_t last_due; /* jitter alone does not change the order */
  size_t queued_bytes;
};
struct frame {
  int64_t due;
  uint64_t number; /* equal times leave in the order in which they came */
  int from, to, length;
  uint8_t *bytes;
};

static struct link links[HOSTS_MAX][HOSTS_MAX];
static int ports[HOSTS_MAX];
static struct frame heap[FRAMES_MAX];
static int waiting;
static uint64_t frames_taken, dice;

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* xorshift64*: 0 <= x < 1 */
static double chance(void) {
  dice ^= dice >> 12;
  dice ^= dice << 25;
  dice ^= dice >> 27;
  return (double)((dice * 2685821657736338717ULL) >> 11) / 9007199254740992.0;
}

static int is_before(const struct frame *a, const struct frame *b) {
  return a->due < b->due || (a->due == b->due && a->number < b->number);
}

static void push(struct frame frame) {
  int at = waiting++;
  for (; at > 0 && is_before(&frame, &heap[(at - 1) / 2]); at = (at - 1) / 2)
    heap[at] = heap[(at - 1) / 2];
  heap[at] = frame;
}

static struct frame pop(void) {
  struct frame first = heap[0], last = heap[--waiting];
  int at = 0;
  for (int child; (child = 2 * at + 1) < waiting; at = child) {
    if (child + 1 < waiting && is_before(&heap[child + 1], &heap[child])) child++;
    if (!is_before(&heap[child], &last)) break;
    heap[at] = heap[child];
  }
  heap[at] = last;
  return first;
}

/* A frame that the interface does not take is lost, as on a wire. */
static void send_frame(int to, const uint8_t *bytes, int length) {
  if (ports[to] >= 0 && write(ports[to], bytes, length) < 0 && errno == EINVAL)
    fprintf(stderr, "a frame of %d bytes for host %d was refused\n", length, to);
}

/* When this copy is due; -1 when the buffer of a slow link has no room for it. */
static int64_t time_of_arrival(struct link *link, int length, int64_t now) {
  const struct state *state = &link->now;
  int64_t due = now;
  if (state->kbit > 0) {
    int64_t start = link->free_at > now ? link->free_at : now;
    if (start - now > RATE_QUEUE_NS_MAX) return -1;
    link->free_at = start + (int64_t)((length - OFFLOAD_BYTES) * 8e6 / state->kbit);
    due = link->free_at;
  }
  due += state->delay_ns + (int64_t)((chance() * 2 - 1) * (double)state->jitter_ns);
  if (due < link->last_due) due = link->last_due;
  if (state->reorder > 0 && chance() < state->reorder) return due + HOLD_NS;
  link->last_due = due;
  return due;
}

static void take_frame(int from, int to, const uint8_t *bytes, int length, int64_t now) {
  struct link *link = &links[from][to];
  const struct state *state = &link->now;
  if (state->is_cut || (state->loss > 0 && chance() < state->loss)) return;
  int copies = state->duplicate > 0 && chance() < state->duplicate ? 2 : 1;
  for (; copies > 0; copies--) {
    int64_t due = time_of_arrival(link, length, now);
    if (due < 0 || waiting == FRAMES_MAX) return;
    if (due <= now && link->queued_bytes == 0) {
      send_frame(to, bytes, length);
      continue;
    }
    if (link->queued_bytes + (size_t)length > LINK_QUEUE_BYTES_MAX) return;
    uint8_t *kept = malloc((size_t)length);
    if (!kept) return;
    memcpy(kept, bytes, (size_t)length);
    link->queued_bytes += (size_t)length;
    push((struct frame){due, frames_taken++, from, to, length, kept});
  }
}

static void deliver_due(void) {
  for (int64_t now = now_ns(); waiting > 0 && heap[0].due <= now;) {
    struct frame frame = pop();
    struct link *link = &links[frame.from][frame.to];
    link->queued_bytes -= (size_t)frame.length;
    /* A cut takes what is on its way, too. */
    if (!link->now.is_cut) send_frame(frame.to, frame.bytes, frame.length);
    free(frame.bytes);
  }
}

static void read_port(int from) {
  static uint8_t frame[FRAME_BYTES_MAX];
  int64_t now = now_ns();
  for (int count = 0; count < BURST_MAX; count++) {
    ssize_t length = read(ports[from], frame, sizeof frame);
    if (length < OFFLOAD_BYTES + ETH_HLEN) return;
    const uint8_t *address = frame + OFFLOAD_BYTES;
    int is_group = address[0] & 1, to = address[ETH_ALEN - 1];
    if (!is_group && to < HOSTS_MAX && to != from) take_frame(from, to, frame, (int)length, now);
  }
}

static int open_port(const char *name) {
  int port = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, bytes = 4 << 20;
  struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                .sll_protocol = htons(ETH_P_ALL),
                                .sll_ifindex = (int)if_nametoindex(name)};
  setsockopt(port, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  if (address.sll_ifindex == 0 ||
      setsockopt(port, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0 ||
      setsockopt(port, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0 ||
      bind(port, (struct sockaddr *)&address, sizeof address) < 0) {
    fprintf(stderr, "the interface %s cannot be opened: %s\n", name, strerror(errno));
    exit(1);
  }
  return port;
}

static void apply(void) {
  for (int from = 0; from < HOSTS_MAX; from++)
    for (int to = 0; to < HOSTS_MAX; to++) {
      struct link *link = &links[from][to];
      /* What waits keeps its time; what comes next follows the new state alone. */
      if (memcmp(&link->now, &link->next, sizeof link->now) != 0) link->free_at = link->last_due = 0;
      link->now = link->next;
      memset(&link->next, 0, sizeof link->next);
    }
}

static void take_line(const char *line) {
  int host = 0, from = 0, to = 0, is_cut = 0;
  long id = 0;
  double delay_us = 0, jitter_us = 0, loss = 0, duplicate = 0, reorder = 0, kbit = 0;
  char name[IF_NAMESIZE];
  if (sscanf(line, "port %d %15s", &host, name) == 2 && host >= 0 && host < HOSTS_MAX) {
    ports[host] = open_port(name);
    printf("port %d\n", host);
  } else if (sscanf(line, "apply %ld", &id) == 1) {
    apply();
    printf("applied %ld\n", id);
  } else if (sscanf(line, "link %d %d %d %lf %lf %lf %lf %lf %lf", &from, &to, &is_cut, &delay_us,
                    &jitter_us, &loss, &duplicate, &reorder, &kbit) == 9 &&
             from >= 0 && from < HOSTS_MAX && to >= 0 && to < HOSTS_MAX) {
    links[from][to].next = (struct state){is_cut,           (int64_t)(delay_us * 1e3),
                                          (int64_t)(jitter_us * 1e3), loss / 1e6,
                                          duplicate / 1e6,  reorder / 1e6,
                                          kbit};
  } else {
    fprintf(stderr, "not understood: %s\n", line);
    exit(2);
  }
}

static void read_lines(void) {
  static char text[1 << 16];
  static size_t length;
  ssize_t count = read(STDIN_FILENO, text + length, sizeof text - 1 - length);
  if (count == 0) exit(0);
  if (count < 0) return;
  length += (size_t)count;
  char *line = text, *end;
  for (; (end = memchr(line, '\n', length - (size_t)(line - text))); line = end + 1) {
    *end = 0;
    take_line(line);
  }
  length -= (size_t)(line - text);
  memmove(text, line, length);
}

int main(int count, char **arguments) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_TIMERSLACK, 1000);
  setvbuf(stdout, NULL, _IOLBF, 0);
  dice = (count > 1 ? strtoull(arguments[1], NULL, 10) : 0) * 2 + 88172645463325253ULL;
  memset(ports, -1, sizeof ports);
  for (;;) {
    struct pollfd polled[HOSTS_MAX + 1] = {{STDIN_FILENO, POLLIN, 0}};
    for (int host = 0; host < HOSTS_MAX; host++) polled[host + 1] = (struct pollfd){ports[host], POLLIN, 0};
    int64_t wait = waiting > 0 ? heap[0].due - now_ns() : 0;
    if (wait < 0) wait = 0;
    struct timespec timeout = {wait / 1000000000, wait % 1000000000};
    ppoll(polled, HOSTS_MAX + 1, waiting > 0 ? &timeout : NULL, NULL);
    deliver_due();
    if (polled[0].revents) read_lines();
    for (int host = 0; host < HOSTS_MAX; host++)
      if (polled[host + 1].revents) read_port(host);
  }
}
