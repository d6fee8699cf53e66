"""A headless browser for tests that open a page as a reader does."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def chromium() -> str:
    """A browser's program; the test is skipped where none is installed."""
    for name in (os.environ.get("CHROMIUM"), *NAMES):
        if name and (path := shutil.which(name)):
            return path
    pytest.skip(f"no headless browser is installed ({', '.join(NAMES)}, or CHROMIUM)")


def _run(page: Path, profile: Path, *options: str) -> str:
    # No network: every host name leads nowhere.
    command = [
        chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND", *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def rendered(page: Path, profile: Path) -> str:
    """The page's HTML after its scripts have run."""
    return _run(page, profile, "--dump-dom")


def screenshot(page: Path, picture: Path, profile: Path, width: int, height: int, *options: str) -> None:
    _run(page, profile, f"--screenshot={picture}", f"--window-size={width},{height}", *options)
