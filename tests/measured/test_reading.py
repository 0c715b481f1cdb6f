"""Stacks of every format come in as they are; axes, angles and intensities as the scenario states them."""

from __future__ import annotations

import numpy as np
import pytest

from benchsuite.data import TiltSeries
from benchsuite.errors import BenchsuiteError
from benchsuite.measured.array import reversed_about_centre
from benchsuite.measured.series import open_measured
from benchsuite.physics.rotations import euler, rotation, single_axis


def test_a_stack_of_every_format_comes_in_bit_for_bit(stack_file, read, stack, angles):
    series = read(stack_file)
    assert np.array_equal(np.asarray(series.data)[:, 0].view(np.uint32), stack.view(np.uint32))
    assert (series.modality, series.data.shape, series.scan_step_A) == ("adf", (4, 1, 6, 8), 0.37)
    assert np.array_equal(series.rotations, single_axis(angles))


@pytest.mark.parametrize("name", ["s.mrc", "s.tif"])
def test_the_pixel_size_is_that_of_the_header(tmp_path, name, writers, section):
    writers[name](tmp_path / name)
    assert open_measured(section(tmp_path / name, scan_step_A=None)).series.scan_step_A == pytest.approx(0.37, abs=1e-12)
    assert open_measured(section(tmp_path / name, scan_step_A=0.5)).series.scan_step_A == 0.5


def test_calibrations_of_imagej_and_ome(tmp_path, stack, section):
    import tifffile

    tifffile.imwrite(
        tmp_path / "i.tif", stack, imagej=True, resolution=(1 / 0.037, 1 / 0.037), metadata={"unit": "nm", "axes": "ZYX"}
    )
    pixels = {"axes": "ZYX", "PhysicalSizeX": 0.037, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.037, "PhysicalSizeYUnit": "nm"}
    tifffile.imwrite(tmp_path / "o.ome.tif", stack, photometric="minisblack", metadata=pixels)
    tifffile.imwrite(tmp_path / "dpi.tif", stack, photometric="minisblack", resolution=(300, 300), metadata=None)
    for name in ("i.tif", "o.ome.tif"):
        measured = open_measured(section(tmp_path / name, scan_step_A=None)).series
        assert measured.scan_step_A == pytest.approx(0.37, rel=1e-5)
        assert np.array_equal(np.asarray(measured.data)[:, 0], stack)
    with pytest.raises(BenchsuiteError, match="does not state scan_step_A; give it in series"):
        open_measured(section(tmp_path / "dpi.tif", scan_step_A=None))


def test_angles_beside_the_file_are_found_and_told(tmp_path, stack, section, writers, angles):
    writers["s.mrc"](tmp_path / "s.mrc")
    (tmp_path / "s.rawtlt").write_text("\n".join(map(str, angles)))
    measured = open_measured(section(tmp_path / "s.mrc", tilts=None))
    assert np.array_equal(measured.series.rotations, single_axis(angles))
    assert measured.files == (tmp_path / "s.mrc", tmp_path / "s.rawtlt")
    assert "4 tilts from -60° to 60° about y, 6 × 8 pixels of 0.37 Å" in measured.description


@pytest.mark.parametrize("form", ["npy", "rows of 9", "rows of 3", "euler", "inverse"])
def test_rotations_come_from_matrices_and_euler_angles(tmp_path, stack, read, form):
    np.save(tmp_path / "s.npy", stack)
    triples = [(10.0, -60.0, 3.0), (10.0, -20.0, 3.0), (10.0, 20.0, 3.0), (10.0, 60.0, 3.0)]
    true, file = euler(triples, "zxz"), tmp_path / "m.txt"
    more = {"euler_order": "zxz"} if form == "euler" else {}
    if form in ("npy", "inverse"):
        file = tmp_path / "m.npy"
        np.save(file, true.transpose(0, 2, 1) if form == "inverse" else true)
        more |= {"inverse": True} if form == "inverse" else {}
    else:
        np.savetxt(file, triples if form == "euler" else true.reshape(-1, 3 if form == "rows of 3" else 9), fmt="%.6f")
    found = read(tmp_path / "s.npy", tilts={"file": str(file), **more}).rotations
    assert np.allclose(found, true, atol=2e-6)
    assert np.allclose(found @ found.transpose(0, 2, 1), np.eye(3), atol=1e-12)


def test_sign_and_axis_of_angles(tmp_path, stack, read, angles):
    np.save(tmp_path / "s.npy", stack)
    tilted = read(tmp_path / "s.npy", tilts={"angles_deg": angles, "axis": "x", "sign": -1}).rotations
    assert np.allclose(tilted, [rotation("x", -angle) for angle in angles])


def test_axes_and_flips_are_undone(tmp_path, stack, read):
    np.save(tmp_path / "t.npy", reversed_about_centre(stack, 1).transpose(2, 0, 1))
    series = read(tmp_path / "t.npy", axes=["x", "tilt", "y"], flip=["y"])
    assert np.array_equal(np.asarray(series.data)[:, 0], stack)


@pytest.mark.parametrize("length", [6, 7])
def test_turning_round_keeps_the_centre_and_undoes_itself(length):
    values = np.arange(length, dtype=float)
    turned = reversed_about_centre(values, 0)
    assert turned[length // 2] == values[length // 2]
    assert turned[length // 2 + 1] == values[length // 2 - 1]
    assert np.array_equal(reversed_about_centre(turned, 0), values)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "f2", "f4", ">f4", ">i2", "f8", "i4"])
