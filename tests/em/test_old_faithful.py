"""Old Faithful: the numbers of the default call, of every structure, and the landscape of three components."""

import numpy as np
import pytest

import mixtures as mx

BEST_OF_THREE = -1114.4399
LOCAL_OPTIMA_OF_THREE = (-1119.2140, -1119.645, -1119.878, -1127.072)

# mclust 6.0.0: Mclust(faithful, G = 1:2, modelNames = ...)$loglik
LOG_LIKELIHOODS = {
    "EII": (-2003.952, -1709.681),
    "VII": (-2003.952, -1709.529),
    "EEI": (-1516.706, -1157.68),
    "VVI": (-1516.706, -1147.806),
    "EEE": (-1289.797, -1140.187),
    "VVV": (-1289.797, -1130.264),
}


@pytest.fixture(scope="module")
def data():
    return mx.load_dataset("old_faithful")


def gaussian(n_components, structure="full"):
    return mx.Mixture(mx.Gaussian("eruptions", "waiting", structure=structure), n_components=n_components)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_default_fit_of_two_components_has_its_known_numbers(data, seed):
    found = mx.fit(gaussian(2), data, rng=seed)
    assert found.status is mx.Status.CONVERGED
    assert found.log_likelihood == pytest.approx(-1130.26396, abs=1e-5)
    np.testing.assert_allclose(found.point["weights"], [0.355873, 0.644127], atol=1e-5)
    np.testing.assert_allclose(found.point["mean"], [[2.03639, 54.47852], [4.28966, 79.96812]], atol=1e-5)
    assert found.decrement <= 1e-6
    assert found.starts["starts"].sum() == 50
    assert (found.n_rows, found.n_parameters()) == (272, 11)


def test_two_components_have_the_covariances_of_mclust(data):
    # mclust 6.0.0: em("VVV", faithful, parameters of Mclust(faithful, 2, "VVV"), control = emControl(tol = 1e-14))
    found = mx.fit(gaussian(2), data, rng=1).parameters
    short, long = found["covariance"].sel(component=0), found["covariance"].sel(component=1)
    np.testing.assert_allclose(short, [[0.06916768, 0.43516768], [0.43516768, 33.69728243]], rtol=1e-6)
    np.testing.assert_allclose(long, [[0.16996843, 0.94060923], [0.94060923, 36.04621031]], rtol=1e-6)


@pytest.mark.parametrize("n_components", [1, 2])
@pytest.mark.parametrize("structure", list(LOG_LIKELIHOODS))
def test_every_structure_agrees_with_mclust(data, structure, n_components):
    found = mx.fit(gaussian(n_components, structure), data, rng=1)
    assert found.converged
    assert found.log_likelihood == pytest.approx(LOG_LIKELIHOODS[structure][n_components - 1], abs=2e-3)


def test_the_number_of_parameters_is_that_of_the_structure(data):
    counts = {name: mx.fit(gaussian(2, name), data, rng=1, starts=1).n_parameters() for name in LOG_LIKELIHOODS}
    assert counts == {"EII": 6, "VII": 7, "EEI": 7, "VVI": 9, "EEE": 8, "VVV": 11}


def fits_of_three(data, seeds):
    return [mx.fit(gaussian(3), data, rng=seed) for seed in seeds]


def finds_the_best_of_three(found):
    assert found.log_likelihood == pytest.approx(BEST_OF_THREE, abs=1e-3)
    np.testing.assert_allclose(found.point["weights"], [0.1273, 0.2292, 0.6435], atol=1e-4)
    assert found.status is mx.Status.CONVERGED


def shows_the_landscape(fits):
    tables = [found.starts for found in fits]
    sound = np.concatenate([table.log_likelihood[table.kind == "optimum"] for table in tables])
    for value in LOCAL_OPTIMA_OF_THREE:
        assert np.min(np.abs(sound - value)) < 1e-3, f"no start reached {value}"
    for table in tables:
        assert table.starts.sum() == 50
        apart = (table.kind != "optimum").to_numpy()
        assert np.all(np.diff(apart.astype(int)) >= 0), "nearly singular optima stand last"
        assert np.all(table.smallest_eigenvalue[~apart] >= 0.005)
        assert np.all(table.smallest_eigenvalue[apart] < 0.005)
        assert (table.rows[apart] != "").all()
        assert (table.component[apart] >= 0).all()
    assert any((table.kind == "nearly singular").any() for table in tables)


@pytest.fixture(scope="module")
def three_fits_of_three(data):
    return fits_of_three(data, [2, 4, 6])


def test_three_seeds_find_the_best_of_three_components(three_fits_of_three):
    for found in three_fits_of_three:
        finds_the_best_of_three(found)


def test_three_seeds_show_the_local_optima_of_three_components(three_fits_of_three):
    shows_the_landscape(three_fits_of_three)


def test_the_summary_lists_the_optima_with_their_counts(three_fits_of_three):
    text = three_fits_of_three[1].summary()
    assert "optima reached from 50 starts" in text
    assert "-1119.2140" in text
    assert "nearly singular" in text


@pytest.mark.slow
def test_eighteen_of_twenty_seeds_find_the_best_of_three_components(data):
    fits = fits_of_three(data, range(20))
    best = [found for found in fits if abs(found.log_likelihood - BEST_OF_THREE) < 1e-3]
    assert len(best) >= 18
    for found in best:
        finds_the_best_of_three(found)
    shows_the_landscape(fits)


def test_one_seed_gives_one_result(data):
    first, again = (mx.fit(gaussian(3), data, rng=8, starts=6) for _ in range(2))
    assert first.parameters.identical(again.parameters)
    assert first.starts.equals(again.starts)


def test_the_order_of_the_columns_and_rows_does_not_matter(data):
    found = mx.fit(gaussian(2), data, rng=1)
    shuffled = data.sample(frac=1.0, random_state=3)[["waiting", "eruptions"]]
    again = mx.fit(gaussian(2), shuffled, rng=1)
    assert again.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-9)
    np.testing.assert_allclose(again.point["mean"], found.point["mean"], rtol=1e-8)


def test_the_threshold_says_which_optima_are_sound(data, three_fits_of_three):
    found = three_fits_of_three[1]
    lowest = found.optima[0].smallest_eigenvalue
    assert lowest >= found.threshold == 0.005
    strict = mx.fit(gaussian(3), data, rng=4, starts=12, threshold=1.01 * lowest)
    assert strict.log_likelihood < found.log_likelihood - 1
    assert strict.optima[0].smallest_eigenvalue > lowest
    assert strict.starts.kind.iloc[-1] == "nearly singular"
    apart = strict.starts[strict.starts.kind == "nearly singular"]
    assert np.min(np.abs(apart.log_likelihood - found.log_likelihood)) < 1e-6
