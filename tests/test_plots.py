"""Pictures show what the results say, and everything on them can be read."""

import itertools

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from poisson_family import Counts
from standin import stand_in

import mixtures as mx
from mixtures.families.registry import family_class
from mixtures.plots import plot_cross_check, plot_fit
from mixtures.plots.canvas import NEUTRAL, color, shortened
from mixtures.report import write_report
from mixtures.testing import Case, variants

ITEMS = [f"item{i}" for i in range(1, 6)]
CASES = {
    "two columns": (mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=2), "old_faithful", None),
    "three components": (mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=3), "old_faithful", None),
    "one column": (mx.Mixture(mx.Gaussian("waiting"), n_components=2), "old_faithful", None),
    "0/1 columns": (mx.Mixture(mx.Bernoulli(*ITEMS), n_components=2), "lsat6", "count"),
    "two blocks": (
        mx.Mixture(mx.Gaussian("eruptions", name="length") * mx.Gaussian("waiting"), n_components=2),
        "old_faithful",
        None,
    ),
    "sixty scalars": (
        mx.Mixture(mx.Gaussian("sepal_length", "sepal_width", "petal_length", "petal_width"), n_components=4),
        "iris",
        None,
    ),
}


@pytest.fixture(scope="module")
def checks():
    made = {}

    def check(name):
        if name not in made:
            spec, data, weights = CASES[name]
            made[name] = stand_in(spec, mx.load_dataset(data), sample_weight=weights)
        return made[name]

    return check


def lines(axes, label):
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


def row_labels(figure):
    return [label.get_text() for axes in figure.axes for label in axes.get_yticklabels() if "[" in label.get_text()]


@pytest.mark.parametrize("name", CASES)
def test_every_scalar_has_a_row_and_everything_can_be_read(checks, name):
    check = checks(name)
    figure = plot_cross_check(check)
    assert isinstance(figure, Figure)
    assert row_labels(figure) == list(check.table.index)
    assert figure.get_suptitle() == "EM against the posterior: agree"
    figure.draw_without_rendering()
    renderer = figure._get_renderer()
    for axes in figure.axes:
        low, high = sorted(axes.get_ylim())
        shown = [tick.label1 for tick in axes.yaxis.get_major_ticks() if low <= tick.get_loc() <= high]
        boxes = [label.get_window_extent(renderer) for label in shown]
        assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))
        for box in [axes.get_tightbbox(renderer), *boxes]:
            assert -1 <= box.x0 < box.x1 <= figure.bbox.x1 + 1
            assert -1 <= box.y0 < box.y1 <= figure.bbox.y1 + 1
    (legend,) = figure.legends
    box = legend.get_window_extent(renderer)
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert not any(box.overlaps(axes.get_tightbbox(renderer)) for axes in figure.axes)


def test_the_legend_names_every_component_and_mark(checks):
    (legend,) = plot_cross_check(checks("three components")).legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "component 0",
        "component 1",
        "component 2",
        "MLE ± 1.96 standard errors",
        "MAP",
        "posterior, 95 % interval",
        "posterior draws",
    ]


def test_the_legend_names_nothing_that_is_not_drawn(checks):
    (legend,) = plot_cross_check(checks("0/1 columns")).legends
    named = [text.get_text() for text in legend.get_texts()]
    assert "posterior draws" not in named  # the profile has their intervals
    assert "posterior, 95 % interval" in named


def test_marks_stand_where_the_table_says(checks):
    check = checks("two columns")
    forest = plot_cross_check(check).axes[-1]
    table = check.table
    marks = {tuple(np.round(offset, 6)) for group in forest.collections for offset in group.get_offsets()}
    for row, (center, unit) in enumerate(zip(table["mean"], table["sd"], strict=True)):
        assert (round((table["mle"].iloc[row] - center) / unit, 6), row - 0.24) in marks
        assert (round((table["map"].iloc[row] - center) / unit, 6), row + 0.24) in marks
    segments = [segment for group in forest.collections for segment in getattr(group, "get_segments", list)()]
    ends = np.sort([segment[:, 0] for segment in segments if segment[0, 1] == 3])
    expected = (table[["lower", "upper"]].iloc[3] - table["mean"].iloc[3]) / table["sd"].iloc[3]
    assert any(np.allclose(found, expected) for found in ends)


