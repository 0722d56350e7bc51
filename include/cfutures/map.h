/* cfutures/map.h - one function for many items: as ranges that workers cut from, or lazily, a few at a time.
 * SPDX-License-Identifier: MIT
 * LAYER 4.  Includes: detail/map_lazy.h, detail/map_round.h.  Included by: task.h.
 *
 * HOW IT WORKS  A map goes in *rounds*, mostly one (detail/map_round.h).  As many runners as the executor has workers
 *   are submitted, as ordinary tasks, so an executor's engine knows nothing of maps; the caller waits for their
 *   futures.  It takes no part itself: a pool of one worker runs one task at a time, and users rely on it.  If it is
 *   a worker of the same pool, its wait runs the runners; and with CF_FULL_RUN a submit that finds the pool full does.
 *   But not on processes: a runner goes by what lies in their memory.  There such a pool gets a task per item.
 * FAST ROUNDS  on threads without a deadline: the runners use the caller's arrays, and nothing is copied.
 * TRACKED ROUNDS  else: the caller packs the arguments into the executor's memory and copies the results out at
 *   the end, so after a deadline nobody touches the caller's arrays; a runner that is still in an item keeps that
 *   memory alive (`references`).  Rounds bound it.
 * WHEN A WORKER DIES  its runner's future says so; the caller finds the chunk that this runner had: the item that
 *   ran is lost, the rest is free again, and a new runner with a new number goes on.
 * WHAT IS READ FROM SHARED MEMORY  words and status, bounded; bytes of results and messages.  Nothing leads anywhere.
 * WHO OWES THE WAKE  nobody here: the caller sleeps on the runners' futures.
 * AN EXECUTOR OF ANOTHER'S that doesn't say how many tasks it runs at once gets a task per item, as a lazy map does.
 * REJECTED  Waking nobody before all runners are submitted, so that the first can't take our CPU before the others are
 *   there: no gain (1.64 of 2 for tiny items, 1.65 without). */
#ifndef CFUTURES_MAP_H
#define CFUTURES_MAP_H

#include "detail/map_lazy.h"
#include "detail/map_round.h"

/** What became of the first item, in input order, that went wrong. */
typedef struct cf_map_failure {
    size_t index; /* which one; of cf_for(): the index given to the function */
    cf_err error; /* as in status; CF_OK: none went wrong */
    /* As given to cf_fail(), and as cf_future_message(); 0, and what the error means, of an item whose worker was in
     * another one when the deadline passed. */
    int code;
    char message[CF__MESSAGE_SIZE];
} cf_map_failure;

/** Options of one map.  Zero in any field means its default. */
typedef struct cf_map_opts {
    size_t struct_size CF__DEFAULT(sizeof(cf_map_opts)); /* set by cf_map_options() */
    /* Borrowed: gets each item's outcome, as cf_future_wait() returns it; NULL: not wanted. */
    cf_err *status CF__DEFAULT(NULL);
    /* Until when to wait for the whole map; 0: as long as it takes. */
    cf_time deadline CF__DEFAULT(0);
    /* Items that a worker takes at a time; 0: chosen, many at first and few at the end. */
    size_t chunk CF__DEFAULT(0);
    /* Borrowed: gets what became of the first item that went wrong; NULL: not wanted. */
    cf_map_failure *failure CF__DEFAULT(NULL);
} cf_map_opts;

