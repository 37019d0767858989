"""A cross-check as one HTML page that needs no other file."""

from __future__ import annotations

import base64
import html
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from .errors import DataError
from .plots import plot_cross_check
from .text import missing_cells, number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_report"]

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>EM against the posterior: $word</title>
<style>
body { font: 16px/1.45 system-ui, sans-serif; color: #1a1a1a; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0.3rem; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
.scroll th, .scroll td { padding: 0.25rem 0.45rem; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
th:first-child, td.text { text-align: left; }
td { font-variant-numeric: tabular-nums; }
.status { font-weight: bold; white-space: nowrap; }
.pass { color: #00664b; } .warn { color: #8a5300; } .fail { color: #a33a00; }
pre { background: #f5f5f5; padding: 0.8rem; overflow-x: auto; font-size: 0.85rem; }
img { max-width: 100%; height: auto; }
@page { margin: 1.2cm; }
@media print {
  .scroll { overflow: visible; }
  .scroll table { font-size: 0.6rem; }
  .scroll th, .scroll td { padding: 0.2rem 0.25rem; }
  tr { break-inside: avoid; }
}
</style>
</head>
<body>
<h1>EM against the posterior: $word</h1>
<p>$sentence</p>
<p><code>$model</code><br>$rows rows, maximum log-likelihood $log_likelihood</p>
<h2>Checks</h2>
<div class="scroll"><table>
<tr><th>check</th><th>status</th><th style="text-align: left">what was found</th></tr>
$checks
</table></div>
<h2>Picture</h2>
<img alt="The components over the data, and EM marks over posterior intervals" src="data:image/png;base64,$picture">
<h2>Parameters</h2>
<div class="scroll">$table</div>
<h2>Specification</h2>
<p>As written:</p>
<pre>$specification</pre>
<p>With every prior in numbers:</p>
<pre>$resolved</pre>
<p>Made by mixtures $version.</p>
</body>
</html>
""")
_HEADINGS = {
    "mle": "MLE", "se": "s.e.", "map": "MAP", "mean": "posterior mean", "sd": "sd", "lower": "2.5 %",
    "upper": "97.5 %", "mcse": "MCSE", "ess": "ESS", "rhat": "R-hat", "z": "z",
}  # fmt: skip


def write_report(check: Any, path: str | Path) -> None:
    """Write a cross-check to an HTML file: verdict, checks, picture, parameters, specification.

    Parameters
    ----------
    check
        A `CrossCheck`.
    path
        The file, which is replaced if it is there.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    from . import __version__

    page = _PAGE.substitute(
        word=html.escape(check.verdict.word),
        sentence=html.escape(check.verdict.sentence),
        model=html.escape(repr(check.specification)),
        rows=f"{check.mle.n_rows:g}{missing_cells(check.mle)}",
        log_likelihood=f"{check.mle.log_likelihood:.5f}",
        checks="\n".join(_check_row(one) for one in check.checks),
        picture=base64.b64encode(plot_cross_check(check).png()).decode("ascii"),
        table=_table(check.table),
        specification=html.escape(check.specification.to_toml()),
        resolved=html.escape(check.resolved.to_toml()),
        version=__version__,
    )
    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        raise DataError(f"Cannot write {str(path)!r}: {error.strerror}. Choose a folder that exists.") from error


def _check_row(one: Any) -> str:
    status = one.status.value
    step = f"<br>Next: {html.escape(one.next_step)}" if one.next_step and status in ("warn", "fail") else ""
    return (
        f'<tr><td class="text" title="{html.escape(one.question)}">{html.escape(one.name)}</td>'
        f'<td class="status {status.split()[0]}">{status}</td>'
        f'<td class="text">{html.escape(one.sentence)}{step}</td></tr>'
    )


def _table(table: pd.DataFrame) -> str:
    shown = [name for name in _HEADINGS if name in table]
    lines = ["<table>", "<tr><th>parameter</th>" + "".join(f"<th>{_HEADINGS[name]}</th>" for name in shown) + "</tr>"]
    for label, row in table.iterrows():
        cells = "".join(f"<td>{number(row[name], 4)}</td>" for name in shown)
        lines.append(f'<tr><td class="text">{html.escape(str(label))}</td>{cells}</tr>')
    return "\n".join([*lines, "</table>"])