def test_a_mark_far_out_becomes_an_arrow_with_its_distance(checks):
    check = checks("one column")
    table = check.table.copy()
    table.loc["mean[0, waiting]", "map"] = (
        table.loc["mean[0, waiting]", "mean"] + 50 * table.loc["mean[0, waiting]", "sd"]
    )
    far = stand_in(*CASES["one column"][:1], mx.load_dataset("old_faithful"))
    far.table = table
    forest = plot_cross_check(far).axes[-1]
    assert "50" in [text.get_text() for text in forest.texts]
    assert forest.get_xlim()[1] < 10


def test_without_draws_there_are_components_and_no_intervals(checks):
    check = stand_in(CASES["one column"][0], mx.load_dataset("old_faithful"), word="not identified")
    check.posterior, check.table = None, check.table[["component", "mle"]]
    figure = plot_cross_check(check)
    assert row_labels(figure) == []
    assert [axes.get_xlabel() for axes in figure.axes] == ["waiting"]


def test_ellipses_hold_nine_tenths_of_their_component(checks):
    check = checks("two columns")
    axes = plot_cross_check(check).axes[0]
    for k in range(2):
        x, y = lines(axes, f"component {k}")
        away = np.column_stack([x, y]) - check.mle.point["mean"][k]
        distance = np.einsum("ia,ab,ib->i", away, np.linalg.inv(check.mle.point["covariance"][k]), away)
        np.testing.assert_allclose(np.exp(-0.5 * distance), 0.1)  # chi-square with two degrees of freedom
    drawn = [collection for collection in axes.collections if isinstance(collection, LineCollection)]
    assert 2 * 20 <= len(drawn) <= 2 * 40
    assert {text.get_text() for text in axes.texts} == {"0", "1"}


def test_curves_over_a_histogram_hold_the_weight_of_their_component(checks):
    check = checks("one column")
    axes = plot_cross_check(check).axes[0]
    for k, weight in enumerate(check.mle.point["weights"]):
        x, y = lines(axes, f"component {k}")
        assert np.trapezoid(y, x) == pytest.approx(weight, abs=0.01)
    (bars,) = [patch for patch in axes.patches if hasattr(patch, "get_data")]
    heights, edges, _ = bars.get_data()
    assert np.sum(heights * np.diff(edges)) == pytest.approx(1.0)


def test_profile_shows_the_probabilities_of_em_and_of_all_rows(checks):
    check = checks("0/1 columns")
    axes = plot_cross_check(check).axes[0]
    for k in range(2):
        np.testing.assert_allclose(lines(axes, f"component {k}")[0], check.mle.point["probability"][k])
    patterns = mx.load_dataset("lsat6")
    expected = np.average(patterns[ITEMS], axis=0, weights=patterns["count"])
    np.testing.assert_allclose(lines(axes, "all rows")[0], expected)
    assert axes.get_xlabel() == "probability"


def test_counts_are_drawn_at_integers_only():
    rng = np.random.default_rng(1)
    data = {"goals": np.r_[rng.poisson(2.0, 100), rng.poisson(9.0, 100)]}
    fit = mx.fit(mx.Mixture(Counts("goals"), n_components=2), data, rng=1)
    axes = plot_fit(fit, data).axes[0]
    x, y = lines(axes, "component 0")
    assert np.array_equal(x, np.arange(x[0], x[-1] + 1))
    assert y.sum() == pytest.approx(fit.point["weights"][0], abs=0.01)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    "block",
    [block for family in (family_class("Gaussian"), family_class("Bernoulli"), Counts) for block in variants(family)],
    ids=repr,
)
def test_every_family_has_a_picture(block, count):
    case = Case.of(block, seed=3)
    data = dict(zip(block.columns, case.x.T, strict=True))
    spec = mx.Mixture(block, n_components=count)
    fit = mx.fit(spec, data, rng=1, starts=3, estimate="map", method=mx.SQUAREM(max_passes=100))
    figure = plot_fit(fit, data)
    assert figure.axes
    assert figure.png(dpi=30).startswith(b"\x89PNG")


