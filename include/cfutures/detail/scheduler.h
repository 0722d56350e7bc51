/* cfutures/detail/scheduler.h - how a thread pool's workers find work, sleep, and wait for each other.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: event.h, ../child.h, ../executor.h.  Included by: thread_pool.h.
 *
 * WHERE WORK IS
 *   injection   lists of futures under the pool's mutex, one for each priority: what comes from outside
 *   futures     each worker's deque (deque.h): what its tasks submit, and what it took from the injection in one go
 *   children    each worker's other deque: cf_child records on the stacks of the tasks that it runs
 *   strays      children that a helper stole too late (see below); a list under the mutex
 *   A worker looks at its own futures (newest first), the injection, then at the others' children and futures, oldest
 *   first.  Futures of a higher priority than the default, and every 61st time, the injection comes first, so that
 *   tasks that submit for ever starve nobody.
 *
 * WHO WAKES WHOM  `demand` tells a pusher in one load: its low half counts the idle workers, and those that may still
 *   be started; CF__SEARCHING says that a worker is looking for work, or has been woken to look.  While it is set
 *   nobody wakes another: the searcher, when it has found something, clears it, looks round once more, and calls the
 *   next if there is more; or it clears it to lie down, finds something after all, and takes the search up again.  So a
 *   burst of submits costs one wake (20 us each, across CPUs), and yet all workers come.  Only where there is nobody to be
 *   woken, and work waits behind other work, submits start threads in spite of a searcher.
 *
 * INVARIANTS (M: under the pool's mutex)
 *   K1  While there is work that nobody runs, a worker searches or starts, or none is idle and none may be started.
 *   K2  CF__SEARCHING is owned by one worker (`searching`), or by a waker on the way to it; until `quit`.
 *   K3  living - blocked <= limit, but for those that find so when they look for sleep, and end.
 *   K4  A task's children are on its worker's deque above all that is older; while a worker runs a child that it
 *       stole, all entries of its `children` are descendants of it, for it stole with an empty deque.
 * ORDERING
 *   [K1] new work -> idle worker, Dekker; all seq_cst.
 *          push:  deque's bottom, or `queued`,    then load demand
 *          sleep: demand + 1 idle, - SEARCHING,   then look at every deque (and, under M, at the injection)
 *          found: demand - SEARCHING,             then the same look
 *        With less, the work lies beside a sleeper.
 *   Work itself is published by the deque, or the mutex.
 *
 * WAITING IN A TASK  (begin_wait)  for a future of the same pool that hasn't started: run it here and now.  For
 *   anything else: the worker counts as blocked, and the pool may run one thread more while it is, up to
 *   CF__WORKERS_MOST.  It never takes other work meanwhile: the user's code may hold a lock.  Who waits without a
 *   deadline leaves `blocked_on`; the one whose wait would close a circle gets CF_ERR_DEADLOCK.
 * A CHILD THAT WAS STOLEN  (join)  the joiner helps its thief, by stealing from it: that is the joiner's own work (K4).
 *   Should the child be done by the time the steal has succeeded, what was stolen may be a stranger's: a stray, which
 *   goes to the next idle worker.  (Leapfrogging: Wagner and Calder, 1993.)
 * REJECTED  Waking one worker per push: ten times slower.  Tokens of fetch_add: can't be given back.  Workers that spin
 *   before they sleep at the mutex, as submitters do: half as slow again, they only stand in each other's way.  Fetching
 *   ahead what was taken, or the slab's next cells: no gain. */
#ifndef CFUTURES_DETAIL_SCHEDULER_H
#define CFUTURES_DETAIL_SCHEDULER_H

#include "../child.h"
#include "../executor.h"
#include "event.h"

#if CF__BODIES

