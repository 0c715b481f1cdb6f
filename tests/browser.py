"""A headless Chromium that tests drive through the pipe of the DevTools protocol: no driver, no port, no network.

Protocol: https://chromedevtools.github.io/devtools-protocol/ (messages are JSON that end in a zero byte, on descriptors 3 and 4).
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import io
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip
LAUNCHER = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execvp(sys.argv[3], sys.argv[3:])"
PATIENCE_S = 60.0


def find_chromium() -> str | None:
    """Return the browser that $CHROMIUM names, or the first that is installed."""
    return os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One tab. Collects what pages complain about (`complaints`) and what they ask of a network (`requests`)."""

    def __init__(self, process: subprocess.Popen[bytes], read: int, write: int) -> None:
        self._process, self._read, self._write = process, read, write
        self._buffer, self._last, self._events = b"", 0, list[dict[str, Any]]()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command to the tab and return its result."""
        return self._call(method, session=self._session, **parameters)

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        number = self._last
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda told: told.get("id") == number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _until(self, wanted: Any) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            while b"\0" in self._buffer:
                text, self._buffer = self._buffer.split(b"\0", 1)
                told = json.loads(text)
                self._note(told)
                if wanted(told):
                    return told
            if not select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            data = os.read(self._read, 1 << 16)
            if not data:
                raise RuntimeError(f"the browser ended: {self._process.poll()}")
            self._buffer += data

    def _note(self, told: dict[str, Any]) -> None:
        facts = told.get("params", {})
        match told.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(facts["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if facts["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(facts["args"]))
            case "Log.entryAdded" if facts["entry"]["level"] == "error":
                self.complaints.append(json.dumps(facts["entry"]))
            case "Network.requestWillBeSent":
                self.requests.append(facts["request"]["url"])
            case "Network.loadingFailed":
                self.complaints.append(json.dumps(facts))

    def open(self, file: Path, fragment: str = "", width: int = 1200, height: int = 900, phone: bool = False) -> None:
        """Load a page from disk and wait until it is complete and has painted."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Page.navigate", url="about:blank")
        loaded = self.call("Page.navigate", url=file.resolve().as_uri() + fragment)
        assert "errorText" not in loaded, loaded
        self.wait_until("location.href !== 'about:blank' && document.readyState === 'complete'")
        self.painted()

    def painted(self) -> None:
        """Wait for two frames: what was asked of the page is on the screen."""
        self.call("Page.bringToFront")
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def wait_until(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.evaluate(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never true: {condition}")
            time.sleep(0.01)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; promises are waited for. Raises AssertionError where it throws."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Click in the middle of the first element that fits."""
        x, y, _, _ = self._middle(selector)
        self._mouse("mousePressed", x, y)
        self._mouse("mouseReleased", x, y)
        self.painted()

    def drag(self, selector: str, right: float, down: float) -> None:
        """Drag the mouse from the middle of an element."""
        x, y, _, _ = self._middle(selector)
        self._mouse("mousePressed", x, y)
        for step in range(1, 6):
            self._mouse("mouseMoved", x + right * step / 5, y + down * step / 5, pressed=True)
        self._mouse("mouseReleased", x + right, y + down)
        self.painted()

    def swipe(self, selector: str, right: float, down: float) -> None:
        """Draw one finger over an element."""
        x, y, _, _ = self._middle(selector)
        self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for step in range(1, 6):
            point = {"x": x + right * step / 5, "y": y + down * step / 5}
            self.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[point])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.call("Emulation.setTouchEmulationEnabled", enabled=False)
        self.painted()

    def press(self, key: str) -> None:
        """Press a key in the focused element."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        code = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowUp": 38, "ArrowDown": 40, "Enter": 13, "Tab": 9}.get(key, 0)
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)
        self.painted()

    def _mouse(self, kind: str, x: float, y: float, pressed: bool = False) -> None:
        held = kind != "mouseMoved" or pressed
        button = "left" if held else "none"
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=int(held), clickCount=1)

    def _middle(self, selector: str) -> tuple[float, float, float, float]:
        box = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2, b.width, b.height]; })()"
        )
        return tuple(box)  # type: ignore[return-value]

    def pixels(self, selector: str | None = None, whole: bool = False) -> np.ndarray:
        """Return what is on the screen, of an element or all: (height, width, 3) of bytes."""
        return decode(self.png(selector, whole))

    def png(self, selector: str | None = None, whole: bool = False) -> bytes:
        """Return a screenshot; `whole`: of all of the page, not only what the window shows."""
        clip: dict[str, Any] = {}
        if selector is not None:
            x, y, width, height = self._middle(selector)
            top = self.evaluate("[scrollX, scrollY]")
            corner = {"x": x - width / 2 + top[0], "y": y - height / 2 + top[1], "width": width, "height": height, "scale": 1}
            clip = {"clip": corner, "captureBeyondViewport": False}
        elif whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {
                "clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1},
                "captureBeyondViewport": True,
            }
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", **clip)["data"])


def decode(png: bytes) -> np.ndarray:
    """Return a PNG as (height, width, 3) of bytes."""
    from matplotlib.image import imread

    return np.round(255 * imread(io.BytesIO(png), format="png")[..., :3]).astype(np.uint8)


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Start a browser whose profile is in `folder`; skips the test where there is none."""
    program = find_chromium()
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed, and $CHROMIUM names none")
    to_browser, from_browser = os.pipe(), os.pipe()
    theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (to_browser[0], from_browser[1])]  # clear of 3 and 4
    command = [sys.executable, "-c", LAUNCHER, *map(str, theirs), program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(command, pass_fds=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        for fd in (*theirs, to_browser[0], from_browser[1]):
            os.close(fd)
        try:
            browser = Browser(process, from_browser[0], to_browser[1])
            yield browser
            with contextlib.suppress(Exception):
                browser._call("Browser.close")
        finally:
            process.terminate()
            for fd in (from_browser[0], to_browser[1]):
                os.close(fd)
