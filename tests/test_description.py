"""A specification says in words and in LaTeX which model it is and which EM steps it leads to."""

import re

import pytest
from hypothesis import given, settings
from matplotlib.mathtext import MathTextParser
from random_specs import specifications

import mixtures as mx
from mixtures import Beta, Dirichlet, Family, Gamma, GammaPrior, Gaussian, NormalInverseWishart, Shared, families
from mixtures.domains import Known, Parameter
from mixtures.testing import variants

FAMILIES = [
    found
    for found in (getattr(families, name) for name in families.__all__)
    if issubclass(found, Family) and found is not Family
]

TIED = """\
Mixture of 3 components for 2 columns: 'x', 'y'.

Likelihood
  p(x_i) = sum_k w_k f_k(x_i), k = 0 to 2
  components 0 to 2, columns 'x', 'y':
    x_i ~ Normal(mean_k, covariance)
    covariance is one value for components 0 to 2, over which l runs.

Priors
  w ~ Dirichlet(alpha = 2)
  (mean_k, covariance) ~ NormalInverseWishart(kappa = 0.01, the rest from the data), components 0 to 2
  Terms of the M-step with a prior's numbers count for estimate='map'; maximum likelihood leaves them out.

E-step
  r_ik = w_k f_k(x_i) / sum_l w_l f_l(x_i)
  Where cells are missing, f_k is the density of the observed ones; sums take their expectations given those.

M-step
  w_k = (sum_i r_ik + alpha_k - 1) / (n + sum_l alpha_l - 3)
  mean_k = (sum_i r_ik x_i + kappa m) / (sum_i r_ik + kappa)
  covariance = (sum_l sum_i r_il (x_i - mean_l)(x_i - mean_l)' + sum_l kappa (mean_l - m)(mean_l - m)' + Lambda) \
/ (sum_l sum_i r_il + nu + 6)"""

NULL = """\
Mixture of 2 components for 1 column: 'z'.

Likelihood
  p(x_i) = sum_k w_k f_k(x_i), k = 0 to 1
  w = (0.9, 0.1) (fixed)
  component 0, column 'z':
    x_i ~ Normal(mean_k, covariance_k)
    mean_k = 0 (fixed)
    covariance_k = 1 (fixed)
  component 1, column 'z':
    x_i ~ Normal(mean_k, covariance_k)

Priors
  No prior is named for mean and covariance: estimate='map' and sampling take the default, in numbers in \
spec.resolve(data).describe().

E-step
  r_ik = w_k f_k(x_i) / sum_l w_l f_l(x_i)
  Where cells are missing, f_k is the density of the observed ones; sums take their expectations given those.

M-step
  component 1, column 'z':
    mean_k = (sum_i r_ik x_i) / (sum_i r_ik)
    covariance_k = (sum_i r_ik (x_i - mean_k)(x_i - mean_k)') / (sum_i r_ik)"""

PRODUCT = """\
Mixture of 2 components for 4 columns: 'a', 'b', 'goals', 'wait'.

Likelihood
  p(x_i) = sum_k f_k(x_i) / 2, k = 0 to 1
  f_k is the product of the densities of its blocks, which are independent given the component.
  components 0 and 1, columns 'a', 'b':
    x_ij ~ Bernoulli(probability_kj), columns independent
  components 0 and 1, column 'goals':
    x_i ~ Poisson(goals_rate)
    goals_rate is one value for components 0 and 1, over which l runs.
  components 0 and 1, column 'wait':
    x_i ~ Gamma(shape_k, gamma_rate_k)
    gamma_rate_k = 0.5 (fixed)

Priors
  probability_kj ~ Beta(alpha = 2, beta = (1, 3)), components 0 and 1
  shape_k ~ GammaPrior(a = 2, b = 0.25), components 0 and 1
  Terms of the M-step with a prior's numbers count for estimate='map'; maximum likelihood leaves them out.
  No prior is named for goals_rate: estimate='map' and sampling take the default, in numbers in \
spec.resolve(data).describe().

E-step
  r_ik = f_k(x_i) / sum_l f_l(x_i)
  Where cells are missing, f_k is the density of the observed ones; sums leave them out.

M-step
  probability_kj = (sum_i r_ik x_ij + alpha - 1) / (sum_i r_ik + alpha + beta - 2)
  goals_rate = (sum_l sum_i r_il x_i) / (sum_l sum_i r_il)
  shape_k solves sum_i r_ik (log gamma_rate_k - digamma(shape_k) + log x_i) + (a - 1) / shape_k - b = 0"""

