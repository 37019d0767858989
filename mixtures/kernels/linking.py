"""Compiled functions that call each other through addresses, so that none is compiled again inside another, nor before it is called.

numba puts a function that another calls into the caller's machine code, and optimises it there once more; in a graph of PyTensor
that happens four times over. Here callers hold a symbol, which stands for a place that has the address once there is one. Until then
the place has none, and the first call asks Python for it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["Link"]

_Ask = ctypes.CFUNCTYPE(None)
_POINTER = ir.IntType(8).as_pointer()
_PLACE = ir.ArrayType(_POINTER, 2)


class Link:
    """The place that a symbol stands for in machine code: a function's address, and what to call where there is none yet.

    Parameters
    ----------
    symbol
        A name that no other link of the process has.
    signature
        numba's signature of the function.
    ask
        Called without arguments where the function is called and has no address: it calls `set`, or fails.
    """

    def __init__(self, symbol: str, signature: Any, ask: Callable[[], Any]) -> None:
        self.symbol, self.signature = symbol, signature
        self._ask = _Ask(ask)  # as long as machine code may call it
        self._place = (ctypes.c_void_p * 2)(None, ctypes.cast(self._ask, ctypes.c_void_p))
        binding.add_symbol(symbol, ctypes.addressof(self._place))
        self.call = self._caller()

    def set(self, dispatcher: Any) -> None:
        """The address is that of the one function which numba's dispatcher has compiled or loaded, and which lives as long."""
        (found,) = dispatcher.overloads.values()
        self._place[0] = found.library.get_pointer_to_function(found.fndesc.llvm_func_name)

    def _caller(self) -> Callable[..., Any]:
        """What compiled functions call in place of the function."""
        names = ", ".join(f"x{i}" for i in range(len(self.signature.args)))
        scope: dict[str, Any] = {"typed": lambda: (self.signature, self._generate)}
        exec(f"def function(typing_context, {names}): return typed()", scope)
        found: Callable[..., Any] = intrinsic(scope["function"])
        return found

    def _generate(self, context: Any, builder: Any, _: Any, args: Any) -> Any:
        convention, result_type, types = context.call_conv, self.signature.return_type, self.signature.args
        places = builder.module.globals
        place = places.get(self.symbol) or cgutils.add_global_variable(builder.module, _PLACE, self.symbol)
        address, ask = (cgutils.gep_inbounds(builder, place, 0, i) for i in range(2))
        with cgutils.if_unlikely(builder, cgutils.is_null(builder, builder.load(address))):
            function = builder.bitcast(builder.load(ask), ir.FunctionType(ir.VoidType(), []).as_pointer())
            builder.call(function, [])
            with cgutils.if_unlikely(builder, cgutils.is_null(builder, builder.load(address))):
                message = f"{self.symbol} could not be compiled; see the error above."
                convention.return_user_exc(builder, RuntimeError, (message,))
        kind = convention.get_function_type(result_type, types).as_pointer()
        function = builder.bitcast(builder.load(address), kind)
        status, result = convention.call_function(builder, function, result_type, types, args)
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return result
