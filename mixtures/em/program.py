"""One pass over the rows: log-likelihood, statistics, M-step and score of a compiled specification, in standardised coordinates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arguments import check_whole
from ..data import Rows
from ..domains import Domain
from ..errors import DataError, SpecError, UnsupportedError
from ..families.base import Array, DegenerateComponentError, Family, Layout, Theta
from ..families.missing import observed_cells
from ..priors import Dirichlet, Numbers, Prior
from ..spec import Group, Mixture
from .points import GroupUnits, Params, Units

if TYPE_CHECKING:
    from .passes import Passes

__all__ = [
    "Assignment",
    "CompiledGroup",
    "Evaluation",
    "Params",
    "PriorTerm",
    "Program",
    "hard_assignment",
    "soft_assignment",
]

BLOCK = 8192
"""Rows evaluated at a time: nothing of size (n, K) is kept."""
KEPT = 32 << 20
"""Bytes of freed memory that the process may hold on to, see `_keep_freed_memory`."""


@dataclass(frozen=True)
class Assignment:
    """A rule that turns log(w f) (n, K) into row values (n,) and responsibilities (n, K)."""

    rule: Callable[[Array], tuple[Array, Array]]

    def __call__(self, joint: Array) -> tuple[Array, Array]:
        return self.rule(joint)


@dataclass(frozen=True)
class PriorTerm:
    """A prior with its numbers, stacked over the J components of its group, and the parameters it is a density of."""

    key: str
    prior: Prior
    parameters: tuple[str, ...]
    numbers: Numbers


@dataclass(frozen=True)
class CompiledGroup:
    """A group bound to rows: the units of its columns, its layout and its priors.

    Standardised columns are (x - center) / scale; spread (d,), near 1, is what unit variance takes beyond that.
    """

    group: Group
    rows: Rows
    center: Array
    scale: Array
    spread: Array
    layout: dict[str, Layout]
    terms: tuple[PriorTerm, ...]
    data_terms: tuple[PriorTerm, ...]
    numbers: dict[str, Numbers]

    @cached_property
    def family(self) -> Family:
        """The block whose formulas the group uses."""
        if not self.rows.has_missing:
            return self.group.family
        return observed_cells(self.group.family, self.rows.values[:, list(self.group.columns)])

    @cached_property
    def x(self) -> Array:
        """The rows in standardised columns, (n, d)."""
        found = np.asfortranarray(self.standardised(slice(None)))  # formulas run along columns
        found.setflags(write=False)  # what they make of the rows alone can then be kept
        return found

    def x_of(self, block: slice) -> Array:
        """A block of x; x itself if that is all of it."""
        return self.x if not block.start and (block.stop or len(self.x)) >= len(self.x) else self.x[block]

    def standardised(self, block: slice) -> Array:
        """A block of rows in standardised columns."""
        return np.asarray((self.rows.values[block][:, list(self.group.columns)] - self.center) / self.scale)

    @cached_property
    def components(self) -> NDArray[np.intp]:
        """Indices of its components among all K."""
        return np.array(self.group.components, dtype=np.intp)


class Evaluation(NamedTuple):
    """What one pass at given parameters yields.

    log_likelihood and objective are in standardised units; mass (K,) sums the responsibilities; statistics has one entry per group.
    `best` is what the M-step makes of them, where the pass has found that out too.
    """

    log_likelihood: float
    objective: float
    mass: Array
    statistics: tuple[dict[str, Array], ...]
    best: Params | None = None


class Program:
    """A resolved specification bound to rows.

    Parameters
    ----------
    spec
        A resolved specification.
    rows
        Its rows.
    estimate
        "mle" or "map".
    standardise
        False keeps data units, to score rows that are too few or too alike to be standardised by.
    threads
        How many threads large passes may use; None takes OMP_NUM_THREADS, NUMBA_NUM_THREADS or the processors at hand.

    Raises
    ------
    SpecError
        If `estimate` is unknown, `threads` is below 1, or "map" is asked for and a prior has no interior mode.
    """

    def __init__(
        self,
        spec: Mixture,
        rows: Rows,
        estimate: str = "mle",
        *,
        standardise: bool = True,
        threads: int | None = None,
    ) -> None:
        if estimate not in ("mle", "map"):
            raise SpecError(f"estimate={estimate!r}: legal are 'mle' and 'map'.")
        check_whole("fit", "threads", threads, 1, or_none=True)
        _keep_freed_memory()
        self.threads = threads
        self.spec, self.rows, self.estimate = spec, rows, estimate
        self.v = rows.weights
        self.total = float(rows.weights.sum())
        self.units = Units.of(spec.groups, rows if standardise else None)
        self.groups = tuple(
            _compile_group(group, rows, own) for group, own in zip(spec.groups, self.units.groups, strict=True)
        )
        self.log_scale = self._log_scale()
        self.fixed_weights = spec.fixed_weights
        self.weight_numbers = _weight_numbers(spec)
        if self.is_map:
            self._refuse_without_mode()

    @property
    def is_map(self) -> bool:
        """Whether the log prior is part of the objective."""
        return self.estimate == "map"

    @property
    def n_components(self) -> int:
        """K."""
        return self.spec.n_components

    @cached_property
    def log_unit(self) -> Array | float:
        """Sum of the logarithms of the observed columns' scales: what the log density of each row loses in data units."""
        scales = {column: scale for g in self.groups for column, scale in zip(g.group.columns, g.scale, strict=True)}
        logs = np.log([scales[column] for column in range(len(scales))])
        if not self.rows.has_missing:
            return float(logs.sum())
        return np.asarray(self.rows.observed @ logs)

    def _log_scale(self) -> float:
        """The same for all rows, weighted."""
        unit = self.log_unit
        return self.total * unit if isinstance(unit, float) else float(self.v @ unit)

    def on(self, rows: Rows) -> Program:
        """The same program on other rows (a subsample), in the same standardised coordinates."""
        other = object.__new__(Program)
        other.__dict__.update(self.__dict__)
        for cached in ("passes", "log_unit"):
            other.__dict__.pop(cached, None)
        other.rows, other.v, other.total = rows, rows.weights, float(rows.weights.sum())
        other.groups = tuple(replace(g, rows=rows) for g in self.groups)
        other.log_scale = other._log_scale()
        if self.passes is not None:  # they are compiled anyhow
            other.__dict__["passes"] = self.passes.on(rows.values, rows.weights)
        return other

    @cached_property
    def _is_unrestricted(self) -> bool:
        """Whether the M-step is that of the likelihood alone for one block whose parameters are all free and each component's own."""
        if self.is_map or self.fixed_weights is not None or len(self.groups) > 1:
            return False
        return all(layout.all_free and layout.all_own for layout in self.groups[0].layout.values())

    def _refuse_without_mode(self) -> None:
        if self.weight_numbers is not None and isinstance(self.spec.weights, Dirichlet):
            _refuse(self.spec.weights.mode_problem(self.weight_numbers), "weights")
        for compiled in self.groups:
            for term in compiled.terms:
                _refuse(term.prior.mode_problem(term.numbers), f"{compiled.family!r}")

    @cached_property
    def passes(self) -> Passes | None:
        """The compiled passes over these rows; None where NumPy's formulas serve: the rows are few, or no family has compiled functions."""
        from .passes import Block, Passes, pays, work

        blocks = [
            Block(g.family, g.components, g.group.columns, g.group.covers_all, g.center, g.scale) for g in self.groups
        ]
        if not pays(work(blocks, len(self.v), self.n_components)):
            return None
        passes = Passes(self.rows.values, self.v, blocks, self.n_components, self.threads)
        return passes if passes.pays else None

    # -- passes -----------------------------------------------------------------------------------------------------------------------------

    def log_joint(self, p: Params, block: slice = slice(None)) -> Array:
        """log(w_k f_k) (n, K) in standardised units."""
        return self._e_step(p, block)[0]

    def _e_step(self, p: Params, block: slice = slice(None)) -> tuple[Array, list[Any]]:
        """log(w_k f_k) (n, K), and the work of each group that its statistics can use."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(p.weights)
        joint, work = None, []
        for compiled, theta in zip(self.groups, p.thetas, strict=True):
            density, own = compiled.family.e_step(compiled.x_of(block), theta)
            work.append(own)
            if compiled.group.covers_all:
                joint = density + log_weights if joint is None else joint + density
            else:
                if joint is None:
                    joint = np.tile(log_weights, (len(density), 1))
                joint[:, compiled.components] += density
        assert joint is not None
        return joint, work

    def blocks(self) -> Iterator[slice]:
        """Row blocks, in order."""
        return (slice(start, start + BLOCK) for start in range(0, len(self.v), BLOCK))

    def row_log_likelihood(self, p: Params) -> Array:
        """Log density (n,) of every row, in data units."""
        if self.passes is not None:
            return self.passes.row_values(p.weights, p.thetas) - self.log_unit
        return np.concatenate([soft_assignment(self.log_joint(p, block))[0] for block in self.blocks()]) - self.log_unit

    def responsibilities(self, p: Params) -> Array:
        """p(component given row), (n, K)."""
        if self.passes is not None:
            return self.passes.responsibilities(p.weights, p.thetas)
        return np.concatenate([soft_assignment(self.log_joint(p, block))[1] for block in self.blocks()])

    def evaluate(self, p: Params, assign: Assignment | None = None) -> Evaluation:
        """One pass: objective and statistics at p. `assign` maps log(w f) to row values and responsibilities (default: soft).

        Raises
        ------
        DegenerateComponentError
            If a component has no density any more.
        """
        assign = assign or soft_assignment
        if assign is soft_assignment and self.passes is not None:
            step = self.passes.step(p.weights, p.thetas) if self._is_unrestricted else None
            if step is not None:
                value, sums, weights, theta = step
                return Evaluation(value, value, sums["mass"], (sums,), Params(weights, (theta,)))
            value, mass, statistics = self.passes.evaluate(p.weights, p.thetas)
            return Evaluation(value, value + (self.log_prior(p) if self.is_map else 0.0), mass, statistics)
        value = 0.0
        parts: list[list[dict[str, Array]]] = []
        mass = np.zeros(self.n_components)
        for block in self.blocks():
            joint, work = self._e_step(p, block)
            row_values, R = assign(joint)
            v = self.v[block]
            value += float(v @ row_values)
            R = R * v[:, None]
            mass += np.add.reduce(R, axis=0)
            parts.append(
                [
                    g.family.statistics_after(
                        own, g.x_of(block), R if g.group.covers_all else R[:, g.components], theta
                    )
                    for g, own, theta in zip(self.groups, work, p.thetas, strict=True)
                ]
            )
        added = parts[0] if len(parts) == 1 else [_add(group) for group in zip(*parts, strict=True)]
        objective = value + (self.log_prior(p) if self.is_map else 0.0)
        return Evaluation(value, objective, mass, tuple(added))

    def m_step(self, evaluation: Evaluation, p: Params) -> Params:
        """The parameters that maximise the expected complete-data objective, from statistics taken at p."""
        if evaluation.best is not None:
            return evaluation.best
        thetas = tuple(
            compiled.family.maximise(S, theta, compiled.layout, compiled.numbers if self.is_map else None)
            for compiled, S, theta in zip(self.groups, evaluation.statistics, p.thetas, strict=True)
        )
        return Params(self._maximise_weights(evaluation.mass), thetas)

    def _maximise_weights(self, mass: Array) -> Array:
        if self.fixed_weights is not None:
            return self.fixed_weights
        counts = mass
        if self.is_map and self.weight_numbers is not None:
            counts = counts + self.weight_numbers["alpha"][0] - 1.0
        return counts / counts.sum()

    def from_responsibilities(self, R: Array, p: Params | None = None) -> Params:
        """The M-step from responsibilities (n, K) alone, statistics taken at p or at neutral parameters."""
        at = p or self.neutral()
        weighted = R * self.v[:, None]
        statistics = tuple(
            g.family.statistics(g.x, weighted if g.group.covers_all else weighted[:, g.components], theta)
            for g, theta in zip(self.groups, at.thetas, strict=True)
        )
        return self.m_step(Evaluation(np.nan, np.nan, weighted.sum(axis=0), statistics), at)

    def neutral(self) -> Params:
        """Legal parameters with all components alike, near standardised data."""
        thetas = tuple(
            {
                q.name: np.stack([q.domain.neutral(q.shape(len(g.scale)))] * len(g.components))
                for q in g.family.parameters
            }
            for g in self.groups
        )
        return Params(np.full(self.n_components, 1.0 / self.n_components), thetas)

    def refuse_rows_without_density(self) -> None:
        """Refuse rows that have density 0 under every component, whatever the free parameters are.

        Raises
        ------
        DataError
            Naming the first of them, its values, and how many there are.
        """
        if self.fixed_weights is None and all(layout.all_free for g in self.groups for layout in g.layout.values()):
            return
        inside = self._with_fixed_entries(self.neutral())
        joint = (self.log_joint(inside, block) for block in self.blocks())
        dead = np.flatnonzero(np.concatenate([~(each.max(axis=1) > -np.inf) for each in joint]))
        if len(dead):
            first = int(dead[0])
            columns = self._columns_that_exclude(first, inside)
            values = ((self.rows.columns[j], self.rows.values[first, j]) for j in columns)
            found = ", ".join(f"{column!r} = {value:g}" for column, value in values if not np.isnan(value))
            raise DataError(
                f"{self.rows.row_name(first)}: no component gives it a density, whatever the free parameters ({found}; "
                f"{len(dead)} such row(s)). Correct or drop it, widen the fixed values that exclude it, or add a component that may "
                "have it."
            )

    def _columns_that_exclude(self, row: int, p: Params) -> list[int]:
        """Columns of a block that gives the row density 0 in every component; all columns where no block alone does."""
        for g, theta in zip(self.groups, p.thetas, strict=True):
            density = g.family.log_density(g.standardised(slice(row, row + 1)), theta)
            if g.group.covers_all and not np.isfinite(density).any():
                return list(g.group.columns)
        return list(range(len(self.rows.columns)))

    def _with_fixed_entries(self, p: Params) -> Params:
        """The point with what is fixed put in its place."""
        thetas = tuple(
            {name: g.layout[name].filled(value) for name, value in theta.items()}
            for g, theta in zip(self.groups, p.thetas, strict=True)
        )
        return Params(p.weights if self.fixed_weights is None else self.fixed_weights, thetas)

    # -- priors and scores ------------------------------------------------------------------------------------------------------------------

    def log_prior(self, p: Params) -> float:
        """Log prior density with its constants, of the standardised parameters."""
        return self._log_prior(p, [group.terms for group in self.groups])

    def log_prior_data_units(self, p: Params) -> float:
        """Log prior density with its constants, of the parameters in data units."""
        return self._log_prior(self.to_data(p), [group.data_terms for group in self.groups])

    def _log_prior(self, p: Params, all_terms: list[tuple[PriorTerm, ...]]) -> float:
        total = 0.0
        if self.weight_numbers is not None and isinstance(self.spec.weights, Dirichlet):
            total += float(self.spec.weights.log_density([p.weights[None]], [], self.weight_numbers, []).sum())
        for compiled, theta, terms in zip(self.groups, p.thetas, all_terms, strict=True):
            for term in terms:
                domains, owners = _domains(compiled, term), [compiled.layout[name].counted for name in term.parameters]
                total += float(
                    term.prior.log_density(
                        [theta[name] for name in term.parameters], domains, term.numbers, owners
                    ).sum()
                )
        return total

    def log_prior_gradient(self, p: Params) -> tuple[Array, list[Theta]]:
        """Gradient of the log prior in the weights (K,) and in every parameter."""
        weights = np.zeros(self.n_components)
        if self.weight_numbers is not None and isinstance(self.spec.weights, Dirichlet):
            weights = self.spec.weights.gradient([p.weights[None]], [], self.weight_numbers, [np.array([True])])[0][0]
        found = []
        for compiled, theta in zip(self.groups, p.thetas, strict=True):
            total = {name: np.zeros_like(value) for name, value in theta.items()}
            for term in compiled.terms:
                domains, owners = _domains(compiled, term), [compiled.layout[name].counted for name in term.parameters]
                slopes = term.prior.gradient([theta[name] for name in term.parameters], domains, term.numbers, owners)
                for name, slope in zip(term.parameters, slopes, strict=True):
                    total[name] = total[name] + slope
            found.append(total)
        return weights, found

    def prior_draw(self, rng: np.random.Generator) -> Params:
        """Parameters drawn from the prior, standardised coordinates; without a prior they are neutral."""
        weights = (
            np.full(self.n_components, 1.0 / self.n_components) if self.fixed_weights is None else self.fixed_weights
        )
        if self.weight_numbers is not None and isinstance(self.spec.weights, Dirichlet):
            weights = self.spec.weights.draw([], self.weight_numbers, [], rng)[0][0]
        thetas = [dict(theta) for theta in self.neutral().thetas]
        for compiled, theta in zip(self.groups, thetas, strict=True):
            for name, layout in compiled.layout.items():
                theta[name] = layout.filled(theta[name])
            for term in compiled.terms:
                groups = [compiled.layout[name].groups for name in term.parameters]
                drawn = term.prior.draw(_domains(compiled, term), term.numbers, groups, rng)
                layouts = [compiled.layout[name] for name in term.parameters]
                free, fixed = [layout.free for layout in layouts], [layout.fixed for layout in layouts]
                theta.update(zip(term.parameters, term.prior.given(drawn, free, fixed), strict=True))
        return Params(weights, tuple(thetas))

    def refuse_prior_without_draws(self) -> None:
        """Refuse priors that `prior_draw` only gives points to try for.

        Raises
        ------
        UnsupportedError
            Naming the block.
        """
        for compiled in self.groups:
            for term in compiled.terms:
                problem = term.prior.draw_problem(_domains(compiled, term), term.numbers)
                if problem:
                    raise UnsupportedError(f"{compiled.family!r}: {problem}; sample its posterior instead.")

    def score(self, evaluation: Evaluation, p: Params) -> tuple[Array, list[Theta]]:
        """Gradient of the objective in the weights (K,), up to a constant, and in every parameter, by Fisher's identity."""
        with np.errstate(divide="ignore", invalid="ignore"):
            weights = np.where(p.weights > 0, evaluation.mass / p.weights, 0.0)
        found = [
            g.family.score(S, theta) for g, S, theta in zip(self.groups, evaluation.statistics, p.thetas, strict=True)
        ]
        if self.is_map:
            prior_weights, prior = self.log_prior_gradient(p)
            weights = weights + np.where(p.weights > 0, prior_weights, 0.0)
            found = [{name: own[name] + other[name] for name in own} for own, other in zip(found, prior, strict=True)]
        return weights, found

    def objective_offset(self, p: Params) -> float:
        """What to add to the objective in standardised units to have it in data units."""
        log_likelihood = -self.log_scale
        return log_likelihood + (self.log_prior_data_units(p) - self.log_prior(p) if self.is_map else 0.0)

    def gradient_to_standard(self, by_theta: list[Theta]) -> list[Theta]:
        """Gradients in standardised parameters from gradients in data units."""
        return [
            {q.name: q.domain.gradient_to_standard(slopes[q.name], g.scale) for q in g.family.parameters}
            for g, slopes in zip(self.groups, by_theta, strict=True)
        ]

    # -- units ------------------------------------------------------------------------------------------------------------------------------

    def to_data(self, p: Params, *, relative: bool = False) -> Params:
        """Parameters in data units; `relative` leaves locations relative to the columns' centres."""
        return self.units.to_data(p, relative=relative)

    def to_standard(self, p: Params) -> Params:
        """Parameters in standardised coordinates, from data units."""
        return self.units.to_standard(p)

    def degeneracy(self, p: Params) -> Array:
        """Per component (K,) the smallest of its blocks' degeneracies; components without weight count as sound."""
        found = np.full(self.n_components, np.inf)
        for compiled, theta in zip(self.groups, p.thetas, strict=True):
            own = p.weights[compiled.components]
            if own.sum() <= 0:
                continue
            try:
                value = compiled.family.degeneracy(theta, own)
            except np.linalg.LinAlgError:
                raise DegenerateComponentError(int(np.argmin(own))) from None
            found[compiled.components] = np.minimum(found[compiled.components], np.where(own > 0, value, np.inf))
        return found

    def with_emptied_at_rest(self, p: Params, threshold: float) -> Params:
        """The point with components of weight 0 that have closed in moved to where all components are alike.

        The likelihood does not depend on them, but nobody could compute with a covariance that has no inverse.
        """
        rest, thetas = self.neutral(), []
        for g, theta, neutral in zip(self.groups, p.thetas, rest.thetas, strict=True):
            own, moved = p.weights[g.components], dict(theta)
            try:
                closed = ~(g.family.degeneracy(theta, own) >= threshold)
            except np.linalg.LinAlgError:
                closed = own <= 0
            for name, layout in g.layout.items():
                held = (layout.groups[:, None] == layout.groups) @ (own > 0)
                move = (closed & (own <= 0) & ~held).reshape(-1, *(1,) * (theta[name].ndim - 1))
                moved[name] = np.where(move & layout.free, neutral[name], theta[name])
            thetas.append(moved)
        return Params(p.weights, tuple(thetas))

    # -- labels -----------------------------------------------------------------------------------------------------------------------------

    def permuted(self, p: Params, order: NDArray[np.intp]) -> Params:
        """Component `order[k]` becomes component k (within exchangeable groups only)."""
        thetas = []
        for compiled, theta in zip(self.groups, p.thetas, strict=True):
            place = {int(k): j for j, k in enumerate(compiled.components)}
            take = np.array([place[int(order[k])] for k in compiled.components], dtype=np.intp)
            thetas.append({name: value[take] for name, value in theta.items()})
        return Params(p.weights[order], tuple(thetas))

    def ordered(self, p: Params) -> tuple[Params, NDArray[np.intp]]:
        """Components in the specification's order within exchangeable groups, and the permutation used."""
        order = np.arange(self.n_components)
        for members in self.spec.exchangeable:
            own, entry = np.array(members), self.spec.ordering_entry(members[0])
            key = -p.weights[own]
            if entry is not None:
                group, name, index = entry
                rows = [group.components.index(k) for k in members]
                place: Any = (rows, *index)
                key = p.thetas[self.spec.groups.index(group)][name][place]
            order[own] = own[np.argsort(key, kind="stable")]
        return self.permuted(p, order), order