def test_numbers_are_exact_or_refused(tmp_path, read, dtype):
    values = np.arange(4 * 6 * 8).reshape(4, 6, 8).astype(dtype)
    np.save(tmp_path / "s.npy", values)
    series = read(tmp_path / "s.npy")
    assert series.data[1].dtype == np.float32
    assert np.array_equal(np.asarray(series.data)[:, 0], values)
    if dtype in ("f8", "i4"):
        values = values.copy()
        values[2, 1, 1] = 2**24 + 1
        np.save(tmp_path / "s.npy", values)
        with pytest.raises(BenchsuiteError, match=r"s\.npy: tilt 2: .*16777217.*not exact in single precision; set series\.round"):
            np.asarray(read(tmp_path / "s.npy").data)
        assert read(tmp_path / "s.npy", round_to_float32=True).data[2].max() == 2**24


def test_levels_are_what_is_asked_for_and_nothing_is_silent(tmp_path, stack, read):
    np.save(tmp_path / "s.npy", stack - np.float32(0.25))
    with pytest.raises(BenchsuiteError, match=r"negative intensities .*series\.background .*series\.clip_negative"):
        np.asarray(read(tmp_path / "s.npy").data)
    lowest = float(stack.min() - np.float32(0.25))
    shifted = np.asarray(read(tmp_path / "s.npy", background="minimum").data)[:, 0]
    assert shifted.min() == 0
    assert np.allclose(shifted, stack - 0.25 - lowest, atol=1e-6)
    clipped = np.asarray(read(tmp_path / "s.npy", clip_negative=True).data)
    assert np.array_equal(clipped[:, 0], np.maximum(stack - np.float32(0.25), 0))
    scaled = np.asarray(read(tmp_path / "s.npy", background=-0.25, normalise=2.0).data)
    assert np.allclose(scaled[:, 0], stack / 2, atol=1e-6)


def test_patterns_become_fractions(tmp_path, patterns, read):
    np.save(tmp_path / "p.npy", patterns)
    keys = {"scan_step_A": 2.0, "reciprocal_step_per_A": 0.03}
    series = read(tmp_path / "p.npy", normalise="patterns", **keys)
    assert isinstance(series, TiltSeries)
    assert np.asarray(series.data).sum(axis=(4, 5)).mean() == pytest.approx(1, rel=1e-6)
    counted = read(tmp_path / "p.npy", normalise="electrons", dose_e_per_A2=400.0, **keys)
    assert counted.electrons_per_position == 400.0
    assert np.allclose(np.asarray(counted.data)[:, 0], patterns / 400.0, rtol=1e-6)
    assert np.array_equal(np.asarray(read(tmp_path / "p.npy", **keys).data)[:, 0], patterns)


@pytest.mark.parametrize("suffix", ["npy", "h5", "zarr", "mrc"])
def test_one_file_per_tilt_in_natural_order(tmp_path, patterns, stack, read, writers, suffix):
    many, keys = (stack, {}) if suffix == "mrc" else (patterns, {"reciprocal_step_per_A": 0.03})
    for tilt, number in enumerate((1, 2, 10, 11)):
        writers[f"s.{suffix}"](tmp_path / f"tilt_{number}.{suffix}", many[tilt])
    series = read(files=str(tmp_path / f"tilt_*.{suffix}"), **keys)
    assert np.array_equal(np.asarray(series.data)[:, 0], many)


def test_rosettasciio_reads_a_stack_and_its_calibration(tmp_path, patterns, read):
    hspy = pytest.importorskip("rsciio.hspy")
    scales = [("scan_y", 0.2, "nm", True), ("scan_x", 0.2, "nm", True), ("ky", 0.3, "1/nm", False), ("kx", 0.3, "1/nm", False)]
    for tilt, angle in enumerate((-10.0, 30.0)):
        axes = [
            {"name": n, "scale": s, "units": u, "navigate": v, "size": size, "offset": 0.0, "_type": "UniformDataAxis"}
            for (n, s, u, v), size in zip(scales, patterns.shape[1:], strict=True)
        ]
        instrument = {"TEM": {"beam_energy": 200.0, "convergence_angle": 20.5, "Stage": {"tilt_alpha": angle}}}
        metadata = {"General": {"title": "scan"}, "Acquisition_instrument": instrument}
        signal = {
            "data": patterns[tilt],
            "axes": axes,
            "metadata": metadata,
            "original_metadata": {},
            "attributes": {"_lazy": False},
        }
        signal |= {
            "package_info": {},
            "package": "",
            "package_version": "",
            "tmp_parameters": {},
            "learning_results": {},
            "models": None,
        }
        hspy.file_writer(str(tmp_path / f"t{tilt}.hspy"), signal)
    own = dict.fromkeys(("tilts", "scan_step_A", "energy_keV", "semiangle_mrad"))
    series = read(files=str(tmp_path / "t*.hspy"), **own)
    assert np.array_equal(np.asarray(series.data)[:, 0], patterns[:2])
    assert np.allclose(series.rotations, single_axis([-10.0, 30.0]))
    assert (series.scan_step_A, series.optics.energy_keV, series.optics.semiangle_mrad) == (2.0, 200.0, 20.5)
    assert series.reciprocal_step_per_A == pytest.approx(0.03)
