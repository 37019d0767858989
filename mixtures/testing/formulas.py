"""Laws of the formulas: density, score, statistics."""

from __future__ import annotations

import numpy as np

from ..em.passes import Block, Passes
from ..em.program import soft_assignment
from ..families.base import Family, Theta
from ..families.missing import observed_cells
from .case import STEP, Case, close, each_close, law, legal_theta, moved


@law
def arrays_have_the_declared_shapes(case: Case) -> None:
    """Density (n, J); statistics with leading axis J and the mass; score and M-step shaped like theta."""
    density = case.block.log_density(case.x, case.theta)
    assert density.shape == case.R.shape, f"log_density has shape {density.shape} where {case.R.shape} is due"
    S = case.block.statistics(case.x, case.R, case.theta)
    close(S["mass"], case.R.sum(axis=0), "statistics['mass']")
    for name, value in S.items():
        assert value.shape[:1] == (2,), f"statistics[{name!r}] has shape {value.shape}; its leading axis must be J = 2"
    best = case.block.maximise(S, case.theta, case.layout, None)
    for what, found in (("score", case.block.score(S, case.theta)), ("maximise", best)):
        shapes = {name: value.shape for name, value in found.items()}
        due = {name: value.shape for name, value in case.theta.items()}
        assert shapes == due, f"{what} has shapes {shapes} where {due} are due"
    assert np.all(case.block.degeneracy(case.theta, np.ones(2)) > 0), "degeneracy is not positive at a regular point"


@law
def density_agrees_with_pymc(case: Case) -> None:
    """log_density equals pymc_log_density, compiled without any of our formulas."""
    import pytensor
    import pytensor.tensor as pt

    symbols = {name: pt.tensor(name, dtype="float64", shape=value.shape) for name, value in case.theta.items()}
    x = pt.tensor("x", dtype="float64", shape=(None, case.x.shape[1]))
    mode = pytensor.compile.mode.Mode(linker="py", optimizer="fast_compile")
    density = case.block.pymc_log_density(x, symbols)
    program = pytensor.function([x, *symbols.values()], density, mode=mode, on_unused_input="ignore")
    for theta in (case.theta, legal_theta(case.block, case.rng)):
        found = case.block.log_density(case.x, theta)
        close(found, program(case.x, *theta.values()), "log_density against PyMC's", 1e-8)


@law
def separable_density_is_a_product(case: Case) -> None:
    """A family that calls itself separable has the sum of its columns' log densities."""
    if not case.block.separable:
        return
    total = np.zeros(case.R.shape)
    for j, column in enumerate(case.block.columns):
        one = type(case.block)(column, **case.block.option_values())
        theta = {
            q.name: case.theta[q.name][
                (slice(None), *(slice(j, j + 1) if axis == "column" else slice(None) for axis in q.axes))
            ]
            for q in case.parameters
        }
        total += one.log_density(case.x[:, j : j + 1], theta)
    close(case.block.log_density(case.x, case.theta), total, "the density of all columns")


@law
def score_is_the_slope_of_the_density(case: Case) -> None:
    """`score`, from the statistics alone, equals central differences of sum R log f in free coordinates."""
    slope = case.block.score(case.block.statistics(case.x, case.R, case.theta), case.theta)
    for q in case.parameters:
        found = q.domain.pullback(case.theta[q.name], slope[q.name])
        expected = np.zeros_like(found)
        for index, sides in moved(case.theta, q):
            up, down = (float(np.sum(case.R * case.block.log_density(case.x, side))) for side in sides)
            expected[index] = (up - down) / (2 * STEP)
        close(found, expected, f"the score in {q.name}", 1e-5)


@law
def statistics_add_over_rows(case: Case) -> None:
    """Statistics of all rows are those of two blocks of rows, added."""
    cut = len(case.x) // 3
    whole, first, second = (
        case.block.statistics(case.x[part], case.R[part], case.theta)
        for part in (slice(None), slice(cut), slice(cut, None))
    )
    each_close(whole, {name: first[name] + second[name] for name in first}, "statistics")


@law
def compiled_passes_give_the_same_numbers(case: Case) -> None:
    """The family's kernels give row densities, responsibilities and statistics of its formulas, whatever the number of threads."""
    program = case.program("mle")
    p = case.start(program)
    slow = program.evaluate(p)
    blocks = [
        Block(g.family, g.components, g.group.columns, g.group.covers_all, g.center, g.scale) for g in program.groups
    ]
    found = []
    for threads in (1, 2):
        passes = Passes(program.rows.values, program.v, blocks, program.n_components, threads)
        rows = np.empty(len(program.v))
        value, mass, statistics = passes.evaluate(p.weights, p.thetas, rows)
        close(np.array(value), np.array(slow.log_likelihood), "log-likelihood of kernels", 1e-12)
        close(mass, slow.mass, "mass of kernels", 1e-10)
        for mine, theirs in zip(statistics, slow.statistics, strict=True):
            each_close(mine, theirs, "statistics of kernels", 1e-10)
        density, R = soft_assignment(program.log_joint(p))
        close(rows, density, "row densities of kernels", 1e-11)
        close(passes.responsibilities(p.weights, p.thetas), R, "responsibilities of kernels", 1e-11)
        found.append(value)
    assert found[0] == found[1], "the log-likelihood depends on the number of threads"


