"""A fit that is saved and loaded is the same fit, and other files are refused by name."""

import dataclasses

import h5py
import numpy as np
import pytest
import xarray as xr

import mixtures as mx


def old_faithful(**options):
    spec = mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=3)
    return mx.fit(spec, mx.load_dataset("old_faithful"), **{"rng": 4, "starts": 12, **options})


def lsat6():
    block = mx.Bernoulli("item1", "item2", "item3", probability=mx.Beta(2, 2))
    spec = mx.Mixture(block, n_components=2, weights=mx.Dirichlet(2.0))
    return mx.fit(spec, mx.load_dataset("lsat6"), estimate="map", sample_weight="count", rng=1, starts=4)


def collapsing():
    """A table with sound, nearly singular and collapsing rows."""
    x = np.r_[np.random.default_rng(1).normal(size=50), np.full(10, 3.0)][:, None]
    return mx.fit(mx.Mixture(mx.Gaussian("größe"), n_components=2), x, rng=1)


def product():
    frame = mx.load_dataset("old_faithful").assign(even=lambda data: data["waiting"] % 2)
    block = mx.Gaussian("eruptions", "waiting", covariance=mx.Shared(), name="size") * mx.Bernoulli("even")
    return mx.fit(mx.Mixture(block, n_components=2, weights="equal"), frame, rng=1, starts=3)


FITS = {
    "mle": old_faithful,
    "map": lsat6,
    "collapsing": collapsing,
    "product": product,
    "hard": lambda: old_faithful(method=mx.HardEM(max_passes=77)),
    "plain": lambda: old_faithful(method=mx.EM(15), threshold=0.01),
}


@pytest.mark.parametrize("make", FITS.values(), ids=list(FITS))
def test_a_fit_comes_back_equal(make, tmp_path):
    saved = make()
    saved.save(tmp_path / "fit.nc")
    loaded = mx.load(tmp_path / "fit.nc")
    assert loaded.parameters.identical(saved.parameters)
    assert loaded.starts.equals(saved.starts)
    assert loaded.summary() == saved.summary()
    for field in dataclasses.fields(saved):
        old, new = getattr(saved, field.name), getattr(loaded, field.name)
        assert type(new) is type(old), field.name
        if field.name == "history":
            np.testing.assert_array_equal(new, old)
        elif field.name not in ("point", "optima"):
            assert new == old, field.name
    for old, new in zip(saved.optima, loaded.optima, strict=True):
        for field in dataclasses.fields(old):
            if field.name == "point":
                assert all(np.array_equal(new.point[name], old.point[name]) for name in old.point)
            else:
                assert getattr(new, field.name) == getattr(old, field.name), field.name


def test_a_loaded_fit_still_works(tmp_path):
    data, saved = mx.load_dataset("old_faithful"), old_faithful()
    saved.save(str(tmp_path / "fit.nc"))
    loaded = mx.load(str(tmp_path / "fit.nc"))
    assert loaded.responsibilities(data).identical(saved.responsibilities(data))
    again = mx.fit(loaded.specification, data, starts=[loaded.point])
    assert again.log_likelihood == pytest.approx(saved.log_likelihood, abs=1e-9)


def test_a_file_is_replaced(tmp_path):
    file = tmp_path / "fit.nc"
    lsat6().save(file)
    product().save(file)
    assert mx.load(file).specification == product().specification


def test_a_large_specification_fits_into_the_file(tmp_path):
    x = np.random.default_rng(1).normal(size=(400, 40))
    spec = mx.Mixture(mx.Gaussian(*[f"column{j}" for j in range(40)]), n_components=2)
    saved = mx.fit(spec, x, estimate="map", rng=1, starts=1, method=mx.EM(3))
    assert len(saved.resolved.to_json()) > 2**15
    saved.save(tmp_path / "fit.nc")
    assert mx.load(tmp_path / "fit.nc").resolved == saved.resolved


def test_any_netcdf_reader_can_read_the_parameters(tmp_path):
    saved = old_faithful()
    saved.save(tmp_path / "fit.nc")
    table = xr.load_dataset(tmp_path / "fit.nc", group="parameters", engine="h5netcdf")
    assert table["mean"].sel(component=2, gaussian_column="waiting") == saved.point["mean"][2, 1]


def test_a_posterior_comes_back_in_the_container_of_the_stack(tmp_path):
    from mixtures.bayes import stack

    draws = xr.Dataset({"mu": (("chain", "draw"), np.arange(6.0).reshape(2, 3))})
    saved = stack.make_container({"posterior": draws}, {"mixtures_specification": product().specification.to_json()})
    stack.save(saved, tmp_path / "posterior.nc")
    loaded = mx.load(tmp_path / "posterior.nc")
    assert type(loaded) is type(saved)
    np.testing.assert_array_equal(loaded["posterior"]["mu"], draws["mu"])
    assert mx.Mixture.from_json(loaded.attrs["mixtures_specification"]) == product().specification


def refused(path, message):
    with pytest.raises(mx.DataError, match=message):
        mx.load(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    refused(tmp_path / "none.nc", r"There is no file '.*none\.nc'")
    refused(tmp_path, "There is no file")


@pytest.mark.parametrize(
    "content", [b"", b"velocity\n9172\n", b"CDF\x01\x00\x00\x00\x00"], ids=["empty", "text", "old"]
)
def test_a_file_that_is_no_netcdf_4_is_refused(tmp_path, content):
    (tmp_path / "other").write_bytes(content)
    refused(tmp_path / "other", "no NetCDF 4 file")


def test_half_a_file_is_refused(tmp_path):
    lsat6().save(tmp_path / "fit.nc")
    content = (tmp_path / "fit.nc").read_bytes()
    (tmp_path / "fit.nc").write_bytes(content[: len(content) // 2])
    refused(tmp_path / "fit.nc", "damaged")


def test_other_peoples_files_are_refused(tmp_path):
    xr.Dataset({"a": 3.0}).to_netcdf(tmp_path / "dataset.nc", engine="h5netcdf")
    refused(tmp_path / "dataset.nc", "neither a fit nor a posterior")
    foreign = xr.DataTree.from_dict({"/posterior": xr.Dataset({"mu": (("chain", "draw"), np.zeros((2, 3)))})})
    foreign.to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    refused(tmp_path / "foreign.nc", "neither a fit nor a posterior")
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["a"] = np.arange(3)
    refused(tmp_path / "plain.h5", "neither a fit nor a posterior")


def test_a_fit_of_which_part_is_gone_and_one_of_the_future_are_refused(tmp_path):
    empty = xr.Dataset({"a": 3.0}, attrs={"mixtures_kind": "fit", "mixtures_schema": 1})
    empty.to_netcdf(tmp_path / "empty.nc", engine="h5netcdf")
    refused(tmp_path / "empty.nc", "part of it is gone")
    empty.assign_attrs(mixtures_schema=2).to_netcdf(tmp_path / "later.nc", engine="h5netcdf")
    refused(tmp_path / "later.nc", "schema 2.*newer version")


def test_a_folder_that_is_not_there_is_named_when_saving(tmp_path):
    with pytest.raises(mx.DataError, match=r"Cannot write '.*nowhere.*'"):
        lsat6().save(tmp_path / "nowhere" / "fit.nc")
