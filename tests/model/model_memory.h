/* tests/model/model_memory.h - the memory of the model: stale reads, races, freed blocks, popped frames.
 * SPDX-License-Identifier: MIT
 * Included by: model_engine.h.
 *
 * TWO KINDS  A word that an atomic operation has touched is a *location*, with the list of its stores.  Plain data is
 *   *cells* of eight bytes, which remember by clock who wrote and who read each byte last.  An operation on a location is
 *   checked against plain accesses to the same bytes, and the other way round.
 * REAL MEMORY always holds the newest store, so that the library's plain code finds what it expects.  If a location
 *   holds something else than its newest store, it was written plainly: that becomes a store which all must read.
 * LIFE  A freed block is filled with MODEL__FREED, and its memory isn't used again before the execution ends.  A location
 *   on a stack lives until its owner is seen with a frame above it; after that only the owner may touch the place
 *   again, as another variable.  What others did with it must be ordered before its end. */
#ifndef CFUTURES_TESTS_MODEL_MEMORY_H
#define CFUTURES_TESTS_MODEL_MEMORY_H

/* ---- memory: blocks, stacks, locations ---- */

MODEL__SMALL static uint32_t
model__hash_of(uintptr_t address, uint32_t size)
{
    return (uint32_t)((address * UINT64_C(0x9E3779B97F4A7C15)) >> 40) & (size - 1);
}

MODEL__SMALL static model__block *
model__block_at(uintptr_t address)
{
    uintptr_t offset = address - (uintptr_t)model.heap;
    if (offset >= MODEL__HEAP)
        return NULL;
    if (offset >= model.heap_used || model.block_of[offset / 16] == 0)
        model__fail("use after free", "access outside of any block, at heap + %zu", (size_t)offset);
    return &model.block[model.block_of[offset / 16] - 1];
}

/* Whose stack `address` is on; -1: no one's. */
MODEL__SMALL static int
model__stack_of(uintptr_t address)
{
    uintptr_t offset = address - (uintptr_t)model.stacks;
    return offset < MODEL__COROUTINES * MODEL__STACK ? (int)(offset / MODEL__STACK) : -1;
}

MODEL__ENGINE static void
model__check_address(const model__site *site, uintptr_t address, bool write)
{
    const model__block *block = model__block_at(address);
    int stack = model__stack_of(address);
    if (block != NULL) {
        bool gone = block->freed || (block->unmapped >> model.current->process & 1) != 0;
        if (gone || address >= block->start + block->size)
            model__fail("use after free", "%s touches %s, byte %zu of %s block of %zu allocated at %s:%d (%s:%d)",
                        model.current->name, site->expression, (size_t)(address - block->start), gone ? "a freed" : "a",
                        block->size, model__base(block->site->file), block->site->line, model__base(site->file),
                        site->line);
        if (write && !block->shared && !block->guard && block->process != model.current->process)
            model__fail("private memory", "%s writes %s in the private memory of another process (%s:%d)",
                        model.current->name, site->expression, model__base(site->file), site->line);
    } else if (stack >= 0 && (unsigned)stack != model.current->number) {
        if ((unsigned)stack >= model.coroutines || model.coroutine[stack].state >= MODEL__FINISHED)
            model__fail("use after free", "%s touches %s on the stack of one that has ended (%s:%d)",
                        model.current->name, site->expression, model__base(site->file), site->line);
        if (model.coroutine[stack].process != model.current->process)
            model__fail("private memory", "%s touches %s on the stack of another process (%s:%d)", model.current->name,
                        site->expression, model__base(site->file), site->line);
    }
}

/* What happened to `location` by others is ordered before now, when its memory ends. */
MODEL__SMALL static void
model__check_end_of_life(const model__site *site, const model__location *location)
{
    const model__block *block = model__block_at(location->address);
    bool shared = block != NULL && block->shared; /* then it ends for one process */
    for (unsigned i = 0; i < model.coroutines; i++)
        if ((!shared || model.coroutine[i].process == model.current->process) &&
            (!model__knows(i, location->read[i]) || !model__knows(i, location->written[i])))
            model__fail("race", "memory ends (%s %s, %s:%d) with %s's access to %s not ordered before it",
                        site->operation, site->expression, model__base(site->file), site->line, model.coroutine[i].name,
                        location->name);
}

