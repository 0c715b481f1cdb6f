"""The store accepts nothing that is not whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from benchsuite.atomic import write_bytes
from benchsuite.errors import StoreError
from benchsuite.store import MANIFEST, Key, Store, find_damage

KEY = Key("image", "ab" * 16, "cd" * 8)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def fill(store, key=KEY):
    with store.writing(key, {"stage": "image", "code": {"module": "1"}}) as folder:
        np.save(folder / "image.npy", np.arange(1000.0))
        (folder / "deep").mkdir()
        (folder / "deep" / "facts.json").write_text("{}")
    return store.path(key)


def test_store_returns_what_was_written(store):
    assert store.open(KEY) is None
    folder = fill(store)
    assert store.open(KEY) == folder
    assert store.manifest(KEY)["stage"] == "image"


def test_an_exception_leaves_nothing(store):
    def fail():
        with store.writing(KEY, {}) as folder:
            (folder / "half").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not store.has(KEY)
    assert not list(store.root.rglob("*half*"))


@pytest.mark.parametrize("seed", range(20))
def test_every_bit_flip_is_noticed(store, seed):
    folder = fill(store)
    rng = np.random.default_rng(seed)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    file = files[rng.integers(len(files))]
    data = bytearray(file.read_bytes())
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    file.write_bytes(data)
    assert store.open(KEY) is None
    assert not store.has(KEY)
    assert fill(store) == store.open(KEY)


def test_one_file_is_read_only_if_it_and_the_manifest_are_whole(store):
    folder = fill(store)
    assert store.read(KEY, "deep/facts.json") == b"{}"
    assert store.read(KEY, "deep/nothing.json") is None
    manifest = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(manifest.replace('"stage": "image"', '"stage": "imagf"'))
    assert store.read(KEY, "deep/facts.json") is None
    (folder / MANIFEST).write_text(manifest)
    (folder / "deep" / "facts.json").write_text("[]")
    assert store.read(KEY, "deep/facts.json") is None


@pytest.mark.parametrize("harm", ["truncate", "remove", "add", "empty manifest", "no manifest"])
def test_other_damage_is_noticed(store, harm):
    folder = fill(store)
    file = folder / "image.npy"
    if harm == "truncate":
        file.write_bytes(file.read_bytes()[:-1])
    elif harm == "remove":
        file.unlink()
    elif harm == "add":
        (folder / "extra").write_text("x")
    elif harm == "empty manifest":
        (folder / MANIFEST).write_text("")
    else:
        (folder / MANIFEST).unlink()
    assert find_damage(folder) is not None
    assert store.open(KEY) is None
    fill(store)
    assert find_damage(store.path(KEY)) is None


def test_a_second_writer_of_the_same_key_does_no_harm(store):
    fill(store)
    fill(store)
    assert store.open(KEY) is not None


def test_keys_depend_on_inputs_upstream_and_code():
    base = Key.of("series", {"dose": 1.0}, [KEY], {"m": "1"})
    assert base == Key.of("series", {"dose": 1.0}, [KEY], {"m": "1"})
    assert base != Key.of("series", {"dose": 2.0}, [KEY], {"m": "1"})
    assert base != Key.of("series", {"dose": 1.0}, [], {"m": "1"})
    changed = Key.of("series", {"dose": 1.0}, [KEY], {"m": "2"})
    assert changed.inputs == base.inputs
    assert changed.code != base.code
    assert Key.parse(str(base)) == base


MAKER = """
import os, sys, time
from pathlib import Path
from benchsuite.store import Store, Key
store, log = Store(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
for number in range(5):
    key = Key("image", f"{number:032x}", "0" * 16)
    with store.making(key):
        if store.open(key) is None:
            os.write(log, f"{number}\\n".encode())
            time.sleep(0.05)
            with store.writing(key, {"code": {}}) as folder:
                (folder / "a").write_text("x")
"""


def test_one_of_several_processes_makes_an_entry(store, tmp_path):
    words = [sys.executable, "-c", MAKER, str(store.root), str(tmp_path / "log")]
    makers = [subprocess.Popen(words) for _ in range(4)]
    assert [maker.wait() for maker in makers] == [0] * 4
    assert (tmp_path / "log").read_text().split() == list("01234")
    assert list((store.root / "locks").iterdir()) == []


def test_the_right_to_make_an_entry_ends_with_its_process(store):
    holder = (
        "import sys, time; from benchsuite.store import Key, Store\n"
        "with Store(sys.argv[1]).making(Key.parse(sys.argv[2])):\n  print('held', flush=True); time.sleep(1000)"
    )
    process = subprocess.Popen([sys.executable, "-c", holder, str(store.root), str(KEY)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    waited = []

    def waiting():
        if not waited:
            process.kill()
        waited.append(True)

    with store.making(KEY, waiting):
        assert waited


WRITER = """
import sys, numpy as np
from benchsuite.store import Store, Key
store = Store(sys.argv[1])
print("ready", flush=True)
for n in range(10000):
    with store.writing(Key("image", f"{n:032x}", "0" * 16), {"code": {}}) as folder:
        np.save(folder / "a.npy", np.random.default_rng(n).random(20000))
"""


def test_a_killed_writer_leaves_no_entry_that_is_accepted_and_wrong(store):
    rng = np.random.default_rng(0)
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(store.root)], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        time.sleep(float(rng.uniform(0.02, 0.4)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    entries = [file.parent for file in store.root.glob("image/*/*/*/" + MANIFEST) if not file.parent.name.startswith(".tmp-")]
    assert entries
    for folder in entries:
        assert find_damage(folder) is None
        number = int(folder.parent.name, 16)
        assert np.array_equal(np.load(folder / "a.npy"), np.random.default_rng(number).random(20000))
    store.sweep_temporaries()
    assert not list(store.root.glob("*/*/*/.tmp-*"))


def test_a_read_only_folder_is_a_clear_error(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StoreError, match="read-only"):
        write_bytes(tmp_path / "file", b"data")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="needs root to mount a tiny file system")
def test_a_full_disk_is_a_clear_error(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        store = Store(small / "store")
        with pytest.raises(StoreError, match="disk is full"), store.writing(KEY, {}) as folder:
            (folder / "big").write_bytes(bytes(200_000))
        assert not store.has(KEY)
        assert not list(small.rglob(".tmp-*"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_manifest_is_plain_json(store):
    folder = fill(store)
    assert set(json.loads((folder / MANIFEST).read_text())) >= {"files", "key", "seal"}
