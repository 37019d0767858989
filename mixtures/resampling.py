"""The bootstrap of a fit: parametric or by random weights of the rows, components matched to the fit's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .arguments import check_callable, check_whole
from .data import Rows
from .em.program import Params, Program
from .em.run import climb
from .em.status import Status
from .errors import DataError, FitError, InterruptedRunError, SpecError
from .families.base import Array, DegenerateComponentError
from .intervals import check_level, program_of
from .kernels.threads import one_blas_thread
from .matching import match_components, rows_to_match_on, shares_of
from .results import EMFit
from .rng import RNGLike, as_generator, spawn_seeds
from .simulation import simulate
from .uncertainty import Scalars, named_values

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Bootstrap", "bootstrap"]

KINDS = ("parametric", "weighted")


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Refits of one specification to resampled rows.

    Attributes
    ----------
    fit
        The fit that was resampled.
    kind
        "parametric" or "weighted".
    draws
        One row per refit that converged, one column per free scalar (labels as in `standard_errors`), data units; the index is the number
        of the draw.
    failures
        How many refits ended otherwise, by status; they are not among the draws.
    requested
        Draws that were asked for; fewer were made if the user interrupted.
    """

    fit: EMFit
    kind: str
    draws: pd.DataFrame
    failures: Mapping[Status, int] = field(default_factory=dict)
    requested: int = 0

    @property
    def n_failures(self) -> int:
        """Number of refits that did not converge."""
        return sum(self.failures.values())

    @property
    def interrupted(self) -> bool:
        """Whether the user cut it short."""
        return len(self.draws) + self.n_failures < self.requested

    @cached_property
    def estimate(self) -> pd.Series:
        """The fit's own scalars."""
        import pandas as pd

        scalars = Scalars(self.fit.resolved)
        return pd.Series(
            scalars.natural(named_values(self.fit.resolved, self.fit.params)), index=self.draws.columns, name="estimate"
        )

    @cached_property
    def standard_errors(self) -> pd.Series:
        """Standard deviation of each scalar over the draws."""
        return self.draws.std(ddof=1).rename("standard_error")

    def intervals(self, level: float = 0.95) -> pd.DataFrame:
        """Percentile intervals of every scalar: estimate, standard_error, lower, upper.

        Raises
        ------
        SpecError
            If `level` is not in (0, 1).

        References
        ----------
        Efron (1981), Nonparametric standard errors and confidence intervals, Canadian Journal of Statistics 9, 139-158.
        """
        import pandas as pd

        check_level(level, "intervals")
        ends = self.draws.quantile([0.5 - 0.5 * level, 0.5 + 0.5 * level])
        return pd.DataFrame(
            {
                "estimate": self.estimate,
                "standard_error": self.standard_errors,
                "lower": ends.iloc[0],
                "upper": ends.iloc[1],
            }
        )

    def __repr__(self) -> str:
        failed = "".join(
            f", {count} {status.name.lower().replace('_', ' ')}" for status, count in self.failures.items()
        )
        cut = f" of {self.requested} (interrupted)" if self.interrupted else ""
        return f"<Bootstrap, {self.kind}: {len(self.draws)} draws{cut}{failed}>"


