"""The formulas of the Gaussian family as a person writes them."""

from __future__ import annotations

from ..priors import Prior
from ..slots import Fixed, inner_slot
from .base import Family
from .formulas import Formula, Formulas, Notation, Symbol, formulas, maximiser, ratio
from .gaussian import Gaussian

__all__ = ["scatter_over_divisor"]


@formulas.register
def _formulas(block: Gaussian, notation: Notation) -> Formulas:
    mean, covariance = notation.symbol("mean", r"\mu", ""), notation.symbol("covariance", r"\Sigma", "")
    m, s = mean.at(), covariance.at()
    density = Formula(f"x_i ~ Normal({m.words}, {s.words})", rf"x_i \sim \mathcal{{N}}({m.latex}, {s.latex})")
    m_step = {}
    if not mean.is_fixed:
        closed = not mean.is_shared and not _own_prior(block, "mean")
        update = ratio(mean, mean.total.of(Formula("x_i", "x_i")), mean.total, ("kappa m", "kappa"))
        m_step["mean"] = update if closed else maximiser(mean)
    if not covariance.is_fixed:
        closed = not mean.is_shared and not _own_prior(block, "covariance")
        m_step["covariance"] = scatter_over_divisor(block, mean, covariance) if closed else maximiser(covariance)
    return Formulas(density, m_step, {"mean": mean, "covariance": covariance})


_DIVISORS = {"full": ("", "{S}", "{S}"), "diagonal": ("", "diag({S})", r"\mathrm{{diag}}({S})"),
             "spherical": ("{d} ", "trace({S}) I", r"\mathrm{{tr}}({S}) \, I")}  # fmt: skip
"""Of each structure: how often a row counts in the divisor, and the scatter S that is kept, in words and in LaTeX."""


_LOOPS = {
    "VEI": "an inner loop finds the shape by Newton's method",
    "VEE": "an inner loop finds the common matrix by fixed points",
    "EVE": "an inner loop turns the axes, two at a time",
    "VVE": "an inner loop turns the axes, two at a time",
    "VEV": "an inner loop finds the shape by Newton's method",
}
"""How covariances are found that are equal in one respect and not in another, where there is no closed form."""


def _own_prior(block: Gaussian, parameter: str) -> bool:
    return isinstance(inner_slot(block.slots[parameter]), Prior)


def scatter_over_divisor(block: Family, mean: Symbol, covariance: Symbol, weight: Formula | None = None) -> Formula:
    """Posterior scatter over its divisor, by the block's structure; tied covariances add over the components l that share them.

    Rows count in the scatter with their `weight`, if there is one.
    """
    structure = block.option_values()["structure"]
    d, k, total = len(block.columns), covariance.k, covariance.total
    at = mean.at(k)
    counted = total if weight is None else total.of(weight)
    words = f"{counted.words} (x_i - {at.words})(x_i - {at.words})'"
    latex = rf"{counted.latex} (x_i - {at.latex})(x_i - {at.latex})^\top"
    coupled = structure not in _DIVISORS
    times, kept, kept_latex = _DIVISORS["full" if coupled or d == 1 else structure]
    below, below_latex = times.format(d=d) + total.words, times.format(d=d) + total.latex
    if covariance.prior is not None:
        means = sum(
            not isinstance(inner_slot(one.slots[block.parameters[0].name]), Fixed) for one in covariance.sharers
        )
        if means:
            pulled, pulled_latex = f"({at.words} - m)", f"({at.latex} - m)"
            some = means < len(covariance.sharers)
            over = f"sum_(l: {at.words} free) " if some else "sum_l " if covariance.is_shared else ""
            over_latex = rf"\sum_{{l: {at.latex} \, \mathrm{{free}}}} " if some else r"\sum_l " if over else ""
            words += f" + {over}kappa {pulled}{pulled}'"
            latex += rf" + {over_latex}\kappa {pulled_latex}{pulled_latex}^\top"
        spherical = structure == "spherical" and d > 1
        words += f" + Lambda / {d}" if spherical else " + Lambda"
        latex += rf" + \Lambda / {d}" if spherical else r" + \Lambda"
        extra = (d if spherical else 1) * means + (d + 1 if coupled or structure == "full" else 2)
        below, below_latex = f"{below} + nu + {extra}", rf"{below_latex} + \nu + {extra}"
    if coupled:
        return _coupled(structure, covariance, Formula(words, latex), Formula(below, below_latex))
    return Formula(
        f"{covariance.at().words} = ({kept.format(S=words)}) / ({below})",
        rf"{covariance.at().latex} = \frac{{{kept_latex.format(S=latex)}}}{{{below_latex}}}",
    )


def _coupled(code: str, covariance: Symbol, scatter: Formula, divisor: Formula) -> Formula:
    """Covariances of all components together: what they minimise, of which form they are, and how they are found.

    References
    ----------
    Celeux & Govaert (1995), Gaussian parsimonious clustering models, Pattern Recognition 28, 781-793.
    """
    s, own = covariance.at(), [letter == "V" for letter in code]
    names = [f"{name}_k" if each else name for name, each in zip(("volume", "shape", "axes"), own, strict=True)]
    letters = [f"{name}_k" if each else name for name, each in zip((r"\lambda", "A", "D"), own, strict=True)]
    form, form_latex = f"{names[0]} {names[1]}", f"{letters[0]} {letters[1]}"
    if code[2] != "I":
        form = f"{names[0]} {names[2]} {names[1]} {names[2]}'"
        form_latex = rf"{letters[0]} {letters[2]} {letters[1]} {letters[2]}^\top"
    along = ", along the columns" if code[2] == "I" else ""
    how = _LOOPS.get(code, "in closed form")
    return Formula(
        f"{s.words} = {form} (structure {code}{along}) minimise sum_k N_k log det {s.words} + trace(W_k {s.words}^-1), "
        f"where N_k = {divisor.words} and W_k = {scatter.words}; {how}",
        rf"{s.latex} = {form_latex} : \min \sum_k N_k \log |{s.latex}| + \mathrm{{tr}}(W_k {s.latex}^{{-1}}), "
        rf"\; N_k = {divisor.latex}, \; W_k = {scatter.latex}",
    )
