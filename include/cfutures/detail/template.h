/* cfutures/detail/template.h - the single-threaded process that forks a process pool's workers, and buries them.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: worker.h.  Included by: process_pool.h.
 *
 * WHY IT EXISTS  A program with threads can't fork safely: the child finds locks that nobody will unlock.  The
 *   template is made once, when the pool is, and has one thread for ever, so its forks are safe.  The workers are
 *   its children: the program's wait() and SIGCHLD never see them.
 * WHAT IT DOES  Forks the workers; sleeps in ppoll; when one dies, settles what it left (cf__arena_reap) and forks
 *   another.  When told to (arena->stop, and a SIGUSR1 to make it look), it kills them, or waits until they have
 *   ended, and ends; or kills the one that the parent has found to spoil the arena (`condemned`).
 * WHOM IT KILLS AND COUNTS it knows from its private memory only: a task may write what it likes into the arena.
 * WHO WATCHES WHOM
 *   the parent dies    -> its pidfd becomes readable here: kill all, end.  A template that is stopped (SIGSTOP)
 *                         can't look, so there is also a pipe whose only writer is the parent: when that closes,
 *                         the kernel kills the template.
 *   the template dies  -> PR_SET_PDEATHSIG kills the workers.  `life` is a word on the template's robust list: the
 *                         kernel marks it and wakes one waiter in the parent, which wakes the others.
 *   a worker dies      -> SIGCHLD.
 * GIVING UP  A worker that ends before it was ready for tasks (on_start failed, or crashed) is replaced after a
 *   pause that doubles from 1 ms to 256 ms; after 8 in a row, and with no other worker that is ready, the pool is
 *   broken, and says why.  A worker that was ready is replaced at once. */
#ifndef CFUTURES_DETAIL_TEMPLATE_H
#define CFUTURES_DETAIL_TEMPLATE_H

#include "worker.h"

#if CF__BODIES && CF__FUTEX

#define CF__START_FAILURES 8 /* in a row, until the pool is broken */

/* Values of arena->life, as the kernel's robust lists have them. */
#define CF__LIFE_WAITERS 0x80000000u /* wake one waiter at the owner's death */
#define CF__LIFE_DIED 0x40000000u
#define CF__LIFE_OWNER 0x3fffffffu

CF__PRIVATE bool
cf__life_ended(uint32_t life)
{
    return (life & CF__LIFE_DIED) != 0 || (life & CF__LIFE_OWNER) == 0;
}

typedef struct cf__template {
    cf__process_setup *setup;
    int32_t *processes;     /* of each worker; 0: there is none */
    unsigned char *retries; /* of each slot, see cf__arena_reap() */
    uint32_t living;
    uint32_t failures;  /* workers in a row that ended before they were ready */
    int64_t next_start; /* not before that time */
    int32_t self;
} cf__template;

/* Kills every worker, or those that the parent has condemned. */
CF__PRIVATE void
cf__template_kill(const cf__template *template_, bool all)
{
    const cf__arena_view *view = &template_->setup->view;
    for (uint32_t i = 0; i < view->worker_count; i++) {
        int32_t process = template_->processes[i];
        /* relaxed: the parent's signal comes after its store. */
        if (process != 0 && (all || cf__load_relaxed(&view->workers[i].condemned) == process))
            cf__os_kill_group(process);
    }
}

/* Ends; the parent learns it by `life`. */
CF__PRIVATE void
cf__template_give_up(const cf__template *template_, const char *what, const char *why)
{
    cf__arena *arena = template_->setup->view.arena;
    (void)snprintf(arena->broken, sizeof arena->broken, "%.50s: %.100s", what, why);
    cf__template_kill(template_, true);
    cf__os_exit(EXIT_FAILURE);
}

/* Forks the workers that are missing, if it's time.  Returns 0, or why one couldn't be forked. */
CF__PRIVATE int
cf__template_start_workers(cf__template *template_)
{
    const cf__arena_view *view = &template_->setup->view;
    for (uint32_t i = 0; i < view->worker_count && template_->living < view->worker_count; i++) {
        if (template_->processes[i] != 0)
            continue;
        cf__worker_record *record = &view->workers[i];
        cf__store_relaxed(&record->started, 0u); /* relaxed: the fork carries it */
        cf__store_relaxed(&record->condemned, 0);
        record->message[0] = 0;
        int32_t process = cf__os_fork();
        if (process == 0)
            cf__worker_main(template_->setup, template_->self, i + 1);
        if (process < 0) {
            int error = errno;
            template_->next_start = cf__os_now() + INT64_C(100000000);
            return error;
        }
        cf__os_own_group(process); /* as it does itself: whoever comes first */
        template_->processes[i] = process;
        template_->living++;
        cf__store_relaxed(&record->process, process);
        if (template_->failures != 0)
            break; /* one at a time until one is ready */
    }
    return 0;
}

