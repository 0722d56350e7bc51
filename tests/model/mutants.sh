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
detail/cells.h | s/if (cf__load_seq_cst(stamp) == tail)/if (cf__load_relaxed(stamp) == tail)/ | queue | a put doesn't wait for the last lap's get to have read
detail/cells.h | s/if (cf__load_seq_cst(stamp) == tail)/if (cf__load_acquire(stamp) == tail)/ | queue queue_1p1c_two_items_in_order | a putter about to sleep looks too early
detail/cells.h | s/if (cf__load_seq_cst(stamp) == head + 1)/if (cf__load_relaxed(stamp) == head + 1)/ | queue | an item read before it's there
detail/cells.h | s/if (cf__load_seq_cst(stamp) == head + 1)/if (cf__load_acquire(stamp) == head + 1)/ | queue queue_1p1c | a getter about to sleep looks too early
detail/cells.h | s/(void)cf__exchange_seq_cst(stamp, tail + 1)/(void)cf__exchange_relaxed(stamp, tail + 1)/ | queue | an item published without release
detail/cells.h | s/(void)cf__exchange_seq_cst(stamp, tail + 1)/(void)cf__exchange_acq_rel(stamp, tail + 1)/ | queue queue_1p1c | a put's half of Dekker's
detail/cells.h | s/(void)cf__exchange_seq_cst(stamp, head + cells->lap)/(void)cf__exchange_relaxed(stamp, head + cells->lap)/ | queue | a cell given back without release
detail/cells.h | s/(void)cf__exchange_seq_cst(stamp, head + cells->lap)/(void)cf__exchange_acq_rel(stamp, head + cells->lap)/ | queue queue_1p1c_two_items_in_order | a get's half of Dekker's
detail/cells.h | s/if (now == tail)$/if (1)/ | queue | full, for a look at an old tail
detail/cells.h | s/if (now == head)/if (1)/ | queue | empty, for a look at an old head
detail/cells.h | s/cf__load_acquire(&cells->tail) == (head . CF__CELLS_CLOSED)/cf__load_acquire(\&cells->tail) \& CF__CELLS_CLOSED/ | queue queue_close_and_put | closed, while an item is still being put
detail/cells.h | s/(void)cf__load_acquire(&cells->tail); .. acquire/; \/* acquire/ | queue queue_close_publishes | a refused put without acquire
detail/cells.h | s/(void)cf__load_acquire(&cells->head); .. acquire/; \/* acquire/ | queue queue_close_now_publishes | a refused get without acquire
detail/cells.h | s/return cf__load_acquire(&cells->tail)/return cf__load_relaxed(\&cells->tail)/ | queue queue_close_publishes_to_getters | the end of a closed queue without acquire
detail/cells.h | s/(void)cf__fetch_or_seq_cst(&cells->tail/(void)cf__fetch_or_relaxed(\&cells->tail/ | queue queue_close_publishes | a close without release
detail/cells.h | s/(void)cf__fetch_or_seq_cst(&cells->head/(void)cf__fetch_or_relaxed(\&cells->head/ | queue queue_close_now_publishes | a close now without release
queue.h | s/cf__load_seq_cst(&line->call)/cf__load_acquire(\&line->call)/ | queue queue_1p1c | looks for sleepers too early
queue.h | s/(void)cf__exchange_seq_cst(&line->call, 1u)/(void)cf__exchange_acq_rel(\&line->call, 1u)/ | queue queue_1p1c | the sleeper's half of Dekker's
queue.h | s/cf__queue_call(queue, &queue->not_empty);/;/ | queue | a put owes its wake
queue.h | s/^            cf__queue_call(queue, &queue->not_empty);/            ;/ | queue queue_put_many_waits | puts many, and sleeps on its own wake
queue.h | s/^    cf__queue_call(queue, &queue->not_empty);/    ;/ | queue queue_put_many_passes_the_wake_on | puts many for nothing
queue.h | s/cf__queue_call(queue, &queue->not_full);/;/ | queue | a get owes its wake
queue.h | s/^    cf__queue_call(queue, &queue->not_full);/    ;/ | queue queue_get_many_passes_the_wake_on | gets many for nothing
queue.h | s/if (!cf__queue_must_wait(error) .. !in_time)/if (!cf__queue_must_wait(error))/ | queue | stays beyond its deadline
queue.h | s/^        in_time = cf__event_wait(&line->event, &queue->mutex, deadline);/&break;/ | queue queue_1p1c | takes a wake for an item
queue.h | s/^        next = cf__event_take(&line->event);/        ;/ | queue | a wake isn't passed on
queue.h | s/cf__queue_must_wait(cf__queue_try(queue, putting, NULL, NULL))/true/ | queue | nor is it when there is more
queue.h | s/^    cf__sleeper \*next = cf__event_take(&line->event);/    cf__sleeper *next = NULL;/ | queue | whoever is called isn't taken
queue.h | /^    cf__event_wake_all(&queue->not_empty.event);/d | queue | close leaves getters asleep
queue.h | /^    cf__event_wake_all(&queue->not_full.event);/d | queue | close leaves putters asleep
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
future.h | s/^        (void)cf_future_run(future);/        ;/ | pool | a worker waits for a task that nobody is left to run
future.h | s/&& current->executor == future->executor &&/\&\& 0 \&\&/ | pool | the same, in another way
wait.h | s/sleeper = cf__event_take(&set->ready);/;/ | wait | a completion wakes nobody
wait.h | s/^            cf__event_wake_all(&set->ready);/            ;/ | wait | the last one leaves the others waiting for nothing
wait.h | s/(void)cf__fetch_add_relaxed(&set->references, 1u);/;/ | wait | an entry holds no reference of its set
wait.h | s/future != NULL && !set->freed;/future != NULL;/ | wait | an entry stays on the list of a freed set
wait.h | s/cf__fetch_sub_acq_rel(&set->references/cf__fetch_sub_relaxed(\&set->references/ | wait | frees unordered
wait.h | s/while (set->first == NULL && set->outstanding != 0 && in_time)/if (set->first == NULL \&\& set->outstanding != 0 \&\& in_time)/ | wait | takes a wake for a completion
thread_pool.h | s/^    cf__sleeper_wake(worker);/    ;/ | pool | submit wakes nobody
thread_pool.h | s/cf__sleeper_wake(cf__event_take(&pool->room));/;/ | pool | no wake for room
thread_pool.h | s/cf__event_wake_all(&pool->quiet);/(void)0;/ | pool | no wake for those that shut down
thread_pool.h | s/^            cf_future_release(ran);/            ;/ | pool | a worker keeps its last future
thread_pool.h | s/^        cf__event_wake_all(&pool->work);/        ;/ | pool | workers aren't told to end
thread_pool.h | s/^    cf__event_wake_all(&pool->room);/    ;/ | pool | submitters aren't told of a shutdown
thread_pool.h | s/bool own_worker = .*;/bool own_worker = false;/ | pool | a worker waits for room
thread_pool.h | s/^    if (pool->closed) {/    if (0) {/ | pool | accepts tasks after a shutdown
thread_pool.h | s/^            (void)cf_future_retain(future);\|^        (void)cf_future_retain(future);/        ;/ | pool | cancels a future it doesn't hold
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
