/* A Raspberry Pi's contacts for a machine that has none.
 *
 * Loaded with LD_PRELOAD into a program that uses GPIO, this library stands between the program and the kernel: it
 * redirects the few files that tell a Raspberry Pi from another board, and answers the ioctls of the GPIO character
 * device (linux/gpio.h, uAPI v2) like gpiolib does. The program, rppal and gpiocdev run unmodified; waiting, read, mmap
 * and close are the kernel's own, because a line handle is one end of a socket pair and the registers are a file.
 *
 *   cc -O2 -shared -fPIC -o libpishim.so pishim.c -lpthread -ldl
 *   PISHIM_DIR=/tmp/rig LD_PRELOAD=./libpishim.so program
 *
 * PISHIM_DIR is made by the harness and holds
 *   compatible   answers /sys/firmware/devicetree/base/compatible
 *   cpuinfo      answers /proc/cpuinfo
 *   gpiomem      answers /dev/gpiomem: 4 KiB, the levels at 0x34 and 0x38, the resistors from 0xe4 (BCM2711)
 *   gpiochip0    any file; answers /dev/gpiochip0
 *   ctl          made here: a datagram socket that takes commands
 *   log          written here: a line for each request of lines
 *
 * Environment: PISHIM_BUSY=19:w1,20:spi for lines that belong to somebody else; PISHIM_LABEL for the chip's label,
 * pinctrl-bcm2711 if unset.
 *
 * A datagram holds commands "LINE LEVEL [AGE]" divided by semicolons, such as "18 0 20000;18 1": line 18 went low
 * 20 ms ago and high just now. AGE is in microseconds before the datagram's arrival and makes the kernel's time
 * stamp; so a test plays minutes of bouncing in no time, and to the microsecond. A datagram is atomic: whoever waits
 * for edges sees either none of its edges or, from the second wait on, all of them.
 *
 * Limits: dynamically linked programs with glibc or musl; one process owns the chip; no debounce by the kernel (a
 * request for it is refused); the model of registers ends with the Raspberry Pi 4.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINES 58
#define LEVELS (0x34 / 4)
#define CHIP "/dev/gpiochip0"

struct request {
	int ours, theirs; /* the ends of the socket pair; theirs is closed by the program */
	uint64_t flags;
	uint32_t seqno;
	uint32_t count, offsets[GPIO_V2_LINES_MAX];
	char consumer[GPIO_MAX_NAME_SIZE];
};

static struct {
	struct request *request; /* who of this program holds it */
	char holder[GPIO_MAX_NAME_SIZE]; /* or who else does */
	uint32_t seqno;
} lines[LINES];

static const char *dir;
static volatile uint32_t *registers;
static int chip_fds[64], chips;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void in_dir(char *out, size_t size, const char *file)
{
	snprintf(out, size, "%s/%s", dir, file);
}

static void note(const char *format, ...)
{
	char path[512], text[256];
	va_list args;
	va_start(args, format);
	int length = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	in_dir(path, sizeof path, "log");
	int fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, length) < 0)
		perror("pishim: log");
	close(fd);
}

static uint64_t monotonic_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static int level_of(unsigned line)
{
	return registers[LEVELS + line / 32] >> line % 32 & 1;
}

static void release(struct request *request)
{
	for (uint32_t i = 0; i < request->count; i++)
		lines[request->offsets[i]].request = NULL;
	close(request->ours);
	free(request);
}

