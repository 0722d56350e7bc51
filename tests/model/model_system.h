/* tests/model/model_system.h - the system of the model: time, futexes, mutexes, threads.
 * SPDX-License-Identifier: MIT
 * Included by: model_engine.h.
 *
 * TIME stands still but for deadlines that pass by choice, and for spinning.
 * FUTEX  Compares with the newest store, as the kernel does behind its barrier; wakes the first come or, by choice, any.
 *   A private wake reaches the own process's private sleepers only, a shared one shared sleepers only.
 * Processes are in model_process.h. */
#ifndef CFUTURES_TESTS_MODEL_SYSTEM_H
#define CFUTURES_TESTS_MODEL_SYSTEM_H

/* ---- time, futexes, mutexes ---- */

MODEL__ENGINE static int64_t
model__now(const model__site *site)
{
    for (unsigned i = 0; i < model.deadline_count; i++) {
        if (model.deadlines[i] <= model.clock || model__choose(2, MODEL__RARE) == 0)
            continue;
        model.clock = model.deadlines[i];
        MODEL__TRACE(site, "deadline %u has passed", i);
    }
    return model.clock;
}

MODEL__ENGINE static int64_t
model_deadline(int number)
{
    int64_t deadline = (int64_t)1000000000 * (10 + number);
    for (unsigned i = 0; i < model.deadline_count; i++)
        if (model.deadlines[i] == deadline)
            return deadline;
    model__limit(model.deadline_count == 8, "deadlines");
    model.deadlines[model.deadline_count++] = deadline;
    return deadline;
}

MODEL__ENGINE static void
model__yield(const model__site *site, int64_t nanoseconds)
{
    model__step(site);
    model__may_die(site);
    model.clock += nanoseconds;
    MODEL__TRACE(site, "%s", "");
    model.current->yielded = true;
    model.current->site = site;
    model__schedule(MODEL__YIELD);
    model__take_signals(site, true);
}

MODEL__ENGINE static void
model__take_time(const model__site *site)
{
    int before = model.preemptions++;
    model__step(site);
    model__schedule(MODEL__POINT);
    if (model.preemptions > before) /* nobody went on */
        model.preemptions = before;
    model__take_signals(site, true);
}

/* The system's may return at once, which costs one of `preemptions`: it promises only that it was called. */
MODEL__ENGINE static void
model__os_yield(const model__site *site)
{
    if (model__happens(&model.preemptions))
        model__take_signals(site, true);
    else
        model__yield(site, 1000);
}

static uint64_t model__arriving(unsigned process);

MODEL__ENGINE static bool
model__futex_wait(const model__site *site, const uint32_t *word, uint32_t expected, const uint32_t *word2,
                  uint32_t expected2, int64_t deadline, cf__scope scope)
{
    model__coroutine *self = model.current;
    model__enter(site, word, false);
    if (word2 != NULL)
        model__check_address(site, (uintptr_t)word2, false);
    if (model__memory_get(word, 4) != expected || (word2 != NULL && model__memory_get(word2, 4) != expected2) ||
        model__arriving(self->process) != 0) {
        MODEL__TRACE(site, "not %x: no sleep", expected);
        model__take_signals(site, true);
        return true;
    }
    MODEL__TRACE(site, "== %x: sleeps", expected);
    self->word[0] = word;
    self->word[1] = word2;
    self->scope = scope;
    self->deadline = deadline;
    self->ticket = model.tickets++;
    self->in_time = true;
    self->state = MODEL__IN_FUTEX; /* a death now is one asleep */
    model__may_die(site);
    model__sleep(MODEL__IN_FUTEX, site);
    MODEL__TRACE(site, "%s", self->in_time ? "awake" : "the deadline has passed");
    model__take_signals(site, true);
    return self->in_time;
}

