"""Algorithms as values: plain EM, SQUAREM and hard (classification) EM."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import SpecError
from ..families.base import DegenerateComponentError
from .coordinates import Coordinates
from .program import Assignment, Evaluation, Params, Program, hard_assignment, soft_assignment

if TYPE_CHECKING:
    from .crowd import Crowd

__all__ = ["COLLAPSED", "EM", "SQUAREM", "HardEM", "Method", "Run"]

COLLAPSED = 1e-10
"""Smallest eigenvalue, as `Program.degeneracy` has it, at which a component is on its way to a point or a plane."""


@dataclass(frozen=True)
class Method:
    """Interface of EM algorithms.

    Parameters
    ----------
    max_passes
        Largest number of passes over the rows that one start may take.
    """

    max_passes: int = 10_000
    polish: ClassVar[bool] = False
    """Whether the last digits come from Newton steps on the observed information."""
    assign: ClassVar[Assignment] = soft_assignment
    """How log(w f) (n, K) becomes row values (n,) and responsibilities (n, K)."""

    def __post_init__(self) -> None:
        if not (isinstance(self.max_passes, int) and self.max_passes >= 1):
            raise SpecError(f"{type(self).__name__}: max_passes must be an integer >= 1; found {self.max_passes!r}.")

    def cycle(self, run: Run) -> None:
        """One cycle of the algorithm: moves `run` to a point whose objective is no lower."""
        raise NotImplementedError

    def crowd_cycle(self, crowd: Crowd) -> None:
        """One cycle of many climbs at once: optional, but the same as `cycle`."""
        raise NotImplementedError

    @property
    def in_crowds(self) -> bool:
        """Whether many climbs can be made at once: the class that defines `cycle` defines `crowd_cycle` too."""
        return "crowd_cycle" in vars(next(one for one in type(self).__mro__ if "cycle" in vars(one))) and (
            type(self).cycle is not Method.cycle
        )


@dataclass
class Run:
    """One climb: where it is, what the last pass there said, and the objective of every accepted point."""

    program: Program
    method: Method
    p: Params
    evaluation: Evaluation = field(init=False)
    history: list[float] = field(default_factory=list)
    passes: int = 0

    gain: float = np.inf
    """Of the last cycle, if it has been made already."""

    def __post_init__(self) -> None:
        self.accept(self.p, self.evaluate(self.p))

    @classmethod
    def resumed(
        cls,
        program: Program,
        method: Method,
        p: Params,
        evaluation: Evaluation,
        *,
        history: list[float],
        passes: int,
        gain: float,
    ) -> Run:
        """A climb that has come as far as p; `gain` is that of its last cycle."""
        self = object.__new__(cls)
        self.program, self.method, self.p, self.evaluation = program, method, p, evaluation
        self.history, self.passes, self.gain = history, passes, gain
        return self

    def evaluate(self, p: Params) -> Evaluation:
        """One pass at p, counted."""
        self.passes += 1
        return self.program.evaluate(p, self.method.assign)

    def tried(self, p: Params | None) -> Evaluation | None:
        """A pass at a point that nobody has looked at yet; None where it has no density, or is none, of which nobody is warned."""
        if p is None:
            return None
        try:
            with np.errstate(all="ignore"):
                return self.evaluate(p)
        except (DegenerateComponentError, np.linalg.LinAlgError):
            return None

    def accept(self, p: Params, evaluation: Evaluation) -> None:
        """Move to p.

        Raises
        ------
        DegenerateComponentError
            If the objective fell because a covariance has lost its last digits.
        """
        if self.history and evaluation.objective < self.evaluation.objective:
            smallest = self.program.degeneracy(p)
            if np.min(smallest) < COLLAPSED:
                raise DegenerateComponentError(int(np.argmin(smallest)))
        self.p, self.evaluation = p, evaluation
        self.history.append(evaluation.objective)

    def plain_step(self) -> None:
        """One E- and one M-step."""
        p = self.program.m_step(self.evaluation, self.p)
        self.accept(p, self.evaluate(p))


@dataclass(frozen=True)
class EM(Method):
    """Plain expectation-maximisation, one pass a cycle.

    Examples
    --------
    >>> EM(max_passes=500)
    EM(max_passes=500)

    References
    ----------
    Dempster, Laird & Rubin (1977), Journal of the Royal Statistical Society B 39, 1-38.
    """

    def cycle(self, run: Run) -> None:
        run.plain_step()

    def crowd_cycle(self, crowd: Crowd) -> None:
        crowd.plain_step()


@dataclass(frozen=True)
class SQUAREM(Method):
    """EM with squared extrapolation in free coordinates, monotone, finished by Newton steps. The default.

    Two EM steps give the direction; the extrapolated point is kept only if its objective is no lower than that of the first step.

    Examples
    --------
    >>> SQUAREM()
    SQUAREM(max_passes=10000)

    References
    ----------
    Varadhan & Roland (2008), Scandinavian Journal of Statistics 35, 335-353 (scheme S3).
    """

    polish: ClassVar[bool] = True

    def cycle(self, run: Run) -> None:
        start = run.p
        run.plain_step()
        first = run.p
        second = run.program.m_step(run.evaluation, first)
        leap = _leap(run.program, start, first, second)
        evaluation = run.tried(leap)
        if leap is not None and evaluation is not None and evaluation.objective >= run.evaluation.objective:
            run.accept(leap, evaluation)
            return
        run.accept(second, run.evaluate(second))

    def crowd_cycle(self, crowd: Crowd) -> None:
        start = crowd.p
        crowd.plain_step()
        crowd.leap(start)


def _leap(program: Program, start: Params, first: Params, second: Params) -> Params | None:
    """The squared extrapolation of three successive EM points, or None where it is not longer than the two steps themselves."""
    with np.errstate(divide="ignore", invalid="ignore"):  # the second step may have left the domain: no coordinates
        coordinates = Coordinates(program, second, wide=True)
        a, b, c = (coordinates.vector(p) for p in (start, first, second))
    if not np.all(np.isfinite(a) & np.isfinite(b) & np.isfinite(c)):
        return None
    r, v = b - a, c - b - (b - a)
    length, bend = (float(np.linalg.norm(step / coordinates.units)) for step in (r, v))
    if length == 0 or bend == 0:
        return None
    alpha = length / bend
    if alpha <= 1.0:
        return None
    return coordinates.reached(a + 2.0 * alpha * r + alpha**2 * v)


@dataclass(frozen=True)
class HardEM(Method):
    """Classification EM: every row goes to its most probable component. Its objective is the classification likelihood.

    With `weights="equal"` and one common spherical variance it is k-means.

    Examples
    --------
    >>> HardEM()
    HardEM(max_passes=10000)

    References
    ----------
    Celeux & Govaert (1992), Computational Statistics & Data Analysis 14, 315-332.
    """

    assign: ClassVar[Assignment] = hard_assignment

    def cycle(self, run: Run) -> None:
        run.plain_step()


def as_method(method: Method | None) -> Method:
    """The method, or the default; refuses anything else."""
    if method is None:
        return SQUAREM()
    if not isinstance(method, Method):
        raise SpecError(f"method={method!r}: pass a value such as mx.SQUAREM(), mx.EM() or mx.HardEM().")
    return method
