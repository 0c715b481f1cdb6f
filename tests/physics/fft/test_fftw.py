"""Plans of FFTW: right, the same in every process, and indifferent to what others plan."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pyfftw
import pytest

from benchsuite.physics.fft import fftw

SIDES = (40, 64, 96)


def spectrum(side, direction=fftw.FORWARD):
    """The transform of an image of random numbers, by a plan."""
    rng = np.random.default_rng(side)
    array = fftw.aligned((side, side))
    plan = fftw.plan_2d(side, direction)
    array[...] = rng.normal(size=(side, side)) + 1j * rng.normal(size=(side, side))
    fftw._library().fftwf_execute_dft(plan, array.ctypes.data, array.ctypes.data)
    return array


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of its own, and no plans in memory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fftw._plan.cache_clear()
    yield tmp_path / "benchsuite"
    fftw._plan.cache_clear()


def wisdom_files(cache):
    return sorted(cache.glob("*.wisdom"))


@pytest.mark.parametrize("side", SIDES)
def test_a_plan_transforms(cache, side):
    rng = np.random.default_rng(side)
    image = rng.normal(size=(side, side)) + 1j * rng.normal(size=(side, side))
    np.testing.assert_allclose(spectrum(side), np.fft.fft2(image), atol=1e-5 * side)
    np.testing.assert_allclose(spectrum(side, fftw.BACKWARD), np.fft.ifft2(image) * side**2, atol=1e-5 * side)


def test_every_process_gets_equal_bits_whatever_else_it_plans(tmp_path):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    answers = [
        subprocess.run([sys.executable, __file__, *words], env=environment, capture_output=True, text=True, check=True).stdout
        for words in ([], ["FFTW_ESTIMATE"], ["FFTW_MEASURE"])
    ]
    assert len(answers[0].split()) == len(SIDES)
    assert answers[0] == answers[1] == answers[2]


def test_measured_plans_are_kept_and_estimated_ones_are_not(cache):
    spectrum(64)
    assert wisdom_files(cache) == []
    spectrum(40)
    (file,) = wisdom_files(cache)
    kept = file.read_bytes()
    fftw._plan.cache_clear()
    spectrum(40)
    assert file.read_bytes() == kept
    spectrum(96)
    assert len(file.read_bytes()) > len(kept)


@pytest.mark.parametrize("damage", [lambda text: text[: len(text) // 2], lambda text: b"\xff" * 100, lambda text: text[::-1]])
def test_damaged_wisdom_is_measured_anew(cache, damage):
    whole = spectrum(40)
    (file,) = wisdom_files(cache)
    file.write_bytes(damage(file.read_bytes()))
    fftw._plan.cache_clear()
    np.testing.assert_allclose(spectrum(40), whole, atol=1e-4)
    assert file.read_bytes().startswith(b"(fftw")


def test_plans_are_estimated_without_a_cache_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    fftw._plan.cache_clear()
    answer = spectrum(40)
    monkeypatch.setattr(fftw, "_ESTIMATED_WELL", (40,))
    fftw._plan.cache_clear()
    np.testing.assert_array_equal(spectrum(40), answer)
    fftw._plan.cache_clear()


def test_the_wisdom_of_others_is_left_to_them(cache):
    pyfftw.builders.fft2(pyfftw.zeros_aligned((24, 24), "complex64"), planner_effort="FFTW_MEASURE")
    before = pyfftw.export_wisdom()
    spectrum(40)
    assert sorted(pyfftw.export_wisdom()[1].split(b"\n")) == sorted(before[1].split(b"\n"))


def _print_spectra(efforts):
    for effort in efforts:  # somebody else plans first, in its own way
        for side in SIDES:
            pyfftw.builders.fft2(pyfftw.zeros_aligned((side, side), "complex64"), planner_effort=effort, threads=2)
    for side in SIDES:
        sys.stdout.write(hashlib.sha256(spectrum(side).tobytes()).hexdigest() + "\n")


if __name__ == "__main__":
    _print_spectra(sys.argv[1:])
