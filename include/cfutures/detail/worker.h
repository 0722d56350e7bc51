/* cfutures/detail/worker.h - the process that runs a process pool's tasks.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: arena.h, os_process.h, ../executor.h.  Included by: template.h.
 *
 * LIFE  The template forks it; it makes itself at home, calls on_start, then claims, runs and publishes tasks
 *   (arena.h) until the pool stops or it dies.  It may die anywhere: what must be done after that is the template's
 *   business.
 * AT HOME means: it is killed when the template dies; it has a process group of its own, so that Ctrl-C reaches
 *   only the parent and a kill reaches what its tasks start; signals are at their defaults, but for SIGINT and
 *   SIGTTOU, which are ignored; standard input is empty; and exit() in a task ends the process without running the
 *   program's atexit handlers or writing what the program had left in its buffers.  It has no descriptor of ours: a
 *   task may close whatever it finds.
 * OUTPUT  that a task has left in stdout's or stderr's buffer is written before its result is published.
 * A TASK THAT FORKS and returns in the child as well: the child ends there, it has no part in the pool. */
#ifndef CFUTURES_DETAIL_WORKER_H
#define CFUTURES_DETAIL_WORKER_H

#include "../executor.h"
#include "arena.h"
#include "os_process.h"

#if CF__BODIES && CF__FUTEX

#define CF__SPIN_LEAST INT64_C(1000) /* nanoseconds that a worker spins for work before it sleeps */
#define CF__SPIN_MOST INT64_C(8000)

/* What the parent hands to the template, and the template to the workers: each has it in its copy of the memory. */
typedef struct cf__process_setup {
    cf__arena_view view;
    void (*on_start)(void *);
    void (*on_stop)(void *);
    void *on_start_context;
    char name[11];    /* prefix of the workers' names */
    bool spin;        /* more than one CPU */
    int parent_pidfd; /* the template watches it */
    int dead_man[2];  /* reader: the template; writer: the parent */
} cf__process_setup;

CF__PRIVATE void
cf__worker_make_home(const cf__process_setup *setup, int32_t template_process, uint32_t number)
{
    char name[32];
    cf__current = NULL; /* a task on a thread may have made the pool */
    cf__os_die_with(template_process);
    cf__os_own_group(0);
    cf__os_reset_signals();
    cf__os_ignore_signal(SIGINT);
    cf__os_ignore_signal(SIGTTOU);
    cf__os_close(setup->parent_pidfd);
    cf__os_close(setup->dead_man[0]);
    cf__os_empty_stdin();
    cf__os_exit_at_once();
    cf__os_end_with_thread();
    (void)snprintf(name, sizeof name, "%s-%u", setup->name, number - 1);
    cf__os_thread_name(name);
}

/* Spins for new hints for up to `budget` nanoseconds; whether there are some.  Not on the CPU that the parent needs
 * to bring them. */
CF__PRIVATE bool
cf__worker_spin(const cf__arena_view *view, uint32_t number, int64_t budget)
{
    uint32_t cpu = cf__os_cpu();
    /* relaxed, both: a guess at where to find each other. */
    cf__store_relaxed(&view->workers[number - 1].cpu, cpu);
    if (cpu == cf__load_relaxed(&view->arena->parent_cpu))
        return false;
    int64_t end = cf__os_now() + budget;
    do {
        for (int i = 0; i < 4; i++) {
            if (cf__arena_has_hints(view))
                return true;
            cf__cpu_relax();
        }
    } while (cf__os_now() < end);
    return false;
}

CF__PRIVATE void
cf__worker_run(const cf__process_setup *setup, uint32_t number, uint32_t index, const uint32_t *fork_guard)
{
    cf__slot *slot = &setup->view.slots[index];
    cf__task_context context;
    uint32_t state = CF__SLOT_DONE;

    cf__task_context_init(&context, &slot->stop, 1u);
    slot->run(slot->args, slot->result, &context);
    if (fork_guard != NULL && cf__load_relaxed(fork_guard) == 0) /* relaxed: only a fork changes it */
        cf__os_exit(0);
    cf__os_flush_streams();
    if (context.failed) {
        state = CF__SLOT_FAILED;
        slot->code = context.code;
        memcpy(slot->payload, context.message, sizeof context.message); /* the arguments aren't needed any more */
    }
    if (!cf__arena_publish(&setup->view, number, index, state))
        cf__os_kill_self(); /* the task has been declared lost, so we are to be killed; or the word was written over */
}

CF__PRIVATE void
cf__worker_main(const cf__process_setup *setup, int32_t template_process, uint32_t number)
{
    const cf__arena_view *view = &setup->view;
    cf__worker_record *self = &view->workers[number - 1];
    int64_t spin = CF__SPIN_MOST / 2;
    uint32_t index;

    cf__worker_make_home(setup, template_process, number);
    cf__task_context context;
    void *user = NULL;
    cf__task_context_init(&context, NULL, 0);
    context.local = &user;
    cf__current = &context;
    if (setup->on_start != NULL) {
        setup->on_start(setup->on_start_context);
        context.can_fail = false;
        cf__os_flush_streams();
        if (context.failed) {
            memcpy(self->message, context.message, sizeof self->message);
            cf__os_exit(EXIT_FAILURE);
        }
    }
    const uint32_t *fork_guard = cf__os_fork_guard_new();
    cf__store_release(&self->started, 1u); /* the template reads it after our death */

    for (;;) {
        if (cf__arena_claim(view, number, &index)) {
            cf__worker_run(setup, number, index, fork_guard);
            continue;
        }
        if (cf__load_acquire(&view->arena->stop) != CF__ARENA_RUNS)
            break;
        if (setup->spin && cf__arena_search(view, number) && cf__worker_spin(view, number, spin))
            continue;
        int64_t asleep = cf__os_now();
        cf__arena_park(view, number);
        /* Work that came so soon would have been found by a longer spin; if it took long, spinning was a waste. */
        bool soon = cf__os_now() - asleep < 2 * CF__SPIN_MOST;
        spin = soon ? CF__MIN(2 * spin, CF__SPIN_MOST) : CF__MAX(spin / 2, CF__SPIN_LEAST);
    }
    if (setup->on_stop != NULL) {
        setup->on_stop(setup->on_start_context);
        cf__os_flush_streams();
    }
    cf__os_exit(0);
}

#endif /* CF__BODIES && CF__FUTEX */

#endif
