"""The model, the Op and the reference are the density that the EM program maximises."""

import numpy as np
import pymc as pm
import pytest
from helpers_bayes import BOUND, CASES, Bound, stationary_by_pymc
from scipy import stats

import mixtures as mx
from mixtures.bayes import stack
from mixtures.bayes.compile import sampled_point
from mixtures.bayes.reference import Reference

bound = pytest.mark.parametrize("case", BOUND)
MODE = stack.sampling_mode()


def relative(a, b):
    return abs(a - b) / max(1.0, abs(b))


@bound
def test_the_sampled_model_is_likelihood_times_prior_on_the_named_parameters(case: Bound):
    model = case.model
    density = model.compile_logp(jacobian=False, mode=MODE)
    for p in case.points():
        assert relative(density(sampled_point(model, case.program, p)), case.log_posterior(p)) < 1e-8


@pytest.mark.parametrize("name", ["full", "full tied", "diagonal", "spherical tied", "product", "patterns with counts"])
def test_the_reference_model_is_the_same_density(name: str):
    case = CASES[name]
    model = mx.compile_pymc(case.spec, case.data, likelihood="reference", sample_weight=case.sample_weight)
    density = model.compile_logp(jacobian=False, mode=MODE)
    p = case.estimate
    assert relative(density(sampled_point(model, case.program, p)), case.log_posterior(p)) < 1e-8


@bound
def test_pymcs_own_distributions_agree_with_the_em_program(case: Bound):
    reference, program = case.reference, case.program
    for p in case.points():
        found, standard = reference.evaluate(p), program.to_standard(p)
        np.testing.assert_allclose(found.rows, program.row_log_likelihood(standard), rtol=1e-8, atol=1e-8)
        assert relative(found.log_prior, program.log_prior_data_units(standard)) < 1e-8


@bound
def test_the_posterior_mode_is_stationary_under_pymcs_gradient(case: Bound):
    assert stationary_by_pymc(case, case.estimate) < 1e-4


@bound
def test_the_gradient_of_the_sampled_model_equals_differences(case: Bound):
    model = case.model
    function = model.logp_dlogp_function(ravel_inputs=True, mode=MODE)
    function.set_extra_values({})
    point = sampled_point(model, case.program, case.estimate)
    x = np.concatenate([np.ravel(point[v.name]) for v in model.value_vars]) + 0.05
    _, gradient = function(x)
    gradient = gradient.copy()
    steps = 1e-6 * np.eye(len(x))
    differences = [(float(function(x + h)[0]) - float(function(x - h)[0])) / 2e-6 for h in steps]
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-4 * max(1.0, np.abs(gradient).max()))


@bound
def test_the_log_jacobian_is_that_of_the_transforms(case: Bound):
    """Transformed draws of the prior have the density with Jacobian: checked by differences of the map itself."""
    model = case.model
    point = sampled_point(model, case.program, case.estimate)
    for rv in model.free_RVs:
        transform, value = model.rvs_to_transforms[rv], point[model.rvs_to_values[rv].name]
        if transform.name not in ("standard", "ratios"):
            continue  # PyMC's own
        one = value[0] if rv.type.ndim > transform.ndim_supp and transform.ndim_supp else value
        found = np.sum(transform.log_jac_det(_constant(one), *rv.owner.inputs).eval(mode=MODE))
        expected = _log_jacobian(lambda free, t=transform, r=rv: t.backward(_constant(free), *r.owner.inputs), one)
        assert found == pytest.approx(expected, abs=1e-6), rv.name


def _constant(value):
    import pytensor.tensor as pt

    return pt.as_tensor(np.asarray(value, dtype=float))


