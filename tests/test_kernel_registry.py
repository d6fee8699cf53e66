"""Instruction sets and kernel lookup."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from symconv.graph import params

core = pytest.importorskip("symconv._core", reason="the C++ core is not built")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def restore_isa():
    before = core.isa()
    yield
    core.set_isa(before)


def test_the_best_instruction_set_is_the_default(run_with_core):
    result = run_with_core("print(_core.isa())")
    assert result.stdout.strip() == core.isas()[-1], result.stderr


def test_variable_and_set_isa_choose(run_with_core, restore_isa):
    for name in core.isas():
        assert run_with_core("print(_core.isa())", SYMCONV_ISA=name).stdout.strip() == name
        core.set_isa(name)
        assert core.isa() == name


def test_unknown_instruction_sets_are_refused(run_with_core):
    with pytest.raises(ValueError, match=f"set_isa: 'mmx'.*{core.isas()[0]}"):
        core.set_isa("mmx")
    result = run_with_core("_core.isa()", SYMCONV_ISA="mmx")
    assert "ValueError: SYMCONV_ISA: 'mmx'" in result.stderr


def test_every_instruction_set_has_the_same_kernels(restore_isa):
    names = core.kernel_names()
    assert "strided_copy" in names and names == sorted(names)
    for isa in core.isas():
        core.set_isa(isa)
        assert core.kernel_names() == names


def test_every_kernel_file_is_listed():
    listed = [
        line.removeprefix("KERNEL_FILE(").rstrip(")\n")
        for line in (ROOT / "csrc/kernels/kernels.def").read_text().splitlines()
        if line.startswith("KERNEL_FILE(")
    ]
    files = [
        p.stem for p in (ROOT / "csrc/kernels").glob("*.cpp") if "void register_" + p.stem in p.read_text()
    ]
    assert sorted(listed) == sorted(f for f in files if f != "register_all")


def test_no_code_is_shared_between_instruction_sets():
    """A weak symbol outside the set's own namespace could be linked from the AVX-512 copy into all."""
    objects = ROOT.glob("build/cmake-*/CMakeFiles/kernels_*.dir/csrc/kernels/*.o")
    sanitized = ("address", "thread", "undefined")
    objects = [p for p in objects if not any(word in p.relative_to(ROOT).parts[1] for word in sanitized)]
    if not objects:
        pytest.skip("no build directory here")
    try:
        listing = subprocess.run(
            ["nm", "-AC", *map(str, objects)], capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        pytest.skip("nm is not installed")
    shared = [line for line in listing.splitlines() if " W " in line or " V " in line or " u " in line]
    shared = [
        s for s in shared if not any(f"symconv::{isa}::" in s for isa in ("baseline", "avx2", "avx512"))
    ]
    assert not shared, "\n".join(shared)


def test_call_kernel_refuses():
    x, y = np.zeros(4, "f4"), np.zeros(4, "f4")
    fill = params.pack("FillParams", itemsize=4, count=4, value=0)
    with pytest.raises(ValueError, match="no kernel 'nothing' .*instruction set"):
        core.call_kernel("nothing", b"", [], [])
    with pytest.raises(ValueError, match="fill: 3 bytes of params, expected at least 24"):
        core.call_kernel("fill", b"abc", [], [y])
    with pytest.raises(ValueError, match="output has 16 bytes, the params need 20"):
        core.call_kernel("fill", params.pack("FillParams", itemsize=4, count=5, value=0), [], [y])
    with pytest.raises(ValueError, match="output 0 is not C-contiguous"):
        core.call_kernel("fill", fill, [], [np.zeros(8, "f4")[::2]])
    with pytest.raises(ValueError, match="output 0 is not a NumPy array"):
        core.call_kernel("fill", fill, [], [[1.0]])
    x.flags.writeable = False
    with pytest.raises(ValueError, match="output 0 is read-only"):
        core.call_kernel("fill", fill, [], [x])