HETEROGENEOUS = """\
Mixture of 3 components for 1 column: 't'.

Likelihood
  p(x_i) = sum_k w_k f_k(x_i), k = 0 to 2
  components 0 and 1, column 't':
    x_i ~ Gamma(shape, rate_k)
    shape is one value for components 0 and 1, over which l runs.
  component 2, column 't':
    x_i ~ Uniform(low_k, high_k)
    low_k = 0 (fixed)
    high_k = 9 (fixed)

Priors
  No prior is named for weights, shape and rate: estimate='map' and sampling take the default, in numbers in \
spec.resolve(data).describe().

E-step
  r_ik = w_k f_k(x_i) / sum_l w_l f_l(x_i)
  Where cells are missing, f_k is the density of the observed ones; sums leave them out.

M-step
  w_k = sum_i r_ik / n
  components 0 and 1, column 't':
    shape solves sum_l sum_i r_il (log rate_l - digamma(shape) + log x_i) = 0, together with rate
    rate_k = (sum_i r_ik shape) / (sum_i r_ik x_i)"""

CASES = {
    "tied with priors": (
        mx.Mixture(
            Gaussian("x", "y", covariance=Shared(), prior=NormalInverseWishart(kappa=0.01)), 3, weights=Dirichlet(2)
        ),
        TIED,
    ),
    "known null": (mx.Mixture([Gaussian("z", mean=0, covariance=1), Gaussian("z")], weights=[0.9, 0.1]), NULL),
    "product": (
        mx.Mixture(
            mx.Bernoulli("a", "b", probability=Beta(2, [1, 3]))
            * mx.Poisson("goals", rate=Shared(), name="goals")
            * Gamma("wait", shape=GammaPrior(2, 0.25), rate=0.5),
            2,
            weights="equal",
        ),
        PRODUCT,
    ),
    "heterogeneous": (
        mx.Mixture([Gamma("t", shape=Shared(group="s"))] * 2 + [mx.Uniform("t", low=0, high=9)]),
        HETEROGENEOUS,
    ),
}


@pytest.mark.parametrize(("spec", "expected"), CASES.values(), ids=CASES)
def test_the_text_is_what_a_person_would_write(spec, expected):
    assert spec.describe() == expected


def equation(spec, start):
    (found,) = [line.strip() for line in spec.describe().splitlines() if line.strip().startswith(start + " = ")]
    return found


@pytest.mark.parametrize(
    ("structure", "tied", "divisor"),
    [
        ("full", False, "sum_i r_ik + nu + 4"),
        ("full", True, "sum_l sum_i r_il + nu + 6"),
        ("diagonal", False, "sum_i r_ik + nu + 3"),
        ("diagonal", True, "sum_l sum_i r_il + nu + 5"),
        ("spherical", False, "2 sum_i r_ik + nu + 4"),
        ("spherical", True, "2 sum_l sum_i r_il + nu + 8"),
    ],
)
def test_divisors_of_covariances_are_those_of_the_design_table(structure, tied, divisor):
    """Section 4 of the design, two columns and three components; tests/laws check the same table in numbers."""
    block = Gaussian(
        "x", "y", structure=structure, covariance=Shared() if tied else None, prior=NormalInverseWishart(kappa=1)
    )
    found = equation(mx.Mixture(block, 3), "covariance" if tied else "covariance_k")
    assert found.endswith(f" / ({divisor})")


