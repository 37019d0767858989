"""`fit` and its frozen, labelled result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .arguments import check_callable, check_number, check_path
from .data import Rows, read_rows
from .em.methods import Method, as_method
from .em.parameters import Parameters
from .em.program import Params, Program
from .em.run import NEARLY_SINGULAR, Optimum, Search, search
from .em.status import Status
from .errors import FitError, MixtureWarning, SpecError
from .families.base import Array, DegenerateComponentError
from .rng import RNGLike, as_generator
from .spec import Mixture, check_specification

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["CollapsedFitError", "EMFit", "fit"]


@dataclass(frozen=True, eq=False)
class EMFit:
    """The result of EM. Everything is in data units; components stand in the specification's order.

    Attributes
    ----------
    specification, resolved
        What was asked for, and the same with every default prior in numbers.
    estimate
        "mle" or "map".
    point
        The parameters as a light mapping of arrays; `parameters` is the same as an xarray Dataset.
    log_likelihood, log_posterior
        Of the returned parameters; the log posterior is the log-likelihood plus the log prior density with its constants.
    status
        How the fit ended: its value is a sentence with the remedy.
    decrement
        Distance to the stationary point in standard errors (lambda).
    n_passes
        Passes over the rows, all starts together.
    history
        The method's objective at every accepted point of the climb that found the estimate.
    optima
        One record per optimum reached (see `starts` for the table).
    n_rows, weighting
        Sum of the counts of the rows, and whether weights are "none", "counts" or "fractional".
    threshold
        Optima whose smallest eigenvalue (see `starts`) is below it are nearly singular and not returned.
    n_missing
        Number of cells, times the counts of their rows, that are missing and were taken to be so at random.
    """

    specification: Mixture
    resolved: Mixture
    estimate: str
    method: Method
    point: Parameters
    log_likelihood: float
    log_posterior: float
    status: Status
    decrement: float
    n_passes: int
    history: Array
    optima: tuple[OptimumRecord, ...]
    n_rows: float
    weighting: str
    threshold: float
    n_missing: float = 0.0
    subsample: int | None = None

    @property
    def converged(self) -> bool:
        """Whether the estimate is a local maximum."""
        return self.status.converged

    @cached_property
    def parameters(self) -> xr.Dataset:
        """The parameters as a labelled Dataset, weights included."""
        return self.point.to_dataset()

    @property
    def params(self) -> Params:
        """The parameters in the engine's form, data units."""
        return self.point.params()

    @cached_property
    def starts(self) -> pd.DataFrame:
        """Every optimum reached: kind, log-likelihood, how many starts, weights, smallest eigenvalue and lambda. Nearly singular ones stand apart, last."""
        import pandas as pd

        return pd.DataFrame([record.row() for record in self.optima]).rename_axis("optimum")

    def responsibilities(self, data: Any) -> xr.DataArray:
        """p(component given row), dims (row, component).

        Rows to which every component gives density 0, e.g. outside every box, have no such probabilities: NaN, with a `MixtureWarning`
        that counts them.

        Raises
        ------
        DataError
            If the data have not the columns of the fit, or values that its families cannot take.
        """
        import xarray as xr

        values, dead = self._responsibilities(data)
        values[dead] = np.nan
        return xr.DataArray(
            values, dims=("row", "component"), coords={"component": np.arange(values.shape[1])}, name="responsibilities"
        )

    def predict(self, data: Any) -> Array:
        """Most probable component (n,) of each row; -1, with a `MixtureWarning`, for rows to which every component gives density 0.

        Raises
        ------
        DataError
            If the data have not the columns of the fit, or values that its families cannot take.
        """
        values, dead = self._responsibilities(data)
        return np.where(dead, -1, values.argmax(axis=1))

    def _responsibilities(self, data: Any) -> tuple[Array, NDArray[np.bool_]]:
        """Of every given row (n, K), and which rows have density 0 under all components (n,)."""
        import warnings

        program, expand = self._score_program(data)
        values = expand(program.responsibilities(self.params))
        dead = ~(values.sum(axis=1) > 0)
        if dead.any():
            warnings.warn(
                f"{int(dead.sum())} of {len(dead)} rows have density 0 under every component, the first of them row "
                f"{int(np.flatnonzero(dead)[0])}: responsibilities NaN, predicted component -1, score -inf.",
                MixtureWarning,
                stacklevel=3,
            )
        return values, dead

    def score(self, data: Any) -> Array:
        """Log density (n,) of each row; -inf where every component gives density 0.

        Raises
        ------
        DataError
            If the data have not the columns of the fit, or values that its families cannot take.
        """
        program, expand = self._score_program(data)
        return expand(program.row_log_likelihood(self.params))

    def _score_program(self, data: Any) -> tuple[Program, Callable[[Array], Array]]:
        spec = self.resolved
        rows = read_rows(data, spec.columns, may_miss=spec.may_miss, keep_empty=True, may_lack=spec.evidence_columns)
        self.resolved.check_rows(rows)
        inverse = rows.inverse
        return Program(self.resolved, rows, standardise=False), (
            lambda values: values if inverse is None else values[inverse]
        )

    def n_parameters(self) -> int:
        """Number of free parameters of the specification."""
        from .criteria import count_parameters

        return count_parameters(self.resolved)

    @property
    def aic(self) -> float:
        """Akaike's criterion, -2 log L + 2 p: smaller is better."""
        return -2.0 * self.log_likelihood + 2.0 * self.n_parameters()

    @property
    def bic(self) -> float:
        """Schwarz's criterion, -2 log L + p log n: smaller is better (mclust reports the negative of it).

        Raises
        ------
        FitError
            With fractional row weights, where no sample size is defined.
        """
        if self.weighting == "fractional":
            raise FitError("BIC needs a sample size; with fractional sample_weight there is none. Use counts.")
        return -2.0 * self.log_likelihood + self.n_parameters() * float(np.log(self.n_rows))

    def summary(self) -> str:
        """The fit as text: status, criteria, parameters by component, and the optima."""
        from .text import fit_summary

        return fit_summary(self)

    def __repr__(self) -> str:
        return f"<EMFit {self.estimate}: {self.specification!r}; log-likelihood {self.log_likelihood:.5f}; {self.status.name.lower()}>"

    def _repr_html_(self) -> str:
        from .text import as_html

        return as_html(self.summary())

    def save(self, path: Any) -> None:
        """Write the fit to a NetCDF file, the specification inside. `mixtures.load` reads it.

        Raises
        ------
        SpecError
            If `path` is no path.
        DataError
            If the file cannot be written.
        """
        from .storage import save_fit

        check_path("save", path)
        save_fit(self, path)