/* Locations in frames that have returned can be touched by nobody else any more. */
MODEL__SMALL static inline void
model__pop_frames(const model__site *site, uintptr_t frame)
{
    model__coroutine *self = model.current;
    for (unsigned i = 0; i < self->on_stack_count;) {
        model__location *location = &model.location[self->on_stack[i]];
        if (location->address >= frame) {
            i++;
            continue;
        }
        model__check_end_of_life(site, location);
        location->popped = true;
        self->on_stack[i] = self->on_stack[--self->on_stack_count];
    }
}

MODEL__ENGINE static model__store_record *
model__append(model__location *location, uint64_t value, const model__knowledge *message)
{
    model__limit(model.stores == MODEL__STORES, "stores");
    model__store_record *record = &model.store[model.stores++];
    record->value = value;
    record->message = message;
    record->previous = location->newest;
    record->sequential = 0;
    record->time = location->newest != NULL ? (uint16_t)(location->newest->time + 1) : 0;
    location->newest = record;
    return record;
}

MODEL__SMALL static uint64_t
model__memory_get(const volatile void *p, size_t size)
{
    switch (size) {
    case 1:
        return *(const volatile uint8_t *)p;
    case 2:
        return *(const volatile uint16_t *)p;
    case 4:
        return *(const volatile uint32_t *)p;
    default:
        return *(const volatile uint64_t *)p;
    }
}

MODEL__SMALL static void
model__memory_set(const volatile void *p, size_t size, uint64_t value)
{
    switch (size) {
    case 1:
        *(volatile uint8_t *)(uintptr_t)p = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)(uintptr_t)p = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)(uintptr_t)p = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)(uintptr_t)p = value;
    }
}

/* The location at `address`, or NULL. */
MODEL__SMALL static model__location *
model__location_find(uintptr_t address)
{
    uint32_t size = sizeof model.location_hash / sizeof model.location_hash[0];
    for (uint32_t i = model__hash_of(address, size);; i = (i + 1) & (size - 1)) {
        if (model.location_hash[i].execution != model.execution)
            return NULL;
        if (model.location[model.location_hash[i].index].address == address)
            return &model.location[model.location_hash[i].index];
    }
}

MODEL__SMALL static void
model__location_on_stack(model__location *location)
{
    if (location->stack < 0)
        return;
    model__coroutine *owner = &model.coroutine[location->stack];
    model__limit(owner->on_stack_count == 64, "locations on a stack");
    owner->on_stack[owner->on_stack_count++] = location->index;
}

MODEL__ENGINE static model__location *
model__location_new(const model__site *site, const volatile void *p, size_t size)
{
    uint32_t hash_size = sizeof model.location_hash / sizeof model.location_hash[0];
    uint32_t i = model__hash_of((uintptr_t)p, hash_size);
    while (model.location_hash[i].execution == model.execution)
        i = (i + 1) & (hash_size - 1);
    model__limit(model.locations == MODEL__LOCATIONS, "locations");
    model.location_hash[i].execution = model.execution;
    model.location_hash[i].index = model.locations;
    model__location *location = &model.location[model.locations];
    memset(location, 0, sizeof *location);
    location->index = (uint16_t)model.locations++;
    location->address = (uintptr_t)p;
    location->size = size;
    location->name = site->expression;
    location->stack = model__stack_of((uintptr_t)p);
    model__location_on_stack(location);
    (void)model__append(location, model__memory_get(p, size), NULL);
    return location;
}

/* The owner of a stack uses the place of a variable whose frame has returned for another. */
MODEL__SMALL static void
model__revive(const model__site *site, model__location *location)
{
    location->popped = false;
    location->name = site->expression;
    memset(location->read, 0, sizeof location->read);
    memset(location->written, 0, sizeof location->written);
    model__location_on_stack(location);
    const void *place = (const void *)location->address;
    location->floor = model__append(location, model__memory_get(place, location->size), NULL)->time;
}

