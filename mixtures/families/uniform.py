"""The uniform density on a box: a component for noise, with nothing to estimate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..domains import Known, Parameter
from ..errors import DataError, SpecError
from ..priors import Numbers
from ..slots import Fixed, Shared, Slot
from .base import Array, Family, Layout, Theta
from .formulas import Formulas, Notation, formulas

__all__ = ["Uniform"]


class Uniform(Family):
    """Columns with one density on a box and none outside: a component that takes up the noise.

    Parameters
    ----------
    *columns
        Names of the columns; rows outside the box have density 0, which another component may take up.
    low, high
        The box, in the columns' units, edges included: one number for all columns or one per column; None takes the
        range of the data. They are never estimated.
    name
        Name of the block.

    Raises
    ------
    SpecError
        For a box without volume, naming the column, and for bounds that are not numbers.

    Examples
    --------
    >>> Uniform("x", "y", low=0, high=(1, 2))
    Uniform('x', 'y', low=0.0, high=[1.0, 2.0])

    References
    ----------
    Banfield & Raftery (1993), Model-based Gaussian and non-Gaussian clustering, Biometrics 49, 803-821, section 5.
    """

    parameters = (Parameter("low", Known()), Parameter("high", Known()))
    option_choices: ClassVar[dict[str, tuple[Any, ...]]] = {"low": (-1.0,), "high": (2.5,)}
    separable: ClassVar[bool] = True
    any_units: ClassVar[bool] = True
    resolves_on_all_rows: ClassVar[bool] = True

    def _check_slots(self) -> None:
        super()._check_slots()
        low, high = self._bounds()
        for column, a, b in zip(self.columns, low, high, strict=True):
            if a >= b:
                raise SpecError(
                    f"{type(self).__name__}({', '.join(map(repr, self.columns))}): in column {column!r} low={a:g} is "
                    f"not below high={b:g}. Give a box with a volume."
                )

    def _bounds(self) -> tuple[Array, Array]:
        """low and high (d,), NaN where the data are to say it."""
        found = []
        for parameter in self.parameters:
            slot, open_ = self.slots[parameter.name], np.full(len(self.columns), np.nan)
            found.append(self._fixed_array(parameter, slot, repr(self)) if isinstance(slot, Fixed) else open_)
        return found[0], found[1]

    def unsupported(self, parameter: str, slot: Slot) -> str | None:
        if isinstance(slot, Shared):
            return (
                f"{parameter}={slot!r}: bounds are numbers. Give every component the same, or leave them to the data."
            )
        return None

    def resolve(self, x: Array, v: Array, partition: Array) -> Family:
        low, high = self._bounds()
        used = x[v > 0]
        low = np.where(np.isnan(low), np.nanmin(used, axis=0), low)
        high = np.where(np.isnan(high), np.nanmax(used, axis=0), high)
        for column, a, b in zip(self.columns, low, high, strict=True):
            if a >= b:
                raise DataError(
                    f"Column {column!r}: the range of the data, {a:g} to {b:g}, is no box with a volume. "
                    f"Give {type(self).__name__} low= and high=."
                )
        return self.replace(low=low, high=high)

    def log_density(self, x: Array, theta: Theta) -> Array:
        low, high = theta["low"], theta["high"]
        inside = np.all((x[:, None] >= low) & (x[:, None] <= high), axis=2)
        with np.errstate(divide="ignore"):
            return np.where(inside, -np.log(high - low).sum(axis=1), -np.inf)

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        return {"mass": R.sum(axis=0)}

    def score(self, S: Mapping[str, Array], theta: Theta) -> Theta:
        return {name: np.zeros_like(value) for name, value in theta.items()}

    def maximise(
        self, S: Mapping[str, Array], theta: Theta, layout: Mapping[str, Layout], prior: Mapping[str, Numbers] | None
    ) -> Theta:
        return {name: layout[name].filled(value) for name, value in theta.items()}

    def draw(self, z: NDArray[np.intp], theta: Theta, rng: np.random.Generator) -> Array:
        low, high = theta["low"][z], theta["high"][z]
        return low + (high - low) * rng.random(low.shape)

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        import pymc as pm

        box = pm.Uniform.dist(lower=theta["low"][None, :, :], upper=theta["high"][None, :, :])
        return pm.logp(box, x[:, None, :]).sum(axis=-1)


@formulas.register
def _formulas(block: Uniform, notation: Notation) -> Formulas:
    low, high = notation.symbol("low", "a"), notation.symbol("high", "b")
    density = notation.density(
        f"Uniform({low.at().words}, {high.at().words})",
        rf"\frac{{[{low.at().latex} \leq {notation.cell.latex} \leq {high.at().latex}]}}{{{high.at().latex} - {low.at().latex}}}",
    )
    return Formulas(density, {}, {"low": low, "high": high})
