"""Files of every format with bytes flipped, zeroed, cut and repeated: read or refused, and never more than that.

In a process of its own, whose memory is limited and whose death would be seen: the libraries that read them are compiled.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

FORMATS = ("s.mrc", "s.tif", "s.h5", "s.npy")
MEMORY_BYTES = 3 << 30  # of addresses, which a process with its libraries has 1 to 2 GB of


def damaged(rng, data):
    """The bytes after one to three changes."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, length = rng.randrange(len(data)), rng.choice((1, 2, 4, 8, 64))
        if rng.random() < 0.6:  # headers are where harm is done
            at = rng.randrange(min(len(data), 1200))
        kind = rng.randrange(5)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + length] = bytes(len(data[at : at + length]))
        elif kind == 2:
            data[at : at + length] = b"\xff" * len(data[at : at + length])
        elif kind == 3:
            del data[at : at + rng.choice((1, 16, len(data)))]
        else:
            data[at:at] = data[at : at + length]
        data = data or bytearray(1)
    return bytes(data)


@pytest.mark.parametrize("count", [80, pytest.param(2000, marks=pytest.mark.slow)])
def test_damaged_files_are_read_or_refused(tmp_path, writers, stack, count):
    for name in FORMATS:
        writers[name](tmp_path / f"whole.{name}", stack)
    told = subprocess.run(
        [sys.executable, __file__, str(tmp_path), str(count)], capture_output=True, text=True, timeout=600, check=False
    )
    assert told.returncode == 0, told.stderr[-3000:]
    found = json.loads(told.stdout.splitlines()[-1])
    assert found["refused"] + found["read"] == count
    assert found["refused"] > 0.1 * count
    assert found["unnamed"] == []
    print(found)  # noqa: T201


def _main(folder, count):
    """Read damaged files one after the other; print how often what happened, and the longest time of a refusal."""
    import resource
    import time
    from pathlib import Path

    import numpy as np

    from benchsuite.errors import BenchsuiteError
    from benchsuite.measured.series import levelled, open_measured
    from benchsuite.measured.settings import SeriesFile

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    whole = {name: (Path(folder) / f"whole.{name}").read_bytes() for name in FORMATS}
    refused, read, unnamed, slowest = 0, 0, [], 0.0
    for seed in range(count):
        rng = random.Random(seed)
        name = FORMATS[seed % len(FORMATS)]
        file = Path(folder) / name
        file.write_bytes(damaged(rng, whole[name]))
        given = {
            "file": str(file),
            "tilts": [-60.0, -20.0, 20.0, 60.0],
            "scan_step_A": 0.37,
            "energy_keV": 300.0,
            "semiangle_mrad": 21.0,
        }
        section = SeriesFile.model_validate(given)
        began = time.process_time()
        try:
            np.asarray(levelled(open_measured(section), section).data)
            read += 1
        except BenchsuiteError as error:
            refused += 1
            if seed >= len(FORMATS):  # the first of each format imports its library
                slowest = max(slowest, time.process_time() - began)
            if not str(error).startswith("series") and name not in str(error):
                unnamed.append(f"{seed}: {error}")
    sys.stdout.write(json.dumps({"refused": refused, "read": read, "unnamed": unnamed, "slowest_s": round(slowest, 3)}) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