#define CF__WORKERS_MOST 256u /* threads of a pool at most, those that stand in for blocked ones included; */
#define CF__LIMIT_MOST 65535u /* unless it was made for more: as many as half of `demand` can count */
#define CF__PRIORITIES 16     /* -8 to 7 */
#define CF__DEFAULT_LEVEL 8u  /* of priority 0 */
#define CF__STRAYS (1u << CF__PRIORITIES) /* in `levels`: there are strays */
#define CF__BATCH 32                      /* futures that a worker takes from the injection at most */
#define CF__SEARCH_SPIN INT64_C(5000)     /* nanoseconds that a worker looks for work before it sleeps */
#define CF__LOCK_SPIN INT64_C(3000)       /* and that a submitter tries for the mutex before it sleeps */
#define CF__START_AGAIN INT64_C(50000000) /* and until a waiter tries again to start a thread that can't be had */

CF__STATIC_ASSERT(CF__LIMIT_MOST < CF__SEARCHING, "the low half of demand is a count");

struct cf__thread_pool;

typedef struct cf__thread_worker { /* fields: I immutable, W the worker's own, A atomic, M under the pool's mutex */
    cf__local_worker local;
    struct cf__thread_pool *pool; /* I */
    uint32_t number;              /* I: index + 1 */
    uint32_t random;              /* W: where to start stealing */
    uint32_t turn;                /* W: counts the tasks */
    int64_t batch_end;            /* W: entries of `futures` below it came from the injection: oldest first */
    unsigned popped;              /* W: how many of those in `running` came from a queue */
    const void *stack;            /* W: where its stack begins */
    bool waits;                   /* M: it is counted in `blocked` */
    const cf__child *joins;       /* M: the stolen child that it sleeps for; or NULL */
    bool searching;               /* W: owns CF__SEARCHING */
    size_t pushed, taken, ran;    /* A: futures pushed on `futures`; taken from anywhere; of these, not cancelled */
    cf__event joined;             /* M: the worker itself, while it waits for a stolen child */
    const cf_future *blocked_on;  /* M: what it waits for, without a deadline; or NULL */
    cf__thread thread;            /* M */
    bool started, ended;          /* M: the thread is to be joined; and has ended */
    bool leaving;                 /* W: it isn't counted in `living` any more */
    cf__task_context context;     /* W: of what runs between tasks: callbacks, on_start */
    void *user;                   /* W: cf_worker_local() */
    cf__deque futures;
} cf__thread_worker;

/* First in, first out, in segments of up to CF__BATCH, whose first entries are linked by `segment`: one is taken without a
 * look at its entries, each of which is another CPU's cache line (100 ns, times 32, under the mutex). */
typedef struct cf__future_list { /* M; but for `first` undefined while it's empty */
    cf_future *first, *last, *last_segment;
    unsigned count; /* entries that the last segment has had */
} cf__future_list;

/* Four parts on cache lines of their own: workers look at the first two for every task, and submitters write the others
 * with every task (mixed, a spawn took twice as long). */
typedef struct cf__thread_pool { /* fields: I immutable, M under mutex, A atomic */
    cf_executor base;
    cf_pool_opts options;               /* I: resolved */
    char name[11];                      /* I: prefix of the threads' names */
    bool spin;                          /* I: more than one CPU */
    bool bounded;                       /* I: there is a max_pending */
    size_t stack_size;                  /* I: bytes, of a worker */
    void *(*worker_main)(void *worker); /* I */
    cf__slab *slab;                     /* I: of futures; its cells are taken under the mutex */
    unsigned capacity;                  /* I: of `workers` */
    cf__thread_worker **workers;        /* published by `high`; each lives as long as the pool */
    unsigned char pad[CF__CACHE_LINE];

    uint32_t levels;       /* M, A: bit i: injection[i] isn't empty; CF__STRAYS; read outside as a hint */
    uint32_t high;         /* A: workers that ever were */
    uint32_t closed, kill; /* A: no more submits; tasks are asked to stop */
    unsigned char pad2[CF__CACHE_LINE];

    uint32_t demand; /* A: [K1] */
    unsigned char pad3[CF__CACHE_LINE];

    cf__mutex mutex;
    unsigned idle, spare;     /* M: workers in `work`; the low half of demand */
    size_t injected, pending; /* M: ever put into the injection; not done (only with max_pending) */
    unsigned limit;           /* M: workers that may be active */
    unsigned living, blocked; /* M: threads; of these in a wait */
    bool start_failed;        /* M: no thread was to be had: try again at the next submit, wait or end */
    bool quit;                /* M: workers end */
    bool joining, joined;     /* M: somebody joins the threads; has joined them */
    cf__child *strays;        /* M */
    cf__event work;           /* M: idle workers */
    cf__event room;           /* M: submitters, while pending == max_pending */
    cf__event quiet;          /* M: those that shut down */
    cf__future_list injection[CF__PRIORITIES]; /* M: each entry holds one reference */
} cf__thread_pool;

