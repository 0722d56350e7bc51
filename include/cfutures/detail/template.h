/* cfutures/detail/template.h - the single-threaded process that forks a process pool's workers, and buries them.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: ladder.h.  Included by: process_slots.h.
 *
 * WHY IT EXISTS  A program with threads can't fork safely: the child finds locks that nobody will unlock.  The
 *   template is made once, when the pool is, and has one thread for ever, so its forks are safe.  The workers are
 *   its children: the program's wait() and SIGCHLD never see them.
 * WHAT IT DOES  Forks the workers; sleeps in ppoll; when one dies, settles what it left (cf__arena_reap) and forks
 *   another, as long as its number is wanted (arena.h).  Kills those whose tasks have passed a limit (ladder.h), or that
 *   the parent has found to spoil the arena (`condemned`).  When told to (arena->stop, and a SIGUSR1 to make it look), it
 *   kills them all, or waits until they have ended, and ends.
 * WHOM IT KILLS AND COUNTS it knows from its private memory only: a task may write what it likes into the arena.
 * WHO WATCHES WHOM
 *   the parent dies    -> its pidfd becomes readable here: kill all, with what their tasks have forked, and end.  A
 *                         template that is stopped (SIGSTOP) can't look, so there is also a pipe whose only writer is
 *                         the parent: when that closes, the kernel continues the template's process group, to which
 *                         a worker belongs until the next line holds for it.
 *   the template dies  -> PR_SET_PDEATHSIG kills the workers; what their tasks have forked it doesn't reach.  `life`
 *                         is a word on the template's robust list: the kernel marks it and wakes one waiter in the
 *                         parent, which wakes the others.
 *   a worker dies      -> SIGCHLD.
 * GIVING UP  A worker that ends before it was ready for tasks (on_start failed, or crashed) is replaced after a
 *   pause that doubles from 1 ms to 256 ms, the missing ones one at a time until one is ready; after 8 in a row, and
 *   with no other worker that is ready, the pool is broken, and says why.  A worker that was ready is replaced at once.
 * RETRIES  How often a slot's task has been run is counted here, in private memory, and only for those that died: a task
 *   that may be tried again and kills each of its workers gets as many as it may have, and no more. */
#ifndef CFUTURES_DETAIL_TEMPLATE_H
#define CFUTURES_DETAIL_TEMPLATE_H

#include "ladder.h"

#if CF__BODIES && CF__FUTEX

#define CF__START_FAILURES 8             /* in a row, until the pool is broken */
#define CF__MUTE_LOOK INT64_C(100000000) /* nanoseconds between two looks at what a worker can't tell */

/* Values of arena->life, as the kernel's robust lists have them. */
#define CF__LIFE_WAITERS 0x80000000u /* wake one waiter at the owner's death */
#define CF__LIFE_DIED 0x40000000u
#define CF__LIFE_OWNER 0x3fffffffu

CF__PRIVATE bool
cf__life_ended(uint32_t life)
{
    return (life & CF__LIFE_DIED) != 0 || (life & CF__LIFE_OWNER) == 0;
}

typedef struct cf__employee { /* who has one number */
    int32_t process;          /* 0: nobody */
    cf__ladder ladder;
} cf__employee;

typedef struct cf__template {
    cf__process_setup *setup;
    cf__employee *employees; /* by number - 1 */
    cf__tries *tries;        /* by slot, see cf__arena_reap() */
    uint32_t living;
    uint32_t failures;  /* workers in a row that ended before they were ready */
    int64_t next_start; /* not before that time */
    uint64_t memory_kills;
    int32_t self;
} cf__template;

