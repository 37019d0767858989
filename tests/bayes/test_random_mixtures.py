"""Random mixtures of everything that can be written down: both programs describe the same model.

Eight by default and 60 in .ci/run; MIXTURES_RANDOM=300 draws so many.
"""

import os

import numpy as np
import pytest
from helpers_bayes import Bound, stationary_by_pymc
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import mixtures as mx
from mixtures.bayes.compile import sampled_point

COUNT = int(os.environ.get("MIXTURES_RANDOM", "8"))
STRUCTURES = ["full", "diagonal", "spherical"]
COUPLED = ["VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV"]


def blocks(draw, i, rng, n, group):
    """A block named after its place, with its columns of data."""
    kind = draw(
        st.sampled_from(
            [
                "Gaussian",
                "Gaussian",
                "StudentT",
                "Bernoulli",
                "Poisson",
                "Binomial",
                "Exponential",
                "Gamma",
                "Categorical",
            ]
        )
    )
    d = draw(st.integers(1, 2))
    names = [f"c{i}{j}" for j in range(d)]
    shift = group[:, None] + rng.random(d)
    if kind in ("Gaussian", "StudentT"):
        unit = draw(st.sampled_from([1.0, 1e-3, 1e5]))
        noise = rng.normal(size=(n, d)) if kind == "Gaussian" else rng.standard_t(4, size=(n, d))
        x = unit * (3.0 * shift + noise + draw(st.sampled_from([0.0, 1e4])))
        structure = draw(st.sampled_from(STRUCTURES) | st.sampled_from(COUPLED))
        return getattr(mx, kind)(*names, structure=structure, name=f"b{i}"), names, x
    if kind == "Bernoulli":
        return (
            mx.Bernoulli(*names, probability=mx.Beta(2, 3), name=f"b{i}"),
            names,
            rng.random((n, d)) < 0.2 + 0.2 * shift,
        )
    if kind == "Poisson":
        return mx.Poisson(*names, name=f"b{i}"), names, rng.poisson(1.0 + 3.0 * shift)
    if kind == "Binomial":
        return (
            mx.Binomial(*names, trials=6, probability=mx.Beta(2, 2), name=f"b{i}"),
            names,
            rng.binomial(6, 0.1 + 0.25 * shift),
        )
    if kind == "Exponential":
        return mx.Exponential(*names, name=f"b{i}"), names, rng.exponential(1.0 + 4.0 * shift)
    if kind == "Gamma":
        return mx.Gamma(*names, name=f"b{i}"), names, rng.gamma(3.0, 1.0 + 4.0 * shift)
    share = np.array([0.5, 0.3, 0.2])
    return (
        mx.Categorical(*names, categories=3, probability=mx.Dirichlet(2.0), name=f"b{i}"),
        names,
        rng.choice(3, size=(n, d), p=share),
    )


def known(block, x, rng):
    """The block with one of its parameters fixed at a plausible value, of several columns perhaps in part."""
    values = {"Gaussian": np.nanmean(x[:, 0]), "Bernoulli": 0.4, "Binomial": 0.3, "Poisson": 2.5, "Exponential": 0.7}
    partly = values.get(type(block).__name__)
    if len(block.columns) == 2 and partly is not None and rng.random() < 0.5:
        return block.replace(**{block.parameters[0].name: [partly, mx.Free()]})
    if isinstance(block, mx.Gaussian):
        if rng.random() < 0.5 or block.structure in COUPLED:
            return block.replace(mean=np.nanmean(x, axis=0))
        return block.replace(
            covariance=np.diag(x.var(axis=0)) if block.structure != "spherical" else float(x.var(axis=0).mean())
        )
    if isinstance(block, mx.StudentT):
        return block.replace(df=3.5) if rng.random() < 0.5 else block.replace(location=x.mean(axis=0))
    value = {"Bernoulli": 0.4, "Binomial": 0.3, "Poisson": 2.5, "Exponential": 0.7, "Gamma": 2.5}.get(
        type(block).__name__
    )
    return block if value is None else block.replace(**{block.parameters[0].name: value})


def shared(block, group):
    if isinstance(block, mx.Gaussian) and block.structure in COUPLED:
        return block
    name = {"Gaussian": "covariance", "StudentT": "df"}.get(type(block).__name__, block.parameters[0].name)
    return block.replace(**{name: mx.Shared(block.slots[name] if name == block.parameters[0].name else None, group)})


@st.composite
def problems(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, k = draw(st.integers(30, 60)), draw(st.integers(1, 3))
    group = rng.integers(2, size=n)
    made = [blocks(draw, i, rng, n, group) for i in range(draw(st.integers(1, 2)))]
    data = {name: np.asarray(x[:, j], dtype=float) for _, names, x in made for j, name in enumerate(names)}
    if draw(st.booleans()):
        for block, names, _ in made:
            for name in names if block.may_miss else ():
                data[name] = np.where(rng.random(n) < 0.15, np.nan, data[name])
    components = []
    for _ in range(k):
        product = None
        for block, _, x in made:
            what = draw(st.sampled_from(["free", "free", "known", "shared", "group"]))
            own = block
            if what == "known":
                own = known(block, np.asarray(x, dtype=float), rng)
            elif what != "free":
                own = shared(block, None if what == "shared" else "g")
            product = own if product is None else product * own
        components.append(product)
    if draw(st.booleans()):
        data["known"] = np.where(rng.random(n) < 0.3, rng.integers(k, size=n), np.nan)
        components = [component * mx.Labels("known") for component in components]
    weights = draw(st.sampled_from([None, "equal", mx.Dirichlet(2.0)]))
    sample_weight = draw(st.sampled_from([None, "counts", "fractions"]))
    v = (
        None
        if sample_weight is None
        else rng.integers(1, 4, n).astype(float)
        if sample_weight == "counts"
        else rng.uniform(0.5, 2.0, n)
    )
    try:
        spec = mx.Mixture(components, weights=weights)
        rows = spec.rows(data, sample_weight=v)
        spec.resolve(rows)
    except (mx.SpecError, mx.DataError):
        assume(False)
    return Bound(spec, data, v)


@settings(max_examples=COUNT, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems())
def test_both_programs_describe_the_same_model(case):
    program, reference = case.program, case.reference
    rng = np.random.default_rng(3)
    points = [program.to_data(program.prior_draw(rng)) for _ in range(2)]
    fit = None
    try:
        fit = mx.fit(case.resolved, case.rows, estimate="map", starts=4, rng=1)
    except mx.FitError:
        pass  # every start collapsed: the densities are compared all the same
    else:
        points.append(fit.params)
    for p in points:
        found, standard = reference.evaluate(p), program.to_standard(p)
        rows = program.row_log_likelihood(standard)
        np.testing.assert_allclose(found.rows, rows, rtol=1e-8, atol=1e-8)
        prior = program.log_prior_data_units(standard)
        assert found.log_prior == pytest.approx(prior, rel=1e-8, abs=1e-8)
    if fit is not None and fit.status is mx.Status.CONVERGED:
        assert stationary_by_pymc(case, fit.params) < 1e-4
    if any(group.family.cannot_be_sampled() for group in case.spec.groups):
        return
    model = case.model
    density = model.compile_logp(jacobian=False, mode=_mode())

    if fit is not None and fit.status is mx.Status.CONVERGED:
        expected = case.log_posterior(fit.params)
        assert float(density(sampled_point(model, program, fit.params))) == pytest.approx(expected, rel=1e-8, abs=1e-8)


def _mode():
    from mixtures.bayes import stack

    return stack.sampling_mode()
