/* examples/support/rates_server.c - a small HTTP server for exchange_rates.c and its test.
 * SPDX-License-Identifier: MIT
 *
 *     cc -std=gnu11 -O2 -pthread examples/support/rates_server.c -o rates_server
 *     ./rates_server [--port N] [--delay-ms N]
 *
 * Listens on 127.0.0.1 only; port 0, the default, is any free one.  Prints the port as its first line.
 * GET /EURUSD is answered with {"pair":"EURUSD","rate":1.0841}, another pair with 404, anything else with 400, each
 * after the delay, which stands for a server that is far away; a thread for each connection.
 * Ends on SIGTERM, on SIGINT, or when its stdin is closed (so it can't outlive a script that holds the other
 * end), with a line about what it served.  The rates are samples, not the quotes of any day. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *pair, *rate;
} table[] = {
    {"EURUSD", "1.0841"}, {"EURGBP", "0.8553"}, {"EURJPY", "163.45"}, {"EURCHF", "0.9766"},
    {"EURSEK", "11.525"}, {"EURPLN", "4.3123"}, {"GBPUSD", "1.2675"}, {"USDJPY", "150.77"},
};

static long delay_ms;
static atomic_int requests, open_now, most_at_once;
static int stop_pipe[2]; /* the signal handler writes, main() polls */

static void
on_stop(int signal_number)
{
    int saved = errno;
    (void)signal_number;
    if (write(stop_pipe[1], "", 1) != 1)
        _exit(1);
    errno = saved;
}

/* Read until the empty line after the headers.  False if the client is gone or writes too much. */
static bool
read_request(int fd, char *text, size_t size)
{
    size_t length = 0;
    do {
        ssize_t n = read(fd, text + length, size - 1 - length);
        if (n <= 0)
            return false;
        length += (size_t)n;
        text[length] = '\0';
    } while (strstr(text, "\r\n\r\n") == NULL && length < size - 1);
    return strstr(text, "\r\n\r\n") != NULL;
}

static void
answer(int fd, const char *request)
{
    char path[64] = "", body[128], text[320];
    const char *status = "400 Bad Request";

    snprintf(body, sizeof body, "{\"error\":\"GET /PAIR\"}");
    if (sscanf(request, "GET /%63[^ ?] HTTP/1.", path) == 1) {
        status = "404 Not Found";
        snprintf(body, sizeof body, "{\"error\":\"no such pair\"}");
    }
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(path, table[i].pair) == 0) {
            status = "200 OK";
            snprintf(body, sizeof body, "{\"pair\":\"%s\",\"rate\":%s}", table[i].pair, table[i].rate);
        }
    }
    int length =
        snprintf(text, sizeof text,
                 "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                 status, strlen(body), body);
    for (ssize_t n, at = 0; at < length; at += n)
        if ((n = send(fd, text + at, (size_t)(length - at), MSG_NOSIGNAL)) < 0)
            return; /* the client hung up */
}

static void *
serve(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char request[4096];

    if (read_request(fd, request, sizeof request)) {
        atomic_fetch_add(&requests, 1);
        int now = atomic_fetch_add(&open_now, 1) + 1, most = atomic_load(&most_at_once);
        while (now > most && !atomic_compare_exchange_weak(&most_at_once, &most, now))
            continue;
        struct timespec delay = {delay_ms / 1000, delay_ms % 1000 * 1000000};
        nanosleep(&delay, NULL);
        atomic_fetch_sub(&open_now, 1); /* before the answer: who has it may ask again */
        answer(fd, request);
    }
    close(fd);
    return NULL;
}

static _Noreturn void
fail(const char *what)
{
    fprintf(stderr, "rates_server: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Listen on 127.0.0.1:port; writes the port that it became. */
static int
listen_on_loopback(long port, unsigned *actual)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof address;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        fail("listen");
    *actual = ntohs(address.sin_port);
    return fd;
}

static void
accept_one(int listener)
{
    pthread_t thread;
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        return; /* the client was gone before we came to it */
    if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
        pthread_detach(thread);
    else
        close(fd);
}

/* The value of option `name`, at most `largest`; `value` unchanged if it isn't argv[i]. */
static bool
number_option(char **argv, int i, const char *name, long largest, long *value)
{
    char *end;
    if (strcmp(argv[i], name) != 0 || argv[i + 1] == NULL)
        return false;
    *value = strtol(argv[i + 1], &end, 10);
    return end != argv[i + 1] && *end == '\0' && *value >= 0 && *value <= largest;
}

int
main(int argc, char **argv)
{
    long port = 0;
    unsigned actual;
    struct sigaction action = {.sa_handler = on_stop};

    for (int i = 1; i < argc; i += 2) {
        if (!number_option(argv, i, "--port", 65535, &port) &&
            !number_option(argv, i, "--delay-ms", 60000, &delay_ms)) {
            fprintf(stderr, "usage: %s [--port N] [--delay-ms N]\n", argv[0]);
            return 2;
        }
    }
    if (pipe(stop_pipe) != 0 || sigaction(SIGTERM, &action, NULL) != 0 || sigaction(SIGINT, &action, NULL) != 0)
        fail("signals");
    int listener = listen_on_loopback(port, &actual);
    printf("%u\n", actual);
    fflush(stdout);

    struct pollfd events[] = {
        {.fd = listener, .events = POLLIN},
        {.fd = stop_pipe[0], .events = POLLIN},
        {.fd = STDIN_FILENO, .events = POLLIN},
    };
    for (bool running = true; running;) {
        char ignored[256];
        if (poll(events, 3, -1) < 0)
            continue; /* a signal; the pipe says which end it means */
        if (events[0].revents != 0)
            accept_one(listener);
        if (events[1].revents != 0 || (events[2].revents != 0 && read(STDIN_FILENO, ignored, sizeof ignored) <= 0))
            running = false;
    }
    printf("served %d requests, at most %d at once\n", atomic_load(&requests), atomic_load(&most_at_once));
    return 0;
}
