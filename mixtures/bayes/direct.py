"""Graphs as one Python function of NumPy calls: nothing to compile, and a few microseconds a node instead of ten.

PyTensor's own Python linker goes through a virtual machine, storage cells and general code for every node; the graphs here have
some thirty nodes on a few dozen numbers, where that takes longer than the arithmetic. A node without a direct form runs as it
would there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pytensor.graph.basic import Apply, Constant
from pytensor.link.basic import JITLinker
from pytensor.tensor.basic import Join
from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise
from pytensor.tensor.shape import Reshape
from pytensor.tensor.subtensor import Subtensor, indices_from_subtensor

from ..kernels.ahead import ask, expect, make_expected_ready
from ..kernels.interrupts import raise_meant

__all__ = ["DirectCall", "DirectLinker"]

Call = Callable[..., Any]
_REDUCTIONS = {"Add": np.add, "Mul": np.multiply, "Maximum": np.maximum, "Minimum": np.minimum, "OR": np.logical_or}
_REDUCTIONS |= {"ScalarMaximum": np.maximum, "ScalarMinimum": np.minimum, "AND": np.logical_and}
_VARIADIC = {"Add": "+", "Mul": "*"}
_OTHER_DTYPES = {"GT", "LT", "GE", "LE", "EQ", "NEQ", "Switch", "IsNan", "IsInf"}


class DirectLinker(JITLinker):
    """Runs a graph as one Python function that calls NumPy, or with `native` compiled functions of the nodes that have one."""

    def __init__(self, *args: Any, native: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.native = native

    def fgraph_convert(self, fgraph: Any, order: Sequence[Apply], **kwargs: Any) -> Call:
        return _function(fgraph, order, self.native)

    def jit_compile(self, fn: Call) -> Call:
        return fn

    def create_thunk_inputs(self, storage_map: Any) -> list[Any]:
        return [storage_map[variable] for variable in self.fgraph.inputs]


class DirectCall:
    """Calls the graph of a function that `DirectLinker` made, past PyTensor's checks and storage cells.

    Parameters
    ----------
    function
        PyTensor's function, of one input and shared variables, whose values are those of now. Its attributes are here too.
    """

    def __init__(self, function: Any) -> None:
        self.function = function
        self._graph: Call = function.vm.jit_fn
        self._shared = [_owned(container.storage[0]) for container in function.input_storage[1:]]

    def __call__(self, x: Any) -> Any:
        return self._graph(x, *self._shared)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copies and pickles are made by the class
            raise AttributeError(name)
        return getattr(self.function, name)

    def __reduce__(self) -> Any:
        return DirectCall, (self.function,)


def _owned(value: Any) -> Any:
    """A read-only array that owns its memory, which what is kept for rows asks for; unpickled ones lie in a buffer."""
    if not isinstance(value, np.ndarray) or value.flags.writeable or value.base is None:
        return value
    value = value.copy()
    value.flags.writeable = False
    return value


def _function(fgraph: Any, order: Sequence[Apply], native: bool) -> Call:
    """The graph as a function from values of its inputs to a tuple of values of its outputs."""
    names: dict[Any, str] = {}
    scope: dict[str, Any] = {"errstate": np.errstate, "asarray": np.asarray, "raise_meant": raise_meant}
    silent = True

    def name(variable: Any) -> str:
        if variable not in names:
            names[variable] = f"v{len(names)}"
            if isinstance(variable, Constant):
                scope[names[variable]] = variable.data
        return names[variable]

    given = [name(variable) for variable in fgraph.inputs]
    lines: list[str] = []
    natives: dict[str, Any] = {}
    for i, node in enumerate(order):
        inputs = [name(variable) for variable in node.inputs]
        outputs = [name(variable) for variable in node.outputs]
        sign = _VARIADIC.get(_scalar_name(node), "") if _keeps_dtype(node) else ""
        if sign:
            silent = silent and sign == "+"
            lines.append(f"{outputs[0]} = {f' {sign} '.join(inputs)}")
            continue
        place = _place(node)
        if place is not None:
            scope[f"p{i}"] = place
            lines.append(f"{outputs[0]} = {inputs[0]}[p{i}]")
            continue
        own = node.op.native(node) if native and getattr(node.op, "native_pays", False) else None
        if own is None:
            scope[f"f{i}"] = _direct(node)
            silent = silent and _is_silent(node)
        else:
            natives[f"f{i}"] = own
            inputs = [  # NumPy turns arrays without axes into numbers, which compiled functions do not take
                one if variable.type.ndim or isinstance(variable, Constant) else f"asarray({one})"
                for one, variable in zip(inputs, node.inputs, strict=True)
            ]
            for j, constant in enumerate(own.constants):
                scope[f"c{i}_{j}"] = constant
                inputs.append(f"c{i}_{j}")
            outputs = _places(outputs, own)
        lines.append(f"{', '.join(outputs)}{',' if len(outputs) > 1 else ''} = f{i}({', '.join(inputs)})")
    for own in natives.values():
        expect(own.function)
    ask(own.function for own in reversed(natives.values()))  # this process will begin with the first
    scope |= {one: _at_first_call(scope, one, natives) for one in natives}
    results = [_result(variable, name(variable), scope) for variable in fgraph.outputs]
    lines.append(f"return ({''.join(one + ', ' for one in results)})")
    if not silent:
        lines = ["with errstate(all='ignore'):", *(f"    {line}" for line in lines)]
    if natives:
        lines = ["try:", *(f"    {line}" for line in lines), "except SystemError as error:", "    raise_meant(error)"]
    exec("\n    ".join([f"def graph({', '.join(given)}):", *lines]), scope)
    found: Call = scope["graph"]
    return found


def _places(outputs: Sequence[str], native: Any) -> list[str]:
    """Names for all results of a compiled function, which may be more than the node's outputs."""
    if not native.outputs:
        return list(outputs)
    found = ["_"] * native.n_results
    for place, name in zip(native.outputs, outputs, strict=True):
        found[place] = name
    return found


