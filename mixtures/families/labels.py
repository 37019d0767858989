"""Known component labels of some rows, certain or as probabilities: a block beside the others, with nothing to estimate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..domains import Index, Parameter
from ..errors import DataError, SpecError
from ..priors import Numbers
from ..slots import Fixed, Free, Shared, Slot
from .base import Array, Family, Layout, Theta
from .formulas import Formula, Formulas, Notation, formulas

__all__ = ["Labels"]

TINY = np.finfo(np.float64).tiny
NOBODY = -1
"""The label of a component that no row is ever labelled with."""


class Labels(Family):
    """What is known of the component that rows come from, multiplied into a component: `Gaussian("x") * Labels("known")`.

    With one column, its values are component numbers 0 to K - 1, and missing where nothing is known: a row labelled k adds
    log(w_k f_k) to the log-likelihood. With K columns, column k says how plausible component k is, between 0 and 1: a
    row's density is the sum of plausibility_k w_k f_k, with plausibilities divided by their largest. (1, 0, 0) is thus a
    certain label, and equal numbers are none. Columns that are no component's label count for nothing.

    Parameters
    ----------
    *columns
        One column of labels, or K columns of plausibilities in the order of the components.
    label
        The number that rows of this component are labelled with, or the position of its column; None takes the component's
        own. -1 says that no row is labelled as of this component; such components stay exchangeable.
    name
        Name of the block.

    Raises
    ------
    SpecError
        For labels that are not integers from -1 on, or beyond the last of several columns.

    Examples
    --------
    >>> from mixtures import Gaussian, Mixture
    >>> Mixture(Gaussian("x") * Labels("known"), n_components=2)
    Mixture(Gaussian('x') * Labels('known'), n_components=2)

    References
    ----------
    Côme, Oukhellou, Denoeux & Aknin (2009), Learning from partially supervised data using mixture models and belief
    functions, Pattern Recognition 42, 334-348.
    """

    parameters = (Parameter("label", Index(), ()),)
    discrete: ClassVar[bool] = True
    evidence: ClassVar[bool] = True
    reads_missing: ClassVar[bool] = True

    def _check_slots(self) -> None:
        super()._check_slots()
        slot = self.slots["label"]
        if isinstance(slot, Fixed):
            number, last = float(slot.array), len(self.columns) - 1
            if number != round(number) or number < NOBODY or (last > 0 and number > last):
                raise SpecError(
                    f"Labels({', '.join(map(repr, self.columns))}): label={number:g}; component numbers from 0 "
                    f"{f'to {last} ' if last else ''}are legal, and -1 for a component that no row is labelled with."
                )
        elif not isinstance(slot, Free):
            raise SpecError(f"Labels: label={slot!r} is neither estimated nor shared; it is a number, or left out.")

    @property
    def allowed_values(self) -> str:  # type: ignore[override]
        return (
            "component numbers 0, 1, ..., missing where nothing is known,"
            if len(self.columns) == 1
            else "plausibilities between 0 and 1"
        )

    def of_component(self, component: int) -> Family:
        return self.replace(label=component) if isinstance(self.slots["label"], Free) else self

    def of_any_component(self, component: int) -> Family:
        return self.replace(label=None) if self.slots["label"] == Fixed(float(component)) else self

    def unsupported(self, parameter: str, slot: Slot) -> str | None:
        return "labels are not shared; leave label out." if isinstance(slot, Shared) else None

    def resolve(self, x: Array, v: Array, partition: Array) -> Family:
        return self

    def allowed(self, x: Array) -> NDArray[np.bool_]:
        if len(self.columns) == 1:
            return np.isnan(x) | (x >= 0) & np.isfinite(x) & (x == np.floor(x))
        return np.isnan(x) | (x >= 0) & (x <= 1)

    def check(self, x: Array, row_name: Callable[[int], str] = "row {}".format) -> None:
        super().check(x, row_name)
        unusable = np.isnan(x).any(axis=1) & ~np.isnan(x).all(axis=1) | ~(x > 0).any(axis=1) & ~np.isnan(x).any(axis=1)
        if len(self.columns) > 1 and unusable.any():
            i = int(np.flatnonzero(unusable)[0])
            raise DataError(
                f"Columns {', '.join(map(repr, self.columns))}, {row_name(i)}: found {x[i].tolist()}. Of a row either all "
                "plausibilities are missing, or none and one of them is above 0."
            )

    # -- the formulas ------------------------------------------------------------------------------

    def log_density(self, x: Array, theta: Theta) -> Array:
        label = theta["label"].astype(np.intp)
        known = ~np.isnan(x[:, :1])
        with np.errstate(divide="ignore", invalid="ignore"):
            if len(self.columns) == 1:
                return np.where(known & (x != label), -np.inf, 0.0)
            own = np.where(label >= 0, x[:, np.maximum(label, 0)], 0.0)
            return np.where(known, np.log(own / np.maximum(own.max(axis=1, keepdims=True), TINY)), 0.0)

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        return {"mass": R.sum(axis=0)}

    def score(self, S: Mapping[str, Array], theta: Theta) -> Theta:
        return {"label": np.zeros_like(theta["label"])}

    def maximise(
        self, S: Mapping[str, Array], theta: Theta, layout: Mapping[str, Layout], prior: Mapping[str, Numbers] | None
    ) -> Theta:
        return {"label": layout["label"].filled(theta["label"])}

    def draw(self, z: NDArray[np.intp], theta: Theta, rng: np.random.Generator) -> Array:
        """The labels that rows of those components bear; missing for components that no row is labelled with."""
        label = theta["label"][z]
        if len(self.columns) == 1:
            return np.where(label >= 0, label, np.nan)[:, None]
        return np.where(label[:, None] >= 0, label[:, None] == np.arange(len(self.columns)), np.nan)

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        import pytensor.tensor as pt

        label = theta["label"][None, :]
        if len(self.columns) == 1:
            return pt.switch(pt.isnan(x) | pt.eq(x, label), 0.0, -np.inf)
        chosen = pt.eq(pt.arange(len(self.columns))[:, None], label)
        share = (pt.switch(pt.isnan(x), 1.0, x)[:, :, None] * chosen[None]).sum(axis=1)
        top = pt.maximum(share.max(axis=1, keepdims=True), TINY)
        return pt.switch(pt.isnan(x[:, :1]), 0.0, pt.log(share / top))


@formulas.register
def _formulas(block: Labels, notation: Notation) -> Formulas:
    label = notation.symbol("label", r"\ell", "")
    at, slot = label.at(), block.slots["label"]
    if slot == Fixed(float(NOBODY)):
        density = Formula(
            "f_k(x_i) = 1 where x_i is missing, else 0",
            r"f_k(x_i) = 1 \; (x_i \; \mathrm{missing}), \; 0 \; (\mathrm{else})",
        )
    elif len(block.columns) == 1:
        density = Formula(
            f"f_k(x_i) = 1 where x_i is {at.words} or missing, else 0",
            rf"f_k(x_i) = 1 \; (x_i = {at.latex} \; \mathrm{{or}} \; \mathrm{{missing}}), \; 0 \; (\mathrm{{else}})",
        )
    else:
        density = Formula(
            f"f_k(x_i) = x_ij / max_l x_il with j = {at.words}, 1 where x_i is missing",
            rf"f_k(x_i) = x_{{i{at.latex}}} / \max_l x_{{il}}, \; 1 \; (x_i \; \mathrm{{missing}})",
        )
    return Formulas(density, {}, {"label": label})
