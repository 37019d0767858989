"""The search: many climbs from many starts, each finished on lambda, gathered into a table of optima."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from ..data import Rows
from ..errors import InterruptedRunError
from ..families.base import Array, DegenerateComponentError
from ..kernels.threads import one_blas_thread
from .coordinates import Coordinates, newton_decrement, smallest_relative_curvature
from .crowd import InterruptedCrowd, climb_together, party_size
from .edges import leave_edges, snap_to_edges
from .methods import COLLAPSED, EM, Method, Run
from .program import Assignment, Evaluation, Params, Program, soft_assignment
from .starts import KINDS, StartMaker
from .status import Status

__all__ = ["COLLAPSED", "NEARLY_SINGULAR", "TARGET", "Optimum", "Search", "climb", "search"]

TARGET = 1e-6
"""lambda, in standard errors, at which a climb has arrived."""
NEARLY_SINGULAR = 0.005
FIRST_FINISH = 0.01
"""Gain of a cycle below which a climb first tries to finish; the next attempts come at a tenth of the gain each."""
MAX_NEWTON = 25
"""Newton steps in one attempt to finish."""
SLOW = 0.3
"""Factor by which a Newton step must shrink lambda, or else the information is taken again."""
NEAR = 1e-3
"""lambda below which information does not change any more."""
STALLED = 1e-14
"""Gain relative to the objective at which rounding hides whether it still rises."""
MAX_HESSIAN = 160
"""More free coordinates than this, and the finish is judged by gradient / n instead of lambda."""
SINGULAR = 1e-8
"""Smallest eigenvalue of the information, scaled to unit diagonal, below which a direction counts as flat (differences resolve no less)."""
FLATTEST = 0.01
"""Curvature, scaled likewise, that directions count as having at least where steps along them are taken."""
SUBSAMPLE = 10_000
"""More distinct rows than twice this, and the starts run on a random subsample of this size."""
SOUND = ("optimum", "unfinished")
"""Kinds of optima that an estimate may be."""
OUT_OF_REACH = 6.0
"""Standard errors, of the difference on the subsample, by which an optimum may lie below the best and still be climbed from on all rows."""

_DEFAULT_MIX = (
    ("principal axes", 1),
    ("k-means", 12),
    ("random rows", 10),
    ("neighbourhood", 11),
    ("random direction", 8),
    ("random shares", 8),
)


@dataclass(frozen=True)
class Optimum:
    """Where one or more climbs ended: parameters in standardised coordinates, components in the specification's order.

    kind is "optimum", "nearly singular", "collapsing" or "unfinished"; degeneracy is the smallest over components, component its index, rows
    the row indices that component sits on when it is small.
    """

    p: Params
    evaluation: Evaluation
    kind: str
    status: Status
    decrement: float
    degeneracy: float
    component: int
    passes: int
    history: tuple[float, ...]
    count: int = 1
    start_kinds: tuple[str, ...] = ()
    information: Array | None = None

    @property
    def objective(self) -> float:
        """The method's objective there, in standardised units."""
        return self.history[-1] if self.history else self.evaluation.objective


@dataclass
class Search:
    """All optima reached so far, best first within sound ones, and whether the user interrupted."""

    optima: list[Optimum] = field(default_factory=list)
    interrupted: bool = False
    subsample: int | None = None

    @property
    def n_passes(self) -> int:
        """Passes over the rows in all."""
        return sum(optimum.passes for optimum in self.optima)


class InterruptedClimb(KeyboardInterrupt):
    """The user interrupted a climb: carries how far it had come. To those who do not ask, an interrupt as any other."""

    def __init__(self, reached: Optimum) -> None:
        super().__init__("interrupted")
        self.reached = reached


