"""The images of an EMD file are indexed on disk like an array in memory."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.measured.series import read_series


@pytest.mark.parametrize(
    "index",
    [
        1,
        -1,
        (2, 1),
        (2, -1, 3),
        slice(None),
        (slice(1, 3), 0),
        ([2, 0], 1, 2),
        (..., 3),
        (1, slice(None), 2, 1),
        slice(2, 2),
        (0, ...),
    ],
)
def test_images_on_disk_are_indexed_like_an_array(written, index, make):
    series = make()
    data = read_series(written / "s.emd").data
    assert np.array_equal(data[index], series.data[index])
    assert data[index].shape == series.data[index].shape
    assert (data.shape, data.ndim, data.size, data.nbytes) == (series.data.shape, 6, series.data.size, series.data.nbytes)
    with pytest.raises(IndexError):
        data[3]
