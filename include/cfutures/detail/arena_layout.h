/* cfutures/detail/arena_layout.h - what lies where in the memory that a process pool's processes share.
 * SPDX-License-Identifier: MIT
 * LAYER 3.  Includes: slot.h, os_process.h.  Included by: arena_nested.h.
 *
 * The rules are told in arena.h, to whose labels the letters here belong; this is only the furniture: worker records, rings,
 *   slots.  Slots 0 to slot_count - 1 are the parent's.  Behind them each worker number has CF__NESTED_SLOTS of its own, for
 *   what its tasks submit (arena_nested.h): no list of free ones that a death could spoil, and none that a worker must ask
 *   another for.  Memory that nobody has touched costs nothing. */
#ifndef CFUTURES_DETAIL_ARENA_LAYOUT_H
#define CFUTURES_DETAIL_ARENA_LAYOUT_H

#include "os_process.h"
#include "slot.h"

#if CF__BODIES && CF__FUTEX

#define CF__MAX_WORKERS 1024 /* fits the owner's 12 bits; numbers start at 1, 0 is nobody */
#define CF__IDLE_WORDS (CF__MAX_WORKERS / 64)
#ifndef CF__NESTED_SLOTS     /* tests that want them to be full have fewer */
#define CF__NESTED_SLOTS 64u /* of each worker, at most as many: one word has their hints */
#endif

#define CF__ARENA_RUNS 0u   /* values of arena->stop */
#define CF__ARENA_DRAINS 1u /* workers end when they find no work */
#define CF__ARENA_KILLS 2u  /* the template kills them */

typedef struct cf__ring { /* of hints, see cf__slot_hint(); fields: A atomic */
    uint64_t head;        /* A: next to take; any consumer, by CAS; the producer, to begin anew */
    unsigned char pad1[CF__CACHE_LINE - 8];
    uint64_t tail; /* A: next to fill; the producer */
    unsigned char pad2[CF__CACHE_LINE - 8];
} cf__ring;

typedef struct cf__worker_record { /* of worker number index + 1; fields: A atomic, T by the template */
    uint32_t intent;      /* A: the slot it is about to claim, or runs, + 1; 0: none.  Worker; the reaper clears it */
    uint32_t park;        /* A: 0: sleep here; 1: don't.  Worker, wakers */
    uint32_t started;     /* A: on_start went well; worker, read by the template */
    int32_t process;      /* A: process id; the template */
    uint32_t cpu;         /* A: where it ran last, + 1; the worker */
    int32_t condemned;    /* A: the process that the parent wants to have killed; 0: none */
    uint32_t stop_signal; /* A: what the task wants to be sent before it's killed; 0: nothing */
    uint32_t signaled;    /* A: 1: it has been sent; the template, until the worker has taken note */
    uint32_t overwritten; /* A: 1: its task's arguments are, by its message: it can't be tried again; the worker */
    int64_t due;          /* A: when to look at its task; CF__NEVER: needn't; 0: never said, the same */
    int64_t started_at;   /* A: when its task started, and what its CPU clock said then, or up to a ms before */
    int64_t cpu_before;   /* A */
    int64_t noted;        /* A: when the task has noted progress; 0: never */
    int64_t shield_end;   /* A: when its task may be killed all the same */
    uint64_t children;    /* A: bit i: its nested slot i may be pending (arena_nested.h); any worker, the template */
    uint32_t has_nested;  /* A: 1: one with this number has used its nested slots; the worker */
    uint32_t staffed;     /* A: 1: there is a worker with this number; the template */
    uint32_t mute;        /* A: 1: it may not send signals to the template; the worker */
    /* What it leaves behind when it dies; the worker, read by the template then. */
    char note[CF_NOTE_SIZE]; /* the last of its task */
    uint32_t fault_known;    /* postmortem.h, as the rest: see cf_account */
    uint32_t frame_count;
    uint64_t fault_address;
    uint64_t frames[CF_FRAMES_MOST];
    char message[CF__MESSAGE_SIZE]; /* why on_start failed */
} __attribute__((aligned(CF__CACHE_LINE))) cf__worker_record;