/* ---- demand ---- */

/* How many threads may be started; the mutex is held. */
CF__PRIVATE unsigned
cf__thread_pool_growth(const cf__thread_pool *pool)
{
    unsigned active = pool->living - pool->blocked;
    return active < pool->limit && !pool->start_failed ? CF__MIN(pool->limit - active, pool->capacity - pool->living)
                                                       : 0;
}

/* After a change of idle, limit, living or blocked: the low half of demand follows.  The mutex is held.  Returns
 * demand as it was. */
CF__PRIVATE uint32_t
cf__thread_pool_account(cf__thread_pool *pool, uint32_t searching_less)
{
    unsigned spare = pool->idle + (pool->quit ? 0 : cf__thread_pool_growth(pool));
    uint32_t change = spare - pool->spare - searching_less; /* modulo 2^32 */
    pool->spare = spare;
    return cf__fetch_add_seq_cst(&pool->demand, change); /* [K1] */
}

/* Whether any deque has something in it. */
CF__PRIVATE bool
cf__thread_pool_has_pushed(const cf__thread_pool *pool)
{
    uint32_t high = cf__load_acquire(&pool->high); /* acquire: the workers' records */
    for (uint32_t i = 0; i < high; i++) {
        const cf__thread_worker *worker = pool->workers[i];
        if (cf__deque_has_entries(&worker->futures) || cf__deque_has_entries(&worker->local.children)) /* [K1] */
            return true;
    }
    return false;
}

/* Whether a record may have a new thread.  Where they are `scarce`, also one whose thread has ended; if that is gone: nobody
 * waits for it here, for in it the program's destructors of thread-local data may want what our caller has locked. */
CF__PRIVATE bool
cf__thread_worker_is_free(cf__thread_worker *worker, bool scarce)
{
    if (worker->started && worker->ended && scarce && cf__os_thread_try_join(&worker->thread))
        worker->started = false;
    return !worker->started;
}

/* Starts one more worker; the mutex is held.  Returns 0 or an errno. */
CF__PRIVATE int
cf__thread_pool_start_worker(cf__thread_pool *pool)
{
    uint32_t high = cf__load_relaxed(&pool->high), index = 0;
    while (index < high && !cf__thread_worker_is_free(pool->workers[index], high == pool->capacity))
        index++;
    if (index == pool->capacity)
        return EAGAIN; /* those that end right now still have their records */
    cf__thread_worker *worker;
    if (index < high) {
        worker = pool->workers[index];
        worker->ended = worker->leaving = false;
    } else {
        worker = CF__STATIC_CAST(cf__thread_worker *, cf__os_alloc(sizeof *worker));
        if (worker == NULL)
            return ENOMEM;
        memset(CF__STATIC_CAST(void *, worker), 0, sizeof *worker);
        cf__deque_init(&worker->futures);
        cf__deque_init(&worker->local.children);
        worker->local.demand = &pool->demand;
        worker->local.slab = pool->slab;
        worker->pool = pool;
        worker->number = index + 1;
        worker->random = 2654435769u * (index + 1);
        pool->workers[index] = worker;
        cf__store_release(&pool->high, index + 1); /* release: thieves read the record */
    }
    int error = cf__os_thread_start(&worker->thread, pool->worker_main, worker, pool->options.stack_size);
    if (error == 0) {
        worker->started = true;
        pool->living++;
        (void)cf__thread_pool_account(pool, 0);
    }
    return error;
}

