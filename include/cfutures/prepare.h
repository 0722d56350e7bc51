/* cfutures/prepare.h - process pools for a program that has grown, forked off while it was still small.
 * SPDX-License-Identifier: MIT
 * LAYER 6.  Includes: process_pool.h, detail/os_handover.h.  Included by: whoever wants it; cfutures.h doesn't.
 *
 * WHY  A fork copies the page tables of all memory that the program has: 20 ms for a GiB, when the pool is made and each
 *   time a worker is replaced.  And it copies the locks that other threads hold just then: libc sees to its own, but
 *   not to those of other libraries.  A process that was forked at the start of main() has neither.
 * HOW IT WORKS  cf_process_pool_prepare() makes the *nursery*, a process of one thread that waits at a socket.  From then
 *   on it forks the templates (detail/template.h):
 *
 *       program   makes a file in memory, maps it where it may lie in both (place), hands it over with what the template is
 *                 to know
 *       nursery   maps it at the same address, forks the template as the program would have, forgets it, answers
 *
 *   What the nursery can't do the program does itself, as if it had not been prepared: when it has died, when no address
 *   suits both, when on_start was loaded later.
 * WHO WATCHES WHOM  The nursery ends when the program does, as a template does (pidfd, and the pipe that continues it if it is
 *   stopped).  A template needs no nursery once it runs.  The nursery adopts and buries templates, so they are not init's to
 *   reap.
 * AN ANSWER THAT DOESN'T COME is no answer: the template may be there or not.  That pool's creation fails, its dead-man
 *   pipe closes, which kills such a template; the nursery isn't asked again. */
#ifndef CFUTURES_PREPARE_H
#define CFUTURES_PREPARE_H

#include "detail/os_handover.h"
#include "process_pool.h"

/** Prepare for process pools: call it first thing in main(), before there are threads and much memory.
 *
 * Tasks of process pools then see the program as it was at this call, not as it was when their pool was made: its globals, its
 * descriptors, its directory; what on_start_context points to must have been there already.  A second call, or one in a
 * program without process pools, does nothing.  Costs a process, two descriptors, and half a millisecond.
 * Returns: CF_OK; CF_ERR_NOMEM, CF_ERR_SYSTEM, CF_ERR_UNSUPPORTED: pools are made as without it. */
CF_API cf_err cf_process_pool_prepare(void);

/* ---- implementation ---- */

#if CF__BODIES && !CF__FUTEX

CF_API cf_err
cf_process_pool_prepare(void)
{
    return CF_ERR_UNSUPPORTED;
}

#elif CF__BODIES

typedef struct cf__nursery_request {
    void *memory; /* where the pool's is to be */
    size_t size;
    bool start; /* a template; else only look whether there is room */
    size_t stack_size;
    cf__process_setup setup; /* its descriptors come beside it */
} cf__nursery_request;

/* ---- the nursery ---- */

typedef struct cf__nursery_home { /* what it has from the program, and the request that it works at */
    int sockets[2];               /* the program's, its own */
    int life_line[2];             /* reader: its own; writer: the program's */
    int parent_pidfd;
    int file;
    cf__nursery_request request;
} cf__nursery_home;

/* In the new template. */
CF__PRIVATE void
cf__nursery_child(void *argument)
{
    cf__nursery_home *home = CF__STATIC_CAST(cf__nursery_home *, argument);
    cf__os_close(home->sockets[1]);
    cf__os_close(home->life_line[0]);
    cf__os_close(home->file);
    cf__template_main(&home->request.setup);
}

/* Does what home->request says; 0 or an errno. */
CF__PRIVATE int
cf__nursery_serve(cf__nursery_home *home)
{
    cf__nursery_request *request = &home->request;
    cf__arena *arena = request->setup.view.arena;
    int error = 0;
    if (request->start && (home->file < 0 || request->setup.life_line[0] < 0))
        return EMFILE; /* they were sent, and we could have no more */
    if (cf__os_map_file(home->file, request->memory, request->size) == MAP_FAILED)
        return errno;
    if (request->start)
        error = cf__os_fork_hidden(cf__nursery_child, home, request->stack_size, request->setup.life_line,
                                   &arena->template_process, &arena->template_error);
    cf__os_unmap(request->memory, request->size);
    return error;
}

CF__PRIVATE void
cf__nursery_main(void *argument)
{
    cf__nursery_home *home = CF__STATIC_CAST(cf__nursery_home *, argument);
    int received[CF__HANDED];
    cf__os_close(home->sockets[0]);
    cf__template_leave_program("cf-nursery");
    cf__os_ignore_signal(SIGCHLD); /* whom it buries it doesn't ask */
    while (cf__os_await_message(home->sockets[1], home->parent_pidfd, INT64_MAX) &&
           cf__os_receive(home->sockets[1], &home->request, sizeof home->request, received)) {
        home->file = received[0];
        home->request.setup.life_line[0] = received[1];
        home->request.setup.life_line[1] = -1;
        home->request.setup.parent_pidfd = home->parent_pidfd;
        int32_t answer = cf__nursery_serve(home);
        cf__os_close(received[0]);
        cf__os_close(received[1]);
        if (cf__os_send(home->sockets[1], &answer, sizeof answer, NULL) != 0)
            break; /* the program needn't wait for the answer */
    }
    cf__os_exit(0);
}

