"""Choosing the number of components and their structure: criteria, held-out density, and the bootstrap test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .arguments import check_callable, check_kind, check_whole, described
from .criteria import count_parameters
from .data import Rows, read_rows
from .em.status import Status
from .errors import DataError, FitError, InterruptedRunError, MixtureWarning, SpecError, UnsupportedError
from .families.base import Array
from .processes import as_done, process_count
from .results import EMFit, fit
from .rng import RNGLike, as_generator, spawn_seeds
from .simulation import simulate
from .spec import Mixture, check_specification
from .tables import open_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BootstrapTest", "Selection", "bootstrap_test", "select"]

SMALLER_IS_BETTER = {"aic": True, "bic": True, "icl": True, "held_out": False, "loo": False}
"""The criteria, and whether smaller is better."""

CRITERIA = ("specification", "components", "log_likelihood", "parameters", "aic", "bic", "icl")
LOO = ("loo", "loo_se", "loo_doubtful_rows")
"""Columns of the table."""

SPECIFICATIONS = "pass one or more specifications, e.g. [mx.Mixture(..., n_components=k) for k in (1, 2, 3)]"


@dataclass(frozen=True, eq=False)
class Selection:
    """Several specifications fitted to the same rows.

    Attributes
    ----------
    specifications
        What was compared, in the order given.
    fits
        One fit each; None where there is none.
    table
        One row per specification: number of components, log-likelihood, number of free parameters, AIC, BIC and ICL (all three on the scale of
        -2 log L: smaller is better), what was asked for of the held-out log density and the leave-one-out log density of the posterior
        (larger is better) with its standard error and the number of rows whose Pareto k is too high for it to be trusted, and how the fit
        ended. A nearly singular fit has no criteria, but a posterior may have.
    """

    specifications: tuple[Mixture, ...]
    fits: tuple[EMFit | None, ...]
    table: pd.DataFrame

    def best(self, criterion: str = "bic") -> EMFit:
        """The fit that is best by "aic", "bic", "icl", "held_out" or "loo".

        Raises
        ------
        SpecError
            For another criterion, or one that was not computed.
        FitError
            If no specification could be fitted.
        """
        if criterion not in SMALLER_IS_BETTER or criterion not in self.table:
            legal = [name for name in SMALLER_IS_BETTER if name in self.table]
            raise SpecError(f"criterion={criterion!r}: computed are {', '.join(legal)}.")
        values = self.table[criterion].to_numpy(dtype=float)
        if np.isnan(values).all():
            raise FitError(f"No specification has a value of {criterion}.")
        chosen = int(np.nanargmin(values) if SMALLER_IS_BETTER[criterion] else np.nanargmax(values))
        found = self.fits[chosen]
        assert found is not None
        return found

    def summary(self) -> str:
        """The table as text, and what each criterion chooses."""
        lines = [self.table.to_string(float_format=lambda value: f"{value:.3f}"), ""]
        for criterion in SMALLER_IS_BETTER:
            if criterion in self.table and self.table[criterion].notna().any():
                lines.append(f"{criterion:8s} chooses {self.best(criterion).specification!r}")
        return "\n".join(lines)

    def plot(self, criterion: str = "bic") -> Any:
        """A criterion against the number of components, a line for each kind of mixture: a matplotlib Figure."""
        return import_module("mixtures.plots").plot_selection(self, criterion)

    def __repr__(self) -> str:
        return f"<Selection of {len(self.specifications)} specifications>"

    def _repr_html_(self) -> str:
        from .text import as_html

        return as_html(self.summary())


def select(
    specs: Iterable[Mixture],
    data: Any,
    *,
    sample_weight: Any = None,
    starts: int = 50,
    folds: int = 0,
    loo: bool | Mapping[str, Any] = False,
    rng: RNGLike = None,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Selection:
    """Fit several specifications to the same rows and compare them.

    A specification that cannot be fitted keeps its row in the table, with the reason. An interruption by the user ends the comparison with
    what there is.

    Parameters
    ----------
    specs
        Specifications of the same columns.
    data
        The rows, as for `fit`.
    sample_weight
        Counts or weights of rows (n,), or the name of a column.
    starts
        Starts of each fit.
    folds
        At least 2 adds the cross-validated log density: every row's, under the fit to the other folds, summed. 0 leaves it out.
    loo
        True samples every specification's posterior and adds its leave-one-out log density (`mixtures.loo`); a dict of options for
        `mixtures.sample`, such as {"draws": 500}, does the same with these. Specifications whose posterior cannot be sampled say so.
    rng
        Seed or generator.
    jobs
        Processes, each with fits of its own; None takes as many as there are processors, where the system can fork. The result does not
        depend on it.
    progress
        Called with (specifications done, in all).

    Raises
    ------
    SpecError
        For no specification, different columns, starts below 1, folds that are fewer than 2 or more than the rows, or options in `loo`
        that `mixtures.sample` has not or that are chosen here (rows, weights, pivot, random numbers).
    DataError
        If the data cannot be read, or have not these columns.

    Examples
    --------
    >>> import mixtures as mx
    >>> data = mx.load_dataset("old_faithful")
    >>> candidates = [mx.Mixture(mx.Gaussian("waiting"), n_components=k) for k in (1, 2, 3)]
    >>> mx.select(candidates, data, rng=1).best("bic").specification
    Mixture(Gaussian('waiting'), n_components=2)

    References
    ----------
    Schwarz (1978), Annals of Statistics 6, 461-464 (BIC). Biernacki, Celeux & Govaert (2000), IEEE PAMI 22, 719-725 (ICL, with the most
    probable components as mclust has it). Smyth (2000), Statistics and Computing 10, 63-72 (held-out density). Vehtari, Gelman & Gabry
    (2017), Statistics and Computing 27, 1413-1432 (leave-one-out density).
    """
    check_kind(specs, Iterable, "select(specs, data)", SPECIFICATIONS)
    specs = (specs,) if isinstance(specs, Mixture) else tuple(specs)
    _check(specs, folds)
    check_whole("select", "starts", starts, 1)
    check_callable("select", "progress", progress, "lambda done, total: print(done, total)")
    check_kind(
        loo, (bool, Mapping), "select(loo=...)", "pass True, False or options of mx.sample such as {'draws': 500}"
    )
    options = {} if isinstance(loo, bool) else dict(loo)
    if options:
        import_module("mixtures.bayes.sample").check_options("select(loo=...): sample", options)
    _check_columns_are_there(data, specs[0])
    generator = as_generator(rng)
    seeds = spawn_seeds(generator, 2 * len(specs))
    fits: list[EMFit | None] = [None] * len(specs)
    records: list[dict[str, Any]] = [_blank(spec, "not reached: interrupted") for spec in specs]
    people = _people(specs[0], data, sample_weight, folds, generator) if folds else None

    def one(i: int) -> tuple[EMFit | None, dict[str, Any]]:
        found, record = None, _blank(specs[i], "")
        try:
            rows = specs[i].rows(data, sample_weight=sample_weight)
            found = _quiet_fit(specs[i], rows, starts=starts, rng=seeds[2 * i])
            record = _record(found, rows)
            if people is not None and found.status not in (Status.NEARLY_SINGULAR, Status.INTERRUPTED):
                record["held_out"] = _held_out(specs[i], data, sample_weight, people, starts, seeds[2 * i + 1])
        except InterruptedRunError:
            raise KeyboardInterrupt from None
        except (DataError, FitError, UnsupportedError) as error:
            record["status"] = str(error) if found is None else f"{record['status']}; held out: {error}"
        return found, record

    try:
        done = as_done(one, len(specs), process_count(jobs, len(specs)))
        for count, (i, (found, record)) in enumerate(done):
            fits[i], records[i] = found, record
            if found is not None and found.status is Status.INTERRUPTED:
                break
            if progress is not None:
                progress(count + 1, len(specs))
        if loo is not False:
            for i, seed in enumerate(spawn_seeds(generator, len(specs))):
                records[i] |= _left_out(
                    specs[i], data, records[i]["status"], rng=seed, sample_weight=sample_weight, **options
                )
    except (KeyboardInterrupt, InterruptedRunError):
        pass
    import pandas as pd

    table = pd.DataFrame(records)
    columns = [*(["held_out"] if folds else []), *(LOO if loo is not False else [])]
    table = table.reindex(columns=[*CRITERIA, *columns, "status"])
    return Selection(specs, tuple(fits), table.set_index("specification"))


def _check(specs: tuple[Mixture, ...], folds: int) -> None:
    if not specs or not all(isinstance(spec, Mixture) for spec in specs):
        wrong = next((described(spec) for spec in specs if not isinstance(spec, Mixture)), "none")
        raise SpecError(f"select(specs, data): {SPECIFICATIONS}; found {wrong}.")
    for spec in specs:
        if set(spec.columns) != set(specs[0].columns):
            raise SpecError(
                f"{spec!r} has other columns than {specs[0]!r}: their likelihoods are of different data and cannot be compared."
            )
    if not isinstance(folds, int) or folds < 0 or folds == 1:
        raise SpecError(f"folds={folds!r}: 0 (none) or at least 2.")


def _check_columns_are_there(data: Any, spec: Mixture) -> None:
    """Data that no specification can read are no property of any of them."""
    table = open_table(data, spec.columns)
    for column in spec.columns:
        if column not in table.names:
            table.column(column)


def _blank(spec: Mixture, status: str) -> dict[str, Any]:
    return {
        "specification": repr(spec),
        "components": spec.n_components,
        "log_likelihood": np.nan,
        "parameters": count_parameters(spec),
        "aic": np.nan,
        "bic": np.nan,
        "icl": np.nan,
        "held_out": np.nan,
        **dict.fromkeys(LOO, np.nan),
        "status": status,
    }


def _quiet_fit(*args: Any, **kwargs: Any) -> EMFit:
    """A fit whose status is read here: no warning that it is nearly singular."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixtureWarning)
        return fit(*args, **kwargs)


