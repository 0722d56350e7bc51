#!/bin/sh
# tests/model/mutants.sh [build-dir [word]] - plants one bug at a time in a copy of the library; a model must turn red for each.
# With a word: only the mutants whose line has it.  A row: file | sed expression | model [scenario] | what it breaks.
# A mutant survives if its model passes; that fails the script, and so does an expression that changes nothing.
# As many at a time as there are CPUs: this script calls itself for each, with --whole MODEL or --plant ROW.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-"$here/../../build/model"}
cc=${CC:-cc}
work="$build/mutant"
rows="$work/table"

table() {
    cat <<'TABLE'
detail/park.h | s/cf__os_futex_wait(word, value, deadline, scope)/cf__os_futex_wait(word, value, CF_FOREVER, scope)/ | park | sleeps past its deadline
detail/park.h | s/cf__os_futex_wake(word, INT_MAX, scope)/cf__os_futex_wake(word, 1, scope)/ | park park_two_waiters | wakes one of all
detail/park.h | s/return cf__os_futex_wait(word, value, deadline, scope)/return cf__os_futex_wait(word, cf__load_relaxed(word), deadline, scope)/ | park park_set_and_wait | sleeps on whatever the word holds now
detail/park.h | s/    return marked;/    return false;/ | park | forgets to look again under the mutex
detail/event.h | s/^        cf__event_unlink(event, &self);/        ;/ | park event_deadline | leaves its record on the line
detail/event.h | /^        cf__event_unlink(event, first);/d | park event_give_and_take | wakes the same one twice
detail/event.h | s/    if (sleeper != NULL)$/    if (0)/ | park event_give_and_take | forgets the wake
detail/event.h | /^        cf__bell_mark(/d | park event_give_and_take | wakes without a sign of it
detail/park.h | s/(&bell->marked, CF__SCOPE_PRIVATE)/(\&bell->marked, CF__SCOPE_SHARED)/ | park event_give_and_take | wakes with the wrong scope
detail/place.h | s/cf__unpark_all(word, CF__SCOPE_PRIVATE)/cf__unpark_one(word, CF__SCOPE_PRIVATE)/ | park place_two_waiters | wakes one of two waiters at a place
detail/place.h | s/cf__unpark_all(word, CF__SCOPE_PRIVATE)/cf__unpark_all(word, CF__SCOPE_SHARED)/ | park place_open_and_wait | wakes a place with the wrong scope
detail/park.h | s/    if (marked)$/    if (0)/ | condvar event_deadline | leaves with a bell that is about to be rung
detail/park.h | s/^    bell->rung = true;/    ;/ | condvar place_open_and_wait | rings without a sign of it
detail/park.h | s/^    cf__cond_signal(&bell->cond);.*/    ;/ | condvar place_open_and_wait | wakes nobody
detail/park.h | s/while (in_time && !bell->rung)/while (in_time \&\& !cf__load_acquire(\&bell->marked))/ | condvar event_give_and_take | leaves when marked
detail/park.h | s/        in_time = cf__cond_wait(&bell->cond, &bell->mutex, deadline);/        in_time = cf__cond_wait(\&bell->cond, \&bell->mutex, CF_FOREVER);/ | condvar | sleeps past its deadline
detail/park.h | s/    return marked;/    return false;/ | condvar | forgets to look again under the mutex
detail/place.h | s/if (cf__load_relaxed(word) == value)/if (true)/ | condvar place_open_and_wait | sleeps on whatever the word holds now
detail/place.h | s/    cf__event_wake_all(&place->sleepers);/    cf__sleeper_wake(cf__event_take(\&place->sleepers));/ | condvar place_two_waiters | wakes one of two waiters at a place
detail/cells.h | s/if (cf__load_seq_cst(stamp) == tail)/if (cf__load_relaxed(stamp) == tail)/ | queue queue_1p1c_two_items_in_order | a put doesn't wait for the last lap's get to have read
detail/cells.h | s/if (cf__load_seq_cst(stamp) == tail)/if (cf__load_acquire(stamp) == tail)/ | queue queue_1p1c_two_items_in_order | a putter about to sleep looks too early
detail/cells.h | s/if (cf__load_seq_cst(stamp) == head + 1)/if (cf__load_relaxed(stamp) == head + 1)/ | queue queue_1p1c | an item read before it's there
detail/cells.h | s/if (cf__load_seq_cst(stamp) == head + 1)/if (cf__load_acquire(stamp) == head + 1)/ | queue queue_1p1c | a getter about to sleep looks too early
detail/cells.h | s/(void)cf__exchange_seq_cst(stamp, tail + 1)/(void)cf__exchange_relaxed(stamp, tail + 1)/ | queue queue_1p1c | an item published without release
detail/cells.h | s/(void)cf__exchange_seq_cst(stamp, tail + 1)/(void)cf__exchange_acq_rel(stamp, tail + 1)/ | queue queue_1p1c | a put's half of Dekker's
detail/cells.h | s/(void)cf__exchange_seq_cst(stamp, head + cells->lap)/(void)cf__exchange_relaxed(stamp, head + cells->lap)/ | queue queue_1p1c_two_items_in_order | a cell given back without release
detail/cells.h | s/(void)cf__exchange_seq_cst(stamp, head + cells->lap)/(void)cf__exchange_acq_rel(stamp, head + cells->lap)/ | queue queue_1p1c_two_items_in_order | a get's half of Dekker's
detail/cells.h | s/else if (cf__load_relaxed(&cells->tail) == tail)/else if (1)/ | queue queue_full_two_putters | full, for a look at an old tail
detail/cells.h | s/else if (cf__load_relaxed(&cells->head) == head)/else if (1)/ | queue queue_1p2c | empty, for a look at an old head
detail/cells.h | s/cf__load_acquire(&cells->tail) == (head . CF__CELLS_CLOSED)/cf__load_acquire(\&cells->tail) \& CF__CELLS_CLOSED/ | queue queue_close_and_put | closed, while an item is still being put
detail/cells.h | s/(void)cf__load_acquire(&cells->tail); .. acquire/; \/* acquire/ | queue queue_close_publishes | a refused put without acquire
detail/cells.h | s/(void)cf__load_acquire(&cells->head); .. acquire/; \/* acquire/ | queue queue_close_now_publishes | a refused get without acquire
detail/cells.h | s/return cf__load_acquire(&cells->tail)/return cf__load_relaxed(\&cells->tail)/ | queue queue_close_publishes_to_getters | the end of a closed queue without acquire
detail/cells.h | s/(void)cf__fetch_or_seq_cst(&cells->tail/(void)cf__fetch_or_relaxed(\&cells->tail/ | queue queue_close_publishes | a close without release
detail/cells.h | s/(void)cf__fetch_or_seq_cst(&cells->head/(void)cf__fetch_or_relaxed(\&cells->head/ | queue queue_close_now_publishes | a close now without release
queue.h | s/cf__load_seq_cst(&line->call)/cf__load_acquire(\&line->call)/ | queue queue_1p1c | looks for sleepers too early
queue.h | s/(void)cf__exchange_seq_cst(&line->call, 1u)/(void)cf__exchange_acq_rel(\&line->call, 1u)/ | queue queue_1p1c | the sleeper's half of Dekker's
queue.h | s/cf__queue_call(queue, &queue->not_empty);/;/ | queue queue_1p1c | a put owes its wake
queue.h | /^cf_queue_put_many/,/^}/s/cf_queue_put_until(queue, item, deadline)/cf__queue_try(queue, true, item, NULL)/ | queue queue_put_many_passes_the_wake_on | puts many for nothing
queue.h | /^cf_queue_put_many/,/^}/{s/= cf_queue_put_until(queue, item, deadline)/= cf__queue_try(queue, true, item, NULL)/;s/^    return error;/    cf__queue_call(queue, \&queue->not_empty);&/;} | queue queue_put_many_wakes_at_once | puts many, and only then wakes
queue.h | s/cf__queue_call(queue, &queue->not_full);/;/ | queue queue_1p1c_two_items_in_order | a get owes its wake
queue.h | /^cf_queue_get_many/,/^}/s/cf_queue_try_get(queue, /cf__queue_try(queue, false, NULL, / | queue queue_get_many_passes_the_wake_on | gets many for nothing
queue.h | /^cf_queue_get_many/,/^}/{s/cf_queue_try_get(queue, /cf__queue_try(queue, false, NULL, /;s/^    return CF_OK;/    cf__queue_call(queue, \&queue->not_full);&/;} | queue queue_get_many_wakes_at_once | gets many, and only then wakes
queue.h | s/if (!cf__queue_must_wait(error) .. !in_time)/if (!cf__queue_must_wait(error))/ | queue queue_get_deadline_and_put | stays beyond its deadline
queue.h | s/^        in_time = cf__event_wait(&line->event, &queue->mutex, deadline);/&break;/ | queue queue_1p1c | takes a wake for an item
queue.h | s/^        next = cf__event_take(&line->event);/        ;/ | queue queue_2p2c | a wake isn't passed on
queue.h | s/cf__queue_must_wait(cf__queue_try(queue, putting, NULL, NULL))/true/ | queue queue_close_and_put | nor is it when there is more
queue.h | s/^    cf__sleeper \*next = cf__event_take(&line->event);/    cf__sleeper *next = NULL;/ | queue queue_1p1c | whoever is called isn't taken
queue.h | /^    cf__event_wake_all(&queue->not_empty.event);/d | queue queue_close_wakes_getters | close leaves getters asleep
queue.h | /^    cf__event_wake_all(&queue->not_full.event);/d | queue queue_close_wakes_putters | close leaves putters asleep
queue.h | s/^        cf__event_wake_all(&queue->finished.event);/        ;/ | queue queue_close_now_and_join | closing now leaves joiners asleep
queue.h | s/^    cf__event_wake_all(&queue->finished.event);/    cf__sleeper_wake(cf__event_take(\&queue->finished.event));/ | queue queue_join | one of two joiners is woken
queue.h | s/head & CF__CELLS_CLOSED ? head : /0 ? head : / | queue queue_close_now_and_join | closing now drops nothing
queue.h | s/cf__cas_seq_cst(&queue->reported/cf__cas_relaxed(\&queue->reported/ | queue queue_task_done_publishes | a report without release
queue.h | s/cf__cas_seq_cst(&queue->reported/cf__cas_acq_rel(\&queue->reported/ | queue queue_task_done_publishes | a report's half of Dekker's
queue.h | s/cf__load_seq_cst(&queue->finished.call) != 0/cf__load_acquire(\&queue->finished.call) != 0/ | queue queue_task_done_publishes | looks for joiners too early
queue.h | s/(void)cf__exchange_seq_cst(&queue->finished.call/(void)cf__exchange_acq_rel(\&queue->finished.call/ | queue queue_task_done_publishes | the joiner's half of Dekker's
queue.h | s/size_t reported = cf__load_seq_cst(&queue->reported);/size_t reported = cf__load_acquire(\&queue->reported);/ | queue queue_task_done_publishes | a joiner looks too early
queue.h | s/size_t reported = cf__load_seq_cst(&queue->reported);/size_t owed = cf__queue_owed(queue), reported = cf__load_seq_cst(\&queue->reported);/; s/finished = reported >= cf__queue_owed(queue);/finished = reported >= owed;/ | queue queue_join_while_putting | a joiner counts puts before reports
queue.h | s/cf__queue_wake_joiners(queue);$/;/ | queue queue_join | the last report wakes nobody
queue.h | s/^    cf__mutex_lock(&queue->items_mutex); .. not/    ; \/* not/; s/^    cf__cells_close(&queue->cells, now);/cf__cells_close(\&queue->cells, now); return;/ | queue queue_lifo_close_and_put | closes in the middle of a put
future.h | s/before = cf__exchange_acq_rel(&future->state, state)/before = cf__exchange_relaxed(\&future->state, state)/ | future future_settle_and_wait | outcome published without release
future.h | s/before = cf__exchange_acq_rel(&future->state, state)/before = cf__exchange_acquire(\&future->state, state)/ | future future_settle_and_wait | outcome published with acquire only
future.h | s/if (before & CF__WAITED)/if (0 \& before)/ | future future_settle_and_wait | settles without a wake
future.h | s/        if (state & CF__WAITED)$/        if (0)/ | future future_settle_and_cancel | cancels without a wake
future.h | s/runs ? state . CF__STOP : CF__CANCELLED/runs ? (state \& ~CF__WAITED) \| CF__STOP : CF__CANCELLED/ | future future_settle_and_cancel | cancel drops the waiters' bit
future.h | s/(state & ~CF__STATE_MASK) . running/running/ | future future_run_and_cancel | start drops the waiters' bit
promise.h | s/future, CF__RUNNING . CF__SETTLING/future, CF__RUNNING/ | future future_run_and_fail | others may settle what is being run
future.h | s/future, CF__RUNNING . CF__SETTLING/future, CF__RUNNING/ | future future_wait_runs_and_fail | nor what a wait runs
future.h | s/&state, state . CF__SETTLING)/\&state, CF__SETTLING)/ | future future_settle_and_wait | claiming the outcome drops the waiters' bit
future.h | s/while (!cf__settled(state) && !(state & CF__SETTLING)) {/while (!cf__settled(state)) {/ | future future_settle_and_settle | two settlers
future.h | s/if (cf__settled(cf__load_acquire(&future->state)))/if (cf__settled(cf__load_relaxed(\&future->state)))/ | future future_settle_and_wait | reads the outcome without acquire
future.h | s/cf__exchange_acq_rel(&future->callbacks/cf__exchange_release(\&future->callbacks/ | future future_callback_and_settle | reads callbacks without acquire
future.h | s/cf__cas_acq_rel(&future->callbacks/cf__cas_acquire(\&future->callbacks/ | future future_callback_and_settle | adds a callback without release
future.h | /^        callback(future, context);/d | future future_callback_and_settle | a late callback isn't called
future.h | s/^    if (late)$/    if (0)/ | future future_callback_and_settle | nor is one that finds the list just closed
future.h | s/^    line->closed = true;/    ;/ | wait wait_set_add_beside_callback | a line that nobody will look at again stays open
future.h | s/bool closed = line->closed;/bool closed = false;/ | wait wait_set_add_beside_callback | adds to a line that was closed
future.h | s/bool there = !line->closed;/bool there = true;/ | wait wait_set_free_and_settle | takes an entry off that the settler has
future.h | /^    cf__store_release(&future->callbacks, /d | wait wait_set | forgets the line that it has closed
future.h | s/cf__store_release(&future->callbacks, /cf__store_relaxed(\&future->callbacks, / | wait wait_set_callback_and_settle | a closed line without release
future.h | /^cf__future_install_line/,/^}/{/cf__mutex_.*lock/d} | wait wait_set_add_after_callback | a line is seen before all are on it
future.h | s/older = cf__callbacks_reverse(.top); older != NULL;/older = cf__callbacks_reverse(*top); 0;/ | wait wait_set_add_after_callback | a line drops what was on the stack
future.h | s/^    cf__line_free(line);/    ;/ | wait wait_set_never_settled | leaks the line
future.h | s/^    cf__line_free(fresh);/    ;/ | wait wait_two_sets_added | leaks a line that came too late
future.h | s/cf__fetch_sub_acq_rel(&future->references/cf__fetch_sub_relaxed(\&future->references/ | future future_settle_and_wait | frees unordered
future.h | s/cf__fetch_sub_acq_rel(&future->references/cf__fetch_sub_release(\&future->references/ | future future_settle_and_wait | frees without acquire
future.h | s/cf__fetch_sub_acq_rel(&future->references/cf__fetch_sub_acquire(\&future->references/ | future future_settle_and_wait | releases without release
future.h | /^cf_future_release/,/^}/s/cf__load_acquire(&future->references)/cf__load_relaxed(\&future->references)/ | future | the last one frees unordered
future.h | s/if (!alone .. cf__load_relaxed(&future->callbacks) != NULL)/if (!alone)/ | pool pool_callback_of_a_forgotten_task | a future that nobody holds forgets its callbacks
detail/scheduler.h | s/alone = cf__load_acquire(&future->references) == 1/alone = cf__load_acquire(\&future->references) <= 2/ | pool pool_one_task | runs alone what others still hold
detail/scheduler.h | s/alone = cf__load_acquire(&future->references)/alone = cf__load_relaxed(\&future->references)/ | pool pool_callback_of_a_forgotten_task | alone, but behind the times
thread_pool.h | s/if ((pool->levels & 1u << level) == 0)/if (0)/ | pool pool_one_task | a submit that nobody finds
future.h | s/state . CF__WAITED, may_expire/state \& ~CF__WAITED, may_expire/ | future future_settle_and_wait | expects a word that isn't there
future.h | s/if (!in_time && !may_expire && !cf__settled(state))/if (0)/ | future future_wait_deadline | ignores its deadline
future.h | s/if (!(state & CF__WAITED) && !cf__cas_[a-z_]*(&future->state, &state, state . CF__WAITED))/if (0)/ | future future_settle_and_wait | sleeps unannounced
future.h | s/!(state & CF__WAITED) && !cf__cas_acq_rel(&future->state/!(state \& CF__WAITED) \&\& !cf__cas_relaxed(\&future->state/ | wait wait_all_publishes | a failed CAS ends the wait without acquire
future.h | s/^    cf__os_free(future->message);/    ;/ | future future_fail_and_wait | leaks the message
future.h | s/&& current->executor == future->executor &&/\&\& 0 \&\&/ | future future_run_and_run | a worker waits for a task that nobody is left to run
wait.h | s/sleeper = cf__event_take(&set->ready);/;/ | wait wait_set | a completion wakes nobody
wait.h | s/^            cf__event_wake_all(&set->ready);/            ;/ | wait wait_set_one_for_two | the last one leaves the others waiting for nothing
wait.h | s/(void)cf__fetch_add_relaxed(&set->references, 1u);/;/ | wait wait_set | an entry holds no reference of its set
wait.h | s/if (cf__future_remove_callback(entry->future, &entry->node))/if (0)/ | wait wait_set_never_settled | leaves its entries behind
wait.h | s/^    if (!set->freed)$/    if (true)/ | wait wait_set_free_and_settle | an entry leaves a list that is gone
wait.h | s/^        cf__wait_set_unlink(set, entry);/        ;/ | wait wait_set_free_after_next | an entry that has settled stays pending
wait.h | s/future != NULL && !set->freed;/future != NULL;/ | wait wait_set_free_and_settle | an entry stays on the list of a freed set
wait.h | s/cf__fetch_sub_acq_rel(&set->references/cf__fetch_sub_relaxed(\&set->references/ | wait wait_set_free_and_settle | frees unordered
wait.h | s/while (error == CF_OK && set->first == NULL/if (error == CF_OK \&\& set->first == NULL/ | wait wait_set_two_getters | takes a wake for a completion
thread_pool.h | s/^    cf__sleeper_wake(next);/    ;/ | pool pool_two_submitters | submit wakes nobody
thread_pool.h | s/cf__event_wake_all(&pool->quiet);/(void)0;/ | pool | no wake for those that shut down
thread_pool.h | s/^        cf__event_wake_all(&pool->work);/        ;/ | pool pool_one_task | workers aren't told to end
thread_pool.h | s/^    cf__event_wake_all(&pool->room);/    ;/ | pool pool_full_and_shutdown | submitters aren't told of a shutdown
thread_pool.h | s/^    if (pool->closed) {/    if (0) {/ | pool pool_full_and_shutdown | accepts tasks after a shutdown
thread_pool.h | s/^            cf__sleeper_wake(cf__event_take(&pool->room));/            ;/ | pool pool_full | no wake for room
thread_pool.h | s/waits = self == NULL .*; /waits = true; / | pool pool_nested_full | a worker waits for room
thread_pool.h | /^cf__thread_worker_loop/,/^}/s/^            pool->pending--;/            ;/ | pool pool_full | a task that has ended counts as pending
thread_pool.h | s/future->references = 2;/future->references = 1;/ | pool pool_one_task | the pool holds no reference
detail/scheduler.h | /^cf__thread_worker_run_queued/,/^}/s/^    cf_future_release(future);/    ;/ | pool pool_one_task | a worker keeps its last future
detail/scheduler.h | s/^        cf__event_wake_all(&pool->quiet);/        ;/ | scheduler sched_drain_and_push | the last to sleep doesn't tell those that shut down
detail/scheduler.h | s/return cf__fetch_add_seq_cst(&pool->demand, change)/return cf__fetch_add_acq_rel(\&pool->demand, change)/ | scheduler sched_push | half of Dekker's for the sleeper
detail/scheduler.h | /^cf__thread_worker_next/,/^}/s/cf__fetch_and_seq_cst/cf__fetch_and_acq_rel/ | scheduler sched_push_burst | half of Dekker's for the searcher
detail/scheduler.h | /^cf__thread_worker_next/,/^}/s/cf__fetch_and_seq_cst/cf__fetch_and_release/ | scheduler sched_burst_of_two | clears the search without acquire
detail/deque.h | /^cf__deque_has_entries/,/^}/s/cf__load_seq_cst/cf__load_acquire/g | scheduler sched_push | looks at the deques too early
detail/deque.h | s/(void)cf__exchange_seq_cst(&deque->bottom, bottom + count)/(void)cf__exchange_acq_rel(\&deque->bottom, bottom + count)/ | scheduler sched_push | half of Dekker's for the pusher
detail/local_worker.h | s/cf__load_seq_cst(worker->demand)/cf__load_acquire(worker->demand)/ | scheduler sched_push | looks for sleepers too early
detail/scheduler.h | /^cf__thread_worker_next/,/^}/s/if (cf__load_seq_cst(&pool->levels) != 0 || cf__thread_pool_has_pushed(pool))/if (0)/ | scheduler sched_burst | no look after the search
detail/scheduler.h | /^cf__thread_worker_next/,/^}/s/cf__load_seq_cst(&pool->levels) != 0 ||// | scheduler sched_burst_of_two | looks at the deques only after the search
detail/scheduler.h | /^cf__thread_worker_next/,/^}/s/|| cf__thread_pool_has_pushed(pool)// | scheduler sched_burst | looks at the injection only after the search
detail/scheduler.h | /^cf__thread_worker_park/,/^}/s/if (cf__thread_pool_has_pushed(pool))/if (0)/ | scheduler sched_push | sleeps without a look at the deques
detail/scheduler.h | /^cf__thread_worker_park/,/^}/s/if (pool->levels != 0.*) {/if (0) {/ | scheduler sched_submit_again | sleeps without a look at the injection
detail/scheduler.h | /^cf__thread_worker_next/,/^}/s/(void)cf__fetch_and_seq_cst(&pool->demand, ~CF__SEARCHING);/;/ | scheduler sched_submit_again | searches for ever
detail/scheduler.h | /^cf__thread_pool_call_one/,/^}/s/(void)cf__fetch_and_seq_cst(&pool->demand, ~CF__SEARCHING);/;/ | scheduler sched_burst_cold | a waker that finds nobody searches for ever
detail/scheduler.h | /^cf__thread_worker_park/,/^}/s/cf__thread_worker_search(self);/;/ | scheduler sched_push_burst_spin | takes one of two that were left to it as the searcher
detail/scheduler.h | s/cf__thread_pool_account(pool, searching);/cf__thread_pool_account(pool, 0);/ | scheduler sched_burst_spin | sleeps as the searcher
detail/scheduler.h | s/self->searching = !pool->quit;/;/ | scheduler sched_submit_again | the woken doesn't take the search over
detail/scheduler.h | s/pool->idle--; .. it owns/; \/* it owns/ | scheduler sched_submit_again | who is woken counts as idle
detail/scheduler.h | /^cf__thread_pool_begin_wait/,/^}/s/sleeper = cf__thread_pool_call_one(pool, false, &start_error);/;/ | scheduler sched_stand_in | who waits leaves its work to nobody
detail/scheduler.h | /^cf__thread_pool_begin_wait/,/^}/s/(void)cf__thread_pool_account(pool, 0);/;/ | scheduler sched_stand_in | who waits isn't accounted for
detail/scheduler.h | /^cf__thread_pool_end_wait/,/^}/s/pool->blocked--;/;/ | scheduler sched_stand_in | counts as blocked for ever
detail/scheduler.h | s/bool end = pool->quit || .*;/bool end = pool->quit;/ | scheduler sched_stand_in | the thread too many stays
detail/scheduler.h | s/steps <= pool->capacity/steps < 1/ | scheduler sched_deadlock | sees circles of one only
detail/scheduler.h | s/if (owner == self->number)/if (owner - 1 == self->number)/ | scheduler sched_deadlock | sees no circle
detail/scheduler.h | s/self->blocked_on = deadline == CF_FOREVER ? future : NULL;/;/ | scheduler sched_deadlock | doesn't say what it waits for
detail/scheduler.h | /^cf__thread_pool_join/,/^}/s/pool->strays = stolen;/;/ | scheduler sched_stray | drops a stray
child.h | s/^        CF__CHILD_WAITED)$/        0)/ | scheduler sched_child_stolen | no wake for the joiner
child.h | s/cf__exchange_acq_rel(&child->state/cf__exchange_relaxed(\&child->state/ | scheduler sched_child_stolen | a child's result without release
child.h | s/cf__exchange_acq_rel(&child->state/cf__exchange_acquire(\&child->state/ | scheduler sched_child_stolen | a child's result with acquire only
child.h | /^cf__child_take(/,/^}/s/cf__load_acquire/cf__load_relaxed/ | scheduler sched_child_stolen | a joiner reads the result without acquire
child.h | s/if (state & CF__CHILD_FAILED)/if (0)/ | scheduler sched_child_fails | drops a child's failure
child.h | s/^        cf__local_worker_pushed(worker);/        ;/ | scheduler sched_child_stolen | a child calls nobody
child.h | s/cf__child_run_stolen(newest, worker, 0);/;/ | scheduler sched_children_oldest_first | drops a newer child
thread_pool.h | s/^    pool->injected -= count;/    ;/ | scheduler sched_cancel_and_steal | cancelled futures count as left
thread_pool.h | s/cf__slab_close(pool->slab);/;/ | scheduler sched_future_outlives_pool | leaks the slab
thread_pool.h | s/cf__slab_close(pool->slab);/cf__slab_free(pool->slab);/ | scheduler sched_future_outlives_pool | frees the slab under a future
thread_pool.h | s/        if (pool->start_failed) {/        if (0) {/ | scheduler sched_start_fails | never tries again after a start that failed
thread_pool.h | /^cf__thread_worker_leave/,/^}/s/cf__event_wake_all(&pool->quiet);/;/ | scheduler sched_drain_and_retire | who ends as the last tells nobody
detail/slot.h | s/cf__cas_seq_cst(&slot->word, &word, cf__slot_with_state(word, to))/cf__cas_relaxed(\&slot->word, \&word, cf__slot_with_state(word, to))/ | arena arena_one_task | an outcome without release
detail/slot.h | s/cf__cas_seq_cst(&slot->word, &word, cf__slot_with_state(word, to))/cf__cas_acq_rel(\&slot->word, \&word, cf__slot_with_state(word, to))/ | arena arena_pressure | half of Dekker's for the pressure word
detail/slot.h | s/if (word & CF__SLOT_WAIT)$/if (0)/ | arena arena_one_task | settles without a wake
detail/slot.h | s/cf__slot_futex(slot), CF__SCOPE_SHARED/cf__slot_futex(slot), CF__SCOPE_PRIVATE/ | arena arena_one_task | wakes with the wrong scope
detail/arena.h | s/(void)cf__exchange_seq_cst(&ring->tail, tail + 1)/(void)cf__exchange_acq_rel(\&ring->tail, tail + 1)/ | arena arena_one_task | half of Dekker's for new work
detail/arena.h | s/cf__fetch_or_seq_cst(&arena->idle/cf__fetch_or_acq_rel(\&arena->idle/ | arena | the other half
detail/arena.h | s/cf__load_seq_cst(&view->arena->waking) == 0/cf__load_acquire(\&view->arena->waking) == 0/ | arena arena_one_task_after_another | looks at waking too early
detail/arena.h | s/cf__load_acquire(&ring->tail); .. acquire/cf__load_relaxed(\&ring->tail); \/* acquire/ | arena arena_one_task | reads a hint that isn't there yet
detail/arena.h | /cf__store_release(&self->intent, .slot + 1);/d | arena arena_death | a death loses the hint
detail/arena.h | s/cf__arena_tell(view, index, word); .. it may/; \/* it may/ | arena arena_death | no second wake after a death
detail/arena.h | s/cf__arena_tell(view, index, before);/;/ | arena arena_death | no wake for a lost task
detail/arena.h | s/cf__arena_push_hint(view, &arena->template_ring, view->template_hints, index);/;/ | arena arena_death | a hint that went down isn't pushed again
detail/arena.h | s/(void)cf__fetch_or_seq_cst(&view->completed/(void)cf__fetch_or_relaxed(\&view->completed/ | arena arena_collector | half of Dekker's for the collector
detail/arena.h | s/if (cf__load_seq_cst(&arena->collector) != 0/if (cf__load_relaxed(\&arena->collector) != 0/ | arena arena_collector | the other half
detail/arena.h | s/cf__load_seq_cst(&arena->pressure); /cf__load_relaxed(\&arena->pressure); / | arena arena_pressure | half of Dekker's for pressure
detail/arena.h | s/cf__fetch_or_seq_cst(&arena->pressure/cf__fetch_or_relaxed(\&arena->pressure/ | arena arena_pressure | the other half
detail/arena.h | s/&pressed, pressed + 1))/\&pressed, pressed - 1))/ | arena arena_pressed_twice | who hasn't lain down yet takes the next one's press for his own
detail/arena.h | s/^    cf__arena_ease(arena, true);/    cf__arena_ease(arena, false);/ | arena arena_death_under_pressure | it died between easing and the wake
detail/arena.h | s/^    cf__arena_wake_all(view);/    ;/ | arena arena_death_without_heir | the dead one's wakes aren't made up for
detail/arena.h | s/^        (void)cf__arena_search(view, number);/        ;/ | arena arena_two_meet | work comes while it lies down, and nobody else is woken
detail/deque.h | s/cf__exchange_seq_cst(&deque->bottom, bottom + count)/cf__exchange_acq_rel(\&deque->bottom, bottom + count)/ | deque deque_push_and_sleeper | half of Dekker's for those asleep
detail/deque.h | s/cf__load_seq_cst(&deque->top) < cf__load_seq_cst(&deque->bottom)/cf__load_seq_cst(\&deque->top) < cf__load_acquire(\&deque->bottom)/ | deque deque_push_and_sleeper | the other half
detail/deque.h | s/cf__exchange_seq_cst(&deque->bottom, bottom + count)/cf__exchange_acquire(\&deque->bottom, bottom + count)/ | deque deque_push_and_steal | pushes without release
detail/deque.h | s/>= CF__DEQUE_SIZE)/> CF__DEQUE_SIZE)/ | deque deque_full | writes into a full ring
detail/deque.h | s/cf__exchange_seq_cst(&deque->bottom, bottom + count)/0/ | deque deque_push_and_steal | push leaves bottom where it was
detail/deque.h | s/cf__exchange_seq_cst(&deque->bottom, bottom + count)/cf__exchange_seq_cst(\&deque->bottom, bottom + 1)/ | deque deque_push_many_and_steal | pushes one of many
detail/deque.h | s/cells.(bottom + i) % CF__DEQUE_SIZE./cells[bottom % CF__DEQUE_SIZE]/ | deque deque_push_many_and_steal | writes them all into one cell
detail/deque.h | s/cf__exchange_seq_cst(&deque->bottom, bottom);/cf__exchange_acq_rel(\&deque->bottom, bottom);/ | deque deque_two_entries | half of Dekker's against thieves
detail/deque.h | s/(void)cf__exchange_seq_cst(&deque->bottom, bottom);/cf__store_release(\&deque->bottom, bottom);/ | deque deque_two_entries | the same, as a store
detail/deque.h | /^cf__deque_pop/,/^}/{s/(void)cf__exchange_seq_cst.*/int64_t top = cf__load_seq_cst(\&(deque->top));/;s/int64_t top = cf__load_seq_cst(&deque->top);/(void)cf__exchange_seq_cst(\&deque->bottom, bottom);/} | deque deque_two_entries | pop looks at top before it writes bottom
detail/deque.h | /^cf__deque_pop/,/^}/s/cf__load_seq_cst(&deque->top)/cf__load_acquire(\&deque->top)/ | deque deque_two_entries | pop reads an old top
detail/deque.h | s/if (top < bottom)$/if (top <= bottom)/ | deque deque_last_entry | pop takes the last entry without asking
detail/deque.h | s/if (!cf__cas_seq_cst(&deque->top, &top, top + 1))/cf__store_seq_cst(\&deque->top, top + 1); if (0)/ | deque deque_last_entry | the same, with a store
detail/deque.h | /^cf__deque_pop/,/^}/s/^            entry = NULL; .*/            ;/ | deque deque_last_entry | the owner keeps what a thief took
detail/deque.h | /^cf__deque_pop/,/^}/s/^    cf__store_relaxed(&deque->bottom, bottom + 1);/    if (entry == NULL) cf__store_relaxed(\&deque->bottom, bottom + 1);/ | deque deque_last_entry | bottom stays behind top
detail/deque.h | /^cf__deque_steal/,/^}/s/cf__load_seq_cst(&deque->top)/cf__load_relaxed(\&deque->top)/ | deque deque_two_entries | steal's look at top isn't before that at bottom
detail/deque.h | /^cf__deque_steal/,/^}/{s/int64_t top = /int64_t bottom = cf__load_seq_cst(\&(deque->bottom)), top = /;s/cf__load_seq_cst(&deque->bottom)) {/bottom) {/} | deque deque_two_entries | steal looks at bottom first
detail/deque.h | /^cf__deque_steal/,/^}/s/cf__load_seq_cst(&deque->bottom)/cf__load_acquire(\&deque->bottom)/ | deque deque_two_entries | steal reads an old bottom
detail/deque.h | /^cf__deque_steal/,/^}/s/cf__load_seq_cst(&deque->bottom)/cf__load_relaxed(\&deque->bottom)/ | deque deque_push_and_steal | reads an entry that isn't there yet
detail/deque.h | /^cf__deque_steal/,/^}/s/cf__cas_seq_cst/cf__cas_acq_rel/ | deque deque_two_entries | a failed steal reads an old bottom
detail/deque.h | /^cf__deque_steal/,/^}/s/cf__cas_seq_cst/cf__cas_acquire/ | deque deque_two_entries | the same, without release
detail/deque.h | /^cf__deque_steal/,/^}/s/cf__cas_seq_cst/cf__cas_relaxed/ | deque deque_two_entries | the same, without acquire
detail/deque.h | s/if (cf__cas_seq_cst(&deque->top, &top, top + 1))/cf__store_seq_cst(\&deque->top, top + 1);/ | deque deque_last_entry | two thieves take the same
detail/deque.h | /^cf__deque_steal/,/^}/s/return entry;/return cf__load_relaxed(\&deque->cells[top % CF__DEQUE_SIZE]);/ | deque deque_full | a thief reads its cell when it may be another's
detail/deque.h | s/deque->cells.(bottom - 1) % CF__DEQUE_SIZE/deque->cells[bottom % CF__DEQUE_SIZE/ | deque deque_push_and_pop | peeks behind the newest
detail/slot.h | s/cf__cas_acq_rel(&slot->word, &word, word | flag)/(cf__store_release(\&slot->word, word | flag), true)/ | limits limits_kill_or_next | KILLING by a store, look and then write
detail/slot.h | s/cf__slot_runs(word, owner) && cf__slot_generation(word) == generation/cf__slot_state(word) == CF__SLOT_RUNNING/ | limits limits_again | KILLING in another task's word
detail/slot.h | s/if (.found != 0)$/if (0)/ | limits limits_signal | publishes with a signal or a kill on its way
detail/arena.h | s/state, CF__SLOT_KILLING . CF__SLOT_SIGNALED,/state, CF__SLOT_SIGNALED,/ | limits limits_kill_or_next | publishes while it is being killed
detail/arena.h | s/state, CF__SLOT_KILLING . CF__SLOT_SIGNALED,/state, CF__SLOT_KILLING,/ | limits limits_signal | publishes before its signal has come
detail/arena.h | /a signal that is pending arrives at the end of any system call/d | limits limits_signal | no system call after the signal was sent
detail/arena.h | s/while (cf__load_acquire(&self->signaled) == 0 &&/while (0 \&\&/ | limits limits_signal | doesn't wait until the signal has been sent
detail/arena.h | s/^    cf__store_relaxed(&dead->signaled, 0u);.*/    ;/ | limits limits_signal_of_dead_one | a dead worker's note serves for the next one's signal
detail/ladder.h | /^            cf__os_signal(process, CF__STATIC_CAST(int, wish));/{h;d};/^            cf__store_release(&worker->signaled/{G} | limits limits_signal | says that it has sent the signal, then sends it
detail/ladder.h | s/^    due = cf__load_acquire(&worker->due);/    ;/ | limits limits_kill_or_next | the next task is judged by the start of the last
detail/ladder.h | s/if (now < ladder->next) {/if (0) {/ | limits limits_stall | kills at the first look
detail/ladder.h | s/uint64_t unless = CF__SLOT_SHIELD;/uint64_t unless = 0;/ | limits limits_shield_put_off | a shield is none
detail/ladder.h | s/    int64_t due = cf__load_seq_cst(&worker->due);/    int64_t due = cf__load_relaxed(\&worker->due);/ | limits limits_look | half of Dekker's for the look
detail/arena.h | s/(void)cf__exchange_seq_cst(&view->workers.number - 1..due, due);/(void)cf__exchange_acq_rel(\&view->workers[number - 1].due, due);/ | limits limits_look | the other half
detail/arena.h | s/if (due < cf__load_seq_cst(&view->arena->next_look))/if (due < cf__load_acquire(\&view->arena->next_look))/ | limits limits_look | looks at next_look too early
detail/arena.h | s/if (due < cf__load_seq_cst(&view->arena->next_look))/if (0)/ | limits limits_look | no poke
detail/template.h | s/return CF__MIN(next, cf__template_look(template_, false));/return next;/ | limits limits_look | no second look
detail/arena.h | s/if (cf__load_relaxed(&self->due) <= cf__os_now() .. cf__load_seq_cst(&view->arena->stop) == CF__ARENA_KILLS)/if (0)/ | limits limits_shield_put_off | no poke at the end of a shield
detail/arena.h | s/ .. cf__load_seq_cst(&view->arena->stop) == CF__ARENA_KILLS)/)/ | limits limits_shield_and_stop_endless | no poke when the pool is being killed
detail/arena.h | s/CF__SLOT_SHIELD, CF__SLOT_KILLING,$/CF__SLOT_SHIELD, 0,/ | limits limits_shield | a shield begins when the kill is on its way
detail/ladder.h | s/if (now < ladder->next && !(poked && .*/if (now < ladder->next)/ | limits limits_shield_put_off | a poke doesn't end what was put off
detail/ladder.h | s/^        unless = 0;/        ;ladder->next = now + 1; return false;/ | limits limits_shield_late | a shield that holds for ever
detail/template.h | s/ && !cf__ladder_claim_kill(view, ladder, i + 1, now) && ladder->slot != 0)/ \&\& (word \& CF__SLOT_SHIELD))/ | limits limits_shield_and_stop | looks for a shield, then kills
detail/worker.h | s/cf__os_pause_for_good(); .. it's being killed.*/;/ | limits limits_shield | goes on into a shield that it was refused
detail/slab.h | /^cf__slab_take/,/^}/s/cf__exchange_acq_rel/cf__exchange_relaxed/ | slab slab_two_takers | takes a cell that its last holder still writes
detail/slab.h | /^cf__slab_take/,/^}/s/cf__exchange_acq_rel/cf__exchange_release/ | slab | the same, with release
detail/slab.h | /^cf__slab_take/,/^}/s/cf__exchange_acq_rel(&slab->returned, .*/cf__load_acquire(\&slab->returned)); cf__store_release(\&slab->returned, (void *)NULL);/ | slab slab_two_takers | a load and a store in place of the exchange
detail/slab.h | /^cf__slab_take/,/^}/s/slab->free = cell->next;/slab->free = NULL;/ | slab slab_two_takers | loses the rest of the free list
detail/slab.h | /^cf__slab_take/,/^}/s/slab->used++;/;/ | slab slab_two_takers | fresh cells aren't counted
detail/slab.h | /^cf__slab_take/,/^}/s/memcpy(chunk, &slab->chunks, sizeof slab->chunks);/{ void *none = NULL; memcpy(chunk, \&none, sizeof none); }/ | slab slab_chunks | the chunks before are forgotten
detail/slab.h | s/cf__cas_acq_rel(&slab->returned/cf__cas_relaxed(\&slab->returned/ | slab slab_two_takers | gives without release
detail/slab.h | s/cf__cas_acq_rel(&slab->returned/cf__cas_acquire(\&slab->returned/ | slab slab_two_takers | gives with acquire only
detail/slab.h | s/if (cf__cas_acq_rel(&slab->returned, &top, CF__STATIC_CAST(void ., first)))/cf__store_release(\&slab->returned, (void *)first);/ | slab slab_two_takers | a store in place of the CAS
detail/slab.h | s/while (top != cf__slab_closed()) {/last->next = (cf__cell *)top; while (top != cf__slab_closed()) {/; /^        last->next = /d | slab slab_two_takers | links to what was the top before
detail/slab.h | s/last->next = CF__STATIC_CAST(cf__cell ., top);/first->next = (cf__cell *)top;/ | slab slab_chain_and_taker | loses the chain behind its first cell
detail/slab.h | s/while (top != cf__slab_closed()) {/for (;;) {/ | slab slab_close_and_give | gives to a closed slab
detail/slab.h | s/cf__fetch_sub_acq_rel(&slab->outstanding, given)/cf__fetch_sub_relaxed(\&slab->outstanding, given)/ | slab slab_close_and_give | the last give frees unordered
detail/slab.h | s/cf__fetch_sub_acq_rel(&slab->outstanding, given)/cf__fetch_sub_release(\&slab->outstanding, given)/ | slab slab_close_and_give | frees without acquire
detail/slab.h | s/cf__fetch_sub_acq_rel(&slab->outstanding, given)/cf__fetch_sub_acquire(\&slab->outstanding, given)/ | slab slab_close_and_give | its use isn't ordered before the free
detail/slab.h | s/cf__fetch_sub_acq_rel(&slab->outstanding, given) == given/cf__fetch_sub_acq_rel(\&slab->outstanding, 1) == 1/ | slab slab_close_and_chain | a chain counts as one
detail/slab.h | s/cf__fetch_sub_acq_rel(&slab->outstanding, given) == given/(cf__fetch_sub_acq_rel(\&slab->outstanding, given), cf__load_acquire(\&slab->outstanding)) == 0/ | slab slab_close_and_give | asks for zero in a step of its own
detail/slab.h | s/cf__fetch_sub_acq_rel(&slab->outstanding, given) == given/cf__fetch_sub_acq_rel(\&slab->outstanding, given) == 0/ | slab slab_close_and_give | frees at the first give before close has counted
detail/slab.h | s/cf__exchange_acq_rel(&slab->returned, cf__slab_closed())/cf__exchange_relaxed(\&slab->returned, cf__slab_closed())/ | slab slab_close_and_give | close walks cells that are still written
detail/slab.h | s/cf__exchange_acq_rel(&slab->returned, cf__slab_closed())/cf__exchange_release(\&slab->returned, cf__slab_closed())/ | slab | the same, with release
detail/slab.h | s/cf__exchange_acq_rel(&slab->returned, cf__slab_closed())/cf__exchange_acq_rel(\&slab->returned, (void *)NULL)/ | slab slab_close_and_give | close leaves the stack open
detail/slab.h | s/cf__exchange_acq_rel(&slab->returned, cf__slab_closed())/cf__load_acquire(\&slab->returned)); cf__store_release(\&slab->returned, cf__slab_closed()/ | slab slab_close_and_give | a load and a store to close
detail/slab.h | s/for (list = slab->free; list != NULL;/for (list = NULL; list != NULL;/ | slab slab_close_and_two_gives | close takes the free list's cells to be out
detail/slab.h | s/cf__fetch_sub_acq_rel(&slab->outstanding, -out) == -out/cf__fetch_sub_relaxed(\&slab->outstanding, -out) == -out/ | slab slab_close_and_give | close isn't ordered before the free
detail/slab.h | s/cf__fetch_sub_acq_rel(&slab->outstanding, -out) == -out/cf__fetch_sub_acquire(\&slab->outstanding, -out) == -out/ | slab slab_close_and_give | the same, with acquire
detail/slab.h | s/cf__fetch_sub_acq_rel(&slab->outstanding, -out) == -out/cf__fetch_sub_release(\&slab->outstanding, -out) == -out/ | slab slab_close_and_give | close frees what isn't ordered before it
detail/slab.h | s/cf__fetch_sub_acq_rel(&slab->outstanding, -out) == -out/(cf__fetch_sub_acq_rel(\&slab->outstanding, -out), out == 0)/ | slab slab_close_and_give | nobody frees if the gives come first
detail/slab.h | s/cf__fetch_sub_acq_rel(&slab->outstanding, -out) == -out/(cf__fetch_sub_acq_rel(\&slab->outstanding, -out), cf__load_acquire(\&slab->outstanding)) == 0/ | slab slab_close_and_give | close asks for zero in a step of its own
detail/slab.h | /^cf__slab_cache_empty/,/^}/s/cache->first = NULL;/;/ | slab slab_chain_and_taker | a cache keeps what it gave
detail/map_round.h | s/return cf__cas_acq_rel(&round->chunks\[chunk\].word, &before, .word)/return cf__cas_relaxed(\&round->chunks[chunk].word, \&before, *word)/ | map map_leave | results without release
detail/map_round.h | s/if (cf__cas_relaxed(&round->chunks\[index\].word, &found, .word)) {/if (cf__store_relaxed(\&round->chunks[index].word, *word), 1) {/ | map map_two_runners | two runners claim one chunk
detail/map_round.h | s/: cf__map_word(CF__MAP_RUNNING, runner, next + 1);/: cf__map_word(CF__MAP_RUNNING, runner, next);/ | map map_death | a word that stays an item behind
detail/map_round.h | s/\*lost = next - 1;/*lost = next;/ | map map_death | the wrong item is lost
detail/map_round.h | s/cf__map_word(next < end ? CF__MAP_FREE : CF__MAP_DONE, 0, next));/cf__map_word(CF__MAP_DONE, 0, next));/ | map map_death | the rest of a dead runner's chunk is forgotten
detail/map_round.h | s/cf__map_word(next < end ? CF__MAP_FREE : CF__MAP_DONE, 0, next));/cf__map_word(CF__MAP_FREE, 0, next - 1));/ | map map_death | the lost item runs again
detail/map_round.h | s/cf__map_runner_of(word) != number)/0)/ | map map_death_two_runners | takes the chunk of a runner that lives
detail/map_round.h | s/uint32_t index = (start + i) % round->chunk_count;/if (start + i >= round->chunk_count) break; uint32_t index = start + i;/ | map map_death_two_runners | a freed chunk before the hint isn't found
detail/map_round.h | s/while (cf__map_state(word) == CF__MAP_FREE .. cf__map_state(word) == CF__MAP_RUNNING) {/while (cf__map_state(word) == CF__MAP_FREE) {/ | map map_leave | a running chunk isn't closed
detail/map_round.h | s/uint32_t next = cf__map_next_of(word) - (cf__map_state(word) == CF__MAP_RUNNING);/uint32_t next = cf__map_next_of(word);/ | map map_leave | the item that runs counts as done
map.h | s/(void)cf__fetch_add_relaxed(&map->references, 1u);/;/ | map map_pool_deadline | a runner left behind holds no memory
map.h | s/cf__load_acquire(&round->chunks\[i\].word); .. acquire .M1. ..$/cf__load_relaxed(\&round->chunks[i].word);/ | map map_pool_deadline | collects without acquire
map.h | s/cf__fetch_sub_acq_rel(&map->references, 1u) != 1)/cf__fetch_sub_relaxed(\&map->references, 1u) != 1)/ | map map_pool_deadline | frees unordered
map.h | s/runner->left_behind = true;/;/ | map map_pool_deadline | reads what a runner left behind still writes
map.h | s/^        cf__map_leave(map);/        ;/ | map map_pool_deadline | a late map isn't closed
detail/arena.h | s/           cf__load_acquire(&view->slots.slot..word) == word;/           true;/ | arena arena_audit | an audit without a second look
detail/arena.h | s/^    cf__data_write(view->slots.slot..payload, sizeof view->slots.slot..payload);/cf__store_release(\&self->intent, 0u);&/ | arena arena_audit | the intent is gone before the word has moved
detail/arena.h | s/    uint64_t head = cf__exchange_acq_rel(&ring->head, tail), kept = 0;/    uint64_t head = cf__load_acquire(\&ring->head), kept = 0;/ | arena arena_ring_overflow | the producer moves cells that consumers may take
detail/arena.h | s/            if (tail == head || cf__load_acquire(&ring->head) == head)/            if (tail == head)/ | arena arena_tail_written_over | a worker that goes round in circles where tail was written over
detail/arena.h | s/    bool scan = head != tail .*/    bool scan = false;/ | arena arena_head_written_over | a producer that believes whatever head says
detail/arena.h | s/        cf__store_release(&worker->park, 1u); .*/        ;/;s/    cf__store_seq_cst(&worker->park, 1u);/    ;/ | arena arena_audit | wakes without a sign of it
detail/arena.h | s/cf__store_release(\(&[a-z>.-]*\|&view->workers.number - 1..\)intent,/cf__store_relaxed(\1intent,/ | arena arena_audit | an audit that sees an intent sees less than was done before it
detail/arena.h | s/cf__load_acquire(&view->workers.cf__slot_owner(word) - 1..intent)/cf__load_relaxed(\&view->workers[cf__slot_owner(word) - 1].intent)/ | arena arena_audit | the same, by who looks
detail/slot.h | s/uint64_t tries = (cf__slot_tries(word) + 1)/uint64_t tries = cf__slot_tries(word)/ | arena arena_retry_and_audit | a word that is back as it was
detail/arena.h | s/if (relied && cf__arena_has_hints(view))/if (false)/ | arena arena_two_meet | a claim doesn't pass the wake on
detail/slot.h | s/(word & (CF__SLOT_WAIT . CF__SLOT_CARE . CF__SLOT_STOP))/(word \& (CF__SLOT_CARE | CF__SLOT_STOP))/ | arena arena_retry | forgets who waits for a task that is tried again
detail/arena.h | s/^        cf__arena_has_hints(view))$/        0)/ | staff staff_retire_small | leaves without a look
detail/arena.h | s/cf__cas_seq_cst(&view->arena->wanted, &wanted, number - 1)/cf__cas_acq_rel(\&view->arena->wanted, \&wanted, number - 1)/ | staff staff_retire_small | half of Dekker's for who leaves
detail/arena.h | s/uint32_t wanted = cf__load_seq_cst(&view->arena->wanted);/uint32_t wanted = cf__load_relaxed(\&view->arena->wanted);/ | staff staff_retire_small | the other half
detail/arena.h | s/    if (!cf__arena_wake_another(view))$/    if (cf__arena_wake_another(view))/ | staff staff_grow | doesn't grow when all are busy
detail/arena.h | s/^        (void)cf__arena_poke(view);  .*/        ;/ | staff staff_grow | grows and tells nobody
detail/arena.h | s/        if (!relied && cf__load_relaxed(&arena->wanted) < .*/        if (0)/ | staff staff_retire | a death breaks the chain of wakes
detail/arena.h | s/} else if (cf__arena_is_wanted(view, number)) {/} else {/ | staff staff_shrink | sleeps unwanted
detail/arena.h | s/number = 1; number <= last; number++/number = 1; number < last; number++/ | staff staff_shrink | doesn't wake the last
detail/template.h | /^        if (cf__load_relaxed(&view->arena->high) < i + 1)/,/cf__store_seq_cst(&view->arena->high/d | staff staff_stop_at_start | high stays behind
detail/template.h | s/return i < wanted;/return false;/ | staff staff_enlarge | doesn't start who is missing
detail/slot.h | s/uint64_t pending = cf__slot_word(cf__slot_generation(word), 0, CF__SLOT_PENDING) |/uint64_t pending = cf__slot_with_state(word, CF__SLOT_PENDING) |/ | arena arena_retry | leaves the dead one's number in it
detail/arena.h | s/if (cf__slot_retry(slot, number)) .. else the parent.*/if (!cf__slot_retry(slot, number))/ | staff staff_retry | a task that is tried again has no hint
detail/template.h | s/mine->count <= CF__MIN(retries, 255u)/mine->count <= CF__MIN(retries, 255u) + 1/ | staff staff_retry_too_often | tries once too often
detail/template.h | s/return cf__load_relaxed(&view->workers.number - 1..overwritten) == 0 &&/return/ | staff staff_retry_of_failed | tries again with a message for arguments
detail/process_future.h | s/        if (may_expire && cf_passed(future->start_by))/        if (0)/ | staff staff_start_by_busy | a waiter sleeps on behind a busy worker
detail/worker.h | s/if (limits->start_by != 0 && now >= limits->start_by && .*/if (0)/ | staff staff_start_by_late | runs what came too late
detail/template.h | s/cf__exchange_seq_cst(&template_->setup->view.arena->next_look/cf__exchange_acq_rel(\&template_->setup->view.arena->next_look/ | limits limits_look | next_look may be seen after the second look
detail/process_slots.h | s/if (cf__cas_seq_cst(&slot->word, &word, cf__slot_with_state(word, to)))/if ((cf__store_seq_cst(\&slot->word, cf__slot_with_state(word, to)), 1))/ | parent parent_cancel_and_submit | withdraws what a worker has claimed
detail/arena_nested.h | s/(void)cf__fetch_or_seq_cst(&view->arena->nested, UINT64_C(1) << (owner % 64));/(void)cf__fetch_or_acq_rel(\&view->arena->nested, UINT64_C(1) << (owner % 64));/ | nested nested_one_after_another | half of Dekker's for a child
detail/arena_nested.h | s/(void)cf__fetch_or_seq_cst(&view->arena->nested, UINT64_C(1) << (owner % 64));/;/ | nested nested_one_after_another | a child's hint is in its own worker's word only
detail/arena.h | s/if (cf__load_seq_cst(&arena->nested) != 0)/if (cf__load_acquire(\&arena->nested) != 0)/ | nested nested_one_after_another | the other half of Dekker's for a child
detail/arena.h | s/if (cf__load_seq_cst(&arena->nested) != 0)/if (0)/ | nested nested_one_after_another | sleeps without a look for children
detail/arena_nested.h | s/^        if (cf__nested_take_column(view, column, number, slot)) {/        if (0) {/ | nested nested_two_children | no second look for children
detail/arena_nested.h | s/^            (void)cf__fetch_or_seq_cst(nested, bit); .*/            ;/ | nested nested_one_then_two | a second look hides what else there is
detail/arena_nested.h | /^        cf__store_release(&view->workers\[number - 1\].intent, .slot + 1);/d | nested nested_hint_and_death | a death loses a child's hint
detail/arena_nested.h | s/if (cf__load_seq_cst(&view->workers.i..children) != 0)/if (0)/ | nested nested_hidden_by_death | a death hides children
detail/arena_nested.h | s/cf__load_seq_cst(&view->arena->lent.i.)/cf__load_acquire(\&view->arena->lent[i])/ | nested nested_lend | half of Dekker's for a stand-in
detail/arena.h | s/^        cf__arena_call_stand_ins(view);/        ;/ | nested nested_lend | whoever finds nobody idle calls no stand-in
detail/arena.h | s/^            cf__arena_wake_worker(view, number);/            ;/ | nested nested_lend | a stand-in that lingers isn't woken
detail/arena.h | s/^        cf__arena_wake_worker(view, wanted + 1);/        ;/ | nested nested_wanted_again | nor when the pool grows to its number
detail/worker.h | s/^            cf__arena_pass_on(&self.view, number);/            ;/ | staff staff_slow_to_leave | keeps what it owes until it's dead
detail/arena.h | /^cf__arena_linger/,/^}/s/if (cf__arena_is_wanted(view, number) || /if (/ | nested nested_lend | lingers without a last look
detail/arena.h | s/^            missing = true;/            ;/ | nested nested_child | a stand-in that is missing isn't started
detail/nested.h | s/else if (cf__arena_has_hints(view)) {/else if (0) {/ | nested nested_child | a waiter calls no stand-in
detail/template.h | s/^    cf__store_seq_cst(&record->staffed, 0u);.*/    ;/ | nested nested_one_then_another | a stand-in that has left counts as there
detail/nested.h | s/sleeps = !pending;/;/ | nested nested_child_run_by_waiter | a waiter without a stand-in waits for one
detail/nested.h | s/^            cf__arena_wake_lent(view);/            ;/ | nested nested_last_waits | the last one that waits tells nobody
detail/arena_nested.h | s/cf__cas_acq_rel(&slot->word, &word, word & ~CF__SLOT_WAIT))/true)/ | nested nested_last_waits | a waiter that is about to sleep isn't told
detail/arena_nested.h | s/^                cf__slot_wake(slot, CF__SLOT_WAIT);/                ;/ | nested nested_last_waits | nor one that sleeps
detail/template.h | s/^            cf__arena_unlend(view, i + 1);.*/            ;/ | nested nested_death | who dies as it waits stays lent
detail/arena_nested.h | s/bool used = .*/bool used = false;/ | nested nested_death | children of the dead stay pending
detail/worker.h | s/^        cf__nested_finish(&worker->nested);/        ;/ | nested nested_spawned | a task ends before its children
detail/nested.h | s/!cf__cas_acq_rel(&cf__nested_slot(future->nested, future->place)->word, &word,/(cf__store_release(\&cf__nested_slot(future->nested, future->place)->word, cf__nested_free_word(future)), false) \&\& !cf__cas_acq_rel(\&cf__nested_slot(future->nested, future->place)->word, \&word,/ | nested nested_cancel | takes a child back that may have been begun
inline_executor.h | s/    if (executor->runs == NULL)$/    if (0)/ | inline inline_drain | the last to leave wakes nobody
inline_executor.h | s/while (executor->runs != NULL && !inside &&.*) {/while (0) {/ | inline inline_drain | a shutdown waits for nobody
inline_executor.h | s/bool open = !executor->shut_down;/bool open = true;/ | inline inline_drain | takes tasks after a shutdown
inline_executor.h | s/if (mode == CF_KILL && cf__future_withdraw/if (cf__future_withdraw/ | inline inline_drain | a drain cancels
inline_executor.h | s/^            report->cancelled++;/            ;/ | inline inline_kill | a cancelled one isn't reported
inline_executor.h | s/executor->ended += !cf_future_cancelled(run->future)/executor->ended++/ | inline inline_kill | a cancelled one is reported as finished
inline_executor.h | s/bool idle = executor->runs == NULL;/bool idle = report->left == 0;/ | inline inline_deadline | ends while one that was cancelled is on its way out
inline_executor.h | /^    \*link = run->next;/d | inline inline_drain | stays in the list
detail/arena.h | s/&pressed, pressed + 1))/\&pressed, pressed - 1))/ | parent parent_room_and_shutdown | who hasn't lain down yet sleeps through the pool's end
detail/arena_nested.h | s/(state == CF__SLOT_RUNNING \&\& i >= CF__NESTED_SLOTS)/(state == CF__SLOT_RUNNING)/ | nested nested_dies_with_two | who is asked to stop goes on with a child that is still pending
detail/process_slots.h | s/    if (pool->short_of_room != 0)/    if (0)/ | parent parent_room_in_memory | a block comes free, and nobody looks
detail/process_slots.h | s/    if (cf__load_seq_cst(&future->sleepers) != 0)/    if (0)/ | parent parent_cancel | who sleeps on a slot isn't woken by who withdraws it
detail/process_slots.h | s/    if (state == CF__SLOT_GONE && cf__load_relaxed(&pool->base.error) == CF_OK) {.*/    if (state == CF__SLOT_GONE) {/ | parent parent_template_dies | broken looks like cancelled
detail/process_slots.h | s/^    shadow->generation = (shadow->generation + 1) & CF__SLOT_GENERATIONS;/    ;/ | parent parent_room | the next task in a slot is taken for the last one
detail/process_slots.h | /^        cf__future_run_callbacks(future);/d | parent parent_callback_alone | forgets the callbacks
detail/process_future.h | s/^        cf__store_seq_cst(&arena->collector, 1u);/        ;/ | parent parent_callback_alone | the collector sleeps without a sign of it
detail/process_future.h | s/        if (cf__process_collect_marked(pool) || cf__load/        if (cf__load/ | parent parent_callback_alone | the collector doesn't look again before it sleeps
detail/process_future.h | s/^    if (settled)/    if (0)/ | parent parent_callback_alone | a callback that came when the task was done
detail/process_future.h | s/!settled && cf__slot_set_flag(slot, &word, CF__SLOT_CARE)/true/ | parent parent_callback_alone | nobody is asked to tell the collector
detail/process_future.h | s/^        (void)cf__slots_template_ended(pool);/        ;/ | parent parent_template_dies_beside_result | who was woken by the template's death, but has a result, tells nobody
process_pool.h | s/^            list = cf__slots_harvest(pool, UINT32_MAX, NULL);/            ;/ | parent parent_room_alone | doesn't look again before it sleeps for room
process_pool.h | s/^            pressed = cf__arena_press(arena);/            pressed = arena->pressure;/ | parent parent_room_alone | sleeps for room without a sign of it
process_pool.h | s/^        pool->short_of_room += sleep; .. who.*/        pool->short_of_room += 0; sleep = sleep;/ | parent parent_cancel_and_drain | isn't counted among those that sleep for the end
process_pool.h | s/^    cf__slots_made_room(pool); .. submitters.*/    ;/ | parent parent_room_and_shutdown | submitters sleep on when the pool closes
process_pool.h | s/^        cf__event_wake_all(&pool->quiet);/        ;/ | parent parent_two_shutdowns | the other shutdown isn't told
process_pool.h | s/    return pool->closed ? CF_ERR_SHUTDOWN : CF_OK;/    return CF_OK;/ | parent parent_submit_and_drain | submits to a pool that is closed
process_pool.h | s/        if (sleep \&\& !in_time)/        if (0)/ | parent parent_room_in_time | waits for room past its deadline
process_pool.h | s/^        (void)cf__unpark_all(&pool->collector_quit, CF__SCOPE_SHARED);/        ;/ | parent parent_template_dies_before_callback | the collector of a broken pool isn't told of its end
TABLE
}

# build_model MODEL INCLUDE FOLDER: compiles model_MODEL.c with the headers of INCLUDE; what the compiler says is in FOLDER/log.
build_model() {
    $cc -std=gnu11 -O1 -w -fsanitize=thread -I "$2" -c "$here/model_$1.c" -o "$3/model.o" >"$3/log" 2>&1 &&
        $cc -no-pie "$3/model.o" -o "$3/model" >>"$3/log" 2>&1
}

# whole MODEL: a short look at a model without mutants: if it is red by itself, all of its mutants would be.
whole() {
    folder="$work/whole-$1"
    mkdir -p "$folder" || return 1
    if ! build_model "$1" "$here/../../include" "$folder" ||
        ! "$folder/model" --stop --seconds 0.1 >"$folder/log" 2>&1 </dev/null; then
        printf '%s\n' "FAIL model_$1 is red without a mutant" "$(cat "$folder/log")"
        return 1
    fi
    rm -r "$folder"
}

# plant ROW: the mutant in that row of the table; prints what became of it in one piece.
plant() {
    row=$(sed -n "$1p" "$rows")
    file=$(echo "$row" | sed 's/ | .*//')
    rest=${row#* | }
    what=${rest##* | }
    rest=${rest% | *}
    model=${rest##* | }
    scenario=
    case $model in *" "*) scenario="--only ${model#* }" model=${model%% *} ;; esac
    edit=${rest% | *}
    folder="$work/row-$1"
    mkdir -p "$folder" && cp -r "$here/../../include" "$folder/include" || exit 1
    sed -i "$edit" "$folder/include/cfutures/$file"
    # shellcheck disable=SC2086
    if cmp -s "$here/../../include/cfutures/$file" "$folder/include/cfutures/$file"; then
        echo "FAIL $file: $what: the expression changes nothing: $edit"
    elif ! build_model "$model" "$folder/include" "$folder"; then
        printf '%s\n' "FAIL $file: $what: doesn't compile: $edit" "$(head -n 20 "$folder/log")"
    elif "$folder/model" --stop --seconds 5 $scenario >"$folder/log" 2>&1 </dev/null; then
        echo "FAIL $file: $what: survives model_$model: $edit"
    # Red by a finding, not by a crash of the model.
    elif grep -q '^FAIL' "$folder/log" && ! grep -q '^ *limit:' "$folder/log"; then
        echo "ok   $file: $what: $(sed -n 's/^FAIL \([a-z0-9_]*\) *\([0-9]*\) executions  \([a-z ]*[a-z]\) .*/\3, by \1, \2 executions/p' "$folder/log")"
    else
        echo "FAIL $file: $what: the model crashed, or met its limits: $edit"
    fi
    rm -r "$folder"
}

# each OPTION: calls this script with that option for each line of the input.
each() {
    xargs -n 1 -P "$(nproc 2>/dev/null || echo 1)" sh "$here/mutants.sh" "$build" "$1"
}

case ${2:-} in
--whole) whole "$3"; exit ;;
--plant) plant "$3"; exit ;;
esac
rm -rf "$work"
mkdir -p "$work" || exit 2
table | grep -F -e "${2:-}" >"$rows"
if ! sed 's/ | [^|]*$//; s/.* | //; s/ .*//' "$rows" | sort -u | each --whole; then
    echo "0 passed, 1 failed"
    exit 1
fi
grep -n '' "$rows" | sed 's/:.*//' | each --plant | tee "$work/log"
passed=$(grep -c '^ok ' "$work/log")
failed=$(($(grep -c '' "$rows") - passed))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