def bootstrap(
    fit: EMFit,
    data: Any,
    *,
    kind: str = "parametric",
    draws: int = 200,
    rng: RNGLike = None,
    sample_weight: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Bootstrap:
    """Refit to resampled rows, every time climbing from the estimate.

    Parameters
    ----------
    fit
        The fit.
    data
        The rows that it was made from.
    kind
        "parametric" simulates rows from the fit. "weighted" multiplies the weight of every person by a standard exponential variable and
        scales to the same total, which is a Dirichlet draw over the persons: no row is left out, so that components lose no row entirely,
        and the model need not be right.
    draws
        Number of refits. An interruption by the user keeps those that are done, if any.
    rng
        Seed or generator; a longer run with the same seed begins with the same draws.
    sample_weight
        As it was given to `fit`; a row with an integer count is as many persons, a row with a fractional weight is one.
    progress
        Called with (refits done, in all).

    Returns
    -------
    Bootstrap

    Raises
    ------
    SpecError
        For another kind, or fewer than two draws.
    DataError
        If the rows are not those of the fit; for the parametric bootstrap if cells are missing, weights are fractional, or components of
        different families draw rows that the others refuse.
    FitError
        If no refit converged, or none was done when the user interrupted.

    Examples
    --------
    >>> import mixtures as mx
    >>> data = mx.load_dataset("old_faithful")
    >>> fit = mx.fit(mx.Mixture(mx.Gaussian("waiting"), n_components=2), data, starts=5, rng=1)
    >>> found = mx.bootstrap(fit, data, kind="weighted", draws=50, rng=1)
    >>> found
    <Bootstrap, weighted: 50 draws>
    >>> bool(found.intervals().loc["mean[0, waiting]", "lower"] < fit.point["mean"][0, 0])
    True

    References
    ----------
    Newton & Raftery (1994), Approximate Bayesian inference with the weighted likelihood bootstrap, JRSS B 56, 3-48. McLachlan & Peel
    (2000), Finite Mixture Models, section 2.16.
    """
    if kind not in KINDS:
        raise SpecError(f"bootstrap(kind={kind!r}): legal are {', '.join(map(repr, KINDS))}.")
    check_whole("bootstrap", "draws", draws, 2)
    check_callable("bootstrap", "progress", progress, "lambda done, total: print(done, total)")
    program = program_of("bootstrap", fit, data, sample_weight)
    if kind == "parametric":
        _refuse_to_simulate(program.rows)
    matcher, scalars = _Matcher(program, fit), Scalars(fit.resolved)
    found: dict[int, Array] = {}
    failures: Counter[Status] = Counter()
    try:
        with one_blas_thread():
            for done, rows in enumerate(_resampled(fit, program, kind, int(draws), rng)):
                status, p = _refit(program.on(rows), fit)
                if p is None:
                    failures[status] += 1
                else:
                    found[done] = scalars.natural(named_values(fit.resolved, program.to_data(matcher.matched(p))))
                if progress is not None:
                    progress(done + 1, int(draws))
    except KeyboardInterrupt:
        if not found:
            raise InterruptedRunError("Interrupted before the first refit of the bootstrap was done.") from None
    if not found:
        ends = ", ".join(f"{count} {status.name.lower()}" for status, count in failures.items())
        raise FitError(
            f"bootstrap: none of {draws} refits converged ({ends}). Use fewer components, or estimate='map' with its prior."
        )
    import pandas as pd

    table = pd.DataFrame(np.array(list(found.values())), columns=scalars.labels, index=pd.Index(found, name="draw"))
    return Bootstrap(fit, kind, table, dict(failures), int(draws))


def _refuse_to_simulate(rows: Rows) -> None:
    if rows.has_missing:
        raise DataError(
            "bootstrap(kind='parametric'): cells are missing, and simulated rows are complete. Use kind='weighted', or drop the rows with "
            "missing cells."
        )
    if rows.weighting == "fractional":
        raise DataError(
            "bootstrap(kind='parametric'): with a sample_weight that is not integer there is no number of rows to simulate. Use "
            "kind='weighted', or counts."
        )


def _resampled(fit: EMFit, program: Program, kind: str, draws: int, rng: RNGLike) -> Iterator[Rows]:
    """The rows of each draw."""
    generator, rows = as_generator(rng), program.rows
    for stream in (np.random.default_rng(seed) for seed in spawn_seeds(generator, draws)):
        if kind == "parametric":
            yield _simulated(fit, round(rows.total), stream)
        else:
            if rows.weighting == "fractional":
                drawn = rows.weights * stream.standard_exponential(len(rows.weights))
            else:  # the sum of one exponential per person
                drawn = stream.standard_gamma(rows.weights)
            yield replace(rows, weights=drawn * (rows.total / drawn.sum()), weighting="fractional")


def _simulated(fit: EMFit, count: int, rng: np.random.Generator) -> Rows:
    frame = simulate(fit.resolved, fit, count, rng=rng, component=None)
    try:
        return fit.resolved.rows(frame)
    except DataError as error:  # one component draws what another gives no density to
        raise DataError(
            f"bootstrap(kind='parametric'): the fit simulates rows that its own specification refuses ({error}) Use kind='weighted'."
        ) from None


def _refit(program: Program, fit: EMFit) -> tuple[Status, Params | None]:
    """How a climb from the estimate ended, and where if it is a maximum; standardised coordinates."""
    try:
        end = climb(program, fit.method, program.to_standard(fit.params), threshold=fit.threshold)
    except (DegenerateComponentError, np.linalg.LinAlgError):
        return Status.COLLAPSING, None
    return end.status, end.p if end.status.converged else None


class _Matcher:
    """Gives the components of a refit the labels of the fit's, by the share of the fit's rows that they claim."""

    def __init__(self, program: Program, fit: EMFit) -> None:
        index, weights = rows_to_match_on(program.rows)
        rows = replace(program.rows, values=program.rows.values[index], weights=weights, inverse=None)
        self.program, self.spec = program.on(rows), fit.resolved
        self.shares = shares_of(self.program.responsibilities(program.to_standard(fit.params)), weights)

    def matched(self, p: Params) -> Params:
        """The refit with its components in the fit's order."""
        if all(len(members) == 1 for members in self.spec.exchangeable):
            return p
        agreement = self.shares @ self.program.responsibilities(p)
        return self.program.permuted(p, match_components(self.spec, agreement[None])[0][0])
