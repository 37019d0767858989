"""Random specifications for hypothesis: everything that can be written down, not only what can be fitted."""

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from mixtures import (
    Bernoulli,
    Beta,
    Dirichlet,
    FraleyRaftery,
    Free,
    Gaussian,
    Mixture,
    NormalInverseWishart,
    Shared,
    SpecError,
)

numbers = st.floats(-1e6, 1e6, allow_subnormal=True)
positive = st.floats(1e-6, 1e6)
shares = st.floats(0.0, 1.0)
group_names = st.none() | st.text(min_size=1, max_size=5)


def parts(each, d):
    """A number for all columns, or one per column with some left free."""
    return each | st.lists(each | st.builds(Free), min_size=d, max_size=d)


def slots(inner):
    """Free, the inner slot, or shared."""
    return st.none() | inner | st.builds(Shared, st.none() | inner, group_names)


@st.composite
def covariances(draw, d, structure):
    """A fixed covariance of a structure."""
    if structure == "spherical" or d == 1:
        return draw(positive)
    diagonal = np.diag(draw(st.lists(st.floats(0.1, 10.0), min_size=d, max_size=d)))
    return diagonal + (0.05 * draw(shares) * (1 - np.eye(d)) if structure == "full" else 0.0)


@st.composite
def joint_priors(draw, d):
    """A Normal-inverse-Wishart prior with any of its numbers open, or Fraley and Raftery's."""
    if draw(st.booleans()):
        return FraleyRaftery(draw(positive))
    mean = st.none() | numbers | st.lists(numbers, min_size=d, max_size=d)
    nu = st.floats(d, 100.0)
    return NormalInverseWishart(
        draw(mean),
        draw(st.none() | positive),
        draw(st.none() | nu),
        draw(st.none() | covariances(d, "full").map(_matrix)),
    )


def _matrix(value):
    return np.atleast_2d(value)


@st.composite
def gaussian_slots(draw, d, structure):
    mean, covariance = draw(slots(parts(numbers, d))), draw(slots(covariances(d, structure)))
    something_free = mean is None or covariance is None
    prior = draw(st.none() | joint_priors(d)) if something_free else None
    return {"mean": mean, "covariance": covariance, "prior": prior}


@st.composite
def bernoulli_slots(draw, d):
    alpha = positive | st.lists(positive, min_size=d, max_size=d)
    return {"probability": draw(slots(parts(shares, d) | st.builds(Beta, alpha, alpha)))}


@st.composite
def specifications(draw, max_components=3):
    """Any specification of one to three blocks and components; the components are equal, or differ in their slots."""
    columns = draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6, unique=True))
    cuts = sorted(draw(st.sets(st.integers(1, 6), max_size=2)))
    pieces = [piece.tolist() for piece in np.split(np.array(columns, dtype=object), cuts) if len(piece)]
    kinds = draw(st.lists(st.sampled_from([Gaussian, Bernoulli]), min_size=len(pieces), max_size=len(pieces)))
    structure = draw(st.sampled_from(["full", "diagonal", "spherical"]))
    K = draw(st.integers(1, max_components))

    def component():
        blocks = []
        for i, (kind, piece) in enumerate(zip(kinds, pieces, strict=True)):
            name = f"block{i}" if len(pieces) > 1 else None
            if kind is Gaussian:
                arguments = draw(gaussian_slots(len(piece), structure)) | {"structure": structure}
            else:
                arguments = draw(bernoulli_slots(len(piece)))
            blocks.append(kind(*piece, name=name, **arguments))
        return blocks[0] if len(blocks) == 1 else _product(blocks)

    components = [component() for _ in range(K)] if draw(st.booleans()) else [component()] * K
    fixed = st.lists(positive, min_size=K, max_size=K).map(lambda w: np.array(w) / np.sum(w))
    prior = st.builds(Dirichlet, positive | st.lists(positive, min_size=K, max_size=K))
    weights = draw(st.none() | st.just("equal") | fixed | prior)
    try:
        return Mixture(components, weights=weights)
    except SpecError as error:
        assume("say different things" not in str(error))  # shared slots that contradict each other
        raise


def _product(blocks):
    found = blocks[0] * blocks[1]
    for block in blocks[2:]:
        found = found * block
    return found
