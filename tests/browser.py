"""A headless browser for tests that open a page as a reader does."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def chromium() -> str:
    """A browser's program; the test is skipped where none is installed."""
    for name in (os.environ.get("CHROMIUM"), *NAMES):
        if name and (path := shutil.which(name)):
            return path
    pytest.skip(f"no headless browser is installed ({', '.join(NAMES)}, or CHROMIUM)")


def command(profile: Path, *options: str) -> list[str]:
    # No network: every host name leads nowhere, but for this machine's own address.
    return [
        chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", *options,
    ]  # fmt: skip


def _run(page: Path, profile: Path, *options: str) -> str:
    return subprocess.run(
        [*command(profile, *options), page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    ).stdout


def rendered(page: Path, profile: Path) -> str:
    """The page's HTML after its scripts have run."""
    return _run(page, profile, "--dump-dom")


def screenshot(page: Path, picture: Path, profile: Path, width: int, height: int, *options: str) -> None:
    _run(page, profile, f"--screenshot={picture}", f"--window-size={width},{height}", *options)


class Tab:
    """A page in a browser that is driven step by step, by Chrome's DevTools protocol over two pipes.

    https://chromedevtools.github.io/devtools-protocol/
    """

    def __init__(self, profile: Path, *options: str) -> None:
        read_there, self.write_end = os.pipe()
        self.read_end, write_there = os.pipe()

        def hand_over() -> None:  # the browser reads from file 3 and writes to file 4
            a, b = os.dup(read_there), os.dup(write_there)
            a, b = (os.dup2(end, 10 + k) for k, end in enumerate((a, b)))
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            command(profile, "--remote-debugging-pipe", *options, "about:blank"),
            preexec_fn=hand_over,
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_there)
        os.close(write_there)
        self.buffer, self.count = b"", 0
        self.answers: dict[int, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(t for t in targets if t["type"] == "page")
        found = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = found["sessionId"]
        self.call("Runtime.enable")
        self.call("Log.enable")
        self.call("Page.enable")

    def close(self) -> None:
        for end in (self.write_end, self.read_end):
            os.close(end)
        self.process.terminate()
        self.process.wait(30)

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, method: str, **parameters: Any) -> int:
        """Ask for something without waiting; its number, for `wait`."""
        self.count += 1
        message: dict[str, Any] = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            self.receive(0)  # or both sides would wait for each other with full pipes
            if select.select([], [self.write_end], [], 1)[1]:
                data = data[os.write(self.write_end, data[:4096]) :]
        return self.count

    def wait(self, number: int, seconds: float = 60) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while number not in self.answers:
            assert time.monotonic() < end, "the browser does not answer"
            self.receive(1)
        answer = self.answers.pop(number)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.wait(self.send(method, **parameters))

    def receive(self, seconds: float) -> None:
        if not select.select([self.read_end], [], [], seconds)[0]:
            return
        data = os.read(self.read_end, 1 << 20)
        assert data, "the browser has ended"
        *whole, self.buffer = (self.buffer + data).split(b"\0")
        for text in whole:
            message = json.loads(text)
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.events.append(message)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, a promise's when it is kept."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str, seconds: float = 30) -> None:
        """Wait until the expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.005)

    def complaints(self) -> list[str]:
        """What the page threw or logged as an error so far."""
        found = []
        for event in self.events:
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(event["params"]["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"])
        return found

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def screenshot(self, picture: Path, width: int, height: int) -> None:
        self.resize(width, height)
        data = self.call("Page.captureScreenshot", format="png")["data"]
        picture.write_bytes(base64.b64decode(data))
