"""Compiled functions that call each other through addresses, so that none is compiled again inside another, nor before it is called.

numba puts a function that another calls into the caller's machine code, and optimises it there once more; in a graph of PyTensor
that happens four times over. Here callers hold a symbol, which stands for a place that has the address once there is one. Until then
the place has none, and the first call asks Python for it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, ClassVar

from llvmlite import binding, ir
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["Link"]

_Ask = ctypes.CFUNCTYPE(None)
_POINTER = ir.IntType(8).as_pointer()
_PLACE = ir.ArrayType(_POINTER, 3)
_ADDRESS, _ASK, _INTERRUPTED = range(3)


class Link:
    """The place that a symbol stands for in machine code: a function's address, what to call where there is none yet, and whether
    that has been interrupted.

    Parameters
    ----------
    symbol
        A name that no other link of the process has.
    signature
        numba's signature of the function.
    ask
        Called without arguments where the function is called and has no address: it calls `set`, or raises, which is printed and
        becomes a RuntimeError of the caller; an interrupt stays one.
    """

    kept: ClassVar[list[Link]] = []
    """All that there are: machine code may use them as long as the process lives."""

    def __init__(self, symbol: str, signature: Any, ask: Callable[[], Any]) -> None:
        self.symbol, self.signature = symbol, signature
        self._asked, self._ask = ask, _Ask(self._answer)
        self._place = (ctypes.c_void_p * 3)(None, ctypes.cast(self._ask, ctypes.c_void_p), None)
        binding.add_symbol(symbol, ctypes.addressof(self._place))
        self.call = self._caller()
        self.kept.append(self)

    def set(self, dispatcher: Any) -> None:
        """The address is that of the one function which numba's dispatcher has compiled or loaded, and which lives as long."""
        (found,) = dispatcher.overloads.values()
        self._place[_ADDRESS] = found.library.get_pointer_to_function(found.fndesc.llvm_func_name)

    def _answer(self) -> None:
        """Called from machine code, which knows of no exceptions of Python."""
        self._place[_INTERRUPTED] = None
        try:
            self._asked()
        except KeyboardInterrupt:
            self._place[_INTERRUPTED] = 1

    def _caller(self) -> Callable[..., Any]:
        """What compiled functions call in place of the function."""
        names = ", ".join(f"x{i}" for i in range(len(self.signature.args)))
        scope: dict[str, Any] = {"typed": self._typed}
        exec(f"def function(typing_context, {names}): return typed(typing_context, ({names},))", scope)
        found: Callable[..., Any] = intrinsic(scope["function"])
        return found

    def _typed(self, context: Any, given: Any) -> Any:
        """The signature and the code of a call with arguments of these types; None where they cannot be those asked for."""
        if any(
            context.can_convert(one, wanted) is None for one, wanted in zip(given, self.signature.args, strict=True)
        ):
            return None
        return self.signature, self._generate

    def _generate(self, context: Any, builder: Any, _: Any, args: Any) -> Any:
        convention, result_type, types = context.call_conv, self.signature.return_type, self.signature.args
        places = builder.module.globals
        place = places.get(self.symbol) or cgutils.add_global_variable(builder.module, _PLACE, self.symbol)
        address, ask, interrupted = (cgutils.gep_inbounds(builder, place, 0, i) for i in (_ADDRESS, _ASK, _INTERRUPTED))
        with cgutils.if_unlikely(builder, cgutils.is_null(builder, builder.load(address))):
            function = builder.bitcast(builder.load(ask), ir.FunctionType(ir.VoidType(), []).as_pointer())
            builder.call(function, [])
            with cgutils.if_unlikely(builder, cgutils.is_null(builder, builder.load(address))):
                with cgutils.if_likely(builder, cgutils.is_not_null(builder, builder.load(interrupted))):
                    convention.return_user_exc(builder, KeyboardInterrupt, ())
                message = f"{self.symbol} could not be compiled; see the error above."
                convention.return_user_exc(builder, RuntimeError, (message,))
        kind = convention.get_function_type(result_type, types).as_pointer()
        function = builder.bitcast(builder.load(address), kind)
        status, result = convention.call_function(builder, function, result_type, types, args)
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return result