/** Run a task for each of `count` items, and wait for all: item i takes element i of each of the arrays (one for
 *  each argument) and writes its result to element i of `results` (NULL: not wanted).
 *
 * Ownership: borrows all arrays until it returns.
 * Blocks:    until every item is done, or options->deadline: then no more items start, those that run go on, and
 *            nothing more is read from or written to the caller's arrays.
 * Ordering:  items start about in input order, and in any order if several run at once.
 * Returns:   CF_OK when every item went well; else the first item's error in input order: CF_ERR_FAILED,
 *            CF_ERR_WORKER_LOST (its worker died), CF_ERR_CORRUPT (a worker wrote over its place in shared memory),
 *            CF_ERR_TASK_EXITED (it ended its thread; without a deadline all items of its chunk have that, also those
 *            that were done before), CF_ERR_TIMEOUT (it wasn't done at the deadline), CF_ERR_CANCELLED (before it
 *            started: by a shutdown, or the task that maps has been asked to stop, and ran the map's items in its own
 *            wait), CF_ERR_DEADLOCK (see below), CF_ERR_FORKED, or as cf_submit_bytes().  One that fails doesn't stop
 *            the others, nor write its element of `results`, but for CF_ERR_TASK_EXITED.
 * Circles:   if the wait of a task that maps on its own thread pool would close a circle, as cf_future_wait() says it,
 *            no more items start, and CF_ERR_DEADLOCK is returned once those that run are done: if one of them waits
 *            for the task, never.  With a deadline the map ends there; without run_range, or a task for each item, at
 *            once. */
CF_API cf_err cf_map_bytes(cf_executor *executor, const cf_task_type *type, size_t count, void *results,
                           const void *const *arrays, const cf_map_opts *options);

/** Run a task for each index in [first, last), and wait for all.  `args` are the task's arguments, of which the
 *  first is a size_t and is replaced by the index; they're copied once, not for each item.  Results are dropped.
 *
 * options->status has an element for each index, from `first` on.  Otherwise as cf_map_bytes(). */
CF_API cf_err cf_for_bytes(cf_executor *executor, const cf_task_type *type, size_t first, size_t last, const void *args,
                           const cf_map_opts *options);

/** Submit a task for each of `count` items: futures[i] gets the future of the one with element i of each array.
 *
 * Ownership: the caller owns every one of the futures, which are never NULL; arguments are copied.
 * Blocks:    as cf_submit_bytes().
 * Wakes:     as so many submits do: nobody, as long as a worker is on its way to look for work.
 * Returns:   CF_OK when all were submitted; else the first error of a submit, which its future holds, too. */
CF_API cf_err cf_submit_all_bytes(cf_executor *executor, const cf_task_type *type, size_t count, cf_future **futures,
                                  const void *const *arrays, const cf_submit_opts *options);

/** Map over input of any length, with at most `in_flight` items submitted and not yet taken by `done`; 0: two for
 *  each worker, and 16 at least, so that few workers, too, have something to do while the oldest item takes long.
 *
 * `next` and `done` are called in the calling thread only; `done` in input order, as soon as it's an item's turn.
 * Blocks:    until the input has ended and everything is done; until `done` returns false or options->deadline:
 *            then what hasn't started is cancelled, and what runs goes on.  Also ends when the executor takes no
 *            more tasks, after the item that learned it.
 * Returns:   CF_OK, or the first item's error in input order, as its future has it; else why it ended: CF_ERR_TIMEOUT,
 *            CF_ERR_NOMEM, as cf_future_wait() (CF_ERR_DEADLOCK, CF_ERR_FORKED; what runs goes on), or as
 *            cf_submit_bytes(). */
CF_API cf_err cf_map_lazy_bytes(cf_executor *executor, const cf_task_type *type, size_t in_flight, cf_map_next *next,
                                void *next_context, cf_map_done *done, void *done_context, const cf_map_opts *options);

/* ---- implementation: the caller ---- */
#if CF__BODIES
#define CF__MAP_CHUNKS_MOST 4096u                         /* if the caller chooses their size */
#define CF__MAP_ROUND 65536u                              /* items in a tracked round at most */
#define CF__MAP_BYTES (CF__STATIC_CAST(size_t, 16) << 20) /* of a tracked round, unless the items are large */
#define CF__MAP_SLICE INT64_C(10000000) /* nanoseconds after which the caller looks for dead runners */
#define CF__MAP_PATIENCE 16             /* runners that may die in a row without having begun an item */

