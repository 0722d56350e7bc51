/* tests/model/model_engine.h - the deterministic scheduler behind model.h: the world, choices, knowledge, scheduling.
 * SPDX-License-Identifier: MIT
 * Includes: model_memory.h, model_system.h, model_process.h, model_search.h.  Included by: model.h, in its middle, which says what is
 *   modelled, and its limits.
 *
 * HOW IT WORKS  An execution is a sequence of choices, each "option i of n".  model__choose() takes the first ones from
 *   model.choices, as far as these go, and 0 after that; model__next() then counts the last one up that has options left. So the
 *   array is the whole state of the search, and a failure's replay string is that array without its zeros.
 *   Nothing else may differ between two executions: memory comes from one region at the same addresses, time is simulated.
 * COROUTINES  Each has a stack that is entered once, by makecontext, and then used again: its base context is a jump
 *   buffer in a frame that never returns.  _setjmp and _longjmp switch; they make no system call.
 * POINTS  An operation calls model__enter() first: there the process may die, the checks on the address are made, and another
 *   coroutine may get its turn.  Mutex unlock, plain data, allocation and the clock are no points: an
 *   order of these with others that matters is found at the operations beside them.
 * YIELD  A coroutine that yields isn't chosen again until something is written, or all that could run have yielded.  So a
 *   loop that spins ends up as a livelock only if nobody can end it. */
#ifndef CFUTURES_TESTS_MODEL_ENGINE_H
#define CFUTURES_TESTS_MODEL_ENGINE_H

#define MODEL__COROUTINES 16
#define MODEL__PROCESSES 16
#define MODEL__LOCATIONS 512
#define MODEL__STORES 16384
#define MODEL__CELLS 8192
#define MODEL__BLOCKS 1024
#define MODEL__MUTEXES 64
#define MODEL__CHOICES 32768
#define MODEL__STACK ((size_t)128 * 1024)
#define MODEL__HEAP ((size_t)16 << 20)
#define MODEL__REDZONE 32u
#define MODEL__OLDER 3 /* how far back a stale read goes */
#define MODEL__FREED 0xDD
/* The engine itself isn't instrumented, see model.h on -fsanitize=thread. */
#define MODEL__SMALL __attribute__((unused, no_sanitize("thread")))
#define MODEL__ENGINE __attribute__((noinline, unused, no_sanitize("thread")))

/* What a coroutine knows, or a store tells: how far each coroutine has come, and per location the oldest store that
 * may still be read.  Entries from `locations` on are 0. */
typedef struct model__knowledge {
    uint16_t clock[MODEL__COROUTINES];
    uint16_t sequential; /* place of the last seq_cst operation that happens before */
    uint16_t locations;
    uint16_t oldest[MODEL__LOCATIONS];
} model__knowledge;

typedef struct model__store_record {
    uint64_t value;
    struct model__store_record *previous;
    const model__knowledge *message; /* NULL: relaxed */
    uint16_t time;                   /* its place in the order of the location's stores */
    uint16_t sequential;             /* place of the first seq_cst operation that wrote or read it; 0: none */
} model__store_record;

typedef struct model__location {
    uintptr_t address;
    size_t size;
    const char *name;
    model__store_record *newest;
    uint16_t index, floor;                                        /* floor: the oldest store that anybody may read */
    int stack;                                                    /* whose stack it is on; -1: no one's */
    bool popped;                                                  /* its frame has returned */
    uint16_t read[MODEL__COROUTINES], written[MODEL__COROUTINES]; /* clocks of the last accesses */
} model__location;

/* Eight bytes of plain data. */
typedef struct model__cell {
    uintptr_t address;
    uint16_t readers; /* bit i: coroutine i has read a byte since it was written */
    uint8_t writer[8];
    uint16_t write_clock[8];
    uint16_t read_clock[MODEL__COROUTINES][8];
    const model__site *write_site, *read_site;
} model__cell;

typedef struct model__block {
    uintptr_t start;
    size_t size;
    unsigned process;
    bool shared, freed, guard;
    uint32_t unmapped; /* bit i: process i has unmapped it; the others still have it */
    const model__site *site;
} model__block;

typedef struct model__mutex_record {
    const cf__mutex *mutex;
    int owner; /* -1: free */
    bool destroyed;
    model__knowledge knowledge;
} model__mutex_record;