@dataclass(frozen=True, eq=False)
class OptimumRecord:
    """One optimum that starts reached, in data units."""

    kind: str
    log_likelihood: float
    objective: float
    count: int
    point: Parameters
    smallest_eigenvalue: float
    component: int
    rows: tuple[str, ...]
    decrement: float
    start_kinds: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """The record as a row of the table of optima."""
        return {
            "kind": self.kind,
            "log_likelihood": self.log_likelihood,
            "starts": self.count,
            "weights": np.round(self.point["weights"], 4).tolist(),
            "smallest_eigenvalue": self.smallest_eigenvalue,
            "component": self.component if self.kind in ("nearly singular", "collapsing") else -1,
            "rows": ", ".join(self.rows),
            "decrement": self.decrement,
        }


def fit(
    spec: Mixture,
    data: Any,
    *,
    estimate: str = "mle",
    method: Method | None = None,
    starts: int | Iterable[Mapping[str, Any]] = 50,
    rng: RNGLike = None,
    sample_weight: Any = None,
    threshold: float = NEARLY_SINGULAR,
    progress: Callable[[int, int], None] | None = None,
    threads: int | None = None,
) -> EMFit:
    """Fit a mixture by EM from many starts and return its best sound local maximum.

    Parameters
    ----------
    spec
        The specification.
    data
        A pandas or polars frame, xarray object, dict of arrays, or NumPy array (columns by position).
    estimate
        "mle", or "map" for the mode of the posterior density of the named parameters.
    method
        `SQUAREM()` (default), `EM()` or `HardEM()`.
    starts
        Number of random starts, or parameters to start from (mappings of arrays in data units).
    rng
        Seed or generator; one seed gives the same result again.
    sample_weight
        Counts or weights of the rows (n,), or the name of a column.
    threshold
        An optimum is nearly singular, and not returned, if the smallest eigenvalue of some covariance falls below this in coordinates in which
        the pooled within-component covariance is the identity.
    progress
        Called with (starts done, starts in all).
    threads
        How many threads a large pass may use; None takes OMP_NUM_THREADS, NUMBA_NUM_THREADS or the processors at hand.

    Returns
    -------
    EMFit

    Raises
    ------
    SpecError, DataError
        For a specification or data that cannot be fitted, naming slot, column and row; a row that no component can give a density to is
        such.
    FitError
        If every start collapsed, or nothing had been reached when the user interrupted.

    Examples
    --------
    >>> import mixtures as mx
    >>> found = mx.fit(
    ...     mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=2), mx.load_dataset("old_faithful"), rng=1
    ... )
    >>> round(found.log_likelihood, 5)
    -1130.26396

    References
    ----------
    Dempster, Laird & Rubin (1977), JRSS B 39, 1-38. Varadhan & Roland (2008), Scandinavian Journal of Statistics 35, 335-353.
    """
    check_specification(spec, "fit(spec, data)")
    check_number("fit", "threshold", threshold, least=0.0)
    check_callable("fit", "progress", progress, "lambda done, total: print(done, total)")
    rows = spec.rows(data, sample_weight=sample_weight)
    resolved = spec.resolve(rows)
    program = Program(resolved, rows, estimate, threads=threads)
    program.refuse_rows_without_density()
    found = search(
        program,
        as_method(method),
        starts=_parse_starts(program, starts),
        rng=as_generator(rng),
        threshold=threshold,
        progress=progress,
    )
    return _result(spec, program, as_method(method), found, threshold)


