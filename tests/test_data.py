"""Any table of the same numbers gives the same rows, and every unusable table says what, where and what to try."""

import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mixtures.data import read_rows
from mixtures.errors import DataError

X = [1.5, -2.0, 3.0, 8.0]
FLAG = [True, False, True, True]
EXPECTED = np.column_stack([X, FLAG]).astype(float)
COLUMNS = ["x", "flag"]


def tables():
    """The same four rows as every kind of table that is read."""
    frame = pd.DataFrame({"other": list("abcd"), "flag": FLAG, "x": X})
    return {
        "pandas": frame,
        "pandas_nullable": frame.convert_dtypes(),
        "pandas_object": frame.astype({"x": object, "flag": object}),
        "polars": pl.DataFrame({"other": list("abcd"), "flag": FLAG, "x": X}),
        "xarray_dataset": xr.Dataset({"x": ("row", X), "flag": ("row", FLAG), "grid": (("a", "b"), np.ones((2, 2)))}),
        "xarray_dataarray": xr.DataArray(EXPECTED, dims=("row", "column"), coords={"column": COLUMNS}),
        "xarray_transposed": xr.DataArray(
            EXPECTED.T, dims=("column", "row"), coords={"column": COLUMNS, "row": [10, 20, 30, 40]}
        ),
        "dict": {"x": X, "flag": FLAG, "note": "ignored"},
        "dict_of_series": {"x": pd.Series(X), "flag": pl.Series(FLAG)},
        "numpy": EXPECTED,
        "numpy_fortran": np.asfortranarray(EXPECTED),
        "list_of_rows": EXPECTED.tolist(),
        "numpy_structured": np.array(list(zip(X, FLAG, strict=True)), dtype=[("x", float), ("flag", bool)]),
    }


def message(data, columns, **options):
    """The sentence of the error that reading must raise."""
    with pytest.raises(DataError) as caught:
        read_rows(data, columns, **options)
    return str(caught.value)


# --- the same rows from every kind of table ---


@pytest.mark.parametrize("kind", list(tables()))
def test_every_kind_of_table_gives_the_same_rows(kind):
    rows = read_rows(tables()[kind], COLUMNS)
    np.testing.assert_array_equal(rows.values, EXPECTED)
    assert rows.values.dtype == np.float64
    assert rows.values.flags.c_contiguous
    assert rows.columns == ("x", "flag")
    assert rows.inverse is None
    assert (rows.n_given, rows.n, rows.total, rows.weighting) == (4, 4, 4.0, "none")
    np.testing.assert_array_equal(rows.weights, np.ones(4))


@pytest.mark.parametrize(
    "data",
    [
        np.array(X),
        X,
        pd.Series(X, name="x"),
        pd.Series(X),
        pl.Series("x", X),
        pl.Series(X),
        xr.DataArray(X, dims="row", name="x"),
        xr.DataArray(X, dims="row"),
    ],
    ids=lambda data: type(data).__module__.split(".")[0],
)
def test_one_column_may_be_one_dimensional(data):
    np.testing.assert_array_equal(read_rows(data, ["x"]).values, np.array(X)[:, None])


@pytest.mark.parametrize("dtype", ["int8", "uint32", "int64", "float32", "Int64", "Float32", "boolean", "bool"])
def test_integer_float_and_boolean_columns_become_float64(dtype):
    rows = read_rows(pd.DataFrame({"x": pd.array([0, 1, 1], dtype=dtype)}), ["x"])
    np.testing.assert_array_equal(rows.values[:, 0], [0.0, 1.0, 1.0])


def test_names_that_are_numbers_are_found_by_their_text():
    np.testing.assert_array_equal(read_rows(pd.DataFrame(EXPECTED), ["1", "0"]).values, EXPECTED[:, ::-1])


def test_the_rows_are_a_copy():
    data = EXPECTED.copy()
    rows = read_rows(data, COLUMNS)
    data[:] = 0
    np.testing.assert_array_equal(rows.values, EXPECTED)


