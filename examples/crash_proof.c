/* examples/crash_proof.c - a pool that survives whatever its tasks do.
 * SPDX-License-Identifier: MIT
 *
 *     cc -std=gnu11 -O2 -pthread -Iinclude examples/crash_proof.c -o crash_proof && ./crash_proof
 *
 * A decoder with bugs, as they come in libraries that parse what others send: on some pages it follows a null pointer,
 * runs into an assertion, calls exit(), or says properly that it can't.  On a pool of processes each of these costs the
 * page that did it.  The program says which page died of what, and has all others; a worker that died is replaced. */
#include <cfutures.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { PAGES = 24 };

/* How many words are on a page: 100 and its number, if the decoder lives. */
static int
decode(int page)
{
    const int *volatile nowhere = NULL;
    switch (page) {
    case 5:
    case 6:
        return *nowhere; /* SIGSEGV */
    case 11:
        abort(); /* what a failed assertion does: SIGABRT */
    case 13:
        exit(3); /* a library that thinks it may */
    case 17:
        cf_fail(42, "page %d is encrypted", page); /* the way to fail: a code of your own, and a message */
        return 0;
    default:
        return 100 + page;
    }
}
CF_TASK(int, decode, int);

int
main(void)
{
    const struct rlimit no_core_files = {0, 0};
    cf_future *pages[PAGES];
    int decoded = 0, words = 0;

    setrlimit(RLIMIT_CORE, &no_core_files); /* the crashes are meant here; the workers inherit it */
    cf_auto(cf_executor) pool = cf_process_pool();
    for (int i = 0; i < PAGES; i++)
        pages[i] = cf_submit(pool, decode, i);

    for (int i = 0; i < PAGES; i++) {
        int on_page;
        switch (cf_result(pages[i], decode, &on_page, CF_FOREVER)) {
        case CF_OK:
            decoded++;
            words += on_page;
            break;
        case CF_ERR_WORKER_LOST: /* the process died, of a signal or by exit() */
            if (cf_future_signal(pages[i]) != 0)
                printf("page %d: %s\n", i, strsignal(cf_future_signal(pages[i])));
            else
                printf("page %d: exit status %d\n", i, cf_future_status(pages[i]));
            break;
        case CF_ERR_FAILED: /* the task said so itself */
            printf("page %d: %s (code %d)\n", i, cf_future_message(pages[i]), cf_future_code(pages[i]));
            break;
        default: /* no process, no memory: nothing that a task has done */
            printf("page %d: %s\n", i, cf_future_message(pages[i]));
            break;
        }
        cf_future_release(pages[i]);
    }
    printf("%d of %d pages decoded, %d words\n", decoded, PAGES, words);
    return 0;
}
