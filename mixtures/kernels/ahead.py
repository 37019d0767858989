"""Kernels compiled by another process while this one does something else, so that a first use waits for less."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from typing import TYPE_CHECKING

from .threads import thread_count

if TYPE_CHECKING:
    from .compiling import Compiled

__all__ = ["ask", "compiling_ahead", "wait_for", "work"]

_WORK = "import sys; sys.path.append(sys.argv[1]); from mixtures.kernels.ahead import work; work()"

_helper: Helper | None = None


@contextmanager
def compiling_ahead(functions: Iterable[Compiled]) -> Iterator[None]:
    """Within it another process compiles these functions, and those that `ask` names, as far as they are not on disk already.

    What it has begun is waited for where it is needed, what it has not is compiled there. Nothing happens where there is one
    processor only, or no place to keep machine code.
    """
    global _helper
    missing = [one for one in functions if not one.kept]
    if _helper is not None or not missing or not _can_help():
        yield
        return
    try:
        _helper = Helper()
    except OSError:  # no process could be started: nobody helps
        yield
        return
    try:
        ask(missing)
        yield
    finally:
        helper, _helper = _helper, None
        helper.end()


def ask(functions: Iterable[Compiled]) -> None:
    """Have these compiled too, after what was asked for before, where another process is at it."""
    if _helper is not None:
        _helper.ask(functions)


def wait_for(function: Compiled) -> None:
    """Wait until another process is done with this function, if one has begun it."""
    if _helper is not None:
        _helper.wait_for(function)


def _can_help() -> bool:
    from .compiling import cache_directory

    return os.name == "posix" and bool(sys.executable) and thread_count() > 1 and cache_directory() is not None


class Helper:
    """A process that compiles functions by their names, one after another, and says which it begins and which are done."""

    def __init__(self) -> None:
        self.owner, self.asked, self.busy_with, self.unread = os.getpid(), set[str](), "", b""
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _WORK, str(Path(__file__).parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests, self.answers = self.process.stdin, self.process.stdout
        os.set_blocking(self.answers.fileno(), False)

    def ask(self, functions: Iterable[Compiled]) -> None:
        """Put functions at the end of the queue."""
        names = [one.name for one in functions if one.name and one.name not in self.asked and not one.kept]
        self.asked.update(names)
        with suppress(OSError):  # the process may be gone
            self.requests.write("".join(f"{name}\n" for name in names).encode())

    def wait_for(self, function: Compiled) -> None:
        """Wait until the process is done with a function, if it has begun it."""
        if os.getpid() != self.owner or function.name not in self.asked:
            return
        self._listen()
        while self.busy_with == function.name:
            select([self.answers], [], [])
            self._listen()

    def _listen(self) -> None:
        while (said := self.answers.read(4096)) is not None:
            if not said:  # the process is gone
                self.busy_with = ""
                return
            *lines, self.unread = (self.unread + said).split(b"\n")
            for line in lines:
                self.busy_with = line.decode()

    def end(self) -> None:
        """Stop the process."""
        self.process.terminate()
        self.requests.close()
        self.answers.close()
        self.process.wait()


def work() -> None:
    """What the process does: compile the functions named on standard input, saying each name when it begins, and an empty one after."""
    for line in sys.stdin:
        module, _, name = line.strip().partition(":")
        function = getattr(importlib.import_module(module), name)
        if not function.kept:
            os.write(1, line.encode())
            _ = function.ready
            os.write(1, b"\n")
