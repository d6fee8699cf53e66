"""Commands run here and as processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import symconv as sc
from symconv.cli import main

ROOT = Path(sc.__file__).resolve().parents[1]


def error_of(capsys, code: int, *argv: str) -> str:
    """What the command prints to standard error; it must end with that code and without a traceback."""
    assert main(list(argv)) == code
    text = capsys.readouterr().err
    assert "Traceback" not in text and text.startswith(f"symconv {argv[0]}: error: ")
    return text


def start(*argv: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "symconv", *argv],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