typedef struct cf__map_job { /* what is to be done, and how it went; of the caller alone, as long as the call lasts */
    cf_executor *executor;
    const cf_task_type *type;
    size_t first, count;       /* what the first item is called; items */
    unsigned char *results;    /* NULL: not wanted, or there are none */
    const void *const *arrays; /* cf_map */
    const void *args;          /* cf_for; NULL: cf_map */
    cf_map_opts options;
    cf_map_failure failure; /* of the first item that went wrong so far; index SIZE_MAX: none */
} cf__map_job;

struct cf__map;

typedef struct cf__map_runner { /* who has seat i; its node is there for when the caller leaves it behind */
    cf__callback node;
    struct cf__map *map;
    cf_future *future; /* NULL: nobody */
    uint32_t number;
    bool left_behind;
} cf__map_runner;

typedef struct cf__map { /* private to the calling process; fields: A atomic */
    cf__map_round round; /* the caller's copy */
    cf__map_job *job;    /* while the call lasts */
    cf_executor *executor;
    const cf__local_worker *worker; /* the caller's, or NULL */
    void *block;             /* in the executor's memory: the runners' copy of `round`, and all that it points to */
    uint32_t references;     /* A: the caller's, and one for each runner that it has left behind */
    unsigned workers, seats; /* of the executor; runners at a time */
    unsigned live, deaths;   /* runners that haven't ended; that have ended in a row having done nothing */
    size_t losses;           /* runners that died with an item */
    uint32_t next_number;    /* of a runner */
    uint32_t items, chunk;   /* in a round at most; option */
    size_t done;             /* items of the rounds before */
    cf_err reason;           /* why items weren't begun; CF_OK: all are, sooner or later */
    bool abandoned;          /* the block stays: a runner may write there, and nobody will learn when it ends */
    cf__map_runner *runners; /* one a seat */
} cf__map;

CF__PRIVATE void
cf__map_release(cf__map *map)
{
    /* acq_rel: what others did with it happens before the free. */
    if (cf__fetch_sub_acq_rel(&map->references, 1u) != 1)
        return;
    if (!map->abandoned)
        cf_executor_free(map->executor, map->block);
    cf__os_free(map);
}

CF__PRIVATE void
cf__map_runner_ended(cf__callback *node, cf_future *future)
{
    (void)future;
    cf__map_release(CF__POINTER_CAST(cf__map_runner *, node)->map);
}

/* Item `item` of the job went wrong. */
CF__PRIVATE void
cf__map_went_wrong(cf__map_job *job, size_t item, cf_err error, int code, const char *message)
{
    cf_map_failure *failure = &job->failure;
    if (job->options.status != NULL)
        job->options.status[item] = error;
    if (item >= failure->index)
        return;
    failure->index = item;
    failure->error = error;
    failure->code = code;
    (void)snprintf(failure->message, sizeof failure->message, "%s", message);
}

/* Submits a runner for `seat`; false if that failed. */
CF__PRIVATE bool
cf__map_submit_runner(cf__map *map, unsigned seat)
{
    cf__map_runner *runner = &map->runners[seat];
    cf__map_ticket ticket = {CF__STATIC_CAST(const cf__map_round *, map->block), seat, map->next_number};
    cf_submit_opts options;
    cf__options_copy(&options, sizeof options, NULL);
    options.deadline = map->round.deadline;
    cf_future *future = cf_submit_bytes(map->executor, cf__map_runner_type(), &ticket, &options);
    if (future->type == NULL) {
        cf_err refused = CF__STATIC_CAST(cf_err, future->error);
        if (refused == CF_ERR_FULL && cf_passed(options.deadline)) /* it has waited for room until then */
            refused = CF_ERR_TIMEOUT;
        if (map->live == 0) /* else those that run do it all */
            map->reason = refused == CF_ERR_SHUTDOWN && map->next_number != 0 ? CF_ERR_CANCELLED : refused;
        cf_future_release(future);
        return false;
    }
    runner->map = map;
    runner->future = future;
    runner->number = map->next_number++;
    map->live++;
    return true;
}