def _log_jacobian(backward, free):
    """Log determinant of the differences of the image's independent entries."""
    columns = []
    for i in range(free.size):
        h = np.zeros(free.size)
        h[i] = 1e-6
        h = h.reshape(free.shape)
        ends = [np.asarray(backward(free + sign * h).eval(mode=MODE)) for sign in (1.0, -1.0)]
        columns.append(((ends[0] - ends[1]) / 2e-6).ravel())
    jacobian = np.array(columns).T
    independent = [i for i, row in enumerate(jacobian) if np.abs(row).max() > 0]
    chosen: list[int] = []
    for i in independent:
        if np.linalg.matrix_rank(jacobian[[*chosen, i]], tol=1e-7 * np.abs(jacobian).max()) == len(chosen) + 1:
            chosen.append(i)
    return np.linalg.slogdet(jacobian[chosen])[1]


def test_log_priors_of_covariances_agree_with_scipy():
    matrix = np.array([[2.0, 0.3], [0.3, 1.0]])
    prior = mx.NormalInverseWishart(mean=[1.0, -1.0], kappa=0.7, nu=5.0, scale_matrix=matrix)
    sigma, mean = np.array([[1.5, 0.2], [0.2, 0.8]]), np.array([0.5, 0.3])
    gamma = stats.invgamma
    expected = {
        "full": stats.invwishart.logpdf(sigma, 5.0, matrix),
        "diagonal": sum(gamma.logpdf(sigma[j, j], 2.5, scale=0.5 * matrix[j, j]) for j in range(2)),
        "spherical": gamma.logpdf(1.5, 2.5, scale=0.25 * np.trace(matrix)),
    }
    for structure, density in expected.items():
        value = {"full": sigma, "diagonal": np.diag(np.diag(sigma)), "spherical": 1.5 * np.eye(2)}[structure]
        spec = mx.Mixture(mx.Gaussian("x", "y", structure=structure, prior=prior), n_components=1)
        case = Bound(spec, CASES["full"].data)
        theta = {"mean": mean[None], "covariance": value[None]}
        p = type(case.estimate)(np.ones(1), (theta,))
        on_mean = stats.multivariate_normal.logpdf(mean, [1.0, -1.0], value / 0.7)
        found = Reference(case.resolved, case.rows).evaluate(p).log_prior
        assert found == pytest.approx(density + on_mean, rel=1e-10)
        model = mx.compile_pymc(case.spec, case.data)
        priors = model.compile_fn(model.logp(vars=model.free_RVs, jacobian=False), mode=MODE)
        assert priors(sampled_point(model, case.program, p)) == pytest.approx(found, rel=1e-10)


def test_pointwise_log_likelihood_has_one_number_per_row():
    case = CASES["product"]
    model = case.model
    (pointwise,) = model.logp(vars=[model["y"]], sum=False)
    assert pointwise.ndim == 1
    found = model.compile_fn(pointwise, mode=MODE)(sampled_point(model, case.program, case.estimate))
    standard = case.program.to_standard(case.estimate)
    np.testing.assert_allclose(found, case.program.row_log_likelihood(standard), rtol=1e-10)


def test_zeros_of_weights_and_probabilities_are_finite_or_minus_infinity():
    spec = mx.Mixture(mx.Bernoulli("a", "b"), n_components=2)
    data = {"a": [0, 0, 1, 1, 0], "b": [0, 1, 1, 0, 1]}
    case = Bound(spec, data)
    reference = Reference(case.resolved, case.rows)
    edge = type(case.estimate)(np.array([1.0, 0.0]), ({"probability": np.array([[0.0, 0.5], [1.0, 0.5]])},))
    found = reference.evaluate(edge)
    assert not np.isnan(found.rows).any()
    assert np.isneginf(found.rows).sum() == 2
    one = type(case.estimate)(np.array([0.5, 0.5]), ({"probability": np.array([[0.0, 0.5], [1.0, 0.5]])},))
    found = reference.evaluate(one)
    standard = case.program.to_standard(one)
    np.testing.assert_allclose(found.rows, case.program.row_log_likelihood(standard))
    for weights, thetas in (found.likelihood_gradient, found.prior_gradient):
        assert np.isfinite(weights).all()
        assert np.isfinite(thetas[0]["probability"]).all()
    # slopes on the edge are those a little inside
    inside = {"probability": np.array([[1e-9, 0.5], [1.0 - 1e-9, 0.5]])}
    near = reference.evaluate(type(one)(one.weights, (inside,)))
    np.testing.assert_allclose(
        found.likelihood_gradient[1][0]["probability"], near.likelihood_gradient[1][0]["probability"], atol=1e-6
    )