/* Kills all workers, but for those in a shield, if `shields` says to heed them; when to look at these again. */
CF__PRIVATE int64_t
cf__template_kill_all(cf__template *template_, bool shields)
{
    const cf__arena_view *view = &template_->setup->view;
    int64_t now = cf__os_now(), next = CF__NEVER;
    for (uint32_t i = 0; i < view->worker_count; i++) {
        cf__employee *employee = &template_->employees[i];
        uint32_t intent = cf__load_acquire(&view->workers[i].intent);
        if (employee->process == 0)
            continue;
        if (shields && intent != 0 && intent <= view->slot_total) {
            cf__ladder *ladder = &employee->ladder;
            uint64_t word = cf__load_acquire(&view->slots[intent - 1].word);
            (void)cf__ladder_move(ladder, intent, word);
            if (cf__slot_runs(word, i + 1) && !cf__ladder_claim_kill(view, ladder, i + 1, now) && ladder->slot != 0) {
                next = CF__MIN(next, ladder->next);
                continue;
            }
        }
        cf__os_signal_group(employee->process, SIGKILL);
    }
    return next;
}

/* Kills the workers that the parent has condemned, and puts right what else it can't, where a task has written over the
 * arena: only we know who is there. */
CF__PRIVATE void
cf__template_put_right(const cf__template *template_)
{
    const cf__arena_view *view = &template_->setup->view;
    for (uint32_t i = 0; i < view->worker_count; i++) {
        cf__worker_record *record = &view->workers[i];
        int32_t process = template_->employees[i].process;
        if (process == 0 && cf__load_relaxed(&record->intent) != 0)
            cf__store_release(&record->intent, 0u); /* release [A7]: nobody runs anything there */
        if (process == 0)
            cf__arena_unlend(view, i + 1); /* nor waits; it may have died so */
        /* relaxed: the parent's signal comes after its store. */
        if (process != 0 && cf__load_relaxed(&record->condemned) == process)
            cf__os_signal_group(process, SIGKILL);
        if (process != 0)
            cf__ladder_put_right(view, i + 1);
    }
}

/* Ends; the parent learns it by `life`. */
CF__PRIVATE void
cf__template_give_up(cf__template *template_, const char *what, const char *why)
{
    cf__arena *arena = template_->setup->view.arena;
    (void)snprintf(arena->broken, sizeof arena->broken, "%.50s: %.100s", what, why);
    (void)cf__template_kill_all(template_, false);
    cf__os_exit(EXIT_FAILURE);
}

/* Whether a number that is wanted has no worker. */
CF__PRIVATE bool
cf__template_misses_one(const cf__template *template_)
{
    uint32_t wanted = cf__arena_staff(&template_->setup->view), i = 0;
    while (i < wanted && template_->employees[i].process != 0)
        i++;
    return i < wanted;
}

CF__PRIVATE bool
cf__template_has_ready_worker(const cf__template *template_)
{
    for (uint32_t i = 0; i < template_->setup->view.worker_count; i++) {
        if (template_->employees[i].process != 0 && cf__load_acquire(&template_->setup->view.workers[i].started) != 0)
            return true;
    }
    return false;
}

/* Forks the workers that are missing, if it's time.  Returns 0, or why one couldn't be forked. */
CF__PRIVATE int
cf__template_start_workers(cf__template *template_)
{
    const cf__arena_view *view = &template_->setup->view;
    uint32_t wanted = cf__arena_staff(view);
    for (uint32_t i = 0; i < wanted; i++) {
        cf__employee *employee = &template_->employees[i];
        if (employee->process != 0)
            continue;
        cf__worker_record *record = &view->workers[i];
        cf__store_relaxed(&record->started, 0u); /* relaxed, all: the fork carries it */
        cf__store_relaxed(&record->due, CF__NEVER);
        cf__store_relaxed(&record->overwritten, 0u);
        cf__store_relaxed(&record->mute, 0u);
        cf__store_relaxed(&record->condemned, 0);
        record->message[0] = record->note[0] = 0;
        record->fault_known = record->frame_count = 0;
        if (cf__load_relaxed(&view->arena->high) < i + 1)
            cf__store_seq_cst(&view->arena->high, i + 1); /* seq_cst: see cf__arena_wake_all() */
        int32_t process = cf__os_fork();
        if (process == 0)
            cf__worker_main(template_->setup, template_->self, i + 1);
        if (process < 0) {
            int error = errno;
            template_->next_start = cf__os_now() + INT64_C(100000000);
            return error;
        }
        memset(employee, 0, sizeof *employee);
        employee->process = process;
        template_->living++;
        cf__store_relaxed(&record->process, process);
        cf__store_relaxed(&record->staffed, 1u); /* relaxed: who doesn't see it pokes us for nothing */
        if (template_->failures != 0 && !cf__template_has_ready_worker(template_)) {
            template_->next_start = cf__os_now() + (INT64_C(1000000) << template_->failures);
            break; /* one at a time until one is ready */
        }
    }
    return 0;
}

