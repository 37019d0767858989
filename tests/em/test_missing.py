"""Missing cells of families with independent columns: the likelihood of what was observed, in EM and in PyMC."""

import numpy as np
import pytest
from scipy import stats

import mixtures as mx

VOTES = mx.load_dataset("house_votes_84").columns[1:].tolist()


@pytest.fixture(scope="module")
def votes():
    return mx.load_dataset("house_votes_84")


@pytest.fixture(scope="module")
def two_blocs(votes):
    return mx.fit(mx.Mixture(mx.Bernoulli(*VOTES), n_components=2), votes, rng=1)


def test_house_votes_have_the_published_maximum(two_blocs):
    """Log-likelihood and weights of stepmix (measurement "bernoulli_nan")."""
    assert two_blocs.log_likelihood == pytest.approx(-3104.69784, abs=1e-3)
    np.testing.assert_allclose(two_blocs.point["weights"], [0.47926, 0.52074], atol=1e-5)
    assert two_blocs.n_rows == 434  # one member has no vote at all


def test_the_likelihood_is_that_of_the_observed_votes(votes, two_blocs):
    x, p = votes[VOTES].to_numpy(dtype=float), two_blocs.point["probability"]
    each = np.where(np.isnan(x)[:, None], 0.0, stats.bernoulli.logpmf(np.nan_to_num(x)[:, None], p))
    rows = np.logaddexp.reduce(np.log(two_blocs.point["weights"]) + each.sum(axis=2), axis=1)
    np.testing.assert_allclose(two_blocs.score(votes), rows, atol=1e-10)
    assert rows.sum() == pytest.approx(two_blocs.log_likelihood, abs=1e-8)


def test_the_blocs_are_the_parties(votes, two_blocs):
    agree = np.mean((two_blocs.predict(votes) == 1) == (votes["party"] == votes["party"].mode()[0]))
    assert max(agree, 1 - agree) > 0.85


def test_a_row_without_any_cell_changes_nothing_and_belongs_to_everyone_by_weight(votes, two_blocs):
    more = votes[VOTES].copy()
    more.loc[len(more)] = np.nan
    fit = mx.fit(mx.Mixture(mx.Bernoulli(*VOTES), n_components=2), more, rng=1)
    assert fit.log_likelihood == pytest.approx(two_blocs.log_likelihood, abs=1e-9)
    assert fit.n_rows == two_blocs.n_rows
    np.testing.assert_allclose(fit.responsibilities(more).values[-1], fit.point["weights"], atol=1e-12)


@pytest.mark.parametrize("estimate", ["mle", "map"])
def test_a_cell_observed_in_every_row_or_in_none_of_a_weight_is_the_same_fit(votes, estimate):
    """Rows with a missing cell and weight zero are as good as absent."""
    columns = VOTES[:4]
    spec = mx.Mixture(mx.Bernoulli(*columns), n_components=2)
    complete = votes[columns].dropna()
    weights = votes[columns].notna().all(axis=1).astype(float).to_numpy()
    a = mx.fit(spec, complete, rng=1, estimate=estimate, sample_weight=np.ones(len(complete)))
    b = mx.fit(spec, votes, rng=1, estimate=estimate, sample_weight=weights)
    assert a.log_likelihood == pytest.approx(b.log_likelihood, abs=1e-9)
    np.testing.assert_allclose(a.point["probability"], b.point["probability"], atol=1e-9)


def test_complete_items_with_one_missing_are_the_product_of_both_blocks(votes):
    """One block with a missing cell somewhere is the product of a complete block and one that skips."""
    columns = VOTES[:3]
    spec = mx.Mixture(mx.Bernoulli(*columns), n_components=2)
    split = mx.Mixture(mx.Bernoulli(*columns[:2], name="a") * mx.Bernoulli(columns[2], name="b"), n_components=2)
    assert mx.fit(spec, votes, rng=1).log_likelihood == pytest.approx(
        mx.fit(split, votes, rng=1).log_likelihood, abs=1e-6
    )


def test_other_columns_of_a_product_may_be_complete():
    rng = np.random.default_rng(1)
    z = rng.integers(2, size=300)
    flags = (rng.random((300, 3)) < 0.2 + 0.6 * z[:, None]).astype(float)
    flags[rng.random((300, 3)) < 0.3] = np.nan
    data = {"x": rng.normal(size=300) + 4 * z, **{f"f{j}": flags[:, j] for j in range(3)}}
    fit = mx.fit(mx.Mixture(mx.Gaussian("x") * mx.Bernoulli("f0", "f1", "f2"), n_components=2), data, rng=1)
    assert np.mean(fit.predict(data) == z) > 0.95
    p = fit.point["probability"]
    np.testing.assert_allclose(p, [[0.2] * 3, [0.8] * 3], atol=0.12)


def test_kernels_leave_blocks_with_missing_cells_to_the_formulas(votes, two_blocs, monkeypatch):
    monkeypatch.setenv("MIXTURES_KERNELS", "always")
    fit = mx.fit(mx.Mixture(mx.Bernoulli(*VOTES), n_components=2), votes, rng=1, starts=3)
    assert fit.log_likelihood == pytest.approx(two_blocs.log_likelihood, abs=1e-8)


def test_new_rows_may_miss_a_column_altogether(two_blocs, votes):
    one = votes[VOTES].head(1).copy()
    one.loc[:, VOTES[0]] = np.nan
    assert np.isfinite(two_blocs.score(one)).all()
    assert two_blocs.responsibilities(one).shape == (1, 2)