typedef struct cf__arena {         /* in shared memory; fields: A atomic */
    uint64_t idle[CF__IDLE_WORDS]; /* A: bit i: worker i + 1 sleeps, or is about to */
    uint64_t lent[CF__IDLE_WORDS]; /* A: bit i: worker i + 1 waits for a child (arena_nested.h) */
    uint64_t nested;               /* A: bit i: workers i + 1, i + 65 ... may have pending children */
    uint32_t waking;               /* A: number of a worker that is about to look for work; 0: none */
    uint32_t stop;                 /* A: CF__ARENA_RUNS ... */
    uint32_t wanted;               /* A: how many workers there should be */
    uint32_t least, most;          /* A: between which that moves by itself */
    uint32_t high;                 /* A: the highest number that a worker has ever had; the template, before it forks */
    unsigned char pad1[CF__CACHE_LINE - 32];
    uint32_t pressure;   /* A: odd: somebody in the parent waits for any slot to settle ([A3] in arena.h) */
    uint32_t collector;  /* A: 1: the parent's collector thread sleeps here */
    uint32_t parent_cpu; /* A: where a thread of the parent waited last, + 1: a guess at where not to spin */
    unsigned char pad2[CF__CACHE_LINE - 12];
    uint32_t life;                 /* A: the template's thread id while it lives; the kernel marks it when it dies */
    uint32_t ready;                /* A: 0: starting; 1: there is a worker; the parent waits for it */
    int32_t template_process;      /* written by the helper that forks it */
    int32_t template_error;        /* likewise; later why the template gave up: an errno, or 0 */
    char broken[CF__MESSAGE_SIZE]; /* why the template gave up; empty: it didn't */
    int64_t next_look;             /* A: the template sleeps no longer, if nothing happens */
    unsigned char pad3[CF__CACHE_LINE - (24 + CF__MESSAGE_SIZE) % CF__CACHE_LINE];
    cf__ring parent_ring, template_ring;
} cf__arena;

/* How one process reaches into the arena: addresses and bounds in its private memory, so that what a worker writes
 * into the arena can't lead anybody out of it. */
typedef struct cf__arena_view {
    cf__arena *arena;
    cf__worker_record *workers;
    uint64_t *completed;                     /* A: bit i: slot i was marked for the collector */
    uint64_t *parent_hints, *template_hints; /* the rings' cells */
    cf__slot *slots;
    uint32_t worker_count, slot_count; /* how many records there are: not all need have a worker; the parent's slots */
    uint32_t slot_total;               /* with the nested ones */
    uint64_t ring_mask;                /* cells in a ring - 1: at least twice the slots, a power of two */
    int template_pidfd;                /* by which the parent pokes it; -1 elsewhere */
    int32_t template_process;          /* by which its workers do, who die with it; its own 0 */
} cf__arena_view;

CF__PRIVATE uint64_t
cf__arena_ring_size(uint32_t slot_count)
{
    uint64_t size = 2;
    while (size < 2 * CF__STATIC_CAST(uint64_t, slot_count))
        size *= 2;
    return size;
}

/* From now on there are to be `wanted` workers, and by themselves between `least` and `most`. */
CF__PRIVATE void
cf__arena_want(const cf__arena_view *view, uint32_t wanted, uint32_t least, uint32_t most)
{
    /* relaxed, both: a move by the old ones, at the same time, is as if it had come before. */
    cf__store_relaxed(&view->arena->least, least);
    cf__store_relaxed(&view->arena->most, most);
    cf__store_seq_cst(&view->arena->wanted,
                      wanted); /* seq_cst: before the wakes that follow, see cf__arena_wake_all() */
}

/* Lays the arena out at `memory`, if that isn't NULL; returns how many bytes it takes.  The memory is zero.  So many
 * workers are wanted, until the caller says otherwise. */
CF__PRIVATE size_t
cf__arena_layout(cf__arena_view *view, void *memory, uint32_t worker_count, uint32_t slot_count)
{
    uintptr_t base = CF__POINTER_CAST(uintptr_t, memory), at = base;
    uint64_t ring_size = cf__arena_ring_size(slot_count);
    view->worker_count = worker_count;
    view->slot_count = slot_count;
    view->slot_total = slot_count + worker_count * CF__NESTED_SLOTS;
    view->ring_mask = ring_size - 1;
    view->template_pidfd = -1;
    view->template_process = 0;
    view->arena = CF__POINTER_CAST(cf__arena *, at);
    at += CF__ROUND_UP(sizeof(cf__arena), CF__CACHE_LINE);
    view->workers = CF__POINTER_CAST(cf__worker_record *, at);
    at += worker_count * sizeof(cf__worker_record);
    view->completed = CF__POINTER_CAST(uint64_t *, at);
    at += CF__ROUND_UP((slot_count + 63) / 64 * sizeof(uint64_t), CF__CACHE_LINE);
    view->parent_hints = CF__POINTER_CAST(uint64_t *, at);
    at += CF__ROUND_UP(ring_size * sizeof(uint64_t), CF__CACHE_LINE);
    view->template_hints = CF__POINTER_CAST(uint64_t *, at);
    at += CF__ROUND_UP(ring_size * sizeof(uint64_t), CF__CACHE_LINE);
    view->slots = CF__POINTER_CAST(cf__slot *, at);
    at += view->slot_total * sizeof(cf__slot);
    if (memory != NULL) { /* relaxed: before anybody is there */
        cf__arena_want(view, worker_count, worker_count, worker_count);
        cf__store_relaxed(&view->arena->high, worker_count);
    }
    return at - base;
}

#endif /* CF__BODIES && CF__FUTEX */

#endif