def _is_silent(node: Apply) -> bool:
    """Whether NumPy has nothing to warn of: only numbers change places or are added, or the Op sees to it.

    Sums warn where infinities of both signs meet: a log density of -inf and a log Jacobian that overflows, at coordinates beyond
    1e300, from which `_NUTS` shields the chains that it forks.
    """
    op = node.op
    adds = isinstance(op, CAReduce) and type(op.scalar_op).__name__ == "Add"
    return adds or isinstance(op, (DimShuffle, Join, Reshape, Subtensor)) or getattr(op, "silent", False)


def _result(variable: Any, name: str, scope: dict[str, Any]) -> str:
    """An output as the array of its type; values that are no tensors (random generators) pass."""
    dtype = getattr(variable.type, "dtype", None)
    if dtype is None or not hasattr(variable.type, "ndim"):
        return name
    scope[f"type_{dtype}"] = np.dtype(dtype)
    return f"asarray({name}, type_{dtype})"


def _scalar_name(node: Apply) -> str:
    return type(node.op.scalar_op).__name__ if isinstance(node.op, Elemwise) else ""


def _keeps_dtype(node: Apply) -> bool:
    """Whether NumPy's rules give the node's output its type."""
    try:
        return bool(np.result_type(*(v.type.dtype for v in node.inputs)) == np.dtype(node.outputs[0].type.dtype))
    except (AttributeError, TypeError):
        return False


def _direct(node: Apply) -> Call:
    """A function of the node's inputs."""
    if hasattr(node.op, "direct"):
        found: Call = node.op.direct(node)
        return found
    return _in_numpy(node) or _by_perform(node)


def _at_first_call(scope: dict[str, Any], name: str, natives: dict[str, Any]) -> Call:
    """What stands in its place in `scope` until it is called, when all compiled functions are loaded."""

    def first(*inputs: Any) -> Any:
        make_expected_ready()
        for one, native in natives.items():
            scope[one] = native.function.ready
        return scope[name](*inputs)

    return first


def _in_numpy(node: Apply) -> Call | None:
    """A node of PyTensor's own as a NumPy function, if it has such a form."""
    op = node.op
    if isinstance(op, Elemwise):
        return _elementwise(node)
    if isinstance(op, CAReduce):
        return _reduction(node)
    if isinstance(op, DimShuffle):
        return _dimshuffle(op.new_order, node.inputs[0].type.ndim)
    if isinstance(op, Reshape) and isinstance(node.inputs[1], Constant):
        shape = tuple(int(n) for n in node.inputs[1].data)
        return (lambda x, _: x.reshape(shape)) if node.inputs[0].type.ndim else (lambda x, _: np.reshape(x, shape))
    if isinstance(op, Join):
        return _join(node)
    return None


