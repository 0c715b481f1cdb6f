"""Writing the pages of many cells: only those whose content has changed, by several processes where there are many."""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchsuite.atomic import write_text
from benchsuite.reports.drawn import code, digest
from benchsuite.reports.pages.page import Place, page
from benchsuite.reports.pool import Member
from benchsuite.results import Run

FEWEST_PER_PROCESS = 40  # a process takes two seconds to start, as long as forty pages
HEAD = 400  # characters within which a page states its key
CHUNK = 20
MOST_PROCESSES = 4  # each holds a quarter of a gigabyte of libraries


@contextmanager
def writing_pages(members: Sequence[Member], folder: Path, root: str) -> Iterator[int]:
    """Write RUN/CELL.html below `folder` for every member while the body of the `with` runs; yield how many are drawn.

    A page is drawn anew where the record of its cell, the facts of its run, its neighbours or the code of the reports have changed.
    Pages of cells that are no more are deleted. root: the way from a page to the folder that holds assets/.
    """
    jobs = _jobs(members, folder, root)
    _remove_stale(members, folder)
    processes = min(MOST_PROCESSES, len(os.sched_getaffinity(0)), len(jobs) // FEWEST_PER_PROCESS)
    if processes < 2:
        for member, file, place in jobs:
            write_text(file, page(member.run, member.id, place))
        yield len(jobs)
        return
    context = multiprocessing.get_context("spawn")  # zarr and numba have threads, which a fork would lose
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        told = [(str(member.run.folder.absolute()), member.id, str(file.absolute()), place) for member, file, place in jobs]
        written = pool.map(_write, told, chunksize=CHUNK)
        try:
            yield len(jobs)
            for _ in written:
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _jobs(members: Sequence[Member], folder: Path, root: str) -> list[tuple[Member, Path, Place]]:
    """Return what has to be drawn."""
    facts = {member.run_name: _facts_of(member.run) for member in members}
    jobs = []
    for number, member in enumerate(members):
        before, after = (f"../{members[i].page}" if 0 <= i < len(members) else "" for i in (number - 1, number + 1))
        key = digest([facts[member.run_name], member.run.records[member.id], before, after, root, code()])
        if _key_of(folder / member.page) != key:
            jobs.append((member, folder / member.page, Place(member.run_name, root, before, after, key)))
    return jobs


def _write(job: tuple[str, str, str, Place]) -> None:
    """Draw and write one page, in a process that draws many."""
    folder, cell_id, file, place = job
    write_text(file, page(_run(folder), cell_id, place))


@functools.lru_cache(maxsize=8)
def _run(folder: str) -> Run:
    return Run(folder)


def _remove_stale(members: Sequence[Member], folder: Path) -> None:
    kept = {folder / member.page for member in members}
    for file in folder.glob("*/*.html"):
        if file not in kept:
            file.unlink()


def _key_of(file: Path) -> str | None:
    """Return the key that a page states, or None where there is no page."""
    try:
        with open(file, encoding="utf-8") as stream:
            head = stream.read(HEAD)
    except (OSError, UnicodeDecodeError):
        return None
    _, found, rest = head.partition('name="content-key" content="')
    return rest.partition('"')[0] if found else None


def _facts_of(run: Run) -> str:
    lasting = {
        name: fact for name, fact in run.provenance.items() if name != "started"
    }  # running a finished run again changes no page
    return digest([dict(run.scenario), run.scale, run.sweep_keys, dict(run.shared_forward_models), lasting, run.folder.name])
