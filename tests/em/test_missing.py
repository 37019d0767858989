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
