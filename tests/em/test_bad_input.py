"""What cannot be fitted is refused by name, with a way out; what collapses says where."""

import re

import numpy as np
import pandas as pd
import pytest

import mixtures as mx


def normal(n, d=1, seed=1):
    return np.random.default_rng(seed).normal(size=(n, d))


def gaussian(n_components, *columns, **options):
    return mx.Mixture(mx.Gaussian(*columns, **options), n_components=n_components)


def bernoulli(n_components, *columns, **options):
    return mx.Mixture(mx.Bernoulli(*columns, **options), n_components=n_components)


# -- components that close in on few rows ---


@pytest.fixture
def repeated():
    """Sixty rows in the plane, the last eight of them one point far away."""
    x = normal(60, 2)
    x[52:] = 20.0
    return pd.DataFrame(x, columns=["x", "y"])


def test_collapse_onto_repeated_rows_names_component_rows_and_the_prior(repeated):
    with pytest.raises(mx.FitError) as caught:
        mx.fit(gaussian(2, "x", "y"), repeated, rng=1)
    text = str(caught.value)
    assert re.search(r"in component [01] on row 52, .*row 59", text)
    assert "estimate='map'" in text
    assert "50 starts" in text


def test_under_the_prior_repeated_rows_are_fitted(repeated):
    found = mx.fit(gaussian(2, "x", "y"), repeated, estimate="map", rng=1)
    assert found.status is mx.Status.CONVERGED
    small = int(np.argmin(found.point["weights"]))
    assert found.point["weights"][small] == pytest.approx(8 / 60, abs=0.01)
    np.testing.assert_allclose(found.point["mean"][small], 20.0, atol=0.05)
    assert np.all(np.linalg.eigvalsh(found.point["covariance"]) > 1e-4)


def test_labels_of_the_rows_are_used_where_the_table_has_them(repeated):
    with pytest.raises(mx.FitError, match="person 52"):
        mx.fit(gaussian(2, "x", "y"), repeated.set_axis([f"person {i}" for i in range(60)]), rng=1)


def test_collapse_onto_rows_tied_in_one_column_stands_apart_from_sound_optima():
    tied = pd.DataFrame(normal(60, 2), columns=["x", "y"])
    tied.loc[52:, "x"] = 3.0
    found = mx.fit(gaussian(2, "x", "y"), tied, rng=1)
    assert found.converged
    table = found.starts
    apart = table[table.kind == "collapsing"]
    assert len(apart)
    assert table.kind.iloc[0] == "optimum"
    assert any({f"row {i}" for i in range(52, 60)} <= set(rows.split(", ")) for rows in apart.rows)
    assert found.log_likelihood == table[table.kind == "optimum"].log_likelihood.max()
    assert mx.fit(gaussian(2, "x", "y"), tied, estimate="map", rng=1, starts=10).converged


def test_one_column_collapses_onto_a_repeated_value_only_as_a_row_of_the_table():
    x = np.r_[normal(50)[:, 0], np.full(10, 3.0)][:, None]
    found = mx.fit(gaussian(2, "x"), x, rng=1)
    assert found.converged
    assert "collapsing" in set(found.starts.kind)
    assert np.all(np.isfinite(found.starts.log_likelihood))


def test_as_many_distinct_rows_as_components_collapse_and_the_prior_mends_it():
    x = np.repeat([0.0, 1.0], 10)[:, None]
    with pytest.raises(mx.FitError, match="Every start collapsed"):
        mx.fit(gaussian(2, "x"), x, rng=1)
    found = mx.fit(gaussian(2, "x"), x, estimate="map", rng=1)
    np.testing.assert_allclose(found.point["mean"][:, 0], [0.0, 1.0], atol=1e-2)


def test_a_given_start_on_tied_rows_collapses_by_name():
    data = mx.load_dataset("old_faithful")
    tied = np.flatnonzero(data["waiting"] == 78)
    assert len(tied) == 15
    rest = np.setdiff1d(np.arange(272), tied)
    R = np.full((272, 3), 1e-6)
    R[tied, 0] = 1.0
    R[rest, np.where(data["eruptions"] < 3, 1, 2)[rest]] = 1.0
    em = mx.compile_em(gaussian(3, "eruptions", "waiting"), data)
    start = em.m_step(R / R.sum(axis=1, keepdims=True))
    with pytest.raises(mx.FitError, match=rf"in component \d on .*row {tied[0]}, "):
        mx.fit(em.specification, data, starts=[start])


def test_a_nearly_singular_best_is_returned_with_a_warning_when_nothing_else_is_there():
    x = np.r_[normal(50)[:, 0], 3.0 + 1e-3 * normal(10, seed=4)[:, 0]][:, None]
    start = {"weights": [0.83, 0.17], "mean": [[0.0], [3.0]], "covariance": [[[1.0]], [[1e-5]]]}
    with pytest.warns(mx.MixtureWarning, match="nearly singular.*component 1"):
        found = mx.fit(gaussian(2, "x"), x, starts=[start])
    assert found.status is mx.Status.NEARLY_SINGULAR
    assert not found.converged
    assert "map" in found.status.value
    assert found.starts.kind.tolist() == ["nearly singular"]
    assert "row 50" in found.starts.rows[0]


