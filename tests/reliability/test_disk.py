"""Disks that refuse: a clear message, nothing half-written, and the run resumes when they no longer do."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess

import pandas as pd
import pytest

from tests.reliability.support import damaged

pytestmark = pytest.mark.slow
LARGE = ("--set", "grid.shape=[64, 64, 64]")


def leftovers(folder):
    return list(folder.rglob(".tmp-*"))


def statuses(odd):
    return list(pd.read_csv(odd.folder / "out" / "results.csv")["status"])


@pytest.fixture
def small_disk(odd_folder):
    """A file system of 1 MB for the store, and a function that mounts it anew with other options."""
    disk = odd_folder.folder / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(odd_folder, small_disk, shown):
    assert odd_folder.run("out", "disk/store", *LARGE) == 3
    assert statuses(odd_folder) == ["error"]
    assert "the disk is full; nothing half-written was left under that name" in odd_folder.said()
    assert leftovers(odd_folder.folder / "disk") == []
    small_disk("size=50m")
    assert odd_folder.run("out", "disk/store", *LARGE) == 0, odd_folder.said()
    assert statuses(odd_folder) == ["ok"]
    assert damaged(odd_folder.folder / "disk" / "store") == []
    shown("a full disk during a run", "the cell says so; nothing half-written; the same command completes it")


def test_a_read_only_folder(odd_folder, small_disk, shown):
    small_disk("ro")
    assert odd_folder.run("disk/out", "store") == 2
    assert "cannot write disk/out: the file system is read-only" in odd_folder.said("out")
    assert odd_folder.run("out", "disk/store") == 3
    assert "the file system is read-only" in odd_folder.said()
    small_disk("rw,size=50m")
    assert odd_folder.run("out", "disk/store") == 0, odd_folder.said()
    shown("a read-only run folder, a read-only store", "refused with status 2; the cell says so; the same command completes it")


def test_a_limit_of_file_sizes(odd_folder, shown):
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    assert odd_folder.run("out", "store", *LARGE, preexec_fn=limited) == 3
    assert "files may not be that large (see ulimit -f)" in odd_folder.said()
    assert leftovers(odd_folder.folder) == []
    assert odd_folder.run("out", "store", *LARGE) == 0, odd_folder.said()
    assert damaged(odd_folder.folder / "store") == []

    def tiny():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    assert odd_folder.run("other", "store", *LARGE, preexec_fn=tiny) == 2
    assert leftovers(odd_folder.folder) == []
    assert not (odd_folder.folder / "other" / "results.csv").exists()
    shown("a limit of file sizes, for a volume and for the run folder", "both say so; nothing half-written; resumes")
