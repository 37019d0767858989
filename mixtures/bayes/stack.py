"""Every difference between the two supported stacks: PyMC 5 with ArviZ 0.23 (InferenceData) and PyMC 6 with ArviZ 1 (DataTree)."""

from __future__ import annotations

import hashlib
import importlib
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytensor
import xarray as xr
from pytensor.compile.mode import Mode

from ..arguments import described
from ..errors import SpecError
from ..kernels.ahead import expect
from ..kernels.interrupts import raise_meant
from .direct import DirectLinker

__all__ = [
    "HAS_DATATREE",
    "Native",
    "as_datatree",
    "check_container",
    "disconnected",
    "drop_group",
    "group",
    "group_names",
    "has_group",
    "load",
    "make_container",
    "register_native",
    "sampling_mode",
    "save",
    "set_group",
    "versions",
]

HAS_DATATREE = int(version("pymc").split(".")[0]) >= 6
"""Whether PyMC hands back an xarray DataTree (else ArviZ's InferenceData)."""


# -- graphs -------------------------------------------------------------------------------------------------------------


def disconnected() -> Any:
    """The gradient with respect to an input that has none."""
    gradient = pytensor.gradient
    if hasattr(gradient, "disconnected_type"):
        return gradient.disconnected_type()
    return gradient.DisconnectedType()()


class Native(NamedTuple):
    """A compiled function that does an Op's work, called with the Op's inputs and then these constants.

    Its results are the Op's outputs, or where `outputs` says so those of the results that have these numbers.
    """

    function: Any
    constants: tuple[Any, ...] = ()
    outputs: tuple[int, ...] = ()

    def __call__(self, *inputs: Any) -> Any:
        return self.ready(*inputs)

    @property
    def n_results(self) -> int:
        """How many results the function has."""
        return len(self.function.signature.return_type)

    @property
    def ready(self) -> Callable[..., Any]:
        """The call, with the function loaded or compiled."""
        function, constants = self.function.ready, self.constants
        pick = itemgetter(*self.outputs) if self.outputs else None

        def call(*inputs: Any) -> Any:
            try:
                found = function(*inputs, *constants)
            except SystemError as error:
                raise_meant(error)
            return found if pick is None else pick(found)

        return call


def register_native(op_type: type) -> None:
    """Let numba's linker call what the Op's `native(node)` gives; where there is none, its `perform` in object mode."""
    dispatch = importlib.import_module("pytensor.link.numba.dispatch.basic")
    fallback: Callable[..., Any] = dispatch.generate_fallback_impl

    def funcify(op: Any, node: Any = None, **kwargs: Any) -> tuple[Callable[..., Any], str | None]:
        native = op.native(node) if hasattr(op, "native") else None
        if native is None:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Numba will use object mode", UserWarning)
                return fallback(op, node, **kwargs), None
        return _in_numba(native, node, dispatch.numba_njit)

    dispatch.register_funcify_and_cache_key(op_type)(funcify)


def _in_numba(native: Native, node: Any, compile_function: Callable[..., Any]) -> tuple[Callable[..., Any], str | None]:
    """A function of the node's inputs alone, and a key of the machine code that PyTensor keeps of it, if it may.

    Outputs without axes are arrays there, as PyTensor has them; our functions give numbers.
    """
    own, n_inputs = native.function, len(node.inputs)
    expect(own)
    numbers = [i for i, output in enumerate(node.outputs) if not output.type.ndim]
    said = [getattr(one, "tolist", lambda one=one: one)() for one in native.constants]
    digest = hashlib.sha256(f"{own.link.symbol} {n_inputs} {said} {native.outputs} {numbers}".encode()).hexdigest()
    inputs = ", ".join(f"x{i}" for i in range(n_inputs))
    names = {f"c{i}": constant for i, constant in enumerate(native.constants)}
    places = native.outputs or range(len(node.outputs))
    parts = [f"found[{place}]" for place in places] if len(node.outputs) > 1 or native.outputs else ["found"]
    results = ", ".join(f"asarray({one})" if i in numbers else one for i, one in enumerate(parts))
    scope: dict[str, Any] = {"function": own.link.call, "asarray": np.asarray, **names}
    exec(f"def native({inputs}):\n    found = function({', '.join([inputs, *names])})\n    return {results}", scope)
    return compile_function(scope["native"]), f"mixtures {digest}" if own.name else None