/* The slot whose task a dead worker ran, + 1, and its word; 0: none. */
CF__PRIVATE uint32_t
cf__template_task_of(const cf__template *template_, uint32_t number, uint64_t *word)
{
    const cf__arena_view *view = &template_->setup->view;
    uint32_t intent = cf__load_acquire(&view->workers[number - 1].intent);
    if (intent == 0 || intent > view->slot_total)
        return 0;
    *word = cf__load_acquire(&view->slots[intent - 1].word);
    return cf__slot_runs(*word, number) ? intent : 0;
}

/* Whether the task that a dead worker ran is to be tried again; *tries: how often it has been now. */
CF__PRIVATE bool
cf__template_retries(cf__template *template_, uint32_t number, bool limited, unsigned *tries)
{
    const cf__arena_view *view = &template_->setup->view;
    uint64_t word;
    uint32_t task = cf__template_task_of(template_, number, &word);
    *tries = 1;
    if (task == 0)
        return false;
    const cf__slot *slot = &view->slots[task - 1];
    cf__tries *mine = cf__tries_of(&template_->tries[task - 1], word);
    bool dropped = task > view->slot_count && (word & CF__SLOT_STOP) != 0; /* nobody waits for that child any more */
    *tries = ++mine->count;
    uint32_t retries = slot->limited != 0 ? cf__ladder_limits(slot).retries : 0;
    if (limited || dropped || cf__load_acquire(&view->arena->stop) == CF__ARENA_KILLS)
        return false;
    /* relaxed: it's dead. */
    return cf__load_relaxed(&view->workers[number - 1].overwritten) == 0 && mine->count <= CF__MIN(retries, 255u);
}

/* What is known of the death of the worker with `number`, and of the task that it ran. */
CF__PRIVATE cf_account
cf__template_account(cf__template *template_, uint32_t number, const cf__process_death *death)
{
    const cf__worker_record *record = &template_->setup->view.workers[number - 1];
    const cf__ladder *ladder = &template_->employees[number - 1].ladder;
    cf_account account;
    memset(&account, 0, sizeof account);
    account.signal = death->signal;
    account.status = death->status;
    int64_t started = CF__MAX(cf__load_relaxed(&record->started_at), INT64_C(0)); /* or a task has written that */
    int64_t before = CF__MAX(cf__load_relaxed(&record->cpu_before), INT64_C(0));
    account.run_ns = CF__MAX(cf__os_now() - started, INT64_C(0));
    account.cpu_ns = CF__MAX(death->cpu - before, INT64_C(0));
    account.peak_memory = death->peak_memory;
    if (ladder->rung >= CF__TERMINATED)
        account.limit = ladder->limit;
    if (death->signal == SIGKILL && ladder->rung < CF__KILLED) {
        uint64_t kills = cf__os_memory_kills();
        account.out_of_memory = kills > template_->memory_kills;
        template_->memory_kills = kills;
    }
    return account;
}

