"""Each law catches the mistake it is there for: families with one fault, and the law that names it."""

from dataclasses import replace

import numpy as np
import pytest

from mixtures import Bernoulli, Beta, Gaussian, SpecError
from mixtures.testing import LAWS, Case, check_family

NO_TEXT = ["text_form_round_trips"]  # the faulty families are announced by no package


class WrongConstant(Gaussian):
    def log_density(self, x, theta):
        return super().log_density(x, theta) + 0.5 * np.log(2.0 * np.pi)


class WeightAdded(Bernoulli):
    """A published slip: p is added where log p is meant."""

    def log_density(self, x, theta):
        p = theta["probability"]
        return x @ p.T + (1.0 - x) @ np.log1p(-p).T


class WrongScoreSign(Gaussian):
    def score(self, S, theta):
        return {name: -value for name, value in super().score(S, theta).items()}


class ScoreForgetsTheMass(Gaussian):
    def score(self, S, theta):
        found = super().score(S, theta)
        whole = super().score({**S, "mass": np.zeros_like(S["mass"])}, theta)
        return {"mean": found["mean"], "covariance": whole["covariance"]}


class MissingIsTheMean(Gaussian):
    """Single imputation: missing cells are put in, their variance is forgotten."""

    def completed(self, S, theta, columns):
        whole = super().completed(S, theta, columns)
        return {**whole, "second": super().completed({**S, "mass": 0.0 * S["mass"]}, theta, columns)["second"]}


class MeansForSums(Bernoulli):
    """Statistics divided by the number of rows: right for all rows, wrong for blocks of them."""

    def statistics(self, x, R, theta):
        return {name: value / len(x) for name, value in super().statistics(x, R, theta).items()} | {
            "mass": R.sum(axis=0)
        }


class CountsRows(Bernoulli):
    def statistics(self, x, R, theta):
        S = super().statistics(x, R, theta)
        return {**S, "zeros": (R > 0).astype(float).T @ (1.0 - x)}


class DividesByOneLess(Gaussian):
    """The unbiased variance is not the likelihood's fixed point."""

    def maximise(self, S, theta, layout, prior):
        found = super().maximise(S, theta, layout, prior)
        n = S["mass"][:, None, None]
        return {**found, "covariance": found["covariance"] * n / (n - 1.0)}


class IgnoresThePrior(Bernoulli):
    def maximise(self, S, theta, layout, prior):
        return super().maximise(S, theta, layout, None)


class OverstepsTheMode(Gaussian):
    def maximise(self, S, theta, layout, prior):
        found = super().maximise(S, theta, layout, prior)
        return {**found, "mean": theta["mean"] + 3.0 * (found["mean"] - theta["mean"])}


class EmptyIsNaN(Bernoulli):
    def maximise(self, S, theta, layout, prior):
        found = super().maximise(S, theta, layout, prior)
        return {name: np.where(S["mass"][:, None] > 0, value, np.nan) for name, value in found.items()}


class ForgetsSharing(Gaussian):
    def maximise(self, S, theta, layout, prior):
        alone = {name: replace(one, groups=np.arange(len(one.groups))) for name, one in layout.items()}
        return super().maximise(S, theta, alone, prior)


class DrawsSdForVariance(Gaussian):
    def draw(self, z, theta, rng):
        return super().draw(z, {**theta, "covariance": theta["covariance"] @ theta["covariance"]}, rng)


class DrawsUniform(Gaussian):
    """The right mean and variance from the wrong distribution."""

    def draw(self, z, theta, rng):
        sd = np.sqrt(np.diagonal(theta["covariance"], axis1=1, axis2=2))[z]
        return theta["mean"][z] + sd * np.sqrt(12.0) * (rng.random(sd.shape) - 0.5)


class DrawsOneComponent(Gaussian):
    def draw(self, z, theta, rng):
        return super().draw(np.zeros_like(z), theta, rng)


class DrawsBooleans(Bernoulli):
    def draw(self, z, theta, rng):
        return super().draw(z, theta, rng) > 0


class Unannounced(Bernoulli):
    """Sound, but no package says where it is to be found."""


class ClaimsToBeSeparable(Gaussian):
    separable = True


class ForgetsTheScale(Gaussian):
    """Centres the columns but leaves the prior's floor in fixed units."""

    def maximise(self, S, theta, layout, prior):
        found = super().maximise(S, theta, layout, prior)
        return {**found, "covariance": found["covariance"] + 1e-3 * np.eye(found["covariance"].shape[-1])}

    def standardise(self, x, v):
        return x.mean(axis=0), np.ones(x.shape[1])


class AllowsEverything(Bernoulli):
    def allowed(self, x):
        return np.ones(x.shape, dtype=bool)


class SilentCheck(Bernoulli):
    def check(self, x, row_name="row {}".format):
        return None