def test_a_weight_of_zero_has_its_one_sided_slope():
    case = CASES["full"]
    p = case.estimate
    edge = type(p)(np.array([1.0, 0.0]), p.thetas)
    slope = case.reference.evaluate(edge).likelihood_gradient[0][1]
    joint = [case.resolved.groups[0].family.log_density(case.rows.values, p.thetas[0])]
    assert slope == pytest.approx(np.exp(joint[0][:, 1] - joint[0][:, 0]).sum(), rel=1e-9)


def test_the_model_names_its_variables_dims_and_coordinates():
    case = CASES["product"]
    model = mx.compile_pymc(case.spec, case.data)
    assert {v.name for v in model.free_RVs} == {"weights", "mean", "covariance", "probability"}
    assert model.named_vars_to_dims["covariance"] == ("component", "gaussian_column", "gaussian_column2")
    assert model.named_vars_to_dims["probability"] == ("component", "bernoulli_column")
    assert list(model.coords["gaussian_column"]) == ["x", "y"]
    tied = mx.compile_pymc(CASES["full tied"].spec, CASES["full tied"].data)
    assert "covariance_free" in {v.name for v in tied.free_RVs}
    assert "covariance" in {v.name for v in tied.deterministics}
    fixed = mx.compile_pymc(CASES["equal weights"].spec, CASES["equal weights"].data)
    assert "weights" in {v.name for v in fixed.deterministics}
    assert not any(potential for potential in model.potentials)


def test_the_model_can_be_extended():
    case = CASES["full"]
    with mx.compile_pymc(case.spec, case.data) as model:
        gap = pm.Deterministic("gap", model["mean"][1, 0] - model["mean"][0, 0])
    assert np.isfinite(pm.draw(gap, random_seed=1, mode=MODE))


def test_an_unknown_likelihood_is_refused():
    with pytest.raises(mx.SpecError, match="'op' and 'reference'"):
        mx.compile_pymc(CASES["full"].spec, CASES["full"].data, likelihood="both")


@bound
def test_prior_draws_have_the_shapes_of_the_model(case: Bound):
    model = case.model
    names = [v.name for v in model.free_RVs] + ["y"]
    if "EVI" in repr(case.spec):
        with pytest.raises(mx.UnsupportedError, match="'EVI' cannot be drawn from yet"):
            pm.draw(model["covariance"], random_seed=2, mode=MODE)
        return
    draws = pm.draw([model[name] for name in names], random_seed=2, mode=MODE)
    for name, value in zip(names, draws, strict=True):
        assert np.isfinite(value).all()
        if name in model.rvs_to_transforms or name == "y":
            assert value.ndim == model[name].type.ndim
    assert draws[-1].shape == case.rows.values.shape


