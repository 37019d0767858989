"""Work spread over threads: every task once, the first failure raised, nobody left behind."""

import _thread
import signal
import threading
import time

import pytest

from mixtures.kernels import threads


@pytest.mark.parametrize(("tasks", "count"), [(0, 2), (1, 2), (7, 1), (7, 2), (3, 8), (500, 3)])
def test_every_task_is_done_once(tasks: int, count: int):
    done: list[int] = []
    threads.run(done.append, tasks, count)
    assert sorted(done) == list(range(tasks))


def test_tasks_run_side_by_side():
    meet, own = threading.Barrier(2, timeout=30), set()

    def task(index: int) -> None:
        meet.wait()
        own.add(_thread.get_ident())

    threads.run(task, 2, 2)
    assert len(own) == 2


@pytest.mark.parametrize("failing", [0, 1])
def test_the_first_failure_is_raised_and_ends_the_work(failing: int):
    meet, done = threading.Barrier(2, timeout=30), []

    def task(index: int) -> None:
        if index < 2:
            meet.wait()
        if index == failing:
            raise ValueError(f"task {index}")
        time.sleep(0.01)
        done.append(index)

    with pytest.raises(ValueError, match=f"task {failing}"):
        threads.run(task, 1000, 2)
    assert len(done) < 900


def test_all_are_done_when_the_call_returns():
    before, running = _thread._count(), []

    def task(index: int) -> None:
        running.append(index)
        time.sleep(0.005 * (index % 3))
        running.remove(index)

    for _ in range(5):
        threads.run(task, 9, 3)
        assert not running
    end = time.monotonic() + 30
    while _thread._count() > before and time.monotonic() < end:
        time.sleep(0.001)
    assert _thread._count() == before


def test_the_caller_does_all_the_work_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "start_new_thread", refuse)
    done: list[int] = []
    threads.run(done.append, 5, 4)
    assert done == [0, 1, 2, 3, 4]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers that send signals")
def test_an_interrupt_while_the_caller_waits_is_passed_on_when_all_have_ended():
    caller, meet, ended = threading.get_ident(), threading.Barrier(2, timeout=30), []

    def task(index: int) -> None:
        meet.wait()
        if threading.get_ident() != caller:
            time.sleep(0.5)
        ended.append(index)

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            threads.run(task, 2, 2)
        assert sorted(ended) == [0, 1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