def climb(
    program: Program,
    method: Method,
    start: Params | Run,
    *,
    known: Iterable[Optimum] = (),
    threshold: float = NEARLY_SINGULAR,
) -> Optimum:
    """One climb from its start, or from where it has come, to its optimum or a `known` one whose quadratic neighbourhood it enters."""
    run = start if isinstance(start, Run) else Run(program, method, start)
    status, decrement, information = Status.PASS_LIMIT, np.inf, None
    due_gain, due_pass = FIRST_FINISH, 0
    try:
        while run.passes < method.max_passes:
            before = run.history[-1]
            gain, run.gain = run.gain, np.inf
            if gain == np.inf:
                method.cycle(run)
                gain = run.history[-1] - before
            if not np.isfinite(run.history[-1]):
                raise DegenerateComponentError(int(np.argmin(run.p.weights)))
            match = _known(program, run, known) if gain < 0.5 else None
            if match is not None:
                return replace(match, count=1, passes=run.passes, start_kinds=())
            stalled = gain <= STALLED * abs(before)
            lingering = gain < FIRST_FINISH and run.passes >= due_pass
            if gain >= due_gain and not lingering:
                continue
            if np.min(program.degeneracy(run.p)) < COLLAPSED:
                return _collapsing(run)
            height = run.history[-1]
            outcome = _try_to_finish(run, max(program.total, 1.0))
            if outcome is not None:
                status, decrement, information = outcome
                if status is not Status.PASS_LIMIT:
                    break
            elif stalled and method.assign is not soft_assignment:
                status, decrement = Status.CONVERGED, 0.0
                break
            if run.history[-1] - height > 1e-9 * abs(height):  # an edge was reached or a saddle left
                due_gain = FIRST_FINISH
            else:
                due_gain, due_pass = 0.1 * min(due_gain, max(gain, 0.0)), run.passes + max(40, run.passes // 4)
    except (DegenerateComponentError, np.linalg.LinAlgError):
        return _collapsing(run)
    except KeyboardInterrupt:
        raise InterruptedClimb(_arrived(run, Status.PASS_LIMIT, np.inf, None, threshold)) from None
    return _arrived(run, status, decrement, information, threshold)


def _try_to_finish(run: Run, n: float) -> tuple[Status, float, Array | None] | None:
    """Newton steps (or only the verdict, for plain methods) where the point is close to stationary; None where it is not."""
    if run.method.assign is not soft_assignment:
        return None
    snap_to_edges(run)
    coordinates = Coordinates(run.program, run.p)
    gradient = coordinates.gradient(run.evaluation, run.p)
    if coordinates.size > MAX_HESSIAN:
        size = float(np.max(np.abs(gradient), initial=0.0)) / n
        return (_converged(run), size, None) if size <= 0.1 * TARGET and not leave_edges(run) else None
    information = coordinates.information(run.p)
    run.passes += 2 * coordinates.size
    decrement, step = newton_decrement(gradient, information)
    if step is None and run.method.polish:
        gradient, information = _ascend(run, coordinates, gradient, information)
        decrement, step = newton_decrement(gradient, information)
    if step is None:
        return _escape_saddle(run, coordinates, gradient, information)
    if run.method.polish and decrement < 2.0:
        decrement, information, coordinates = _newton(run, coordinates, decrement, step, information)
    if decrement <= TARGET:
        if leave_edges(run):
            return None
        flat = smallest_relative_curvature(information) < SINGULAR
        return (Status.FLAT if flat else _converged(run)), decrement, (None if flat else information)
    return Status.PASS_LIMIT, decrement, None


def _newton(
    run: Run, coordinates: Coordinates, decrement: float, step: Array, information: Array
) -> tuple[float, Array, Coordinates]:
    """Newton's method while the objective rises or lambda shrinks; the information is renewed where it serves badly, and once near the end."""
    for _ in range(MAX_NEWTON):
        far = decrement > NEAR
        found = _newton_step(run, coordinates, step, 0.0 if far else 1e-13 * abs(run.evaluation.log_likelihood), far)
        if found is None:
            break
        candidate, evaluation = found
        gradient = coordinates.gradient(evaluation, candidate)
        renewed = information
        shrunk, next_step = newton_decrement(gradient, renewed)
        if far and (shrunk > SLOW * decrement or shrunk <= NEAR):
            renewed = coordinates.information(candidate)
            run.passes += 2 * coordinates.size
            shrunk, next_step = newton_decrement(gradient, renewed)
        risen = evaluation.objective - run.evaluation.objective > 1e-9 * abs(run.evaluation.objective)
        if shrunk >= decrement and not risen:
            break
        run.accept(candidate, evaluation)
        if next_step is None:
            decrement, information = np.inf, renewed
            break
        decrement, step, information = shrunk, next_step, renewed
        if decrement <= 1e-3 * TARGET:
            break
    return decrement, information, coordinates


def _newton_step(
    run: Run, coordinates: Coordinates, step: Array, slack: float, far: bool
) -> tuple[Params, Evaluation] | None:
    """The Newton step, shortened until the objective does not fall; None where no length will do."""
    here = coordinates.vector(run.p)
    for length in (1.0, 0.5, 0.25, 0.1) if far else (1.0,):
        candidate = coordinates.reached(here + length * step)
        evaluation = run.tried(candidate)
        if candidate is None or evaluation is None:
            continue
        if evaluation.objective >= run.evaluation.objective - slack:
            return candidate, evaluation
    return None


def _ascend(run: Run, coordinates: Coordinates, gradient: Array, information: Array) -> tuple[Array, Array]:
    """Steps like Newton's where the information is not positive definite, along each of its axes the way that rises.

    They go on while one gains more than the method's last step, as often as there are coordinates, and passes are left. The gradient
    and information of where they end.

    References
    ----------
    Dauphin et al. (2014), Identifying and attacking the saddle point problem in high-dimensional non-convex optimization, NeurIPS 27.
    """
    least = STALLED * abs(run.history[-1])
    if len(run.history) > 1:
        least = max(least, (run.history[-1] - run.history[-2]) * coordinates.size)
    for _ in range(MAX_NEWTON):
        if not np.all(np.isfinite(information)) or run.passes + 2 * coordinates.size >= run.method.max_passes:
            break
        scale, values, vectors = _axes(information, run.program.total)
        if values[0] > SINGULAR:
            break
        along = vectors.T @ (gradient * scale)
        step = scale * (vectors @ (along / np.maximum(np.abs(values), FLATTEST)))
        height, found = run.history[-1], _newton_step(run, coordinates, step, 0.0, True)
        if found is None:
            break
        run.accept(*found)
        gradient, information = coordinates.gradient(run.evaluation, run.p), coordinates.information(run.p)
        run.passes += 2 * coordinates.size
        if run.history[-1] - height <= least:
            break
    return gradient, information


def _axes(information: Array, total: float) -> tuple[Array, Array, Array]:
    """The scale of coordinates that gives the information a unit diagonal, and its eigenvalues and eigenvectors then."""
    # Weights of coincident components have no information, only rounding: they must not set the scale.
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(information)), 1e-3 * total))
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    return scale, values, vectors