CF__PRIVATE void
cf__template_bury(cf__template *template_, uint32_t index, const cf__process_death *death)
{
    const cf__arena_view *view = &template_->setup->view;
    cf__worker_record *record = &view->workers[index];

    cf_account account = cf__template_account(template_, index + 1, death);
    bool retry = cf__template_retries(template_, index + 1, account.limit != CF_LIMIT_NONE, &account.tries);
    memset(&template_->employees[index], 0, sizeof template_->employees[index]);
    template_->living--;
    cf__store_seq_cst(&record->staffed, 0u); /* seq_cst [N3]: before our look at lent */
    cf__arena_reap(view, template_->tries, index + 1, &account, retry);
    if (cf__load_acquire(&record->started) != 0 || cf__load_acquire(&view->arena->stop) != CF__ARENA_RUNS) {
        template_->failures = 0;
        template_->next_start = 0;
        return;
    }
    template_->next_start = cf__os_now() + (INT64_C(1000000) << template_->failures);
    if (template_->failures < CF__START_FAILURES)
        template_->failures++;
    if (template_->failures == CF__START_FAILURES && !cf__template_has_ready_worker(template_)) {
        char why[CF__MESSAGE_SIZE];
        record->message[sizeof record->message - 1] = 0;
        if (record->message[0] != 0)
            (void)snprintf(why, sizeof why, "%.100s", record->message);
        else
            (void)snprintf(why, sizeof why, death->signal != 0 ? "killed by signal %d" : "exited with status %d",
                           death->signal != 0 ? death->signal : death->status);
        cf__template_give_up(template_, "no worker gets as far as its first task", why);
    }
}

CF__PRIVATE void
cf__template_bury_all(cf__template *template_)
{
    uint32_t count = template_->setup->view.worker_count, index;
    cf__process_death death;
    int32_t process;
    uint64_t word;
    /* Also what dead workers' tasks have left behind, for we are a subreaper. */
    while ((process = cf__os_dead_child()) > 0) {
        for (index = 0; index < count && template_->employees[index].process != process;)
            index++;
        /* A task that is lost takes what it has started with it: before the reaping, after which the group's number may
         * be another's. */
        if (index < count && cf__template_task_of(template_, index + 1, &word) != 0)
            cf__os_signal_group(process, SIGKILL);
        cf__os_reap(process, &death);
        if (index < count)
            cf__template_bury(template_, index, &death);
    }
}

/* Looks at the tasks that have limits; when to look again. */
CF__PRIVATE int64_t
cf__template_look(cf__template *template_, bool poked)
{
    const cf__arena_view *view = &template_->setup->view;
    int64_t next = CF__NEVER, now = cf__os_now();
    for (uint32_t i = 0; i < view->worker_count; i++) {
        cf__employee *employee = &template_->employees[i];
        if (employee->process != 0) {
            int64_t look = cf__ladder_look(view, &employee->ladder, i + 1, employee->process, now, poked);
            /* acquire: what it has found out before it was ready; nobody tells us when it has. */
            bool mute = template_->setup->on_start != NULL && (cf__load_acquire(&view->workers[i].started) == 0 ||
                                                               cf__load_relaxed(&view->workers[i].mute) != 0);
            next = CF__MIN(next, look);
            next = mute ? CF__MIN(next, now + CF__MUTE_LOOK) : next;
        }
    }
    return next;
}

/* The time until which there is nothing to do, unless a signal comes. */
CF__PRIVATE int64_t
cf__template_next(cf__template *template_, bool poked)
{
    int64_t next = cf__template_look(template_, poked);
    /* seq_cst [A6]: then the second look; who says afterwards that something is due sooner pokes us.  We may wake before that
     * time; to say so, and look again, would have no end beside a task that makes itself due sooner each time. */
    (void)cf__exchange_seq_cst(&template_->setup->view.arena->next_look, next);
    return CF__MIN(next, cf__template_look(template_, false));
}

/* A fork of the program becomes a process of ours. */
CF__PRIVATE void
cf__template_leave_program(const char *name)
{
    static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTTOU, SIGTTIN, SIGTSTP};
    cf__current = NULL; /* a task may have forked us */
    cf__os_adopt_orphans();
    cf__os_thread_name(name);
    cf__os_purge_streams();
    cf__os_reset_signals(ignored, sizeof ignored / sizeof *ignored);
}

CF__PRIVATE void
cf__template_make_home(cf__template *template_, cf__robust_list *robust)
{
    cf__arena *arena = template_->setup->view.arena;

    template_->self = cf__os_pid();
    cf__template_leave_program("cf-template");
    cf__os_await_signals(SIGCHLD, SIGUSR1);
    cf__store_release(&arena->life, CF__STATIC_CAST(uint32_t, template_->self) | CF__LIFE_WAITERS);
    cf__os_mark_at_death(robust, &arena->life);
}