def test_repeated_rows_and_their_counts_give_the_same_picture():
    patterns = mx.load_dataset("lsat6")
    spec = mx.Mixture(mx.Bernoulli(*ITEMS), n_components=2)
    expanded = patterns.loc[patterns.index.repeat(patterns["count"])]
    pictures = [
        plot_fit(mx.fit(spec, data, rng=1, sample_weight=weight), data, sample_weight=weight).png(dpi=50)
        for data, weight in ((patterns, "count"), (expanded, None))
    ]
    assert pictures[0] == pictures[1]


def test_pictures_leave_the_reader_s_settings_alone(checks):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plot_cross_check(checks("one column"))
    assert dict(matplotlib.rcParams) == before


def test_the_report_is_one_page_with_verdict_checks_table_and_picture(checks, tmp_path):
    check = checks("two columns")
    write_report(check, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "EM against the posterior: agree" in page
    assert "EM and the posterior &lt;agree&gt;." in page
    assert "0.7 &lt; 0.8 &amp; more.<br>Next: Draw more." in page
    assert all(f"{label}</td>" in page for label in check.table.index)
    assert 'src="data:image/png;base64,' in page
    assert "http" not in page


def test_a_report_that_cannot_be_written_says_so(checks, tmp_path):
    with pytest.raises(mx.DataError, match=r"Cannot write .*missing"):
        write_report(checks("one column"), tmp_path / "missing" / "report.html")


def test_a_selection_has_a_line_for_each_kind_and_a_ring_around_the_choice():
    data = mx.load_dataset("old_faithful")
    specs = [
        mx.Mixture(mx.Gaussian("eruptions", "waiting", structure=code), n_components=k)
        for code in ("EII", "VVI", "EEE", "VVV", "VEV")
        for k in (1, 2)
    ]
    found = mx.select(specs, data, starts=3, rng=1, jobs=1)
    axes = found.plot().axes[0]
    drawn = {line.get_label(): line for line in axes.lines}
    assert set(drawn) == {"tied, spherical", "diagonal", "tied", "free", "VEV", "chosen"}
    assert drawn["VEV"].get_ydata() == pytest.approx(found.table["bic"].iloc[-2:])
    best = found.best("bic").specification
    assert drawn["chosen"].get_xdata()[0] == best.n_components
    with pytest.raises(mx.SpecError, match="criterion='held_out': computed are aic, bic, icl"):
        found.plot("held_out")


def eight(*columns):
    """Eight components far apart, and their fit."""
    rng = np.random.default_rng(0)
    data = {c: np.concatenate([rng.normal(6.0 * k, 1.0, 25) for k in range(8)]) for c in columns}
    return mx.fit(mx.Mixture(mx.Gaussian(*columns), n_components=8), data, rng=1, starts=4, estimate="map"), data


@pytest.mark.parametrize("columns", [("x",), ("x", "y")])
def test_eight_components_can_be_told_apart_in_panels_and_legend(columns):
    figure = plot_fit(*eight(*columns))
    (axes,) = figure.axes
    (legend,) = figure.legends
    for shown in (axes.lines, legend.get_lines()):
        styles = {
            (line.get_color(), str(line._unscaled_dash_pattern))
            for line in shown
            if "component" in str(line.get_label())
        }
        assert len(styles) == 8
    figure.draw_without_rendering()
    box = legend.get_window_extent(figure._get_renderer())
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_profiles_of_eight_components_have_marks_of_their_own():
    rng = np.random.default_rng(2)
    data = {f"item{i}": rng.integers(0, 2, 100) for i in range(5)}
    spec = mx.Mixture(mx.Bernoulli(*data), n_components=8)
    axes = plot_fit(mx.fit(spec, data, rng=1, starts=2, estimate="map"), data).axes[0]
    marks = {(line.get_color(), line.get_marker()) for line in axes.lines if "component" in str(line.get_label())}
    assert len(marks) == 8


def test_long_names_that_differ_look_different():
    ends = [f"how_much_do_you_agree_with_the_statement_number_{i}" for i in range(3)]
    middles = [f"how_much_do_you_agree_with_statement_{i}_of_the_questionnaire" for i in range(3)]
    for names in (ends, middles, [*ends, "short"]):
        found = shortened(names)
        assert len(set(found)) == len(names)
        assert max(map(len, found)) <= 32
    assert shortened(["short", "short"]) == ["short", "short"]
    data = {name: np.random.default_rng(i).normal(size=40) for i, name in enumerate(middles)}
    axes = plot_fit(mx.fit(mx.Mixture(mx.Gaussian(*middles), n_components=1), data), data).axes
    labels = [(one.get_xlabel(), one.get_ylabel()) for one in axes]
    assert len(set(labels)) == 3
    assert all(x != y for x, y in labels)


def test_a_column_has_one_panel_with_the_components_of_all_its_families_and_their_sum():
    rng = np.random.default_rng(3)
    data = {"z": np.r_[rng.normal(3.0, 0.5, 200), rng.uniform(0.0, 10.0, 100)]}
    fit = mx.fit(mx.Mixture([mx.Gaussian("z"), mx.Uniform("z", low=0, high=10)]), data, rng=1)
    (axes,) = plot_fit(fit, data).axes
    at, total = lines(axes, "mixture")
    np.testing.assert_allclose(total, np.exp(fit.score({"z": at})), rtol=1e-10)
    parts = [lines(axes, f"component {k}") for k in range(2)]
    np.testing.assert_allclose(parts[0][1] + parts[1][1], total, rtol=1e-12)
    assert "their sum" in axes.get_title()


def test_families_that_do_not_take_all_values_have_no_curve_there():
    rng = np.random.default_rng(4)
    data = {"z": np.r_[rng.exponential(1.0, 200), rng.normal(-6.0, 0.5, 100) + 7.0]}
    data["z"] = np.abs(data["z"])
    fit = mx.fit(mx.Mixture([mx.Exponential("z"), mx.Gaussian("z")]), data, rng=1, starts=3)
    (axes,) = plot_fit(fit, data).axes
    assert lines(axes, "component 0")[0].min() >= 0
    at, total = lines(axes, "mixture")
    inside = at >= 0
    np.testing.assert_allclose(total[inside], np.exp(fit.score({"z": at[inside]})), rtol=1e-10)


def test_two_blocks_over_several_columns_have_one_density_panel_per_column():
    rng = np.random.default_rng(5)
    data = {c: np.r_[rng.normal(3.0, 0.5, 200), rng.uniform(0.0, 10.0, 100)] for c in "zw"}
    fit = mx.fit(mx.Mixture([mx.Gaussian("z", "w"), mx.Uniform("z", "w", low=0, high=10)]), data, rng=1)
    figure = plot_fit(fit, data)
    assert [axes.get_xlabel() for axes in figure.axes] == ["z", "z", "w"]
    for axes in figure.axes[1:]:
        assert {str(line.get_label()) for line in axes.lines} >= {"component 0", "component 1", "mixture"}


def test_what_some_components_share_is_labelled_by_them_in_a_neutral_colour():
    tied = mx.Shared(group="a")
    spec = mx.Mixture([mx.Gaussian("z", covariance=tied), mx.Gaussian("z"), mx.Gaussian("z", covariance=tied)])
    rng = np.random.default_rng(6)
    check = stand_in(spec, {"z": np.r_[rng.normal(0, 1, 80), rng.normal(6, 0.4, 80), rng.normal(12, 1, 80)]})
    assert "covariance[0+2, z, z]" in check.table.index
    forest = plot_cross_check(check).axes[-1]
    row = list(check.table.index).index("covariance[0+2, z, z]")
    colors = next(c for c in forest.collections if isinstance(c, LineCollection)).get_colors()
    assert to_hex(colors[row]) == NEUTRAL
    assert to_hex(colors[row + 1]) == color(1).lower()


def test_a_fit_with_missing_cells_has_a_picture():
    data = {"z": np.r_[np.random.default_rng(7).normal(size=50), np.nan], "w": np.arange(1.0, 52.0)}
    spec = mx.Mixture(mx.Gaussian("z", name="one") * mx.Exponential("w"), n_components=1)
    assert plot_fit(mx.fit(spec, data), data).png(dpi=30)
