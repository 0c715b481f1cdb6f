"""Raw float32 images beside a text header, the smallest useful file format: `scan.raw2` holds lines such as

    shape 41 64 64
    pixel_A 0.4
    data scan.f32

Try it: benchsuite validate mine.yaml --plugin raw2.py, where mine.yaml says series: {file: scan.raw2, …}
"""

from __future__ import annotations

from pathlib import Path

from benchsuite import Contents, MappedArray, Reader


class Raw2(Reader):
    title = "raw float32 images with a text header"
    reference = "docs/how-to/add-a-format.md"
    suffixes = (".raw2",)

    def open(self, file: Path, dataset: str | None = None) -> Contents:
        header = dict(line.split(maxsplit=1) for line in file.read_text().splitlines())
        shape = tuple(int(length) for length in header["shape"].split())
        data = file.with_name(header["data"])
        metadata = {"scan_step_A": float(header["pixel_A"])}
        return Contents(MappedArray(data, "<f4", shape), metadata, axes=("tilt", "y", "x"), files=(data,))