/* The location of `p`, as it is now. */
MODEL__ENGINE static model__location *
model__location_at(const model__site *site, const volatile void *p, size_t size, bool write)
{
    model__location *location = model__location_find((uintptr_t)p);
    if (location == NULL)
        location = model__location_new(site, p, size);
    if (location->size < size || (location->size > size && write))
        model__fail("limit", "%s has %zu bytes here and had %zu before (%s:%d)", site->expression, size, location->size,
                    model__base(site->file), site->line);
    size = location->size; /* a look at half a word: the low one */
    if (location->popped) {
        if ((unsigned)location->stack != model.current->number)
            model__fail("use after free", "%s touches %s (%s) in a frame that has returned (%s:%d)",
                        model.current->name, site->expression, location->name, model__base(site->file), site->line);
        model__revive(site, location);
    }
    /* Written plainly since: visible to all. */
    if (location->newest->value != model__memory_get(p, size))
        location->floor = model__append(location, model__memory_get(p, size), NULL)->time;
    return location;
}

/* ---- plain data ---- */

MODEL__SMALL static model__cell *
model__cell_at(uintptr_t granule, bool make)
{
    uint32_t size = sizeof model.cell_hash / sizeof model.cell_hash[0];
    uint32_t i = model__hash_of(granule, size);
    for (; model.cell_hash[i].execution == model.execution; i = (i + 1) & (size - 1))
        if (model.cell[model.cell_hash[i].index].address == granule)
            return &model.cell[model.cell_hash[i].index];
    if (!make)
        return NULL;
    model__limit(model.cells == MODEL__CELLS, "cells of plain data");
    model.cell_hash[i].execution = model.execution;
    model.cell_hash[i].index = model.cells;
    model__cell *cell = &model.cell[model.cells++];
    memset(cell, 0, sizeof *cell);
    cell->address = granule;
    return cell;
}

MODEL__SMALL static void
model__race(const model__site *site, bool write, unsigned other, bool other_wrote, const model__site *other_site)
{
    model__fail("race", "%s %s %s (%s:%d), not ordered after %s %s it (%s:%d)", model.current->name,
                write ? "writes" : "reads", site->expression, model__base(site->file), site->line,
                model.coroutine[other].name, other_wrote ? "wrote" : "read",
                other_site != NULL ? model__base(other_site->file) : "?", other_site != NULL ? other_site->line : 0);
}

/* Bytes [from, to) of a cell: are they ordered after all earlier accesses that conflict? */
MODEL__SMALL static void
model__cell_check(const model__site *site, const model__cell *cell, unsigned from, unsigned to, bool write)
{
    for (unsigned byte = from; byte < to; byte++)
        if (cell->write_clock[byte] != 0 && !model__knows(cell->writer[byte], cell->write_clock[byte]))
            model__race(site, write, cell->writer[byte], true, cell->write_site);
    for (unsigned readers = write ? cell->readers : 0; readers != 0; readers &= readers - 1) {
        unsigned reader = (unsigned)__builtin_ctz(readers);
        for (unsigned byte = from; byte < to; byte++)
            if (cell->read_clock[reader][byte] != 0 && !model__knows(reader, cell->read_clock[reader][byte]))
                model__race(site, true, reader, false, cell->read_site);
    }
}

/* A plain access to [address, address + size): checked against plain ones, and against operations on locations there. */
MODEL__ENGINE static void
model__plain(const model__site *site, uintptr_t address, size_t size, bool write)
{
    unsigned self = model.current->number;
    uint16_t clock = model.current->knowledge.clock[self];
    for (unsigned i = 0; i < model.local_count; i++)
        if (address - (uintptr_t)model.locals[i].object < model.locals[i].size)
            return; /* each coroutine has its own */
    for (uintptr_t at = address; at < address + size; at = (at & ~(uintptr_t)7) + 8) {
        unsigned from = at & 7, to = (unsigned)CF__MIN((uintptr_t)8, address + size - (at & ~(uintptr_t)7));
        model__cell *cell = model__cell_at(at & ~(uintptr_t)7, true);
        model__cell_check(site, cell, from, to, write);
        for (unsigned byte = from; byte < to; byte++) {
            if (write) {
                cell->writer[byte] = (uint8_t)self;
                cell->write_clock[byte] = clock;
            } else {
                cell->read_clock[self][byte] = clock;
            }
        }
        if (write)
            cell->write_site = site;
        else {
            cell->read_site = site;
            cell->readers |= (uint16_t)(1u << self);
        }
        for (unsigned byte = from & ~3u; byte < to; byte += 4) {
            model__location *location = model__location_find((at & ~(uintptr_t)7) + byte);
            if (location != NULL && location->popped && write && location->stack == (int)self)
                model__revive(site, location);
            if (location == NULL || location->popped)
                continue;
            for (unsigned i = 0; i < model.coroutines; i++)
                if (!model__knows(i, location->written[i]) || (write && !model__knows(i, location->read[i])))
                    model__fail("race", "%s %s %s plainly (%s:%d), not ordered after %s's operation on it",
                                model.current->name, write ? "writes" : "reads", location->name,
                                model__base(site->file), site->line, model.coroutine[i].name);
        }
    }
}

