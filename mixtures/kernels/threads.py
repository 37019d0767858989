"""Threads over row blocks, started and waited for inside one call: none works on after it, so that forks find no locks taken."""

from __future__ import annotations

import os
from _thread import LockType, allocate_lock, start_new_thread
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from itertools import count
from typing import Any

__all__ = ["one_blas_thread", "run", "thread_count"]

_VARIABLES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")


def thread_count() -> int:
    """Threads to use: OMP_NUM_THREADS, or NUMBA_NUM_THREADS where that is not set, else the processors at hand.

    One inside a worker process of `multiprocessing`, where the parent has spread the work already.
    """
    import multiprocessing

    if multiprocessing.parent_process() is not None:
        return 1
    for variable in _VARIABLES:
        value = os.environ.get(variable, "").split(",")[0].strip()
        if value.isdigit() and int(value) > 0:
            return int(value)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(task: Callable[[int], None], tasks: int, threads: int) -> None:
    """Call task(0), ..., task(tasks - 1), on `threads` threads of which the caller's is one.

    An interrupt, which Python delivers to the main thread, reaches it between two tasks or while it waits for the other threads,
    which finish theirs and stop before it is passed on. The first exception of any thread is raised.
    """
    if threads <= 1 or tasks <= 1:
        for index in range(tasks):
            task(index)
        return
    numbers = count()
    failures: list[BaseException] = []
    stop: list[bool] = []
    ended: list[LockType] = []

    def work() -> None:
        while not stop and (index := next(numbers)) < tasks:
            task(index)

    def helper(running: LockType) -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)
            stop.append(True)
        finally:
            ended.append(running)
            running.release()

    helpers: list[LockType] = []
    try:
        for _ in range(min(threads, tasks) - 1):
            running = allocate_lock()
            running.acquire()
            try:
                start_new_thread(helper, (running,))  # threading.Thread waits until it runs: 0.2 ms of a pass
            except RuntimeError:  # the system gives no more: those that there are do the work
                break
            helpers.append(running)
        work()
    finally:
        stop.append(True)
        _wait(helpers, ended)
    if failures:
        raise failures[0]


def _wait(helpers: list[LockType], ended: list[LockType]) -> None:
    """Until all have ended, whose locks are free then; an interrupt waits too."""
    interrupt: KeyboardInterrupt | None = None
    for running in helpers:
        while True:
            try:
                running.acquire()
                break
            except KeyboardInterrupt as one:
                interrupt = one
                if running in ended:  # the lock may have been taken already
                    break
    if interrupt is not None:
        raise interrupt


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """Within it BLAS uses one thread, because ours call it side by side."""
    return _blas().limit(limits=1, user_api="blas")
