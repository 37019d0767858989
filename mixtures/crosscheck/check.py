"""`cross_check`: fit by EM, sample by PyMC, compare, and say what it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import check_callable, check_kind, check_whole
from ..bayes import stack
from ..bayes.sample import check_sampling, sample
from ..bayes.specifications import resolved_of
from ..data import Rows
from ..em.program import Program
from ..em.status import Status
from ..errors import InterruptedRunError, SpecError
from ..results import CollapsedFitError, EMFit, adopt, given_fit, reordered
from ..results import fit as fit_em
from ..rng import RNGLike, as_generator, spawn_seeds
from ..spec import Mixture, check_specification
from .checks import ALL
from .checks.compare import z_scores
from .checks.identifiability import QUESTION, from_specification
from .checks.optima import polished_for_dominance
from .diagnostics import ess_bulk, mcse_mean, rhat_rank
from .evidence import Draws, Estimate, Evidence
from .outcome import Check, CheckStatus, Verdict, decide

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CrossCheck", "cross_check"]

INTERVAL = 0.95
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class CrossCheck:
    """The comparison of EM and posterior.

    Attributes
    ----------
    specification, resolved
        The model, and the same with every prior in numbers.
    mle, map
        Maximum likelihood and maximum a posteriori fits; `map` is None where the prior has no interior mode.
    posterior
        Relabelled draws in ArviZ's own container; None where the verdict needed none.
    table
        One row per scalar parameter: MLE, standard error, MAP, posterior mean, sd, 95 % equal-tailed interval, MCSE, bulk ESS, R-hat, z.
    checks
        One `Check` each, in the order of the summary.
    verdict
        "agree", "differ", "not identified" or "inconclusive", with its sentence and the deciding checks. Where every start of the
        maximum likelihood fit collapses it is "not identified", `mle` is the highest of them and there are no draws. A comparison that the user
        interrupts before there are draws is inconclusive, and keeps the fits.
    """

    specification: Mixture
    resolved: Mixture
    mle: EMFit
    map: EMFit | None
    posterior: Any
    table: pd.DataFrame
    checks: tuple[Check, ...]
    verdict: Verdict
    rows: Rows

    def __getitem__(self, name: str) -> Check:
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(f"{name!r}; checks are {', '.join(check.name for check in self.checks)}")

    def summary(self) -> str:
        """Verdict, checks and table as text."""
        from .summary import check_summary

        return check_summary(self)

    @cached_property
    def _summary(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<CrossCheck {self.verdict.word}: {self.specification!r}>"

    def _repr_html_(self) -> str:
        from ..text import as_html

        return as_html(self._summary)

    def plot(self) -> Any:
        """EM marks over posterior intervals, and the components over the data: a matplotlib Figure."""
        from importlib import import_module

        return import_module("mixtures.plots").plot_cross_check(self)

    def to_html(self, path: Any) -> None:
        """Write a self-contained HTML report."""
        from importlib import import_module

        import_module("mixtures.report").write_report(self, path)


def cross_check(
    spec: Mixture,
    data: Any,
    *,
    fit: EMFit | Mapping[str, Any] | None = None,
    posterior: Any = None,
    rng: RNGLike = None,
    sample_weight: Any = None,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    starts: int = 50,
    nuts_sampler: str = "pymc",
    target_accept: float = 0.9,
    progress: Progress | None = None,
) -> CrossCheck:
    """Fit by EM, sample by PyMC, and say whether the two agree, why not, and what to run next.

    Parameters
    ----------
    spec
        The specification.
    data
        The rows, as for `fit`.
    fit
        An existing fit, or parameters (a mapping of arrays in data units) from elsewhere, to be judged as the MLE.
    posterior
        Existing draws from `sample`, to be judged instead of new ones.
    rng
        Seed or generator: one seed reproduces starts and chains.
    sample_weight
        Counts or weights of rows (n,), or the name of a column.
    draws, tune, chains, cores, nuts_sampler, target_accept
        As for `sample`.
    starts
        As for `fit`.
    progress
        Called with (phase, done, in all).

    Returns
    -------
    CrossCheck

    Raises
    ------
    SpecError
        If `fit` or `posterior` belong to another specification or are no such thing, or a number is not legal.
    DataError, FitError
        As `fit` and `sample`.

    Examples
    --------
    >>> import mixtures as mx
    >>> tosses = {"heads": [0, 1, 1, 0, 1, 1, 1, 0]}
    >>> mx.cross_check(mx.Mixture(mx.Bernoulli("heads"), n_components=2), tosses, rng=1).verdict.word
    'not identified'
    """
    check_specification(spec, "cross_check(spec, data)")
    needed = "pass what mx.fit returns, or a mapping from names of parameters to arrays"
    check_kind(fit, (EMFit, Mapping, type(None)), "cross_check(fit=...)", needed)
    if posterior is not None:
        stack.check_container(posterior, "cross_check(posterior=...)")
    check_sampling("cross_check", draws, tune, chains, cores, target_accept, nuts_sampler)
    check_whole("cross_check", "starts", starts, 1)
    check_callable("cross_check", "progress", progress, "lambda phase, done, total: print(phase, done, total)")
    generator = as_generator(rng)
    seed_mle, seed_map, seed_sample, seed_checks = spawn_seeds(generator, 4)
    say = progress or (lambda phase, done, total: None)
    if posterior is None:
        spec.check_sampled()
    rows = spec.rows(data, sample_weight=sample_weight)
    resolved = spec.resolve(rows)
    try:
        mle = _mle(spec, resolved, rows, fit, starts, seed_mle, say)
    except CollapsedFitError as error:
        return _collapsed(spec, resolved, rows, error, _map(spec, rows, starts, seed_map, say, fit))
    if mle.fit.status is Status.INTERRUPTED:
        return _cut_off(spec, resolved, rows, mle, None, "the maximum likelihood fit")
    proven = from_specification(resolved)
    if proven.status is CheckStatus.FAIL:
        return CrossCheck(
            spec, resolved, mle.fit, None, None, _em_table(resolved, mle), (proven,), decide([proven]), rows
        )
    map_ = _map(spec, rows, starts, seed_map, say, fit)
    if map_ is not None and map_.fit.status is Status.INTERRUPTED:
        return _cut_off(spec, resolved, rows, mle, map_, "the fit of the posterior mode")
    mle = _aligned(mle, map_)
    if posterior is None:
        say("sampling", 0, chains * draws)
        pivot = (map_ or mle).fit
        try:
            posterior = sample(
                resolved,
                rows,
                draws=draws,
                tune=tune,
                chains=chains,
                cores=cores,
                rng=seed_sample,
                nuts_sampler=nuts_sampler,
                target_accept=target_accept,
                pivot=pivot,
                progress=None if progress is None else False,
            )
        except InterruptedRunError:
            return _cut_off(spec, resolved, rows, mle, map_, "sampling")
    try:
        return _checked(spec, resolved, rows, mle, map_, posterior, seed_checks, say)
    except KeyboardInterrupt:
        return _cut_off(spec, resolved, rows, mle, map_, "checking", posterior)


def _checked(
    spec: Mixture,
    resolved: Mixture,
    rows: Rows,
    mle: Estimate,
    map_: Estimate | None,
    posterior: Any,
    seed: int,
    say: Progress,
) -> CrossCheck:
    """All checks of the estimates and draws that there are."""
    other = _checked_specification(posterior, resolved, rows)
    found = Draws.of(posterior, resolved)
    evidence = Evidence(spec, resolved, rows, mle, map_, found, other, np.random.default_rng(seed))
    say("checks", 0, len(ALL))
    _adopt_better(evidence)
    evidence.rng = np.random.default_rng(seed)
    checks = []
    for position, check in enumerate(ALL):
        checks.append(check(evidence))
        say("checks", position + 1, len(ALL))
    map_fit = evidence.map.fit if evidence.map is not None else None
    return CrossCheck(
        spec, resolved, evidence.mle.fit, map_fit, posterior, _table(evidence), tuple(checks), decide(checks), rows
    )


def _collapsed(
    spec: Mixture, resolved: Mixture, rows: Rows, error: CollapsedFitError, map_: Estimate | None
) -> CrossCheck:
    """What there is when every start of the maximum likelihood fit collapsed: nothing that a posterior could be compared with."""
    mle = Estimate(error.fit(), Program(resolved, rows, "mle"))
    check = Check(
        "identifiability",
        QUESTION,
        CheckStatus.FAIL,
        {"proven": False, "starts that collapsed": sum(record.count for record in mle.fit.optima)},
        f"there is no maximum likelihood estimate with {spec.n_components} components. {error}",
        "fewer components, components that share a covariance, or mx.fit(spec, data, estimate='map') and mx.sample(spec, data) by themselves",
    )
    map_fit = map_.fit if map_ is not None else None
    return CrossCheck(spec, resolved, mle.fit, map_fit, None, _em_table(resolved, mle), (check,), decide([check]), rows)


def _cut_off(
    spec: Mixture,
    resolved: Mixture,
    rows: Rows,
    mle: Estimate,
    map_: Estimate | None,
    phase: str,
    posterior: Any = None,
) -> CrossCheck:
    """What there is when the user interrupts before the checks are done."""
    if posterior is None:
        kept = "before any draw was kept; the best estimate so far is kept"
        next_step = "run again, or call fit and sample one after the other and pass both to cross_check."
    else:
        kept = "before it was done; the estimates and the draws are kept"
        next_step = (
            "pass what .mle and .posterior hold as fit= and posterior=, which leaves the checks alone to be made."
        )
    check = Check(
        "interruption",
        "Did every part run to its end?",
        CheckStatus.FAIL,
        sentence=f"{phase} was interrupted {kept}.",
        next_step=next_step,
    )
    map_fit = map_.fit if map_ is not None else None
    table = _em_table(resolved, mle)
    return CrossCheck(spec, resolved, mle.fit, map_fit, posterior, table, (check,), decide([check]), rows)


def _mle(spec: Mixture, resolved: Mixture, rows: Rows, given: Any, starts: int, seed: int, say: Progress) -> Estimate:
    if isinstance(given, EMFit):
        if given.resolved != resolved:
            raise SpecError(
                "fit= belongs to another specification or other data: its resolved priors differ. Fit the same specification to the same rows."
            )
        if given.estimate == "map":
            given = None
    elif given is not None:
        given = given_fit(spec, resolved, rows, given)
    if given is None:
        say("EM, maximum likelihood", 0, starts)
        fitted = fit_em(
            spec, rows, starts=starts, rng=seed, progress=lambda done, total: say("EM, maximum likelihood", done, total)
        )
        return Estimate(fitted, Program(resolved, rows, "mle"))
    return Estimate(given, Program(resolved, rows, "mle"), given=True)


def _map(spec: Mixture, rows: Rows, starts: int, seed: int, say: Progress, given: Any) -> Estimate | None:
    if isinstance(given, EMFit) and given.estimate == "map":
        return Estimate(given, Program(given.resolved, rows, "map"))
    try:
        program = Program(spec.resolve(rows), rows, "map")
    except SpecError:
        return None
    say("EM, maximum a posteriori", 0, starts)
    fitted = fit_em(
        spec,
        rows,
        estimate="map",
        starts=starts,
        rng=seed,
        progress=lambda done, total: say("EM, maximum a posteriori", done, total),
    )
    return Estimate(fitted, program)


def _aligned(mle: Estimate, map_: Estimate | None) -> Estimate:
    """The MLE with components in the MAP's order where only priors tell them apart: the likelihood cannot."""
    likelihood = mle.program.spec.without_priors().exchangeable
    if map_ is None or likelihood == mle.program.spec.exchangeable:
        return mle
    from scipy.optimize import linear_sum_assignment

    R_mle, R_map = mle.program.responsibilities(mle.p), map_.program.responsibilities(map_.p)
    overlap = (R_map * mle.program.v[:, None]).T @ R_mle
    order = np.arange(len(overlap))
    for members in likelihood:
        own = np.array(members)
        order[own] = own[linear_sum_assignment(-overlap[np.ix_(own, own)])[1]]
    if np.array_equal(order, np.arange(len(order))):
        return mle
    return replace(mle, fit=reordered(mle.fit, mle.program, order))