CF__PRIVATE void
cf__template_main(void *argument)
{
    cf__template state;
    cf__robust_list robust;
    bool poked = false;

    memset(&state, 0, sizeof state);
    state.setup = CF__STATIC_CAST(cf__process_setup *, argument);
    const cf__arena_view *view = &state.setup->view;
    cf__arena *arena = view->arena;
    cf__template_make_home(&state, &robust);
    state.employees = CF__STATIC_CAST(cf__employee *, cf__os_map_private(view->worker_count * sizeof *state.employees));
    state.tries = CF__STATIC_CAST(cf__tries *, cf__os_map_private(view->slot_total * sizeof *state.tries));
    state.memory_kills = cf__os_memory_kills();
    int error = state.employees == NULL || state.tries == NULL ? ENOMEM : cf__template_start_workers(&state);
    if (state.living == 0) {
        arena->template_error = error;
        cf__os_exit(EXIT_FAILURE);
    }
    cf__store_release(&arena->ready, 1u);
    (void)cf__unpark_all(&arena->ready, CF__SCOPE_SHARED);

    for (;;) {
        cf__template_bury_all(&state);
        cf__template_put_right(&state);
        uint32_t stop = cf__load_acquire(&arena->stop);
        int64_t next = stop == CF__ARENA_KILLS ? cf__template_kill_all(&state, true) : cf__template_next(&state, poked);
        if (stop != CF__ARENA_RUNS && state.living == 0)
            cf__os_exit(0);
        if (stop == CF__ARENA_RUNS && cf__template_misses_one(&state)) {
            if (cf__os_now() >= state.next_start)
                (void)cf__template_start_workers(&state); /* fails for lack of processes or memory: again later */
            if (cf__template_misses_one(&state))
                next = CF__MIN(next, state.next_start);
        }
        int64_t pause =
            next == CF__NEVER ? -1 : CF__MAX(next - cf__os_now(), INT64_C(0)); /* -1: until a signal comes */
        switch (cf__os_await_signal_or_end(state.setup->parent_pidfd, state.setup->life_line[0], pause)) {
        case CF__AWAITED_END:
            (void)cf__template_kill_all(&state, false); /* the parent is gone */
            cf__os_exit(0);
            break;
        case CF__AWAITED_SIGNAL:
            poked = true;
            break;
        default:
            poked = false;
        }
    }
}

/* ---- a process that starts templates ---- */

#define CF__NURSERY_PATIENCE INT64_C(10000000000) /* nanoseconds: then it has been stopped, and counts as dead */

typedef struct cf__nursery cf__nursery;
struct cf__nursery { /* made by cf_process_pool_prepare(), see ../prepare.h; fields: I immutable, M under mutex */
    /* Memory for a pool, and the file that it is of; NULL: none. */
    void *(*place)(cf__nursery *, size_t size, int *file);
    /* 0; an errno: there is no template; or ECONNRESET: nobody knows. */
    int (*start)(cf__nursery *, const cf__process_setup *, void *memory, size_t size, int file, size_t stack_size);
    cf__code code;         /* I: what was loaded when it was forked */
    uint32_t *fork_guard;  /* I: as an executor's */
    int32_t process;       /* I: the program that it belongs to */
    int32_t self;          /* I */
    int socket, life_line; /* I: the program's ends */
    cf__mutex mutex;
    bool lost; /* M: don't ask it any more */
};

/* The program's nursery, or NULL: one for all files, and thus weak as cf__current is (task_type.h).  A pool must find what
 * main() has prepared, wherever it is made. */
__attribute__((weak, visibility("default"))) cf__nursery *cf__prepared;

CF__PRIVATE cf__nursery *
cf__nursery_of_program(void)
{
    cf__nursery *nursery = cf__load_acquire(&cf__prepared); /* acquire: its fields */
    if (nursery == NULL)
        return NULL;
    bool ours = nursery->fork_guard != NULL ? *nursery->fork_guard != 0 : nursery->process == cf__os_pid();
    return ours ? nursery : NULL; /* a forked child's pools are its own affair */
}

#endif /* CF__BODIES && CF__FUTEX */

#endif
