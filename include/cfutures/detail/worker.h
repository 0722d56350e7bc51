/* cfutures/detail/worker.h - the process that runs a process pool's tasks.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: nested.h, os_process.h.  Included by: ladder.h.
 *
 * LIFE  The template forks it; it makes itself at home, calls on_start, then claims, runs and publishes tasks
 *   (arena.h) until the pool stops or it dies.  It may die anywhere: what must be done after that is the template's
 *   business.
 * AT HOME means: it is killed when the template dies; it has a process group of its own, so that Ctrl-C reaches
 *   only the parent and a kill reaches what its tasks start; signals are at their defaults, but for SIGINT and
 *   SIGTTOU, which are ignored; standard input is empty; and exit() or quick_exit() in a task ends the process
 *   without running the program's handlers or writing what the program had left in its buffers.  It has no descriptor of ours: a
 *   task may close whatever it finds.  An on_start may change the user: then it can't poke the template any more, which
 *   looks every CF__MUTE_LOOK.
 * LIMITS  Before a task that has some the worker says when to look at it; what then happens is the template's business
 *   (ladder.h).  Its memory limit is the kernel's, RLIMIT_DATA, for as long as the task runs.
 * LEAVING  A worker that has run max_tasks, owns too much memory, or isn't wanted any more, ends between two tasks, as at
 *   the end of the pool; to everybody else that is a death in which nothing is lost.  A stand-in (arena_nested.h) that isn't
 *   wanted stays for a while before it leaves.
 * OUTPUT  that a task has left in stdout's or stderr's buffer is written before its result is published.
 * A TASK THAT FORKS and returns in the child as well: the child ends there, it has no part in the pool. */
#ifndef CFUTURES_DETAIL_WORKER_H
#define CFUTURES_DETAIL_WORKER_H

#include "nested.h"
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
    char name[11];        /* prefix of the workers' names */
    bool spin;            /* more than one CPU */
    uint32_t max_tasks;   /* of a worker; 0: no limit */
    uint64_t max_memory;  /* bytes; 0: no limit */
    int64_t idle_timeout; /* nanoseconds; CF__NEVER: none */
    int parent_pidfd;     /* the template watches it */
    int life_line[2];     /* a pipe; reader: the template; writer: the parent */
    const void *pool;     /* the program's handle: a worker knows it by its address only */
    cf__code *code;       /* what the workers can run: in memory that they are forks of */
} cf__process_setup;

CF__PRIVATE void
cf__worker_make_home(const cf__process_setup *setup, int32_t template_process, uint32_t number)
{
    static const int ignored[] = {SIGINT, SIGTTOU};
    char name[32];
    cf__current = NULL; /* a task on a thread may have made the pool */
    /* Only then out of the template's group, and off the pipe: one of the two reaches us also if we are stopped here. */
    cf__os_die_with(template_process);
    cf__os_own_group();
    cf__os_reset_signals(ignored, sizeof ignored / sizeof *ignored);
    cf__os_close(setup->parent_pidfd);
    cf__os_close(setup->life_line[0]);
    cf__os_empty_stdin();
    if (!cf__os_exit_at_once() || !cf__os_end_with_thread()) {
        (void)snprintf(setup->view.workers[number - 1].message, CF__MESSAGE_SIZE,
                       "no memory, or no thread-specific key, to catch exit() and pthread_exit() in tasks");
        cf__os_exit(EXIT_FAILURE);
    }
    cf__os_prefer_as_victim();
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
        if (cf__arena_has_hints(view))
            return true;
        cf__cpu_relax();
    } while (cf__os_now() < end);
    return false;
}

#define CF__CPU_CLOCK_STEP INT64_C(1000000)    /* nanoseconds between two looks at our CPU clock, a system call */
#define CF__MEMORY_LOOK_STEP INT64_C(10000000) /* and at how much memory we own, several */

typedef struct cf__worker {   /* private to the process */
    cf__task_context context; /* of the worker itself: on_start's, and the outermost one of its tasks */
    const cf__process_setup *setup;
    cf__arena_view view;
    cf__worker_record *record;
    uint32_t number;
    uint32_t index;                /* the slot whose task it runs */
    uint32_t ran;                  /* tasks */
    int64_t cpu_read, memory_read; /* when it last looked at its CPU clock, its memory */
    uint32_t *fork_guard;          /* as an executor's */
    int32_t process;               /* where there is none */
    void *user;                    /* cf_worker_local() */
    const void *pool;              /* the setup's; NULL: the address is another executor's here */
    cf__nested nested;             /* ops NULL: no task has used it */
} cf__worker;

CF__PRIVATE cf__worker *
cf__worker_of(cf__task_context *context)
{
    while (context->outer != NULL)
        context = context->outer;
    return CF__POINTER_CAST(cf__worker *, context);
}

/* ---- what its tasks ask of it ---- */

CF__PRIVATE void
cf__worker_note(cf__task_context *context, const char *text)
{
    cf__worker *worker = cf__worker_of(context);
    memcpy(worker->record->note, text, CF_NOTE_SIZE);
    cf__store_relaxed(&worker->record->noted,
                      cf__os_now()); /* relaxed: the template looks at it, late is soon enough */
}

