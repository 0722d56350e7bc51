/* tests/model/model_search.h - executions one after another, the command line, what is printed.
 * SPDX-License-Identifier: MIT
 * Included by: model_engine.h. */
#ifndef CFUTURES_TESTS_MODEL_SEARCH_H
#define CFUTURES_TESTS_MODEL_SEARCH_H

/* ---- one execution ---- */

MODEL__SMALL static int
model__bound(int given, int standard)
{
    return given == MODEL_NONE ? 0 : given > 0 ? given : standard;
}

/* What the search may still do to the scenario. */
MODEL__SMALL static void
model__set_bounds(const model_scenario *scenario)
{
    model.preemptions = model.only_preemptions != 0 ? model.only_preemptions : model__bound(scenario->preemptions, 2);
    model.stale_reads =
        model.only_stale != 0 ? model__bound(model.only_stale, 0) : model__bound(scenario->stale_reads, 1);
    model.spurious = model__bound(scenario->spurious, 1);
    model.kills = scenario->kills;
    model.timeouts = model__bound(scenario->timeouts, -1); /* -1: any number */
}

MODEL__SMALL static void
model__no_bounds(void)
{
    model.preemptions = model.stale_reads = model.spurious = model.kills = model.faults = model.timeouts = 0;
}

/* Coroutine 0: what the scenario is. */
MODEL__ENGINE static void
model__scenario_main(void *argument)
{
    static const model__site site = {"join_all", "", __FILE__, __LINE__};
    const model_scenario *scenario = argument;
    if (scenario->calm)
        model__no_bounds();
    if (scenario->setup != NULL)
        scenario->setup();
    if (scenario->calm)
        model__set_bounds(scenario);
    model.faults = scenario->faults; /* setup's own calls don't fail */
    for (unsigned i = 0; i < MODEL_THREADS && scenario->threads[i].run != NULL; i++)
        model__coroutine_new(scenario->threads[i].name, 0, scenario->threads[i].run, scenario->threads[i].argument)
            ->joined = true;
    for (unsigned i = 0; i < MODEL_THREADS && scenario->processes[i].run != NULL; i++)
        (void)model_process_start(scenario->processes[i].name, scenario->processes[i].run,
                                  scenario->processes[i].argument);
    if (!model__scenario_done())
        model__sleep(MODEL__IN_JOIN_ALL, &site);
    for (unsigned i = 1; i < model.coroutines; i++)
        if (model.coroutine[i].joined)
            model__learn(&model.current->knowledge, &model.coroutine[i].knowledge);
    if (scenario->calm)
        model__no_bounds();
    if (scenario->check != NULL)
        scenario->check();
    for (unsigned i = 1; i < model.coroutines; i++) /* forked ones may still be dying */
        model.coroutine[i].joined |= model.coroutine[i].process != 0;
    if (!model__scenario_done())
        model__sleep(MODEL__IN_JOIN_ALL, &site);
}

MODEL__SMALL static void
model__check_rest(void)
{
    for (unsigned i = 1; i < model.coroutines; i++)
        if (model.coroutine[i].state < MODEL__FINISHED)
            model__fail("leak", "thread %s still runs at the end", model.coroutine[i].name);
    for (unsigned i = 0; i < model.blocks; i++) {
        const model__block *block = &model.block[i];
        if (!block->freed && (block->unmapped & 1) == 0 && !model.scenario->leaks)
            model__fail("leak", "block %u of %zu bytes, allocated at %s:%d, was never freed", i + 1, block->size,
                        model__base(block->site->file), block->site->line);
        for (size_t at = 0; block->freed && !block->shared && block->process == 0 && at < block->size; at++)
            if (((const unsigned char *)block->start)[at] != MODEL__FREED)
                model__fail("use after free", "byte %zu of block %u, allocated at %s:%d, was written after its free",
                            at, i + 1, model__base(block->site->file), block->site->line);
    }
}

/* Runs the scenario once, with the choices there are; model.failure says how it went. */
MODEL__ENGINE static void
model__execute(const model_scenario *scenario)
{
    model.scenario = scenario;
    model.execution++;
    model.failure = NULL;
    model.depth = 0;
    model__set_bounds(scenario);
    model.faults = 0;
    model.steps = 0;
    model.clock = 1000000000;
    model.deadline_count = model.tickets = model.local_count = 0;
    model.locations = model.stores = model.messages = model.cells = model.blocks = model.mutexes = model.coroutines = 0;
    model.process_count = model.deaths = model.signals = 0;
    model__process_init(0, 0);
    model.heap_used = 0;
    model.sequential = 0;
    model__coroutine *first = model__coroutine_new("main", 0, model__scenario_main, (void *)(uintptr_t)scenario);
    model.current = first;
    if (_setjmp(model.driver) == 0)
        _longjmp(*first->resume, 1);
    if (model.failure == NULL && _setjmp(model.driver) == 0)
        model__check_rest();
}

