"""Plans that other libraries measure: kept, recalled, and the same in every process."""

from __future__ import annotations

import pyfftw
import pytest

from benchsuite.physics.fft.plans import ESTIMATED, MEASURED, kept, with_kept_plans


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of its own; what pyFFTW knew is given back."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = pyfftw.export_wisdom()
    yield tmp_path / "benchsuite"
    pyfftw.forget_wisdom()
    pyfftw.import_wisdom(before)


def learn(side, effort=MEASURED):
    """Plan a transform; return all plans that pyFFTW then knows, in single precision."""
    array = pyfftw.zeros_aligned((side, side), "complex64")
    pyfftw.FFTW(array, array, axes=(0, 1), flags=(effort,))
    return pyfftw.export_wisdom()[1]


def lines(wisdom):
    return {*wisdom.splitlines()}


def stored():
    with kept() as plans:
        return lines(plans.wisdom)


def test_measured_plans_are_kept_and_recalled():
    learned = with_kept_plans(lambda effort: learn(40, effort))
    assert stored() == lines(learned)
    pyfftw.forget_wisdom()
    with_kept_plans(lambda _effort: None)
    assert lines(with_kept_plans(lambda effort: learn(40, effort))) == lines(learned)


def test_simulation_is_repeated_with_plans_kept_by_another_process():
    calls, theirs = [], []

    def compute(effort):
        calls.append(effort)
        if len(calls) == 1:  # another process keeps its plans while this one measures
            theirs.append(learn(56))
            with kept() as plans:
                plans.replace(theirs[0])
        return learn(40, effort)

    answer = with_kept_plans(compute)
    assert len(calls) == 2
    assert stored() == lines(answer)
    assert stored() > lines(theirs[0])


def test_plans_are_estimated_without_a_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert with_kept_plans(lambda effort: effort) == ESTIMATED


def test_a_damaged_file_is_replaced(cache):
    with_kept_plans(lambda effort: learn(40, effort))
    (file,) = cache.glob("*.wisdom")
    file.write_bytes(b"\xff" * 100)
    with_kept_plans(lambda effort: learn(40, effort))
    assert file.read_bytes().startswith(b"(fftw")
