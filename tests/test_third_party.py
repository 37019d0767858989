"""A family that another package brings: one file, announced by an entry point, and no file of ours touched."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize
from scipy.special import logsumexp

import mixtures as mx
from mixtures.families.registry import family_class, family_name, family_names
from mixtures.testing import check_family, variants

FAMILY = Path(__file__).parent / "poisson_family.py"
ENTRY_POINTS = "[mixtures.families]\nCounts = counts_for_mixtures:Counts\nBroken = counts_for_mixtures:np\n"
METADATA = "Metadata-Version: 2.1\nName: counts-for-mixtures\nVersion: 1.0\n"


def install(site: Path) -> None:
    """What `pip install` leaves behind for a package of one file that announces its family."""
    package, info = site / "counts_for_mixtures", site / "counts_for_mixtures-1.0.dist-info"
    package.mkdir()
    (package / "__init__.py").write_text(FAMILY.read_text(encoding="utf-8"), encoding="utf-8")
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)


@pytest.fixture(scope="module", autouse=True)
def site(tmp_path_factory):
    """A directory of installed packages with the third party's in it, on the path of this process."""
    site = tmp_path_factory.mktemp("site-packages")
    install(site)
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    yield site
    sys.path.remove(str(site))
    sys.modules.pop("counts_for_mixtures", None)
    importlib.invalidate_caches()


@pytest.fixture
def Counts():
    return family_class("Counts")


TRUTH = {"weights": [0.3, 0.7], "rate": [[2.0, 1.0], [9.0, 4.0]]}


@pytest.fixture
def data(Counts):
    return mx.simulate(mx.Mixture(Counts("goals", "cards"), 2), TRUTH, 400, rng=1)


def log_likelihood(data, weights, rate):
    """By scipy alone."""
    x = data[["goals", "cards"]].to_numpy()
    joint = [np.log(w) + stats.poisson(r).logpmf(x).sum(axis=1) for w, r in zip(weights, rate, strict=True)]
    return float(logsumexp(joint, axis=0).sum())


def test_the_family_is_one_file_of_about_sixty_lines():
    assert len(FAMILY.read_text(encoding="utf-8").splitlines()) <= 65


def test_the_registry_finds_it_beside_ours(Counts):
    assert family_names() == [*sorted(set(mx.families.__all__) - {"Family", "Product"}), "Broken", "Counts"]
    assert issubclass(Counts, mx.Family)
    assert Counts.__module__ == "counts_for_mixtures"
    assert family_name(Counts) == "Counts"


def test_errors_know_its_name_and_an_entry_point_that_leads_nowhere():
    with pytest.raises(mx.SpecError, match=r"Unknown family 'Cuonts'\. Did you mean 'Counts'\?"):
        family_class("Cuonts")
    with pytest.raises(
        mx.SpecError, match=r"entry point 'counts_for_mixtures:np' .* is no subclass of mixtures\.Family"
    ):
        family_class("Broken")


def test_it_obeys_every_law(Counts):
    for block in [*variants(Counts), Counts("a", "b", rate=mx.GammaPrior([3, 2], 0.5))]:
        check_family(block)


def test_it_is_written_and_read_as_toml(Counts):
    spec = mx.Mixture(Counts("goals", rate=mx.GammaPrior(2)) * mx.Gaussian("height"), 2)
    text = spec.to_toml()
    assert 'family = "Counts"\ncolumns = ["goals"]\nrate = {prior = "GammaPrior", shape = 2.0}\n' in text
    assert mx.Mixture.from_toml(text) == spec
    with pytest.raises(mx.SpecError, match=r"^component\.blocks\[0\]\.rte: unknown key\. Did you mean 'rate'\?"):
        mx.Mixture.from_toml(text.replace("rate", "rte", 1))


def test_it_is_described_and_in_the_json_schema_while_a_broken_one_is_left_out(Counts):
    found = mx.json_schema()["$defs"]
    assert set(found["family-Counts"]["properties"]) == {"family", "columns", "name", "rate"}
    assert "family-Broken" not in found
    assert "x_i ~ Counts(rate_k)" in mx.Mixture(Counts("goals", "cards"), 2).describe()


def test_it_prints_compares_and_refuses_like_ours(Counts, data):
    assert repr(Counts("a", rate=3)) == "Counts('a', rate=3.0)"
    assert Counts("a", rate=[2]) == Counts("a", rate=2.0)
    with pytest.raises(mx.SpecError, match="rate must be greater than 0"):
        Counts("a", rate=-1)
    data.loc[3, "goals"] = 1.5
    with pytest.raises(
        mx.DataError, match=r"Column 'goals', row 3: found 1\.5, but Counts takes counts 0, 1, 2, \.\.\."
    ):
        mx.fit(mx.Mixture(Counts("goals", "cards"), 2), data)


