"""Files of arrays: what is written is read, and nothing else is in them."""

import zipfile

import numpy as np
import pytest

from langchain_optscale.records.arrays import read_arrays, write_arrays


def test_a_file_has_the_header_and_the_arrays_alone(tmp_path):
    path = tmp_path / "some.npz"
    arrays = {"a": np.array([[1.5, 2.0], [3.0, 4.0]]), "b": np.array([True, False]), "c": np.array(7)}
    write_arrays(path, {"format": "ours", "n": 2}, arrays)
    with zipfile.ZipFile(path) as file:
        assert sorted(file.namelist()) == ["a.npy", "b.npy", "c.npy", "header.npy"]
    header, found = read_arrays(path, "ours", "our file")
    assert header == {"format": "ours", "n": 2}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_what_would_be_pickled_is_not_written(tmp_path):
    path = tmp_path / "some.npz"
    with pytest.raises(ValueError, match="arrays of object are not written: a"):
        write_arrays(path, {"format": "ours"}, {"a": np.array([{}, None])})
    assert not path.exists()
