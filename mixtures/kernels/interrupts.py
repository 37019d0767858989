"""What an interrupt becomes when it comes during a compiled function, and how it becomes one again."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["raise_meant"]


def raise_meant(error: SystemError) -> NoReturn:
    """Raise the interrupt that an error of a compiled function stands for; the error itself where it stands for none.

    numba makes the arrays that a function returns in Python code. A signal that has come meanwhile raises there, so that the
    call has both a result and an exception, which Python reports as a SystemError, one for each array.
    """
    one: BaseException | None = error
    while one is not None:
        if isinstance(one, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        one = one.__cause__ or one.__context__
    raise error