def _record(found: EMFit, rows: Rows) -> dict[str, Any]:
    status = found.status.name.lower().replace("_", " ")
    if found.status is Status.NEARLY_SINGULAR:  # its likelihood is no measure of the model
        return _blank(found.specification, status) | {"log_likelihood": found.log_likelihood}
    bic = np.nan if found.weighting == "fractional" else found.bic
    return _blank(found.specification, status) | {
        "log_likelihood": found.log_likelihood,
        "aic": found.aic,
        "bic": bic,
        "icl": bic - 2.0 * _log_certainty(found, rows),
    }


def _log_certainty(found: EMFit, rows: Rows) -> float:
    """Sum over rows of the log responsibility of the most probable component."""
    from .em.program import Program

    program = Program(found.resolved, rows)
    R = program.responsibilities(program.to_standard(found.params))
    return float(rows.weights @ np.log(R.max(axis=1)))


def _left_out(spec: Mixture, data: Any, status: str, **options: Any) -> dict[str, Any]:
    """Leave-one-out log density of the posterior, or in the status why there is none."""
    try:
        posterior = import_module("mixtures.bayes.sample").sample(spec, data, **options)
        if posterior.attrs["mixtures_interrupted"]:
            raise KeyboardInterrupt
        found = import_module("mixtures.bayes.loo").loo(posterior, pointwise=True)
    except InterruptedRunError:
        raise KeyboardInterrupt from None
    except (DataError, FitError, UnsupportedError) as error:
        return {"status": f"{status}; loo: {error}"}
    doubtful = int(np.sum(np.asarray(found.pareto_k) > found.good_k))
    return dict(zip(LOO, (float(found.elpd), float(found.se), doubtful), strict=True))