def test_a_column_that_a_subsample_never_shows_is_fitted_from_all_rows():
    rng = np.random.default_rng(1)
    data = {"a": rng.exponential(size=30_000), "b": np.full(30_000, np.nan)}
    data["b"][[3, 77]] = [1.0, 2.0]
    fit = mx.fit(mx.Mixture(mx.Exponential("a", "b"), n_components=2), data, starts=2, rng=1)
    assert np.isfinite(fit.log_likelihood)


def test_missing_cells_of_a_family_that_knows_nothing_of_them():
    rng = np.random.default_rng(4)
    z = rng.integers(2, size=400)
    x = rng.poisson(np.where(z, 8.0, 1.0)[:, None], size=(400, 3)).astype(float)
    x[rng.random((400, 3)) < 0.2] = np.nan
    data = {f"c{j}": x[:, j] for j in range(3)}
    fit = mx.fit(mx.Mixture(mx.Poisson("c0", "c1", "c2"), n_components=2), data, rng=1)
    each = np.where(np.isnan(x)[:, None], 0.0, stats.poisson.logpmf(np.nan_to_num(x)[:, None], fit.point["rate"])).sum(
        axis=2
    )
    expected = np.logaddexp.reduce(np.log(fit.point["weights"]) + each, axis=1).sum()
    assert fit.log_likelihood == pytest.approx(expected, abs=1e-8)
    np.testing.assert_allclose(fit.point["rate"], [[1.0] * 3, [8.0] * 3], rtol=0.25)


def test_one_normal_with_a_monotone_pattern_has_the_closed_form():
    """Regression of the incomplete column on the complete one: Anderson (1957), Little & Rubin (2019), section 7.2."""
    rng = np.random.default_rng(8)
    x = rng.multivariate_normal([1.0, -2.0], [[2.0, 1.2], [1.2, 1.5]], size=300)
    x[:120, 1] = np.nan
    fit = mx.fit(mx.Mixture(mx.Gaussian("a", "b"), n_components=1), {"a": x[:, 0], "b": x[:, 1]}, rng=1)
    a, pairs = x[:, 0], x[120:]
    inner = np.cov(pairs.T, bias=True)
    slope = inner[0, 1] / inner[0, 0]
    mean = [a.mean(), pairs[:, 1].mean() + slope * (a.mean() - pairs[:, 0].mean())]
    variance = inner[1, 1] - slope * inner[0, 1] + slope**2 * a.var()
    np.testing.assert_allclose(fit.point["mean"][0], mean, rtol=1e-8)
    np.testing.assert_allclose(
        fit.point["covariance"][0], [[a.var(), slope * a.var()], [slope * a.var(), variance]], rtol=1e-7
    )
    assert fit.n_missing == 120
    assert "(120 missing cells, taken as missing at random)" in fit.summary()


IRIS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


@pytest.fixture(scope="module")
def holes():
    x = mx.load_dataset("iris")[IRIS].to_numpy()
    x[np.random.default_rng(0).random(x.shape) < 0.12] = np.nan
    return x


@pytest.mark.parametrize("structure", ["full", "diagonal", "spherical", "EEE"])
def test_gaussians_have_the_likelihood_of_the_observed_cells(holes, structure):
    data = dict(zip(IRIS, 1000.0 * holes.T, strict=True))
    fit = mx.fit(mx.Mixture(mx.Gaussian(*IRIS, structure=structure), n_components=2), data, rng=1)
    mean, covariance = fit.point["mean"] / 1000, fit.point["covariance"] / 1e6

    def density(row, k):
        seen = ~np.isnan(row)
        return stats.multivariate_normal(mean[k, seen], covariance[k][np.ix_(seen, seen)]).logpdf(row[seen])

    joint = np.array([[density(row, k) for k in range(2)] for row in holes])
    rows = np.logaddexp.reduce(np.log(fit.point["weights"]) + joint, axis=1) - np.log(1000) * (~np.isnan(holes)).sum(
        axis=1
    )
    np.testing.assert_allclose(fit.score(data), rows, rtol=1e-9)
    assert fit.log_likelihood == pytest.approx(rows.sum(), abs=1e-7)
    assert fit.status is mx.Status.CONVERGED


def test_a_row_without_any_cell_leaves_gaussians_as_they_are(holes):
    spec = mx.Mixture(mx.Gaussian(*IRIS), n_components=2)
    fits = [
        mx.fit(spec, dict(zip(IRIS, x.T, strict=True)), rng=1)
        for x in (holes, np.vstack([holes, np.full((1, 4), np.nan)]))
    ]
    for name, value in fits[0].point.items():
        np.testing.assert_allclose(value, fits[1].point[name], rtol=1e-9)
    assert fits[0].log_likelihood == pytest.approx(fits[1].log_likelihood, abs=1e-9)


def test_weights_of_rows_with_missing_cells_count_them(holes):
    spec, v = mx.Mixture(mx.Gaussian(*IRIS), n_components=2), np.resize([2, 1, 0], len(holes))
    weighted = mx.fit(spec, dict(zip(IRIS, holes.T, strict=True)), sample_weight=v, rng=1)
    twice = mx.fit(
        spec, dict(zip(IRIS, np.repeat(holes, v, axis=0).T, strict=True)), sample_weight=np.ones(v.sum()), rng=1
    )
    assert weighted.log_likelihood == pytest.approx(twice.log_likelihood, abs=1e-8)
    assert weighted.n_missing == twice.n_missing


def test_kernels_take_gaussians_with_missing_cells(holes, monkeypatch):
    spec, data = mx.Mixture(mx.Gaussian(*IRIS), n_components=2), dict(zip(IRIS, holes.T, strict=True))
    plain = mx.fit(spec, data, rng=1)
    monkeypatch.setenv("MIXTURES_KERNELS", "always")
    fit = mx.fit(spec, data, rng=1, starts=6)
    assert fit.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-8)
