"""Single bits that flip in what a run has stored: all are noticed, wherever they are."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchsuite.errors import BenchsuiteError
from benchsuite.results import Run, read_sealed
from benchsuite.runner.run import Settings, run
from benchsuite.store import find_damage
from tests.reliability.support import entries

pytestmark = pytest.mark.slow
FLIPS = 1000


@pytest.fixture
def finished(odd):
    """The folder of a finished run, its store inside."""
    from benchsuite.scenario import load

    cells = load("odd.yaml", overrides=["reconstructors=[resire, odd]"])
    assert run(cells, Settings(odd / "out", odd / "out" / "store", 2, plugins=(str(odd / "odd.py"),))) == 0
    return odd / "out"


def test_flipped_bits_in_the_store_are_noticed(finished, shown):
    rng = np.random.default_rng(0)
    folders = {folder: [file for file in folder.rglob("*") if file.is_file()] for folder in entries(finished / "store")}
    files = [(folder, file) for folder, all_of_it in folders.items() for file in all_of_it]
    hit = set()
    for _ in range(FLIPS):
        folder, file = files[rng.integers(len(files))]
        whole = file.read_bytes()
        flipped = bytearray(whole)
        flipped[rng.integers(len(flipped))] ^= 1 << rng.integers(8)
        file.write_bytes(flipped)
        assert find_damage(folder) is not None, file
        file.write_bytes(whole)
        assert find_damage(folder) is None
        hit.add(file)
    shown(f"{FLIPS} single-bit flips in {len(hit)} of {len(files)} files of a store", "0 accepted")


def test_flipped_bits_in_records_are_noticed_or_change_nothing(finished, shown):
    rng, unnoticed = np.random.default_rng(1), 0
    records = sorted((finished / "cells").glob("*.json"))
    truth = {file: read_sealed(file) for file in records}
    for _ in range(FLIPS):
        file = records[rng.integers(len(records))]
        whole = file.read_bytes()
        flipped = bytearray(whole)
        flipped[rng.integers(len(flipped))] ^= 1 << rng.integers(8)
        file.write_bytes(flipped)
        try:
            record = read_sealed(file)
        except BenchsuiteError:
            pass
        else:
            unnoticed += 1
            known = {key: value for key, value in record.items() if key in truth[file]}
            assert json.dumps(known) == json.dumps(truth[file]), "what is read is what was written"
        file.write_bytes(whole)
    Run(finished).write_table()
    shown(
        f"{FLIPS} single-bit flips in the records of cells", f"0 silently wrong ({unnoticed} in blanks, or in the name of the seal)"
    )
