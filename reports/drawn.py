"""Figures on disk: each is drawn anew only where what it shows, or the code that draws it, has changed."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure as MplFigure

from benchsuite.atomic import write_bytes, write_text
from benchsuite.registry import source_file
from benchsuite.reports.style import pdf, png

log = logging.getLogger(__name__)

FILE = "drawn.json"


def digest(value: object) -> str:
    """Return the SHA-256 (32 hex digits) of anything that JSON can hold, of other things by their text."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]


@functools.cache
def code() -> str:
    """Return a digest of all that makes reports: sources, templates, scripts, version of matplotlib."""
    import matplotlib

    files = sorted(file for file in Path(__file__).parent.rglob("*") if file.suffix in (".py", ".j2", ".js", ".css"))
    return digest([matplotlib.__version__, [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]])


def source_digest(cls: type) -> str:
    """Return a digest of the file that defines a class: `code` does not cover figures from elsewhere."""
    return hashlib.sha256(source_file(cls).read_bytes()).hexdigest()[:32]


@dataclass(frozen=True)
class Picture:
    """A figure of the page: its file name without a suffix, its caption, and the error that kept it from being drawn."""

    slug: str
    caption: str
    error: str = ""


class Drawn:
    """The figures in some folders, each of which gets all of them as PNG and PDF; the first keeps a record of what they show."""

    def __init__(self, folders: Sequence[Path], dpi: int = 300) -> None:
        self.folders, self.dpi = tuple(folders), dpi
        self._file = self.folders[0] / FILE
        self._known = self._read()
        self._now: dict[str, dict[str, object]] = {}

    def _read(self) -> dict[str, dict[str, object]]:
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def draw(self, name: str, key: str, title: str, make: Callable[[], tuple[str, Mapping[str, MplFigure]]]) -> list[Picture]:
        """Return the pictures of a figure, made anew unless they are there with this key.

        make: returns the caption and the parts by file name; what it raises becomes the text of a single picture.
        """
        known = self._known.get(name, {})
        slugs = known.get("slugs")
        if known.get("key") == key and isinstance(slugs, list) and all(self._is_there(str(slug)) for slug in slugs):
            self._now[name] = known
            return [Picture(str(slug), str(known.get("caption", title))) for slug in slugs]
        try:
            caption, figures = make()
            made = {slug: (png(figure, self.dpi), pdf(figure)) for slug, figure in figures.items()}
        except Exception as error:  # a figure must not cost the report: the error is shown in its place
            log.error("figure %s for %s could not be drawn:\n%s", name, self.folders[0], traceback.format_exc())
            return [Picture(name, title, f"{type(error).__name__}: {error}")]
        for slug, (bitmap, vector) in made.items():
            for folder in self.folders:
                write_bytes(folder / f"{slug}.png", bitmap)
                write_bytes(folder / f"{slug}.pdf", vector)
        self._now[name] = {"key": key, "slugs": list(made), "caption": caption}
        return [Picture(slug, caption) for slug in made]

    def _is_there(self, slug: str) -> bool:
        return all((folder / f"{slug}.{kind}").is_file() for folder in self.folders for kind in ("png", "pdf"))

    def close(self) -> None:
        """Record what there is, and delete figures that were drawn earlier and are no longer part of the report."""
        kept = {str(slug) for entry in self._now.values() for slug in self._slugs(entry)}
        for slug in {str(slug) for entry in self._known.values() for slug in self._slugs(entry)} - kept:
            for folder in self.folders:
                for kind in ("png", "pdf"):
                    (folder / Path(slug).name).with_name(f"{Path(slug).name}.{kind}").unlink(missing_ok=True)
        if self._now != self._known:
            write_text(self._file, json.dumps(self._now, indent=1, sort_keys=True))

    @staticmethod
    def _slugs(entry: object) -> list[object]:
        slugs = entry.get("slugs") if isinstance(entry, dict) else None
        return slugs if isinstance(slugs, list) else []
