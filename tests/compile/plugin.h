/* tests/compile/plugin.h - what the plugin offers to plugin_host.c, which looks it up by name.
 * SPDX-License-Identifier: MIT */
#ifndef PLUGIN_H
#define PLUGIN_H

typedef struct plugin_api {
    /* Tasks of the plugin on whatever pool; each returns owned. */
    cf_future *(*submit_twice)(cf_executor *executor, long n);
    cf_future *(*submit_failing)(cf_executor *executor, int code);
    cf_future *(*submit_until_stopped)(cf_executor *executor, unsigned *started);
    cf_future *(*submit_nested)(cf_executor *executor, long n);
    /* One of these tasks, for the host to hand on. */
    const cf_task_type *(*type_of_twice)(void);
    cf_err (*map_twice)(cf_executor *executor, size_t count, long *results, const long *numbers);
    /* Plain functions of the plugin, for the host's tasks to call. */
    bool (*fail)(int code);
    cf_err (*wait)(cf_future *future);
    long (*sum_as_completed)(cf_future *const *futures, size_t count);
    void (*put_numbers)(cf_queue *queue, int count);
    /* A pool of the plugin's. */
    cf_executor *(*make_pool)(void);
} plugin_api;

#ifdef __cplusplus
extern "C"
#endif
    /* The one symbol that the plugin exports for the host. */
    __attribute__((visibility("default"))) const plugin_api *
    plugin_get_api(void);

#endif