def test_importing_the_reader_loads_only_numpy():
    code = (
        "import sys, mixtures.data; "
        "print([m for m in ('pandas', 'polars', 'xarray', 'narwhals', 'scipy', 'pymc') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# --- repeated rows and weights ---

binary_rows = st.integers(1, 4).flatmap(
    lambda d: st.integers(1, 40).flatmap(lambda n: arrays(np.int8, (n, d), elements=st.integers(0, 1)))
)


@given(binary_rows)
def test_inverse_rebuilds_the_given_rows(x):
    columns = [f"c{j}" for j in range(x.shape[1])]
    rows = read_rows(x, columns)
    rebuilt = rows.values if rows.inverse is None else rows.values[rows.inverse]
    np.testing.assert_array_equal(rebuilt, x)
    assert rows.total == rows.n == len(x)
    assert (rows.inverse is not None) == (2 * len(np.unique(x, axis=0)) <= len(x))


@given(binary_rows, st.randoms(use_true_random=False))
def test_patterns_with_counts_equal_the_rows_written_out(x, random):
    columns = [f"c{j}" for j in range(x.shape[1])]
    written_out = np.repeat(x, 2, axis=0)  # at least every second row repeats, so they are merged
    order = random.sample(range(len(written_out)), len(written_out))
    patterns, counts = np.unique(written_out, axis=0, return_counts=True)
    shuffled = random.sample(range(len(patterns)), len(patterns))
    a = read_rows(written_out[order], columns)
    b = read_rows(patterns[shuffled], columns, sample_weight=counts[shuffled])
    assert a.values.tobytes() == b.values.tobytes()
    assert a.weights.tobytes() == b.weights.tobytes()
    np.testing.assert_array_equal(a.values, patterns)  # lexicographic
    assert (a.n, b.n, b.weighting) == (len(written_out), len(written_out), "counts")


def test_mostly_distinct_rows_stay_in_the_given_order():
    rows = read_rows({"x": [3.0, 1.0, 2.0, 2.0]}, ["x"])
    assert rows.values[:, 0].tolist() == [3.0, 1.0, 2.0, 2.0]
    assert rows.inverse is None


def test_merge_false_keeps_every_row():
    rows = read_rows({"x": [1, 1, 1, 0]}, ["x"], merge=False)
    assert rows.values[:, 0].tolist() == [1, 1, 1, 0]
    assert rows.inverse is None


def test_negative_zero_equals_zero():
    rows = read_rows({"x": [0.0, -0.0, -0.0, 0.0]}, ["x"])
    assert rows.values.tobytes() == np.zeros((1, 1)).tobytes()


@pytest.mark.parametrize("merge", [True, False])
def test_a_row_of_weight_zero_equals_its_absence(merge):
    absent = read_rows({"x": [3.0, 1.0, 3.0]}, ["x"], sample_weight=[2, 1, 5], merge=merge)
    zero = read_rows({"x": [3.0, np.nan, 1.0, 3.0]}, ["x"], sample_weight=[2, 0, 1, 5], merge=merge)
    np.testing.assert_array_equal(zero.values, absent.values)
    np.testing.assert_array_equal(zero.weights, absent.weights)
    assert zero.inverse.tolist() == ([1, -1, 0, 1] if merge else [0, -1, 1, 2])
    assert (zero.n_given, zero.n, zero.total) == (4, 8, 8.0)


def test_weights_may_be_a_column():
    frame = pd.DataFrame({"x": [1, 0, 1], "count": [3, 4, 5]})
    for data in (frame, pl.from_pandas(frame), xr.Dataset.from_dataframe(frame), frame.to_dict("list")):
        rows = read_rows(data, ["x"], sample_weight="count")
        assert rows.weights.tolist() == [4.0, 8.0]
        assert (rows.weighting, rows.n) == ("counts", 12)


def test_weights_that_are_not_integers_are_fractional_and_n_counts_the_rows_used():
    rows = read_rows({"x": [1, 0, 1]}, ["x"], sample_weight=[0.5, 0.0, 2.0])
    assert (rows.weighting, rows.n, rows.total) == ("fractional", 2, 2.5)


@pytest.mark.parametrize("wrap", [list, np.array, pd.Series, pl.Series])
def test_weights_may_be_any_one_dimensional_array(wrap):
    assert read_rows({"x": [1, 0]}, ["x"], sample_weight=wrap([2, 3])).weights.tolist() == [3.0, 2.0]


# --- how rows are named ---


def test_rows_are_named_by_number_and_by_label_where_there_is_one():
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=["Ann", "Bob"])
    assert read_rows(frame, ["x"]).row_name(1) == "row 1 (labelled 'Bob')"
    assert read_rows(frame.reset_index(drop=True), ["x"]).row_name(1) == "row 1"
    assert read_rows(frame.set_index(pd.Index([7, 9])), ["x"]).row_name(1) == "row 1 (labelled 9)"
    dataset = xr.Dataset({"x": ("row", [1.0, 2.0])}, coords={"row": ["Ann", "Bob"]})
    assert read_rows(dataset, ["x"]).row_name(1) == "row 1 (labelled 'Bob')"


def test_a_merged_row_is_named_after_the_first_that_went_there():
    rows = read_rows({"x": [np.nan, 4.0, 2.0, 4.0]}, ["x"], sample_weight=[0, 1, 1, 1])
    assert rows.values[:, 0].tolist() == [2.0, 4.0]
    assert (rows.row_name(0), rows.row_name(1)) == ("row 2", "row 1")