MODEL__ENGINE static int
model__futex_wake(const model__site *site, const uint32_t *word, int count, cf__scope scope)
{
    int woken = 0;
    model__enter(site, NULL, false);
    while (woken < count) {
        model__coroutine *sleeper[MODEL__COROUTINES];
        unsigned sleepers = 0;
        for (unsigned i = 0; i < model.coroutines; i++) {
            model__coroutine *c = &model.coroutine[i];
            if (c->state != MODEL__IN_FUTEX || (c->word[0] != word && c->word[1] != word) || c->scope != scope ||
                (scope == CF__SCOPE_PRIVATE && c->process != model.current->process))
                continue;
            unsigned at = sleepers++;
            for (; at > 0 && sleeper[at - 1]->ticket > c->ticket; at--)
                sleeper[at] = sleeper[at - 1];
            sleeper[at] = c; /* first come, first */
        }
        if (sleepers == 0)
            break;
        model__coroutine *c = sleeper[count - woken >= (int)sleepers ? 0 : model__choose(sleepers, MODEL__EVEN)];
        c->state = MODEL__READY;
        c->in_time = true;
        woken++;
        MODEL__TRACE(site, "wakes %s", c->name);
    }
    if (woken == 0)
        MODEL__TRACE(site, "nobody");
    model__take_signals(site, true);
    return woken;
}

MODEL__SMALL static model__mutex_record *
model__mutex_of(const model__site *site, const cf__mutex *mutex)
{
    uint32_t number = mutex->number - 1;
    if (number >= model.mutexes || model.mutex[number].mutex != mutex || model.mutex[number].destroyed)
        model__fail("mutex", "%s: %s isn't initialised, or destroyed (%s:%d)", model.current->name, site->expression,
                    model__base(site->file), site->line);
    return &model.mutex[number];
}

MODEL__ENGINE static void
model__mutex_init(const model__site *site, cf__mutex *mutex)
{
    model__check_address(site, (uintptr_t)mutex, true);
    model__limit(model.mutexes == MODEL__MUTEXES, "mutexes");
    model__mutex_record *record = &model.mutex[model.mutexes++];
    mutex->number = model.mutexes;
    record->mutex = mutex;
    record->owner = -1;
    record->destroyed = false;
    model__know_nothing(&record->knowledge);
}

MODEL__ENGINE static void
model__mutex_destroy(const model__site *site, cf__mutex *mutex)
{
    model__check_address(site, (uintptr_t)mutex, true);
    model__mutex_record *record = model__mutex_of(site, mutex);
    if (record->owner >= 0)
        model__fail("mutex", "%s destroys %s, which %s holds", model.current->name, site->expression,
                    model.coroutine[record->owner].name);
    for (unsigned i = 0; i < model.coroutines; i++)
        if (!model__knows(i, record->knowledge.clock[i]))
            model__fail("race", "%s destroys %s, not ordered after %s's use of it", model.current->name,
                        site->expression, model.coroutine[i].name);
    record->destroyed = true;
}

MODEL__ENGINE static void
model__mutex_lock(const model__site *site, cf__mutex *mutex)
{
    model__enter(site, mutex, true);
    model__mutex_record *record = model__mutex_of(site, mutex);
    while (record->owner >= 0) {
        model.current->waits_for = (unsigned)(record - model.mutex);
        MODEL__TRACE(site, "held by %s: waits", model.coroutine[record->owner].name);
        model__sleep(MODEL__IN_MUTEX, site);
        model__check_address(site, (uintptr_t)mutex, true);
        record = model__mutex_of(site, mutex);
    }
    record->owner = (int)model.current->number;
    model__learn(&model.current->knowledge, &record->knowledge);
    MODEL__TRACE(site, "%s", "");
}

MODEL__ENGINE static void
model__mutex_unlock(const model__site *site, cf__mutex *mutex)
{
    model__may_die(site);
    model__pop_frames(site, (uintptr_t)__builtin_frame_address(0));
    model__check_address(site, (uintptr_t)mutex, true);
    model__mutex_record *record = model__mutex_of(site, mutex);
    if (record->owner != (int)model.current->number)
        model__fail("mutex", "%s unlocks %s, which it doesn't hold (%s:%d)", model.current->name, site->expression,
                    model__base(site->file), site->line);
    record->owner = -1;
    model__know_copy(&record->knowledge, &model.current->knowledge);
    model__told();
    model__written();
    MODEL__TRACE(site, "%s", "");
}