def _parse_starts(program: Program, starts: Any) -> int | list[Params]:
    """The number of starts, or the given ones in standardised coordinates."""
    if isinstance(starts, int | np.integer) and not isinstance(starts, bool) and starts >= 1:
        return int(starts)
    if isinstance(starts, Iterable) and not isinstance(starts, str | Mapping):
        given = [program.to_standard(_given(program.spec, p)) for p in starts]
        for i, p in enumerate(given):
            bad = np.flatnonzero(~np.isfinite(program.row_log_likelihood(p)))
            if len(bad):
                row = program.rows.row_name(int(bad[0]))
                raise SpecError(f"starts[{i}] gives density 0 to {row} ({len(bad)} such rows): EM cannot leave it.")
        if given:
            return given
    raise SpecError(
        f"starts={starts!r}: a number of starts >= 1 or a list of parameters (mappings of arrays) is needed."
    )


def _given(spec: Mixture, p: Mapping[str, Any]) -> Params:
    return Parameters(spec, p).params()


class CollapsedFitError(FitError):
    """Every start collapsed; carries the highest of them for who can say more about it."""

    def __init__(self, message: str, fit: Callable[[], EMFit]) -> None:
        super().__init__(message)
        self.fit = fit


def _result(
    spec: Mixture, program: Program, method: Method, found: Search, threshold: float, *, collapsed: bool = False
) -> EMFit:
    best = found.optima[0]
    status = Status.INTERRUPTED if found.interrupted else best.status
    if best.kind == "collapsing" and not found.interrupted and not collapsed:
        raise CollapsedFitError(
            _collapse_message(program, found.optima),
            lambda: _result(spec, program, method, found, threshold, collapsed=True),
        )
    point = Parameters.of(program.spec, program.to_data(best.p))
    log_likelihood = _log_likelihood(program, best) - program.log_scale
    try:
        log_prior = program.log_prior_data_units(best.p)
        history = np.array(best.history) + program.objective_offset(best.p)
    except np.linalg.LinAlgError:
        log_prior, history = np.nan, np.array(best.history) - program.log_scale
    if status is Status.NEARLY_SINGULAR:
        import warnings

        warnings.warn(
            f"{status.value} It is component {best.component}, smallest eigenvalue {best.degeneracy:.2g}.",
            MixtureWarning,
            stacklevel=3,
        )
    return EMFit(
        specification=spec,
        resolved=program.spec,
        estimate=program.estimate,
        method=method,
        point=point,
        log_likelihood=log_likelihood,
        log_posterior=log_likelihood + log_prior,
        status=status,
        decrement=best.decrement,
        n_passes=found.n_passes,
        history=history,
        optima=tuple(_record(program, optimum) for optimum in found.optima),
        n_rows=program.total,
        weighting=program.rows.weighting,
        threshold=threshold,
        n_missing=_count_missing(program),
        subsample=found.subsample,
    )