/* The runner in `seat` has ended: well, or with its worker, or it never began.  Submits another where that helps. */
CF__PRIVATE void
cf__map_take_leave(cf__map *map, unsigned seat)
{
    const cf__map_round *round = &map->round;
    cf__map_runner *runner = &map->runners[seat];
    cf_future *future = runner->future;
    cf_err error = cf_future_wait(future, CF_NOW);
    uint32_t lost = 0, lost_end = 0;
    bool held = error != CF_OK && cf__map_recover(round, runner->number, &lost, &lost_end);
    for (; lost < lost_end; lost++) {
        cf__map_went_wrong(map->job, map->done + lost, error, 0, cf_future_message(future));
        if (round->tracked)
            round->status[lost] = error;
    }
    cf_future_release(future);
    runner->future = NULL;
    map->live--;
    bool again = held || error == CF_ERR_WORKER_LOST || error == CF_ERR_CORRUPT || (error == CF_OK && map->live == 0);
    held = held && map->losses++ < map->job->count; /* with more than there are items, somebody writes over the words */
    map->deaths = held ? 0 : map->deaths;
    if (map->reason != CF_OK || !cf__map_has_free_chunk(round))
        return;
    if (cf_passed(round->deadline))
        map->reason = CF_ERR_TIMEOUT;
    else if (error == CF_OK && map->live == 0 && cf__task_asked_to_stop(cf__task_current()))
        map->reason = CF_ERR_CANCELLED; /* what runs in our wait is asked, too: another runner would end as soon */
    else if (again && (held || map->deaths++ < CF__MAP_PATIENCE))
        (void)cf__map_submit_runner(map, seat);
    else if (map->live == 0)
        map->reason = error;
}

/* Asks all runners to stop; those that nobody has begun never will be: the latest first, or who stops might begin the next. */
CF__PRIVATE void
cf__map_cancel(const cf__map *map)
{
    for (unsigned i = map->seats; i-- != 0;) {
        if (map->runners[i].future != NULL)
            (void)cf_future_cancel(map->runners[i].future);
    }
}

/* Waits until all runners have ended, or the deadline; or it mustn't wait: CF_ERR_DEADLOCK, CF_ERR_FORKED.  Runners of
 * a fast round use the caller's arrays, so then it waits for them all the same: with a deadline, which nobody refuses.
 * (In a forked child there are none.) */
CF__PRIVATE void
cf__map_await(cf__map *map)
{
    bool leaves = false;
    for (unsigned seat = 0; map->live != 0 && !leaves; seat = (seat + 1) % map->seats) {
        cf_future *future = map->runners[seat].future;
        if (future == NULL)
            continue;
        cf_time until = CF__MIN(map->round.deadline, map->reason != CF_OK ? CF_FOREVER - 1 : CF_FOREVER);
        if (map->round.in_processes) /* another one may die meanwhile */
            until = CF__MIN(until, cf_after_ns(CF__MAP_SLICE));
        cf_err error = cf_future_wait(future, until);
        leaves = cf_passed(map->round.deadline);
        if (error != CF_ERR_TIMEOUT && !cf_future_done(future)) {
            map->reason = error;
            leaves = map->round.tracked || error == CF_ERR_FORKED;
            cf__map_cancel(map);
        }
        for (unsigned i = 0; i < map->seats; i++) {
            if (map->runners[i].future != NULL && cf_future_done(map->runners[i].future))
                cf__map_take_leave(map, i);
        }
    }
    if (map->live != 0 && map->reason == CF_OK)
        map->reason = CF_ERR_TIMEOUT;
}

/* Closes the round and leaves those runners behind that still run. */
CF__PRIVATE void
cf__map_leave(cf__map *map)
{
    cf__map_cancel(map);
    cf__map_close(&map->round);
    for (unsigned i = 0; i < map->seats; i++) {
        cf__map_runner *runner = &map->runners[i];
        if (runner->future == NULL)
            continue;
        if (!cf_future_done(runner->future)) {
            runner->left_behind = true;
            runner->node.run = cf__map_runner_ended;
            (void)cf__fetch_add_relaxed(&map->references, 1u); /* relaxed: we hold one */
            if (cf__future_add_callback(runner->future, &runner->node) != CF_OK) {
                map->abandoned = true; /* it's a pool's shared memory, and goes with it */
                (void)cf__fetch_sub_acq_rel(&map->references, 1u);
            }
        }
        cf_future_release(runner->future);
    }
}

