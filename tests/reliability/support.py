"""Runs of the odd scenario as command lines, and what they leave in a store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchsuite.store import CORRUPT, MANIFEST, find_damage


class Odd:
    """A folder with the odd scenario: command lines in it, and what they leave."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def words(self, out: str, store: str, *more: str) -> list[str]:
        """The command line of a run."""
        words = ["run", "odd.yaml", "--plugin", "odd.py", "--out", out, "--store", store, "--workers", "2", *more]
        return [sys.executable, "-m", "tests.reliability.without_report", *words]

    def start(self, out: str = "out", store: str = "store", *more: str, **options) -> subprocess.Popen:
        """Begin a run; its messages go into a file."""
        with open(self.folder / f"{Path(out).name}.log", "a") as log:
            return subprocess.Popen(self.words(out, store, *more), stdout=log, stderr=log, cwd=self.folder, **options)

    def run(self, out: str = "out", store: str = "store", *more: str, **options) -> int:
        """Run to the end and return the exit status."""
        return self.start(out, store, *more, **options).wait()

    def said(self, out: str = "out") -> str:
        """All messages of the runs into this folder."""
        return (self.folder / f"{out}.log").read_text()


def entries(store: Path) -> list[Path]:
    """The folders of all sealed entries of a store."""
    found = [file.parent for file in store.glob("[a-z]*/??/*/*/" + MANIFEST)]
    return [folder for folder in found if folder.parts[-4] != CORRUPT and not folder.name.startswith(".tmp-")]


def damaged(store: Path) -> list[str]:
    """What is wrong in a store; entries that were set aside count."""
    wrong = [f"{folder}: {damage}" for folder in entries(store) if (damage := find_damage(folder)) is not None]
    return wrong + [str(folder) for folder in (store / CORRUPT).glob("*")]


def contents(store: Path, stages: tuple[str, ...] = ("phantom", "image", "series", "atoms", "scores")) -> dict[str, bytes]:
    """The bytes of all entries of stages that do not tell how long they took."""
    folders = [folder for folder in entries(store) if folder.parts[-4] in stages]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(store)): file.read_bytes() for file in files}
