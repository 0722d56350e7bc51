/* cfutures/detail/os_code.h - which code a process had at a certain time, as the dynamic loader tells.  Part of THE SEAM.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: os.h, atomic.h.  Included by: ../executor.h.
 *
 * WHY  The workers of a process pool are forks of the program as it was; a function that came later, with dlopen(),
 *   isn't there: to call it would be a crash, or worse, another function.  So a pool records the ranges of what is
 *   loaded when it is made, and a submit looks its function up: mostly in the range where the last one was.
 * WHAT IS IN NO OBJECT AT ALL  was made at run time, by a compiler in the program; nobody knows when, so it passes.
 * LIMIT  An object that is unloaded, and another that takes its place in memory, are not told apart. */
#ifndef CFUTURES_DETAIL_OS_CODE_H
#define CFUTURES_DETAIL_OS_CODE_H

#include "atomic.h"
#include "os.h"

typedef struct cf__code_range {
    uintptr_t begin, end;
} cf__code_range;

/* What was loaded at a certain time: fields: I immutable, A atomic */
typedef struct cf__code {
    cf__code_range *ranges; /* I: one for each object; cf__os_free() them at the end */
    uint32_t count;         /* I */
    uint32_t last;          /* A: the range that was asked for last */
} cf__code;

#if CF__BODIES

/* The beginning of struct dl_phdr_info, and Elf64_Phdr: <link.h> shows the former for _GNU_SOURCE only, and brings three
 * thousand macros. */
typedef struct cf__segment {
    uint32_t type, flags;
    uint64_t offset, address, physical, file_size, size, align;
} cf__segment;

typedef struct cf__object {
    uintptr_t base;
    const char *name;
    const cf__segment *segments;
    uint16_t segment_count;
} cf__object;

/* Under a name of our own, for <link.h> may have declared it with its types. */
CF__EXTERN int cf__dl_iterate_phdr(int (*visit)(const cf__object *, size_t, void *),
                                   void *argument) __asm__("dl_iterate_phdr");

/* From the first byte of an object to its last; empty if nothing of it is loaded.  All of it, not just what can be
 * executed: there are machines where a function's address is that of a descriptor among the data. */
CF__PRIVATE cf__code_range
cf__code_range_of(const cf__object *object)
{
    cf__code_range range = {UINTPTR_MAX, 0};
    for (uint16_t i = 0; i < object->segment_count; i++) {
        const cf__segment *segment = &object->segments[i];
        if (segment->type != 1 /* PT_LOAD */)
            continue;
        range.begin = CF__MIN(range.begin, object->base + segment->address);
        range.end = CF__MAX(range.end, object->base + segment->address + segment->size);
    }
    return range;
}

typedef struct cf__code_visit {
    cf__code *code;
    uint32_t room; /* in code->ranges; code->count may be larger afterwards */
    uintptr_t wanted;
    bool found; /* an object with `wanted` inside */
} cf__code_visit;

CF__PRIVATE int
cf__code_note(const cf__object *object, size_t size, void *argument)
{
    cf__code_visit *visit = CF__STATIC_CAST(cf__code_visit *, argument);
    (void)size;
    if (visit->code->count < visit->room)
        visit->code->ranges[visit->code->count] = cf__code_range_of(object);
    visit->code->count++;
    return 0;
}

CF__PRIVATE int
cf__code_look(const cf__object *object, size_t size, void *argument)
{
    cf__code_visit *visit = CF__STATIC_CAST(cf__code_visit *, argument);
    cf__code_range range = cf__code_range_of(object);
    (void)size;
    visit->found = visit->wanted >= range.begin && visit->wanted < range.end;
    return visit->found;
}

/* Records what is loaded now; false: no memory. */
CF__PRIVATE bool
cf__code_record(cf__code *code)
{
    cf__code_visit visit = {code, 16, 0, false};
    for (;;) {
        code->last = code->count = 0;
        code->ranges = CF__STATIC_CAST(cf__code_range *, cf__os_alloc(visit.room * sizeof *code->ranges));
        if (code->ranges == NULL)
            return false;
        (void)cf__dl_iterate_phdr(cf__code_note, &visit);
        if (code->count <= visit.room)
            return true;
        cf__os_free(code->ranges);
        visit.room = code->count + 16; /* some more: another thread may load while we allocate */
    }
}

CF__PRIVATE bool
cf__code_range_holds(const cf__code *code, uint32_t index, uintptr_t address)
{
    return address >= code->ranges[index].begin && address < code->ranges[index].end;
}

/* Whether the code at `address` isn't known to have been loaded after the record was made. */
CF__PRIVATE bool
cf__code_has(cf__code *code, uintptr_t address)
{
    /* relaxed, here and below: any index is a good one. */
    if (cf__code_range_holds(code, cf__load_relaxed(&code->last), address))
        return true;
    for (uint32_t i = 0; i < code->count; i++) {
        if (cf__code_range_holds(code, i, address)) {
            cf__store_relaxed(&code->last, i);
            return true;
        }
    }
    cf__code_visit visit = {code, 0, address, false};
    (void)cf__dl_iterate_phdr(cf__code_look, &visit);
    return !visit.found;
}

#endif /* CF__BODIES */

#endif