/* Takes the outcome of a tracked chunk's items [begin, end), which are done, to the caller. */
CF__PRIVATE void
cf__map_collect_items(const cf__map *map, uint32_t begin, uint32_t end)
{
    const cf__map_round *round = &map->round;
    size_t size = round->type->result_size;
    for (uint32_t item = begin; item <= end; item++) {
        uint32_t error = CF_OK; /* not a cf_err until it's known to be one (M4) */
        if (item < end)
            memcpy(&error, &round->status[item], sizeof error);
        if (error == CF_OK && item < end)
            continue;
        if (map->job->results != NULL && item > begin)
            memcpy(map->job->results + (map->done + begin) * size, round->results + begin * size,
                   (item - begin) * size);
        if (item < end) {
            cf_err known = error < CF__ERR_COUNT ? CF__STATIC_CAST(cf_err, error) : CF_ERR_FAILED;
            cf__map_went_wrong(map->job, map->done + item, known, 0, cf_strerror(known));
        }
        begin = item + 1;
    }
}

/* Takes the round's outcome to the caller. */
CF__PRIVATE void
cf__map_collect(cf__map *map)
{
    const cf__map_round *round = &map->round;
    cf_map_failure *failure = &map->job->failure;
    cf_err reason = map->reason != CF_OK ? map->reason : CF_ERR_CORRUPT; /* OK: a faulty task wrote into a word */
    if (map->reason != CF_OK)
        cf__map_leave(map);
    for (uint32_t i = 0; i < round->chunk_count; i++) {
        uint64_t word = cf__load_acquire(&round->chunks[i].word); /* acquire [M1] */
        uint32_t begin = cf__map_begin(round, i), end = cf__map_begin(round, i + 1), done = end;
        if (cf__map_state(word) != CF__MAP_DONE)
            done = CF__MIN(CF__MAX(cf__map_next_of(word), begin), end);
        if (round->tracked)
            cf__map_collect_items(map, begin, done);
        for (uint32_t item = done; item < end; item++)
            cf__map_went_wrong(map->job, map->done + item, reason, 0, cf_strerror(reason));
    }
    for (unsigned i = 0; i < map->seats; i++) {
        const cf__map_seat *seat = &round->seats[i];
        uint32_t failed = seat->failed;
        if (map->runners[i].left_behind || failed >= round->count)
            continue;
        if (!round->tracked)
            cf__map_went_wrong(map->job, map->done + failed, CF_ERR_FAILED, 0, "");
        if (map->done + failed == failure->index && failure->error == CF_ERR_FAILED) {
            failure->code = seat->code;
            memcpy(failure->message, seat->message, sizeof seat->message - 1);
        }
    }
}

/* Lays the block out at `base`; returns where it ends, which two more alignments may move on for another base. */
CF__PRIVATE uintptr_t
cf__map_layout(cf__map_round *round, uintptr_t base, unsigned seats)
{
    const cf_task_type *type = round->type;
    uintptr_t at = base + CF__ROUND_UP(sizeof *round, CF__CACHE_LINE);
    size_t places = round->counts ? seats : round->count;
    round->chunks = CF__POINTER_CAST(cf__map_chunk *, at);
    at += round->chunk_count * sizeof(cf__map_chunk);
    round->seats = CF__POINTER_CAST(cf__map_seat *, at);
    at += seats * sizeof(cf__map_seat);
    round->hint = CF__POINTER_CAST(uint32_t *, at);
    at += CF__CACHE_LINE;
    if (round->tracked) {
        round->status = CF__POINTER_CAST(cf_err *, at);
        at += round->count * sizeof(cf_err);
    }
    if (round->tracked || round->counts) {
        at = CF__ROUND_UP(at, type->args_align);
        round->args = CF__POINTER_CAST(unsigned char *, at);
        at = CF__ROUND_UP(at + places * round->args_stride, type->result_align);
        round->results = CF__POINTER_CAST(unsigned char *, at);
        at += places * type->result_size;
    }
    return at;
}

