"""What a check says, and the verdict over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["Check", "CheckStatus", "Verdict", "decide"]


class CheckStatus(Enum):
    """How a check ended."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Check:
    """One check: its name, the question it answers, its numbers, how it ended, a sentence, and what to run next."""

    name: str
    question: str
    status: CheckStatus
    numbers: Mapping[str, Any] = field(default_factory=dict)
    sentence: str = ""
    next_step: str = ""


@dataclass(frozen=True)
class Verdict:
    """ "agree", "differ", "not identified" or "inconclusive", the sentence that says why, and the checks that decided."""

    word: str
    sentence: str
    deciding: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.word


_DIFFER = ("prior pull", "density identity", "stationarity", "dominance", "modes", "location", "scale")
"""Checks whose failure means that the two programs differ; the first that failed gives the reason."""


def decide(checks: Sequence[Check]) -> Verdict:
    """The verdict rule: sampler, then identification, then differences, else agreement.

    Examples
    --------
    >>> decide([Check("sampler", "?", CheckStatus.FAIL, sentence="R-hat is 1.5.")]).word
    'inconclusive'
    """
    failed = {check.name: check for check in checks if check.status is CheckStatus.FAIL}
    if "identifiability" in failed and failed["identifiability"].numbers.get("proven"):
        return _because("not identified", "The parameters are not identified", [failed["identifiability"]])
    if "interruption" in failed:
        return _because("inconclusive", "The comparison was cut off", [failed["interruption"]])
    if "sampler" in failed:
        return _because("inconclusive", "The draws cannot be believed yet", [failed["sampler"]])
    unidentified = [failed[name] for name in ("identifiability", "curvature") if name in failed]
    if unidentified:
        return _because("not identified", "The parameters are not identified", unidentified)
    differing = [failed[name] for name in _DIFFER if name in failed]
    if differing:
        return _because("differ", "EM and the posterior differ", differing)
    warned = [check for check in checks if check.status is CheckStatus.WARN]
    pulled = [check for check in warned if check.name == "prior pull"]
    sentence = "EM and the posterior agree."
    if pulled:
        sentence += f" {pulled[0].sentence}"
    elif warned:
        sentence += f" Worth a look: {', '.join(check.name for check in warned)}."
    return Verdict("agree", sentence)


def _because(word: str, lead: str, checks: Sequence[Check]) -> Verdict:
    first = checks[0]
    others = f" Also failed: {', '.join(check.name for check in checks[1:])}." if len(checks) > 1 else ""
    step = f" Next: {first.next_step}" if first.next_step else ""
    return Verdict(word, f"{lead}: {first.sentence}{others}{step}", tuple(check.name for check in checks))
