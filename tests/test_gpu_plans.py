"""Programs for a GPU, made without one: phases, addresses, and snapshots of the book's nets.

SYMCONV_UPDATE_SNAPSHOTS=1 writes tests/snapshots anew.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_gpu_training import step_of

import symconv as sc
from symconv.backends.gpu.emulator_build import _includes
from symconv.backends.gpu.executable import GpuExecutable
from symconv.backends.gpu.persistent import persistent_source
from symconv.config import config
from symconv.graph.params import kernel_dir
from symconv.plan.gpu import HostStep, Phase, Program, choose_executor, explain_program, phases

SNAPSHOTS = Path(__file__).parent / "snapshots"
NETS = ("shallow", "conv", "dbl_conv_relu", "dropout")


def program(f: Any, *args: Any) -> Program:
    executable = f.prepare(*args)
    assert isinstance(executable, GpuExecutable)
    return executable.program


@pytest.mark.parametrize("batch", [10, 128, 1024])
@pytest.mark.parametrize("name", NETS)
def test_snapshots(name: str, batch: int) -> None:
    """Kernels, launch geometry, phases and the executor of every training step."""
    p = program(step_of(name, "emulated", batch)[0], 0)
    assert not [x for x in p.launches if isinstance(x, HostStep)], "all steps have CUDA kernels"
    text = explain_program(p, choose_executor(p)) + "\n"
    path = SNAPSHOTS / f"{name}_{batch}.txt"
    if os.environ.get("SYMCONV_UPDATE_SNAPSHOTS"):
        SNAPSHOTS.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def position(groups: list[Phase], p: Program, entry: str, nth: int = 0) -> int:
    numbers = [i for i, x in enumerate(p.sequence) if x.entry.startswith(entry)]
    return next(k for k, phase in enumerate(groups) if any(numbers[nth] in unit for unit in phase))


def test_independent_launches_share_a_phase() -> None:
    x = sc.matrix("x")
    f = sc.function([x], [sc.softmax(x), sc.log_softmax(x), sc.softmax(x, axis=0)], device="emulated")
    p = program(f, np.zeros((3, 4), "float32"))
    assert phases(p) == [((0,), (1,), (2,)), ((3,),)]  # the last is `advance`


def test_chains_are_in_order() -> None:
    x = sc.matrix("x")
    f = sc.function([x], sc.log_softmax(sc.softmax(x, axis=0)), device="emulated")
    small, large = (program(f, np.zeros((n, 4), "float32")) for n in (3, 300))
    assert phases(small) == [((0, 1, 2),)]  # one block does them in a row
    assert phases(large) == [((0,),), ((1,),), ((2,),)]


def test_a_state_is_overwritten_after_its_readers() -> None:
    """One launch reads the old value, another writes the new one over it."""
    x = sc.matrix("x")
    w = sc.shared(np.zeros((300, 4), "float32"))
    f = sc.function([x], sc.log_softmax(w), updates=[(w, sc.softmax(x))], device="emulated")
    p = program(f, np.zeros((300, 4), "float32"))
    groups = phases(p)
    assert groups is not None and position(groups, p, "log_softmax") < position(groups, p, "softmax_f32")


def test_addresses_are_worked_out_before_they_are_used() -> None:
    data = sc.shared(np.arange(1200, dtype="float32").reshape(300, 4) / 300)
    i = sc.lscalar("i")
    rows = data[i : i + 100]
    f = sc.function([i], sc.softmax(rows), device="emulated")
    p = program(f, 3)
    groups = phases(p)
    assert groups is not None and position(groups, p, "resolve") < position(groups, p, "softmax")
    for k in (0, 3, 200):
        want = np.exp(data.get_value()[k : k + 100])
        np.testing.assert_allclose(f(k), want / want.sum(1, keepdims=True), rtol=1e-5)


def test_what_decides_the_executor() -> None:
    x = sc.matrix("x")
    f = sc.function([x], sc.softmax(x), device="emulated")
    small, large = (program(f, np.zeros((n, 1000), "float32")) for n in (2, 100_000))
    assert choose_executor(small).name == "persistent"
    assert choose_executor(large).name == "graph"
    assert choose_executor(small, "kernels").reason == "asked for by config.gpu_executor"


def test_the_text_of_a_persistent_kernel_depends_on_sizes_only() -> None:
    """So that another process finds it in the cache."""

    def text() -> str:
        x = sc.matrix("x")
        w = sc.shared(np.ones((3, 4), "float32"))
        f = sc.function([x], updates=[(w, sc.softmax(x + w))], device="emulated")
        p = program(f, np.zeros((3, 4), "float32"))
        return persistent_source(p, phases(p) or [])[0].code

    assert text() == text()


@pytest.mark.usefixtures("cxx")
@pytest.mark.parametrize("order", [0, 1, 5])
def test_persistent_loops(order: int) -> None:
    """Many rounds in one launch: states, moving inputs and outputs, computed starts."""
    data = sc.shared(np.random.default_rng(0).standard_normal((12, 5)).astype("float32"))
    w = sc.shared(np.zeros((2, 5), "float32"))
    i = sc.lscalar("i")

    def make(device: str) -> Any:
        w.set_value(np.zeros((2, 5), "float32"))
        p = sc.softmax(data[i * 2 : i * 2 + 2] + w)
        return sc.function([i], p, updates=[(w, w + p)], device=device)

    steps = np.array([0, 5, 2, 2, 1, 4, 3])
    want, last = make("reference").map(steps), w.get_value()
    with config(gpu_executor="persistent", emulator_order=order):
        got = make("emulated").map(steps)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(w.get_value(), last, rtol=1e-5)


def test_the_kernels_of_all_files_fit_into_one_text(cxx: str, tmp_path: Path) -> None:
    """A persistent kernel may take any of them: no two files may give one name to different things."""
    names = sorted(p.name for p in kernel_dir().glob("*.cu"))
    text = tmp_path / "all.cpp"
    includes = "\n".join(f'#include "{name}"' for name in ["plan.cuh", *names])
    text.write_text(f"#define SYMCONV_WHOLE_PLAN\n{includes}\n")
    flags = ["-std=c++20", "-fsyntax-only", "-w", "-DSYMCONV_EMULATED", *_includes()]
    done = subprocess.run([cxx, *flags, str(text)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]
