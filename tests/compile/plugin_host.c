/* tests/compile/plugin_host.c PLUGIN shared|own - a program and its plugin, both with cfutures inside.
 * SPDX-License-Identifier: MIT
 * The plugin is loaded with RTLD_LOCAL.  Where the program exports its symbols (-rdynamic), both share one cf__current;
 * else the plugin has its `own`, and then one thing differs: a function of the plugin's that a task of the program's calls
 * is outside of any task, so cf_fail() there returns false, and a wait blocks plainly.  A task of the plugin's own knows
 * itself in either case, whose worker it may be on: its thunk is part of the plugin.
 * A process pool that was made before the plugin was loaded refuses the plugin's tasks. */
#include <cfutures.h>

#include <dlfcn.h>
#include <stdio.h>

#include "plugin.h"

static int
check(bool holds, const char *what)
{
    if (!holds)
        printf("plugin_host: %s\n", what);
    return !holds;
}

static int
host_fails(const plugin_api *plugin, int code)
{
    return plugin->fail(code) ? 1 : 0;
}
CF_TASK(int, host_fails, const plugin_api *, int);

static long
host_square(long n)
{
    return n * n;
}
CF_TASK(long, host_square, long);

/* Another worker has to do it, if the plugin's wait doesn't help. */
static cf_err
host_waits_there(const plugin_api *plugin, cf_future *future)
{
    return plugin->wait(future);
}
CF_TASK(cf_err, host_waits_there, const plugin_api *, cf_future *);

static void
host_puts(const plugin_api *plugin, cf_queue *queue, int count)
{
    plugin->put_numbers(queue, count);
}
CF_TASK_VOID(host_puts, const plugin_api *, cf_queue *, int);

static int
on_pool_of_the_host(const plugin_api *plugin, bool own)
{
    int failed = 0;
#ifdef __cplusplus
    cf_pool_opts one;
#else
    cf_pool_opts one = {0};
#endif
    one.max_workers = 1;
    cf_auto(cf_executor) pool = cf_thread_pool_with(&one);
    long value = 0;

    cf_auto(cf_future) task = plugin->submit_twice(pool, 21);
    failed +=
        check(cf_future_get(task, &value, sizeof value, CF_FOREVER) == CF_OK && value == 42, "a task of the plugin");

    cf_auto(cf_future) nested = plugin->submit_nested(pool, 4);
    failed += check(cf_future_get(nested, &value, sizeof value, CF_FOREVER) == CF_OK && value == 9,
                    "a task of the plugin that waits for another on the one worker");

    cf_auto(cf_future) failing = plugin->submit_failing(pool, 5);
    failed += check(cf_future_wait(failing, CF_FOREVER) == CF_ERR_FAILED && cf_future_code(failing) == 5 &&
                        strcmp(cf_future_message(failing), "the plugin says 5") == 0,
                    "cf_fail() in a task of the plugin");

    unsigned started = 0;
    bool first = false;
    cf_auto(cf_future) stopped = plugin->submit_until_stopped(pool, &started);
    while (cf__load_acquire(&started) == 0)
        cf__cpu_relax();
    failed += check(!cf_future_cancel(stopped), "what runs isn't cancelled");
    failed += check(cf_future_get(stopped, &first, sizeof first, CF_FOREVER) == CF_OK && first,
                    "cf_cancelled() in a task of the plugin");

    int said = -1;
    cf_auto(cf_future) ours = cf_submit(pool, host_fails, plugin, 6);
    cf_err ended = cf_result(ours, host_fails, &said, CF_FOREVER);
    failed += own ? check(ended == CF_OK && said == 0, "own: cf_fail() of the plugin in a task of the host is false")
                  : check(ended == CF_ERR_FAILED && cf_future_code(ours) == 6, "shared: it fails the task");
    return failed;
}