/* An operation on a location: checked against plain accesses. */
MODEL__SMALL static inline void
model__touch(const model__site *site, model__location *location, bool write)
{
    unsigned self = model.current->number;
    const model__cell *cell = model__cell_at(location->address & ~(uintptr_t)7, false);
    if (cell != NULL) {
        unsigned from = location->address & 7;
        model__cell_check(site, cell, from, from + (unsigned)location->size, write);
    }
    (write ? location->written : location->read)[self] = model.current->knowledge.clock[self];
}

MODEL__ENGINE static void
model__data(const model__site *site, const volatile void *p, size_t size, bool write)
{
    model__may_die(site);
    model__pop_frames(site, (uintptr_t)__builtin_frame_address(0));
    model__check_address(site, (uintptr_t)p, write);
    MODEL__TRACE(site, "%zu bytes", size);
    model__plain(site, (uintptr_t)p, size, write);
}

/* ---- operations on words ---- */

MODEL__SMALL static inline void
model__step(const model__site *site)
{
    model.points++;
    if (++model.steps > (model.scenario->steps > 0 ? model.scenario->steps : 2000))
        model__fail("livelock", "still running after %d operations, the last by %s at %s:%d", model.steps,
                    model.current->name, model__base(site->file), site->line);
}

/* The point before an operation on `p`, and the checks on it. */
MODEL__SMALL static inline __attribute__((always_inline)) void
model__enter(const model__site *site, const volatile void *p, bool write)
{
    model__step(site);
    model__pop_frames(site, (uintptr_t)__builtin_frame_address(0));
    model__may_die(site);
    model__schedule(MODEL__POINT);
    if (model.signals != 0)
        model__take_signals(site, false);
    if (p != NULL)
        model__check_address(site, (uintptr_t)p, write);
}

/* Chooses the store that a load reads; never an older one with the value `never`, if that isn't NULL. */
MODEL__SMALL static model__store_record *
model__choose_store(const model__location *location, model__order order, const uint64_t *never)
{
    model__store_record *readable[1 + MODEL__OLDER] = {location->newest};
    unsigned count = 1;
    if (model.stale_reads <= 0)
        return location->newest;
    const model__knowledge *mine = &model.current->knowledge;
    uint16_t oldest = model__later(model__oldest(mine, location->index), location->floor);
    for (model__store_record *s = location->newest; s->time > oldest && count <= MODEL__OLDER;) {
        /* A seq_cst load comes after the seq_cst operations that happen before it; it needn't come after others that
         * have been executed, as a store of its own thread may still be on its way. */
        if (order == MODEL__SEQ_CST && s->sequential != 0 && s->sequential <= mine->sequential)
            break;
        s = s->previous;
        if (never == NULL || s->value != *never)
            readable[count++] = s;
    }
    unsigned chosen = model__choose(count, MODEL__RARE);
    if (chosen > 0)
        model.stale_reads--;
    return readable[chosen];
}

/* A seq_cst operation on `record` takes its place in the order of all of them: now, or, if it reads a stale one, right
 * after the last that happens before it. */
MODEL__SMALL static void
model__sequence(model__store_record *record, bool now)
{
    model__knowledge *mine = &model.current->knowledge;
    if (now)
        mine->sequential = ++model.sequential;
    if (record->sequential == 0)
        record->sequential = mine->sequential;
}

MODEL__SMALL static void
model__read_from(const model__location *location, model__store_record *record, model__order order)
{
    model__knowledge *mine = &model.current->knowledge;
    model__know_store(mine, location->index, record->time);
    if (order & MODEL__ACQUIRE && record->message != NULL)
        model__learn(mine, record->message);
    if (order == MODEL__SEQ_CST)
        model__sequence(record, record == location->newest);
}

