"""The command line of a run, without the report that follows: `python -m tests.reliability.without_report run …`."""

from __future__ import annotations

import signal
from pathlib import Path

from benchsuite import reports
from benchsuite.cli import main

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
    reports.write_report = lambda run: Path("none")  # type: ignore[assignment]
    main()
