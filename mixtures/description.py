"""A specification in words and in LaTeX: its likelihood, its priors and the EM steps that it leads to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from .errors import SpecError, nearest
from .families.base import Family
from .families.formulas import Formula, Formulas, Notation, formulas, maximiser
from .priors import Dirichlet, Prior
from .slots import Fixed, Free, Shared, inner_slot
from .spec import Group, Mixture

__all__ = ["describe"]

FORMATS = ("text", "latex")
NUMBERS = {
    "alpha": Formula("alpha", r"\alpha"),
    "beta": Formula("beta", r"\beta"),
    "kappa": Formula("kappa", r"\kappa"),
    "nu": Formula("nu", r"\nu"),
    "mean": Formula("m", "m"),
    "rate": Formula("b", "b"),
    "scale_matrix": Formula("Lambda", r"\Lambda"),
    "shape": Formula("a", "a"),
}
"""How formulas call the numbers of priors."""


@dataclass(frozen=True)
class _Part:
    """Components of equal blocks: the group they belong to, the block, their indices and the block's formulas."""

    group: Group
    block: Family
    components: tuple[int, ...]
    found: Formulas


Line = str | Formula
Section = tuple[str, list[Line]]


def describe(spec: Mixture, format: str = "text") -> str:
    """The model in words or in LaTeX: likelihood, priors, E-step and M-step of exactly this specification.

    Parameters
    ----------
    spec
        The specification; one that `resolve` returns shows its default priors in numbers.
    format
        "text", or "latex" for a fragment with one displayed formula per line.

    Raises
    ------
    SpecError
        For another format.

    Examples
    --------
    >>> from mixtures import Exponential, GammaPrior, Mixture
    >>> print(describe(Mixture(Exponential("wait", rate=GammaPrior(2, 3)), 2, weights="equal")))
    Mixture of 2 components for 1 column: 'wait'.
    <BLANKLINE>
    Likelihood
      p(x_i) = sum_k f_k(x_i) / 2, k = 0 to 1
      components 0 and 1, column 'wait':
        x_i ~ Exponential(rate_k)
    <BLANKLINE>
    Priors
      rate_k ~ GammaPrior(a = 2, b = 3), components 0 and 1
      Terms of the M-step with a prior's numbers count for estimate='map'; maximum likelihood leaves them out.
    <BLANKLINE>
    E-step
      r_ik = f_k(x_i) / sum_l f_l(x_i)
      Where cells are missing, f_k is the density of the observed ones; sums leave them out.
    <BLANKLINE>
    M-step
      rate_k = (sum_i r_ik + a - 1) / (sum_i r_ik x_i + b)
    """
    if format not in FORMATS:
        raise SpecError(
            f"describe(format={format!r}): unknown format.{nearest(str(format), FORMATS)} Legal are {', '.join(FORMATS)}."
        )
    parts = _parts(spec)
    sections: list[Section] = [
        ("Likelihood", [*_likelihood(spec), *(line for part in parts for line in _block_lines(part))]),
        (
            "Priors",
            [
                *_weight_prior(spec),
                *(line for part in parts for line in _prior_lines(part)),
                *_about_priors(spec, parts),
            ],
        ),
        ("E-step", [_e_step(spec), *_expectations(spec, parts), *_missing_cells(spec)]),
        ("M-step", _m_step(spec, parts)),
    ]
    title = (
        f"Mixture of {spec.n_components} component{'s' * (spec.n_components > 1)} for {len(spec.columns)} "
        f"column{'s' * (len(spec.columns) > 1)}: {_listed(spec.columns)}."
    )
    return (_as_latex if format == "latex" else _as_text)(title, [one for one in sections if one[1]])


# -- what is said ------------------------------------------------------------------------------------------------------


def _parts(spec: Mixture) -> list[_Part]:
    found = []
    for group in spec.groups:
        alike: dict[Family, list[int]] = {}
        for j, block in enumerate(group.blocks):
            alike.setdefault(block, []).append(j)
        for block, places in alike.items():
            sharers = {
                name: tuple(group.blocks[j] for j in np.flatnonzero(where.groups == where.groups[places[0]]))
                for name, where in group.layout.items()
            }
            components = tuple(group.components[j] for j in places)
            said = formulas(block, Notation(block, group.names, sharers))
            found.append(_Part(group, block, components, _in_part(block, said)))
    return found


def _in_part(block: Family, said: Formulas) -> Formulas:
    """The formulas, general ones for parameters that are fixed in part: closed forms are for all entries."""
    partly = [name for name in said.m_step if isinstance(inner_slot(block.slots[name]), Fixed)]
    return replace(said, m_step={**said.m_step, **{name: maximiser(said.symbols[name]) for name in partly}})


