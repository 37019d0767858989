"""One run of the command: exit codes, messages on stderr, progress on a terminal, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from types import FrameType
from typing import Any

from ..errors import FitError, MixtureError, MixtureWarning

__all__ = ["ExitCode", "Report", "Session", "emit"]

Report = Callable[[str, int, int], None]
"""Called with (phase, done, in all)."""


class ExitCode(IntEnum):
    """What the shell is told."""

    AGREE = 0
    DIFFER = 1
    BAD_INPUT = 2
    OPEN = 3
    INTERNAL = 4
    INTERRUPTED = 130


@dataclass
class Session:
    """How this run talks."""

    debug: bool = False
    quiet: bool = False
    interrupted: bool = False

    def say(self, message: str) -> None:
        """One message to the user."""
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Remember Ctrl-C, which libraries may swallow, and show our warnings as messages."""
        mine = threading.current_thread() is threading.main_thread()
        mine = mine and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if mine:
            signal.signal(signal.SIGINT, self._interrupt)
        try:
            with warnings.catch_warnings():
                if not self.debug:
                    warnings.simplefilter("ignore")
                warnings.simplefilter("always", MixtureWarning)
                warnings.showwarning = self._show_warning  # type: ignore[assignment]
                yield
        finally:
            if mine:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        raise KeyboardInterrupt

    def _show_warning(self, message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if self.debug or issubclass(category, MixtureWarning):
            self.say(f"warning: {message}")

    @contextmanager
    def progress(self) -> Iterator[Report]:
        """A function that shows how far a phase has come; it shows nothing in a pipe, and stops the run after Ctrl-C."""
        with self._bars() as show:

            def report(phase: str, done: int, total: int) -> None:
                if self.interrupted:
                    raise KeyboardInterrupt
                show(phase, done, total)

            yield report

    @contextmanager
    def _bars(self) -> Iterator[Report]:
        if self.quiet or not sys.stderr.isatty():
            yield lambda phase, done, total: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            tasks: dict[str, Any] = {}

            def show(phase: str, done: int, total: int) -> None:
                if phase not in tasks:
                    for earlier in tasks.values():
                        bars.update(earlier, visible=False)
                    tasks[phase] = bars.add_task(phase, total=None)
                bars.update(tasks[phase], completed=done, total=total if done else None)

            yield show

    def failure(self, error: BaseException) -> ExitCode:
        """Tell the user what went wrong; the exit code for it."""
        if self.debug:
            traceback.print_exception(error)
        if self.interrupted or isinstance(error, KeyboardInterrupt):
            self.say("interrupted: there is no result yet.")
            return ExitCode.INTERRUPTED
        if isinstance(error, FitError):
            self.say(f"error: {error}")
            return ExitCode.OPEN
        if isinstance(error, MixtureError):
            self.say(f"error: {error}")
            return ExitCode.BAD_INPUT
        hint = "" if self.debug else " Run again with --debug for the traceback, and report it."
        self.say(f"error: internal error, {type(error).__name__}: {error}.{hint}")
        return ExitCode.INTERNAL


def emit(text: str) -> None:
    """Write a result to stdout; a reader that has gone away (`| head`) is no failure."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