typedef enum model__state {
    MODEL__READY,
    MODEL__IN_MUTEX,
    MODEL__IN_FUTEX,
    MODEL__IN_JOIN,
    MODEL__IN_JOIN_ALL,
    MODEL__IN_DEATH,
    MODEL__IN_AWAIT, /* a signal, a time, the end of a process; or none of them */
    MODEL__FINISHED,
    MODEL__KILLED
} model__state;

typedef struct model__coroutine {
    unsigned number, process;
    const char *name;
    void (*run)(void *);
    void *(*run_thread)(void *); /* or this one */
    void *argument;
    jmp_buf base, context;
    jmp_buf *resume;
    model__state state;
    model__knowledge knowledge;
    bool yielded, joined;
    /* what it waits for */
    const model__site *site;
    unsigned waits_for; /* number of the mutex or coroutine */
    const uint32_t *word[2];
    cf__scope scope;
    int64_t deadline;
    unsigned ticket; /* order of going to sleep */
    bool in_time;
    int watched;        /* the process whose end it waits for; -1: none */
    uint64_t unblocked; /* signals that its process blocks, but not now */
    /* locations on its stack */
    uint16_t on_stack[64];
    unsigned on_stack_count;
    unsigned char locals[256]; /* its thread-local variables while it doesn't run */
} model__coroutine;

typedef struct model__process {
    bool live, spared;
    unsigned parent;
    int dies_with;                       /* the process whose end kills it; -1: none */
    uint64_t pending, blocked, ignored;  /* signals: bit n is number n */
    void (*on_signal)(int);              /* NULL: it dies */
    uint32_t *life;                      /* a word that the kernel marks at its end; or NULL */
    model__knowledge knowledge, signals; /* what its end tells, and the signals sent to it */
} model__process;

typedef struct model__hash {
    uint32_t execution; /* stale entries need no clearing */
    uint32_t index;
} model__hash;

static struct model__world {
    /* one execution */
    const model_scenario *scenario;
    uint32_t execution;
    model__coroutine *current;
    unsigned coroutines;
    int preemptions, stale_reads, spurious, kills, faults, timeouts, steps;
    uint16_t sequential; /* seq_cst operations so far */
    int64_t clock;
    int64_t deadlines[8];
    unsigned deadline_count, tickets;
    unsigned locations, stores, messages, cells, blocks, mutexes;
    size_t heap_used;
    struct {
        void *object;
        size_t size, offset;
    } locals[8];
    unsigned local_count;
    struct model__process processes[MODEL__PROCESSES];
    unsigned process_count, deaths;
    unsigned signals; /* sent, and not yet arrived */
    struct {
        model_death death;
        bool told;
    } death[MODEL__PROCESSES];
    jmp_buf forked; /* where fork() returns for the second time */
    int32_t forked_process;
    jmp_buf driver;
    ucontext_t driver_context;
    const char *failure; /* kind; NULL: none */
    char failure_text[2048];
    /* the search */
    uint32_t depth, prefix;
    uint8_t choices[MODEL__CHOICES], options[MODEL__CHOICES];
    bool replaying, random;
    uint64_t seed;
    unsigned long points;
    /* the command line */
    int only_preemptions, only_stale;
    double only_seconds;
    bool random_order;
    /* tables */
    unsigned char *stacks, *heap;
    model__coroutine coroutine[MODEL__COROUTINES];
    model__location location[MODEL__LOCATIONS];
    model__hash location_hash[4 * MODEL__LOCATIONS];
    model__store_record store[MODEL__STORES];
    model__knowledge *message;
    model__cell *cell;
    model__hash cell_hash[4 * MODEL__CELLS];
    model__block block[MODEL__BLOCKS];
    uint16_t block_of[MODEL__HEAP / 16]; /* 1 + index, for each 16 bytes */
    model__mutex_record mutex[MODEL__MUTEXES];
} model;

/* ---- failures and the trace ---- */

MODEL__SMALL static const char *
model__base(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash != NULL ? slash + 1 : file;
}

/* Ends the execution. */
static void model__fail(const char *kind, const char *format, ...) CF_PRINTF(2, 3) __attribute__((noreturn, cold));

MODEL__ENGINE static void
model__fail(const char *kind, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(model.failure_text, sizeof model.failure_text, format, arguments);
    va_end(arguments);
    model.failure = kind;
    _longjmp(model.driver, 1);
}

/* The harness itself is at its end. */
MODEL__SMALL static void
model__limit(bool reached, const char *what)
{
    if (reached)
        model__fail("limit", "the model's table is too small: %s", what);
}