class _People(NamedTuple):
    """The rows one by one, a row with a count as many times: which row each is, and the fold it belongs to."""

    row: NDArray[np.intp]
    fold: NDArray[np.intp]
    folds: int


def _every_row(spec: Mixture, data: Any, sample_weight: Any) -> Rows:
    return read_rows(data, spec.columns, sample_weight=sample_weight, merge=False, may_miss=spec.may_miss)


def _people(spec: Mixture, data: Any, sample_weight: Any, folds: int, rng: np.random.Generator) -> _People:
    """One division into folds for all specifications."""
    rows = _every_row(spec, data, sample_weight)
    row = np.arange(len(rows.values))
    if rows.weighting == "counts":
        row = np.repeat(row, np.rint(rows.weights).astype(np.intp))
    if folds > len(row):
        raise SpecError(f"folds={folds!r}: there are {len(row)} rows only.")
    return _People(row, rng.permutation(np.resize(np.arange(folds), len(row))), folds)


def _held_out(spec: Mixture, data: Any, sample_weight: Any, people: _People, starts: int, seed: int) -> float:
    """Log density of every person under the fit to the other folds, summed with fractional weights."""
    rows = _every_row(spec, data, sample_weight)
    weights = rows.weights if rows.weighting == "fractional" else np.ones(len(rows.values))
    total = 0.0
    for j, each in enumerate(spawn_seeds(np.random.default_rng(seed), people.folds)):
        seen, new = people.row[people.fold != j], people.row[people.fold == j]
        given = weights[seen] if rows.weighting == "fractional" else None
        train = _whole_fit(spec, rows.values[seen], starts=starts, rng=each, sample_weight=given)
        total += float(weights[new] @ train.score(rows.values[new]))
    return total


def _whole_fit(*args: Any, **kwargs: Any) -> EMFit:
    """A fit on the way to something else: one that the user cut off ends that too."""
    try:
        found = _quiet_fit(*args, **kwargs)
    except InterruptedRunError:
        raise KeyboardInterrupt from None
    if found.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    return found


