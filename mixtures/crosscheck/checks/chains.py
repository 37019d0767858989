"""Can the draws be believed, and was relabelling unambiguous?"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bayes import stack
from ..diagnostics import ess_bulk, rhat_rank
from ..evidence import Evidence
from ..outcome import Check, CheckStatus

__all__ = ["labels", "sampler"]

RHAT, ESS, DIVERGENT = 1.01, 400.0, 0.01
AMBIGUOUS_MARGIN, AMBIGUOUS_SHARE = 0.02, 0.05


def sampler(evidence: Evidence) -> Check:
    """Rank R-hat and bulk ESS of label-invariant quantities, and divergences.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter & Buerkner (2021), Bayesian Analysis 16, 667-718.
    """
    question = "can the draws be believed?"
    if evidence.draws is None:
        return Check("sampler", question, CheckStatus.NOT_APPLICABLE, sentence="There are no draws.")
    quantities = _invariant(evidence)
    rhat = {name: rhat_rank(value) for name, value in quantities.items()}
    ess = {name: ess_bulk(value) for name, value in quantities.items()}
    worst, least = max(rhat, key=lambda name: _high(rhat[name])), min(ess, key=lambda name: ess[name])
    divergent = _divergent_share(evidence)
    numbers = {"largest R-hat": rhat[worst], "of": worst, "smallest bulk ESS": ess[least], "divergent": divergent}
    problems = []
    if not rhat[worst] <= RHAT:
        problems.append(f"R-hat of {worst} is {rhat[worst]:.3f}")
    if not ess[least] >= ESS:
        problems.append(f"bulk ESS of {least} is {ess[least]:.0f}")
    if divergent > DIVERGENT:
        problems.append(f"{100 * divergent:.1f} % of the draws diverged")
    if problems:
        step = "more draws and chains (draws=4000, chains=8)"
        if divergent > DIVERGENT:
            step = "smaller steps (target_accept=0.99)" + (f", and {step}" if len(problems) > 1 else "")
        elif divergent > 0:
            step += ", and smaller steps (target_accept=0.99) because some draws diverged"
        return Check("sampler", question, CheckStatus.FAIL, numbers, f"{', '.join(problems)}.", step)
    sentence = (
        f"R-hat at most {rhat[worst]:.3f}, bulk ESS at least {ess[least]:.0f}, {100 * divergent:.1f} % divergent."
    )
    return Check("sampler", question, CheckStatus.PASS, numbers, sentence)


def _high(value: float) -> float:
    return value if np.isfinite(value) else np.inf


def _invariant(evidence: Evidence) -> dict[str, np.ndarray]:
    """Label-invariant quantities (chains, draws): log-likelihood, entropy of the weights, and weighted means of the scalars."""
    assert evidence.draws is not None
    draws = evidence.draws
    found = {"log-likelihood": evidence.draw_log_likelihood.reshape(draws.shape)}
    weights = draws.values["weights"]
    if evidence.resolved.fixed_weights is None and evidence.resolved.n_components > 1:
        found["weights (sum of squares)"] = (weights**2).sum(axis=-1)
    for group in evidence.resolved.groups:
        own = weights[..., list(group.components)]
        for parameter in group.family.parameters:
            public = group.names[parameter.name]
            value = draws.values[public]
            for entry in parameter.domain.entries(parameter.shape(len(group.columns))):
                if not group.layout[parameter.name].free[_of_all(entry)].any():
                    continue
                index: Any = (..., slice(None), *entry)
                place = ", ".join(parameter.place(group.family.columns, entry))
                found[f"weighted mean of {public}[{place}]"] = (own * value[index]).sum(axis=-1)
    return found


def _of_all(entry: tuple[int, ...]) -> Any:
    return (slice(None), *entry)


def _divergent_share(evidence: Evidence) -> float:
    assert evidence.draws is not None
    container = evidence.draws.container
    if not stack.has_group(container, "sample_stats"):
        return 0.0
    stats = stack.group(container, "sample_stats")
    return float(np.mean(stats["diverging"].values)) if "diverging" in stats else 0.0


def labels(evidence: Evidence) -> Check:
    """The margin between best and second-best assignment of components to the EM pivot, per draw."""
    question = "was relabelling unambiguous?"
    movable = any(len(members) > 1 for members in evidence.resolved.exchangeable)
    if evidence.draws is None or not movable or not stack.has_group(evidence.draws.container, "relabelling"):
        reason = "Nothing is exchangeable." if not movable else "The draws carry no relabelling."
        return Check("labels", question, CheckStatus.NOT_APPLICABLE, sentence=reason)
    confidence = stack.group(evidence.draws.container, "relabelling")["confidence"].values
    ambiguous = float(np.mean(confidence < AMBIGUOUS_MARGIN))
    numbers = {"median margin": float(np.median(confidence)), "ambiguous share": ambiguous}
    status = CheckStatus.PASS if ambiguous <= AMBIGUOUS_SHARE else CheckStatus.WARN
    sentence = f"Median margin {np.median(confidence):.2f}; {100 * ambiguous:.1f} % of the draws are ambiguous."
    step = (
        ""
        if status is CheckStatus.PASS
        else "label-invariant summaries (densities, allocations), or an informative prior that tells components apart"
    )
    return Check("labels", question, status, numbers, sentence, step)
