"""bench/process/python.py - Python's two process pools, measured as cfutures.c measures ours.

SPDX-License-Identifier: MIT

    python3 bench/process/python.py executor|pool WHAT WORKERS COUNT

prints one number.  Started by python.c, once for each figure.  Workers are forked, as ours are.
"""
import concurrent.futures
import multiprocessing
import os
import signal
import statistics
import sys
import time

CONTEXT = multiprocessing.get_context("fork")
MIB = 1 << 20


def empty(value):
    return value


def echo(block):
    return block


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


# What a future says that its pool has lost; the second, when it says nothing for a minute: now and then a pool hangs when a
# worker is killed at a bad moment.
LOST = (concurrent.futures.BrokenExecutor, concurrent.futures.TimeoutError, multiprocessing.TimeoutError)


class Executor:
    """concurrent.futures.ProcessPoolExecutor"""

    def __init__(self, workers):
        self.pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=CONTEXT)
        self.workers = workers

    def submit(self, function, value):
        return self.pool.submit(function, value)

    @staticmethod
    def result(future, patience=60):
        return future.result(patience)

    def die_and_recover(self):
        """A dead worker breaks the executor: a new one must be made."""
        try:
            self.submit(die, 0).result(60)
        except LOST:
            self.pool = concurrent.futures.ProcessPoolExecutor(self.workers, mp_context=CONTEXT)

    def close(self):
        self.pool.shutdown()


class Pool:
    """multiprocessing.Pool"""

    def __init__(self, workers):
        self.pool = CONTEXT.Pool(workers)

    def submit(self, function, value):
        return self.pool.apply_async(function, (value,))

    @staticmethod
    def result(future, patience=60):
        return future.get(patience)

    def die_and_recover(self):
        """Nobody ever hears of the task that died; the worker is replaced."""
        self.submit(die, 0)

    def close(self):
        self.pool.terminate()


def collect(pool, function, values):
    """One by one, all of them outstanding before the first is collected."""
    futures = [pool.submit(function, value) for value in values]
    return [pool.result(future) for future in futures]


def measure_start(kind, workers, _):
    """ms from nothing to a result for each worker"""
    start = time.perf_counter()
    pool = kind(workers)
    collect(pool, empty, range(workers))
    spent = time.perf_counter() - start
    pool.close()
    return spent * 1e3


def trips(kind, workers, count, pause):
    pool = kind(workers)
    collect(pool, empty, range(100))
    times = []
    for i in range(count):
        if pause:
            time.sleep(pause)
        start = time.perf_counter()
        pool.result(pool.submit(empty, i))
        times.append(time.perf_counter() - start)
    pool.close()
    return statistics.median(times) * 1e6


def measure_hot(kind, workers, count):
    return trips(kind, workers, count, 0)


def measure_idle(kind, workers, count):
    return trips(kind, workers, count, 100e-6)


def measure_tasks(kind, workers, count):
    """us per task"""
    pool = kind(workers)
    collect(pool, empty, range(4 * workers))
    start = time.perf_counter()
    assert sum(collect(pool, empty, range(count))) == count * (count - 1) // 2
    spent = time.perf_counter() - start
    pool.close()
    return spent * 1e6 / count


def measure_copy(kind, workers, count):
    """GB/s of 1 MiB there and back, counted one way"""
    pool = kind(workers)
    block = bytes(MIB)
    for _ in range(6): # as bench/process/cfutures.c
        collect(pool, echo, [block] * count)
    start = time.perf_counter()
    results = collect(pool, echo, [block] * count)
    spent = time.perf_counter() - start
    assert all(len(result) == MIB for result in results)
    pool.close()
    return count * MIB / spent / 1e9


def measure_killed(kind, _, __):
    """ms from the submit of a task that dies to the result of the next, on one worker"""
    pool = kind(1)
    collect(pool, empty, range(10))
    start = time.perf_counter()
    pool.die_and_recover()
    pool.result(pool.submit(empty, 1))
    spent = time.perf_counter() - start
    pool.close()
    return spent * 1e3


def measure_lost(kind, workers, count):
    """how many of `count` tasks fail that are submitted behind one that dies"""
    pool = kind(workers)
    collect(pool, empty, range(10))
    futures, lost = [], 0
    pool.submit(die, 0)
    for i in range(count):
        try:
            futures.append(pool.submit(empty, i))
        except LOST[0]:
            lost += 1
    patience = 60
    for future in futures:
        try:
            pool.result(future, patience)
        except LOST as problem:
            lost += 1
            if not isinstance(problem, LOST[0]):
                patience = 0  # once is enough
    if patience != 0:
        pool.close()
    return lost


if __name__ == "__main__":
    measure = globals()["measure_" + sys.argv[2]]
    print(measure({"executor": Executor, "pool": Pool}[sys.argv[1]], int(sys.argv[3]), int(sys.argv[4])), flush=True)
    for left in multiprocessing.active_children():  # of a pool that hangs, which would be waited for at exit
        left.kill()
    os._exit(0)