def _checked_specification(posterior: Any, resolved: Mixture, rows: Rows) -> Mixture:
    """The resolved specification that the draws carry; it may differ in priors (the density identity names that), not in model or rows."""
    if stack.has_group(posterior, "constant_data"):
        held = stack.group(posterior, "constant_data")
        if {"data", "row_weight"} <= set(held.data_vars):
            seen, weights = held["data"].values, held["row_weight"].values
            if not (np.array_equal(seen, rows.filled) and np.array_equal(weights, rows.weights)):
                raise SpecError(
                    f"posterior= was drawn from other rows ({len(seen)} distinct ones of total weight {weights.sum():g}) than are given "
                    f"({len(rows.values)} of total weight {rows.total:g}). Pass the same data and sample_weight."
                )
    other = resolved_of(posterior) or resolved
    if other != resolved and other.without_priors() != resolved.without_priors():
        raise SpecError(
            f"posterior= was drawn from another model, {other!r}. Sample the specification that is checked."
        )
    return other


def _adopt_better(evidence: Evidence) -> None:
    """Replace an estimate by a higher sound optimum that EM reaches from posterior draws."""
    for name, estimate in evidence.estimates:
        better = polished_for_dominance(evidence, estimate).better(estimate)
        if better is None:
            continue
        fresh = Estimate(
            adopt(estimate.fit, estimate.program, better), estimate.program, given=estimate.given, replaced=estimate.fit
        )
        if name == "MLE":
            evidence.mle = fresh
            for cached in ("standard_errors",):
                evidence.__dict__.pop(cached, None)
        else:
            evidence.map = fresh