CF__PRIVATE void
cf__worker_shield(cf__task_context *context, int64_t end)
{
    cf__worker *worker = cf__worker_of(context);
    if (context == &worker->context)
        return; /* on_start, which no limit ends */
    if (!cf__arena_shield(&worker->view, worker->number, worker->index, end))
        cf__os_pause_for_good(); /* it's being killed, and mustn't begin what it wanted to shield */
}

CF__PRIVATE void
cf__worker_stop_signal(cf__task_context *context, int signal_number)
{
    cf__store_relaxed(&cf__worker_of(context)->record->stop_signal, CF__STATIC_CAST(uint32_t, signal_number));
}

/* The pool's own handle stands for the worker's part in it.  By its address: after cf_process_pool_prepare() there is nothing in
 * the worker that it points to. */
CF__PRIVATE void *
cf__worker_executor(cf__task_context *context, void *handle)
{
    cf__worker *worker = cf__worker_of(context);
    if (handle != NULL ? handle != worker->pool : context == &worker->context)
        return handle;
    if (worker->nested.base.ops == NULL)
        cf__nested_init(&worker->nested, &worker->view, worker->number, &worker->context, worker->setup->code,
                        worker->fork_guard);
    return &worker->nested.base;
}

/* An executor made in the worker may lie where the program has its pool. */
CF__PRIVATE void
cf__worker_made(cf__task_context *context, const void *executor)
{
    cf__worker *worker = cf__worker_of(context);
    if (executor == worker->pool)
        worker->pool = NULL;
}

CF__PRIVATE const cf__task_host *
cf__worker_host(void)
{
    static const cf__task_host host = {cf__worker_note, cf__worker_shield, cf__worker_stop_signal, cf__worker_executor,
                                       cf__worker_made};
    return &host;
}

/* ---- running a task ---- */

/* What the record says of the task that is about to run, and of the last one no more. */
CF__PRIVATE void
cf__worker_begin(cf__worker *worker, int64_t now)
{
    cf__worker_record *record = worker->record;
    /* relaxed, all: the template looks at them after a poke, or our death. */
    cf__store_relaxed(&record->started_at, now);
    if (now - worker->cpu_read >= CF__CPU_CLOCK_STEP) {
        worker->cpu_read = now;
        cf__store_relaxed(&record->cpu_before, cf__os_process_cpu_time(0));
    }
    if (record->note[0] != 0 || cf__load_relaxed(&record->stop_signal) != 0) {
        record->note[0] = 0;
        cf__store_relaxed(&record->stop_signal, 0u);
    }
}

/* Sets the limits of the task; false, and the task's failure in `context`, if it can't or mustn't run under them. */
CF__SLOW bool
cf__worker_limit(cf__worker *worker, const cf__limits *limits, int64_t now, cf__task_context *context, uint64_t *before)
{
    cf_limit first = CF_LIMIT_NONE;
    uint64_t word = cf__load_relaxed(&worker->view.slots[worker->index].word); /* relaxed: we claimed it */
    if (limits->start_by != 0 && now >= limits->start_by && cf__slot_tries(word) == 0)
        return false;
    if (limits->memory != 0) {
        int error = cf__os_limit_memory(limits->memory, before);
        if (error != 0) {
            context->failed = true;
            context->code = error;
            (void)snprintf(context->message, sizeof context->message, "memory_limit can't be set: errno %d", error);
            return false;
        }
    }
    cf__store_relaxed(&worker->record->noted, INT64_C(0));
    if (limits->cpu_ms != 0) { /* it's worth a system call */
        worker->cpu_read = now;
        cf__store_relaxed(&worker->record->cpu_before, cf__os_process_cpu_time(0));
    }
    int64_t due = cf__limits_due(limits, now, 0, 0, now, &first);
    if (due != CF__NEVER)
        cf__arena_expect_look(&worker->view, worker->number, due);
    return true;
}

CF__PRIVATE void
cf__worker_run(cf__worker *worker)
{
    cf__slot *slot = &worker->view.slots[worker->index];
    cf__task_context context;
    cf__limits limits;
    uint32_t state = CF__SLOT_DONE;
    uint64_t memory_before = 0;
    int64_t now = cf__os_now();
    bool limited = slot->limited != 0;

    cf__task_context_init(&context, cf__slot_futex(slot), CF__SLOT_STOP);
    cf__worker_begin(worker, now);
    if (limited)
        memcpy(&limits, &slot->limits, sizeof limits);
    if (!limited || cf__worker_limit(worker, &limits, now, &context, &memory_before))
        slot->run(slot->args, slot->result, &context);
    else if (!context.failed)
        state = CF__SLOT_LATE;
    /* relaxed: only a fork changes it */
    if (worker->fork_guard != NULL ? cf__load_relaxed(worker->fork_guard) == 0 : cf__os_pid() != worker->process)
        cf__os_exit(0);
    if (worker->nested.base.ops != NULL) {
        cf__current = &context; /* a child that runs here hears that we are to stop */
        cf__nested_finish(&worker->nested);
        cf__current = &worker->context;
    }
    cf__os_flush_streams();
    if (limited) {
        cf__store_relaxed(&worker->record->due, CF__NEVER); /* relaxed: a look for nothing does no harm */
        if (memory_before != 0)
            cf__os_unlimit_memory(memory_before);
    }
    if (context.failed) {
        state = CF__SLOT_FAILED;
        slot->code = context.code;
        cf__store_relaxed(&worker->record->overwritten, 1u); /* relaxed, both: the template looks after our death */
        memcpy(slot->payload, context.message, sizeof context.message);
    }
    if (!cf__arena_publish(&worker->view, worker->number, worker->index, state))
        cf__os_exit(0); /* it isn't ours any more: a limit has passed, or the pool is broken */
    if (context.failed)
        cf__store_relaxed(&worker->record->overwritten, 0u);
    worker->ran++;
}