# --- what cannot be read ---


@pytest.mark.parametrize("kind", ["pandas", "polars", "xarray_dataset", "xarray_dataarray", "dict", "numpy_structured"])
def test_a_misspelt_column_names_the_nearest_and_what_exists(kind):
    said = message(tables()[kind], ["x", "flagg"])
    assert said.startswith("There is no column 'flagg' in the data. Did you mean 'flag'? The columns are ")
    assert "'x'" in said


def test_a_series_of_another_name_is_a_missing_column():
    assert message(pd.Series(X, name="y"), ["x"]) == "There is no column 'x' in the data. The columns are 'y'."


def test_a_long_list_of_columns_is_cut():
    said = message({f"c{j}": X for j in range(300)}, ["x"])
    assert said.endswith("'c19', ... (300 in all).")


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, dict])
def test_a_text_column_names_the_first_cell(make):
    said = message(make({"x": X, "who": ["Ann", "Bob", "Cy", "Di"]}), ["x", "who"])
    assert said.startswith("Column 'who' holds text: 'Ann' in row 0. Leave it out, or code it")


def test_numbers_stored_as_text_are_recognised():
    assert "numbers stored as text, convert the column to float" in message({"x": ["1.5", "2"]}, ["x"])


def test_a_stray_text_cell_is_named_with_its_row():
    frame = pd.DataFrame({"x": [1, 2, "?"]}, index=list("abc"))
    assert message(frame, ["x"]).startswith("Column 'x' holds text: '?' in row 2 (labelled 'c').")


def test_a_categorical_column_is_text():
    assert "holds text: 'b' in row 0" in message(pd.DataFrame({"x": pd.Categorical(["b", "a"])}), ["x"])


def test_cells_that_are_no_numbers_are_named_by_type():
    said = message({"x": np.array([1.0, [2.0]], dtype=object)}, ["x"])
    assert said == "Column 'x' holds [2.0] of type list in row 1; a mixture reads real numbers."


def test_complex_columns_are_refused():
    assert message({"x": [1j, 2]}, ["x"]).startswith("Column 'x' holds complex numbers")
    assert message(pd.DataFrame({"x": [1j, 2]}), ["x"]).startswith("Column 'x' holds complex numbers")


def test_dates_are_refused():
    frame = pd.DataFrame({"x": pd.to_datetime(["2020-01-01", "2021-01-01"])})
    assert message(frame, ["x"]).startswith("Column 'x' holds dates or durations.")


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame({"x": [1.0, 2.0, None], "y": [None, 1.0, None]}, index=list("abc")),
        pd.DataFrame(
            {"x": pd.array([1, 2, None], "Int64"), "y": pd.array([None, 1, None], "Int64")}, index=list("abc")
        ),
        pd.DataFrame({"x": [1, 2, pd.NA], "y": [pd.NA, 1, None]}, dtype=object, index=list("abc")),
        pd.DataFrame({"x": [0, 1, 1], "y": pd.array([None, True, None], "boolean")}, index=list("abc")),
        xr.Dataset({"x": ("row", [1, 2, np.nan]), "y": ("row", [np.nan, 1, np.nan])}, coords={"row": list("abc")}),
    ],
    ids=["float", "nullable", "object", "boolean", "xarray"],
)
def test_a_missing_cell_is_named_with_column_row_and_label(data):
    said = message(data, ["x", "y"])
    assert said.startswith("Column 'y', row 0 (labelled 'a'): a missing value (NaN).")
    assert "such cells in 2 of 3 rows" in said
    assert "Missing values are not taken here: drop the rows that have one (data.dropna(" in said


@pytest.mark.parametrize(
    ("data", "drop"),
    [
        (pl.DataFrame({"x": [1.0, None, float("nan")]}), "data.drop_nulls(['x'])"),
        (np.ma.masked_greater([1.0, 9.0, 9.0], 5.0), "data[np.isfinite(data).all(axis=1)]"),
        ({"x": [1.0, None, np.nan]}, "keep the rows in which every column is finite (np.isfinite)"),
        (xr.DataArray([1.0, np.nan, np.nan], dims="row"), "data.dropna('row', subset=['x'])"),
    ],
    ids=["polars", "masked", "dict", "xarray"],
)
def test_missing_cells_are_counted_and_the_way_to_drop_them_is_told(data, drop):
    said = message(data, ["x"])
    assert said.startswith("Column 'x', row 1: a missing value (NaN). 2 such cells in 2 of 3 rows, in 'x'.")
    assert f"({drop})" in said