def test_prior_draws_of_covariances_have_the_moments_of_the_inverse_wishart():
    matrix = np.array([[2.0, 0.3], [0.3, 1.0]])
    for structure in ("full", "diagonal", "spherical"):
        prior = mx.NormalInverseWishart(mean=[1.0, -1.0], kappa=2.0, nu=12.0, scale_matrix=matrix)
        spec = mx.Mixture(mx.Gaussian("x", "y", structure=structure, prior=prior), n_components=1)
        model = mx.compile_pymc(spec, CASES["full"].data)
        draws, means = pm.draw([model["covariance"], model["mean"]], draws=3000, random_seed=4, mode=MODE)
        expected = {
            "full": matrix / (12.0 - 3.0),
            "diagonal": np.diag(np.diag(matrix)) / (12.0 - 2.0),
            "spherical": np.eye(2) * 0.5 * np.trace(matrix) / (12.0 - 2.0),
        }[structure]
        np.testing.assert_allclose(draws[:, 0].mean(axis=0), expected, atol=0.02)
        np.testing.assert_allclose(means[:, 0].mean(axis=0), [1.0, -1.0], atol=0.05)
        np.testing.assert_allclose(np.cov(means[:, 0].T), expected / 2.0, atol=0.02)


def test_prior_draws_of_covariances_of_one_shape_have_the_moments_of_their_kernel():
    """Moments of log volume and log shape by quadrature of the kernel itself, for draws of both programs."""
    matrix, nu = np.array([[2.0, 0.3], [0.3, 1.0]]), 5.0
    prior = mx.NormalInverseWishart(mean=0.0, kappa=1.0, nu=nu, scale_matrix=matrix)
    spec = mx.Mixture(mx.Gaussian("x", "y", structure="VEI", prior=prior), n_components=2)
    logs = [
        axis.reshape(shape) for axis, shape in ((np.linspace(-6, 6, 241), (-1, 1)), (np.linspace(-5, 5, 201), (1, -1)))
    ]
    kernel = -(nu + 3.0) * logs[0] - 0.5 * (2.0 * np.exp(-logs[1]) + np.exp(logs[1])) * np.exp(-logs[0])
    one = np.exp(kernel).sum(axis=0)  # of each component's volume, given the shape
    mean_given = (np.exp(kernel) * logs[0]).sum(axis=0) / one
    shape_density = one**2 / (one**2).sum()
    expected_shape, expected_volume = shape_density @ logs[1][0], shape_density @ mean_given
    model = mx.compile_pymc(spec, CASES["full"].data)
    theirs = pm.draw(model["covariance"], draws=4000, random_seed=4, mode=MODE)
    case, rng = Bound(spec, CASES["full"].data), np.random.default_rng(3)
    ours = np.array([case.program.to_data(case.program.prior_draw(rng)).thetas[0]["covariance"] for _ in range(4000)])
    for draws in (theirs, ours):
        variances = np.log(draws.diagonal(axis1=-2, axis2=-1))
        volume, shape = variances.mean(axis=-1), 0.5 * (variances[..., 0] - variances[..., 1])
        np.testing.assert_allclose(np.ptp(shape, axis=1), 0.0, atol=1e-12)
        assert shape[:, 0].mean() == pytest.approx(expected_shape, abs=0.03)
        np.testing.assert_allclose(volume.mean(axis=0), expected_volume, atol=0.03)


@pytest.mark.parametrize(
    "code", ["VVE", "EVV", *(pytest.param(code, marks=pytest.mark.slow) for code in ("VEE", "EVE", "EEV", "VEV"))]
)
def test_structures_that_are_not_sampled_yet_agree_all_the_same_and_say_so(code):
    case = Bound(mx.Mixture(mx.Gaussian("x", "y", structure=code), n_components=2), CASES["full"].data)
    reference, program = case.reference, case.program
    for p in case.points():
        found, standard = reference.evaluate(p), program.to_standard(p)
        np.testing.assert_allclose(found.rows, program.row_log_likelihood(standard), rtol=1e-8, atol=1e-8)
        assert relative(found.log_prior, program.log_prior_data_units(standard)) < 1e-8
    assert stationary_by_pymc(case, case.estimate) < 1e-4
    with pytest.raises(mx.UnsupportedError, match=f"structure='{code}' has no coordinates yet"):
        mx.compile_pymc(case.spec, case.data)
    with pytest.raises(mx.UnsupportedError, match="fit it by EM"):
        mx.cross_check(case.spec, case.data)
