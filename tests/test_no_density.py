"""Rows to which every component gives density 0: refused by a fit, marked among new rows."""

import numpy as np
import pytest

import mixtures as mx

BOXES = mx.Mixture([mx.Uniform("x", low=0, high=1), mx.Uniform("x", low=2, high=3)])
INSIDE = {"x": [0.1, 0.2, 0.5, 2.2, 2.5]}


def test_a_model_for_pymc_names_it_too():
    with pytest.raises(mx.DataError, match=r"^row 1: no component gives it a density"):
        mx.compile_pymc(BOXES, {"x": [0.1, 1.5]})


@pytest.mark.parametrize("entry", [mx.fit, mx.compile_em])
@pytest.mark.parametrize("estimate", ["mle", "map"])
def test_a_fit_names_the_row_that_lies_in_no_box(entry, estimate):
    with pytest.raises(mx.DataError, match=r"^row 2: no component gives it a density.*'x' = 1\.5; 2 such row"):
        entry(BOXES, {"x": [0.1, 2.5, 1.5, 1.7, 0.3]}, estimate=estimate)


def test_the_row_is_named_by_its_label_with_every_column():
    import pandas as pd

    frame = pd.DataFrame({"x": [0.1, 2.5, 1.5], "y": [1.0, 2.0, 9.0]}, index=["Ann", "Bob", "Cid"])
    spec = mx.Mixture([mx.Uniform("x", "y", low=0, high=(1, 5)), mx.Uniform("x", "y", low=2, high=3)])
    with pytest.raises(mx.DataError, match=r"'Bob'|'Cid'") as caught:
        mx.fit(spec, frame)
    assert "labelled 'Bob'" not in str(caught.value)
    assert "'x' = 1.5, 'y' = 9" in str(caught.value)


def test_a_label_that_contradicts_its_component_s_box_is_named():
    spec = mx.Mixture(
        [mx.Uniform("x", low=0, high=1) * mx.Labels("known"), mx.Gaussian("x") * mx.Labels("known")],
    )
    data = {"x": [0.1, 0.4, 2.0, 2.5, 3.0], "known": [0, np.nan, np.nan, 0, 1]}
    with pytest.raises(mx.DataError, match=r"row 3: no component gives it a density.*'x' = 2\.5, 'known' = 0"):
        mx.fit(spec, data)
    data["known"][3] = 1
    assert mx.fit(spec, data, estimate="map", starts=3, rng=1).converged


def test_a_fixed_probability_of_zero_excludes_rows():
    spec = mx.Mixture([mx.Bernoulli("a", probability=0.0), mx.Bernoulli("a", probability=0.0)])
    with pytest.raises(mx.DataError, match=r"row 1: no component gives it a density.*'a' = 1"):
        mx.fit(spec, {"a": [0, 1, 0]})


def test_new_rows_without_density_are_marked_with_a_warning():
    found = mx.fit(BOXES, INSIDE, starts=2, rng=1)
    new = {"x": [0.5, 1.5, 2.5, -3.0]}
    with pytest.warns(
        mx.MixtureWarning, match="2 of 4 rows have density 0 under every component, the first of them row 1"
    ):
        predicted = found.predict(new)
    assert predicted.tolist() == [0, -1, 1, -1]
    with pytest.warns(mx.MixtureWarning, match="2 of 4 rows"):
        R = found.responsibilities(new)
    np.testing.assert_array_equal(np.isnan(R), [[False] * 2, [True] * 2, [False] * 2, [True] * 2])
    np.testing.assert_array_equal(R[[0, 2]].sum(axis=1), 1.0)
    assert np.isneginf(found.score(new)).tolist() == [False, True, False, True]


def test_rows_with_a_density_are_not_warned_about():
    found = mx.fit(BOXES, INSIDE, starts=2, rng=1)
    assert found.predict(INSIDE).tolist() == [0, 0, 0, 1, 1]
    far = mx.fit(mx.Mixture(mx.Gaussian("x"), n_components=2), {"x": [0.0, 0.2, 0.3, 5.0, 5.1, 5.3]}, starts=3, rng=1)
    assert far.predict({"x": [1e30, -1e30]}).min() >= 0
