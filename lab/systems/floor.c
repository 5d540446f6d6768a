/* The floor: the least that a direct message can cost on this machine. One thread, epoll, no store, no tokens, no limits.

   floor PORT          GET /sse/USER opens a stream; POST /send/SENDER/RECIPIENT writes the body as one frame to every
                       stream of both, and is answered 201.
   floor PORT FILE     The durable floor: all messages that came in one turn of the loop are appended to FILE and
                       fdatasync'ed together, and only then written to streams and answered.

   It prints a line when it listens. Nothing of it is for use: it checks nothing that it is sent. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS_MAX = 65536, REQUEST_MAX = 8192, USERS = 1 << 17, NAME_MAX_BYTES = 64, EVENTS = 512 };

typedef struct stream { int fd; struct stream *next; } stream;
typedef struct { char name[NAME_MAX_BYTES]; stream *streams; } user;
typedef struct { char *bytes; int size; user *reader; } connection;
typedef struct { int fd; user *from, *to; char *body; int size; } message;

static user *users;
static connection connections[FDS_MAX];
static message pending[EVENTS * 4];
static int pending_count, file = -1, epoll;

static void fail(const char *what) { perror(what); exit(1); }

static user *find(const char *name, int size)
{
    unsigned hash = 5381;
    for (int i = 0; i < size; i++) hash = hash * 33 ^ (unsigned char)name[i];
    for (;; hash++) {
        user *u = &users[hash % USERS];
        if (!u->name[0]) { memcpy(u->name, name, size); return u; }
        if ((int)strlen(u->name) == size && !memcmp(u->name, name, size)) return u;
    }
}

static void put(int fd, const char *bytes, int size)
{
    if (write(fd, bytes, size) != size && errno != EPIPE && errno != ECONNRESET && errno != EBADF) fail("write");
}

static void drop(int fd)
{
    user *u = connections[fd].reader;
    if (u)
        for (stream **at = &u->streams; *at; at = &(*at)->next)
            if ((*at)->fd == fd) { stream *gone = *at; *at = gone->next; free(gone); break; }
    free(connections[fd].bytes);
    memset(&connections[fd], 0, sizeof connections[fd]);
    close(fd);
}

static void deliver(const message *m)
{
    static const char created[] = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{\"success\":true}";
    char frame[REQUEST_MAX + 64];
    int data = m->size + 8;  /* data: ...\n\n */
    int size = snprintf(frame, sizeof frame, "%x\r\ndata: %.*s\n\n\r\n", data, m->size, m->body);
    for (stream *s = m->to->streams; s; s = s->next) put(s->fd, frame, size);
    for (stream *s = m->from->streams; s; s = s->next) put(s->fd, frame, size);
    put(m->fd, created, sizeof created - 1);
    free(m->body);
}

static void settle(void)
{
    if (!pending_count) return;
    if (file >= 0) {
        for (int i = 0; i < pending_count; i++)
            if (write(file, pending[i].body, pending[i].size) != pending[i].size) fail("append");
        if (fdatasync(file)) fail("fdatasync");
    }
    for (int i = 0; i < pending_count; i++) deliver(&pending[i]);
    pending_count = 0;
}

static void request(int fd)
{
    static const char opened[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                                 "d\r\ndata: hello\n\n\r\n";
    connection *c = &connections[fd];
    char *end = memmem(c->bytes, c->size, "\r\n\r\n", 4);
    if (!end) return;
    if (!memcmp(c->bytes, "GET /sse/", 9)) {
        char *name = c->bytes + 9;
        stream *s = malloc(sizeof *s);
        c->reader = find(name, strchr(name, ' ') - name);
        *s = (stream){fd, c->reader->streams};
        c->reader->streams = s;
        put(fd, opened, sizeof opened - 1);
        free(c->bytes);
        c->bytes = 0;
        c->size = 0;
        return;
    }
    char *length = strcasestr(c->bytes, "content-length: ");
    int size = length && length < end ? atoi(length + 16) : 0, whole = end + 4 - c->bytes + size;
    if (c->size < whole) return;
    char *from = c->bytes + 11, *slash = strchr(from, '/'), *blank = slash ? strchr(slash, ' ') : 0;  /* POST /send/ */
    if (!blank) { drop(fd); return; }
    message *m = &pending[pending_count++];
    *m = (message){fd, find(from, slash - from), find(slash + 1, blank - slash - 1), malloc(size + 1), size};
    memcpy(m->body, end + 4, size);
    c->size = 0;
    if (pending_count == EVENTS * 4) settle();
}

static void received(int fd)
{
    connection *c = &connections[fd];
    char scratch[REQUEST_MAX], *into = c->bytes ? c->bytes + c->size : scratch;
    int got = read(fd, into, REQUEST_MAX - 1 - c->size);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) drop(fd);
        return;
    }
    if (c->reader) return;
    if (!c->bytes) {
        c->bytes = malloc(REQUEST_MAX);
        memcpy(c->bytes, scratch, got);
    }
    c->size += got;
    c->bytes[c->size] = 0;
    request(fd);
}

int main(int count, char **arguments)
{
    if (count < 2) { fprintf(stderr, "usage: floor PORT [FILE]\n"); return 2; }
    signal(SIGPIPE, SIG_IGN);
    users = calloc(USERS, sizeof *users);
    if (count > 2 && (file = open(arguments[2], O_WRONLY | O_CREAT | O_APPEND, 0600)) < 0) fail("open");
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) fail("listen");
    socklen_t size = sizeof address;
    getsockname(listener, (void *)&address, &size);
    epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    printf("listening on http://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) { received(events[i].data.fd); continue; }
            for (int fd; (fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0;) {
                if (fd >= FDS_MAX) { close(fd); continue; }
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                event.data.fd = fd;
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
            }
        }
        settle();
    }
}