def _escape_saddle(
    run: Run, coordinates: Coordinates, gradient: Array, information: Array
) -> tuple[Status, float, Array | None] | None:
    """Leave a stationary point that is no maximum along a rising direction; say FLAT where nothing rises."""
    if not np.all(np.isfinite(information)):
        return None
    scale, values, vectors = _axes(information, run.program.total)
    if float(np.max(np.abs(gradient * scale), initial=0.0)) > 0.05:
        return None
    here, height = coordinates.vector(run.p), run.evaluation.objective
    for direction in (scale[:, None] * vectors[:, values < -1e-6]).T:
        for step in (1.0, -1.0, 0.3, -0.3, 0.1, -0.1, 0.03, -0.03):
            candidate = coordinates.reached(here + step * direction)
            evaluation = run.tried(candidate)
            if candidate is None or evaluation is None:
                continue
            if evaluation.objective > height + 1e-12 * abs(height):
                run.accept(candidate, evaluation)
                return None
    return Status.FLAT, np.inf, None


def _converged(run: Run) -> Status:
    if np.any(run.p.weights <= 0):
        return Status.EMPTIED
    for compiled, theta in zip(run.program.groups, run.p.thetas, strict=True):
        for parameter in compiled.family.parameters:
            if parameter.domain.at_boundary(theta[parameter.name]).any() and compiled.layout[parameter.name].free.any():
                return Status.BOUNDARY
    return Status.CONVERGED


