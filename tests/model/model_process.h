/* tests/model/model_process.h - the processes of the model: how they start, die, send signals and wait for each other.
 * SPDX-License-Identifier: MIT
 * Included by: model_engine.h.
 *
 * DEATH  A process that dies never runs again, nor do its other threads; who it left asleep is off every queue.  Its
 *   private blocks are gone, shared memory stays as it is, and so does a mutex in it.  Its parent is sent SIGCHLD, who
 *   wants to die with it SIGKILL, and the word of its robust list is marked.
 * SIGNALS  One that is sent is pending.  It arrives by choice at any later step of the process, for that runs on another
 *   CPU; surely at the end of its next system call (a yield, a futex call, a signal of its own), and at once if it sleeps
 *   in one.  SIGKILL is no other: its victim may go on for a while.  On arrival the process's handler runs, on the stack
 *   of its first thread, or the process dies.  A blocked one stays pending until model__await().  The kernel orders what
 *   precedes the sending before what follows the arrival, so signals carry knowledge, unlike futexes.
 * FORK  returns twice, as in reality: first in the child, which is to call model_fork_child(); that starts the child's
 *   coroutine, with a copy of what it's given, and then fork() returns in the parent. */
#ifndef CFUTURES_TESTS_MODEL_PROCESS_H
#define CFUTURES_TESTS_MODEL_PROCESS_H

#define MODEL__PID 1000 /* of process 0 */

MODEL__SMALL static int32_t
model__pid(void)
{
    return MODEL__PID + (int32_t)model.current->process;
}

MODEL__SMALL static void
model__process_init(unsigned process, unsigned parent)
{
    memset(&model.processes[process], 0, offsetof(struct model__process, knowledge));
    model.processes[process].live = true;
    model.processes[process].parent = parent;
    model.processes[process].dies_with = -1;
    model__know_nothing(&model.processes[process].knowledge);
    model__know_nothing(&model.processes[process].signals);
}

MODEL__ENGINE static unsigned
model_process_start(const char *name, void (*run)(void *argument), void *argument)
{
    model__limit(model.process_count + 1 == MODEL__PROCESSES, "processes");
    unsigned process = ++model.process_count;
    model__process_init(process, model.current->process);
    model__coroutine_new(name, process, run, argument)->joined = true;
    return process;
}

/* ---- signals ---- */

/* The signals that arrive at `process` if it takes any. */
MODEL__SMALL static uint64_t
model__arriving(unsigned process)
{
    return model.processes[process].pending & ~model.processes[process].blocked;
}

MODEL__ENGINE static void
model__send(unsigned process, int number)
{
    struct model__process *to = &model.processes[process];
    uint64_t bit = UINT64_C(1) << number;
    if (!to->live || (to->ignored & bit) || (number == SIGCHLD && !(to->blocked & bit) && to->on_signal == NULL))
        return;
    model.signals += (to->pending & bit) == 0;
    to->pending |= bit;
    model__learn(&to->signals, &model.current->knowledge);
    model__told();
    model__written();
    for (unsigned i = 0; i < model.coroutines; i++) {
        model__coroutine *c = &model.coroutine[i];
        if (c->process != process || (c->state != MODEL__IN_FUTEX && c->state != MODEL__IN_AWAIT) ||
            model__arriving(process) == 0)
            continue;
        c->state = MODEL__READY; /* the system call ends */
        c->in_time = true;
    }
}

MODEL__ENGINE static void
model__take_signals(const model__site *site, bool surely)
{
    struct model__process *self = &model.processes[model.current->process];
    uint64_t arriving;
    while ((arriving = model__arriving(model.current->process)) != 0) {
        int number = __builtin_ctzll(arriving);
        if (!surely && model__choose(2, MODEL__RARE) == 0)
            return;
        self->pending &= ~(UINT64_C(1) << number);
        model.signals--;
        model__learn(&model.current->knowledge, &self->signals);
        MODEL__TRACE(site, "*** signal %d arrives ***", number);
        if (number != SIGKILL && self->on_signal != NULL) {
            self->on_signal(number);
            continue;
        }
        model__end_process(number, 0);
        model__schedule(MODEL__BLOCK);
    }
}

MODEL__ENGINE static void
model__signal(const model__site *site, int32_t process, int number)
{
    model__enter(site, NULL, false);
    model__limit(process < MODEL__PID || process > MODEL__PID + (int32_t)model.process_count, "no such process");
    MODEL__TRACE(site, "signal %d to process %d", number, process - MODEL__PID);
    model__send((unsigned)(process - MODEL__PID), number);
    model__take_signals(site, true);
}

MODEL__SMALL static void
model_on_signal(void (*handler)(int signal_number))
{
    model.processes[model.current->process].on_signal = handler;
}