/* ---- the program ---- */

/* Asks the nursery.  0, or its error; ECONNRESET: it has died, and may have done it or not. */
CF__PRIVATE int
cf__nursery_ask(cf__nursery *nursery, const cf__nursery_request *request, const int *descriptors)
{
    int32_t answer = EPIPE;
    int received[CF__HANDED];
    cf__mutex_lock(&nursery->mutex);
    if (!nursery->lost)
        answer = cf__os_send(nursery->socket, request, sizeof *request, descriptors);
    nursery->lost = nursery->lost || answer != 0;
    if (!nursery->lost && (!cf__os_await_message(nursery->socket, -1, cf_after_ns(CF__NURSERY_PATIENCE)) ||
                           !cf__os_receive(nursery->socket, &answer, sizeof answer, received))) {
        nursery->lost = true;
        answer = ECONNRESET;
    }
    cf__mutex_unlock(&nursery->mutex);
    return answer;
}

/* Memory for a pool, of a file, at an address that is free in the nursery as well; NULL: none. */
CF__PRIVATE void *
cf__nursery_place(cf__nursery *nursery, size_t size, int *file)
{
    enum { tries = 16 };
    void *places[tries];
    int keep = errno, count = 0, error = EEXIST;
    cf__nursery_request request;
    memset(CF__STATIC_CAST(void *, &request), 0, sizeof request);
    request.size = size;
    *file = cf__os_memory_file(size);
    /* What didn't suit stays mapped meanwhile, lest we get it again. */
    while (*file >= 0 && error == EEXIST && count < tries) {
        places[count] = request.memory = cf__os_map_file(*file, NULL, size);
        if (request.memory == MAP_FAILED)
            break;
        count++;
        error = cf__nursery_ask(nursery, &request, NULL);
    }
    for (int i = 0; i < count - (error == 0); i++)
        cf__os_unmap(places[i], size);
    if (error != 0) {
        cf__os_close(*file);
        *file = -1;
    }
    errno = keep;
    return error == 0 ? request.memory : NULL;
}

CF__PRIVATE int
cf__nursery_start(cf__nursery *nursery, const cf__process_setup *setup, void *memory, size_t size, int file,
                  size_t stack_size)
{
    const int descriptors[CF__HANDED] = {file, setup->life_line[0]};
    cf__nursery_request request;
    memset(CF__STATIC_CAST(void *, &request), 0, sizeof request);
    request.memory = memory;
    request.size = size;
    request.start = true;
    request.stack_size = stack_size;
    request.setup = *setup;
    request.setup.code = &nursery->code;
    return cf__nursery_ask(nursery, &request, descriptors);
}

/* Starts the nursery's process; 0 or an errno. */
CF__PRIVATE int
cf__nursery_begin(cf__nursery *nursery)
{
    cf__nursery_home home;
    memset(CF__STATIC_CAST(void *, &home), -1, sizeof home); /* no descriptors */
    int32_t *told = CF__STATIC_CAST(int32_t *, cf__os_map_shared(2 * sizeof(int32_t)));
    int error = told == NULL ? ENOMEM : cf__os_socket_pair(home.sockets);
    if (error == 0)
        error = cf__os_pipe(home.life_line);
    if (error == 0 && (home.parent_pidfd = cf__os_pidfd_open(cf__os_pid())) < 0)
        error = errno;
    if (error == 0)
        error = cf__os_fork_hidden(cf__nursery_main, &home, 0, home.life_line, &told[0], &told[1]);
    cf__os_close(home.parent_pidfd);
    cf__os_close(home.sockets[1]);
    cf__os_close(home.life_line[0]);
    if (error == 0) {
        nursery->self = told[0];
        nursery->socket = home.sockets[0];
        nursery->life_line = home.life_line[1]; /* closed when the program ends */
    } else {
        cf__os_close(home.sockets[0]);
        cf__os_close(home.life_line[1]);
    }
    if (told != NULL)
        cf__os_unmap(told, 2 * sizeof(int32_t));
    return error;
}

CF_API cf_err
cf_process_pool_prepare(void)
{
    int keep = errno;
    if (cf__nursery_of_program() != NULL)
        return CF_OK;
    cf__nursery *nursery = CF__STATIC_CAST(cf__nursery *, cf__os_alloc(sizeof *nursery));
    if (nursery == NULL)
        return CF_ERR_NOMEM;
    memset(CF__STATIC_CAST(void *, nursery), 0, sizeof *nursery);
    nursery->place = cf__nursery_place;
    nursery->start = cf__nursery_start;
    nursery->process = cf__os_pid();
    nursery->fork_guard = cf__os_fork_guard_new();
    cf__mutex_init(&nursery->mutex);
    int error = cf__code_record(&nursery->code) ? cf__nursery_begin(nursery) : ENOMEM;
    errno = keep;
    if (error == 0) {
        cf__store_release(&cf__prepared, nursery); /* release: its fields.  It stays until the program ends */
        return CF_OK;
    }
    cf__mutex_destroy(&nursery->mutex);
    cf__os_fork_guard_free(nursery->fork_guard);
    cf__os_free(nursery->code.ranges);
    cf__os_free(nursery);
    return cf__process_error(error);
}

#endif /* CF__BODIES */

#endif