def test_em_finds_the_maximum_of_its_likelihood(Counts, data):
    fit = mx.fit(mx.Mixture(Counts("goals", "cards"), 2), data, rng=1, starts=10)
    assert fit.converged
    weights, rate = fit.parameters["weights"].to_numpy(), fit.parameters["rate"].to_numpy()
    assert fit.parameters["rate"].dims == ("component", "counts_column")
    assert fit.log_likelihood == pytest.approx(log_likelihood(data, weights, rate), rel=1e-12)
    np.testing.assert_allclose(weights, TRUTH["weights"], atol=0.08)
    np.testing.assert_allclose(rate, TRUTH["rate"], rtol=0.1)

    def objective(v):
        w = 1 / (1 + np.exp(-v[0]))
        return -log_likelihood(data, [w, 1 - w], np.exp(v[1:]).reshape(2, 2))

    start = np.r_[np.log(weights[0] / weights[1]), np.log(rate).ravel()] + 0.05
    assert -minimize(objective, start, method="BFGS", options={"gtol": 1e-3}).fun <= fit.log_likelihood + 1e-8


def test_map_finds_the_mode_of_its_posterior(Counts, data):
    spec = mx.Mixture(Counts("goals", "cards", rate=mx.GammaPrior(20, 4)), 2, weights=mx.Dirichlet(3))
    fit = mx.fit(spec, data, rng=1, starts=10, estimate="map")
    assert fit.converged

    def log_posterior(weights, rate):
        prior = stats.gamma(20, scale=1 / 4).logpdf(rate).sum() + stats.dirichlet([3, 3]).logpdf(weights)
        return log_likelihood(data, weights, rate) + float(prior)

    weights, rate = fit.parameters["weights"].to_numpy(), fit.parameters["rate"].to_numpy()
    best = log_posterior(weights, rate)
    assert fit.log_posterior == pytest.approx(best, rel=1e-12)
    for name, step in (("weights", 1e-3), ("rate", 1e-2)):
        for index in np.ndindex(*fit.parameters[name].shape):
            for sign in (1.0, -1.0):
                w, r = weights.copy(), rate.copy()
                (w if name == "weights" else r)[index] += sign * step
                assert log_posterior(w / w.sum(), r) < best


def test_the_em_program_runs_step_by_step(Counts, data):
    em = mx.compile_em(mx.Mixture(Counts("goals", "cards"), 2), data)
    p = em.start(rng=2)
    for _ in range(100):
        before, p = em.log_likelihood(p), em.step(p)
        assert em.log_likelihood(p) >= before - 1e-9
    fit = mx.fit(mx.Mixture(Counts("goals", "cards"), 2), data, rng=1, starts=10)
    np.testing.assert_allclose(p["rate"], fit.parameters["rate"], rtol=1e-4)


def test_a_component_of_zeros_alone_has_rate_0(Counts):
    x = {"goals": [0] * 30 + [7, 8, 9, 6, 7, 8] * 5}
    fit = mx.fit(mx.Mixture(Counts("goals"), 2), x, rng=1, starts=5)
    assert fit.status is mx.Status.BOUNDARY
    assert fit.parameters["rate"].to_numpy()[0, 0] == 0.0


def test_it_is_sampled_and_cross_checked(Counts, data):
    found = mx.cross_check(mx.Mixture(Counts("goals", "cards"), 2), data, rng=1, draws=700, tune=500)
    assert found.verdict.word == "agree", found.summary()
    assert found["density identity"].numbers["rows, NumPy"] <= 1e-8
    assert "rate[1, goals]" in found.table.index
    assert found.plot().axes


def test_the_command_line_takes_it_by_name_and_from_toml(Counts, data, tmp_path, capsys):
    from mixtures.cli import run

    table, model = tmp_path / "matches.csv", tmp_path / "model.toml"
    data.to_csv(table, index=False)
    model.write_text(mx.Mixture(Counts("goals", "cards"), 2).to_toml())
    assert run(["fit", str(table), "--columns", "goals,cards", "--family", "Counts", "--k", "2", "--seed", "1"]) == 0
    by_name = capsys.readouterr().out
    assert run(["fit", str(table), "--spec", str(model), "--seed", "1"]) == 0
    assert by_name == capsys.readouterr().out
    assert "rate[goals]" in by_name
