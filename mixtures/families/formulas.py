"""A family's density and M-step as a person writes them, in words and in LaTeX: what `Mixture.describe` prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatch

from ..priors import Prior
from ..slots import Fixed, Shared, inner_slot
from .base import Family

__all__ = ["Formula", "Formulas", "Notation", "Symbol", "formulas", "maximiser", "ratio"]


@dataclass(frozen=True)
class Formula:
    """One formula, in words and in LaTeX."""

    words: str
    latex: str

    def __add__(self, other: Formula) -> Formula:
        return Formula(f"{self.words} + {other.words}", f"{self.latex} + {other.latex}")

    def equals(self, other: Formula) -> Formula:
        """The equation."""
        return Formula(f"{self.words} = {other.words}", f"{self.latex} = {other.latex}")

    def of(self, other: Formula) -> Formula:
        """Something written behind: a sum and its summand."""
        return Formula(f"{self.words} {other.words}", f"{self.latex} \\, {other.latex}")


@dataclass(frozen=True)
class Formulas:
    """Of one block: its density, the equation of the M-step for each parameter that is estimated, the symbols used, and what the
    E-step takes expectations of beside the components.
    """

    density: Formula
    m_step: Mapping[str, Formula] = field(default_factory=dict)
    symbols: Mapping[str, Symbol] = field(default_factory=dict)
    e_step: tuple[Formula, ...] = ()


@dataclass(frozen=True)
class Symbol:
    """A parameter of one block as formulas write it.

    Parameters
    ----------
    name
        Its public name.
    letter
        Its letter in LaTeX.
    entries
        Indices behind the component's, e.g. "j" for the column; none for vectors and matrices.
    prior
        Its prior, its own or the block's joint one; None where the specification names none.
    is_fixed
        Whether all of it is known.
    sharers
        The blocks that have this one value, or the block alone.
    """

    name: str
    letter: str
    entries: str
    prior: Prior | None
    is_fixed: bool
    sharers: tuple[Family, ...]

    @property
    def is_shared(self) -> bool:
        """Whether several components have one value."""
        return len(self.sharers) > 1

    @property
    def k(self) -> str:
        """Index of the component inside `total`."""
        return "l" if self.is_shared else "k"

    def at(self, k: str = "k") -> Formula:
        """The parameter of component k."""
        index = ("" if self.is_shared else k) + self.entries
        if not index:
            return Formula(self.name, self.letter)
        return Formula(f"{self.name}_{index}", f"{self.letter}_{{{index}}}")

    @property
    def total(self) -> Formula:
        """The sum of the responsibilities of the rows, for all components that share the value."""
        if self.is_shared:
            return Formula("sum_l sum_i r_il", r"\sum_l \sum_i r_{il}")
        return Formula("sum_i r_ik", r"\sum_i r_{ik}")


class Notation:
    """How the formulas of one block write its parameters and cells.

    Parameters
    ----------
    block
        The block.
    names
        Public name of each parameter.
    sharers
        For each parameter, the blocks that have this block's value.
    """

    def __init__(self, block: Family, names: Mapping[str, str], sharers: Mapping[str, tuple[Family, ...]]) -> None:
        self.block, self.names, self.sharers = block, names, sharers
        self.column = "j" if len(block.columns) > 1 else ""
        self.cell = Formula(f"x_i{self.column}", f"x_{{i{self.column}}}")
        self.product = r"\prod_j " if self.column else ""

    def symbol(self, name: str, letter: str | None = None, entries: str | None = None) -> Symbol:
        """A parameter with its LaTeX letter; `entries` are its indices, by default the column."""
        slot = inner_slot(self.block.slots[name])
        return Symbol(
            self.names[name],
            letter or rf"\mathrm{{{self.names[name]}}}".replace("_", r"\_"),
            self.column if entries is None else entries,
            next((prior for _, prior, names in self.block.prior_terms() if name in names), None),
            isinstance(slot, Fixed) and slot.is_whole,
            self.sharers[name] if isinstance(self.block.slots[name], Shared) else (self.block,),
        )

    def density(self, words: str, latex: str) -> Formula:
        """The density of a block of independent columns, from that of a cell."""
        independent = ", columns independent" if self.column else ""
        return Formula(f"{self.cell.words} ~ {words}{independent}", f"f_k(x_i) = {self.product}{latex}")


def maximiser(symbol: Symbol) -> Formula:
    """The M-step in general, where there is no closed form to show."""
    words = f"{symbol.at().words} maximises {symbol.total.words} log f_{symbol.k}(x_i)"
    latex = rf"{symbol.at().latex} = \arg\max \; {symbol.total.latex} \log f_{symbol.k}(x_i)"
    if symbol.prior is not None:
        words, latex = f"{words} + log prior", rf"{latex} + \log p({symbol.at().latex})"
    return Formula(words, latex)


def ratio(symbol: Symbol, above: Formula, below: Formula, prior: tuple[str, str] = ("", "")) -> Formula:
    """The M-step `symbol = above / below`, with the prior's terms where there is a prior.

    `prior` is what it adds above and below, in words; LaTeX writes the names of Greek letters as letters.
    """
    if symbol.prior is not None:
        above, below = (_plus(one, term) for one, term in zip((above, below), prior, strict=True))
    words = f"{symbol.at().words} = ({above.words}) / ({below.words})"
    return Formula(words, rf"{symbol.at().latex} = \frac{{{above.latex}}}{{{below.latex}}}")


def _plus(formula: Formula, term: str) -> Formula:
    latex = re.sub(r"\b(alpha|beta|kappa|sum)(?![a-z])", r"\\\1", term)
    return Formula(f"{formula.words} + {term}", f"{formula.latex} + {latex}") if term else formula


@singledispatch
def formulas(block: Family, notation: Notation) -> Formulas:
    """The formulas of a block; what holds for every family, unless a function is registered for the family.

    Examples
    --------
    >>> from mixtures import Poisson
    >>> block = Poisson("goals")
    >>> formulas(block, Notation(block, {"rate": "rate"}, {"rate": (block,)})).m_step["rate"].words
    'rate_k = (sum_i r_ik x_i) / (sum_i r_ik)'
    """
    symbols = {q.name: notation.symbol(q.name, entries="") for q in block.parameters}
    name = type(block).__name__
    given = Formula(
        ", ".join(one.at().words for one in symbols.values()), ", ".join(one.at().latex for one in symbols.values())
    )
    density = Formula(f"x_i ~ {name}({given.words})", rf"x_i \sim \mathrm{{{name}}}({given.latex})")
    if block.ratio is not None:
        (own,) = (notation.symbol(q.name) for q in block.parameters)
        above, below = (own.total if one == "mass" else own.total.of(notation.cell) for one in block.ratio)
        cell = notation.density(
            f"{name}({own.at().words})", rf"\mathrm{{{name}}}({notation.cell.latex} \mid {own.at().latex})"
        )
        update = {} if own.is_fixed else {block.parameters[0].name: ratio(own, above, below, ("a - 1", "b"))}
        return Formulas(cell, update, {block.parameters[0].name: own})
    estimated = [q.name for q in block.parameters if q.domain.size(q.shape(len(block.columns)))]
    m_step = {key: maximiser(symbols[key]) for key in estimated if not symbols[key].is_fixed}
    return Formulas(density, m_step, symbols)