def _likelihood(spec: Mixture) -> Iterator[Line]:
    last = spec.n_components - 1
    if _is_equal(spec):
        yield Formula(
            f"p(x_i) = sum_k f_k(x_i) / {last + 1}, k = 0 to {last}",
            rf"p(x_i) = \frac{{1}}{{{last + 1}}} \sum_{{k=0}}^{{{last}}} f_k(x_i)",
        )
    else:
        yield Formula(
            f"p(x_i) = sum_k w_k f_k(x_i), k = 0 to {last}", rf"p(x_i) = \sum_{{k=0}}^{{{last}}} w_k f_k(x_i)"
        )
        if isinstance(spec.weights, Fixed):
            yield Formula(f"w = {_number(spec.weights.value)} (fixed)", rf"w = {_number(spec.weights.value)}")
    if any(len(product.blocks) > 1 for product in spec.components):
        yield "f_k is the product of the densities of its blocks, which are independent given the component."


def _block_lines(part: _Part) -> Iterator[Line]:
    options = [
        f"{key} {value}" for key, value in part.block.option_values().items() if value != part.block.options[key]
    ]
    yield ", ".join([_place(part), *options]) + ":"
    yield part.found.density
    for name, symbol in part.found.symbols.items():
        slot = part.block.slots[name]
        inner = inner_slot(slot)
        at = symbol.at()
        if isinstance(inner, Fixed):
            value = _number(inner.value)
            known = "fixed" if inner.is_whole else "free entries are estimated"
            yield Formula(f"{at.words} = {value} ({known})", f"{at.latex} = {_latex_text(value)}")
        if isinstance(slot, Shared):
            where = part.group.layout[name].groups
            own = where[part.group.components.index(part.components[0])]
            members = [k for k, g in zip(part.group.components, where, strict=True) if g == own]
            yield f"{symbol.name} is one value for {_components(members)}" + (
                ", over which l runs." if len(members) > 1 else "."
            )


def _weight_prior(spec: Mixture) -> Iterator[Line]:
    if isinstance(spec.weights, Dirichlet):
        yield _distributed(Formula("w", "w"), spec.weights)


def _prior_lines(part: _Part) -> Iterator[Line]:
    symbols = part.found.symbols
    for _, prior, names in part.block.prior_terms():
        of = [symbols[name].at() for name in names]
        joined = Formula(", ".join(one.words for one in of), ", ".join(one.latex for one in of))
        if len(of) > 1:
            joined = Formula(f"({joined.words})", f"({joined.latex})")
        line = _distributed(joined, prior)
        slots = [inner_slot(part.block.slots[name]) for name in names]
        partly = any(isinstance(slot, Fixed) and not slot.is_whole for slot in slots)
        given = " (of the free entries, given the fixed ones)" if partly else ""
        yield Formula(f"{line.words}, {_components(part.components)}{given}", line.latex)


def _about_priors(spec: Mixture, parts: Sequence[_Part]) -> Iterator[Line]:
    """When the named priors count, and which parameters have none."""
    missing = ["weights"] if isinstance(spec.weights, Free) else []
    for part in parts:
        covered = {name for _, _, names in part.block.prior_terms() for name in names}
        names = [part.group.names[name] for name in part.found.m_step if name not in covered]
        missing += [name for name in names if name not in missing]
    if isinstance(spec.weights, Dirichlet) or any(part.block.prior_terms() for part in parts):
        yield "Terms of the M-step with a prior's numbers count for estimate='map'; maximum likelihood leaves them out."
    if missing:
        every = ", ".join(missing[:-1]) + " and " * (len(missing) > 1) + missing[-1]
        yield (
            f"No prior is named for {every}: estimate='map' and sampling take the default, in numbers in "
            "spec.resolve(data).describe()."
        )


def _e_step(spec: Mixture) -> Formula:
    if _is_equal(spec):
        return Formula("r_ik = f_k(x_i) / sum_l f_l(x_i)", r"r_{ik} = \frac{f_k(x_i)}{\sum_l f_l(x_i)}")
    return Formula("r_ik = w_k f_k(x_i) / sum_l w_l f_l(x_i)", r"r_{ik} = \frac{w_k f_k(x_i)}{\sum_l w_l f_l(x_i)}")


def _m_step(spec: Mixture, parts: Sequence[_Part]) -> list[Line]:
    lines: list[Line] = []
    if isinstance(spec.weights, Free):
        lines.append(Formula("w_k = sum_i r_ik / n", r"w_k = \frac{1}{n} \sum_i r_{ik}"))
    elif isinstance(spec.weights, Dirichlet):
        K = spec.n_components
        lines.append(
            Formula(
                f"w_k = (sum_i r_ik + alpha_k - 1) / (n + sum_l alpha_l - {K})",
                rf"w_k = \frac{{\sum_i r_{{ik}} + \alpha_k - 1}}{{n + \sum_l \alpha_l - {K}}}",
            )
        )
    return [*lines, *_by_part(spec, parts, lambda part: part.found.m_step.values())] or ["Nothing is left to estimate."]


