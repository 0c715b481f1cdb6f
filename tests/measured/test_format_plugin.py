"""A file format in a plugin of one file: docs/how-to/raw2.py from the scenario to the scores, and one that writes, too."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchsuite import contract_suite, registry
from benchsuite.code_version import look_again
from benchsuite.data import Volume
from benchsuite.errors import BenchsuiteError
from benchsuite.measured.files import open_file, reader_of, write_series, write_volume
from benchsuite.measured.series import read_series
from benchsuite.physics.rotations import single_axis
from benchsuite.runner.graph import graph_of
from benchsuite.scenario import load

EXAMPLE = Path(__file__).parents[2] / "docs" / "how-to" / "raw2.py"
SCENARIO = """\
schema: 1
name: mine
phantom: none
series: {file: scan.raw2, tilts: [-60, -30, 0, 30, 60], energy_keV: 300, semiangle_mrad: 21}
truth: {file: true.xyz}
reconstructors: [wbp]
analysis: {species: [Au]}
"""
HEADER = "shape 5 24 24\npixel_A 0.5\ndata scan.f32\n"
STARRED = """
import numpy as np
from benchsuite import Contents, Reader

class Starred(Reader):
    title, reference, suffixes = "numbers after stars", "none", (".star", ".npy")

    def recognises(self, file):
        return file.read_bytes()[:1] == b"*"

    def open(self, file, dataset=None):
        pixel_A, *lengths = np.frombuffer(file.read_bytes()[8:40], "<f8")
        data = np.frombuffer(file.read_bytes()[40:], "<f4").reshape([int(length) for length in lengths])
        return Contents(data, {"scan_step_A": pixel_A, "energy_keV": -1.0})

    def write_stack(self, data, pixel_A, file):
        file.write_bytes(b"*" * 8 + np.array([pixel_A, *data.shape], "<f8").tobytes() + data.astype("<f4").tobytes())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scenario, its data in the format of the example, and the plugin."""
    folder = tmp_path_factory.mktemp("plugin")
    angles = single_axis([-60, -30, 0, 30, 60])
    images = contract_suite.gaussian_series(contract_suite.CHIRAL_A, angles).data[:, 0]
    images.astype("<f4").tofile(folder / "scan.f32")
    assert images.shape == (5, 24, 24)
    (folder / "scan.raw2").write_text(HEADER)
    (folder / "mine.yaml").write_text(SCENARIO)
    rows = [f"Au {x} {y} {z}" for x, y, z in contract_suite.CHIRAL_A]
    (folder / "true.xyz").write_text("\n".join([str(len(rows)), "", *rows]))
    shutil.copy(EXAMPLE, folder / "raw2.py")
    return folder


@pytest.fixture
def plugins(monkeypatch):
    """A function that loads a plugin until the end of the test."""
    monkeypatch.setattr(registry.PROCESS, "plugins", {kind: dict(found) for kind, found in registry.PROCESS.plugins.items()})
    return registry.load_plugin


def benchsuite(folder, *words):
    command = [sys.executable, "-m", "benchsuite.cli", *words, "--plugin", "raw2.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_format_plugin_is_of_one_short_file():
    assert len(EXAMPLE.read_text().splitlines()) <= 40


def test_format_plugin_is_listed_and_described(folder):
    assert "raw2                 raw float32 images with a text header" in benchsuite(folder, "list", "readers").stdout
    told = benchsuite(folder, "info", "raw2").stdout
    assert "suffixes: .raw2\ncan be written: no" in told


def test_format_plugin_is_scored(folder):
    done = benchsuite(folder, "validate", "mine.yaml")
    assert done.returncode == 0, done.stderr
    told = done.stdout
    assert "scan.raw2: raw float32 images with a text header, 5 × 24 × 24 float32 as tilt, y, x: adf, 5 tilts" in told
    done = benchsuite(folder, "run", "mine.yaml", "--out", "out", "--store", "store")
    assert done.returncode == 0, done.stdout + done.stderr
    row = pd.read_csv(folder / "out" / "results.csv").iloc[0]
    assert row["status"] == "ok"
    assert row["n_true"] == len(contract_suite.CHIRAL_A)
    assert np.isfinite(row["r_factor"])


def test_format_plugin_key_is_of_all_files_and_of_the_code(folder, plugins, tmp_path):
    for name in ("mine.yaml", "scan.raw2", "scan.f32", "true.xyz", "raw2.py"):
        shutil.copy(folder / name, tmp_path / name)
    plugins(tmp_path / "raw2.py")

    def key():
        look_again()
        cell = load(tmp_path / "mine.yaml").cells[0]
        assert json.loads(cell.model_dump_json())["experiment"]["measured"]["readers"] == ["raw2"]
        return str(graph_of(cell).series.key)

    first = key()
    assert key() == first
    data = np.fromfile(tmp_path / "scan.f32", "<f4")
    data[7] += 1
    data.tofile(tmp_path / "scan.f32")
    assert (second := key()) != first
    source = (tmp_path / "raw2.py").read_text()
    (tmp_path / "raw2.py").write_text(source.replace('float(header["pixel_A"])', '1.0 * float(header["pixel_A"])'))
    assert key() != second


@pytest.mark.parametrize(
    ("header", "size", "message"),
    [
        (HEADER, 5 * 24 * 24 * 4 - 1, "damaged, or not a whole tilt series .ValueError: mmap length"),
        (HEADER.replace("24 24", "24 24000"), None, "damaged"),
        (HEADER.replace("shape", "form"), None, "damaged.*KeyError: 'shape'"),
        (HEADER.replace("0.5", "wide"), None, "damaged.*could not convert"),
        (HEADER.replace("0.5", "-0.5"), None, "the file does not state scan_step_A"),
        (HEADER.replace("f32", "f64"), None, "damaged.*FileNotFoundError"),
        ("\0\xff" * 50, None, "damaged"),
    ],
)
def test_format_plugin_refuses_damaged_files_with_their_name(folder, plugins, tmp_path, header, size, message):
    plugins(EXAMPLE)
    (tmp_path / "scan.raw2").write_text(header, encoding="latin-1")
    (tmp_path / "scan.f32").write_bytes((folder / "scan.f32").read_bytes()[:size])
    with pytest.raises(BenchsuiteError, match=rf"series\.file: (\S+scan\.raw2: )?{message}"):
        read_series(tmp_path / "scan.raw2", tilts=[-60, -30, 0, 30, 60], energy_keV=300, semiangle_mrad=21)


def test_format_plugin_that_writes_is_used_by_export_and_read_back(plugins, tmp_path):
    (tmp_path / "starred.py").write_text(STARRED)
    plugins(tmp_path / "starred.py")
    series, _ = contract_suite.small_problem("adf")
    assert [file.name for file in write_series(series, tmp_path / "s.star")] == ["s.star", "s.rawtlt"]
    back = read_series(tmp_path / "s.star", energy_keV=300, semiangle_mrad=21)
    assert np.array_equal(back.data[:, 0], series.data.mean(axis=1))
    assert back.scan_step_A == series.scan_step_A
    volume = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    write_volume(Volume(volume, 0.3), tmp_path / "v.star")
    name, contents = open_file(tmp_path / "v.star")
    assert np.array_equal(contents.array[:], volume)
    assert (name, contents.metadata) == ("starred", {"scan_step_A": 0.3})
    assert contents.remarks == ("v.star: energy_keV -1.0 of the header is not usable",)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.rawtlt", "s.star", "starred.py", "v.star"]


def test_reader_is_chosen_by_content_where_suffixes_are_shared(plugins, tmp_path):
    (tmp_path / "starred.py").write_text(STARRED)
    plugins(tmp_path / "starred.py")
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4), np.float32))
    write_volume(Volume(np.zeros((2, 3, 4), np.float32), 0.3), tmp_path / "b.star")
    (tmp_path / "b.star").rename(tmp_path / "b.npy")
    assert [reader_of(tmp_path / name)[0] for name in ("a.npy", "b.npy")] == ["npy", "starred"]
    assert reader_of(tmp_path / "b.npy", "npy")[0] == "npy"
    (tmp_path / "twin.py").write_text(STARRED.replace("Starred", "Twin"))
    plugins(tmp_path / "twin.py")
    with pytest.raises(BenchsuiteError, match=r"b\.npy: the readers starred and twin all take it; name one with series\.reader"):
        reader_of(tmp_path / "b.npy")


def test_reader_with_unknown_metadata_is_refused(plugins, tmp_path):
    (tmp_path / "wrong.py").write_text(STARRED.replace("Starred", "Wrong").replace("scan_step_A", "scan_step"))
    plugins(tmp_path / "wrong.py")
    write_volume(Volume(np.zeros((2, 3, 4), np.float32), 0.3), tmp_path / "b.star")
    with pytest.raises(BenchsuiteError, match=r"the reader wrong returns metadata 'scan_step'.*did you mean 'scan_step_A'"):
        open_file(tmp_path / "b.star")