def test_a_fixed_mean_drops_the_kappa_term_and_its_share_of_the_divisor():
    block = Gaussian("x", "y", mean=[0, 1], prior=NormalInverseWishart(kappa=1))
    assert equation(mx.Mixture(block, 2), "covariance_k") == (
        "covariance_k = (sum_i r_ik (x_i - mean_k)(x_i - mean_k)' + Lambda) / (sum_i r_ik + nu + 3)"
    )


def test_what_has_no_closed_form_is_said_to_be_maximised():
    found = mx.Mixture(Gaussian("x", mean=Shared()), 2).describe()
    assert "mean maximises sum_l sum_i r_il log f_l(x_i)" in found


def test_a_parameter_fixed_in_part_is_estimated_in_part():
    found = mx.Mixture(Gaussian("x", "y", mean=[0, mx.Free()]), 2).describe()
    assert "mean_k = (0, free) (free entries are estimated)" in found
    assert "mean_k maximises sum_i r_ik log f_k(x_i)" in found


def test_a_resolved_specification_shows_its_default_priors_in_numbers():
    spec = mx.Mixture(mx.Exponential("a"), 1).resolve({"a": [1.0, 2.0, 6.0]})
    assert "rate_k ~ GammaPrior(a = 1, b = 3), component 0" in spec.describe()
    assert "No prior is named" not in spec.describe()


def test_a_family_without_formulas_of_its_own_has_general_ones():
    class Counts(mx.Poisson):
        pass

    class Plain(Family):
        parameters = (*mx.Poisson.parameters, Parameter("edge", Known()))

    own, plain = (mx.Mixture(kind("a", "b"), 2).describe() for kind in (Counts, Plain))
    assert "x_ij ~ Poisson(rate_kj), columns independent" in own
    assert "x_i ~ Plain(rate_k, edge_k)" in plain
    assert plain.endswith("w_k = sum_i r_ik / n\n  rate_k maximises sum_i r_ik log f_k(x_i)")


def test_when_nothing_is_free_it_says_so():
    spec = mx.Mixture(mx.Poisson("a", rate=2), 2, weights="equal")
    assert spec.describe().endswith("M-step\n  Nothing is left to estimate.")


# --- LaTeX ---

PARSER = MathTextParser("path")


def formulas_of(text):
    return re.findall(r"^\\\[ (.*) \\\]$", text, flags=re.MULTILINE)


def compiles(spec):
    found = formulas_of(spec.describe("latex"))
    assert len(found) >= 2
    for formula in found:
        PARSER.parse(f"${formula}$")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_latex_of_every_family_compiles(family):
    for block in variants(family):
        compiles(mx.Mixture(block, 2))
        compiles(mx.Mixture([block, block.replace(name="other")], weights=Dirichlet([1, 2])))


@pytest.mark.parametrize(("spec", "_"), CASES.values(), ids=CASES)
def test_latex_of_the_examples_compiles(spec, _):
    compiles(spec)


@settings(max_examples=25, deadline=None)
@given(spec=specifications())
def test_any_specification_can_be_described(spec):
    assert spec.describe().startswith("Mixture of ")
    compiles(spec)