# -- the bootstrap test -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class BootstrapTest:
    """A likelihood-ratio test whose distribution under the null is simulated.

    Attributes
    ----------
    statistic
        2 (log L of the alternative - log L of the null).
    draws
        The statistic on data sets simulated from the fitted null; 0 where the alternative has no sound maximum above it.
    p_value
        (1 + number of draws that are no smaller) / (1 + number of draws).
    requested
        How many draws were asked for; there are fewer if the user interrupted.
    """

    null: EMFit
    alternative: EMFit
    statistic: float
    draws: Array
    requested: int

    @property
    def interrupted(self) -> bool:
        """Whether there are fewer draws than were asked for."""
        return len(self.draws) < self.requested

    @property
    def p_value(self) -> float:
        """Share of data sets like the null's, the observed one among them, with so large a statistic."""
        return float((1 + np.count_nonzero(self.draws >= self.statistic)) / (1 + len(self.draws)))

    def __repr__(self) -> str:
        count = f"{len(self.draws)} draws"
        if self.interrupted:
            count += f" of {self.requested} (interrupted)"
        return f"<BootstrapTest: statistic {self.statistic:.3f}, p = {self.p_value:.3g} from {count}>"


def bootstrap_test(
    null: Mixture,
    alternative: Mixture,
    data: Any,
    *,
    draws: int = 99,
    starts: int = 50,
    rng: RNGLike = None,
    progress: Callable[[int, int], None] | None = None,
) -> BootstrapTest:
    """Test a specification against a larger one, e.g. K components against K + 1, where chi-square tables do not hold.

    Parameters
    ----------
    null, alternative
        The smaller and the larger specification, of the same columns.
    data
        The rows, as for `fit`; without weights.
    draws
        Data sets simulated from the fitted null. An interruption by the user keeps those that are done, if any.
    starts
        Starts of each fit.
    rng
        Seed or generator.
    progress
        Called with (draws done, in all).

    Raises
    ------
    SpecError
        If the alternative has no more free parameters than the null.
    DataError
        If cells are missing.
    FitError
        If one of them has no sound maximum on the data, or nothing was done when the user interrupted.

    Examples
    --------
    >>> import mixtures as mx
    >>> one, two = (mx.Mixture(mx.Gaussian("waiting"), n_components=k) for k in (1, 2))
    >>> mx.bootstrap_test(one, two, mx.load_dataset("old_faithful"), draws=19, starts=5, rng=1).p_value
    0.05

    References
    ----------
    McLachlan (1987), On bootstrapping the likelihood ratio test statistic for the number of components in a normal mixture, Applied
    Statistics 36, 318-324.
    """
    check_specification(null, "bootstrap_test(null, alternative, data)")
    check_specification(alternative, "bootstrap_test(null, alternative, data)")
    _check((null, alternative), 0)
    check_whole("bootstrap_test", "draws", draws, 1)
    check_whole("bootstrap_test", "starts", starts, 1)
    check_callable("bootstrap_test", "progress", progress, "lambda done, total: print(done, total)")
    if count_parameters(alternative) <= count_parameters(null):
        raise SpecError(
            "bootstrap_test(null, alternative, data): the alternative must have more free parameters than the null."
        )
    if null.rows(data).has_missing:
        raise DataError(
            "bootstrap_test: cells are missing, and simulated rows are complete. Drop the rows with missing cells."
        )
    streams = spawn_seeds(as_generator(rng), draws + 1)
    small, large = (_quiet_fit(spec, data, starts=starts, rng=streams[0]) for spec in (null, alternative))
    for which, observed in (("null", small), ("alternative", large)):
        if observed.status in (Status.NEARLY_SINGULAR, Status.INTERRUPTED):
            raise FitError(
                f"bootstrap_test: the fit of the {which} has no sound maximum to compare: {observed.status.value}"
            )
    found: list[float] = []
    try:
        for done, stream in enumerate(streams[1:]):
            one, two = spawn_seeds(np.random.default_rng(stream), 2)
            rows = simulate(small.resolved, small, round(small.n_rows), rng=one, component=None)
            found.append(_simulated_ratio(null, alternative, rows, starts, two))
            if progress is not None:
                progress(done + 1, draws)
    except KeyboardInterrupt:
        if not found:
            raise InterruptedRunError("Interrupted before the first draw of the bootstrap was done.") from None
    return BootstrapTest(small, large, _ratio(small, large), np.array(found), draws)


def _simulated_ratio(null: Mixture, alternative: Mixture, rows: Any, starts: int, seed: int) -> float:
    """The statistic on rows of the null; 0 where the alternative has no sound maximum, because then nothing sound lies above the null."""
    try:
        small = _whole_fit(null, rows, starts=starts, rng=seed)
        large = _whole_fit(alternative, rows, starts=starts, rng=seed)
    except FitError:
        return 0.0
    return 0.0 if large.status is Status.NEARLY_SINGULAR else max(0.0, _ratio(small, large))


def _ratio(null: EMFit, alternative: EMFit) -> float:
    return 2.0 * (alternative.log_likelihood - null.log_likelihood)