def _em_table(resolved: Mixture, mle: Estimate) -> pd.DataFrame:
    import pandas as pd

    from ..uncertainty import Scalars

    scalars = Scalars(resolved)
    table = pd.DataFrame({"component": scalars.components, "mle": scalars.natural(mle.fit.point)}, index=scalars.labels)
    return table.rename_axis("parameter")


def _table(evidence: Evidence) -> pd.DataFrame:
    import pandas as pd

    scalars, values = evidence.scalars, evidence.draw_scalars
    flat = values.reshape(-1, values.shape[-1])
    tail = (1.0 - INTERVAL) / 2.0
    each = [values[..., i] for i in range(values.shape[-1])]
    map_ = scalars.natural(evidence.map.fit.point) if evidence.map is not None else np.full(len(scalars.labels), np.nan)
    columns = {
        "component": scalars.components,
        "mle": scalars.natural(evidence.mle.fit.point),
        "se": evidence.standard_errors[0],
        "map": map_,
        "mean": flat.mean(axis=0),
        "sd": flat.std(axis=0, ddof=1),
        "lower": np.quantile(flat, tail, axis=0),
        "upper": np.quantile(flat, 1.0 - tail, axis=0),
        "mcse": [mcse_mean(value) for value in each],
        "ess": [ess_bulk(value) for value in each],
        "rhat": [rhat_rank(value) for value in each],
        "z": z_scores(evidence),
    }
    return pd.DataFrame(columns, index=scalars.labels).rename_axis("parameter")
