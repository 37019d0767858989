"""Known component labels of rows, certain and as plausibilities."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import logsumexp

import mixtures as mx

IRIS = mx.load_dataset("iris")
MEASURED = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
SPECIES = pd.Categorical(IRIS["species"]).codes.astype(float)
SPEC = mx.Mixture(mx.Gaussian(*MEASURED) * mx.Labels("known"), n_components=3)


def with_labels(known, n=3):
    return IRIS.assign(known=np.where(known, SPECIES, np.nan))


def test_labels_for_every_row_give_the_closed_form_maximum():
    fit = mx.fit(SPEC, with_labels(np.ones(150, dtype=bool)), rng=1)
    x = IRIS[MEASURED].to_numpy()
    for k in range(3):
        own = x[k == SPECIES]
        np.testing.assert_allclose(fit.parameters["weights"][k], len(own) / 150, rtol=1e-9)
        np.testing.assert_allclose(fit.parameters["mean"][k], own.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(fit.parameters["covariance"][k], np.cov(own.T, bias=True), rtol=1e-9)
    expected = sum(
        np.log(1 / 3)
        + stats.multivariate_normal(x[k == SPECIES].mean(axis=0), np.cov(x[k == SPECIES].T, bias=True)).logpdf(row)
        for k in range(3)
        for row in x[k == SPECIES]
    )
    assert fit.log_likelihood == pytest.approx(expected, abs=1e-8)


def test_some_labels_are_honoured_and_name_the_components():
    known = np.arange(150) % 10 == 0
    data = with_labels(known)
    fit = mx.fit(SPEC, data, rng=1)
    assert (fit.predict(data)[known] == SPECIES[known]).all()
    assert (fit.predict(IRIS) == SPECIES).mean() > 0.9  # rows to be scored may come without labels
    x, p = data[MEASURED].to_numpy(), fit.parameters
    joint = np.log(p["weights"].values) + np.column_stack(
        [stats.multivariate_normal(p["mean"][k], p["covariance"][k]).logpdf(x) for k in range(3)]
    )
    rows = np.where(known, joint[np.arange(150), SPECIES.astype(int)], logsumexp(joint, axis=1))
    np.testing.assert_allclose(fit.score(data), rows, rtol=1e-9)
    assert SPEC.exchangeable == ((0,), (1,), (2,))


def test_plausibilities_of_one_and_zero_are_labels_and_equal_ones_are_none():
    known = np.arange(150) % 5 == 0
    sure = np.where(known[:, None], np.eye(3)[SPECIES.astype(int)], 0.2)
    data = IRIS.assign(p0=sure[:, 0], p1=sure[:, 1], p2=sure[:, 2])
    columns = mx.Mixture(mx.Gaussian(*MEASURED) * mx.Labels("p0", "p1", "p2"), n_components=3)
    fits = mx.fit(SPEC, with_labels(known), rng=1), mx.fit(columns, data, rng=1)
    assert fits[0].log_likelihood == pytest.approx(fits[1].log_likelihood, abs=1e-7)
    np.testing.assert_allclose(fits[0].parameters["mean"], fits[1].parameters["mean"], atol=1e-6)


def test_plausibilities_weigh_the_densities():
    rng = np.random.default_rng(2)
    x, share = rng.normal(size=40), rng.random((40, 2))
    spec = mx.Mixture(mx.Gaussian("x") * mx.Labels("a", "b"), n_components=2)
    data = {"x": x, "a": share[:, 0], "b": share[:, 1]}
    fit = mx.fit(spec, data, rng=1, estimate="map")
    p = fit.parameters
    joint = sum(
        share[:, k]
        / share.max(axis=1)
        * p["weights"].values[k]
        * stats.norm(p["mean"].values[k, 0], p["covariance"].values[k, 0, 0] ** 0.5).pdf(x)
        for k in range(2)
    )
    np.testing.assert_allclose(fit.score(data), np.log(joint), rtol=1e-9)


def test_no_labels_at_all_leave_the_fit_as_it_was():
    plain = mx.fit(mx.Mixture(mx.Gaussian("waiting"), 2), mx.load_dataset("old_faithful"), rng=1)
    data = mx.load_dataset("old_faithful").assign(known=np.nan)
    data.loc[0, "known"] = 1.0  # the first row waits 79 minutes: the longer kind, beyond doubt
    fit = mx.fit(mx.Mixture(mx.Gaussian("waiting") * mx.Labels("known"), 2), data, rng=1)
    assert fit.parameters["mean"].values[1, 0] > 75
    np.testing.assert_allclose(fit.parameters["mean"], plain.parameters["mean"], rtol=1e-3)


def test_components_that_no_row_is_labelled_with_stay_exchangeable():
    new = mx.Gaussian("x") * mx.Labels("known", label=-1)
    spec = mx.Mixture([mx.Gaussian("x") * mx.Labels("known", label=0), new, new])
    assert spec.exchangeable == ((0,), (1, 2))
    assert mx.Mixture.from_toml(spec.to_toml()) == spec
    assert mx.Mixture.from_toml(SPEC.to_toml()) == SPEC
    assert "label" not in SPEC.to_toml().replace("Labels", "")
    assert repr(SPEC).endswith("* Labels('known'), n_components=3)")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            [0, 1, 5, np.nan],
            r"^row 2: no component gives it a density, whatever the free parameters \('known' = 5; 1 such row",
        ),
        ([0, 1, 0.5, np.nan], "Column 'known', row 2: found 0.5, but Labels takes component numbers"),
        ([0, 1, -1, np.nan], "Column 'known', row 2: found -1, but Labels takes component numbers"),
        ([0, 1, np.inf, np.nan], "Column 'known', row 2: an infinite value"),
    ],
)
def test_contradictory_labels_are_named(values, said):
    spec = mx.Mixture(mx.Gaussian("x") * mx.Labels("known"), n_components=2)
    with pytest.raises(mx.DataError, match=said):
        mx.fit(spec, {"x": [1.0, 2.0, 4.0, 3.5], "known": values})


def test_plausibilities_that_leave_no_component_are_named():
    spec = mx.Mixture(mx.Gaussian("x") * mx.Labels("a", "b"), n_components=2)
    data = {"x": [1.0, 2.0, 4.0], "a": [0.5, 0.0, 1.0], "b": [0.5, 0.0, np.nan]}
    with pytest.raises(mx.DataError, match="'a', 'b', row 1"):
        mx.fit(spec, data)
    with pytest.raises(mx.SpecError, match=r"label=0\.5"):
        mx.Labels("known", label=0.5)
    with pytest.raises(mx.SpecError, match="neither estimated nor shared"):
        mx.Labels("known", label=mx.Shared())


def test_columns_that_are_no_components_label_count_for_nothing():
    rng = np.random.default_rng(3)
    data = {"x": rng.normal(size=30), "a": rng.random(30), "b": rng.random(30), "c": 5 * [1.0] + 25 * [0.9]}
    fits = [
        mx.fit(mx.Mixture(mx.Gaussian("x") * mx.Labels(*names), 2), data, rng=1, estimate="map")
        for names in ("ab", "abc")
    ]
    assert fits[0].log_likelihood == pytest.approx(fits[1].log_likelihood, abs=1e-9)
    data["a"][4] = data["b"][4] = 0.0
    with pytest.raises(
        mx.DataError, match=r"^row 4: no component gives it a density.*\('a' = 0, 'b' = 0, 'c' = 1; 1 such row"
    ):
        mx.fit(mx.Mixture(mx.Gaussian("x") * mx.Labels("a", "b", "c"), 2), data)


def test_labels_may_be_missing_in_every_row_and_labels_alone_give_the_weights():
    data = mx.load_dataset("old_faithful").assign(known=np.nan)
    spec = mx.Mixture(mx.Gaussian("waiting") * mx.Labels("known"), 2)
    plain = mx.fit(mx.Mixture(mx.Gaussian("waiting"), 2), data, rng=1)
    assert mx.fit(spec, data, rng=1).log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-8)
    alone = mx.fit(mx.Mixture(mx.Labels("known"), 2), {"known": [0, 1, 1, 1]}, rng=1)
    np.testing.assert_allclose(alone.point["weights"], [0.25, 0.75])


def test_labels_hold_in_both_programs_and_agree():
    data = mx.load_dataset("old_faithful").assign(known=np.nan)
    data.loc[:9, "known"] = (data["eruptions"][:10] > 3).astype(float)
    spec = mx.Mixture(mx.Gaussian("eruptions") * mx.Labels("known"), 2)
    posterior = mx.sample(spec, data, draws=20, tune=20, chains=2, rng=1, progress=False)
    check = mx.cross_check(spec, data, posterior=posterior, rng=1)
    found = {one.name: one.status.value for one in check.checks}
    assert [found[name] for name in ("density identity", "stationarity")] == ["pass", "pass"]