# -- rows and columns ---


def test_fewer_distinct_rows_than_components_says_how_many():
    x = np.array([0.0, 0, 0, 1, 1])[:, None]
    with pytest.raises(mx.DataError, match=r"2 distinct row\(s\), fewer than the 3 components. Use n_components=2"):
        mx.fit(gaussian(3, "x"), x)
    with pytest.raises(mx.DataError, match="2 distinct"):
        mx.fit(bernoulli(3, "x"), x)


def test_a_constant_column_is_named():
    frame = pd.DataFrame({"x": np.arange(9.0), "flat": 4.0})
    with pytest.raises(mx.DataError, match=r"'flat' is constant \(every row is 4\).*Leave it out"):
        mx.fit(gaussian(2, "x", "flat"), frame)


def test_duplicated_and_dependent_columns_are_named():
    x = normal(40, 3)
    frame = pd.DataFrame({"x": x[:, 0], "copy": x[:, 0], "y": x[:, 1], "sum": x[:, 0] + x[:, 1]})
    with pytest.raises(mx.DataError, match=r"'x', 'copy' are linearly dependent.*Leave one of them out"):
        mx.fit(gaussian(2, "x", "copy"), frame)
    with pytest.raises(mx.DataError, match="'x', 'y', 'sum' are linearly dependent"):
        mx.fit(gaussian(2, "x", "y", "sum"), frame)


def test_fewer_rows_than_columns_is_a_dependence():
    with pytest.raises(mx.DataError, match="fewer rows than columns"):
        mx.fit(gaussian(1, "a", "b", "c"), normal(3, 3))


@pytest.mark.parametrize("estimate", ["mle", "map"])
def test_a_binary_column_holding_a_2_is_named_with_row_and_value(estimate):
    frame = pd.DataFrame({"item": [0, 1, 2, 1, 2]})
    with pytest.raises(mx.DataError, match=r"Column 'item', row 2: found 2, but Bernoulli takes 0 or 1 \(2 such"):
        mx.fit(bernoulli(2, "item"), frame, estimate=estimate)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([np.nan, np.nan, np.nan], "'x' has no value in any row"),
        ([1.0, 2.0, np.inf, 4.0], "'x', row 2: an infinite value"),
        (list("abcd"), "'x' holds text: 'a' in row 0"),
        ([], "empty"),
    ],
    ids=["missing", "infinite", "text", "no rows"],
)
def test_unusable_columns_are_named(column, message):
    with pytest.raises(mx.DataError, match=message):
        mx.fit(gaussian(2, "x"), pd.DataFrame({"x": column}))


def test_a_misspelt_column_gets_the_nearest_name():
    with pytest.raises(mx.DataError, match=r"no column 'wating'.*Did you mean 'waiting'"):
        mx.fit(gaussian(2, "wating"), mx.load_dataset("old_faithful"))


def test_missing_cells_are_refused_by_families_that_cannot_leave_them_out():
    class Together(mx.Poisson):
        separable = False

    data = {"x": [1.0, np.nan, 3.0, 4.0], "flag": [0.0, 1.0, np.nan, 1.0]}
    with pytest.raises(mx.DataError, match=r"Column 'x', row 1: a missing value.*Together cannot leave out cells yet"):
        mx.fit(mx.Mixture(Together("x") * mx.Bernoulli("flag"), n_components=2), data)


def test_a_column_without_any_value_is_named():
    data = {"a": [1.0, 0.0, 1.0], "b": [np.nan, np.nan, np.nan]}
    with pytest.raises(mx.DataError, match="Column 'b' has no value in any row"):
        mx.fit(mx.Mixture(mx.Bernoulli("a", "b"), n_components=2), data)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(20), "sample_weight is -1 in row 0"),
        (np.zeros(20), "zero in every row"),
        (np.full(20, np.nan), "nan in row 0"),
        (np.ones(6), "6 values, the data have 20 rows"),
        ("counts", "no weight column 'counts'|no column 'counts'"),
    ],
    ids=["negative", "all zero", "NaN", "too few", "no such column"],
)
def test_unusable_weights_of_rows_are_refused(weights, message):
    with pytest.raises(mx.DataError, match=message):
        mx.fit(gaussian(2, "x"), pd.DataFrame(normal(20), columns=["x"]), sample_weight=weights)