CF__PRIVATE bool
cf__template_has_ready_worker(const cf__template *template_)
{
    const cf__arena_view *view = &template_->setup->view;
    for (uint32_t i = 0; i < view->worker_count; i++) {
        if (template_->processes[i] != 0 && cf__load_acquire(&view->workers[i].started) != 0)
            return true;
    }
    return false;
}

CF__PRIVATE void
cf__template_bury(cf__template *template_, uint32_t index, int status)
{
    const cf__arena_view *view = &template_->setup->view;
    cf__worker_record *record = &view->workers[index];
    int32_t signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    int32_t exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

    template_->processes[index] = 0;
    template_->living--;
    cf__arena_reap(view, template_->retries, index + 1, signal_number, exit_status);
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
        else if (signal_number != 0)
            (void)snprintf(why, sizeof why, "killed by signal %d", signal_number);
        else
            (void)snprintf(why, sizeof why, "exited with status %d", exit_status);
        cf__template_give_up(template_, "no worker gets as far as its first task", why);
    }
}

CF__PRIVATE void
cf__template_bury_all(cf__template *template_)
{
    int status;
    int32_t process;
    /* Also what dead workers' tasks have left behind, for we are a subreaper. */
    while ((process = cf__os_reap_any(&status)) > 0) {
        for (uint32_t i = 0; i < template_->setup->view.worker_count; i++) {
            if (template_->processes[i] == process) {
                cf__template_bury(template_, i, status);
                break;
            }
        }
    }
}

CF__PRIVATE void
cf__template_make_home(cf__template *template_, cf__robust_list *robust)
{
    static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTTOU, SIGTTIN, SIGTSTP};
    cf__process_setup *setup = template_->setup;
    cf__arena *arena = setup->view.arena;

    template_->self = cf__os_pid();
    cf__os_close(setup->dead_man[1]);
    cf__os_dead_man(setup->dead_man[0]);
    cf__os_own_group(0);
    cf__os_adopt_orphans();
    cf__os_thread_name("cf-template");
    cf__os_purge_streams();
    cf__os_reset_signals();
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        cf__os_ignore_signal(ignored[i]);
    cf__os_await_signals(SIGCHLD, SIGUSR1);
    cf__store_release(&arena->life, CF__STATIC_CAST(uint32_t, template_->self) | CF__LIFE_WAITERS);
    cf__os_mark_at_death(robust, &arena->life);
}

CF__PRIVATE void
cf__template_main(void *argument)
{
    cf__template state = {CF__STATIC_CAST(cf__process_setup *, argument), NULL, NULL, 0, 0, 0, 0};
    cf__arena *arena = state.setup->view.arena;
    cf__robust_list robust;

    cf__current = NULL; /* the pool may have been made by a task */
    cf__template_make_home(&state, &robust);
    state.processes =
        CF__STATIC_CAST(int32_t *, cf__os_map_private(state.setup->view.worker_count * sizeof *state.processes));
    state.retries = CF__STATIC_CAST(unsigned char *, cf__os_map_private(state.setup->view.slot_count));
    int error = state.processes == NULL || state.retries == NULL ? ENOMEM : cf__template_start_workers(&state);
    if (state.living == 0) {
        arena->template_error = error;
        cf__os_exit(EXIT_FAILURE);
    }
    cf__store_release(&arena->ready, 1u);
    (void)cf__unpark_all(&arena->ready, CF__SCOPE_SHARED);

    for (;;) {
        cf__template_bury_all(&state);
        uint32_t stop = cf__load_acquire(&arena->stop);
        cf__template_kill(&state, stop == CF__ARENA_KILLS);
        if (stop != CF__ARENA_RUNS && state.living == 0)
            cf__os_exit(0);
        int64_t pause = -1; /* nanoseconds until the next thing to do; -1: nothing */
        if (stop == CF__ARENA_RUNS && state.living < state.setup->view.worker_count) {
            if (cf__os_now() >= state.next_start)
                (void)cf__template_start_workers(&state); /* fails for lack of processes or memory: again later */
            if (state.living < state.setup->view.worker_count)
                pause = CF__MAX(state.next_start - cf__os_now(), INT64_C(0));
        }
        if (cf__os_await_signal_or_end(state.setup->parent_pidfd, pause)) {
            cf__template_kill(&state, true); /* the parent is gone */
            cf__os_exit(0);
        }
    }
}

#endif /* CF__BODIES && CF__FUTEX */

#endif
