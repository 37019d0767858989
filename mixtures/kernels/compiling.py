"""Functions that numba compiles at their first call, once per machine where the machine code can be kept."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from threading import RLock
from types import FunctionType, MappingProxyType
from typing import Any

import numba
from llvmlite.binding import get_host_cpu_name
from numba.core import types

from .ahead import ask, compiling_ahead, make_expected_ready, wait_for
from .linking import Link

__all__ = [
    "ROUNDING",
    "SUMMING",
    "Compiled",
    "array",
    "given",
    "inner",
    "read_only",
    "ready_together",
]

ROUNDING = {"contract"}
"""Products and sums may fuse; nothing else changes, so that infinities and NaN keep their meaning."""
SUMMING = {"contract", "reassoc", "nsz"}
"""Sums may be taken in another order too, as vectors need it."""

_LOCK = RLock()


def inner(fastmath: set[str]) -> Callable[[Callable[..., Any]], Any]:
    """Decorator of functions that compiled functions call: never compiled on their own, nor called from Python."""
    return numba.njit(fastmath=fastmath, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


def array(ndim: int, item: Any = types.float64) -> types.Array:
    """Type of a contiguous array."""
    return types.Array(item, ndim, "C")


def read_only(ndim: int) -> types.Array:
    """Type of an array of floats that is only read: any layout, any strides."""
    return types.Array(types.float64, ndim, "A", readonly=True)


def given(ndim: int, item: Any = types.float64) -> types.Array:
    """Type of a contiguous array that is only read."""
    return types.Array(item, ndim, "C", readonly=True)


class Compiled:
    """A function compiled for one signature when it is first called; it releases the interpreter lock.

    Other functions of this class that it calls are compiled on their own, so that several callers share their machine code.

    Parameters
    ----------
    signature
        numba's result type called with its argument types.
    function
        What to compile.
    calls
        Other functions of this class in place of the ones that it calls by name.
    """

    def __init__(
        self,
        signature: Any,
        function: Callable[..., Any],
        fastmath: set[str] = ROUNDING,
        calls: Mapping[str, Compiled] = MappingProxyType({}),
    ) -> None:
        self.signature, self.function, self.fastmath, self.calls = signature, function, fastmath, calls
        self._link: Link | None = None

    @cached_property
    def name(self) -> str | None:
        """The module that has the function, and its name there, "module:name"; None if it has none."""
        module = self.function.__module__
        found = (name for name, value in vars(sys.modules[module]).items() if value is self)
        name = next(found, None)
        return name and f"{module}:{name}"

    @property
    def kept(self) -> bool:
        """Whether it is compiled, or its machine code is on disk, as far as is known."""
        mark = self._mark
        return "alone" in self.__dict__ or (mark is not None and mark.exists())

    @property
    def _mark(self) -> Path | None:
        """An empty file that says that machine code of this name has been kept for these source files and this processor."""
        directory = cache_directory()
        if directory is None or self.name is None:
            return None
        return Path(directory) / f"{self.name.replace(':', '.')}-{_here()}"

    @property
    def called(self) -> dict[str, Compiled]:
        """The functions of this class that it calls, by the names that it calls them by."""
        function: Any = self.function
        names = {**function.__globals__, **self.calls}
        return {name: names[name] for name in function.__code__.co_names if isinstance(names.get(name), Compiled)}

    @cached_property
    def ready(self) -> Callable[..., Any]:
        """The compiled function, from the cache on disk where there is one, and with it those that it calls."""
        found = self.alone
        for one in self.called.values():
            _ = one.ready
        return found

    @cached_property
    def alone(self) -> Callable[..., Any]:
        """The compiled function; those that it calls are made ready by its first call."""
        with _LOCK:
            if "alone" in self.__dict__:  # another thread has been here
                return self.__dict__["alone"]
            directory = cache_directory()
            if directory is None or not all(one.name for one in self.called.values()):  # a link for this process only
                return self._compile(cache=False)
            wait_for(self)
            before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, directory
            try:
                found = self._compile(cache=True)
                with suppress(OSError):
                    if self._mark is not None:
                        self._mark.touch()
                return found
            except (OSError, RuntimeError):  # the directory went away or filled up meanwhile
                return self._compile(cache=False)
            finally:
                numba.config.CACHE_DIR = before

    def _compile(self, *, cache: bool) -> Callable[..., Any]:
        options = {"fastmath": self.fastmath, "error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
        found = numba.njit(self.signature, cache=cache, **options)(self._linked())
        if not numba.config.DISABLE_JIT:
            self.link.set(found)
        return found

    @property
    def link(self) -> Link:
        """What stands for it in other machine code, which may be loaded before this function is compiled."""
        with _LOCK:  # a process must not have two
            if self._link is None:
                name = self.name or f"{self.function.__qualname__}:{id(self)}"
                self._link = Link(f"{name}:{source_hash() or os.getpid()}", self.signature, self._asked_for)
            return self._link

    def _asked_for(self) -> None:
        with suppress(Exception):  # this function tells what is wrong with it; others do when they are called
            make_expected_ready()
        _ = self.ready

    def _linked(self) -> Callable[..., Any]:
        """The function with links to the ones of this class that it calls."""
        function: Any = self.function
        called = {name: one.link.call for name, one in self.called.items()}
        if not called:
            return self.function
        linked: Any = FunctionType(function.__code__, {**function.__globals__, **called}, function.__name__)
        linked.__module__ = function.__module__
        linked.__qualname__ = "_with".join(
            [function.__qualname__, *(one.function.__name__ for one in self.calls.values())]
        )
        return linked

    def __call__(self, *args: Any) -> Any:
        return self.ready(*args)


def ready_together(function: Compiled) -> Callable[..., Any]:
    """The function, compiled by another process where it is not on disk, while this one compiles those that it calls."""
    if "ready" not in function.__dict__:
        with compiling_ahead():
            ask([function])
            for one in function.called.values():
                _ = one.ready
            _ = function.ready
    return function.ready


@cache
def source_hash() -> str | None:
    """A hash of the source of all kernels, because numba looks at the file of the outermost function only; None without source files."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {numba.__version__}".encode())
    try:
        for file in sorted(Path(__file__).parent.glob("*.py")):
            digest.update(file.read_bytes())
    except OSError:
        return None
    return digest.hexdigest()[:16]


@cache
def _here() -> str:
    """A hash of what numba's own cache depends on besides: where the source files are, when they were written, and the processor."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    stamps = [(str(file), (found := file.stat()).st_mtime, found.st_size) for file in files]
    said = f"{stamps} {get_host_cpu_name()}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


@cache
def cache_directory() -> str | None:
    """Where machine code is kept: below NUMBA_CACHE_DIR, or the user's cache directory; None where nothing can be written."""
    key = source_hash()
    if key is None or not Path(__file__).is_file():
        return None
    for base in _bases():
        directory = base / "mixtures" / f"kernels-{key}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=directory).close()
        except OSError:
            continue
        return str(directory)
    return None


def _bases() -> list[Path]:
    chosen = [os.environ[name] for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME") if os.environ.get(name)]
    if sys.platform == "win32":
        chosen += [os.environ[name] for name in ("LOCALAPPDATA",) if os.environ.get(name)]
    try:
        home = Path.home()
    except RuntimeError:
        return [Path(base) for base in chosen]
    return [Path(base) for base in chosen] + [home / ("Library/Caches" if sys.platform == "darwin" else ".cache")]