def _expectations(spec: Mixture, parts: Sequence[_Part]) -> list[Line]:
    """What blocks take expectations of beside the components."""
    return _by_part(spec, parts, lambda part: part.found.e_step)


_MISSING = {
    (True,): "sums leave them out",
    (False,): "sums take their expectations given those",
    (False, True): "sums leave out those of independent columns and take expectations of the others",
}
"""What becomes of missing cells in the M-step, by whether blocks have independent columns."""


def _missing_cells(spec: Mixture) -> Iterator[Line]:
    families = [group.family for group in spec.groups if group.family.may_miss and not group.family.evidence]
    kinds = tuple(sorted({family.separable for family in families}))
    if kinds:
        yield f"Where cells are missing, f_k is the density of the observed ones; {_MISSING[kinds]}."


def _by_part(spec: Mixture, parts: Sequence[_Part], said: Callable[[_Part], Iterable[Formula]]) -> list[Line]:
    """Formulas of every part, headed by its components and columns unless all parts are of all components."""
    lines: list[Line] = []
    headed = any(part.components != tuple(range(spec.n_components)) for part in parts if any(said(part)))
    for part in parts:
        if headed and any(said(part)):
            lines.append(f"{_place(part)}:")
        lines += [line for line in said(part) if headed or line not in lines]
    return lines


def _is_equal(spec: Mixture) -> bool:
    return isinstance(spec.weights, Fixed) and len(set(spec.weights.value)) == 1


def _distributed(symbol: Formula, prior: Prior) -> Formula:
    """`symbol ~ Prior(numbers)`; numbers that the data are to say are left out."""
    shown = {field.name: getattr(prior, field.name) for field in fields(prior)}
    words, latex = [], []
    for key, value in shown.items():
        if value is not None:
            letter = NUMBERS.get(key, Formula(key, rf"\mathrm{{{_latex_name(key)}}}"))
            words.append(f"{letter.words} = {_number(value)}")
            latex.append(f"{letter.latex} = {_number(value)}")
    name = type(prior).__name__
    taken = "" if len(words) == len(shown) else ", the rest from the data" if words else "taken from the data"
    return Formula(
        f"{symbol.words} ~ {name}({', '.join(words)}{taken})",
        rf"{symbol.latex} \sim \mathrm{{{_latex_name(name)}}}({', '.join(latex)})",
    )


def _place(part: _Part) -> str:
    columns = part.block.columns
    return f"{_components(part.components)}, column{'s' * (len(columns) > 1)} {_listed(columns)}"


def _components(indices: Sequence[int]) -> str:
    if len(indices) == 1:
        return f"component {indices[0]}"
    if len(indices) > 2 and list(indices) == list(range(indices[0], indices[-1] + 1)):
        return f"components {indices[0]} to {indices[-1]}"
    return f"components {', '.join(map(str, indices[:-1]))} and {indices[-1]}"


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(map(repr, columns))


def _number(value: Any) -> str:
    if isinstance(value, tuple) and len(value) == 1:
        return _number(value[0])
    if isinstance(value, tuple):
        return f"({', '.join(map(_number, value))})"
    return "free" if isinstance(value, Free) else f"{value:.6g}"


# -- how it is printed -------------------------------------------------------------------------------------------------


def _as_text(title: str, sections: Sequence[Section]) -> str:
    lines = [title]
    for name, said in sections:
        lines += ["", name]
        indent = "  "
        for line in said:
            heading = isinstance(line, str) and line.endswith(":")
            lines.append(("  " if heading else indent) + (line.words if isinstance(line, Formula) else line))
            indent = "    " if heading else indent
    return "\n".join(lines)


def _as_latex(title: str, sections: Sequence[Section]) -> str:
    lines = [_latex_words(title)]
    for name, said in sections:
        lines += ["", rf"\paragraph{{{name}}}"]
        lines += [rf"\[ {line.latex} \]" if isinstance(line, Formula) else _latex_words(line) for line in said]
    return "\n".join(lines)


_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def _latex_words(text: str) -> str:
    """A sentence with what means something to LaTeX escaped."""
    return re.sub(r"[\\~^#$%&_{}]", lambda found: _SPECIAL.get(found[0], "\\" + found[0]), text)


def _latex_name(name: str) -> str:
    return name.replace("_", r"\_")


def _latex_text(value: str) -> str:
    return value.replace("free", r"\mathrm{free}")