/* There is work: takes an idle worker to look for it, or starts one; NULL where none is needed or to be had.  `crowded`:
 * there is more than one searcher can take, so it's no reason not to start a thread.  The mutex is held; the caller wakes
 * the sleeper once it isn't.  *error: 0, or why no thread could be started. */
CF__PRIVATE cf__sleeper *
cf__thread_pool_call_one(cf__thread_pool *pool, bool crowded, int *error)
{
    *error = 0;
    if (pool->spare == 0)
        return NULL;
    /* seq_cst [K1]: the work was pushed before.  Whoever searches sees it. */
    bool searched = (cf__fetch_or_seq_cst(&pool->demand, CF__SEARCHING) & CF__SEARCHING) != 0;
    if (searched && (!crowded || pool->idle != 0))
        return NULL;
    cf__sleeper *sleeper = cf__event_take(&pool->work);
    if (sleeper != NULL) {
        pool->idle--; /* it owns CF__SEARCHING now (K2) */
        (void)cf__thread_pool_account(pool, 0);
        return sleeper;
    }
    if (!searched)
        (void)cf__fetch_and_seq_cst(&pool->demand, ~CF__SEARCHING); /* a new thread searches for itself */
    if (cf__thread_pool_growth(pool) != 0) {
        *error = cf__thread_pool_start_worker(pool);
        if (*error != 0) {
            pool->start_failed = true;
            (void)cf__thread_pool_account(pool, 0);
        }
    }
    return NULL;
}

CF__SLOW void
cf__thread_pool_wake(cf__local_worker *local)
{
    cf__thread_pool *pool = CF__POINTER_CAST(cf__thread_worker *, local)->pool;
    int error;
    cf__mutex_lock(&pool->mutex);
    cf__sleeper *sleeper = cf__thread_pool_call_one(pool, false, &error);
    cf__mutex_unlock(&pool->mutex);
    cf__sleeper_wake(sleeper);
}

/* ---- looking for work ---- */

/* One piece of work: a future, with the reference of whoever queued it, or a child. */
typedef struct cf__work {
    cf_future *future;
    cf__child *child;
} cf__work;

CF__PRIVATE void
cf__future_list_append(cf__future_list *list, cf_future *future)
{
    if (list->first == NULL) {
        list->first = list->last_segment = future;
        list->count = 0;
    } else {
        list->last->next = future;
        if (list->count == CF__BATCH) {
            list->last_segment->segment = future;
            list->last_segment = future;
            list->count = 0;
        }
    }
    list->last = future;
    list->count++;
}

/* The first future of the injection's highest priority, or with `many` its whole segment, linked by `next` up to *end,
 * which isn't among them; NULL when the injection is empty.  The mutex is held. */
CF__PRIVATE cf_future *
cf__thread_pool_uninject(cf__thread_pool *pool, bool many, cf_future **end)
{
    if ((pool->levels & ~CF__STRAYS) == 0)
        return NULL;
    unsigned level = 31u - CF__STATIC_CAST(unsigned, __builtin_clz(pool->levels & ~CF__STRAYS));
    cf__future_list *list = &pool->injection[level];
    cf_future *future = list->first;
    *end = list->first = many ? future->segment : future->next;
    if (*end != future->segment) { /* it's now the first of what is left of the segment */
        (*end)->segment = future->segment;
        if (list->last_segment == future)
            list->last_segment = *end;
    }
    if (*end == NULL)
        cf__store_relaxed(&pool->levels, pool->levels & ~(1u << level)); /* relaxed: a hint to those outside */
    return future;
}

/* Takes work that is under the mutex: a stray, or futures; more than one if there are many, which go on the worker's
 * deque, if that is empty. */