def _known(program: Program, run: Run, known: Iterable[Optimum]) -> Optimum | None:
    """The known optimum within a standard error of which the climb is, if the objective falls from there as its curvature says."""
    below = run.evaluation.objective
    close = [o for o in known if o.information is not None and -1e-6 < o.evaluation.objective - below < 0.5]
    if not close:
        return None
    p, _ = program.ordered(run.p)
    for optimum in close:
        assert optimum.information is not None
        coordinates = Coordinates(program, optimum.p)
        with np.errstate(divide="ignore", invalid="ignore"):  # p may lie on edges that the optimum does not
            gap = coordinates.vector(p) - coordinates.vector(optimum.p)
        if not np.all(np.isfinite(gap)):
            continue
        drop, squared = optimum.evaluation.objective - below, float(gap @ optimum.information @ gap)
        if squared < 1.0 and abs(drop - 0.5 * squared) < 0.15 * max(squared, 1e-4):
            return optimum
    return None


def _collapsing(run: Run) -> Optimum:
    p = run.p
    try:
        e = run.program.degeneracy(p)
    except (DegenerateComponentError, np.linalg.LinAlgError):
        e = np.where(p.weights == p.weights.min(), 0.0, np.inf)
    worst = int(np.argmin(e))
    return Optimum(
        p,
        run.evaluation,
        "collapsing",
        Status.COLLAPSING,
        np.inf,
        float(e[worst]),
        worst,
        run.passes,
        tuple(run.history),
    )


def _arrived(run: Run, status: Status, decrement: float, information: Array | None, threshold: float) -> Optimum:
    try:
        e = run.program.degeneracy(run.p)
    except DegenerateComponentError:
        return _collapsing(run)
    worst = int(np.argmin(e))
    kind = "optimum" if status is not Status.PASS_LIMIT else "unfinished"
    if e[worst] < threshold:
        kind, status = "nearly singular", Status.NEARLY_SINGULAR if status is not Status.PASS_LIMIT else status
    p, order = run.program.ordered(run.p)
    rested = bool(np.any(p.weights <= 0)) and not run.program.is_map
    if rested:
        p = run.program.with_emptied_at_rest(p, threshold)
    as_climbed = np.array_equal(order, np.arange(len(order))) and not rested
    evaluation = run.evaluation if as_climbed else run.program.evaluate(p, run.method.assign)
    if information is not None and evaluation is not run.evaluation:
        information = Coordinates(run.program, p).information(p)
    component = int(np.flatnonzero(order == worst)[0])
    return Optimum(
        p,
        evaluation,
        kind,
        status,
        decrement,
        float(e[worst]),
        component,
        run.passes,
        tuple(run.history),
        information=information,
    )