MODEL__SMALL static void
model__prepare(void)
{
    model.stacks =
        mmap(NULL, MODEL__COROUTINES * MODEL__STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    model.heap = mmap(NULL, MODEL__HEAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    model.message = calloc(MODEL__STORES, sizeof *model.message);
    model.cell = calloc(MODEL__CELLS, sizeof *model.cell);
    if (model.stacks == MAP_FAILED || model.heap == MAP_FAILED || model.message == NULL || model.cell == NULL)
        abort();
    for (unsigned i = 0; i < MODEL__COROUTINES; i++) {
        static ucontext_t entry;
        (void)getcontext(&entry);
        entry.uc_stack.ss_sp = model.stacks + i * MODEL__STACK;
        entry.uc_stack.ss_size = MODEL__STACK;
        model.current = &model.coroutine[i];
        makecontext(&entry, model__coroutine_main, 0);
        (void)swapcontext(&model.driver_context, &entry);
    }
}

/* ---- the search ---- */

/* Of the CPU's time, so that a search goes as far on a busy machine. */
MODEL__SMALL static double
model__seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

MODEL__SMALL static void
model__print_replay(void)
{
    const char *comma = "";
    printf("    replay: --only %s --replay ", model.scenario->name);
    for (uint32_t i = 0; i < model.depth; i++) {
        if (model.choices[i] == 0)
            continue;
        printf("%s%u:%u", comma, i, model.choices[i]);
        comma = ",";
    }
    printf("%s\n", *comma == 0 ? "0:0" : "");
}

/* Reads "index:choice,..." into the choices. */
MODEL__SMALL static void
model__set_replay(const char *text)
{
    memset(model.choices, 0, sizeof model.choices);
    memset(model.options, 0, sizeof model.options);
    model.prefix = 0;
    while (*text != 0) {
        char *end;
        unsigned long at = strtoul(text, &end, 10);
        unsigned long choice = *end == ':' ? strtoul(end + 1, &end, 10) : 0;
        if (at >= MODEL__CHOICES || end == text)
            break;
        model.choices[at] = (uint8_t)choice;
        model.prefix = CF__MAX(model.prefix, (uint32_t)at + 1);
        text = *end == ',' ? end + 1 : end;
    }
}

/* Runs the failed execution again, and prints each step. */
MODEL__SMALL static void
model__replay(const model_scenario *scenario)
{
    model.replaying = true;
    model.prefix = CF__MAX(model.prefix, model.depth);
    model__execute(scenario);
    model.replaying = false;
    printf("    %s: %s\n", model.failure != NULL ? model.failure : "no failure",
           model.failure != NULL ? model.failure_text : "");
}

/* Returns whether the scenario passed. */
MODEL__SMALL static bool
model__search(const model_scenario *scenario)
{
    double start = model__seconds(), limit = scenario->seconds > 0 ? scenario->seconds : 20;
    unsigned long executions = 0;
    bool more = true, exhausted = false;
    model.prefix = 0;
    model.points = 0;
    model.random = scenario->random > 0 || model.random_order;
    const char *most = getenv("CF_MODEL_SECONDS"); /* a scenario; the quick tier's limit */
    if (most != NULL)
        limit = CF__MIN(limit, atof(most));
    if (model.only_seconds > 0)
        limit = model.only_seconds;
    while (more) {
        model__execute(scenario);
        executions++;
        if (model.failure != NULL)
            break;
        if (model.random)
            more = scenario->random == 0 || executions < (unsigned long)scenario->random;
        else
            more = model__next(), exhausted = !more;
        if (executions % 64 == 0 && model__seconds() - start > limit)
            more = false;
    }
    double seconds = model__seconds() - start;
    bool found = scenario->expect != NULL && model.failure != NULL && strcmp(model.failure, scenario->expect) == 0;
    bool passed = scenario->expect != NULL ? found : model.failure == NULL;
    printf("%s %-40s %9lu executions  %-9s %6.2f s  %5.1f M points/s\n", passed ? "ok  " : "FAIL", scenario->name,
           executions,
           model.failure != NULL ? model.failure
           : exhausted           ? "exhausted"
           : model.random        ? "random"
                                 : "bounded",
           seconds, (double)model.points / 1e6 / CF__MAX(seconds, 1e-6));
    if (!passed && model.failure == NULL)
        printf("    the planted %s wasn't found\n", scenario->expect);
    if (!passed && model.failure != NULL) {
        printf("    %s: %s\n", model.failure, model.failure_text);
        model__print_replay();
        model__replay(scenario);
    }
    (void)fflush(stdout);
    return passed;
}

MODEL__SMALL static int
model_main(int argc, char **argv, const model_scenario *scenarios, size_t count)
{
    const char *only = NULL, *replay = NULL;
    unsigned passed = 0, failed = 0;
    bool stop = false;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--list") == 0) {
            for (size_t k = 0; k < count; k++)
                printf("%s\n", scenarios[k].name);
            return 0;
        }
        if (strcmp(argv[i], "--stop") == 0) {
            stop = true;
            i--;
            continue;
        }
        if (strcmp(argv[i], "--only") == 0)
            only = value;
        else if (strcmp(argv[i], "--replay") == 0)
            replay = value;
        else if (strcmp(argv[i], "--preemptions") == 0)
            model.only_preemptions = atoi(value);
        else if (strcmp(argv[i], "--stale") == 0)
            model.only_stale = atoi(value) > 0 ? atoi(value) : MODEL_NONE;
        else if (strcmp(argv[i], "--seconds") == 0)
            model.only_seconds = atof(value);
        else if (strcmp(argv[i], "--seed") == 0)
            model.seed = strtoull(value, NULL, 10), model.random_order = true;
        else {
            fprintf(stderr,
                    "%s [--list] [--stop] [--only NAME [--replay STRING]] [--preemptions N] [--stale N] [--seconds N] "
                    "[--seed N]\n",
                    argv[0]);
            return 2;
        }
    }
    model__prepare();
    for (size_t i = 0; i < count && !(stop && failed != 0); i++) {
        if (only != NULL && strcmp(only, scenarios[i].name) != 0)
            continue;
        if (replay != NULL) {
            model__set_replay(replay);
            model__replay(&scenarios[i]);
            failed += model.failure != NULL;
            continue;
        }
        if (model__search(&scenarios[i]))
            passed++;
        else
            failed++;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0 || (passed == 0 && replay == NULL);
}

/* ---- what -fsanitize=thread calls, under the names it uses ---- */

#if MODEL__INSTRUMENTED
/* The site of an instrumented access: its address, for addr2line. */
MODEL__ENGINE static const model__site *
model__site_of(const void *caller, bool write)
{
    static struct {
        model__site site;
        const void *caller;
        bool write;
        char file[32];
    } sites[4096];
    unsigned i = (unsigned)((uintptr_t)caller * 31 + write) % 4096;
    for (; sites[i].caller != NULL; i = (i + 1) % 4096)
        if (sites[i].caller == caller && sites[i].write == write)
            return &sites[i].site;
    sites[i].caller = caller;
    sites[i].write = write;
    (void)snprintf(sites[i].file, sizeof sites[i].file, "addr2line %p", caller);
    sites[i].site = (model__site){write ? "write" : "read", "plain data", sites[i].file, 0};
    return &sites[i].site;
}

MODEL__ENGINE static void
model__instrumented(const void *p, size_t size, bool write, const void *caller)
{
    if (model.scenario == NULL)
        return;
    const model__site *site = model__site_of(caller, write);
    model__check_address(site, (uintptr_t)p, write);
    model__plain(site, (uintptr_t)p, size, write);
}

#define MODEL__NAMED(name) __asm__("__tsan_" name)
void model__tsan_init(void) MODEL__NAMED("init");
void model__tsan_entry(const void *caller) MODEL__NAMED("func_entry");
void model__tsan_exit(void) MODEL__NAMED("func_exit");
MODEL__ENGINE void
model__tsan_init(void)
{
}
MODEL__ENGINE void
model__tsan_entry(const void *caller)
{
    (void)caller;
}
MODEL__ENGINE void
model__tsan_exit(void)
{
}

#define MODEL__TSAN(kind, bytes, write)                                                                                \
    void model__tsan_##kind##bytes(const void *p) MODEL__NAMED(#kind #bytes);                                          \
    MODEL__ENGINE void model__tsan_##kind##bytes(const void *p)                                                        \
    {                                                                                                                  \
        model__instrumented(p, bytes, write, __builtin_return_address(0));                                             \
    }
#define MODEL__TSAN_RANGE(kind, write)                                                                                 \
    void model__tsan_##kind(const void *p, size_t size) MODEL__NAMED(#kind);                                           \
    MODEL__ENGINE void model__tsan_##kind(const void *p, size_t size)                                                  \
    {                                                                                                                  \
        model__instrumented(p, size, write, __builtin_return_address(0));                                              \
    }
MODEL__TSAN(read, 1, false)
MODEL__TSAN(read, 2, false)
MODEL__TSAN(read, 4, false)
MODEL__TSAN(read, 8, false)
MODEL__TSAN(read, 16, false)
MODEL__TSAN(write, 1, true)
MODEL__TSAN(write, 2, true)
MODEL__TSAN(write, 4, true)
MODEL__TSAN(write, 8, true)
MODEL__TSAN(write, 16, true)
MODEL__TSAN_RANGE(read_range, false)
MODEL__TSAN_RANGE(write_range, true)
#endif

#endif