MODEL__SMALL static void
model_spare(unsigned process)
{
    model.processes[process].spared = true;
}

/* Blocks or ignores more signals; 0 and 0: none any more, and each kills. */
MODEL__SMALL static void
model__set_signals(uint64_t block, uint64_t ignore)
{
    struct model__process *self = &model.processes[model.current->process];
    bool reset = block == 0 && ignore == 0;
    self->blocked = reset ? 0 : self->blocked | block;
    self->ignored = reset ? 0 : self->ignored | ignore;
    self->on_signal = reset ? NULL : self->on_signal;
}

/* ---- waiting ---- */

/* Sleeps until a signal of those in `unblocked` has come, which it takes, or until `watched` has ended (-1: nobody), or
 * `deadline`. */
MODEL__ENGINE static cf__awaited
model__await(const model__site *site, int watched, uint64_t unblocked, int64_t deadline)
{
    model__coroutine *self = model.current;
    struct model__process *process = &model.processes[self->process];
    model__enter(site, NULL, false);
    self->watched = watched;
    self->unblocked = unblocked;
    self->deadline = deadline;
    self->in_time = true;
    self->state = MODEL__IN_AWAIT; /* a death now is one asleep */
    model__may_die(site);
    if (!model__can_run(self) && model__arriving(self->process) == 0)
        model__sleep(MODEL__IN_AWAIT, site);
    self->state = MODEL__READY;
    model__take_signals(site, true);
    uint64_t taken = process->pending & unblocked;
    self->watched = -1;
    self->unblocked = 0;
    if (taken != 0) {
        process->pending &= ~taken;
        model.signals -= (unsigned)__builtin_popcountll(taken);
        model__learn(&self->knowledge, &process->signals);
    } else if (watched >= 0 && !model.processes[watched].live) {
        model__learn(&self->knowledge, &model.processes[watched].knowledge);
        MODEL__TRACE(site, "process %d has ended", watched);
        return CF__AWAITED_END;
    }
    MODEL__TRACE(site, "%s", taken != 0 ? "signals" : self->in_time ? "nothing" : "the deadline has passed");
    return self->in_time ? CF__AWAITED_SIGNAL : CF__AWAITED_TIME;
}

/* Whether `process` has ended; waits for it until `deadline`. */
MODEL__ENGINE static bool
model__await_end(const model__site *site, int32_t process, int64_t deadline)
{
    if (deadline == 0) { /* only a look */
        model__enter(site, NULL, false);
        bool ended = !model.processes[process - MODEL__PID].live;
        if (ended)
            model__learn(&model.current->knowledge, &model.processes[process - MODEL__PID].knowledge);
        return ended;
    }
    cf__awaited awaited;
    do
        awaited = model__await(site, process - MODEL__PID, 0, deadline);
    while (awaited == CF__AWAITED_SIGNAL);
    return awaited == CF__AWAITED_END;
}

MODEL__ENGINE static cf__awaited
model__await_signal(const model__site *site, int32_t process, int64_t nanoseconds)
{
    return model__await(site, process < MODEL__PID ? -1 : process - MODEL__PID,
                        model.processes[model.current->process].blocked,
                        nanoseconds < 0 ? INT64_MAX : model.clock + nanoseconds);
}

MODEL__ENGINE static void
model__pause_for_good(const model__site *site)
{
    for (;;)
        (void)model__await(site, -1, 0, INT64_MAX);
}

MODEL__SMALL static void
model__tell_death(const model__site *site, unsigned index, model_death *death)
{
    *death = model.death[index].death;
    model.death[index].told = true;
    model__learn(&model.current->knowledge, &model.processes[death->process].knowledge);
    MODEL__TRACE(site, "process %u has %s", death->process, death->killed ? "died" : "ended");
}

MODEL__ENGINE static bool
model_wait_death(model_death *death)
{
    static const model__site site = {"wait_death", "", __FILE__, __LINE__};
    model__enter(&site, NULL, false);
    if (model__untold_death(-1) < 0 && model__any_process_left())
        model__sleep(MODEL__IN_DEATH, &site);
    int index = model__untold_death(-1);
    if (index >= 0)
        model__tell_death(&site, (unsigned)index, death);
    return index >= 0;
}

MODEL__ENGINE static int32_t
model__dead_child(const model__site *site)
{
    model__enter(site, NULL, false);
    int index = model__untold_death((int)model.current->process);
    return index < 0 ? 0 : MODEL__PID + (int32_t)model.death[index].death.process;
}