def search(
    program: Program,
    method: Method,
    *,
    starts: int | Iterable[Params],
    rng: np.random.Generator,
    threshold: float = NEARLY_SINGULAR,
    progress: Callable[[int, int], None] | None = None,
) -> Search:
    """Climb from every start and gather the optima; an interrupt by the user ends it with what is there."""
    found = Search()
    runs: list[Run | None] = []
    stage = program
    if isinstance(starts, int) and len(program.v) > 2 * SUBSAMPLE:
        found.subsample = SUBSAMPLE
        stage = program.on(_subsample(program.rows, rng))
    try:
        with one_blas_thread():
            while True:
                done = 0
                for some in _parties(_starting_points(stage, starts, rng), party_size(stage, method)):
                    runs = climb_together(stage, method, [p for _, p in some])
                    for position, (kind, p) in enumerate(some):
                        try:
                            end = climb(stage, method, runs[position] or p, known=found.optima, threshold=threshold)
                            _add(found, replace(end, start_kinds=(kind,)))
                        except (DegenerateComponentError, np.linalg.LinAlgError):  # at the start itself
                            if stage is program:
                                raise
                        runs[position] = None
                        done += 1
                        if progress is not None:
                            progress(done, starts if isinstance(starts, int) else done)
                if stage is program or any(optimum.kind != "collapsing" for optimum in found.optima):
                    break
                stage, found.optima, found.subsample = program, [], None  # what few rows do not tell, all rows may
            if stage is not program:
                candidates, found.optima = _candidates(found.optima, stage), _best_on_all_rows(found.optima, program)
                stage = program
                _finish_on_all_rows(found, candidates, program, method, threshold)
    except InterruptedClimb as stop:
        found.interrupted = True
        _add(found, stop.reached)
    except InterruptedCrowd as stop:
        found.interrupted, runs = True, list(stop.reached)
    except KeyboardInterrupt:
        found.interrupted = True
    if found.interrupted:
        _add_best(found, (run for run in runs if run is not None), threshold)
    if not found.optima:
        raise InterruptedRunError("Interrupted before the first start was made: there is no estimate to return.")
    if stage is not program:
        found.optima = _best_on_all_rows(found.optima, program)
    found.optima = sorted_optima(found.optima)
    return found


def _add_best(found: Search, runs: Iterable[Run], threshold: float) -> None:
    """Of climbs that were cut off, the highest, if it has come higher than any that arrived."""
    best = max(runs, key=lambda run: run.history[-1], default=None)
    sound = [optimum.objective for optimum in found.optima if optimum.kind in SOUND]
    if best is not None and best.history[-1] > max(sound, default=-np.inf):
        _add(found, _arrived(best, Status.PASS_LIMIT, np.inf, None, threshold))


def sorted_optima(optima: Iterable[Optimum]) -> list[Optimum]:
    """Sound optima first, each kind by falling objective."""
    rank = {"optimum": 0, "unfinished": 1, "nearly singular": 2, "collapsing": 3}
    return sorted(optima, key=lambda o: (rank[o.kind], -o.objective if np.isfinite(o.objective) else np.inf))


def _starting_points(
    program: Program, starts: int | Iterable[Params], rng: np.random.Generator
) -> Iterable[tuple[str, Params]]:
    if not isinstance(starts, int):
        for p in starts:
            yield "given", p
        return
    maker = StartMaker.of(program)
    for kind in start_kinds(1 if program.n_components == 1 else starts):
        yield kind, maker.make(kind, rng)


def _parties(points: Iterable[tuple[str, Params]], size: int) -> Iterator[list[tuple[str, Params]]]:
    """The starting points, so many at a time."""
    waiting = iter(points)
    while some := list(islice(waiting, size)):
        yield some


def start_kinds(count: int) -> list[str]:
    """The kinds of `count` starts, in the proportions of the default mix, interleaved."""
    left = dict(_DEFAULT_MIX)
    order: list[str] = []
    while len(order) < count:
        if not any(left.values()):
            left = {**dict(_DEFAULT_MIX), "principal axes": 0}
        for kind in KINDS:
            if left[kind] > 0 and len(order) < count:
                left[kind] -= 1
                order.append(kind)
    return order


def _subsample(rows: Rows, rng: np.random.Generator) -> Rows:
    """Rows at random, by their weights where these differ: heavy ones then come several times, which becomes their weight."""
    n, v = len(rows.weights), rows.weights
    if v.min() == v.max():
        take = np.sort(rng.choice(n, size=SUBSAMPLE, replace=False))
        return replace(rows, values=rows.values[take], weights=v[take], inverse=None)
    reached = np.cumsum(v / v.max())
    steps = (rng.random() + np.arange(SUBSAMPLE)) * (reached[-1] / SUBSAMPLE)  # at equal distances along the weights
    take, times = np.unique(np.minimum(np.searchsorted(reached, steps, side="right"), n - 1), return_counts=True)
    return replace(rows, values=rows.values[take], weights=times * v.mean(), inverse=None)