def sampling_mode(*, native: bool = False) -> Any:
    """How densities are compiled for sampling: as Python calls of the few nodes there are, which takes no compiler and no time.

    With `native`, nodes with a compiled function of ours call it: that pays where there are many rows.
    """
    return Mode(linker=DirectLinker(native=native), optimizer="fast_run").excluding("fusion", "inplace")


# -- containers of draws ------------------------------------------------------------------------------------------------


def make_container(groups: Mapping[str, xr.Dataset], attrs: Mapping[str, Any] | None = None) -> Any:
    """The stack's own container holding these groups."""
    if HAS_DATATREE:
        tree = xr.DataTree.from_dict({f"/{name}": data for name, data in groups.items()})
        tree.attrs.update(attrs or {})
        return tree
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*not defined in the InferenceData scheme", category=UserWarning)
        named: dict[str, Any] = dict(groups)
        return InferenceData(attrs=dict(attrs or {}), **named)


if not HAS_DATATREE:
    from arviz import InferenceData as ArvizInferenceData

    class InferenceData(ArvizInferenceData):
        """ArviZ's own, but adding a group that exists replaces it, as DataTree does: `pm.compute_log_likelihood` then runs."""

        def add_groups(self, group_dict: Any = None, *args: Any, **kwargs: Any) -> None:
            given = {**(group_dict or {}), **{k: v for k, v in kwargs.items() if isinstance(v, xr.Dataset)}}
            for name in given:
                drop_group(self, name)
            super().add_groups(group_dict, *args, **kwargs)


def check_container(value: Any, call: str) -> None:
    """Refuse what holds no draws.

    Raises
    ------
    SpecError
    """
    kinds = (xr.DataTree,) if HAS_DATATREE else (xr.DataTree, ArvizInferenceData)
    if not isinstance(value, kinds) or not has_group(value, "posterior"):
        raise SpecError(f"{call}: pass what mx.sample returns; found {described(value)}.")


def has_group(container: Any, name: str) -> bool:
    """Whether the container has that group."""
    return name in (container.children if isinstance(container, xr.DataTree) else container.groups())


def group(container: Any, name: str) -> xr.Dataset:
    """One group as a Dataset."""
    found = container[name]
    return found.to_dataset() if isinstance(found, xr.DataTree) else found


def group_names(container: Any) -> list[str]:
    """Names of all groups."""
    return list(container.children if isinstance(container, xr.DataTree) else container.groups())


def set_group(container: Any, name: str, data: xr.Dataset) -> None:
    """Add or replace one group in place."""
    if isinstance(container, xr.DataTree):
        container[name] = xr.DataTree(data)
        return
    drop_group(container, name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*not defined in the InferenceData scheme", category=UserWarning)
        container.add_groups({name: data})


def drop_group(container: Any, name: str) -> None:
    """Remove a group in place, if it is there."""
    if has_group(container, name):
        del container[name]


def as_datatree(container: Any) -> xr.DataTree:
    """The container as a DataTree, which is what arviz_stats reads on both stacks."""
    if isinstance(container, xr.DataTree):
        return container
    return xr.DataTree.from_dict({f"/{name}": group(container, name) for name in group_names(container)})


def save(container: Any, path: str | Path) -> None:
    """Write the container to a NetCDF file (h5netcdf)."""
    tree = as_datatree(container)
    if tree is not container:
        tree.attrs.update(container.attrs)
    tree.to_netcdf(path, engine="h5netcdf")


def load(path: str | Path) -> Any:
    """Read a container written by `save`, on either stack."""
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        groups = {name: child.to_dataset().load() for name, child in tree.children.items()}
        return make_container(groups, {str(key): value for key, value in tree.attrs.items()})


def versions() -> dict[str, str]:
    """Versions of the libraries that a posterior depends on."""
    return {name: version(name) for name in ("pymc", "pytensor", "arviz", "arviz-stats", "numpy", "xarray")}