/* ---- threads ---- */

static void model__finish(void) __attribute__((noreturn));

/* Every coroutine's frame below all others; entered once in the life of a stack. */
MODEL__ENGINE static void
model__coroutine_main(void)
{
    if (_setjmp(model.current->base) == 0)
        (void)swapcontext(&(ucontext_t){0}, &model.driver_context);
    for (;;) {
        if (model.current->run != NULL)
            model.current->run(model.current->argument);
        else
            (void)model.current->run_thread(model.current->argument);
        model__finish();
    }
}

MODEL__ENGINE static model__coroutine *
model__coroutine_new(const char *name, unsigned process, void (*run)(void *), void *argument)
{
    model__limit(model.coroutines == MODEL__COROUTINES, "coroutines");
    model__coroutine *c = &model.coroutine[model.coroutines];
    c->number = model.coroutines++;
    c->process = process;
    c->name = name;
    c->run = run;
    c->argument = argument;
    c->resume = &c->base;
    c->state = MODEL__READY;
    c->yielded = c->joined = false;
    c->watched = -1;
    c->unblocked = 0;
    c->site = NULL;
    c->on_stack_count = 0;
    memset(c->locals, 0, sizeof c->locals);
    if (c->number == 0) {
        model__know_nothing(&c->knowledge);
    } else {
        model__know_copy(&c->knowledge, &model.current->knowledge);
        model__told();
    }
    c->knowledge.clock[c->number] = 1;
    return c;
}

MODEL__SMALL static void
model__finish(void)
{
    static const model__site site = {"ends", "", __FILE__, __LINE__};
    model__coroutine *self = model.current;
    if (self->number == 0)
        _longjmp(model.driver, 1);
    model__pop_frames(&site, UINTPTR_MAX);
    model__may_die(&site);
    MODEL__TRACE(&site, "%s", "");
    self->state = MODEL__FINISHED;
    if (self->process != 0) { /* the process ends with its main thread */
        bool main_thread = true;
        for (unsigned i = 1; i < self->number; i++)
            main_thread = main_thread && model.coroutine[i].process != self->process;
        if (main_thread)
            model__end_process(0, 0);
    }
    model__written();
    model__schedule(MODEL__BLOCK);
    __builtin_unreachable();
}

MODEL__ENGINE static int
model__thread_start(const model__site *site, cf__thread *thread, void *(*run)(void *), void *argument)
{
    model__enter(site, NULL, false);
    if (model__happens(&model.faults))
        return EAGAIN;
    model__coroutine *c = model__coroutine_new(site->expression, model.current->process, NULL, argument);
    c->run_thread = run;
    thread->number = c->number;
    MODEL__TRACE(site, "thread %u", c->number);
    return 0;
}

MODEL__ENGINE static void
model__join(const model__site *site, unsigned number)
{
    model.current->waits_for = number;
    if (model.coroutine[number].state < MODEL__FINISHED)
        model__sleep(MODEL__IN_JOIN, site);
    model__learn(&model.current->knowledge, &model.coroutine[number].knowledge);
    MODEL__TRACE(site, "%s", model.coroutine[number].name);
}

MODEL__ENGINE static void
model__thread_join(const model__site *site, const cf__thread *thread)
{
    model__enter(site, NULL, false);
    model__join(site, thread->number);
}

MODEL__ENGINE static bool
model__thread_try_join(const model__site *site, const cf__thread *thread)
{
    model__enter(site, NULL, false);
    bool gone = model.coroutine[thread->number].state >= MODEL__FINISHED;
    if (gone)
        model__join(site, thread->number);
    return gone;
}

MODEL__ENGINE static void
model_thread_local(void *object, size_t size)
{
    unsigned i = model.local_count++;
    model__limit(model.local_count > 8, "thread-local variables");
    model.locals[i].object = object;
    model.locals[i].size = size;
    model.locals[i].offset = i == 0 ? 0 : model.locals[i - 1].offset + model.locals[i - 1].size;
    model__limit(model.locals[i].offset + size > sizeof model.current->locals, "bytes of thread-local variables");
    memset(object, 0, size);
}

#endif