CF__PRIVATE bool
cf__thread_worker_take(cf__thread_worker *self, cf__work *work)
{
    cf__thread_pool *pool = self->pool;
    void *batch[CF__BATCH];
    unsigned count = 0;
    cf_future *end = NULL;
    cf__mutex_lock(&pool->mutex);
    work->child = pool->strays;
    if (work->child != NULL) {
        pool->strays = work->child->next;
        if (pool->strays == NULL)
            cf__store_relaxed(&pool->levels, pool->levels & ~CF__STRAYS); /* relaxed: a hint to those outside */
    } else {
        bool one = pool->bounded || cf__deque_has_entries(&self->futures) || pool->levels >> CF__DEFAULT_LEVEL != 1;
        work->future = cf__thread_pool_uninject(pool, !one, &end); /* many, if the highest priority is the default */
    }
    cf__mutex_unlock(&pool->mutex);
    if (work->future == NULL)
        return work->child != NULL;
    for (cf_future *future = work->future->next; future != end; future = future->next)
        batch[count++] = future;
    if (count == 0)
        return true;
    cf__deque_push_many(&self->futures, batch, count);
    self->batch_end = cf__load_relaxed(&self->futures.bottom); /* relaxed: ours */
    cf__local_worker_pushed(&self->local);
    return true;
}

/* Steals from one of the others. */
CF__PRIVATE bool
cf__thread_worker_steal(cf__thread_worker *self, cf__work *work)
{
    cf__thread_pool *pool = self->pool;
    uint32_t high = cf__load_acquire(&pool->high); /* acquire: the workers' records */
    self->random = self->random * 1664525u + 1013904223u;
    uint32_t start = (self->random >> 8) % high;
    for (uint32_t i = 0; i < high; i++) {
        cf__thread_worker *victim = pool->workers[(start + i) % high];
        if (victim == self)
            continue;
        work->child = CF__STATIC_CAST(cf__child *, cf__deque_steal(&victim->local.children));
        if (work->child == NULL)
            work->future = CF__STATIC_CAST(cf_future *, cf__deque_steal(&victim->futures));
        if (work->child != NULL || work->future != NULL)
            return true;
    }
    return false;
}

/* Finds work without sleeping. */
CF__PRIVATE bool
cf__thread_worker_find(cf__thread_worker *self, cf__work *work)
{
    cf__thread_pool *pool = self->pool;
    cf__deque *own = &self->futures;
    work->future = NULL;
    work->child = NULL;
    /* relaxed: a hint; before it sleeps the worker looks under the mutex. */
    uint32_t levels = cf__load_relaxed(&pool->levels);
    bool oldest = ++self->turn % 61 == 0, batch = cf__load_relaxed(&own->top) < self->batch_end;
    if ((levels >> (CF__DEFAULT_LEVEL + 1) != 0 || (oldest && !batch && levels >> CF__DEFAULT_LEVEL != 0)) &&
        cf__thread_worker_take(self, work))
        return true;
    /* What it took in one go it runs oldest first, as the injection would have given it; its own newest first. */
    bool newest = cf__load_relaxed(&own->bottom) > self->batch_end && !(oldest && batch);
    work->future = CF__STATIC_CAST(cf_future *, newest ? cf__deque_pop(own) : cf__deque_steal(own));
    return work->future != NULL || (levels >> CF__DEFAULT_LEVEL != 0 && cf__thread_worker_take(self, work)) ||
           cf__thread_worker_steal(self, work) || (levels != 0 && cf__thread_worker_take(self, work));
}

/* Becomes the one who searches, unless another is. */
CF__PRIVATE void
cf__thread_worker_search(cf__thread_worker *self)
{
    if (!self->searching) /* seq_cst: as all changes of demand [K1] */
        self->searching = !(cf__fetch_or_seq_cst(&self->pool->demand, CF__SEARCHING) & CF__SEARCHING);
}

/* Spins for work, as the one who searches; false: none came.  Where the waiter needs our CPU, it gets it, once: it mostly
 * comes back with more to do, and has neither to wake us nor anybody else (a spawn took half as long again without). */
