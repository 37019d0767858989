"""Named parameters: what users see of a point in parameter space, in data units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import check_kind
from ..errors import SpecError, nearest
from ..families.base import Array
from ..spec import Mixture
from .points import Params, Units

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Parameters"]


class Parameters(Mapping[str, Array]):
    """An immutable mapping from parameter names to arrays in data units; the first axis of each runs over components.

    Parameters
    ----------
    spec
        The specification whose parameters these are.
    values
        One array (or labelled array) per name: `weights` (K,) and those of the families, e.g. `mean` (K, d).

    Raises
    ------
    SpecError
        For missing or unknown names, wrong shapes and values outside a parameter's domain.

    Examples
    --------
    >>> import mixtures as mx
    >>> spec = mx.Mixture(mx.Bernoulli("a", "b"), n_components=2)
    >>> Parameters(spec, {"weights": [0.5, 0.5], "probability": [[0.1, 0.2], [0.8, 0.9]]})["probability"].shape
    (2, 2)
    """

    def __init__(self, spec: Mixture, values: Mapping[str, Any]) -> None:
        check_kind(values, Mapping, "Parameters", "pass a mapping from names to arrays, e.g. fit.point")
        given = {str(name): _numbers(str(name), value) for name, value in values.items()}
        expected = _shapes(spec)
        for name in given:
            if name not in expected:
                raise SpecError(
                    f"Unknown parameter {name!r}.{nearest(name, expected)} This specification has {', '.join(expected)}."
                )
        found: dict[str, Array] = {}
        self.specification = spec
        known = _known(spec)
        for name, (shape, parameter) in expected.items():
            if name not in given and name in known and not np.isnan(known[name]).any():
                given[name] = known[name].copy()
            if name not in given:
                raise SpecError(f"Parameter {name!r} is missing. This specification has {', '.join(expected)}.")
            value = given[name]
            if value.shape != shape:
                raise SpecError(f"Parameter {name!r} has shape {value.shape}; {shape} is needed (components first).")
            if name in known and np.any(
                off := np.abs(value - known[name]) > 1e-8 * np.maximum(1.0, np.abs(known[name]))
            ):
                k = int(np.argwhere(off)[0][0])
                raise SpecError(
                    f"Parameter {name!r} of component {k} is fixed at {np.array2string(known[name][k])} in the specification; found "
                    f"{np.array2string(value[k], precision=6)}."
                )
            for k, one in enumerate(value[None] if name == "weights" else value):
                problem = "must not be NaN" if np.any(np.isnan(one)) else parameter.domain.estimate_problem(one)
                if problem:
                    where = "" if name == "weights" else f" of component {k}"
                    raise SpecError(f"Parameter {name!r}{where} {problem}; found {np.array2string(one, precision=6)}.")
            value.setflags(write=False)
            found[name] = value
        self._values = found
        self._check_shared()

    def _check_shared(self) -> None:
        for group in self.specification.groups:
            for name, layout in group.layout.items():
                value = self._values[group.names[name]]
                off = np.flatnonzero(np.any((value != value[layout.groups]).reshape(len(value), -1), axis=1))
                if off.size:
                    k, other = (group.components[j] for j in (off[0], layout.groups[off[0]]))
                    raise SpecError(
                        f"Parameter {group.names[name]!r} is shared by components {other} and {k}, but their values differ: "
                        f"{np.array2string(value[layout.groups[off[0]]], precision=6)} and {np.array2string(value[off[0]], precision=6)}."
                    )

    @classmethod
    def of(cls, spec: Mixture, p: Params) -> Parameters:
        """From the engine's parameters in data units, without checks."""
        self = object.__new__(cls)
        self.specification, self._values = spec, _named(spec, p)
        return self

    @classmethod
    def of_standard(cls, spec: Mixture, units: Units, p: Params) -> Parameters:
        """From the engine's parameters in standardised units; those in data units are computed when somebody asks for them."""
        self = object.__new__(cls)
        self.specification, self._standard = spec, (units, p)
        return self

    _standard: tuple[Units, Params] | None = None
    """The point as an engine took or gave it, and in which units."""

    @cached_property
    def _values(self) -> dict[str, Array]:
        assert self._standard is not None
        units, p = self._standard
        return _named(self.specification, units.to_data(p))

    def __getstate__(self) -> dict[str, Any]:
        return {"specification": self.specification, "_values": self._values}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for value in self._values.values():
            value.setflags(write=False)

    def standard(self, units: Units) -> Params:
        """The engine's form, in its units."""
        held = self._standard
        if held is None or held[0] is not units:
            self._standard = held = units, units.to_standard(self.params())
        return held[1]

    def params(self) -> Params:
        """The engine's form, in data units."""
        thetas = tuple(
            {parameter.name: self._values[group.names[parameter.name]] for parameter in group.family.parameters}
            for group in self.specification.groups
        )
        return Params(self._values["weights"], thetas)

    def __getitem__(self, name: str) -> Array:
        if name not in self._values:
            raise KeyError(f"{name!r}.{nearest(name, self._values)} Parameters are {', '.join(self._values)}.")
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return (
            "Parameters("
            + ", ".join(f"{name}={np.array2string(value, precision=5, separator=', ')}" for name, value in self.items())
            + ")"
        )

    def to_dataset(self) -> xr.Dataset:
        """The same as a labelled xarray Dataset: dims component and `<block>_column`."""
        import xarray as xr

        coords: dict[str, Any] = {"component": np.arange(self.specification.n_components)}
        variables: dict[str, Any] = {"weights": (("component",), self["weights"])}
        for group in self.specification.groups:
            coords[group.component_dim] = np.array(group.components)
            for parameter in group.family.parameters:
                dims = group.dims(parameter)
                coords.update(group.coords(parameter))
                variables[group.names[parameter.name]] = (dims, self[group.names[parameter.name]])
        return xr.Dataset(variables, coords=coords)


def _named(spec: Mixture, p: Params) -> dict[str, Array]:
    """Copies of the arrays of a point in data units, by the names that users know."""
    values = {"weights": p.weights.copy()}
    for group, theta in zip(spec.groups, p.thetas, strict=True):
        values.update({group.names[name]: value.copy() for name, value in theta.items()})
    for value in values.values():
        value.setflags(write=False)
    return values


def _numbers(name: str, value: Any) -> Array:
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SpecError(f"Parameter {name!r} is no array of numbers ({error}).") from error


def _known(spec: Mixture) -> dict[str, Array]:
    """Fixed values by name, (J, *shape), NaN where an entry is estimated; only parameters that have any."""
    found = {}
    for group in spec.groups:
        for name, layout in group.layout.items():
            if not layout.all_free:
                found[group.names[name]] = np.where(layout.free, np.nan, layout.fixed)
    return found


def _shapes(spec: Mixture) -> dict[str, Any]:
    from ..spec import WEIGHTS

    found: dict[str, Any] = {"weights": ((spec.n_components,), WEIGHTS)}
    for group in spec.groups:
        for parameter in group.family.parameters:
            shape = (len(group.components), *parameter.shape(len(group.columns)))
            found[group.names[parameter.name]] = (shape, parameter)
    return found