MODEL__ENGINE CF_PRINTF(2, 3) static void model__trace(const model__site *site, const char *format, ...)
{
    va_list arguments;
    printf("  %4d %-12.12s %-16s %-28s ", model.steps, model.current->name, site->operation, site->expression);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("   %s:%d\n", model__base(site->file), site->line);
}
#define MODEL__TRACE(...) (__builtin_expect(model.replaying, 0) ? model__trace(__VA_ARGS__) : (void)0)

MODEL__ENGINE static void
model_note(const char *format, ...)
{
    va_list arguments;
    if (!model.replaying)
        return;
    printf("       %-12.12s ", model.current->name);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

/* ---- choices ---- */

/* The reason for a choice: at random, its first option, "nothing special happens", is taken more often for RARE. */
typedef enum model__weight { MODEL__EVEN, MODEL__RARE } model__weight;

MODEL__ENGINE static unsigned
model__choose(unsigned count, model__weight weight)
{
    if (count <= 1)
        return 0;
    uint32_t at = model.depth++;
    model__limit(at >= MODEL__CHOICES || count > 255, "choices");
    if (at < model.prefix) {
        if (model.options[at] == 0)
            model.options[at] = (uint8_t)count; /* from a replay string */
        if (model.options[at] != count || model.choices[at] >= count)
            model__fail("limit",
                        "choice %u has %u options, and had %u before: the scenario isn't deterministic, or the "
                        "replay string belongs to another one",
                        at, count, model.options[at]);
        return model.choices[at];
    }
    unsigned chosen = 0;
    if (model.random) {
        model.seed = model.seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t bits = model.seed >> 33;
        uint64_t rate = UINT64_C(8) << model.execution % 3 * 2; /* so that what may happen also happens late */
        if (weight == MODEL__EVEN || bits % rate == 0)
            chosen = (unsigned)((bits / rate) % count);
    }
    model.options[at] = (uint8_t)count;
    model.choices[at] = (uint8_t)chosen;
    return chosen;
}

/* Whether something of which `left` may happen happens here. */
MODEL__SMALL static inline bool
model__happens(int *left)
{
    if (*left <= 0 || model__choose(2, MODEL__RARE) == 0)
        return false;
    --*left;
    return true;
}

/* Moves on to the next execution of the depth-first search; false when there is none. */
MODEL__SMALL static bool
model__next(void)
{
    uint32_t depth = model.depth;
    while (depth > 0 && model.choices[depth - 1] + 1 >= model.options[depth - 1])
        depth--;
    if (depth == 0)
        return false;
    model.choices[depth - 1]++;
    model.prefix = depth;
    return true;
}

/* ---- knowledge ---- */

MODEL__SMALL static void
model__know_nothing(model__knowledge *knowledge)
{
    memset(knowledge, 0, offsetof(model__knowledge, oldest));
}

MODEL__SMALL static inline uint16_t /* CF__MAX() would make an int of it */
model__later(uint16_t a, uint16_t b)
{
    return a > b ? a : b;
}

MODEL__SMALL static inline void
model__learn(model__knowledge *to, const model__knowledge *from)
{
    for (unsigned i = 0; i < MODEL__COROUTINES; i++)
        to->clock[i] = model__later(to->clock[i], from->clock[i]);
    to->sequential = model__later(to->sequential, from->sequential);
    unsigned both = (unsigned)CF__MIN(to->locations, from->locations);
    for (unsigned i = 0; i < both; i++)
        to->oldest[i] = model__later(to->oldest[i], from->oldest[i]);
    for (unsigned i = both; i < from->locations; i++)
        to->oldest[i] = from->oldest[i];
    to->locations = model__later(to->locations, from->locations);
}

MODEL__SMALL static inline void
model__know_copy(model__knowledge *to, const model__knowledge *from)
{
    memcpy(to, from, offsetof(model__knowledge, oldest) + from->locations * sizeof from->oldest[0]);
}

MODEL__SMALL static inline uint16_t
model__oldest(const model__knowledge *knowledge, unsigned location)
{
    return location < knowledge->locations ? knowledge->oldest[location] : 0;
}

MODEL__SMALL static inline void
model__know_store(model__knowledge *knowledge, unsigned location, uint16_t time)
{
    while (knowledge->locations <= location)
        knowledge->oldest[knowledge->locations++] = 0;
    knowledge->oldest[location] = model__later(knowledge->oldest[location], time);
}

/* What the current coroutine has done up to here is told to somebody: what it does next is later. */
MODEL__SMALL static inline void
model__told(void)
{
    uint16_t *clock = &model.current->knowledge.clock[model.current->number];
    model__limit(*clock == UINT16_MAX, "clock");
    ++*clock;
}

MODEL__SMALL static inline bool
model__knows(unsigned coroutine, uint16_t clock)
{
    return coroutine == model.current->number || model.current->knowledge.clock[coroutine] >= clock;
}

/* ---- scheduling ---- */

MODEL__SMALL static bool
model__any_process_left(void)
{
    for (unsigned i = 1; i <= model.process_count; i++)
        if (model.processes[i].live)
            return true;
    return false;
}

/* The first death that nobody has been told of, and that is a child's of `parent` (-1: anybody's); -1: none. */
MODEL__SMALL static int
model__untold_death(int parent)
{
    for (unsigned i = 0; i < model.deaths; i++)
        if (!model.death[i].told &&
            (parent < 0 || model.processes[model.death[i].death.process].parent == (unsigned)parent))
            return (int)i;
    return -1;
}

MODEL__SMALL static bool
model__scenario_done(void)
{
    for (unsigned i = 1; i < model.coroutines; i++)
        if (model.coroutine[i].joined && model.coroutine[i].state < MODEL__FINISHED)
            return false;
    return true;
}

MODEL__SMALL static bool
model__can_run(const model__coroutine *c)
{
    switch (c->state) {
    case MODEL__READY:
        return true;
    case MODEL__IN_MUTEX:
        return model.mutex[c->waits_for].owner < 0;
    case MODEL__IN_JOIN:
        return model.coroutine[c->waits_for].state >= MODEL__FINISHED;
    case MODEL__IN_JOIN_ALL:
        return model__scenario_done();
    case MODEL__IN_DEATH:
        return model__untold_death(-1) >= 0 || !model__any_process_left();
    case MODEL__IN_AWAIT:
        return (c->watched >= 0 && !model.processes[c->watched].live) ||
               (model.processes[c->process].pending & c->unblocked) != 0;
    default:
        return false;
    }
}

MODEL__SMALL static void
model__report_deadlock(void)
{
    char text[1800];
    size_t length = 0;
    for (unsigned i = 0; i < model.coroutines && length < sizeof text; i++) {
        const model__coroutine *c = &model.coroutine[i];
        const char *why[] = {
            "ready", "waits for a mutex", "sleeps on", "joins", "joins the threads", "waits for a death", "awaits"};
        if (c->state >= MODEL__FINISHED)
            continue;
        length += (size_t)snprintf(text + length, sizeof text - length, "\n      %s %s %s", c->name, why[c->state],
                                   c->state == MODEL__IN_JOIN ? model.coroutine[c->waits_for].name
                                   : c->site != NULL          ? c->site->expression
                                                              : "");
        if (length < sizeof text && c->state == MODEL__IN_MUTEX)
            length += (size_t)snprintf(text + length, sizeof text - length, ", held by %s",
                                       model.coroutine[model.mutex[c->waits_for].owner].name);
        if (length < sizeof text && c->site != NULL)
            length += (size_t)snprintf(text + length, sizeof text - length, " (%s:%d)", model__base(c->site->file),
                                       c->site->line);
    }
    model__fail("deadlock", "nobody can go on:%s", text);
}

MODEL__ENGINE static void
model__switch(model__coroutine *to)
{
    model__coroutine *from = model.current;
    if (from == to)
        return;
    for (unsigned i = 0; i < model.local_count; i++) {
        memcpy(from->locals + model.locals[i].offset, model.locals[i].object, model.locals[i].size);
        memcpy(model.locals[i].object, to->locals + model.locals[i].offset, model.locals[i].size);
    }
    model.current = to;
    if (_setjmp(from->context) == 0) {
        from->resume = &from->context;
        _longjmp(*to->resume, 1);
    }
}

/* The deadline that passes first of those that sleepers have. */
MODEL__SMALL static int64_t
model__first_deadline(void)
{
    int64_t first = INT64_MAX;
    for (unsigned i = 0; i < model.coroutines; i++)
        if (model.coroutine[i].state == MODEL__IN_FUTEX || model.coroutine[i].state == MODEL__IN_AWAIT)
            first = CF__MIN(first, model.coroutine[i].deadline);
    return first;
}

typedef enum model__why { MODEL__POINT, MODEL__YIELD, MODEL__BLOCK } model__why;
typedef enum model__how { MODEL__RUN, MODEL__TIME_OUT, MODEL__SPURIOUS } model__how;

/* Chooses who runs next, and lets it run; returns when the caller is chosen again. */
MODEL__ENGINE static void
model__schedule(model__why why)
{
    struct {
        model__coroutine *coroutine;
        model__how how;
    } candidate[3 * MODEL__COROUTINES];
    model__coroutine *self = model.current;
    unsigned count = 0;
    bool others = why != MODEL__POINT || model.preemptions > 0;

    if (why == MODEL__POINT) {
        if (!others || model.coroutines == 1)
            return;
        candidate[count].coroutine = self;
        candidate[count++].how = MODEL__RUN;
    }
    for (int round = 0; count == 0 || (round == 0 && why == MODEL__POINT); round++) {
        bool somebody = why == MODEL__POINT;
        for (unsigned i = 1; i <= model.coroutines; i++) {
            model__coroutine *c = &model.coroutine[(self->number + i) % model.coroutines];
            if (c == self && (why == MODEL__POINT || round == 0))
                continue; /* the last resort of who yields; and a blocked one isn't runnable by itself */
            if (model__can_run(c) && (!c->yielded || round > 0)) {
                candidate[count].coroutine = c;
                candidate[count++].how = MODEL__RUN;
                somebody = true;
            }
        }
        if (round == 0 && !somebody)
            continue; /* all have yielded, or nobody is left */
        int64_t first = model.timeouts >= 0 ? model__first_deadline() : INT64_MAX;
        for (unsigned i = 1; i <= model.coroutines; i++) {
            model__coroutine *c = &model.coroutine[(self->number + i) % model.coroutines];
            if (c->state != MODEL__IN_FUTEX && (c->state != MODEL__IN_AWAIT || model__can_run(c)))
                continue;
            if (c->deadline != INT64_MAX && (somebody ? model.timeouts != 0 : c->deadline <= first)) {
                candidate[count].coroutine = c;
                candidate[count++].how = MODEL__TIME_OUT;
            }
            if (model.spurious > 0 && somebody && c->state == MODEL__IN_FUTEX) {
                candidate[count].coroutine = c;
                candidate[count++].how = MODEL__SPURIOUS;
            }
        }
        if (round > 0 && count == 0)
            model__report_deadlock();
        if (round > 0)
            for (unsigned i = 0; i < model.coroutines; i++)
                model.coroutine[i].yielded = false;
    }
    unsigned chosen = model__choose(count, why == MODEL__POINT ? MODEL__RARE : MODEL__EVEN);
    model__coroutine *next = candidate[chosen].coroutine;
    if (why == MODEL__POINT && chosen > 0)
        model.preemptions--;
    if (candidate[chosen].how != MODEL__RUN) {
        next->state = MODEL__READY;
        next->in_time = candidate[chosen].how == MODEL__SPURIOUS;
        if (next->in_time)
            model.spurious--;
        else
            model.clock = CF__MAX(model.clock, next->deadline);
        if (candidate[chosen].how == MODEL__TIME_OUT && model.timeouts > 0)
            model.timeouts--;
    }
    next->yielded = false;
    model__switch(next);
}

MODEL__ENGINE static void
model__sleep(model__state state, const model__site *site)
{
    model.current->state = state;
    model.current->site = site;
    model__schedule(MODEL__BLOCK);
    model.current->state = MODEL__READY;
}

/* Something was written: who has yielded may look again. */
MODEL__SMALL static inline void
model__written(void)
{
    for (unsigned i = 0; i < model.coroutines; i++)
        model.coroutine[i].yielded = false;
}

/* The current coroutine's process ends here, by `signal` or with `status`. */
static void model__end_process(int signal, int status);

/* The current process may die here. */
MODEL__ENGINE static void
model__may_die(const model__site *site)
{
    unsigned process = model.current->process;
    if (process == 0 || model.processes[process].spared || !model__happens(&model.kills))
        return;
    MODEL__TRACE(site, "*** killed before this ***");
    model__end_process(SIGKILL, 0);
    model__schedule(MODEL__BLOCK);
    __builtin_unreachable();
}

/* Signals that are pending for the current process arrive here; all that can if `surely`, else by choice. */
static void model__take_signals(const model__site *site, bool surely);

#include "model_memory.h"
#include "model_system.h"
#include "model_process.h"
#include "model_search.h"

#endif