/* A map for `job`, with memory for its largest round; NULL if there isn't enough for a round of one item. */
CF__PRIVATE cf__map *
cf__map_new(cf__map_job *job, unsigned workers)
{
    const cf_task_type *type = job->type;
    size_t items = CF__MIN(job->count, CF__STATIC_CAST(size_t, CF__MAP_ITEMS));
    size_t head = CF__ROUND_UP(sizeof(cf__map), CF__ALIGNOF(cf__map_runner));
    size_t size = head + CF__MIN(items, workers) * sizeof(cf__map_runner);
    cf__map *map = CF__STATIC_CAST(cf__map *, cf__os_alloc(size));
    if (map == NULL)
        return NULL;
    memset(CF__STATIC_CAST(void *, map), 0, size);
    map->job = job;
    map->executor = job->executor;
    map->references = 1;
    const cf__task_context *current = cf__task_current();
    map->worker = current != NULL ? current->worker : NULL;
    map->workers = workers;
    map->chunk = CF__STATIC_CAST(uint32_t, CF__MIN(job->options.chunk, items));
    map->runners = CF__POINTER_CAST(cf__map_runner *, CF__POINTER_CAST(unsigned char *, map) + head);
    cf__map_round *round = &map->round;
    round->type = type;
    round->arrays = job->arrays;
    round->args_stride = CF__ROUND_UP(type->args_size, type->args_align);
    round->deadline = job->options.deadline;
    round->in_processes = !job->executor->ops->shares_memory;
    round->counts = job->args != NULL;
    round->tracked =
        round->in_processes || round->deadline != CF_FOREVER || (!round->counts && type->run_range == NULL);

    if (map->chunk != 0)
        items = CF__MIN(items, CF__STATIC_CAST(size_t, map->chunk) * CF__MAP_CHUNKS_MOST);
    if (round->tracked) {
        size_t bytes = sizeof(cf_err) + (round->counts ? 0 : round->args_stride + type->result_size);
        size_t fits = CF__MAX(CF__MAP_BYTES / bytes, CF__STATIC_CAST(size_t, 4) * workers);
        items = CF__MIN(items, fits);
        items = CF__MIN(items, CF__STATIC_CAST(size_t, CF__MAP_ROUND));
    }
    for (; map->block == NULL && items != 0; items = items / 2) {
        cf__map_cut(round, items, map->chunk, workers);
        map->items = round->count;
        map->seats = CF__MIN(workers, round->chunk_count);
        size = cf__map_layout(round, 0, map->seats) + type->args_align + type->result_align;
        map->block = cf_executor_alloc(job->executor, size);
    }
    if (map->block == NULL) {
        cf__os_free(map);
        return NULL;
    }
    (void)cf__map_layout(round, CF__POINTER_CAST(uintptr_t, map->block), map->seats);
    return map;
}

/* Runs the next round. */
CF__PRIVATE void
cf__map_run_round(cf__map *map)
{
    const cf__map_job *job = map->job;
    const cf_task_type *type = job->type;
    cf__map_round *round = &map->round;
    cf__map_cut(round, CF__MIN(map->items, job->count - map->done), map->chunk, map->workers);
    round->first = job->first + map->done;
    for (uint32_t i = 0; i < round->chunk_count; i++) {
        uint32_t begin = cf__map_begin(round, i), end = cf__map_begin(round, i + 1);
        /* relaxed, here and below: the runners' submits publish it. */
        cf__store_relaxed(&round->chunks[i].word, cf__map_word(begin < end ? CF__MAP_FREE : CF__MAP_DONE, 0, begin));
    }
    cf__store_relaxed(round->hint, 0u);
    for (unsigned i = 0; i < map->seats; i++) {
        round->seats[i].failed = UINT32_MAX;
        if (round->counts)
            memcpy(round->args + i * round->args_stride, job->args, type->args_size);
    }
    if (round->tracked) {
        memset(CF__STATIC_CAST(void *, round->status), 0, round->count * sizeof(cf_err));
        for (uint32_t i = 0; !round->counts && i < round->count; i++)
            type->pack(round->args + i * round->args_stride, job->arrays, map->done + i);
    } else {
        if (!round->counts && job->results != NULL)
            round->results = job->results + map->done * type->result_size;
        round->status = job->options.status != NULL ? job->options.status + map->done : NULL;
    }
    memcpy(map->block, CF__STATIC_CAST(const void *, round), sizeof *round);

    for (unsigned i = 0; i < CF__MIN(map->seats, round->chunk_count); i++) {
        if (!cf__map_submit_runner(map, i))
            break;
    }
    cf__map_await(map);
    cf__map_collect(map);
    map->done += round->count;
}

