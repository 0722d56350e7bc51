/* tests/fault/test_process_step.c - a worker killed after any machine instruction costs at most the task it has claimed.
 * SPDX-License-Identifier: MIT
 *   --seconds N   for so long in all, again and again; without it once
 *
 * test_process_kill.c kills at every operation on a shared word; here it is the code as compiled, nothing wrapped, in which a
 * worker is killed after instruction 1, 2, 3 ... of all that it does for a task: from the futex in which it slept, past the
 * claim, the run, the publishing and the wakes that it owes, until it sleeps again.  In libraries, too.
 *
 * STEPPING  The CPU's trap flag gives the process a SIGTRAP after each instruction; its own handler counts them.  A SIGTRAP by
 *   kill() sets the flag, in a worker that sleeps: it goes on sleeping, and the first instruction after that sleep is number 1.
 *   There it waits until all is ready that it's to meet (a waiter asleep, say).  After instruction n it waits again, in the
 *   handler, and the test looks at the slots and kills it.
 *   One step are: a system call and the instruction after it, which looks at what the call returned; and a look at the clock in
 *   the vdso, which starts again when the clock ticks, and so would never be done.
 * THE ORACLE  The victim stands still, so the slots' words say who must be lost: the task that is RUNNING and the victim's.
 *   Every other task must be done, once, with the right result.
 * EACH RUN ends with the victim's death, asleep if it did fewer than n instructions; its heir is the next run's victim.  Before
 *   that all workers meet in as many tasks, which proves the pool whole, and has the dynamic linker look up what a task needs.
 * SAMPLES  n instructions cost about n traps, so a sweep costs n * n / 2.  Where that is more than `most_traps` (with
 *   AddressSanitizer) only every k-th instruction has its kill, in a soak the others follow; what is printed says so.
 * REJECTED  ptrace: two switches of context a step, half as fast again; and containers forbid it. */
#define _GNU_SOURCE       /* REG_EFL */
#define CF__FAULT(site) 0 /* to find the site in the table takes more instructions than all the rest */
#include "support.h"

#include "process_pool.h"

#include <elf.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <ucontext.h>

static char
state_of(long process) /* as ps shows it; of a thread, too */
{
    long parent;
    return process_state(process, &parent);
}

static int64_t soak_ms; /* for each test; 0: by counts */
#ifdef __SANITIZE_ADDRESS__
static const uint64_t most_traps = 150000;
#else
static const uint64_t most_traps = 2000000;
#endif

/* ---- stepping ---- */

typedef struct stepper { /* in memory that all our processes share; fields: A atomic */
    uint32_t armed;      /* A: the trap flag is set */
    uint32_t target;     /* A: after how many instructions to stop; 0: don't count */
    uint32_t count;      /* A: so many were done */
    uint32_t go;         /* A: on from the first */
    uint32_t reached;    /* A: stands at the target, until that is another */
    uintptr_t at;        /* the next instruction's address; valid once `reached` */
    uint32_t heirs_wait; /* A: an heir doesn't get ready, lest it repairs what the others weren't told */
    uint32_t met;        /* A: tasks that came to a meeting */
    uint32_t holding;    /* A: a task holds its worker */
    uint32_t let_go;     /* A: no longer */
} stepper;

static stepper *step;

