"""Every example runs to its end, on few data, in a fresh interpreter, and leaves no litter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SAVES = ("04_shallow_net.py", "05_conv_net.py")


def test_there_are_examples():
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_example_runs(path, tmp_path):
    if path.name in SAVES:
        pytest.importorskip("matplotlib")
        pytest.importorskip("safetensors")
    options = ["--quick"] if "--quick" in path.read_text(encoding="utf-8") else []
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning:symconv", str(path), *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout
    assert {p.name for p in tmp_path.iterdir()} == ({"runs"} if path.name in SAVES else set())