CF__PRIVATE bool
cf__thread_worker_spin(cf__thread_worker *self, cf__work *work)
{
    cf__thread_pool *pool = self->pool;
    uint32_t cpu = cf__os_cpu();
    cf__store_relaxed(&pool->slab->worker_cpu, cpu); /* relaxed, both: cf__future_spin() */
    if (cpu == cf__load_relaxed(&pool->slab->waiter_cpu)) {
        self->searching = false; /* that may take long, and others are perhaps idle on other CPUs */
        (void)cf__fetch_and_seq_cst(&pool->demand, ~CF__SEARCHING);
        cf__os_yield();
        cf__thread_worker_search(self); /* as in park */
        return cf__thread_worker_find(self, work);
    }
    int64_t end = cf__os_now() + CF__SEARCH_SPIN;
    do {
        if (cf__load_relaxed(&pool->levels) != 0 || cf__thread_pool_has_pushed(pool))
            return cf__thread_worker_find(self, work);
        cf__cpu_relax();
    } while (cf__os_now() < end);
    return false;
}

/* Sleeps until there may be work, or returns at once.  False: this thread is to end, and isn't counted any more; then the
 * mutex is held. */
CF__PRIVATE bool
cf__thread_worker_park(cf__thread_worker *self)
{
    cf__thread_pool *pool = self->pool;
    uint32_t searching = self->searching ? CF__SEARCHING : 0;
    cf__mutex_lock(&pool->mutex);
    if (pool->levels != 0) {
        cf__mutex_unlock(&pool->mutex);
        return true;
    }
    bool end = pool->quit || pool->living - pool->blocked > pool->limit;
    if (end)
        pool->living--;
    else
        pool->idle++;
    self->searching = false;
    (void)cf__thread_pool_account(pool, searching);
    if (cf__thread_pool_has_pushed(pool)) { /* [K1] */
        if (end)
            pool->living++;
        else
            pool->idle--;
        (void)cf__thread_pool_account(pool, 0);
        cf__thread_worker_search(self); /* we'll take one piece: who pushed the rest relied on us */
        cf__mutex_unlock(&pool->mutex);
        return true;
    }
    if (end)
        return false;
    if (pool->idle == pool->living)
        cf__event_wake_all(&pool->quiet);
    /* Who takes us off the line owes the wake: cf__thread_pool_call_one(), which gives us CF__SEARCHING, or the end. */
    (void)cf__event_wait(&pool->work, &pool->mutex, CF_FOREVER);
    self->searching = !pool->quit;
    cf__mutex_unlock(&pool->mutex);
    return true;
}

/* The next piece of work.  False: this thread is to end; then the mutex is held. */
CF__PRIVATE bool
cf__thread_worker_next(cf__thread_worker *self, cf__work *work)
{
    cf__thread_pool *pool = self->pool;
    while (!cf__thread_worker_find(self, work)) {
        if (pool->spin)
            cf__thread_worker_search(self);
        if (self->searching && pool->spin && cf__thread_worker_spin(self, work))
            break;
        if (!cf__thread_worker_park(self))
            return false;
    }
    if (self->searching) {
        /* Those that pushed meanwhile relied on us: clear, then look [K1]. */
        self->searching = false;
        (void)cf__fetch_and_seq_cst(&pool->demand, ~CF__SEARCHING);
        if (cf__load_seq_cst(&pool->levels) != 0 || cf__thread_pool_has_pushed(pool))
            cf__local_worker_pushed(&self->local);
    }
    return true;
}

/* ---- running it ---- */

CF__PRIVATE void
cf__thread_worker_run_future(cf__thread_worker *self, cf_future *future)
{
    uint32_t running = CF__RUNNING | CF__SETTLING | self->number << CF__OWNER_SHIFT;
    /* A task that nobody asks for any more, as after cf_spawn(), needs no atomic step: our reference is the last. */
    bool alone = cf__load_acquire(&future->references) == 1; /* acquire: what others did with it before they let go */
    if (alone && cf__load_relaxed(&future->state) == CF__PENDING)
        cf__store_relaxed(&future->state, running);
    else if (!cf__future_start_as(future, running))
        return; /* it was cancelled, or a waiting task has run it */
    future->within = self->local.running;
    self->local.running = future;
    cf__future_execute(future, alone);
    self->local.running = future->within;
}

