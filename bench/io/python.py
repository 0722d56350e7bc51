"""bench/io/python.py - the same waits as one map over Python's thread pool.

SPDX-License-Identifier: MIT

    python3 bench/io/python.py TASKS MILLISECONDS WORKERS

prints the seconds that the whole job took, as cfutures.c has it: start and stop of the threads included.
"""
import concurrent.futures
import sys
import time


def wait_for_answer(milliseconds):
    time.sleep(milliseconds / 1e3)
    return milliseconds


tasks, milliseconds, workers = map(int, sys.argv[1:])
start = time.perf_counter()
with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    answers = list(pool.map(wait_for_answer, [milliseconds] * tasks))
spent = time.perf_counter() - start
assert sum(answers) == tasks * milliseconds
print(spent)