/* Writes `value`; `before` is the store that a read-modify-write read, or NULL. */
MODEL__SMALL static void
model__write(const volatile void *p, model__location *location, uint64_t value, model__order order,
             const model__store_record *before)
{
    model__store_record *record = model__append(location, value, before != NULL ? before->message : NULL);
    model__knowledge *mine = &model.current->knowledge;
    model__know_store(mine, location->index, record->time);
    if (order == MODEL__SEQ_CST)
        model__sequence(record, true);
    if (order & MODEL__RELEASE) {
        model__limit(model.messages == MODEL__STORES, "messages");
        model__knowledge *message = &model.message[model.messages++];
        model__know_copy(message, mine);
        if (record->message != NULL)
            model__learn(message, record->message); /* the release sequence goes on */
        record->message = message;
        model__told();
    }
    model__memory_set(p, location->size, value);
    model__written();
}

MODEL__SMALL static bool
model__is_foreign_guard(const volatile void *p)
{
    const model__block *block = model__block_at((uintptr_t)p);
    return block != NULL && block->guard && block->process != model.current->process;
}

MODEL__SMALL static inline uint64_t
model__mask(uint64_t value, size_t size)
{
    return size < 8 ? value & ((UINT64_C(1) << (8 * size)) - 1) : value;
}

MODEL__ENGINE static uint64_t
model__load(const model__site *site, const volatile void *p, size_t size, model__order order)
{
    model__enter(site, p, false);
    if (model__is_foreign_guard(p))
        return 0;
    model__location *location = model__location_at(site, p, size, false);
    model__touch(site, location, false);
    model__store_record *record = model__choose_store(location, order, NULL);
    model__read_from(location, record, order);
    MODEL__TRACE(site, "-> %llx%s", (unsigned long long)record->value, record != location->newest ? " (stale)" : "");
    return model__mask(record->value, size);
}

MODEL__ENGINE static void
model__store(const model__site *site, volatile void *p, size_t size, uint64_t value, model__order order)
{
    model__enter(site, p, true);
    model__location *location = model__location_at(site, p, size, true);
    model__touch(site, location, true);
    MODEL__TRACE(site, "= %llx", (unsigned long long)model__mask(value, size));
    model__write(p, location, model__mask(value, size), order, NULL);
}

typedef enum model__change_kind {
    MODEL__CHANGE_exchange,
    MODEL__CHANGE_fetch_add,
    MODEL__CHANGE_fetch_sub,
    MODEL__CHANGE_fetch_or,
    MODEL__CHANGE_fetch_and
} model__change_kind;

MODEL__ENGINE static uint64_t
model__change(const model__site *site, volatile void *p, size_t size, model__change_kind kind, uint64_t operand,
              model__order order)
{
    model__enter(site, p, true);
    model__location *location = model__location_at(site, p, size, true);
    model__touch(site, location, true);
    model__store_record *before = location->newest;
    uint64_t value = kind == MODEL__CHANGE_exchange    ? operand
                     : kind == MODEL__CHANGE_fetch_add ? before->value + operand
                     : kind == MODEL__CHANGE_fetch_sub ? before->value - operand
                     : kind == MODEL__CHANGE_fetch_or  ? (before->value | operand)
                                                       : (before->value & operand);
    value = model__mask(value, size);
    MODEL__TRACE(site, "%llx -> %llx", (unsigned long long)before->value, (unsigned long long)value);
    model__read_from(location, before, order);
    model__write(p, location, value, order, before);
    return before->value;
}

MODEL__ENGINE static bool
model__cas(const model__site *site, volatile void *p, size_t size, void *expected, uint64_t value, model__order order,
           model__order failed)
{
    model__enter(site, p, true);
    model__location *location = model__location_at(site, p, size, true);
    uint64_t wanted = model__memory_get(expected, size);
    /* What an unsuccessful one finds may be stale, too. */
    model__store_record *record = model__choose_store(location, failed, &wanted);
    bool success = record->value == wanted;
    value = model__mask(value, size);
    model__touch(site, location, success);
    MODEL__TRACE(site, "%llx -> %llx%s", (unsigned long long)record->value, (unsigned long long)value,
                 success ? "" : " failed");
    model__read_from(location, record, success ? order : failed);
    if (success)
        model__write(p, location, value, order, record);
    else
        model__memory_set(expected, size, record->value);
    return success;
}

