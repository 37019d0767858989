"""The built-in data sets are what their description says."""

import numpy as np
import pytest

from mixtures.data import read_rows
from mixtures.datasets import list_datasets, load_dataset
from mixtures.errors import DataError


@pytest.mark.parametrize("info", list_datasets(), ids=lambda info: info.name)
def test_every_data_set_has_the_rows_and_columns_it_announces(info):
    frame = load_dataset(info.name)
    assert len(frame) == info.rows
    assert tuple(frame.columns) == info.columns


@pytest.mark.parametrize("info", list_datasets(), ids=lambda info: info.name)
def test_every_data_set_has_a_description_and_a_dated_citation(info):
    assert "." in info.description
    assert any(f"({year})" in info.citation for year in range(1900, 2030))


def test_each_call_gives_a_fresh_frame():
    frame = load_dataset("galaxies")
    frame["velocity"] = 0
    assert load_dataset("galaxies")["velocity"].min() == 9172


def test_old_faithful_has_its_published_means():
    np.testing.assert_allclose(load_dataset("old_faithful").mean(), [3.487783, 70.897059], rtol=1e-6)


def test_galaxies_have_the_reading_of_entry_78_that_the_description_names():
    assert load_dataset("galaxies")["velocity"][77] == 26690


def test_lsat6_are_1000_people_in_30_patterns():
    frame = load_dataset("lsat6")
    rows = read_rows(frame, list(frame.columns[:5]), sample_weight="count")
    assert rows.values.shape == (30, 5)
    assert (rows.n, rows.weighting) == (1000, "counts")
    expanded = frame.loc[frame.index.repeat(frame["count"])]
    written_out = read_rows(expanded, list(frame.columns[:5]))
    assert written_out.values.tobytes() == rows.values.tobytes()
    assert written_out.weights.tobytes() == rows.weights.tobytes()


def test_house_votes_have_missing_votes_that_are_not_read_silently():
    frame = load_dataset("house_votes_84")
    votes = list(frame.columns[1:])
    assert int(frame[votes].isna().sum().sum()) == 392
    assert set(np.unique(frame[votes].to_numpy(dtype=float)[~frame[votes].isna().to_numpy()])) == {0.0, 1.0}
    with pytest.raises(DataError, match=r"392 such cells in 203 of 435 rows.*Missing values are not taken here"):
        read_rows(frame, votes)


def test_an_unknown_name_gets_the_nearest_and_all_legal_ones():
    with pytest.raises(DataError, match=r"'old_faithfull'\. Did you mean 'old_faithful'\? .* galaxies, iris, lsat6"):
        load_dataset("old_faithfull")