def _place(node: Apply) -> tuple[Any, ...] | None:
    """The index that gives the node's output from its first input, if it is a constant one."""
    op = node.op
    if not node.inputs or not getattr(node.inputs[0].type, "ndim", 0):  # it may be a number
        return None
    if isinstance(op, Subtensor) and all(isinstance(variable, Constant) for variable in node.inputs[1:]):
        return tuple(_plain(entry) for entry in indices_from_subtensor(node.inputs[1:], op.idx_list))
    if isinstance(op, DimShuffle):
        return _place_of_axes(op.new_order, node.inputs[0].type.shape)
    return None


def _place_of_axes(new_order: Sequence[Any], shape: Sequence[int | None]) -> tuple[Any, ...] | None:
    """The same for axes dropped and put in, where none is turned and those dropped are known to have length 1."""
    ndim, kept = len(shape), [axis for axis in new_order if axis != "x"]
    if kept != sorted(kept) or any(shape[axis] != 1 for axis in range(ndim) if axis not in kept):
        return None
    place: list[Any] = []
    seen = 0
    for axis in new_order:
        if axis == "x":
            place.append(None)
        else:
            place += [0] * (axis - seen) + [slice(None)]
            seen = axis + 1
    return (*place, *[0] * (ndim - seen))


def _dimshuffle(new_order: Sequence[Any], ndim: int) -> Call:
    """Axes dropped, which must have length 1, turned and put in."""
    kept = [axis for axis in new_order if axis != "x"]
    put_in = tuple(None if axis == "x" else slice(None) for axis in new_order)
    if ndim == 0:
        return lambda x: np.asarray(x)[put_in]
    dropped = tuple(axis for axis in range(ndim) if axis not in kept)
    turn = tuple(sorted(kept).index(axis) for axis in kept)
    return lambda x: x.squeeze(dropped).transpose(turn)[put_in]


def _join(node: Apply) -> Call | None:
    """PyTensor 2 has the axis as the first input, PyTensor 3 in the Op."""
    axis = getattr(node.op, "axis", None)
    if axis is not None:
        return lambda *parts: np.concatenate(parts, axis=axis)
    if not isinstance(node.inputs[0], Constant):
        return None
    given = int(node.inputs[0].data)
    return lambda _, *parts: np.concatenate(parts, axis=given)


def _plain(entry: Any) -> Any:
    if isinstance(entry, slice):
        return slice(*(None if end is None else int(_value(end)) for end in (entry.start, entry.stop, entry.step)))
    return int(_value(entry))


def _value(end: Any) -> Any:
    return end.data if isinstance(end, Constant) else end


def _elementwise(node: Apply) -> Call | None:
    scalar = node.op.scalar_op
    if len(node.outputs) != 1 or not (_keeps_dtype(node) or _scalar_name(node) in _OTHER_DTYPES):
        return None
    if type(scalar).__name__ == "Softplus":
        return lambda x: np.logaddexp(0.0, x)
    spec = getattr(scalar, "nfunc_spec", None)
    if not spec or spec[1] != len(node.inputs) or spec[2] != 1:
        return None
    path, _, function = spec[0].rpartition(".")
    if not path:
        return getattr(np, function, None)
    if path == "scipy.special":
        from scipy import special

        return getattr(special, function, None)
    return None


def _reduction(node: Apply) -> Call | None:
    ufunc = _REDUCTIONS.get(type(node.op.scalar_op).__name__)
    if ufunc is None or node.inputs[0].type.dtype != node.outputs[0].type.dtype:
        return None
    axis = node.op.axis
    axis = None if axis is None else tuple(int(a) for a in np.atleast_1d(axis))
    return lambda x: ufunc.reduce(x, axis=axis)


def _by_perform(node: Apply) -> Call:
    """The node's own thunk in Python."""
    cells: dict[Any, list[Any]] = {variable: [None] for variable in (*node.inputs, *node.outputs)}
    for variable in node.inputs:
        if isinstance(variable, Constant):
            cells[variable][0] = variable.data
    thunk = node.op.make_thunk(node, cells, {variable: [True] for variable in cells}, [], impl="py")
    free = [cells[variable] for variable in node.inputs]
    results = [cells[variable] for variable in node.outputs]

    def call(*inputs: Any) -> Any:
        for cell, value in zip(free, inputs, strict=True):
            cell[0] = np.asarray(value) if isinstance(value, np.generic | float) else value
        for cell in results:
            cell[0] = None
        thunk()
        return results[0][0] if len(results) == 1 else tuple(cell[0] for cell in results)

    return call
