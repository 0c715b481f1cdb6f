"""What is drawn already: figures are drawn anew only where what they show, or the code that draws them, has changed."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from benchsuite.atomic import write_bytes, write_text
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


@dataclass(frozen=True)
class Picture:
    """A figure of the page: file name stem, caption, or the error that kept it from being drawn."""

    slug: str
    caption: str
    error: str = ""


class Drawn:
    """The figures in some folders, each of which gets all of them as PNG and PDF; the first remembers what they show."""

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

    def draw(self, name: str, key: str, caption: str, make: Callable[[], dict[str, Figure]]) -> list[Picture]:
        """Return the pictures of a figure, drawn anew where it is not there with this key; an error becomes its text."""
        known = self._known.get(name, {})
        slugs = known.get("slugs")
        if known.get("key") == key and isinstance(slugs, list) and all(self._there(str(slug)) for slug in slugs):
            self._now[name] = known
            return [Picture(str(slug), caption) for slug in slugs]
        try:
            made = {slug: (png(figure, self.dpi), pdf(figure)) for slug, figure in make().items()}
        except Exception as error:  # a figure must not cost the report: the error is shown in its place
            log.error("figure %s for %s could not be drawn:\n%s", name, self.folders[0], traceback.format_exc())
            return [Picture(name, caption, f"{type(error).__name__}: {error}")]
        for slug, (bitmap, vector) in made.items():
            for folder in self.folders:
                write_bytes(folder / f"{slug}.png", bitmap)
                write_bytes(folder / f"{slug}.pdf", vector)
        self._now[name] = {"key": key, "slugs": list(made)}
        return [Picture(slug, caption) for slug in made]

    def _there(self, slug: str) -> bool:
        return all((folder / f"{slug}.{kind}").is_file() for folder in self.folders for kind in ("png", "pdf"))

    def close(self) -> None:
        """Write down what there is, and delete figures that were drawn earlier and are no part of the report any more."""
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
