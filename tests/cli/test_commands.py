"""The command line end to end at the smallest scale, and what it says when it cannot."""

from __future__ import annotations

import functools
import json
import re
import signal
import time

import numpy as np
import pandas as pd
import pytest

from benchsuite.results import Run

TINY = """\
schema: 1
name: tiny
seed: 4
phantom: {kind: core_shell, atoms: 19, shell_layers: 1}
simulation: {method: prism, sampling_A: 0.2, prism_interpolation: 2}
acquisition:
  tilts: {range_deg: [-90, 90], count: 8}
  scan: {step_A: 0.4, positions: [36, 36]}
  detector: {inner_mrad: 22, outer_mrad: 32}
reconstructors: [resire, {use: odd, label: broken}]
sweep: [{acquisition.dose_e_per_A2: [.inf, 1e7]}]
analysis: {species: [Cu, Au]}
"""
PLUGIN = """
from benchsuite.contract import Reconstructor
from benchsuite.params import Params

class Odd(Reconstructor):
    title = "always fails"
    reference = "none"
    class Params(Params):
        pass
    def reconstruct(self, series, context):
        raise RuntimeError("broken on purpose <b>")
        yield
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cli_run):
    folder = tmp_path_factory.mktemp("cli")
    (folder / "tiny.yaml").write_text(TINY)
    (folder / "odd.py").write_text(PLUGIN)
    cli_run(folder, "run", "tiny.yaml", "--plugin", "odd.py", "--out", "out", status=3)
    return folder


def test_a_failing_cell_does_not_stop_the_others(finished):
    table = pd.read_csv(finished / "out" / "results.csv", dtype={"cell": str})
    assert list(table["status"]) == ["ok", "error", "ok", "error"]
    assert "broken on purpose" in table["reason"][1]
    good = table[table["status"] == "ok"]
    assert (good["n_true"] == 19).all()
    assert (good["rmsd_pm"] < 30).all()
    assert (good["r_factor"] < 1).all()
    assert good["reconstruct_s"].gt(0).all()
    record = json.loads((finished / "out" / "cells" / "0001.json").read_text())
    assert "Traceback" in record["log"]


DIVERGES = """
import numpy as np
from benchsuite.contract import Iterate, Reconstructor
from benchsuite.params import Params

class Diverges(Reconstructor):
    title = "goes wrong in its third iteration"
    reference = "none"
    class Params(Params):
        in_place: bool = False
    def reconstruct(self, series, context):
        volume = np.empty(context.grid.shape, np.float32)
        for iteration, loss in enumerate([3.0, 2.0, np.inf], start=1):
            volume = volume if self.params.in_place else np.empty_like(volume)
            volume[:] = min(loss, 1e30)
            yield Iterate(iteration, loss, volume=volume)