def _best_on_all_rows(optima: Iterable[Optimum], program: Program) -> list[Optimum]:
    """The best optimum of the subsample, valued on all rows but not yet climbed from."""
    best = sorted_optima(optima)[0]
    try:
        run = _on_all_rows(best.p, program, EM())
    except (DegenerateComponentError, np.linalg.LinAlgError):
        return [replace(best, kind="collapsing", status=Status.COLLAPSING)]
    return [
        replace(
            best,
            p=run.p,
            evaluation=run.evaluation,
            kind="unfinished",
            status=Status.PASS_LIMIT,
            history=tuple(run.history),
        )
    ]


def _on_all_rows(p: Params, program: Program, method: Method) -> Run:
    """A climb on all rows from an optimum of some; where that gives rows no density which the others had not told of, from beside it.

    A rate or a share of 0 that is right for the subsample is moved by an M-step in which such rows belong to all components alike.
    """
    run = Run(program, method, p)
    if np.isfinite(run.history[-1]):
        return run
    return Run(program, method, program.m_step(program.evaluate(p, _SHARING), p), passes=run.passes + 1)


def _shared(joint: Array) -> tuple[Array, Array]:
    values, R = soft_assignment(joint)
    without = ~(values > -np.inf)
    R[without] = 1.0 / joint.shape[1]
    return values, R


_SHARING = Assignment(_shared)
"""Responsibilities, with rows that have no density shared by all components."""


def _candidates(optima: Iterable[Optimum], subsample: Program) -> list[Optimum]:
    """The best few optima of the subsample, without those that more rows will hardly lift above the best."""
    optima = sorted_optima(optima)
    sound = [o for o in optima if o.kind in SOUND][:5]
    if len(sound) < 2:
        return sound or optima[:1]
    best = subsample.row_log_likelihood(sound[0].p)
    near = sound[:1]
    for optimum in sound[1:]:
        below = subsample.v * (best - subsample.row_log_likelihood(optimum.p))
        if below.sum() <= OUT_OF_REACH * np.sqrt(len(below)) * below.std():
            near.append(optimum)
    return near


def _finish_on_all_rows(
    found: Search, candidates: list[Optimum], program: Program, method: Method, threshold: float
) -> None:
    """Climb on all rows from these optima of the subsample."""
    arrived = Search()
    for optimum in candidates:
        try:
            run = _on_all_rows(optimum.p, program, method)
        except (DegenerateComponentError, np.linalg.LinAlgError):
            continue
        end = climb(program, method, run, known=arrived.optima, threshold=threshold)
        _add(arrived, replace(end, count=optimum.count, start_kinds=optimum.start_kinds))
        found.optima = arrived.optima


def _add(found: Search, fresh: Optimum) -> None:
    """Count a climb with the optimum it reached, or as a new one."""
    for position, known in enumerate(found.optima):
        if _same(known, fresh):
            kinds = known.start_kinds + fresh.start_kinds
            better = fresh if fresh.decrement < known.decrement and fresh.information is not None else known
            found.optima[position] = replace(
                better, count=known.count + fresh.count, passes=known.passes + fresh.passes, start_kinds=kinds
            )
            return
    found.optima.append(fresh)


def _same(a: Optimum, b: Optimum) -> bool:
    if a.kind != b.kind or (a.kind == "collapsing" and a.component != b.component):
        return False
    if a.kind == "collapsing":
        return bool(np.allclose(a.p.weights, b.p.weights, atol=1e-3))
    close = abs(a.objective - b.objective) <= 1e-6 * max(1.0, 1e-3 * abs(a.objective))
    if a.status is Status.FLAT and b.status is Status.FLAT:
        return close  # two points of one ridge
    return close and bool(np.allclose(np.sort(a.p.weights), np.sort(b.p.weights), atol=1e-3))
