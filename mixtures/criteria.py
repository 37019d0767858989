"""Counting free parameters."""

from __future__ import annotations

from .spec import Mixture

__all__ = ["count_parameters"]


def count_parameters(spec: Mixture) -> int:
    """Number of free parameters of a specification: K - 1 weights unless they are fixed, and every free coordinate counted once if shared.

    Examples
    --------
    >>> import mixtures as mx
    >>> count_parameters(mx.Mixture(mx.Gaussian("x", "y"), n_components=2))
    11
    """
    total = 0 if spec.fixed_weights is not None else spec.n_components - 1
    for group in spec.groups:
        for parameter in group.family.parameters:
            layout = group.layout[parameter.name]
            shape = parameter.shape(len(group.columns))
            domain = parameter.domain
            entries = domain.entries(shape)
            together = domain.n_free(int(layout.owners.sum()), shape)
            if together is not None:
                total += together
                continue
            coupled = len(entries) - domain.unconstrain(domain.neutral(shape)[None]).shape[1]
            for j in range(len(group.components)):
                if layout.owners[j]:
                    total += sum(bool(layout.free[(j, *entry)]) for entry in entries) - coupled
    return total