/* Runs a future that came from a queue, and counts it. */
CF__PRIVATE void
cf__thread_worker_run_queued(cf__thread_worker *self, cf_future *future)
{
    self->popped++;
    cf__thread_worker_run_future(self, future);
    self->popped--;
    cf__store_relaxed(&self->ran, self->ran + !cf_future_cancelled(future)); /* relaxed: for reports */
    cf_future_release(future);
    cf__store_release(&self->taken, self->taken + 1); /* release: cf__thread_pool_left() */
}

/* ---- waits inside tasks ---- */

/* Whether `self`, waiting for `future`, would close a circle of waits.  The mutex is held.  (One that a join closes isn't
 * seen: cf_child_join() can't say no.) */
CF__PRIVATE bool
cf__thread_pool_circular(const cf__thread_pool *pool, const cf__thread_worker *self, const cf_future *future)
{
    const cf__child *child = NULL;
    for (uint32_t steps = 0; steps <= pool->capacity; steps++) {
        uint32_t owner = 0; /* of what is waited for; relaxed, both: an owner changes only by settling */
        if (child != NULL) {
            owner = cf__load_relaxed(&child->state) >> CF__CHILD_THIEF_SHIFT;
        } else if (future != NULL && future->executor == &pool->base) {
            uint32_t state = cf__load_relaxed(&future->state);
            owner = (state & CF__STATE_MASK) == CF__RUNNING ? state >> CF__OWNER_SHIFT : 0;
        }
        if (owner == 0)
            return false;
        if (owner == self->number)
            return true;
        child = pool->workers[owner - 1]->joins;
        future = pool->workers[owner - 1]->blocked_on;
    }
    return false;
}

CF__PRIVATE cf_err
cf__thread_pool_begin_wait(cf__local_worker *local, cf_future *future, cf_time deadline, cf_time *until)
{
    cf__thread_worker *self = CF__POINTER_CAST(cf__thread_worker *, local);
    cf__thread_pool *pool = self->pool;
    *until = CF_NOW;
    if (cf__executor_forked(&pool->base))
        return CF_ERR_FORKED;
    /* Tasks that run inside each other's waits share one stack: half of it at most. */
    const char *stack = CF__STATIC_CAST(const char *, self->stack);
    const char *here = CF__STATIC_CAST(const char *, __builtin_frame_address(0));
    size_t used = CF__STATIC_CAST(size_t, here < stack ? stack - here : here - stack);
    if (future != NULL && future->executor == &pool->base && used < pool->stack_size / 2) {
        /* If it is the newest on our deque, which it mostly is, it needn't stay there. */
        bool popped = cf__deque_peek(&self->futures) == future;
        cf_future *newest = popped ? CF__STATIC_CAST(cf_future *, cf__deque_pop(&self->futures)) : NULL;
        uint32_t before = cf__load_relaxed(&future->state); /* relaxed: a guess; running it is a CAS */
        if (newest != NULL) {
            cf__thread_worker_run_queued(self, newest);
        } else if ((before & CF__STATE_MASK) == CF__PENDING) {
            (void)cf_future_retain(future);
            cf__thread_worker_run_future(self, future);
            cf_future_release(future);
        }
        if (cf__settled(cf__load_acquire(&future->state))) /* acquire, future.h [F1] */
            return CF_OK;
    }
    cf__sleeper *sleeper = NULL;
    cf_err error = CF_OK;
    int start_error;
    cf__mutex_lock(&pool->mutex);
    pool->blocked++;
    pool->start_failed = false;
    (void)cf__thread_pool_account(pool, 0);
    bool work = pool->levels != 0 || cf__thread_pool_has_pushed(pool);
    bool exhausted = work && pool->blocked == pool->living && pool->living == pool->capacity;
    if (deadline == CF_FOREVER && (exhausted || cf__thread_pool_circular(pool, self, future))) {
        error = CF_ERR_DEADLOCK;
        pool->blocked--;
        (void)cf__thread_pool_account(pool, 0);
    } else {
        self->waits = true;
        self->blocked_on = deadline == CF_FOREVER ? future : NULL;
        *until = deadline;
    }
    if (work)
        sleeper = cf__thread_pool_call_one(pool, false, &start_error);
    if (error == CF_OK && work &&
        pool->start_failed) /* perhaps it's ours that nobody runs: nobody else may try again */
        *until = CF__MIN(deadline, cf_after_ns(CF__START_AGAIN));
    cf__mutex_unlock(&pool->mutex);
    cf__sleeper_wake(sleeper);
    return error;
}

