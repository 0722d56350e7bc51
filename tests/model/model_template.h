/* tests/model/model_template.h - the process pool's own template and workers, as processes of the model.
 * SPDX-License-Identifier: MIT
 * Includes: model.h, the library's worker.h, template.h.  Included by: model_limits.c, model_staff.c.
 *
 * A fork in the model needs the name of what the child does next (model_process.h), and the template's is the call of
 *   cf__worker_main(): so that is a macro while template.h is read. */
#ifndef CFUTURES_TESTS_MODEL_TEMPLATE_H
#define CFUTURES_TESTS_MODEL_TEMPLATE_H

#include "model.h"

#include "cfutures/detail/worker.h"

typedef struct worker_arguments {
    cf__process_setup setup; /* its copy, as of all the memory there is */
    int32_t template_process;
    uint32_t number;
} worker_arguments;

static void
worker_process(void *argument)
{
    worker_arguments *arguments = argument;
    cf__worker_main(&arguments->setup, arguments->template_process, arguments->number);
}

static void
fork_worker(const cf__process_setup *setup, int32_t template_process, uint32_t number)
{
    worker_arguments arguments = {*setup, template_process, number};
    model_fork_child("worker", worker_process, &arguments, sizeof arguments);
}

#define cf__worker_main(setup, template_process, number) fork_worker(setup, template_process, number)
#include "cfutures/detail/template.h"
#undef cf__worker_main

#endif
