#!/bin/sh
# tests/model/mutants.sh [build-dir [word]] - plants one bug at a time in a copy of the library; a model must turn red for each.
# With a word: only the mutants whose line has it.  A row: file | sed expression | model [scenario] | what it breaks.
# A mutant survives if its model passes; that fails the script, and so does an expression that changes nothing.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-"$here/../../build/model"}
word=${2:-}
cc=${CC:-cc}
work="$build/mutant"
passed=0 failed=0
mkdir -p "$work" || exit 2

table() {
    cat <<'TABLE'
detail/park.h | s/cf__os_futex_wait(word, value, deadline, scope)/cf__os_futex_wait(word, value, CF_FOREVER, scope)/ | park | sleeps past its deadline
detail/park.h | s/cf__os_futex_wake(word, INT_MAX, scope)/cf__os_futex_wake(word, 1, scope)/ | park | wakes one of all
detail/park.h | s/return cf__os_futex_wait(word, value, deadline, scope)/return cf__os_futex_wait(word, cf__load_relaxed(word), deadline, scope)/ | park | sleeps on whatever the word holds now
detail/event.h | s/if (cf__load_relaxed(&self.woken))/if (0)/ | park | forgets to look again under the mutex
detail/event.h | /^    cf__event_unlink(event, &self);/d | park | leaves its record on the line
detail/event.h | /^        cf__event_unlink(event, first);/d | park | wakes the same one twice
detail/event.h | s/    if (sleeper != NULL)$/    if (0)/ | park | forgets the wake
detail/event.h | s/cf__store_release(&first->woken, 1u);/(void)0;/ | park | wakes without a sign of it
detail/event.h | s/&sleeper->woken, CF__SCOPE_PRIVATE/\&sleeper->woken, CF__SCOPE_SHARED/ | park | wakes with the wrong scope
queue.h | s/getter = cf__event_take(&queue->not_empty);/;/ | queue | a put owes its wake
queue.h | s/putter = cf__event_take(&queue->not_full);/;/ | queue | a get owes its wake
queue.h | s/while (!queue->closed && queue->count == 0 && in_time)/if (!queue->closed \&\& queue->count == 0 \&\& in_time)/ | queue | takes a wake for an item
queue.h | s/while (!queue->closed && queue->capacity != 0/if (!queue->closed \&\& queue->capacity != 0/ | queue | takes a wake for room
queue.h | s/while (!queue->closed && queue->count == 0/while (queue->count == 0/ | queue | getters don't see the close
queue.h | /^    cf__event_wake_all(&queue->not_empty);/d | queue | close leaves getters asleep
queue.h | /^    cf__event_wake_all(&queue->not_full);/d | queue | close leaves putters asleep
queue.h | s/cf__event_wake_all(&queue->finished);/cf__sleeper_wake(cf__event_take(\&queue->finished));/ | queue | one of two joiners is woken
queue.h | s/    if (queue->count != 0) {/    if (queue->count != 0 \&\& !queue->closed) {/ | queue | close loses items
queue.h | s/^    cf__mutex_unlock(&queue->mutex);$/    cf__mutex_unlock(\&queue->mutex); *(volatile size_t *)\&queue->head += 0;/ | queue | touches a field after the unlock
future.h | s/before = cf__exchange_acq_rel(&future->state, state)/before = cf__exchange_relaxed(\&future->state, state)/ | future | outcome published without release
future.h | s/before = cf__exchange_acq_rel(&future->state, state)/before = cf__exchange_acquire(\&future->state, state)/ | future | outcome published with acquire only
future.h | s/if (before & CF__WAITED)/if (0 \& before)/ | future | settles without a wake
future.h | s/        if (state & CF__WAITED)$/        if (0)/ | future | cancels without a wake
future.h | s/cf__unpark_all(&future->state, CF__SCOPE_PRIVATE)/cf__unpark_one(\&future->state, CF__SCOPE_PRIVATE)/ | future | wakes one of two waiters
future.h | s/cf__unpark_all(&future->state, CF__SCOPE_PRIVATE)/cf__unpark_all(\&future->state, CF__SCOPE_SHARED)/ | future | wakes with the wrong scope
future.h | s/runs ? state . CF__STOP : CF__CANCELLED/runs ? (state \& ~CF__WAITED) \| CF__STOP : CF__CANCELLED/ | future | cancel drops the waiters' bit
future.h | s/(state & ~CF__STATE_MASK) . running/running/ | future | start drops the waiters' bit
future.h | s/future, CF__RUNNING . CF__SETTLING/future, CF__RUNNING/ | future | others may settle what is being run
future.h | s/&state, state . CF__SETTLING)/\&state, CF__SETTLING)/ | future | claiming the outcome drops the waiters' bit
future.h | s/while (!cf__settled(state) && !(state & CF__SETTLING)) {/while (!cf__settled(state)) {/ | future | two settlers
future.h | s/if (cf__settled(cf__load_acquire(&future->state)))/if (cf__settled(cf__load_relaxed(\&future->state)))/ | future | reads the outcome without acquire
future.h | s/cf__exchange_acq_rel(&future->callbacks/cf__exchange_release(\&future->callbacks/ | future | reads callbacks without acquire
future.h | s/cf__cas_acq_rel(&future->callbacks/cf__cas_acquire(\&future->callbacks/ | future | adds a callback without release
future.h | /^        callback(future, context);/d | future | a late callback isn't called
future.h | /^    node->run(node, future);/d | future | nor is one that finds the list just closed
future.h | s/cf__fetch_sub_acq_rel(&future->references/cf__fetch_sub_relaxed(\&future->references/ | future | frees unordered
future.h | s/cf__fetch_sub_acq_rel(&future->references/cf__fetch_sub_release(\&future->references/ | future | frees without acquire
future.h | s/cf__fetch_sub_acq_rel(&future->references/cf__fetch_sub_acquire(\&future->references/ | future | releases without release
future.h | s/state . CF__WAITED, deadline, CF__SCOPE_PRIVATE/state \& ~CF__WAITED, deadline, CF__SCOPE_PRIVATE/ | future | expects a word that isn't there
future.h | s/if (!in_time && !cf__settled(state))/if (0)/ | future | ignores its deadline
future.h | s/if (!(state & CF__WAITED) && !cf__cas_[a-z_]*(&future->state, &state, state . CF__WAITED))/if (0)/ | future | sleeps unannounced
future.h | s/!(state & CF__WAITED) && !cf__cas_acq_rel(&future->state/!(state \& CF__WAITED) \&\& !cf__cas_relaxed(\&future->state/ | wait wait_all_publishes | a failed CAS ends the wait without acquire
future.h | s/^    cf__os_free(future->message);/    ;/ | future | leaks the message
future.h | s/&& current->executor == future->executor &&/\&\& 0 \&\&/ | future | a worker waits for a task that nobody is left to run
wait.h | s/sleeper = cf__event_take(&set->ready);/;/ | wait | a completion wakes nobody
wait.h | s/^            cf__event_wake_all(&set->ready);/            ;/ | wait | the last one leaves the others waiting for nothing
wait.h | s/(void)cf__fetch_add_relaxed(&set->references, 1u);/;/ | wait | an entry holds no reference of its set
wait.h | s/future != NULL && !set->freed;/future != NULL;/ | wait | an entry stays on the list of a freed set
wait.h | s/cf__fetch_sub_acq_rel(&set->references/cf__fetch_sub_relaxed(\&set->references/ | wait | frees unordered
wait.h | s/while (set->first == NULL && set->outstanding != 0 && in_time)/if (set->first == NULL \&\& set->outstanding != 0 \&\& in_time)/ | wait | takes a wake for a completion
thread_pool.h | s/^    cf__sleeper_wake(worker);/    ;/ | pool | submit wakes nobody
thread_pool.h | s/cf__event_wake_all(&pool->quiet);/(void)0;/ | pool | no wake for those that shut down
thread_pool.h | s/^        cf__event_wake_all(&pool->work);/        ;/ | pool | workers aren't told to end
thread_pool.h | s/^    cf__event_wake_all(&pool->room);/    ;/ | pool | submitters aren't told of a shutdown
thread_pool.h | s/^    if (pool->closed) {/    if (0) {/ | pool | accepts tasks after a shutdown
thread_pool.h | s/cf__sleeper \*submitter = cf__event_take(&pool->room);/cf__sleeper *submitter = NULL;/ | pool | no wake for room
thread_pool.h | s/waits = self == NULL .*; /waits = true; / | pool | a worker waits for room
thread_pool.h | /^cf__thread_worker_loop/,/^}/s/^            pool->pending--;/            ;/ | pool | a task that has ended counts as pending
thread_pool.h | s/future->references = 2;/future->references = 1;/ | pool | the pool holds no reference
detail/scheduler.h | /^cf__thread_worker_run_queued/,/^}/s/^    cf_future_release(future);/    ;/ | pool | a worker keeps its last future
detail/scheduler.h | s/^        cf__event_wake_all(&pool->quiet);/        ;/ | scheduler sched_drain_and_push | the last to sleep doesn't tell those that shut down
detail/scheduler.h | s/return cf__fetch_add_seq_cst(&pool->demand, change)/return cf__fetch_add_acq_rel(\&pool->demand, change)/ | scheduler sched_push | half of Dekker's for the sleeper
detail/scheduler.h | /^cf__thread_worker_next/,/^}/s/cf__fetch_and_seq_cst/cf__fetch_and_acq_rel/ | scheduler sched_push_burst | half of Dekker's for the searcher
detail/scheduler.h | /^cf__thread_worker_next/,/^}/s/cf__fetch_and_seq_cst/cf__fetch_and_release/ | scheduler sched_burst_of_two | clears the search without acquire
detail/deque.h | /^cf__deque_has_entries/,/^}/s/cf__load_seq_cst/cf__load_acquire/g | scheduler sched_push | looks at the deques too early
detail/deque.h | s/(void)cf__exchange_seq_cst(&deque->bottom, bottom + 1)/(void)cf__exchange_acq_rel(\&deque->bottom, bottom + 1)/ | scheduler sched_push | half of Dekker's for the pusher
detail/local_worker.h | s/cf__load_seq_cst(worker->demand)/cf__load_acquire(worker->demand)/ | scheduler sched_push | looks for sleepers too early
detail/scheduler.h | /^cf__thread_worker_next/,/^}/s/if (cf__load_seq_cst(&pool->levels) != 0 || cf__thread_pool_has_pushed(pool))/if (0)/ | scheduler sched_burst | no look after the search
detail/scheduler.h | /^cf__thread_worker_next/,/^}/s/cf__load_seq_cst(&pool->levels) != 0 ||// | scheduler sched_burst_of_two | looks at the deques only after the search
detail/scheduler.h | /^cf__thread_worker_next/,/^}/s/|| cf__thread_pool_has_pushed(pool)// | scheduler sched_burst | looks at the injection only after the search
detail/scheduler.h | /^cf__thread_worker_park/,/^}/s/if (cf__thread_pool_has_pushed(pool))/if (0)/ | scheduler sched_push | sleeps without a look at the deques
detail/scheduler.h | /^cf__thread_worker_park/,/^}/s/if (pool->levels != 0.*) {/if (0) {/ | scheduler sched_submit_again | sleeps without a look at the injection
detail/scheduler.h | /^cf__thread_worker_next/,/^}/s/(void)cf__fetch_and_seq_cst(&pool->demand, ~CF__SEARCHING);/;/ | scheduler sched_submit_again | searches for ever
detail/scheduler.h | /^cf__thread_pool_call_one/,/^}/s/(void)cf__fetch_and_seq_cst(&pool->demand, ~CF__SEARCHING);/;/ | scheduler sched_burst_cold | a waker that finds nobody searches for ever
detail/scheduler.h | s/cf__thread_pool_account(pool, searching);/cf__thread_pool_account(pool, 0);/ | scheduler sched_burst_spin | sleeps as the searcher
detail/scheduler.h | s/self->searching = !pool->quit;/;/ | scheduler sched_submit_again | the woken doesn't take the search over
detail/scheduler.h | s/pool->idle--; .. it owns/; \/* it owns/ | scheduler sched_submit_again | who is woken counts as idle
thread_pool.h | s/^    cf__thread_worker_search(self);/    ;/ | scheduler sched_burst_of_three | a new thread calls no other
detail/scheduler.h | /^cf__thread_pool_begin_wait/,/^}/s/sleeper = cf__thread_pool_call_one(pool, &start_error);/;/ | scheduler sched_stand_in | who waits leaves its work to nobody
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
thread_pool.h | s/if (pool->living == 0 || pool->limit < .*) {/if (0) {/ | scheduler sched_start_fails | never tries again after a start that failed
thread_pool.h | /^cf__thread_worker_leave/,/^}/s/cf__event_wake_all(&pool->quiet);/;/ | scheduler sched_drain_and_retire | who ends as the last tells nobody
thread_pool.h | /^cf__thread_worker_leave/,/^}/s/sleeper = cf__thread_pool_call_one(pool, &error);/;/ | scheduler sched_stand_in_retires | who ends leaves work behind
detail/slot.h | s/cf__cas_seq_cst(&slot->word, &word, cf__slot_with_state(word, to))/cf__cas_relaxed(\&slot->word, \&word, cf__slot_with_state(word, to))/ | arena | an outcome without release
detail/slot.h | s/cf__cas_seq_cst(&slot->word, &word, cf__slot_with_state(word, to))/cf__cas_acq_rel(\&slot->word, \&word, cf__slot_with_state(word, to))/ | arena arena_pressure | half of Dekker's for the pressure word
detail/slot.h | s/if (word & CF__SLOT_WAIT)$/if (0)/ | arena | settles without a wake
detail/slot.h | s/cf__slot_futex(slot), CF__SCOPE_SHARED/cf__slot_futex(slot), CF__SCOPE_PRIVATE/ | arena | wakes with the wrong scope
detail/arena.h | s/(void)cf__exchange_seq_cst(&ring->tail, tail + 1)/(void)cf__exchange_acq_rel(\&ring->tail, tail + 1)/ | arena | half of Dekker's for new work
detail/arena.h | s/cf__fetch_or_seq_cst(&view->arena->idle/cf__fetch_or_acq_rel(\&view->arena->idle/ | arena | the other half
detail/arena.h | s/cf__load_seq_cst(&view->arena->waking) == 0/cf__load_acquire(\&view->arena->waking) == 0/ | arena arena_one_task_after_another | looks at waking too early
detail/arena.h | s/cf__load_acquire(&ring->tail); .. acquire/cf__load_relaxed(\&ring->tail); \/* acquire/ | arena | reads a hint that isn't there yet
detail/arena.h | /cf__store_relaxed(&self->intent, .slot + 1);/d | arena arena_death | a death loses the hint
detail/arena.h | s/cf__arena_tell(view, index, word); .. it may/; \/* it may/ | arena arena_death | no second wake after a death
detail/arena.h | s/cf__arena_tell(view, index, before);/;/ | arena arena_death | no wake for a lost task
detail/arena.h | s/cf__arena_push_hint(view, &arena->template_ring, view->template_hints, index);/;/ | arena arena_death | a hint that went down isn't pushed again
detail/arena.h | s/(void)cf__fetch_or_seq_cst(&view->completed/(void)cf__fetch_or_relaxed(\&view->completed/ | arena arena_collector | half of Dekker's for the collector
detail/arena.h | s/if (cf__load_seq_cst(&arena->collector) != 0/if (cf__load_relaxed(\&arena->collector) != 0/ | arena arena_collector | the other half
detail/arena.h | s/if (cf__load_seq_cst(&arena->pressure) != 0/if (cf__load_relaxed(\&arena->pressure) != 0/ | arena arena_pressure | half of Dekker's for pressure
detail/arena.h | s/^    cf__arena_wake_all(view);/    ;/ | arena arena_death_without_heir | the dead one's wakes aren't made up for
TABLE
}

# build_model MODEL INCLUDE: compiles model_MODEL.c with the headers of INCLUDE.
build_model() {
    $cc -std=gnu11 -O1 -w -fsanitize=thread -I "$2" -c "$here/model_$1.c" -o "$work/model.o" &&
        $cc -no-pie "$work/model.o" -o "$work/model"
}

rows="$work/table"
table | grep -F -e "$word" >"$rows"

# A model that is red by itself would kill every mutant.
for model in $(sed 's/ | [^|]*$//; s/.* | //; s/ .*//' "$rows" | sort -u); do
    if ! build_model "$model" "$here/../../include" || ! "$work/model" --stop --seconds 5 >"$work/log" 2>&1 </dev/null; then
        cat "$work/log"
        echo "FAIL model_$model is red without a mutant"
        echo "0 passed, 1 failed"
        exit 1
    fi
done

while IFS= read -r row; do
    file=$(echo "$row" | sed 's/ | .*//')
    rest=${row#* | }
    what=${rest##* | }
    rest=${rest% | *}
    model=${rest##* | }
    scenario=
    case $model in *" "*) scenario="--only ${model#* }" model=${model%% *} ;; esac
    edit=${rest% | *}
    rm -rf "$work/include"
    cp -r "$here/../../include" "$work/include"
    sed -i "$edit" "$work/include/cfutures/$file"
    if cmp -s "$here/../../include/cfutures/$file" "$work/include/cfutures/$file"; then
        echo "FAIL $file: $what: the expression changes nothing: $edit"
        failed=$((failed + 1))
    elif ! build_model "$model" "$work/include"; then
        echo "FAIL $file: $what: doesn't compile"
        failed=$((failed + 1))
    elif "$work/model" --stop --seconds 5 $scenario >"$work/log" 2>&1 </dev/null; then
        echo "FAIL $file: $what: survives model_$model: $edit"
        failed=$((failed + 1))
    else
        # Red by a finding, not by a crash of the model.
        if grep -q '^FAIL' "$work/log" && ! grep -q '^ *limit:' "$work/log"; then
            echo "ok   $file: $what: $(sed -n 's/^FAIL \([a-z0-9_]*\) *\([0-9]*\) executions  \([a-z ]*[a-z]\) .*/\3, by \1, \2 executions/p' "$work/log")"
            passed=$((passed + 1))
        else
            echo "FAIL $file: $what: the model crashed, or met its limits: $edit"
            failed=$((failed + 1))
        fi
    fi
done <"$rows"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
