/* cfutures/detail/place.h - park on a word of an object, any number of sleepers.
 * SPDX-License-Identifier: MIT
 * LAYER 1.  Includes: event.h.  Included by: future.h.
 *
 * HOW IT WORKS  With futexes the kernel keeps the line of sleepers, and all this is cf__park() and cf__unpark_all().  With
 *   CF_USE_CONDVAR the object has one: a mutex and an event beside the word.  The sleeper compares the word under that
 *   mutex, as the kernel does under its own lock, before it joins the line.
 *
 *       sleeper: lock; word still == value? join the line and sleep; unlock
 *       waker:   word = new; lock; wake all; unlock
 *
 * ORDERING  Either the waker has the mutex first: then the sleeper, which has it later, sees the new word.  Or the sleeper
 *   does: then it stands in the line when the waker comes.
 * LIFE  Unlike a futex's address, the place must live until the waker has left it: the waker holds a reference. */
#ifndef CFUTURES_DETAIL_PLACE_H
#define CFUTURES_DETAIL_PLACE_H

#include "event.h"

#if CF__FUTEX

#define CF__PLACE        /* the last field of an object, without a semicolon */
#define CF__PLACE_STATIC /* behind the other initializers of a static one */
#define cf__place_init(object) ((void)0)
#define cf__place_destroy(object) ((void)0)
/* As cf__park() and cf__unpark_all(), on a word of the object. */
#define cf__place_park(object, word, value, deadline) cf__park(word, value, deadline, CF__SCOPE_PRIVATE)
#define cf__place_unpark_all(object, word) ((void)cf__unpark_all(word, CF__SCOPE_PRIVATE))

#else

typedef struct cf__place {
    cf__mutex mutex;
    cf__event sleepers; /* M */
} cf__place;

#define CF__PLACE cf__place place;
#define CF__PLACE_STATIC                                                                                               \
    ,                                                                                                                  \
    {                                                                                                                  \
        CF__MUTEX_STATIC,                                                                                              \
        {                                                                                                              \
            NULL, NULL                                                                                                 \
        }                                                                                                              \
    }
#define cf__place_init(object) (cf__mutex_init(&(object)->place.mutex), cf__event_init(&(object)->place.sleepers))
#define cf__place_destroy(object) cf__mutex_destroy(&(object)->place.mutex)
#define cf__place_park(object, word, value, deadline) cf__place_sleep(&(object)->place, word, value, deadline)
#define cf__place_unpark_all(object, word) cf__place_wake_all(&(object)->place)

#if CF__BODIES

CF__PRIVATE bool
cf__place_sleep(cf__place *place, const uint32_t *word, uint32_t value, cf_time deadline)
{
    bool in_time = true;
    if (cf_passed(deadline))
        return false;
    cf__mutex_lock(&place->mutex);
    /* relaxed: the mutex orders it after the change of any waker that has been here. */
    if (cf__load_relaxed(word) == value)
        in_time = cf__event_wait(&place->sleepers, &place->mutex, deadline);
    cf__mutex_unlock(&place->mutex);
    return in_time;
}

CF__PRIVATE void
cf__place_wake_all(cf__place *place)
{
    cf__mutex_lock(&place->mutex);
    cf__event_wake_all(&place->sleepers);
    cf__mutex_unlock(&place->mutex);
}

#endif /* CF__BODIES */

#endif

#endif