/* Whether a line is held by a handle that is still open; forgets a handle that is not. */
static int is_used(unsigned line)
{
	struct request *request = lines[line].request;
	char byte;
	if (request && recv(request->ours, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0)
		release(request);
	return lines[line].request || lines[line].holder[0];
}

static void drive(unsigned line, int level, uint64_t stamp)
{
	if (line >= LINES || level_of(line) == level)
		return;
	uint32_t bit = 1u << line % 32;
	if (level)
		__atomic_or_fetch(&registers[LEVELS + line / 32], bit, __ATOMIC_SEQ_CST);
	else
		__atomic_and_fetch(&registers[LEVELS + line / 32], ~bit, __ATOMIC_SEQ_CST);
	struct request *request = lines[line].request;
	uint64_t wanted = level ? GPIO_V2_LINE_FLAG_EDGE_RISING : GPIO_V2_LINE_FLAG_EDGE_FALLING;
	if (!request || !(request->flags & wanted))
		return;
	struct gpio_v2_line_event event = {
		.timestamp_ns = stamp,
		.id = level ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE,
		.offset = line,
		.seqno = ++request->seqno,
		.line_seqno = ++lines[line].seqno,
	};
	if (send(request->ours, &event, sizeof event, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EPIPE)
		release(request);
}

static void *serve(void *arg)
{
	int ctl = (int)(intptr_t)arg;
	char text[65536];
	for (;;) {
		ssize_t length = recv(ctl, text, sizeof text - 1, 0);
		if (length < 0)
			continue;
		text[length] = 0;
		uint64_t now = monotonic_ns();
		pthread_mutex_lock(&mutex);
		char *rest = text;
		for (char *command; (command = strsep(&rest, ";"));) {
			unsigned line;
			int level;
			unsigned long long age_us = 0;
			if (sscanf(command, "%u %d %llu", &line, &level, &age_us) >= 2)
				drive(line, level != 0, now - age_us * 1000);
		}
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void start(void)
{
	char path[512];
	in_dir(path, sizeof path, "gpiomem");
	int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	registers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || registers == MAP_FAILED) {
		perror("pishim: gpiomem");
		abort();
	}
	close(fd);
	const char *busy = getenv("PISHIM_BUSY");
	for (; busy && *busy; busy = strchr(busy, ',') ? strchr(busy, ',') + 1 : NULL) {
		unsigned line;
		char holder[GPIO_MAX_NAME_SIZE];
		if (sscanf(busy, "%u:%31[^,]", &line, holder) == 2 && line < LINES)
			strcpy(lines[line].holder, holder);
	}
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	in_dir(path, sizeof path, "ctl");
	int ctl = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (strlen(path) < sizeof address.sun_path)
		strcpy(address.sun_path, path);
	if (bind(ctl, (void *)&address, sizeof address)) {
		perror("pishim: ctl");
		abort();
	}
	/* The program's signals are for the program's threads. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pthread_t thread;
	pthread_create(&thread, NULL, serve, (void *)(intptr_t)ctl);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* --- waiting ----------------------------------------------------------------------------------------------------- */

/* A wait that begins in the middle of a datagram begins after it: edges of the past come together, or a program that
 * asks "is there anything more?" between two of them would be told no. */
static void finish_datagram(void)
{
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
	int (*next)(int, struct epoll_event *, int, int) = dlsym(RTLD_NEXT, "epoll_wait");
	finish_datagram();
	return next(epoll, events, max, timeout_ms);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	int (*next)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *) = dlsym(RTLD_NEXT, "ppoll");
	finish_datagram();
	return next(fds, count, timeout, mask);
}

/* --- files ------------------------------------------------------------------------------------------------------ */

static const char *redirected(const char *path)
{
	static const char *const table[][2] = {
		{ "/sys/firmware/devicetree/base/compatible", "compatible" },
		{ "/sys/firmware/devicetree/base/model", "model" },
		{ "/proc/cpuinfo", "cpuinfo" },
		{ "/dev/gpiomem", "gpiomem" },
		{ CHIP, "gpiochip0" },
	};
	dir = getenv("PISHIM_DIR");
	for (size_t i = 0; dir && path && i < sizeof table / sizeof *table; i++)
		if (!strcmp(path, table[i][0]))
			return table[i][1];
	return NULL;
}

static int do_open(int folder, const char *path, int flags, mode_t mode)
{
	const char *file = redirected(path);
	if (!file)
		return syscall(SYS_openat, folder, path, flags | O_LARGEFILE, mode);
	pthread_once(&once, start);
	char other[512];
	in_dir(other, sizeof other, file);
	int fd = syscall(SYS_openat, folder, other, flags & ~O_CREAT, mode);
	if (fd >= 0 && !strcmp(path, CHIP)) {
		pthread_mutex_lock(&mutex);
		chip_fds[chips++ % 64] = fd;
		pthread_mutex_unlock(&mutex);
	}
	return fd;
}

#define MODE(flags) \
	mode_t mode = 0; \
	if ((flags) & (O_CREAT | O_TMPFILE)) { \
		va_list args; \
		va_start(args, flags); \
		mode = va_arg(args, int); \
		va_end(args); \
	}

int open(const char *path, int flags, ...)
{
	MODE(flags)
	return do_open(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
	MODE(flags)
	return do_open(folder, path, flags, mode);
}

__typeof__(open) open64 __attribute__((alias("open")));
__typeof__(openat) openat64 __attribute__((alias("openat")));

/* Says that the chip exists under its own name; everything else takes the way of the C library. */
char *realpath(const char *path, char *resolved)
{
	char *canonicalize_file_name(const char *);
	char *found = path && !strcmp(path, CHIP) && redirected(path) ? strdup(path) : canonicalize_file_name(path);
	if (!found || !resolved)
		return found;
	strcpy(resolved, found);
	free(found);
	return resolved;
}

/* --- the character device --------------------------------------------------------------------------------------- */

static int is_chip(int fd)
{
	char link[64], target[512];
	int known = 0;
	for (int i = 0; i < 64 && i < chips; i++)
		known |= chip_fds[i] == fd;
	if (!known)
		return 0;
	/* The number may have been closed and given to another file. */
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, target, sizeof target - 1);
	return length > 10 && !memcmp(target + length - 10, "/gpiochip0", 10);
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

static int chip_info(struct gpiochip_info *info)
{
	const char *label = getenv("PISHIM_LABEL");
	memset(info, 0, sizeof *info);
	strcpy(info->name, "gpiochip0");
	strncpy(info->label, label ? label : "pinctrl-bcm2711", sizeof info->label - 1);
	info->lines = LINES;
	return 0;
}

static int line_info(struct gpio_v2_line_info *info)
{
	uint32_t line = info->offset;
	if (line >= LINES)
		return refuse(EINVAL);
	memset(info, 0, sizeof *info);
	info->offset = line;
	info->flags = GPIO_V2_LINE_FLAG_INPUT;
	snprintf(info->name, sizeof info->name, "GPIO%u", line);
	if (is_used(line)) {
		info->flags |= GPIO_V2_LINE_FLAG_USED;
		strcpy(info->consumer, lines[line].request ? lines[line].request->consumer : lines[line].holder);
	}
	return 0;
}

static int take_lines(struct gpio_v2_line_request *asked)
{
	int pair[2], room = 1 << 20;
	if (asked->num_lines < 1 || asked->num_lines > GPIO_V2_LINES_MAX || asked->config.num_attrs)
		return refuse(EINVAL);
	for (uint32_t i = 0; i < asked->num_lines; i++) {
		if (asked->offsets[i] >= LINES)
			return refuse(EINVAL);
		if (is_used(asked->offsets[i]))
			return refuse(EBUSY);
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -1;
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	struct request *request = calloc(1, sizeof *request);
	*request = (struct request){
		.ours = pair[1], .theirs = pair[0], .flags = asked->config.flags, .count = asked->num_lines
	};
	memcpy(request->offsets, asked->offsets, sizeof request->offsets);
	memcpy(request->consumer, asked->consumer, sizeof request->consumer - 1);
	for (uint32_t i = 0; i < request->count; i++) {
		lines[request->offsets[i]].request = request;
		lines[request->offsets[i]].seqno = 0;
		note("request line=%u flags=%#llx consumer=%s\n", request->offsets[i],
			(unsigned long long)request->flags, request->consumer);
	}
	asked->fd = pair[0];
	return 0;
}

static int get_values(int fd, struct gpio_v2_line_values *values)
{
	for (unsigned line = 0; line < LINES; line++) {
		struct request *request = lines[line].request;
		if (!request || request->theirs != fd)
			continue;
		values->bits = 0;
		for (uint32_t i = 0; i < request->count; i++)
			values->bits |= (uint64_t)level_of(request->offsets[i]) << i;
		values->bits &= values->mask;
		return 0;
	}
	return refuse(ENOTTY);
}

int ioctl(int fd, unsigned long number, ...)
{
	va_list args;
	va_start(args, number);
	void *data = va_arg(args, void *);
	va_end(args);
	if ((number >> 8 & 0xff) != 0xB4)
		return syscall(SYS_ioctl, fd, number, data);
	pthread_mutex_lock(&mutex);
	int answer;
	if ((uint32_t)number == GPIO_V2_LINE_GET_VALUES_IOCTL)
		answer = get_values(fd, data);
	else if (!is_chip(fd))
		answer = refuse(ENOTTY);
	else switch ((uint32_t)number) {
	case GPIO_GET_CHIPINFO_IOCTL: answer = chip_info(data); break;
	case GPIO_V2_GET_LINEINFO_IOCTL: answer = line_info(data); break;
	case GPIO_V2_GET_LINE_IOCTL: answer = take_lines(data); break;
	default: answer = refuse(ENOTTY);
	}
	pthread_mutex_unlock(&mutex);
	return answer;
}