class VagueCheck(Bernoulli):
    def check(self, x, row_name="row {}".format):
        super().check(x, lambda row: "some row")


class BareError(Gaussian):
    def resolve(self, x, v, partition):
        if len(np.unique(x, axis=0)) < 3:
            raise np.linalg.LinAlgError("Singular matrix")
        return super().resolve(x, v, partition)


class WrongMoments(Gaussian):
    def moments(self, theta):
        return theta["mean"], np.sqrt(np.abs(theta["covariance"]))


class WrongMarginal(Gaussian):
    def marginal(self, theta, columns):
        return {name: value[:, ::-1] for name, value in super().marginal(theta, columns).items()}


class KernelsOfAnother(Gaussian):
    def kernel(self, rows, count):
        return Gaussian(*self.columns, structure="diagonal").kernel(rows, count)


class MissingIsNo(Bernoulli):
    """A missing answer counted as a no."""

    def e_step(self, x, theta):
        return super().e_step(np.nan_to_num(x), theta)

    def statistics(self, x, R, theta):
        return super().statistics(np.nan_to_num(x), R, theta)


class Transposed(Bernoulli):
    def log_density(self, x, theta):
        return super().log_density(x, theta).T


CASES = [
    (WrongConstant("a"), "density_agrees_with_pymc"),
    (WeightAdded("a"), "density_agrees_with_pymc"),
    (WrongScoreSign("a", "b"), "score_is_the_slope_of_the_density"),
    (ScoreForgetsTheMass("a", "b"), "score_is_the_slope_of_the_density"),
    (MeansForSums("a"), "statistics_add_over_rows"),
    (CountsRows("a"), "weights_count_rows"),
    (DividesByOneLess("a", "b"), "m_step_is_stationary"),
    (IgnoresThePrior("a", probability=Beta(3, 2)), "prior_and_data_take_turns"),
    (IgnoresThePrior("a", probability=Beta(3, 2)), "m_step_is_stationary"),
    (OverstepsTheMode("a", "b"), "m_step_never_lowers_the_objective"),
    (EmptyIsNaN("a"), "m_step_leaves_an_empty_component_legal"),
    (ForgetsSharing("a", "b", structure="EEE"), "m_step_keeps_what_is_fixed_and_shared"),
    (DrawsSdForVariance("a", "b"), "draws_follow_the_density"),
    (DrawsUniform("a"), "draws_follow_the_density"),
    (DrawsOneComponent("a"), "draws_follow_the_density"),
    (DrawsBooleans("a"), "draws_are_legal_rows"),
    (Unannounced("a"), "text_form_round_trips"),
    (ClaimsToBeSeparable("a", "b"), "separable_density_is_a_product"),
    (ForgetsTheScale("a"), "units_do_not_matter"),
    (AllowsEverything("a"), "bad_cells_are_named"),
    (SilentCheck("a"), "bad_cells_are_named"),
    (VagueCheck("a"), "bad_cells_are_named"),
    (BareError("a", "b"), "degenerate_rows_are_fitted_or_refused_by_name"),
    (KernelsOfAnother("a", "b"), "compiled_passes_give_the_same_numbers"),
    (MissingIsNo("a", "b"), "missing_cells_add_nothing"),
    (MissingIsTheMean("a", "b"), "missing_cells_are_integrated_out"),
    (WrongMoments("a", "b"), "moments_are_those_of_the_draws"),
    (WrongMarginal("a", "b"), "marginal_describes_some_of_the_columns"),
    (Transposed("a", "b"), "arrays_have_the_declared_shapes"),
]


@pytest.mark.parametrize(("block", "name"), CASES, ids=str)
def test_the_law_catches_the_faulty_family(block, name):
    law = next(law for law in LAWS if law.__name__ == name)
    with pytest.raises(Exception) as caught:
        law(Case.of(block, seed=11))
    assert isinstance(caught.value, AssertionError | SpecError | np.linalg.LinAlgError)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_every_law_has_a_family_that_breaks_it(law):
    assert law.__name__ in {name for _, name in CASES}


FAULTY = [block for block, name in CASES if name not in NO_TEXT]


@pytest.mark.parametrize("block", FAULTY, ids=lambda block: type(block).__name__)
def test_no_faulty_family_passes_and_the_report_names_a_law(block):
    laws = "|".join(law.__name__ for law in LAWS)
    with pytest.raises(AssertionError, match=f"{type(block).__name__}.* breaks the law ({laws}): "):
        check_family(block, skip=NO_TEXT)


def test_a_sound_family_passes_with_any_seed():
    for seed in range(3):
        check_family(Bernoulli("a", "b"), rng=seed)


def test_a_misspelt_law_to_skip_is_refused_with_the_nearest_name():
    with pytest.raises(SpecError, match="Did you mean 'text_form_round_trips'"):
        check_family(Bernoulli("a"), skip=["text_form_round_trip"])