CF__PRIVATE void
cf__map_run_rounds(void *argument)
{
    cf__map *map = CF__STATIC_CAST(cf__map *, argument);
    while (map->reason == CF_OK && map->done < map->job->count)
        cf__map_run_round(map);
}

/* An item that ran in the caller's own wait has ended the thread.  The stack is there until this returns: runners of other
 * threads are waited for, which may use the caller's arrays; that item's own is settled after. */
CF__SLOW void
cf__map_thread_ended(void *argument)
{
    cf__map *map = CF__STATIC_CAST(cf__map *, argument);
    cf__current = NULL; /* the item's, on a part of the stack that may be gone; and nothing more is run here */
    cf__map_cancel(map);
    for (unsigned i = 0; i < map->seats; i++) {
        cf_future *future = map->runners[i].future;
        if (future != NULL && !cf__future_runs_on(future, map->worker))
            (void)cf_future_wait(future, CF_FOREVER);
    }
    cf__map_leave(map);
    cf__map_release(map);
}

/* ---- a task for each item ---- */

typedef struct cf__map_single { /* a map as a lazy one */
    cf__map_job *job;
    size_t next, taken;
} cf__map_single;

CF__PRIVATE bool
cf__map_single_next(void *context, void *args)
{
    cf__map_single *self = CF__STATIC_CAST(cf__map_single *, context);
    const cf__map_job *job = self->job;
    if (self->next == job->count)
        return false;
    if (job->args != NULL) {
        size_t index = job->first + self->next;
        memcpy(args, job->args, job->type->args_size);
        memcpy(args, &index, sizeof index);
    } else {
        job->type->pack(args, job->arrays, self->next);
    }
    self->next++;
    return true;
}

CF__PRIVATE bool
cf__map_single_done(void *context, size_t index, cf_future *future)
{
    cf__map_single *self = CF__STATIC_CAST(cf__map_single *, context);
    cf__map_job *job = self->job;
    size_t size = job->type->result_size;
    cf_err error = cf_future_wait(future, CF_NOW);
    self->taken = index + 1;
    if (error != CF_OK)
        cf__map_went_wrong(job, index, error, cf_future_code(future), cf_future_message(future));
    else if (job->results != NULL)
        memcpy(job->results + index * size, future->result, size);
    return true;
}

CF_API cf_err
cf_map_lazy_bytes(cf_executor *executor, const cf_task_type *type, size_t in_flight, cf_map_next *next,
                  void *next_context, cf_map_done *done, void *done_context, const cf_map_opts *options)
{
    cf_map_opts ours;
    executor = cf__executor_here(executor);
    cf_err reason = cf__executor_check(executor);
    cf__options_copy(&ours, sizeof ours, options);
    return reason != CF_OK ? reason
                           : cf__map_lazily(executor, type, in_flight, next, next_context, done, done_context,
                                            ours.deadline != 0 ? ours.deadline : CF_FOREVER, &reason);
}