/* Of the children that have ended the one that model__dead_child() has found. */
MODEL__ENGINE static void
model__reap(const model__site *site, int32_t process, cf__process_death *death)
{
    model_death found;
    model__enter(site, NULL, false);
    int index = model__untold_death((int)model.current->process);
    model__limit(index < 0 || process != MODEL__PID + (int32_t)model.death[index].death.process, "no such dead child");
    model__tell_death(site, (unsigned)index, &found);
    memset(death, 0, sizeof *death);
    death->signal = found.signal;
    death->status = found.status;
    death->cpu = model.clock;
}

/* ---- ends ---- */

MODEL__ENGINE static void
model__end_process(int signal, int status)
{
    static const model__site site = {"ends_process", "", __FILE__, __LINE__};
    unsigned process = model.current->process;
    struct model__process *self = &model.processes[process];
    if (self->life != NULL) {
        model__location *location = model__location_at(&site, self->life, sizeof *self->life, true);
        model__store_record *before = location->newest;
        uint64_t waiters = before->value & UINT32_C(0x80000000);
        model__write(self->life, location, waiters | UINT32_C(0x40000000), MODEL__SEQ_CST, before);
        for (unsigned i = 0; i < model.coroutines && waiters != 0; i++) {
            model__coroutine *c = &model.coroutine[i];
            if (c->state != MODEL__IN_FUTEX || (c->word[0] != self->life && c->word[1] != self->life))
                continue;
            c->state = MODEL__READY;
            waiters = 0; /* the kernel wakes one */
        }
    }
    self->live = false;
    model.signals -= (unsigned)__builtin_popcountll(self->pending);
    self->pending = 0;
    for (unsigned i = 0; i < model.coroutines; i++) {
        model__coroutine *c = &model.coroutine[i];
        if (c->process != process)
            continue;
        model__learn(&self->knowledge, &c->knowledge);
        if (c->state < MODEL__FINISHED)
            c->state = MODEL__KILLED;
    }
    for (unsigned i = 0; i < model.blocks; i++)
        if (model.block[i].process == process && !model.block[i].shared)
            model.block[i].freed = true;
    model.death[model.deaths].told = false;
    model.death[model.deaths++].death = (model_death){process, signal != 0, signal, status};
    model__send(self->parent, SIGCHLD);
    for (unsigned i = 1; i <= model.process_count; i++)
        if (model.processes[i].dies_with == (int)process)
            model__send(i, SIGKILL);
    model__written();
}

MODEL__ENGINE static void
model__exit(const model__site *site, int status)
{
    model__step(site);
    model__may_die(site);
    MODEL__TRACE(site, "%d", status);
    model__end_process(0, status);
    model__schedule(MODEL__BLOCK);
}

/* Has the current process die with `parent`, which may be dead. */
MODEL__ENGINE static void
model__die_with(const model__site *site, int32_t parent)
{
    model.processes[model.current->process].dies_with = parent - MODEL__PID;
    if (!model.processes[parent - MODEL__PID].live)
        model__exit(site, 0);
}

/* ---- forks ---- */

/* Whether a fork succeeds. */
MODEL__ENGINE static bool
model__may_fork(const model__site *site)
{
    model__enter(site, NULL, false);
    if (!model__happens(&model.faults))
        return true;
    MODEL__TRACE(site, "fails");
    errno = EAGAIN;
    return false;
}

/* A process that nobody joins, with `argument`, of `size` bytes, copied into its private memory. */
MODEL__ENGINE static int32_t
model__fork_to(const char *name, void (*run)(void *argument), const void *argument, size_t size)
{
    static const model__site site = {"fork_to", "", __FILE__, __LINE__};
    unsigned process = model_process_start(name, run, NULL);
    model__coroutine *child = &model.coroutine[model.coroutines - 1];
    int faults = model.faults;
    model.faults = 0; /* the copy is the kernel's */
    child->argument = model__alloc(&site, size, false);
    model.faults = faults;
    memcpy(child->argument, argument, size);
    model.block[model.blocks - 1].process = process;
    child->joined = false;
    return MODEL__PID + (int32_t)process;
}

MODEL__ENGINE static void
model_fork_child(const char *name, void (*run)(void *argument), const void *argument, size_t size)
{
    model.forked_process = model__fork_to(name, run, argument, size);
    _longjmp(model.forked, 1);
}

/* As cf__os_fork_hidden(): the child is nobody's. */
MODEL__ENGINE static int
model__fork_hidden(const model__site *site, void (*run)(void *argument), const void *argument, size_t size,
                   int32_t *process, int32_t *error)
{
    *process = -1;
    *error = EAGAIN;
    if (!model__may_fork(site))
        return *error;
    *process = model__fork_to(site->expression, run, argument, size);
    *error = 0;
    return 0;
}

#endif