/* ---- the heap ---- */

MODEL__ENGINE static void *
model__alloc(const model__site *site, size_t size, bool shared)
{
    size_t align = shared ? 4096 : 16;
    model__may_die(site);
    if (model__happens(&model.faults)) {
        MODEL__TRACE(site, "fails");
        return NULL;
    }
    size_t start = CF__ROUND_UP(model.heap_used, align);
    size_t end = CF__ROUND_UP(start + size + MODEL__REDZONE, (size_t)16);
    model__limit(size > MODEL__HEAP || end > MODEL__HEAP, "heap");
    model__limit(model.blocks == MODEL__BLOCKS, "blocks");
    model__block *block = &model.block[model.blocks++];
    memset(block, 0, sizeof *block);
    block->start = (uintptr_t)model.heap + start;
    block->size = size;
    block->process = model.current->process;
    block->shared = shared;
    block->site = site;
    memset(model.block_of + model.heap_used / 16, 0, (start - model.heap_used) / 16 * sizeof model.block_of[0]);
    for (size_t i = start / 16; i < end / 16; i++)
        model.block_of[i] = (uint16_t)model.blocks;
    model.heap_used = end;
    memset((void *)block->start, shared ? 0 : 0xA5, size);
    MODEL__TRACE(site, "block %u, %zu bytes", model.blocks, size);
    return (void *)block->start;
}

MODEL__ENGINE static void *
model__map_private(const model__site *site, size_t size)
{
    void *p = model__alloc(site, size, false);
    return p != NULL ? memset(p, 0, size) : NULL;
}

MODEL__ENGINE static void
model__free(const model__site *site, const void *p)
{
    if (p == NULL)
        return;
    model__pop_frames(site, (uintptr_t)__builtin_frame_address(0));
    model__may_die(site);
    model__block *block = model__block_at((uintptr_t)p);
    if (block == NULL || block->start != (uintptr_t)p)
        model__fail("use after free", "%s frees %s, which wasn't allocated (%s:%d)", model.current->name,
                    site->expression, model__base(site->file), site->line);
    model__check_address(site, block->start, true);
    MODEL__TRACE(site, "block %d", (int)(block - model.block) + 1);
    for (unsigned i = 0; i < model.cells && !block->shared; i++)
        if (model.cell[i].address + 8 > block->start && model.cell[i].address < block->start + block->size)
            model__cell_check(site, &model.cell[i], 0, 8, true);
    for (unsigned i = 0; i < model.locations; i++)
        if (model.location[i].address - block->start < block->size)
            model__check_end_of_life(site, &model.location[i]);
    if (block->shared) {
        block->unmapped |= UINT32_C(1) << model.current->process;
        return;
    }
    block->freed = true;
    memset((void *)block->start, MODEL__FREED, block->size);
}

MODEL__ENGINE static void
model__discard(const model__site *site, void *p, size_t size)
{
    uintptr_t first = CF__ROUND_UP((uintptr_t)p, 4096u), end = ((uintptr_t)p + size) / 4096u * 4096u;
    model__check_address(site, (uintptr_t)p, true);
    if (end > first)
        memset((void *)first, 0, end - first);
}

MODEL__ENGINE static uint32_t *
model__fork_guard_new(const model__site *site)
{
    uint32_t *guard = model__alloc(site, sizeof *guard, false);
    if (guard != NULL) {
        *guard = 1;
        model.block[model.blocks - 1].guard = true;
    }
    return guard;
}

MODEL__ENGINE static void *
model__memcpy(const model__site *site, void *to, const void *from, size_t size)
{
    if (size != 0) {
        model__check_address(site, (uintptr_t)from, false);
        model__check_address(site, (uintptr_t)to, true);
        model__plain(site, (uintptr_t)from, size, false);
        model__plain(site, (uintptr_t)to, size, true);
    }
    return memcpy(to, from, size);
}

MODEL__ENGINE static void *
model__memset(const model__site *site, void *to, int byte, size_t size)
{
    if (size != 0) {
        model__check_address(site, (uintptr_t)to, true);
        model__plain(site, (uintptr_t)to, size, true);
    }
    return memset(to, byte, size);
}

#endif