static int
between_both(const plugin_api *plugin)
{
    int failed = 0;
    cf_auto(cf_executor) pool = cf_thread_pool();
    cf_auto(cf_executor) theirs = plugin->make_pool();
    cf_future *futures[6];
    for (long i = 0; i < 6; i++)
        futures[i] = i % 2 ? cf_submit(theirs, host_square, i) : plugin->submit_twice(pool, i);
    failed +=
        check(plugin->sum_as_completed(futures, 6) == 1 + 9 + 25 + 4 + 8, "futures of both in one loop of the plugin");
    for (int i = 0; i < 6; i++)
        cf_future_release(futures[i]);

    cf_err waited = CF_ERR_TIMEOUT;
    cf_auto(cf_future) promise = cf_future_new(sizeof(int));
    cf_auto(cf_future) waits = cf_submit(pool, host_waits_there, plugin, promise);
    int seven = 7;
    failed += check(cf_future_set_result(promise, &seven, sizeof seven) == CF_OK, "a promise of the host");
    failed += check(cf_result(waits, host_waits_there, &waited, CF_FOREVER) == CF_OK && waited == CF_OK,
                    "a wait of the plugin in a task of the host");

    cf_queue queue;
    int item = 0, sum = 0;
    if (cf_queue_init(&queue, sizeof item, 1) != CF_OK)
        return failed + check(false, "a queue");
    cf_auto(cf_future) puts = cf_submit(theirs, host_puts, plugin, &queue, 100);
    while (cf_queue_get(&queue, &item) == CF_OK)
        sum += item;
    failed += check(sum == 5050 && cf_future_wait(puts, CF_FOREVER) == CF_OK, "the plugin puts, the host gets");
    cf_queue_destroy(&queue);
    return failed;
}

static cf_executor *
make_processes(void)
{
#ifdef __cplusplus
    cf_pool_opts two;
#else
    cf_pool_opts two = {0};
#endif
    two.max_workers = 2;
    return cf_process_pool_with(&two);
}

/* A pool of processes has what was loaded when it was made: `before` was, and the plugin came later. */
static int
on_processes(const plugin_api *plugin, cf_executor *before)
{
    int failed = 0;
    long value = 0, out[3], in[3] = {1, 2, 3}, five = 5;
    const void *arrays[1] = {in};
    if (cf_executor_error(before) == CF_ERR_UNSUPPORTED)
        return 0; /* compiled without futexes */

    cf_auto(cf_future) refused = plugin->submit_twice(before, 21);
    failed += check(cf_future_error(refused) == CF_ERR_UNSUPPORTED &&
                        strstr(cf_future_message(refused), "twice: was") == cf_future_message(refused),
                    "a task that was loaded after the pool was made");
    failed +=
        check(cf_spawn_bytes(before, plugin->type_of_twice(), &five, NULL) == CF_ERR_UNSUPPORTED, "the same, spawned");
    failed += check(plugin->map_twice(before, 3, out, in) == CF_ERR_UNSUPPORTED, "a map of the plugin's");
    failed += check(cf_map_bytes(before, plugin->type_of_twice(), 3, out, arrays, NULL) == CF_ERR_UNSUPPORTED,
                    "a map of the host's, of a task of the plugin's");
    cf_auto(cf_future) ours = cf_submit(before, host_square, five);
    failed += check(cf_result(ours, host_square, &value, CF_FOREVER) == CF_OK && value == 25, "a task of the host's");

    cf_auto(cf_executor) pool = make_processes();
    cf_auto(cf_future) task = plugin->submit_twice(pool, 21);
    failed += check(cf_future_get(task, &value, sizeof value, CF_FOREVER) == CF_OK && value == 42,
                    "a task of the plugin, which was loaded first");
    failed += check(plugin->map_twice(pool, 3, out, in) == CF_OK && out[2] == 6, "a map of it");
    return failed;
}

int
main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    cf_auto(cf_executor) before = make_processes();
    void *object = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) {
        printf("%s\n", dlerror());
        return 1;
    }
    const plugin_api *(*get)(void);
    void *symbol = dlsym(object, "plugin_get_api");
    memcpy(&get, &symbol, sizeof get); /* not a cast: ISO C has none from an object to a function */
    bool own = strcmp(argv[2], "own") == 0;
    int failed = on_pool_of_the_host(get(), own) + between_both(get()) + on_processes(get(), before);
    failed += check(dlclose(object) == 0, "dlclose");
    return failed != 0;
}