def _count_missing(program: Program) -> float:
    if not program.rows.has_missing:
        return 0.0
    known = [program.spec.columns.index(column) for column in program.spec.evidence_columns]
    return float(program.v @ np.delete(~program.rows.observed, known, axis=1).sum(axis=1))


def _log_likelihood(program: Program, optimum: Optimum) -> float:
    """The mixture's log-likelihood, which hard EM does not maximise, in standardised units."""
    try:
        return program.evaluate(optimum.p).log_likelihood
    except (DegenerateComponentError, np.linalg.LinAlgError):
        return optimum.evaluation.log_likelihood


def _record(program: Program, optimum: Optimum) -> OptimumRecord:
    sound = optimum.kind in ("optimum", "unfinished")
    objective = np.inf
    if np.isfinite(optimum.evaluation.objective):
        try:
            objective = optimum.evaluation.objective + program.objective_offset(optimum.p)
        except np.linalg.LinAlgError:
            objective = np.nan
    return OptimumRecord(
        kind=optimum.kind,
        log_likelihood=_log_likelihood(program, optimum) - program.log_scale,
        objective=objective,
        count=optimum.count,
        point=Parameters.of(program.spec, program.to_data(optimum.p)),
        smallest_eigenvalue=optimum.degeneracy,
        component=optimum.component,
        rows=() if sound else _rows_of(program, optimum),
        decrement=optimum.decrement,
        start_kinds=optimum.start_kinds,
    )


def _rows_of(program: Program, optimum: Optimum, most: int = 20) -> tuple[str, ...]:
    """Names of the rows that a degenerate component sits on, as far as its density can still be computed."""
    try:
        R = program.responsibilities(optimum.p)[:, optimum.component]
    except (ArithmeticError, np.linalg.LinAlgError):
        return ()
    own = np.flatnonzero(R > 0.5)
    names = [program.rows.row_name(int(i)) for i in own[:most]]
    return (*names, f"and {len(own) - most} more") if len(own) > most else tuple(names)


def _collapse_message(program: Program, optima: list[Optimum]) -> str:
    worst = optima[0]
    rows = _rows_of(program, worst, most=8)
    where = f" on {', '.join(rows)}" if rows else ""
    count = sum(optimum.count for optimum in optima)
    return f"{Status.COLLAPSING.value} Of {count} starts all did; the last one in component {worst.component}{where}."


def given_fit(spec: Mixture, resolved: Mixture, rows: Rows, parameters: Mapping[str, Any]) -> EMFit:
    """Parameters from elsewhere as an `EMFit` that was not climbed to, components in the specification's order."""
    program = Program(resolved, rows)
    p, _ = program.ordered(program.to_standard(_given(resolved, parameters)))
    evaluation = program.evaluate(p)
    optimum = Optimum(
        p,
        evaluation,
        "optimum",
        Status.GIVEN,
        np.nan,
        float(np.min(program.degeneracy(p))),
        0,
        0,
        (evaluation.objective,),
    )
    return _result(spec, program, as_method(None), Search([optimum]), NEARLY_SINGULAR)


def adopt(fit: EMFit, program: Program, optimum: Optimum) -> EMFit:
    """The fit with another optimum, found since, as its estimate."""
    found = _result(fit.specification, program, fit.method, Search([optimum]), fit.threshold)
    return replace(found, optima=(found.optima[0], *fit.optima), n_passes=fit.n_passes + optimum.passes)


def reordered(fit: EMFit, program: Program, order: NDArray[np.intp]) -> EMFit:
    """The fit with component `order[k]` as component k."""
    p = program.to_data(program.permuted(program.to_standard(fit.params), order))
    return replace(fit, point=Parameters.of(program.spec, p))