"""


def test_diverged_cell_keeps_its_last_good_state(finished, cli_run):
    (finished / "diverges.py").write_text(DIVERGES)
    both = "reconstructors=[diverges, {use: diverges, label: gone, in_place: true}, {refine: {use: lot, from: diverges}}]"
    words = ["--plugin", "diverges.py", "--set", both, "--set", "sweep=[]", "--set", "figures=[]", "--out", "diverged"]
    cli_run(finished, "run", "tiny.yaml", *words, status=3)
    cell = Run(finished / "diverged").cell("0000")
    assert cell.row["status"] == "diverged"
    assert cell.row["reason"] == "the loss is inf at iteration 3; the state of iteration 2 is kept"
    assert cell.reconstruction() is None
    assert (cell.last_good().volume.data == 2).all()
    np.testing.assert_array_equal(cell.last_good().history, [[1, 3], [2, 2]])
    gone, refined = (Run(finished / "diverged").cell(name) for name in ("0001", "0002"))
    assert (gone.row["reason"], gone.last_good()) == ("the loss is inf at iteration 3", None)
    assert refined.row["reason"].startswith("diverges, whose atoms are refined: the loss is inf at iteration 3")


def test_the_report_shows_failures_and_is_self_contained(finished):
    page = (finished / "out" / "report" / "index.html").read_text()
    assert "2 of 4 cells gave no result" in page
    assert "broken on purpose &lt;b&gt;" in page
    assert 'src="http' not in page
    assert "could not be drawn" not in page
    for name in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert (finished / "out" / "report" / name).is_file(), name
    assert (finished / "out" / "figures" / "slice_grid.pdf").is_file()
    assert "0/1" in (finished / "out" / "tables" / "summary.md").read_text()


def test_a_second_run_is_answered_from_the_store(finished, cli_run):
    plan = cli_run(finished, "plan", "tiny.yaml", "--plugin", "odd.py")
    lines = plan.stdout.splitlines()
    assert [line.split()[-1] for line in lines[1:5:2]] == ["cached", "cached"]
    assert "2 of 4 cells to run" in lines[-1]
    cli_run(finished, "run", "tiny.yaml", "--plugin", "odd.py", "--out", "out2", "--only", "RESIRE", "--set", "figures=[]")
    a, b = (pd.read_csv(finished / out / "results.csv").query("status == 'ok'") for out in ("out", "out2"))
    assert list(a["rmsd_pm"]) == list(b["rmsd_pm"])


def test_a_finished_run_started_again_leaves_its_report_as_it_is(finished, cli_run):
    words = ["run", "tiny.yaml", "--set", "reconstructors=[resire]", "--set", "figures=[slice_grid]", "--out", "fine"]
    cli_run(finished, *words)
    page = finished / "fine" / "report" / "index.html"  # states when the run was last started
    parts = [finished / "fine" / part for part in ("report", "figures", "tables")]
    files = [file for part in parts for file in part.rglob("*") if file.is_file() and file != page]
    times = {file: file.stat().st_mtime_ns for file in files}
    cli_run(finished, *words)
    assert {file: file.stat().st_mtime_ns for file in files} == times


def test_a_damaged_entry_is_noticed_and_made_again(finished, cli_run):
    store = finished / ".benchsuite" / "store"
    victim = next(file for file in store.glob("reconstruction/*/*/*/reconstruction/arrays/volume/c/**/0") if file.is_file())
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 4
    victim.write_bytes(data)
    for scores in store.glob("scores/*/*/*/values.json"):
        scores.write_text(scores.read_text() + " ")
    cli_run(finished, "run", "tiny.yaml", "--plugin", "odd.py", "--out", "out3", "--only", "RESIRE", "--set", "figures=[]")
    assert list((store / "corrupt").iterdir())


def test_export(finished, cli_run):
    for what, file in (("series", "s.mrc"), ("volume", "v.tiff"), ("truth", "t.xyz"), ("traced", "t.cif")):
        cli_run(finished, "export", "out", "0000", what, file)
        assert (finished / file).stat().st_size > 0
    angles = [float(line) for line in (finished / "s.rawtlt").read_text().split()]
    assert angles[0] == pytest.approx(-90)
    assert angles[1] - angles[0] == pytest.approx(22.5)
    import mrcfile

    with mrcfile.open(finished / "s.mrc") as mrc:
        assert mrc.data.shape == (8, 36, 36)
        assert mrc.voxel_size.x == pytest.approx(0.4)
    cli_run(finished, "export", "out", "9999", "series", "s.mrc", status=2)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "nothing.yaml"], "no such file"),
        (["run", "quickstart", "--set", "acquisition.tilts.count=0"], "at least 1"),
        (["run", "quickstart", "--only", "RESIER"], "did you mean 'RESIRE'"),
        (["run", "quickstart", "--set", "limits.memory_GB=0.01"], "GB"),
        (["validate", "quickstart", "--plugin", "nothing.py"], "no such file"),
        (["info", "genfir"], "did you mean 'genfire'"),
        (["list", "things"], "allowed"),
        (["report", "."], "not a run folder"),
        (["run", "quickstart", "--device", "cuda:7"], "allowed: cpu, cuda"),
    ],
)
def test_bad_usage_is_one_message_and_status_2(tmp_path, words, expected, cli_run):
    assert expected in cli_run(tmp_path, *words, status=2).stderr


def test_a_particle_larger_than_its_box_is_refused_with_the_numbers(tmp_path, cli_run):
    for command in ("run", "plan"):
        result = cli_run(tmp_path, command, "quickstart", "--scale", "smoke", "--set", "phantom.atoms=400", status=2)
        assert "box" in result.stderr


def test_an_interrupted_run_says_so_and_continues(tmp_path, cli_run):
    words = ["run", "quickstart", "--scale", "smoke", "--out", "out", "--only", "WBP", "--set", "figures=[]"]
    heard = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
    process = cli_run.start(tmp_path, *words, preexec_fn=heard)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".benchsuite/store/image/*/*/*/manifest.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert (table["status"] == "interrupted").all()
    images = len(list(tmp_path.glob(".benchsuite/store/image/*/*/*/manifest.json")))
    assert 1 <= images < 10
    cli_run(tmp_path, *words)
    assert (pd.read_csv(tmp_path / "out" / "results.csv")["status"] == "ok").all()


def test_listing_and_information(tmp_path, cli_run):
    for what in ("phantoms", "reconstructors", "metrics", "scenarios"):
        result = cli_run(tmp_path, "list", what)
        assert len(result.stdout.splitlines()) >= 3
    text = cli_run(tmp_path, "info", "genfire").stdout
    assert "interpolation_radius" in text
    assert "doi" in text
    assert "numpy" in cli_run(tmp_path, "doctor").stdout


def test_an_unwritable_output_is_a_clear_error(tmp_path, cli_run):
    (tmp_path / "file").write_text("")
    for out in ("file/x", "/proc/x"):
        result = cli_run(tmp_path, "run", "quickstart", "--out", out, status=2)
        assert f"cannot write {out}" in result.stderr