def test_an_infinite_cell_is_named():
    said = message({"x": [1.0, 2.0], "y": [0.0, -np.inf]}, ["x", "y"])
    assert said.startswith("Column 'y', row 1: an infinite value (-inf; 1 such cell(s) in all).")


@pytest.mark.parametrize(
    "data",
    [pd.DataFrame({"x": []}), pl.DataFrame({"x": []}), {"x": []}, np.empty((0, 1)), xr.Dataset({"x": ("row", [])})],
    ids=["pandas", "polars", "dict", "numpy", "xarray"],
)
def test_a_table_without_rows_is_refused(data):
    assert message(data, ["x"]) == "The data are empty: columns 'x' have no rows. Pass at least one row."


@pytest.mark.parametrize("data", [pd.DataFrame(), pl.DataFrame(), {}, xr.Dataset()])
def test_a_table_without_columns_is_refused(data):
    assert message(data, ["x"]).startswith("The data are empty: no columns and no rows.")


def test_a_column_with_two_dimensions_is_refused():
    assert message({"x": np.ones((3, 2))}, ["x"]) == (
        "Column 'x' has shape (3, 2), but one number per row is needed. Pass a 1-D array."
    )
    assert "shape (3, 2)" in message(xr.Dataset({"x": (("row", "k"), np.ones((3, 2)))}), ["x"])
    assert "shape ()" in message({"x": 3.0}, ["x"])


def test_a_ragged_column_is_refused():
    assert message({"x": [[1.0], [1.0, 2.0]]}, ["x"]).startswith("Column 'x' is no array of numbers (")


def test_columns_of_different_lengths_are_refused():
    assert message({"x": [1, 2], "y": [1, 2, 3]}, ["x", "y"]) == (
        "Column 'y' has 3 values where 'x' has 2. Pass equal lengths."
    )


def test_columns_over_different_dimensions_are_refused():
    data = xr.Dataset({"x": ("a", [1, 2]), "y": ("b", [1, 2])})
    said = message(data, ["x", "y"])
    assert said.endswith("over one dimension, the rows; found 'x' over 'a', 'y' over 'b'.")


def test_an_array_of_another_width_is_refused():
    said = message(np.ones((5, 3)), ["x", "y"])
    assert said.startswith(
        "The array has 3 columns, the specification names 2: 'x', 'y'. Columns of an array are taken"
    )
    assert message(np.ones(5), ["x", "y"]).startswith("The array has shape (5,); pass a 2-D array")
    assert message(np.ones((5, 2, 2)), ["x", "y"]).startswith("The array has shape (5, 2, 2);")


def test_a_dataarray_without_names_for_its_columns_is_refused():
    assert message(xr.DataArray(EXPECTED), COLUMNS).startswith("The DataArray has no coordinates")
    assert message(xr.DataArray(np.ones((2, 2, 2))), COLUMNS).startswith("The DataArray has dimensions")


def test_two_columns_of_one_name_are_refused():
    assert message(pd.DataFrame([[1, 2]], columns=["x", "x"]), ["x"]).startswith(
        "The frame has two columns of one name"
    )


@pytest.mark.parametrize("data", [None, "faithful.csv", 3.0, object()])
def test_what_is_no_table_is_refused_with_a_list_of_tables(data):
    said = message(data, ["x"])
    assert said.startswith(f"Data of type {type(data).__name__} cannot be read. Pass a pandas or polars DataFrame")


def test_a_lazy_frame_is_to_be_collected():
    assert "Collect a lazy frame first: data.collect()." in message(pl.DataFrame({"x": X}).lazy(), ["x"])


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        ([1, 1, 1], "sample_weight has 3 values, the data have 2 rows. Pass one weight for each row."),
        (
            [1, -2],
            "sample_weight is -2 in row 1 (labelled 'Bob') (1 such in all). Weights are finite and not negative;",
        ),
        ([np.nan, np.inf], "sample_weight is nan in row 0 (labelled 'Ann') (2 such in all)."),
        ([0, 0], "sample_weight is zero in every row: no row is left to fit."),
        ([[1, 1]], "sample_weight has shape (1, 2), but one number per row is needed."),
        (3, "sample_weight has shape (), but one number per row is needed."),
        (["a", "b"], "sample_weight holds text: 'a' in row 0 (labelled 'Ann')."),
        ("cuont", "There is no weight column 'cuont' in the data. Did you mean 'count'? The columns are 'x', 'count'."),
        ("x", "sample_weight, column 'x', is -1 in row 0 (labelled 'Ann') (1 such in all)."),
    ],
)
def test_unusable_weights_say_what_is_wrong(weight, said):
    frame = pd.DataFrame({"x": [-1.0, 2.0], "count": [1, 2]}, index=["Ann", "Bob"])
    assert message(frame, ["x"], sample_weight=weight).startswith(said)