CF__PRIVATE void
cf__thread_pool_end_wait(cf__local_worker *local)
{
    cf__thread_worker *self = CF__POINTER_CAST(cf__thread_worker *, local);
    cf__thread_pool *pool = self->pool;
    cf__mutex_lock(&pool->mutex);
    pool->blocked--;
    self->waits = false;
    self->blocked_on = NULL;
    (void)cf__thread_pool_account(pool, 0);
    cf__mutex_unlock(&pool->mutex);
}

/* A child for which a worker sleeps is done. */
CF__PRIVATE void
cf__thread_pool_joined(cf__local_worker *local)
{
    cf__thread_worker *worker = CF__POINTER_CAST(cf__thread_worker *, local);
    cf__mutex_lock(&worker->pool->mutex);
    cf__event_wake_all(&worker->joined);
    cf__mutex_unlock(&worker->pool->mutex);
}

/* Waits for a child that was stolen; helps its thief meanwhile. */
CF__PRIVATE void
cf__thread_pool_join(cf__local_worker *local, cf__child *child)
{
    cf__thread_worker *self = CF__POINTER_CAST(cf__thread_worker *, local);
    cf__thread_pool *pool = self->pool;
    int64_t end = 0;
    for (;;) {
        uint32_t state = cf__load_acquire(&child->state); /* acquire, child.h [J1] */
        if (state & CF__CHILD_DONE)
            return;
        uint32_t thief = state >> CF__CHILD_THIEF_SHIFT; /* 0: it hasn't said who it is yet */
        cf__child *stolen = NULL;
        if (thief != 0)
            stolen = CF__STATIC_CAST(cf__child *, cf__deque_steal(&pool->workers[thief - 1]->local.children));
        if (stolen != NULL && (cf__load_acquire(&child->state) & CF__CHILD_DONE)) {
            cf__mutex_lock(&pool->mutex);
            stolen->next = pool->strays;
            pool->strays = stolen;
            (void)cf__exchange_seq_cst(&pool->levels, pool->levels | CF__STRAYS); /* [K1], as in submit */
            int error;
            cf__sleeper *sleeper = cf__thread_pool_call_one(pool, false, &error);
            cf__mutex_unlock(&pool->mutex);
            cf__sleeper_wake(sleeper);
        } else if (stolen != NULL) {
            cf__child_run_stolen(stolen, local, self->number);
            end = 0;
        } else if (pool->spin && (end == 0 || cf__os_now() < end)) {
            if (end == 0)
                end = cf__os_now() + CF__SEARCH_SPIN;
            cf__cpu_relax();
        } else {
            cf_time until;
            bool blocks = cf__thread_pool_begin_wait(local, NULL, CF_FOREVER, &until) == CF_OK;
            cf__mutex_lock(&pool->mutex);
            self->joins = child;
            state = cf__load_acquire(&child->state); /* acquire, child.h [J1] */
            while (!(state & CF__CHILD_DONE)) {
                /* The thief owes the wake from here on, and comes with the mutex.  acquire, child.h [J1], on failure. */
                if (!(state & CF__CHILD_WAITED) && !cf__cas_acq_rel(&child->state, &state, state | CF__CHILD_WAITED))
                    continue;
                (void)cf__event_wait(&self->joined, &pool->mutex, CF_FOREVER);
                state = cf__load_acquire(&child->state); /* acquire, child.h [J1] */
            }
            self->joins = NULL;
            cf__mutex_unlock(&pool->mutex);
            if (blocks)
                cf__thread_pool_end_wait(local);
            end = 0;
        }
    }
}

#endif /* CF__BODIES */
#endif
