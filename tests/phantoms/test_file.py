"""A specimen from a file, and what is said about a file that is none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from benchsuite.errors import BenchsuiteError
from benchsuite.phantoms.file import FilePhantom

MODEL = Atoms("AuCuBaO", [[1.0, 2.0, 3.0], [4.0, 2.0, 3.5], [1.5, 5.0, 3.0], [1.0, 2.0, 7.0]], cell=[10, 11, 12], pbc=True)


def built(path: Path | str, **params: Any) -> Atoms:
    return FilePhantom(FilePhantom.Params(path=str(path), **params)).build(np.random.default_rng(0))


@pytest.mark.parametrize("name", ["model.xyz", "model.extxyz", "model.cif", "POSCAR"])
def test_formats_keep_elements_and_distances_and_lose_the_cell(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, MODEL)
    atoms = built(tmp_path / name)
    assert sorted(atoms.symbols) == sorted(MODEL.symbols)
    assert not atoms.pbc.any()
    assert atoms.cell.rank == 0
    order, expected = np.argsort(atoms.numbers), np.argsort(MODEL.numbers)
    found = atoms.positions[order] - atoms.positions[order][0]
    np.testing.assert_allclose(found, MODEL.positions[expected] - MODEL.positions[expected][0], atol=1e-3)


def test_centred_or_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "model.xyz", MODEL)
    np.testing.assert_allclose(built(tmp_path / "model.xyz", centre=False).positions, MODEL.positions, atol=1e-6)
    assert np.linalg.norm(built(tmp_path / "model.xyz").positions, axis=1).max() < 3.1


def test_relative_paths_start_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "here.xyz", MODEL)
    monkeypatch.chdir(tmp_path)
    assert len(built("here.xyz")) == 4


def test_the_content_is_part_of_the_key(tmp_path: Path) -> None:
    write(tmp_path / "model.xyz", MODEL)
    phantom = FilePhantom(FilePhantom.Params(path=str(tmp_path / "model.xyz")))
    before = phantom.outside_content()
    assert before == phantom.outside_content()
    write(tmp_path / "model.xyz", MODEL[:3])
    assert phantom.outside_content() != before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        ("not atoms at all\n", "ASE cannot read it"),
        ("0\n\n", "holds no atoms|ASE cannot read it"),
        ("1\n\nXq 0 0 0\n", "ASE cannot read it"),
        ("1\n\nX 0 0 0\n", "is no chemical element"),
        ("2\n\nAu 0 0 0\nAu 0 0 0.1\n", "atoms 1 and 2 are 0.10 Å apart"),
        ("1\n\nAu 0 0 nan\n", "not a finite number"),
    ],
)
def test_bad_files_are_named_with_the_reason(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "bad.xyz"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BenchsuiteError, match=said) as caught:
        built(file)
    assert str(file) in str(caught.value)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(BenchsuiteError, match="is not a file"):
        built(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "model.xyz"
    write(file, MODEL)
    file.chmod(0)
    with pytest.raises(BenchsuiteError, match="cannot be read"):
        built(file)
