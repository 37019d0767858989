"""Climbs in company: where passes are short many starts go most of their way together, as a stack of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..families.base import DegenerateComponentError
from .coordinates import Coordinates
from .methods import Method, Run
from .program import Evaluation, Params, Program
from .stack import DegeneratePointError, Stack, StackEvaluation, join, most_points

__all__ = ["Crowd", "InterruptedCrowd", "climb_together", "party_size"]

HANDOVER = 0.01
"""Gain of a cycle below which a climb leaves the crowd, to be finished on its own."""
FEWEST, MOST = 4, 64
"""Climbs in a crowd: fewer gain nothing, more keep the user waiting for the first to arrive."""


class InterruptedCrowd(KeyboardInterrupt):
    """The user interrupted climbs in company: carries how far they had come."""

    def __init__(self, reached: Sequence[Run]) -> None:
        super().__init__("interrupted")
        self.reached = reached


@dataclass
class _Member:
    """One climb of the crowd: its place among the starts, and what its `Run` will remember."""

    place: int
    history: list[float] = field(default_factory=list)
    passes: int = 0


class Crowd:
    """Climbs side by side, each at its own point; `runs` holds those that have left, by place.

    Parameters
    ----------
    program, method
        As in `climb`.
    points
        Where they start.
    """

    def __init__(self, program: Program, method: Method, points: Sequence[Params]) -> None:
        self.program, self.method = program, method
        self.runs: dict[int, Run] = {}
        self.members = [_Member(place) for place in range(len(points))]
        self.p = join(points)
        self.coordinates = Coordinates(program, _inside(program, points[0]), wide=True)
        self.stack = Stack(program, len(points))
        self.failed = np.zeros(len(points), dtype=bool)
        self.evaluation = self._first_pass()

    def climb(self) -> None:
        """Climb until everyone has arrived or failed. Starts that have no density have no run."""
        while self.members:
            before = self.evaluation.objective
            self.method.crowd_cycle(self)
            gain = self.evaluation.objective - before
            tired = np.array([member.passes >= self.method.max_passes for member in self.members], dtype=bool)
            leaving = ~(gain >= HANDOVER) | tired | self.failed
            for s in np.flatnonzero(leaving):
                self.runs[self.members[s].place] = self._run(int(s), np.inf if self.failed[s] else float(gain[s]))
            self._keep(np.flatnonzero(~leaving))

    def everyone(self) -> list[Run]:
        """All climbs as far as they have come."""
        return [*self.runs.values(), *(self._run(s, np.inf) for s in range(len(self.members)))]

    # -- what methods do -------------------------------------------------------------------------------------------------

    def plain_step(self) -> None:
        """One E- and one M-step of everyone."""
        self._accept(*self._evaluate(self._maximised(), self.p))

    def leap(self, start: Params) -> None:
        """To the squared extrapolation of `start`, here and the next step; to that step where the extrapolation lies lower than here."""
        second = self._maximised()
        p, evaluation = self._evaluate(self._extrapolated(start, second), second)
        low = np.flatnonzero(~(evaluation.objective >= self.evaluation.objective) & ~self.failed)
        if len(low):
            retreat = self.stack.taken(second, low)
            few = Stack(self.program, len(low))
            try:
                again = few.evaluate(retreat)
            except DegeneratePointError:  # who it is shows when they climb alone
                self.failed[low] = True
            else:
                self._count(low)
                p, evaluation = self.stack.put(p, low, retreat), self.stack.put_evaluation(evaluation, low, again)
        self._accept(p, evaluation)

    # -- passes ----------------------------------------------------------------------------------------------------------

    def _maximised(self) -> Params:
        """The M-step of everyone; who has none stays where he is."""
        try:
            return self.stack.m_step(self.evaluation, self.p)
        except (DegenerateComponentError, np.linalg.LinAlgError):
            points = []
            for s in range(len(self.members)):
                here = self.stack.point(self.p, s)
                try:
                    points.append(self.program.m_step(self.stack.evaluation(self.evaluation, s), here))
                except (DegenerateComponentError, np.linalg.LinAlgError):  # which of them shows when he climbs alone
                    self.failed[s] = True
                    points.append(here)
            return join(points)

    def _first_pass(self) -> StackEvaluation:
        begun: Sequence[Evaluation] = ()
        while self.members:
            try:
                evaluation = self.stack.evaluate(self.p, begun)
            except DegeneratePointError as error:
                self._keep(np.delete(np.arange(len(self.members)), error.point))
                begun = error.begun
                continue
            self._count(np.arange(len(self.members)))
            for member, objective in zip(self.members, evaluation.objective, strict=True):
                member.history.append(float(objective))
            return evaluation
        return StackEvaluation(np.zeros(0), np.zeros(0), np.zeros((0, 0)), ())

    def _evaluate(self, p: Params, otherwise: Params) -> tuple[Params, StackEvaluation]:
        """A pass at p; where that has no density, at `otherwise`, and where that has none either, here."""
        retreated: set[int] = set()
        begun: Sequence[Evaluation] = ()
        while True:
            try:
                evaluation = self.stack.evaluate(p, begun)
            except DegeneratePointError as error:
                begun = error.begun
                if error.point in retreated or otherwise is self.p:
                    self.failed[error.point], otherwise = True, self.p
                retreated.add(error.point)
                where = np.array([error.point])
                p = self.stack.put(p, where, self.stack.taken(otherwise, where))
            else:
                self._count(np.arange(len(self.members)))
                return p, evaluation

    def _count(self, where: NDArray[np.intp]) -> None:
        for s in where:
            self.members[s].passes += 1

    def _accept(self, p: Params, evaluation: StackEvaluation) -> None:
        """Move everyone to p, except who would fall: a covariance has lost its last digits there, or only rounding is left."""
        self.failed |= ~(evaluation.objective >= self.evaluation.objective)
        stay = np.flatnonzero(self.failed)
        if len(stay):
            p = self.stack.put(p, stay, self.stack.taken(self.p, stay))
            evaluation = self.stack.put_evaluation(evaluation, stay, self.stack.taken_evaluation(self.evaluation, stay))
        self.p, self.evaluation = p, evaluation
        for s in np.flatnonzero(~self.failed):
            self.members[s].history.append(float(evaluation.objective[s]))

    def _extrapolated(self, start: Params, second: Params) -> Params:
        """Squared extrapolations in free coordinates; `second` where they would not be longer than the steps themselves."""
        with np.errstate(all="ignore"):
            try:
                a, b, c = (self.coordinates.vectors(p) for p in (start, self.p, second))
            except np.linalg.LinAlgError:
                return second
            usable = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
            r = np.where(usable, b - a, 0.0)
            v = np.where(usable, c - b, 0.0) - r
            units = self.coordinates.units
            alpha = np.linalg.norm(r / units, axis=1) / np.linalg.norm(v / units, axis=1)
            vector = np.where(usable, a + 2.0 * alpha[:, None] * r + alpha[:, None] ** 2 * v, c)
            leaping = (alpha > 1.0) & np.isfinite(vector).all(axis=1)
            where = np.flatnonzero(leaping)
            return self.stack.put(second, where, self.coordinates.points(vector[where])) if len(where) else second

    # -- members ---------------------------------------------------------------------------------------------------------

    def _run(self, s: int, gain: float) -> Run:
        """Member s as a climb of its own."""
        member, where = self.members[s], np.array([s])
        p, evaluation = self.stack.taken(self.p, where), self.stack.taken_evaluation(self.evaluation, where)
        alone = Stack(self.program, 1)
        return Run.resumed(
            self.program,
            self.method,
            alone.point(p, 0),
            alone.evaluation(evaluation, 0),
            history=member.history,
            passes=member.passes,
            gain=gain,
        )

    def _keep(self, where: NDArray[np.intp]) -> None:
        """Go on with these members only."""
        if len(where) == len(self.members):
            return
        self.members = [self.members[s] for s in where]
        self.p = self.stack.taken(self.p, where)
        if "evaluation" in self.__dict__:
            self.evaluation = self.stack.taken_evaluation(self.evaluation, where)
        self.failed = self.failed[where]
        self.stack = Stack(self.program, len(where))


def _inside(program: Program, p: Params) -> Params:
    """A point on no edge that has the fixed entries of p: every free parameter has coordinates there."""
    weights = p.weights if program.fixed_weights is not None else np.full(len(p.weights), 1.0 / len(p.weights))
    thetas = tuple(
        {name: np.where(g.layout[name].free, neutral[name], theta[name]) for name in theta}
        for g, neutral, theta in zip(program.groups, program.neutral().thetas, p.thetas, strict=True)
    )
    return Params(weights, thetas)


def party_size(program: Program, method: Method) -> int:
    """How many climbs to make together; 1 where each is better made alone."""
    size = min(most_points(program), MOST)
    return size if size >= FEWEST and method.in_crowds else 1


def climb_together(program: Program, method: Method, points: Sequence[Params]) -> list[Run | None]:
    """The points' climbs, as far as they go in company; None where a climb has to begin on its own.

    Raises
    ------
    InterruptedCrowd
        With the climbs as far as they had come.
    """
    if len(points) == 1:
        return [None]
    crowd = Crowd(program, method, points)
    try:
        crowd.climb()
    except KeyboardInterrupt:
        raise InterruptedCrowd(crowd.everyone()) from None
    return [crowd.runs.get(place) for place in range(len(points))]