static uint32_t
look(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void
put(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static uintptr_t vdso, vdso_size; /* the kernel's code in our memory; written once, before the first pool */

#if defined(__x86_64__)
static void
set_trap_flag(ucontext_t *context)
{
    context->uc_mcontext.gregs[REG_EFL] |= 0x100;
}

static uintptr_t
next_instruction(const ucontext_t *context)
{
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}

/* The process has just called a function of the vdso: does it in its place, in one step. */
static void
do_vdso_call(ucontext_t *context)
{
    greg_t *registers = context->uc_mcontext.gregs;
    long (*function)(long, long, long) = (long (*)(long, long, long))registers[REG_RIP];
    registers[REG_RAX] = function(registers[REG_RDI], registers[REG_RSI], registers[REG_RDX]);
    memcpy(&registers[REG_RIP], (const void *)registers[REG_RSP], sizeof registers[REG_RIP]);
    registers[REG_RSP] += (greg_t)sizeof registers[REG_RIP];
}

static void
find_vdso(void)
{
    vdso = getauxval(AT_SYSINFO_EHDR);
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)vdso;
    for (unsigned i = 0; header != NULL && i < header->e_phnum; i++) {
        const Elf64_Phdr *segment = (const Elf64_Phdr *)(vdso + header->e_phoff) + i;
        if (segment->p_type == PT_LOAD)
            vdso_size = segment->p_offset + segment->p_memsz;
    }
}
#else /* aarch64 has no such flag in user mode, and its load-exclusive loops would never end */
static void
set_trap_flag(ucontext_t *context)
{
    (void)context;
}

static uintptr_t
next_instruction(const ucontext_t *context)
{
    (void)context;
    return 0;
}

static void
do_vdso_call(ucontext_t *context)
{
    (void)context;
}

static void
find_vdso(void)
{
}
#endif

static void
on_trap(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    if (info->si_code == SI_USER) {
        set_trap_flag(context);
        put(&step->armed, 1);
        return;
    }
    if (next_instruction(context) - vdso < vdso_size)
        do_vdso_call(context);
    uint32_t target = look(&step->target);
    if (target == 0)
        return;
    uint32_t count = look(&step->count) + 1;
    put(&step->count, count);
    while (count == 1 && look(&step->go) == 0)
        (void)sched_yield();
    if (count != target)
        return;
    step->at = next_instruction(context);
    put(&step->reached, 1);
    while (look(&step->target) == target)
        (void)sched_yield();
}

static void
handle_traps(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    (void)sigaction(SIGTRAP, &action, NULL);
}

/* on_start. */
static void
get_ready(void *context)
{
    (void)context;
    handle_traps();
    while (look(&step->heirs_wait) != 0)
        (void)sched_yield();
}

static int
try_trap(void)
{
    handle_traps();
    put(&step->target, UINT32_MAX);
    put(&step->go, 1);
    (void)kill(getpid(), SIGTRAP);
    _exit(look(&step->count) > 1 ? 0 : 1);
}

/* Whether this machine has the trap flag; emulators mostly haven't. */
static bool
can_step(void)
{
    memset(step, 0, sizeof *step);
    int status = run_in_child(try_trap);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- tasks ---- */

static uint64_t
work(uint32_t task)
{
    execution_begins(task);
    return answer(task);
}
CF_TASK(uint64_t, work, uint32_t);

static uint64_t
work_in_vain(uint32_t task)
{
    execution_begins(task);
    (void)cf_fail((int)(task % 1000), "in vain"); /* to format a number takes 1500 instructions */
    return 0;
}
CF_TASK(uint64_t, work_in_vain, uint32_t);

/* Waits until `all` tasks have come here. */
static void
meet(uint32_t all)
{
    (void)__atomic_fetch_add(&step->met, 1, __ATOMIC_SEQ_CST);
    while (look(&step->met) < all)
        (void)sched_yield();
}
CF_TASK_VOID(meet, uint32_t);

static void
hold(void)
{
    put(&step->holding, 1);
    while (look(&step->let_go) == 0)
        (void)sched_yield();
}
CF_TASK_VOID(hold);

/* ---- a run ---- */

enum { most_tasks = 2 };

struct run;

typedef struct way { /* what the victim is in the middle of */
    const char *name;
    uint32_t workers, slots;
    bool audits;
    void (*begin)(
        struct run *); /* submits the tasks, and brings up who waits; the victim stands at its first instruction */
    void (*end)(struct run *); /* once the victim is dead, or done: until all tasks are settled; NULL: nothing to do */
} way;

typedef struct run {
    const way *way;
    cf_executor *pool;
    uint32_t victim; /* its worker number */
    uint32_t tasks, task[most_tasks];
    cf_future *future[most_tasks];
    pthread_t waiter;
    int32_t waiter_thread; /* A: its thread id */
    uint32_t called;       /* A: callbacks that have run */
} run;

typedef struct tally {
    unsigned before, lost, after, asleep; /* kills: before the claim, with the task, after it, past the end */
} tally;

static uint32_t next_task;

static cf_future *
submit_one(run *self, uint32_t i)
{
    self->task[i] = next_task++;
    self->tasks++;
    return self->future[i] = cf_submit(self->pool, work, self->task[i]);
}

static uint64_t
slot_word(const run *self, const cf_future *future)
{
    uint32_t index = ((const cf__process_future *)future)->index;
    return __atomic_load_n(&inside(self->pool)->setup.view.slots[index].word, __ATOMIC_SEQ_CST);
}

static int32_t
process_of(cf_executor *pool, uint32_t number)
{
    return __atomic_load_n(&inside(pool)->setup.view.workers[number - 1].process, __ATOMIC_SEQ_CST);
}

static bool
sleeps(cf_executor *pool, uint32_t number)
{
    return (__atomic_load_n(&inside(pool)->setup.view.arena->idle[0], __ATOMIC_SEQ_CST) >> (number - 1) & 1) != 0 &&
           state_of(process_of(pool, number)) == 'S';
}

/* Nobody waits for anything while the victim works. */
static void
begin_alone(run *self)
{
    (void)submit_one(self, 0);
}

static void
begin_failing(run *self)
{
    self->task[0] = next_task++;
    self->tasks = 1;
    self->future[0] = cf_submit(self->pool, work_in_vain, self->task[0]);
}

/* The second submit relies on the victim, which is on its way, to wake the other worker. */
static void
begin_two(run *self)
{
    (void)submit_one(self, 0);
    (void)submit_one(self, 1);
}

static void *
waiter_main(void *argument)
{
    run *self = argument;
    __atomic_store_n(&self->waiter_thread, (int32_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
    if (self->way->slots == 1)
        (void)submit_one(self, 1); /* waits for room */
    else
        (void)cf_future_wait(self->future[0], CF_FOREVER);
    return NULL;
}

static void
start_waiter(run *self)
{
    self->waiter_thread = 0;
    assert_int_equal(pthread_create(&self->waiter, NULL, waiter_main, self), 0);
    wait_until(__atomic_load_n(&self->waiter_thread, __ATOMIC_SEQ_CST) != 0);
}

static void
join_waiter(run *self)
{
    assert_int_equal(pthread_join(self->waiter, NULL), 0);
}

/* A thread sleeps until the task is settled (WAIT). */
static void
begin_awaited(run *self)
{
    (void)submit_one(self, 0);
    start_waiter(self);
    wait_until((slot_word(self, self->future[0]) & CF__SLOT_WAIT) != 0 && state_of(self->waiter_thread) == 'S');
}

/* A thread sleeps until there is room for its task. */
static void
begin_short_of_room(run *self)
{
    (void)submit_one(self, 0);
    start_waiter(self);
    wait_until(look(&inside(self->pool)->setup.view.arena->pressure) % 2 == 1 && state_of(self->waiter_thread) == 'S');
}

/* The collector thread sleeps until the task is marked (CARE). */
static void
begin_called_back(run *self)
{
    (void)submit_one(self, 0);
    self->called = 0;
    assert_int_equal(cf_future_add_done_callback(self->future[0], count_callback, &self->called), CF_OK);
    wait_until(look(&inside(self->pool)->setup.view.arena->collector) == 1);
}

static void
await_callback(run *self)
{
    wait_until(look(&self->called) == 1);
}

/* The one task that is lost when the victim is killed. */
typedef struct loss {
    bool any;
    uint32_t index;
    uint64_t generation;
} loss;

static loss
what_the_victim_runs(const run *self)
{
    const cf__arena_view *view = &inside(self->pool)->setup.view;
    loss found = {false, 0, 0};
    for (uint32_t i = 0; i < view->slot_count; i++) {
        uint64_t word = __atomic_load_n(&view->slots[i].word, __ATOMIC_SEQ_CST);
        if (cf__slot_state(word) == CF__SLOT_RUNNING && cf__slot_owner(word) == self->victim) {
            assert_false(found.any);
            found = (loss){true, i, cf__slot_generation(word)};
        }
    }
    return found;
}

/* What the watchdog and a failure name. */
static char part[160];

/* Task i has become what it was to become. */
static void
check_outcome(const run *self, uint32_t i, loss lost)
{
    cf_future *future = self->future[i];
    const cf__process_future *seen = (const cf__process_future *)future;
    uint32_t task = self->task[i];
    bool fails = self->way->begin == begin_failing;
    bool is_lost = lost.any && lost.index == seen->index && lost.generation == seen->generation, right;
    uint64_t value = 0;

    cf_err error =
        fails ? cf_result(future, work_in_vain, &value, CF_FOREVER) : cf_result(future, work, &value, CF_FOREVER);
    uint32_t runs = take_executions(task);
    if (is_lost)
        right = error == CF_ERR_WORKER_LOST && cf_future_signal(future) == SIGKILL && runs <= 1;
    else if (fails)
        right = error == CF_ERR_FAILED && cf_future_code(future) == (int)(task % 1000) &&
                strcmp(cf_future_message(future), "in vain") == 0 && runs == 1;
    else
        right = error == CF_OK && value == answer(task) && runs == 1;
    if (!right)
        fail_msg("%s: task %u of %u %s: %s, signal %d, code %d, %s, value %s, begun %u times", part, i + 1, self->tasks,
                 is_lost ? "was to be lost" : "was to be done", cf_strerror(error), cf_future_signal(future),
                 cf_future_code(future), cf_future_message(future), value == answer(task) ? "right" : "wrong", runs);
    cf_future_release(future);
}

/* Each worker runs a task at the same time, and goes to sleep after it. */
static void
gather(cf_executor *pool)
{
    cf_future *futures[2];
    uint32_t workers = inside(pool)->setup.view.arena->wanted;
    put(&step->met, 0);
    for (uint32_t i = 0; i < workers; i++)
        futures[i] = cf_submit(pool, meet, workers);
    for (uint32_t i = 0; i < workers; i++) {
        assert_int_equal(cf_future_wait(futures[i], CF_FOREVER), CF_OK);
        cf_future_release(futures[i]);
    }
    for (uint32_t i = 0; i < workers; i++)
        wait_until(sleeps(pool, i + 1));
}

/* Sets the trap flag of worker `number`, which sleeps, and sleeps again when this returns. */
static void
arm(cf_executor *pool, uint32_t number)
{
    put(&step->armed, 0);
    assert_int_equal(kill(process_of(pool, number), SIGTRAP), 0);
    wait_until(look(&step->armed) != 0 && sleeps(pool, number));
    put(&step->go, 0);
    put(&step->count, 0);
    put(&step->reached, 0);
}

/* The victim stands at its target: sees what is to be lost, and kills it. */
static loss
kill_at_target(const run *self, tally *sum)
{
    const cf__process_future *first = (const cf__process_future *)self->future[0];
    uint64_t word = slot_word(self, self->future[0]);
    loss lost = what_the_victim_runs(self);
    if (lost.any)
        sum->lost++;
    else if (cf__slot_state(word) == CF__SLOT_PENDING && cf__slot_generation(word) == first->generation)
        sum->before++;
    else
        sum->after++;
    size_t length = strlen(part);
    long offset = (long)(step->at - (uintptr_t)work); /* of use to a debugger, for it's the same in each run */
    if (labs(offset) < 1L << 24)
        (void)snprintf(part + length, sizeof part - length, ", before work%+ld", offset);
    else
        (void)snprintf(part + length, sizeof part - length, ", in a library");
    assert_int_equal(kill(process_of(self->pool, self->victim), SIGKILL), 0);
    return lost;
}

/* Kills the victim after `n` instructions; asleep if it does fewer: returns false then.  With two workers the victim is the
 * one that is woken first, and the other sleeps; or, `other_is_busy`, it is the second. */
static bool
run_once(cf_executor *pool, const way *the_way, uint32_t n, bool other_is_busy, tally *sum)
{
    run self = {.way = the_way, .pool = pool, .victim = 1};
    cf_future *held = NULL;
    loss lost = {false, 0, 0};

    (void)snprintf(part, sizeof part, "%s%s, instruction %u", the_way->name, other_is_busy ? ", other worker busy" : "",
                   n);
    watchdog_part(part);
    put(&step->target, 0);
    gather(pool);
    if (other_is_busy) {
        put(&step->holding, 0);
        put(&step->let_go, 0);
        held = cf_submit(pool, hold);
        wait_until(look(&step->holding) != 0);
        self.victim = 3 - cf__slot_owner(slot_word(&self, held));
    }
    int32_t process = process_of(pool, self.victim);
    arm(pool, self.victim);
    put(&step->heirs_wait, the_way->workers > 1); /* the other worker must do what is left */
    put(&step->target, n);
    the_way->begin(&self);
    put(&step->go, 1);
    wait_until(look(&step->reached) != 0 || (look(&step->count) != 0 && sleeps(pool, self.victim)));

    bool reached = look(&step->reached) != 0;
    if (reached) {
        lost = kill_at_target(&self, sum);
        wait_until(process_of(pool, self.victim) != process); /* what follows finds what the reaper has left */
    } else {
        put(&step->target, 0); /* it mustn't stand still any more: there may be another task for it */
    }
    put(&step->let_go, 1);
    if (held != NULL) {
        assert_int_equal(cf_future_wait(held, CF_FOREVER), CF_OK);
        cf_future_release(held);
    }
    if (the_way->end != NULL)
        the_way->end(&self);
    for (uint32_t i = 0; i < self.tasks; i++)
        check_outcome(&self, i, lost);
    if (!reached) {
        sum->asleep++;
        wait_until(sleeps(pool, self.victim));
        assert_int_equal(kill(process, SIGKILL), 0);
    }
    put(&step->heirs_wait, 0);
    wait_until(process_of(pool, self.victim) != process && worker_is_ready(pool, self.victim - 1));
    return reached;
}

/* ---- sweeps ---- */

/* A pool, and what there was before it. */
typedef struct scene {
    cf_executor *pool;
    int fds, fds_of_template;
} scene;

static int
fds_of_template(cf_executor *pool)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%ld/fd", (long)inside(pool)->setup.view.arena->template_process);
    return count_entries(path);
}

static scene
open_scene(const way *the_way)
{
    scene self = {NULL, open_fds(), 0};
    memset(step, 0, sizeof *step);
    self.pool = cf_process_pool(.max_workers = the_way->workers, .max_pending = the_way->slots, .on_start = get_ready);
    leave_it_to_the_reaper(self.pool);
    if (the_way->audits) {
        sleep_as_usual(self.pool);
        parent_slice = INT64_C(1000000); /* so that some come while the victim steps */
    }
    gather(self.pool);
    self.fds_of_template = fds_of_template(self.pool);
    return self;
}

/* Nothing is left but the pool, and then not even that. */
static void
close_scene(scene *self)
{
    const cf__arena_view *view = &inside(self->pool)->setup.view;
    gather(self->pool);
    wait_until(is_whole(self->pool));
    for (uint32_t i = 0; i < view->arena->wanted; i++)
        assert_int_equal(look(&view->workers[i].intent), 0);
    assert_int_equal(inside(self->pool)->in_use, 0);
    assert_int_equal(fds_of_template(self->pool), self->fds_of_template);
    cf_executor_close(self->pool);
    wait_until(living_processes() == 0);
    assert_int_equal(open_fds(), self->fds);
}

static void
sweep(const way *the_way)
{
    enum { through = 8 };
    tally sum = {0, 0, 0, 0};
    if (!can_step()) {
        print_message("  skipped: it takes an x86-64 with the trap flag, and no emulator\n");
        skip();
    }
    scene here = open_scene(the_way);
    assert_false(run_once(here.pool, the_way, UINT32_MAX, false, &sum));
    uint32_t length = look(&step->count), last = 0, passes = 0;
    uint32_t every = 1 + (uint32_t)((uint64_t)length * length / 2 * the_way->workers / most_traps);
    cf_time end = cf_after_ms(soak_ms);
    bool in_time = true;
    while (in_time) {
        /* How long the way is differs by some turns of a loop: so until a few ends in a row weren't reached. */
        for (uint32_t n = 1 + passes % every, missed = 0; in_time && missed < through; n += every) {
            for (uint32_t busy = 0; busy < the_way->workers; busy++) {
                bool reached = run_once(here.pool, the_way, n, busy != 0, &sum);
                missed = reached ? 0 : missed + 1;
                last = reached && n > last ? n : last;
            }
            in_time = soak_ms == 0 || !cf_passed(end);
        }
        passes += in_time;
        in_time = in_time && soak_ms != 0;
    }
    close_scene(&here);
    print_message("  %s: killed after instruction 1 to %u", the_way->name, last);
    if (passes == 0)
        print_message(" of %u", length); /* the time was too short */
    if (every > passes)
        print_message(", %u in %u", passes != 0 ? passes : 1, every);
    print_message("; %u times before the claim, %u with the task, %u after it, %u asleep\n", sum.before, sum.lost,
                  sum.after, sum.asleep);
    assert_true(soak_ms != 0 || (sum.before > 4 && sum.lost > 4 && sum.after > 4));
}

/* The only worker: what it leaves, only its heir can do. */
static void
test_step_only_worker(void **state)
{
    static const way alone = {"one worker", 1, 4, false, begin_alone, NULL};
    (void)state;
    sweep(&alone);
}

/* A failure is whole, or there is none. */
static void
test_step_failing_task(void **state)
{
    static const way failing = {"a task that fails", 1, 4, false, begin_failing, NULL};
    (void)state;
    sweep(&failing);
}

/* Either of two workers; the other does what is left, its heir isn't there yet. */
static void
test_step_either_of_two(void **state)
{
    static const way two = {"two workers, two tasks", 2, 4, false, begin_two, NULL};
    (void)state;
    sweep(&two);
}

/* Who sleeps on the task is woken, by whomever. */
static void
test_step_waiter_asleep(void **state)
{
    static const way awaited = {"a waiter asleep", 1, 4, false, begin_awaited, join_waiter};
    (void)state;
    sweep(&awaited);
}

/* Audits push hints again that are still there, and do no harm. */
static void
test_step_waiter_audits(void **state)
{
    static const way audited = {"a waiter that audits", 1, 4, true, begin_awaited, join_waiter};
    (void)state;
    sweep(&audited);
}

/* Who sleeps for room is woken. */
static void
test_step_submit_waits_for_room(void **state)
{
    static const way short_of_room = {"a submit that waits for room", 1, 1, false, begin_short_of_room, join_waiter};
    (void)state;
    sweep(&short_of_room);
}

/* The callback runs, in the collector, which sleeps until it's woken. */
static void
test_step_collector_asleep(void **state)
{
    static const way called_back = {"a callback", 1, 4, false, begin_called_back, await_callback};
    (void)state;
    sweep(&called_back);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_only_worker),      cmocka_unit_test(test_step_failing_task),
        cmocka_unit_test(test_step_either_of_two),    cmocka_unit_test(test_step_waiter_asleep),
        cmocka_unit_test(test_step_waiter_audits),    cmocka_unit_test(test_step_submit_waits_for_room),
        cmocka_unit_test(test_step_collector_asleep),
    };
    soak_ms = (int64_t)soak_seconds(argc, argv, 0) * 1000 / (int64_t)(sizeof tests / sizeof *tests);
    find_vdso();
    step = shared_memory(sizeof *step);
    if (step == NULL || !count_executions())
        return 99;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