@law
def missing_cells_add_nothing(case: Case) -> None:
    """Families of independent columns: density, statistics, score and M-step with missing cells are those of the cells that are there."""
    if not case.block.separable or not case.parameters:
        return
    x = case.x.copy()
    x[::3, -1] = np.nan
    x[1::4, 0] = np.nan
    family = observed_cells(case.block, x)
    expected = np.zeros((len(x), 2))
    slopes = {q.name: np.zeros_like(case.theta[q.name]) for q in case.parameters}
    for j, column in enumerate(case.block.columns):
        rows = np.flatnonzero(~np.isnan(x[:, j]))
        one, theta = type(case.block)(column, **case.block.option_values()), case.block.marginal(case.theta, [j])
        assert theta is not None, "a separable family has marginals"
        expected[rows] += one.log_density(x[rows, j : j + 1], theta)
        score = one.score(one.statistics(x[rows, j : j + 1], case.R[rows], theta), theta)
        for name in slopes:
            slopes[name][:, [j]] = score[name]
    close(family.log_density(x, case.theta), expected, "the density of rows with missing cells")
    S = family.statistics(x, case.R, case.theta)
    each_close(dict(family.score(S, case.theta)), slopes, "the score of rows with missing cells")
    best = family.maximise(S, case.theta, case.layout, None)
    at_best = family.statistics(x, case.R, best)
    before, after = (float(np.sum(case.R * family.log_density(x, theta))) for theta in (case.theta, best))
    assert after >= before - 1e-9 * abs(before), "the M-step lowers the objective of rows with missing cells"
    for q in case.parameters:
        slope = case.layout[q.name].pooled(family.score(at_best, best)[q.name])
        free = np.where(case.layout[q.name].free, slope, 0.0)
        inside = q.domain.pullback(best[q.name], free)
        close(inside, np.zeros_like(inside), f"the score in {q.name} after the M-step", 1e-6 * len(x))


@law
def missing_cells_are_integrated_out(case: Case) -> None:
    """Families that complete their statistics: the density of what is observed is the marginal's, the completed score its slope."""
    if not case.block.completes_missing:
        return
    x, d = case.x.copy(), case.x.shape[1]
    x[::3, -1] = np.nan
    x[1::4, 0] = np.nan
    family = observed_cells(case.block, x)
    density = family.log_density(x, case.theta)
    for i in range(0, len(x), 7):
        columns = [j for j in range(d) if not np.isnan(x[i, j])]
        expected = np.zeros(2)
        if columns:
            theta = case.block.marginal(case.theta, columns)
            assert theta is not None, "a family that completes statistics has marginals"
            expected = case.block.marginal_block(columns).log_density(x[i : i + 1, columns], theta)[0]
        close(density[i], expected, "the density of a row with missing cells")
    score = family.score(family.statistics(x, case.R, case.theta), case.theta)
    for q in case.parameters:
        slopes = q.domain.pullback(case.theta[q.name], score[q.name])
        for (j, i), sides in moved(case.theta, q):
            above, below = (float(np.sum(case.R[:, j] * family.log_density(x, side)[:, j])) for side in sides)
            close(slopes[j, i], np.array((above - below) / (2 * STEP)), f"the score in {q.name}", 1e-5)
    best = family.maximise(family.statistics(x, case.R, case.theta), case.theta, case.layout, None)
    before, after = (float(np.sum(case.R * family.log_density(x, theta))) for theta in (case.theta, best))
    assert after >= before - 1e-9 * abs(before), "the M-step lowers the objective of rows with missing cells"


@law
def weights_count_rows(case: Case) -> None:
    """Weight 2 is the row twice and weight 0 its absence, in the statistics and in the default prior."""
    x, R, theta = case.x, case.R, case.theta
    v = np.resize([2.0, 0.0, 1.0, 1.0], len(x))
    rows = np.repeat(np.arange(len(x)), v.astype(int))
    weighted = case.block.statistics(x, R * v[:, None], theta)
    each_close(weighted, case.block.statistics(x[rows], R[rows], theta), "statistics of weighted rows")
    v = np.maximum(v, 1.0)
    rows = np.repeat(np.arange(len(x)), v.astype(int))
    partition = np.eye(2)[case.z]
    priors = [case.block.resolve(x, v, partition), case.block.resolve(x[rows], np.ones(len(rows)), partition[rows])]
    for found, expected in zip(*(_prior_numbers(block) for block in priors), strict=True):
        each_close(found, expected, "the default prior of weighted rows")


def _prior_numbers(block: Family) -> list[Theta]:
    shapes = {q.name: q.shape(len(block.columns)) for q in block.parameters}
    return [dict(prior.numbers(shapes[names[0]], "")) for _, prior, names in block.prior_terms()]