@cache
def _keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next pass.

    glibc returns it to the system beyond twice the largest block that was ever freed (mallopt(3), M_TRIM_THRESHOLD), at first
    128 KB; getting it back page by page costs several times the arithmetic of a pass over thousands of rows. The block here is never
    touched, so it takes no memory itself.
    """
    np.empty(KEPT // 2, dtype=np.uint8)


def _compile_group(group: Group, rows: Rows, units: GroupUnits) -> CompiledGroup:
    center, scale, spread = units
    data_terms = _prior_terms(group)
    terms = tuple(
        PriorTerm(t.key, t.prior, t.parameters, t.prior.to_standard(t.numbers, center, scale)) for t in data_terms
    )
    layout = {
        q.name: replace(group.layout[q.name], fixed=q.domain.to_standard(group.layout[q.name].fixed, center, scale))
        for q in group.family.parameters
    }
    numbers = {t.key: t.numbers for t in terms}
    return CompiledGroup(group, rows, center, scale, spread, layout, terms, tuple(data_terms), numbers)


def _prior_terms(group: Group) -> list[PriorTerm]:
    """The group's priors, their numbers stacked over its components; one whose parameters are fixed gets another's, to no effect."""
    shapes = {q.name: q.shape(len(group.columns)) for q in group.family.parameters}
    given: dict[str, dict[int, tuple[Prior, tuple[str, ...]]]] = {}
    for j, block in enumerate(group.blocks):
        for key, prior, names in block.prior_terms():
            given.setdefault(key, {})[j] = (prior, names)
    found = []
    for key, by_block in given.items():
        prior, names = next(iter(by_block.values()))
        for j, (other, _) in by_block.items():
            if type(other) is not type(prior):
                raise UnsupportedError(
                    f"{names[0]}: component {group.components[j]} has the prior {other!r} where another has {prior!r}. Priors of "
                    "different kinds in one array are not supported yet; name the blocks differently: name='other'."
                )
        each = [
            by_block.get(j, (prior, names))[0].numbers(shapes[names[0]], repr(b)) for j, b in enumerate(group.blocks)
        ]
        found.append(PriorTerm(key, prior, names, {field: np.stack([one[field] for one in each]) for field in each[0]}))
    return found


def _weight_numbers(spec: Mixture) -> Numbers | None:
    if not isinstance(spec.weights, Dirichlet):
        return None
    return {name: value[None] for name, value in spec.weights.numbers((spec.n_components,), "weights").items()}


def _domains(compiled: CompiledGroup, term: PriorTerm) -> list[Domain]:
    by_name = {q.name: q.domain for q in compiled.family.parameters}
    return [by_name[name] for name in term.parameters]


def _refuse(problem: str | None, where: str) -> None:
    if problem:
        raise SpecError(
            f"{where}: {problem}, so estimate='map' is not defined. Use parameters >= 1, or estimate='mle'."
        )


def _add(parts: tuple[dict[str, Array], ...]) -> dict[str, Array]:
    return {name: sum((part[name] for part in parts[1:]), parts[0][name]) for name in parts[0]}


@Assignment
def soft_assignment(joint: Array) -> tuple[Array, Array]:
    """Row log densities (n,) and responsibilities (n, K); a row without density has responsibilities 0 and value -inf."""
    columns = joint.T
    top = columns.max(axis=0)
    sound = np.isfinite(top)
    whole = bool(sound.all())
    if not whole:
        top = np.where(sound, top, 0.0)
    ratio = columns - top
    np.exp(ratio, out=ratio)  # in place, as below: new memory for thousands of rows would cost more than the arithmetic
    total = ratio.sum(axis=0)
    if whole:
        ratio /= total
        value = np.log(total, out=total)
    else:
        ratio /= np.where(total > 0, total, 1.0)
        with np.errstate(divide="ignore"):
            value = np.log(total, out=total)
    value += top
    return value, ratio.T


@Assignment
def hard_assignment(joint: Array) -> tuple[Array, Array]:
    """Largest log(w f) of each row (n,) and its indicator (n, K)."""
    best = joint.argmax(axis=1)
    R = np.zeros_like(joint)
    R[np.arange(len(joint)), best] = 1.0
    return joint[np.arange(len(joint)), best], R
