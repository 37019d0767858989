"""Independent tasks on several processes, where the system can fork: what a task needs is inherited, only results are sent."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import TypeVar, cast

from .errors import MixtureError, SpecError
from .kernels.threads import one_blas_thread, thread_count

__all__ = ["as_done", "process_count"]

Result = TypeVar("Result")


def process_count(jobs: int | None, tasks: int) -> int:
    """Processes to use for so many tasks: `jobs`, or as many as threads would be used; one where the system cannot fork.

    Raises
    ------
    SpecError
        If `jobs` is neither None nor an integer >= 1.
    """
    if jobs is not None and (not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1):
        raise SpecError(f"jobs={jobs!r}: an integer >= 1 is needed, or None for as many as there are processors.")
    if sys.platform != "linux" or multiprocessing.current_process().daemon:
        return 1
    return max(1, min(thread_count() if jobs is None else jobs, tasks))


def as_done(task: Callable[[int], Result], tasks: int, processes: int) -> Iterator[tuple[int, Result]]:
    """task(0), ..., task(tasks - 1) in the order in which they are done, each with its number.

    An interruption by the user ends the workers and reaches the caller.

    Raises
    ------
    MixtureError
        If a worker dies.
    """
    if processes <= 1:
        for index in range(tasks):
            yield index, task(index)
        return
    context = multiprocessing.get_context("fork")
    workers: dict[Connection, multiprocessing.process.BaseProcess] = {}
    try:
        with _without_interrupts(), one_blas_thread(), warnings.catch_warnings():  # workers inherit no running threads
            warnings.filterwarnings("ignore", message=r".*use of fork\(\)", category=DeprecationWarning)
            for _ in range(processes):
                ours, theirs = context.Pipe()
                worker = context.Process(target=_work, args=(task, theirs, (*workers, ours)), daemon=True)
                worker.start()
                workers[ours] = worker
                theirs.close()
        waiting = iter(range(tasks))
        for connection in workers:
            connection.send(next(waiting))
        busy = set(workers)
        while busy:
            for ready in wait(list(busy)):
                connection = cast(Connection, ready)
                try:
                    index, result = connection.recv()
                except (EOFError, ConnectionResetError):
                    raise MixtureError(
                        "A worker process died, perhaps for want of memory. Use jobs=1, or fewer jobs."
                    ) from None
                following = next(waiting, None)
                connection.send(following)
                if following is None:
                    busy.remove(connection)
                if isinstance(result, BaseException):
                    raise result
                yield index, result
    finally:
        _end(workers)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C is heard of afterwards: a process that has just been forked does not ignore it yet, and Python loses one during a fork."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(workers: dict[Connection, multiprocessing.process.BaseProcess]) -> None:
    """End them all; an interrupt meanwhile is passed on afterwards."""
    interrupt: KeyboardInterrupt | None = None
    steps: list[Callable[[], object]] = [worker.terminate for worker in workers.values()]
    steps += [worker.join for worker in workers.values()] + [connection.close for connection in workers]
    for step in steps:
        while True:
            try:
                step()
                break
            except KeyboardInterrupt as one:
                interrupt = one
    if interrupt is not None:
        raise interrupt


def _work(task: Callable[[int], Result], connection: Connection, others: tuple[Connection, ...]) -> None:
    """A worker: takes numbers until there is none. The parent alone hears of Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    for other in others:
        other.close()
    try:
        while (index := connection.recv()) is not None:
            try:
                connection.send((index, task(index)))
            except (EOFError, BrokenPipeError):
                raise
            except Exception as error:
                connection.send((index, error))
    except (EOFError, BrokenPipeError):
        pass  # the parent is gone
