"""Every CUDA kernel compiles for every architecture, without a GPU; what each takes is on record."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_gpu_training import step_of

from symconv.backends.cache import included
from symconv.backends.gpu import nvrtc
from symconv.backends.gpu.persistent import persistent_source
from symconv.errors import CompileError, DeviceError
from symconv.graph.params import kernel_dir
from symconv.plan.gpu import Source, phases

FILES = sorted(p.name for p in kernel_dir().glob("*.cu"))
RECORD = Path(__file__).parents[1] / "docs" / "kernel_resources.md"


@pytest.fixture(autouse=True)
def compiler() -> None:
    try:
        nvrtc.library()
    except DeviceError as error:
        pytest.skip(str(error))


OLDEST, *_, NEWEST = nvrtc.ARCHITECTURES


def architectures(file: str) -> tuple[int, ...]:
    """Those for which the text of a kernel differs, and the ends of the range."""
    text = (kernel_dir() / file).read_text()
    return nvrtc.ARCHITECTURES if "__CUDA_ARCH__" in included(text, kernel_dir()) else (OLDEST, NEWEST)


@pytest.mark.parametrize(("file", "architecture"), [(f, a) for f in FILES for a in architectures(f)])
def test_kernels_compile_without_spills(file: str, architecture: int) -> None:
    """And docs/kernel_resources.md names every kernel; `symconv kernels --resources` writes it."""
    code, log = nvrtc.compile_source(Source(file), architecture)
    found = nvrtc.resources(log)
    assert code.startswith(b"\x7fELF") and found
    record = RECORD.read_text()
    assert not [entry for entry in found if f"| {entry} | {file} |" not in record]
    # doubles take two registers each: a kernel for them may spill where the one for floats does not
    spills = {k: str(r) for k, r in found.items() if r.spill_stores and not k.endswith("f64")}
    assert not spills


NETS = ("shallow", "conv", "dbl_conv_relu", "dropout")


@pytest.mark.parametrize("name", NETS)
def test_persistent_kernels_compile_without_spills(name: str) -> None:
    """The whole training step in one kernel: all it takes must fit into the registers of one block."""
    program = step_of(name, "emulated", 10)[0].prepare(0).program
    source, shared = persistent_source(program, phases(program) or [])
    for architecture in (OLDEST, NEWEST):
        code, log = nvrtc.compile_source(source, architecture)
        found = nvrtc.resources(log)["whole_plan"]
        assert code.startswith(b"\x7fELF") and not found.spill_stores and found.registers <= 255, found
        assert shared <= 48 << 10, "a Turing GPU has 64 KiB a multiprocessor"


@pytest.mark.parametrize("name", NETS)
def test_generated_kernels_compile(name: str) -> None:
    program = step_of(name, "emulated", 128)[0].prepare(0).program
    for source in {x.source for x in program.sequence if x.source.code}:
        log = nvrtc.compile_source(source, 80)[1]
        assert not [r for r in nvrtc.resources(log).values() if r.spill_stores]


def test_every_descriptor_names_an_entry() -> None:
    from symconv.graph.registry import all_ops

    for op in all_ops():
        for kernel in op.kernels if op.__module__.startswith("symconv.") else ():  # the rest are other tests'
            if kernel.device != "cuda" or not kernel.source:  # the launch brings the text
                continue
            text = (kernel_dir() / kernel.source.removeprefix("kernels/")).read_text()
            assert kernel.source.endswith(".cuh") or "KERNEL" in text, kernel.name


def test_compile_errors_carry_the_log_and_who_asked() -> None:
    wrong = Source(code='#include "common.cuh"\nnonsense x;\n')
    with pytest.raises(CompileError, match=r"(?s)sm_90, which conv2d from net.py:3 asked for:.*nonsense"):
        nvrtc.compile_source(wrong, 90, "conv2d from net.py:3")


def test_the_cache_keeps_what_was_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from symconv.config import config

    with config(cache_dir=tmp_path):
        path = nvrtc.cubin(Source("control.cu"), 90)
        monkeypatch.setattr(nvrtc, "compile_source", lambda *a: pytest.fail("compiled again"))
        assert nvrtc.cubin(Source("control.cu"), 90) == path and path.read_bytes()[:4] == b"\x7fELF"
    assert sorted(p.name for p in (tmp_path / "kernels").iterdir()) == [path.name]