/* A map over `arrays`, or with `args` a cf_for. */
CF__PRIVATE cf_err
cf__map_do(cf_executor *executor, const cf_task_type *type, size_t first, size_t count, void *results,
           const void *const *arrays, const void *args, const cf_map_opts *options)
{
    cf__map_job ours, *job = &ours;
    memset(CF__STATIC_CAST(void *, job), 0, sizeof *job);
    cf__options_copy(&job->options, sizeof job->options, options);
    job->options.deadline = job->options.deadline != 0 ? job->options.deadline : CF_FOREVER;
    job->executor = executor = cf__executor_here(executor);
    job->type = type;
    job->first = first;
    job->count = count;
    job->results = type->result_size != 0 ? CF__STATIC_CAST(unsigned char *, results) : NULL;
    job->arrays = arrays;
    job->args = args;
    job->failure.index = SIZE_MAX;
    for (size_t i = 0; job->options.status != NULL && i < count; i++)
        job->options.status[i] = CF_OK;
    cf_err reason = cf__executor_check(job->executor);
    reason = reason == CF_OK && !cf__executor_has_code(executor, type) ? CF_ERR_UNSUPPORTED : reason;
    unsigned workers = reason == CF_OK ? CF__MIN(cf__executor_concurrency(job->executor), 1u << 16) : 0;
    size_t done = 0;
    bool rounds = workers != 0 && (executor->when_full != CF_FULL_RUN || executor->ops->shares_memory);
    cf__map *map = rounds && job->count != 0 ? cf__map_new(job, workers) : NULL;
    if (map != NULL) {
        cf__os_run_guarded(cf__map_run_rounds, map, cf__map_thread_ended);
        done = map->done;
        reason = map->reason;
        cf__map_release(map);
    } else if (reason == CF_OK && job->count != 0) {
        /* Nobody knows where it runs its tasks, or it's one of our processes; or one item is as large as its memory, or that
         * is in use: as tasks they wait for room, or learn that there never is enough. */
        cf__map_single self = {job, 0, 0};
        (void)cf__map_lazily(executor, type, CF__MIN(count, CF__STATIC_CAST(size_t, 1024)), cf__map_single_next, &self,
                             cf__map_single_done, &self, job->options.deadline, &reason);
        done = self.taken;
    }
    for (; done < job->count; done++)
        cf__map_went_wrong(job, done, reason, 0, cf_strerror(reason));
    if (job->count == 0)
        job->failure.error = reason;
    if (job->options.failure != NULL) {
        *job->options.failure = job->failure;
        job->options.failure->index = job->failure.error != CF_OK ? job->first + job->failure.index : 0;
    }
    return job->failure.error;
}

CF_API cf_err
cf_map_bytes(cf_executor *executor, const cf_task_type *type, size_t count, void *results, const void *const *arrays,
             const cf_map_opts *options)
{
    return cf__map_do(executor, type, 0, count, results, arrays, NULL, options);
}

CF_API cf_err
cf_for_bytes(cf_executor *executor, const cf_task_type *type, size_t first, size_t last, const void *args,
             const cf_map_opts *options)
{
    return cf__map_do(executor, type, first, last > first ? last - first : 0, NULL, NULL, args, options);
}

CF_API cf_err
cf_submit_all_bytes(cf_executor *executor, const cf_task_type *type, size_t count, cf_future **futures,
                    const void *const *arrays, const cf_submit_opts *options)
{
    cf_err first = CF_OK;
    unsigned char *memory = CF__STATIC_CAST(unsigned char *, cf__os_alloc(type->args_size + type->args_align));
    void *args = CF__POINTER_CAST(void *, CF__ROUND_UP(CF__POINTER_CAST(uintptr_t, memory), type->args_align));
    for (size_t i = 0; i < count; i++) {
        if (memory == NULL) {
            futures[i] = cf__future_static(CF_ERR_NOMEM);
        } else {
            type->pack(args, arrays, i);
            futures[i] = cf_submit_bytes(executor, type, args, options);
        }
        if (first == CF_OK && futures[i]->type == NULL)
            first = CF__STATIC_CAST(cf_err, futures[i]->error);
    }
    cf__os_free(memory);
    return first;
}

#endif /* CF__BODIES */

#endif
