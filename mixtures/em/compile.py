"""The EM program one step at a time, for teaching and for loops of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import check_whole
from ..data import read_rows
from ..errors import SpecError, nearest
from ..families.base import Array
from ..rng import RNGLike, as_generator
from ..spec import Mixture, check_specification
from .methods import Method, as_method
from .parameters import Parameters
from .program import Params, Program
from .starts import KINDS, StartMaker

__all__ = ["EMProgram", "Responsibilities", "compile_em"]


@dataclass(frozen=True, eq=False)
class Responsibilities:
    """What an E-step yields.

    Attributes
    ----------
    values
        p(component given row), (n, K).
    log_likelihood
        Of the parameters that they were computed at, data units.
    """

    values: Array
    log_likelihood: float
    at: Params

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.values, dtype=dtype)


class EMProgram:
    """A specification compiled to EM on given rows; made by `compile_em`.

    Every method takes and returns `Parameters` in data units; a mapping of arrays or an xarray Dataset is accepted too.
    """

    def __init__(self, program: Program, specification: Mixture) -> None:
        self._program, self.specification, self.resolved = program, specification, program.spec

    def parameters(self, values: Mapping[str, Any]) -> Parameters:
        """Parameters from a mapping of arrays, checked."""
        if isinstance(values, Parameters) and values.specification is self.resolved:
            return values
        return Parameters(self.resolved, values)

    def _standard(self, p: Mapping[str, Any]) -> Params:
        return self.parameters(p).standard(self._program.units)

    def _data(self, p: Params) -> Parameters:
        return Parameters.of_standard(self.resolved, self._program.units, p)

    def start(self, *, rng: RNGLike = None, method: str = "k-means") -> Parameters:
        """A random start.

        Parameters
        ----------
        rng
            Seed or generator.
        method
            "principal axes" (deterministic), "k-means", "random rows", "neighbourhood", "random direction" or "random shares".

        Raises
        ------
        SpecError
            For an unknown kind of start.
        """
        if method not in KINDS:
            raise SpecError(
                f"start(method={method!r}): unknown kind of start.{nearest(str(method), KINDS)} Legal are {', '.join(map(repr, KINDS))}."
            )
        return self._data(self._program.ordered(StartMaker.of(self._program).make(method, as_generator(rng)))[0])

    def e_step(self, p: Mapping[str, Any]) -> Responsibilities:
        """Responsibilities (n, K) of the rows at p, and the log-likelihood there."""
        at = self._standard(p)
        joint = self._program.responsibilities(at)
        return Responsibilities(joint, self.log_likelihood(p), at)

    def m_step(self, r: Responsibilities | Array) -> Parameters:
        """Parameters that maximise the expected complete-data log-likelihood given responsibilities (n, K).

        Raises
        ------
        SpecError
            If they do not have one row per row of the data and one column per component, or are no probabilities.
        """
        values, at = (r.values, r.at) if isinstance(r, Responsibilities) else (_as_numbers(r), None)
        shape = (len(self._program.v), self._program.n_components)
        if values.shape != shape:
            raise SpecError(f"Responsibilities have shape {values.shape}; {shape} is needed, (rows, components).")
        if not np.all(values >= 0) or not np.allclose(values.sum(axis=1), 1.0, atol=1e-8):
            raise SpecError("Responsibilities must be non-negative and sum to 1 in every row.")
        return self._data(self._program.from_responsibilities(values, at))

    def step(self, p: Mapping[str, Any]) -> Parameters:
        """One pass: E-step and M-step."""
        at = self._standard(p)
        return self._data(self._program.m_step(self._program.evaluate(at), at))

    def log_likelihood(self, p: Mapping[str, Any]) -> float:
        """Log-likelihood of p, data units."""
        rows = self._program.row_log_likelihood(self._standard(p))
        rows *= self._program.v
        return float(rows.sum())  # in pairs: a product with the weights would add one row after the other

    def log_prior(self, p: Mapping[str, Any]) -> float:
        """Log prior density of p with its constants, data units."""
        return self._program.log_prior_data_units(self._standard(p))

    def run(self, p: Mapping[str, Any], *, passes: int, method: Method | None = None) -> tuple[Parameters, Array]:
        """At least so many passes from p (plain EM unless another method is given).

        Returns
        -------
        parameters, history
            The last parameters and the method's objective at every accepted point, data units.

        Raises
        ------
        SpecError
            For a number of passes below 0, or parameters that do not fit the specification.
        """
        check_whole("run", "passes", passes, 0)
        from .methods import EM, Run

        state = Run(self._program, EM() if method is None else as_method(method), self._standard(p))
        while state.passes <= passes:
            state.method.cycle(state)
        offset = self._program.objective_offset(state.p)
        return self._data(state.p), np.array(state.history) + offset


def _as_numbers(r: Any) -> Array:
    try:
        return np.asarray(r, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SpecError(f"m_step(r): responsibilities are an array (rows, components) of numbers ({error}).") from error


def compile_em(
    spec: Mixture, data: Any, *, estimate: str = "mle", sample_weight: Any = None, threads: int | None = None
) -> EMProgram:
    """Compile a specification to the EM program on given rows, to be run one step at a time.

    Parameters
    ----------
    spec
        The specification.
    data
        A pandas or polars frame, xarray object, dict of arrays or NumPy array with the specification's columns.
    estimate
        "mle", or "map" for the mode of the posterior density of the named parameters.
    sample_weight
        Counts or weights of the rows: an array (n,) or the name of a column.
    threads
        How many threads a large pass may use; None takes OMP_NUM_THREADS, NUMBA_NUM_THREADS or the processors at hand.

    Raises
    ------
    SpecError, DataError
        As `fit`.

    Examples
    --------
    >>> import mixtures as mx
    >>> em = mx.compile_em(mx.Mixture(mx.Gaussian("waiting"), n_components=2), mx.load_dataset("old_faithful"))
    >>> p = em.start(rng=1)
    >>> em.log_likelihood(em.step(p)) >= em.log_likelihood(p)
    True
    """
    check_specification(spec, "compile_em(spec, data)")
    rows = read_rows(data, spec.columns, sample_weight=sample_weight, merge=False, may_miss=spec.may_miss)
    spec.check_rows(rows)
    resolved = spec.resolve(rows)
    program = Program(resolved, rows, estimate, threads=threads)
    program.refuse_rows_without_density()
    return EMProgram(program, spec)
