"""Files that a command writes, checked before the work begins, and results as JSON."""

from __future__ import annotations

import json
import math
import os
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SpecError

if TYPE_CHECKING:
    from ..crosscheck.check import CrossCheck
    from ..results import EMFit

__all__ = ["check_as_json", "check_writable", "fit_as_json", "save_check"]

PICTURES = (".png", ".pdf", ".svg")


def check_writable(save: Path | None = None, plot: Path | None = None, html: Path | None = None) -> None:
    """Refuse, before any work, files that could not be written after it.

    Raises
    ------
    SpecError
        Naming the option and the path.
    """
    for option, path in (("--save", save), ("--plot", plot), ("--html", html)):
        if path is None:
            continue
        folder = path.parent
        if not folder.is_dir():
            raise SpecError(f"{option} {path}: there is no directory {str(folder)!r}. Make it first.")
        if not os.access(folder, os.W_OK):
            raise SpecError(f"{option} {path}: the directory {str(folder)!r} is not writable.")
        if path.is_dir():
            raise SpecError(f"{option} {path} is a directory. Name a file.")
    if plot is not None and plot.suffix.lower() not in PICTURES:
        raise SpecError(f"--plot {plot}: the name must end in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}.")


def save_check(check: CrossCheck, prefix: Path) -> list[Path]:
    """Write fits and posterior as PREFIX-mle.nc, PREFIX-map.nc, PREFIX-posterior.nc."""
    written = []
    for name, fit in (("mle", check.mle), ("map", check.map)):
        if fit is not None:
            written.append(prefix.with_name(f"{prefix.name}-{name}.nc"))
            fit.save(written[-1])
    if check.posterior is not None:
        from ..bayes import stack

        written.append(prefix.with_name(f"{prefix.name}-posterior.nc"))
        stack.save(check.posterior, written[-1])
    return written


def check_as_json(check: CrossCheck) -> str:
    """Verdict, checks with their numbers, table and specification."""
    return _dumps(
        {
            "verdict": check.verdict.word,
            "sentence": check.verdict.sentence,
            "deciding": list(check.verdict.deciding),
            "checks": [
                {
                    "name": one.name,
                    "question": one.question,
                    "status": one.status.value,
                    "numbers": dict(one.numbers),
                    "sentence": one.sentence,
                    "next_step": one.next_step,
                }
                for one in check.checks
            ],
            "table": {str(label): row.to_dict() for label, row in check.table.iterrows()},
            "log_likelihood": check.mle.log_likelihood,
            "specification": json.loads(check.specification.to_json()),
            "resolved": json.loads(check.resolved.to_json()),
        }
    )


def fit_as_json(fit: EMFit) -> str:
    """Estimate, status, criteria, parameters, optima and specification."""
    return _dumps(
        {
            "estimate": fit.estimate,
            "status": fit.status.name.lower(),
            "sentence": fit.status.value,
            "converged": fit.converged,
            "log_likelihood": fit.log_likelihood,
            "log_posterior": fit.log_posterior,
            "n_parameters": fit.n_parameters(),
            "n_rows": fit.n_rows,
            "aic": fit.aic,
            "bic": None if fit.weighting == "fractional" else fit.bic,
            "decrement": fit.decrement,
            "parameters": dict(fit.point),
            "optima": [record.row() for record in fit.optima],
            "specification": json.loads(fit.specification.to_json()),
            "resolved": json.loads(fit.resolved.to_json()),
        }
    )


def _dumps(value: Any) -> str:
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """The value in what JSON has; NaN and infinity, which it has not, become null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Enum):
        return value.value
    return value if value is None or isinstance(value, str | int | bool) else str(value)
