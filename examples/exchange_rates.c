/* examples/exchange_rates.c - many slow requests at once: a thread pool, and a queue that brings each answer.
 * SPDX-License-Identifier: MIT
 *
 * Asks an HTTP server for each currency pair on the command line: GET $EXCHANGE_RATES_URL/EURUSD, which answers
 * {"pair":"EURUSD","rate":1.0841} or, for a pair it doesn't know, 404.  Without the variable it asks
 * http://127.0.0.1:8080.  The server of the tests does:
 *
 *     cc -std=gnu11 -O2 -pthread -Iinclude examples/exchange_rates.c -o exchange_rates -lcurl
 *     cc -std=gnu11 -O2 -pthread examples/support/rates_server.c -o rates_server
 *     ./rates_server --port 8080 --delay-ms 200         (in another terminal)
 *     ./exchange_rates EURUSD EURGBP EURJPY
 *
 * prints, after 200 ms and not 600, a line for each pair in the order of arrival, such as  EURUSD 1.0841.
 * What went wrong goes to stderr, pair by pair; the exit status is then 1. */
#include <cfutures.h>

#include <curl/curl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct rate {
    const char *pair;
    double value;
    char problem[CURL_ERROR_SIZE]; /* empty: value is good */
} rate;
CF_QUEUE(rate_queue, rate);

typedef struct response {
    size_t length;
    char text[1024];
} response;

/* libcurl brings a piece of the answer; taking less than it has makes the request fail. */
static size_t
append(char *data, size_t size, size_t count, void *to)
{
    response *r = to;
    if (size * count >= sizeof r->text - r->length)
        return 0;
    memcpy(r->text + r->length, data, size * count);
    r->length += size * count;
    r->text[r->length] = '\0';
    return size * count;
}

/* The number after "rate": in the server's JSON.  A program with more to read would use a JSON library. */
static bool
parse_rate(const char *json, double *value)
{
    static const char key[] = "\"rate\":";
    const char *found = strstr(json, key);
    char *end;
    if (found == NULL)
        return false;
    found += strlen(key);
    *value = strtod(found, &end);
    return end != found;
}

/* Fills r->value, or else r->problem. */
static void
fetch(CURL *curl, rate *r)
{
    const char *base = getenv("EXCHANGE_RATES_URL");
    char url[512];
    response answer = {.length = 0};
    long status = 0;

    char *pair = curl_easy_escape(curl, r->pair, 0);
    int length =
        snprintf(url, sizeof url, "%s/%s", base != NULL ? base : "http://127.0.0.1:8080", pair != NULL ? pair : "");
    curl_free(pair);
    if (pair == NULL || length >= (int)sizeof url) {
        snprintf(r->problem, sizeof r->problem, "the URL is too long");
        return;
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 10000L); /* so that every task ends */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);       /* libcurl in threads needs this */
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, r->problem);

    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK) {
        if (r->problem[0] == '\0')
            snprintf(r->problem, sizeof r->problem, "%s", curl_easy_strerror(code));
        return;
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status == 404)
        snprintf(r->problem, sizeof r->problem, "no such pair");
    else if (status != 200)
        snprintf(r->problem, sizeof r->problem, "HTTP status %ld", status);
    else if (!parse_rate(answer.text, &r->value))
        snprintf(r->problem, sizeof r->problem, "the answer has no rate");
}

/* The task.  Whatever happens it puts one item, so that nobody waits in vain. */
static void
get_rate(const char *pair, rate_queue *rates)
{
    rate r = {.pair = pair};
    CURL *curl = curl_easy_init();
    if (curl != NULL)
        fetch(curl, &r);
    else
        snprintf(r.problem, sizeof r.problem, "libcurl can't start");
    curl_easy_cleanup(curl);
    rate_queue_put(rates, &r);
}
CF_TASK_VOID(get_rate, const char *, rate_queue *);

int
main(int argc, char **argv)
{
    rate_queue rates;
    int expected = 0, failed = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: %s PAIR...   for example: %s EURUSD EURGBP\n", argv[0], argv[0]);
        return 2;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || rate_queue_init(&rates, 16) != CF_OK) {
        fprintf(stderr, "%s: can't start\n", argv[0]);
        return 1;
    }

    cf_executor *pool = cf_thread_pool(.max_workers = 20);
    for (int i = 1; i < argc; i++) {
        cf_err error = cf_spawn(pool, get_rate, argv[i], &rates); /* fire and forget: no future */
        if (error == CF_OK) {
            expected++;
        } else {
            fprintf(stderr, "%s: %s\n", argv[i], cf_strerror(error));
            failed++;
        }
    }
    for (rate r; expected > 0 && rate_queue_get(&rates, &r) == CF_OK; expected--) {
        if (r.problem[0] == '\0') {
            printf("%s %.4f\n", r.pair, r.value);
            fflush(stdout); /* as it comes, also into a pipe */
        } else {
            fprintf(stderr, "%s: %s\n", r.pair, r.problem);
            failed++;
        }
        rate_queue_task_done(&rates);
    }
    rate_queue_join(&rates); /* all that was put is done: returns at once here, where one thread gets */

    cf_executor_close(pool); /* first the pool: its threads use the queue */
    rate_queue_destroy(&rates);
    curl_global_cleanup();
    return failed > 0 ? 1 : 0;
}