@pytest.mark.parametrize(
    ("code", "form", "how"),
    [
        (
            "VEI",
            "volume_k shape (structure VEI, along the columns)",
            "an inner loop finds the shape by Newton's method",
        ),
        ("EVI", "volume shape_k (structure EVI, along the columns)", "in closed form"),
        ("VEE", "volume_k axes shape axes' (structure VEE)", "an inner loop finds the common matrix by fixed points"),
        ("EVE", "volume axes shape_k axes' (structure EVE)", "an inner loop turns the axes, two at a time"),
        ("VVE", "volume_k axes shape_k axes' (structure VVE)", "an inner loop turns the axes, two at a time"),
        ("EEV", "volume axes_k shape axes_k' (structure EEV)", "in closed form"),
        ("VEV", "volume_k axes_k shape axes_k' (structure VEV)", "an inner loop finds the shape by Newton's method"),
        ("EVV", "volume axes_k shape_k axes_k' (structure EVV)", "in closed form"),
    ],
)
def test_structures_without_a_word_say_what_is_equal_and_how_it_is_found(code, form, how):
    spec = mx.Mixture(Gaussian("x", "y", structure=code, prior=NormalInverseWishart(kappa=1)), 2)
    line = next(line for line in spec.describe().splitlines() if "minimise" in line)
    assert line.startswith(
        f"  covariance_k = {form} minimise sum_k N_k log det covariance_k + trace(W_k covariance_k^-1)"
    )
    assert "N_k = sum_i r_ik + nu + 4 and W_k = sum_i r_ik (x_i - mean_k)(x_i - mean_k)' + kappa" in line
    assert line.endswith(how)
    compiles(spec)


def test_labels_say_what_they_do_to_a_row():
    one = mx.Mixture(Gaussian("x") * mx.Labels("known"), 2)
    assert "f_k(x_i) = 1 where x_i is label_k or missing, else 0" in one.describe()
    assert "components 0 and 1, column 'x':" not in one.describe().split("M-step")[1]
    several = mx.Mixture(Gaussian("x") * mx.Labels("p", "q"), 2)
    assert "f_k(x_i) = x_ij / max_l x_il with j = label_k, 1 where x_i is missing" in several.describe()
    noise = mx.Mixture([Gaussian("x") * mx.Labels("known"), Gaussian("x") * mx.Labels("known", label=-1)])
    assert "f_k(x_i) = 1 where x_i is missing, else 0" in noise.describe()
    for spec in (one, several, noise):
        compiles(spec)


def test_latex_as_a_whole():
    assert mx.Mixture(mx.Poisson("goal_s", rate=GammaPrior(2, 3)), 2).describe("latex") == (
        r"""Mixture of 2 components for 1 column: 'goal\_s'.

\paragraph{Likelihood}
\[ p(x_i) = \sum_{k=0}^{1} w_k f_k(x_i) \]
components 0 and 1, column 'goal\_s':
\[ f_k(x_i) = \frac{\lambda_{k}^{x_{i}} e^{-\lambda_{k}}}{x_{i}!} \]

\paragraph{Priors}
\[ \lambda_{k} \sim \mathrm{GammaPrior}(a = 2, b = 3) \]
Terms of the M-step with a prior's numbers count for estimate='map'; maximum likelihood leaves them out.
No prior is named for weights: estimate='map' and sampling take the default, in numbers in spec.resolve(data).describe().

\paragraph{E-step}
\[ r_{ik} = \frac{w_k f_k(x_i)}{\sum_l w_l f_l(x_i)} \]
Where cells are missing, f\_k is the density of the observed ones; sums leave them out.

\paragraph{M-step}
\[ w_k = \frac{1}{n} \sum_i r_{ik} \]
\[ \lambda_{k} = \frac{\sum_i r_{ik} \, x_{i} + a - 1}{\sum_i r_{ik} + b} \]"""
    )


def test_another_format_is_refused():
    with pytest.raises(mx.SpecError, match=r"unknown format\. Did you mean 'latex'\? Legal are text, latex"):
        mx.Mixture(Gaussian("x"), 2).describe("latx")


def test_a_notebook_shows_the_call_and_the_description():
    found = mx.Mixture(Gaussian("a<b"), 2)._repr_html_()
    assert found.startswith("<pre")
    assert "Mixture(Gaussian(&#x27;a&lt;b&#x27;), n_components=2)" in found
    assert "r_ik = w_k f_k(x_i)" in found
