"""The thread pool: tests/cpp/thread_pool_check.cpp, plain and under ThreadSanitizer, and its default size."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHECKS = [
    "partition",
    "many_regions",
    "exceptions",
    "nested",
    "concurrent",
    "oversubscription",
    "sizes",
    "fork",
]


def build(cxx: str, target: Path, *flags: str) -> subprocess.CompletedProcess:
    sources = ["tests/cpp/thread_pool_check.cpp"]
    sources += [f"csrc/runtime/{name}.cpp" for name in ("thread_pool", "cpu_count", "errors")]
    command = [
        cxx,
        "-std=c++20",
        "-O2",
        "-pthread",
        *flags,
        f"-I{ROOT / 'csrc'}",
        *sources,
        "-o",
        str(target),
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def program(cxx, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("pool") / "check"
    result = build(cxx, target)
    assert result.returncode == 0, result.stderr
    return target


@pytest.fixture(scope="module")
def watched_program(cxx, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("pool") / "check"
    if build(cxx, target, "-g", "-fsanitize=thread").returncode != 0:
        pytest.skip("the compiler has no ThreadSanitizer")
    return target


def run(program: Path, check: str) -> None:
    result = subprocess.run([program, check], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("check", CHECKS)
def test_pool(program, check):
    run(program, check)


@pytest.mark.slow
@pytest.mark.parametrize(
    "check", [c for c in CHECKS if c != "fork"]
)  # the sanitizer allows no threads after fork
def test_pool_has_no_races(watched_program, check):
    run(watched_program, check)


def test_variable_sets_the_number_of_threads(run_with_core):
    assert run_with_core("print(_core.num_threads())", SYMCONV_NUM_THREADS="5").stdout == "5\n"


@pytest.mark.parametrize("text", ["0", "-2", "two", "1.5", "513", "3 "])
def test_variable_that_is_no_number_is_refused(run_with_core, text):
    result = run_with_core("_core.num_threads()", SYMCONV_NUM_THREADS=text)
    assert (
        f"ValueError: SYMCONV_NUM_THREADS is '{text}', expected a whole number from 1 to 512" in result.stderr
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks on this system")
def test_affinity_bounds_the_number_of_threads(run_with_core):
    pin = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    assert run_with_core(pin + "print(_core.num_threads())").stdout == "1\n"
    assert 1 <= int(run_with_core("print(_core.num_threads())").stdout) <= len(os.sched_getaffinity(0))
