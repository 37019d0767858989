"""Kernels compiled by another process while this one does something else, so that a first use waits for less."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from .threads import thread_count

if TYPE_CHECKING:
    from .compiling import Compiled

__all__ = ["ask", "compiling_ahead", "expect", "make_expected_ready", "wait_for", "work"]

_WORK = "import sys; sys.path.append(sys.argv[1]); from mixtures.kernels.ahead import work; work()"

_session: Session | None = None
_lock = Lock()


@contextmanager
def compiling_ahead() -> Iterator[None]:
    """Within it another process compiles what `ask` names, as far as it is not on disk already.

    What it has begun is waited for where it is needed, what it has not is compiled there. Nothing happens where there is one
    processor only, or no place to keep machine code.
    """
    global _session
    own = Session()
    with _lock:
        first = _session is None
        if first:
            _session = own
    try:
        yield
    finally:
        if first:
            _session = None
            own.end()


def ask(functions: Iterable[Compiled]) -> None:
    """Have these compiled, after what was asked for before, where `compiling_ahead` says so."""
    session = _session
    if session is not None:
        session.ask(functions)


def expect(function: Compiled) -> None:
    """Have this function ready after `make_expected_ready`, where `compiling_ahead` says so."""
    session = _session
    if session is not None:
        session.expected[function] = None


def make_expected_ready() -> None:
    """Compile or load what is expected, with the help of the other process from the end; last of all what that has been asked for before."""
    session = _session
    if session is None:
        return
    expected = sorted(session.expected, key=lambda one: one.name in session.asked)
    session.expected.clear()
    session.ask(reversed(expected))
    for one in expected:
        _ = one.alone
    for one in expected:
        _ = one.ready


def wait_for(function: Compiled) -> None:
    """Wait until another process is done with this function, if one has begun it."""
    session = _session
    if session is not None:
        session.wait_for(function)


def _can_help() -> bool:
    from .compiling import cache_directory

    return os.name == "posix" and bool(sys.executable) and thread_count() > 1 and cache_directory() is not None


class Session:
    """A process, started when it is first needed, that compiles functions by their names and says which it begins and which are done."""

    def __init__(self) -> None:
        self.owner, self.asked, self.busy_with, self.unread = os.getpid(), set[str](), "", b""
        self.process: subprocess.Popen[bytes] | None = None
        self.expected: dict[Compiled, None] = {}

    def ask(self, functions: Iterable[Compiled]) -> None:
        """Put functions at the end of the queue."""
        missing = [one.name for one in functions if one.name and not one.kept]
        names = [name for name in dict.fromkeys(missing) if name not in self.asked]
        if not names or os.getpid() != self.owner or not _can_help():
            return
        with suppress(OSError, ValueError):  # no process can be started, or it is gone
            if self.process is None:
                self.process = self._started()
            assert self.process.stdin is not None
            self.process.stdin.write("".join(f"{name}\n" for name in names).encode())
            self.asked.update(names)

    def _started(self) -> subprocess.Popen[bytes]:
        from .compiling import cache_directory

        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _WORK, str(Path(__file__).parents[2]), str(cache_directory())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        return process

    def wait_for(self, function: Compiled) -> None:
        """Wait until the process is done with a function, if it has begun it."""
        if self.process is None or os.getpid() != self.owner or function.name not in self.asked:
            return
        with suppress(OSError, ValueError):  # another thread has ended the process
            self.listen()
            while self.busy_with == function.name:
                wait([self.process.stdout.fileno()])  # type: ignore[union-attr]
                self.listen()

    def listen(self) -> None:
        """Take in what the process has said."""
        assert self.process is not None
        assert self.process.stdout is not None
        while (said := self.process.stdout.read(4096)) is not None:
            if not said:  # the process is gone
                self.busy_with = ""
                return
            *lines, self.unread = (self.unread + said).split(b"\n")
            for line in lines:
                self.busy_with = line.decode()

    def end(self) -> None:
        """Stop the process."""
        if self.process is not None:
            self.process.terminate()
            for pipe in (self.process.stdin, self.process.stdout):
                assert pipe is not None
                pipe.close()
            self.process.wait()


def work() -> None:
    """What the process does: compile the functions named on standard input, saying each name when it begins, and an empty one after."""
    from .compiling import cache_directory

    if cache_directory() != sys.argv[2]:
        return  # another version of this package, or another place: nobody would find what is compiled here
    for line in sys.stdin:
        module, _, name = line.strip().partition(":")
        function = getattr(importlib.import_module(module), name)
        if not function.kept:
            os.write(1, line.encode())
            _ = function.alone
            os.write(1, b"\n")
