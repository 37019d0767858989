"""Laws of the M-step: stationary, monotone, legal, indifferent to units, between prior and data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..em.coordinates import Coordinates
from ..em.program import Evaluation
from ..families.base import Theta
from .case import ESTIMATES, Case, close, each_close, law


@law
def m_step_is_stationary(case: Case) -> None:
    """After `maximise` the score of its objective is zero in every direction that is free; what is not observed stays as expected before."""
    for estimate in ESTIMATES:
        program = case.program(estimate)
        p = case.start(program)
        best = program.m_step(program.evaluate(p), p)
        R = program.responsibilities(p) * program.v[:, None]
        S = case.block.expected_statistics(program.groups[0].x, R, best.thetas[0], p.thetas[0])
        slope = Coordinates(program, best).gradient(Evaluation(np.nan, np.nan, R.sum(axis=0), (S,)), best)
        close(slope / program.total, np.zeros_like(slope), f"the score per row after the {estimate} M-step", 1e-8)


@law
def m_step_keeps_what_is_fixed_and_shared(case: Case) -> None:
    """`maximise` returns legal values, fixed entries as they are, and one value for components that share it."""
    for estimate in ESTIMATES:
        program = case.program(estimate)
        p = case.start(program)
        best = program.to_data(program.m_step(program.evaluate(p), p)).thetas[0]
        _legal(case, best)
        for name, value in best.items():
            layout = case.layout[name]
            close(value, layout.filled(value), f"{name}, fixed in part or whole,")
            close(value, value[layout.groups], f"{name}, which is shared,")


@law
def m_step_never_lowers_the_objective(case: Case) -> None:
    """Ten EM steps, each no lower than the one before, up to rounding."""
    for estimate in ESTIMATES:
        program = case.program(estimate)
        p = case.start(program)
        slack = 1e-13 * max(program.total, float(np.abs(program.row_log_likelihood(p)).sum()))
        evaluation = program.evaluate(p)
        for step in range(10):
            p = program.m_step(evaluation, p)
            before, evaluation = evaluation, program.evaluate(p)
            fall = before.objective - evaluation.objective
            assert fall <= slack, f"step {step} lowers the {estimate} objective by {fall:.3g}"


@law
def m_step_leaves_an_empty_component_legal(case: Case) -> None:
    """A component that no row belongs to keeps a legal value."""
    R = case.R * np.array([1.0, 0.0])
    S = case.block.statistics(case.x, R, case.theta)
    _legal(case, case.block.maximise(S, case.theta, case.layout, None))


def _legal(case: Case, theta: Theta) -> None:
    for q in case.parameters:
        for j, one in enumerate(theta[q.name]):
            problem = "must not be NaN" if np.any(np.isnan(one)) else q.domain.estimate_problem(one)
            assert problem is None, f"{q.name} of component {j} {problem}: {one}"


@law
def prior_and_data_take_turns(case: Case) -> None:
    """Rows that weigh much give the MLE whatever the prior; rows that weigh next to nothing give the prior's mode."""
    program = case.program("map")
    compiled, p = program.groups[0], case.start(program)
    if any(term.prior.mode_problem(term.numbers) for term in compiled.terms):
        return
    S = program.evaluate(p).statistics[0]
    theta, layout, prior = p.thetas[0], compiled.layout, compiled.numbers
    heavy = {name: 1e10 * value for name, value in S.items()}
    mle = case.block.maximise(heavy, theta, layout, None)
    each_close(case.block.maximise(heavy, theta, layout, prior), mle, "MAP under a weak prior", 1e-6)
    light = {name: 1e-12 * value for name, value in S.items()}
    mode = p._replace(thetas=(case.block.maximise(light, theta, layout, prior),))
    slope = Coordinates(program, mode).pull(mode, np.zeros(2), program.log_prior_gradient(mode)[1])
    close(slope, np.zeros_like(slope), "the prior's score at MAP under a strong prior", 1e-6)


@law
def units_do_not_matter(case: Case) -> None:
    """For families whose columns have units: other units give the same density and the same EM steps."""
    center, scale = case.block.standardise(case.x, np.ones(len(case.x)))
    given = any(not layout.all_free for layout in case.layout.values())
    if given or (np.all(center == 0) and np.all(scale == 1)):
        return
    case = replace(case, block=case.block.without_priors())  # numbers that the user gives are in the data's units
    a, b = np.full(len(center), 8.0), 64.0 + np.arange(len(center), dtype=np.float64)
    moved = a * case.x + b
    theta = {q.name: q.domain.to_data(case.theta[q.name], b, a) for q in case.parameters}
    density = case.block.log_density(case.x, case.theta) - np.log(a).sum()
    close(case.block.log_density(moved, theta), density, "the density in other units")
    for estimate in ESTIMATES:
        found = []
        for x, begin in ((case.x, case.theta), (moved, theta)):
            program = case.program(estimate, x)
            p = replace(case, theta=begin).start(program)
            for _ in range(5):
                p = program.m_step(program.evaluate(p), p)
            found.append(program.to_data(p).thetas[0])
        undone = {q.name: q.domain.to_standard(found[1][q.name], b, a) for q in case.parameters}
        each_close(undone, found[0], f"the {estimate} estimate in other units", 1e-7)