/* ---- life ---- */

/* Whether to leave, for one of the reasons that a worker has by itself. */
CF__PRIVATE bool
cf__worker_is_spent(cf__worker *worker)
{
    const cf__process_setup *setup = worker->setup;
    if (setup->max_tasks != 0 && worker->ran >= setup->max_tasks)
        return true;
    if (setup->max_memory != 0) {
        int64_t now = cf__os_now();
        if (now - worker->memory_read >= CF__MEMORY_LOOK_STEP) {
            uint64_t mapped, resident;
            worker->memory_read = now;
            cf__os_memory(&mapped, &resident);
            return resident > setup->max_memory;
        }
    }
    return false;
}

CF__PRIVATE bool
cf__worker_start(cf__worker *worker)
{
    const cf__process_setup *setup = worker->setup;
    uint64_t user = cf__os_user();
    cf__task_context_init(&worker->context, NULL, 0);
    worker->context.local = &worker->user;
    worker->context.host = cf__worker_host();
    cf__current = &worker->context;
    if (setup->on_start != NULL) {
        setup->on_start(setup->on_start_context);
        worker->context.can_fail = false;
        cf__os_flush_streams();
        if (worker->context.failed)
            memcpy(worker->record->message, worker->context.message, sizeof worker->record->message);
    }
    if (cf__os_user() != user) {
        cf__os_die_with(worker->view.template_process);
        if (!cf__os_signal(worker->view.template_process, SIGUSR1))
            cf__store_relaxed(&worker->record->mute, 1u); /* relaxed: `started` publishes it */
    }
    return !worker->context.failed;
}

CF__PRIVATE void
cf__worker_main(const cf__process_setup *setup, int32_t template_process, uint32_t number)
{
    cf__worker self;
    int64_t spin = CF__SPIN_MOST / 2;
    bool stands_in = number > cf__load_relaxed(&setup->view.arena->wanted); /* relaxed: the fork carries it */

    memset(CF__STATIC_CAST(void *, &self), 0, sizeof self);
    self.setup = setup;
    self.view = setup->view;
    self.view.template_process = template_process;
    self.record = &self.view.workers[number - 1];
    self.number = number;
    self.pool = setup->pool;
    cf__worker_make_home(setup, template_process, number);
    if (!cf__worker_start(&self))
        cf__os_exit(EXIT_FAILURE);
    self.fork_guard = cf__os_fork_guard_new();
    self.process = cf__os_pid();
    cf__store_release(&self.record->started, 1u); /* the template reads it after our death */
    (void)cf__arena_search(&self.view, number); /* as if we had been woken: if there is more to do, we call the next */

    for (;;) {
        bool wanted = cf__arena_is_wanted(&self.view, number);
        bool stops = !wanted && cf__load_acquire(&self.view.arena->stop) != CF__ARENA_RUNS;
        if (!wanted && !stops) {
            cf__arena_pass_on(&self.view, number); /* our death would make up for it, but only after on_stop */
            if (stands_in && cf__arena_linger(&self.view, number))
                continue;
            break; /* there are others */
        }
        if (cf__arena_claim(&self.view, number, &self.index)) {
            cf__worker_run(&self);
            if (cf__worker_is_spent(&self))
                break;
            continue;
        }
        if (stops)
            break;
        if (setup->spin && cf__arena_search(&self.view, number) && cf__worker_spin(&self.view, number, spin))
            continue;
        cf__arena_unlend(&self.view, number); /* it isn't, whatever a faulty task has written there */
        int64_t asleep = cf__os_now();
        bool stays = setup->idle_timeout == CF__NEVER || number <= cf__load_relaxed(&self.view.arena->least);
        int64_t retires = stays ? CF__NEVER : asleep + setup->idle_timeout;
        /* Who stands in now: whether it's still wanted, for nobody tells it (relaxed: a change of `wanted` wakes it). */
        bool spare = number > cf__load_relaxed(&self.view.arena->wanted);
        int64_t looks = spare ? cf_after_ns(CF__LINGER) : CF__NEVER;
        if (!cf__arena_park(&self.view, number, CF__MIN(retires, looks)) && retires <= looks)
            cf__arena_retire(&self.view, number);
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