# -- arguments ---


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (bernoulli(2, "x", probability=mx.Beta(0.5, 1.0)), "Beta with a parameter of 0.5.*no interior mode"),
        (mx.Mixture(mx.Bernoulli("x"), n_components=2, weights=mx.Dirichlet(0.5)), "weights: Dirichlet.*0.5"),
    ],
)
def test_priors_without_an_interior_mode_are_refused_for_map_only(spec, message):
    x = np.r_[np.ones(7), np.zeros(5)][:, None]
    with pytest.raises(mx.SpecError, match=message):
        mx.fit(spec, x, estimate="map")
    mx.fit(spec, x, starts=1, rng=1)


@pytest.mark.parametrize("starts", [0, -3, [], "many", 2.5, True, {"weights": [0.5, 0.5]}], ids=repr)
def test_starts_that_are_none_are_refused(starts):
    with pytest.raises(mx.SpecError, match="a number of starts >= 1 or a list of parameters"):
        mx.fit(gaussian(2, "x"), normal(20), starts=starts)


def test_given_starts_are_checked_like_other_parameters():
    with pytest.raises(mx.SpecError, match="'covariance' is missing"):
        mx.fit(gaussian(2, "x"), normal(20), starts=[{"weights": [0.5, 0.5], "mean": [[1], [2]]}])
    impossible = {"weights": [0.5, 0.5], "probability": [[0.0], [0.0]]}
    with pytest.raises(mx.SpecError, match=r"starts\[0\] gives density 0 to row \d"):
        mx.fit(bernoulli(2, "x"), np.array([[0.0], [1.0], [1.0]]), starts=[impossible])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimate": "ML"}, "estimate='ML': legal are 'mle' and 'map'"),
        ({"method": "EM"}, r"method='EM': pass a value such as mx.SQUAREM\(\)"),
        ({"rng": "one"}, "rng='one' cannot seed"),
    ],
    ids=["estimate", "method", "rng"],
)
def test_wrong_arguments_say_what_is_legal(options, message):
    with pytest.raises(mx.SpecError, match=message):
        mx.fit(gaussian(2, "x"), normal(20), **options)


@pytest.mark.parametrize("passes", [0, -1, 1.5])
def test_methods_need_a_pass_limit(passes):
    with pytest.raises(mx.SpecError, match="max_passes must be an integer >= 1"):
        mx.EM(max_passes=passes)


def test_the_pass_limit_is_an_honest_status():
    found = mx.fit(
        gaussian(3, "eruptions", "waiting"), mx.load_dataset("old_faithful"), method=mx.EM(15), rng=1, starts=3
    )
    assert found.status is mx.Status.PASS_LIMIT
    assert not found.converged
    assert "more passes" in found.summary()
    assert set(found.starts.kind) == {"unfinished"}


def test_numbers_whose_squares_overflow_are_named():
    with pytest.raises(mx.DataError, match=r"Column 'x', row 2: 1e\+300 is too large"):
        mx.fit(gaussian(2, "x"), {"x": [0.0, 1.0, 1e300, 2.0]})
    with pytest.raises(mx.DataError, match=r"Column 'y', row 1: -1e\+300 is too large"):
        mx.fit(gaussian(1, "x", "y"), {"x": [np.nan, 1.0, 3.0, 2.0], "y": [0.0, -1e300, 1.0, 2.0]})
    with pytest.raises(mx.DataError, match="too large for float64"):
        mx.fit(gaussian(2, "x"), {"x": [10**400, 1, 2, 3]})


def test_a_row_of_weight_0_may_hold_any_number():
    x, v = np.array([0.0, 1.0, 1e300, 2.0, 1.5, np.inf]), np.array([1.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    found, expected = (
        mx.fit(gaussian(1, "x"), {"x": value}, sample_weight=weight) for value, weight in ((x, v), (x[v > 0], v[v > 0]))
    )
    assert found.log_likelihood == expected.log_likelihood


@pytest.mark.parametrize("unit", [1e-150, 1e-200, 1e-305])
def test_numbers_whose_squares_underflow_are_not_called_constant(unit):
    x = unit * normal(30)[:, 0]
    with pytest.raises(
        mx.DataError, match=r"Column 'x': its values differ by no more than .*e-\d+, too little for squares.*Rescale"
    ):
        mx.fit(gaussian(2, "x"), {"x": x})
    with pytest.raises(mx.DataError, match=r"Column 'x' is constant \(every row is 1e-200\)"):
        mx.fit(gaussian(2, "x", "y"), {"x": np.full(30, 1e-200), "y": normal(30)[:, 0]})


def test_small_numbers_whose_squares_can_be_computed_are_fitted():
    x = np.r_[normal(30)[:, 0], normal(30)[:, 0] + 8.0]
    plain, small = (mx.fit(gaussian(2, "x"), {"x": unit * x}, starts=5, rng=1) for unit in (1.0, 2.0**-460))
    np.testing.assert_allclose(small.point["mean"] * 2.0**460, plain.point["mean"], rtol=1e-6)
