"""The worker process of a task: makes stages in the store and reports events as JSON lines. Started by `processes`.

It lives exactly as long as its parent wants it: standard input closing means that the parent is gone, and it ends at once.
What the algorithm prints goes to standard error, which the parent keeps as the log of the task.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import threading
import traceback
from typing import Any

from benchsuite.runner.loop import CellFailure


def main() -> None:
    """Read one request from standard input, work, and write events to the original standard output."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    faulthandler.enable()  # a crash in compiled code leaves a traceback in the log
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def notify(**event: Any) -> None:
        events.write(json.dumps(event) + "\n")

    notify(**_outcome(task, notify))


def _outcome(task: dict[str, Any], notify: Any) -> dict[str, Any]:
    from benchsuite.errors import BenchsuiteError
    from benchsuite.runner.task import Task

    try:
        Task(**task).work(notify)
    except CellFailure as failure:
        return {"event": "end", "status": failure.status, "reason": failure.reason}
    except MemoryError as error:
        return {"event": "end", "status": "oom", "reason": f"MemoryError: {error}"}
    except BenchsuiteError as error:
        return {"event": "end", "status": "error", "reason": str(error)}
    except Exception as error:  # whatever a plugin raises becomes the cell's reason, its traceback the cell's log
        traceback.print_exc()
        status = "oom" if type(error).__name__ == "OutOfMemoryError" else "error"
        return {"event": "end", "status": status, "reason": f"{type(error).__name__}: {error}"}
    return {"event": "end", "status": "ok", "reason": ""}


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(113)


if __name__ == "__main__":
    main()
