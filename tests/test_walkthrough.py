"""The walk-through of docs/adding_a_kernel.md and docs/adding_an_op.md: short, the same everywhere, right."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from symconv.graph.origin import origin
from symconv.testing import check_grad, check_op, check_rule
from symconv.workbench.check import examine
from symconv.workbench.load import load_kernels

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SCALE = ROOT / "examples" / "10_squeeze_excite_scale.py"
CONV_GELU = ROOT / "examples" / "11_conv_gelu.py"
PAGE = ROOT / "docs" / "adding_a_kernel.md"
OP_PAGE = ROOT / "docs" / "adding_an_op.md"


def part(path: Path, name: str) -> str:
    """What stands between '# NAME: begin' and '# NAME: end'."""
    (found,) = re.findall(
        rf"^# {name}: begin\n(.*?)^# {name}: end$", path.read_text(), re.MULTILINE | re.DOTALL
    )
    return found


def lines_of_code(text: str) -> int:
    """Lines that are neither empty nor only a comment, those of C++ in strings among them."""
    lines = [line.strip() for line in text.splitlines()]
    return sum(bool(line) and not line.startswith(("#", "//")) for line in lines)


@pytest.mark.parametrize(
    ("path", "name", "most"),
    [
        (SCALE, "kernel", 30),
        (SCALE, "cpu kernel", 30),
        (SCALE, "op", 60),
        (CONV_GELU, "kernel", 30),
        (CONV_GELU, "cpu kernel", 50),
        (CONV_GELU, "op", 60),
    ],
)
def test_the_user_writes_little(path, name, most):
    text = part(path, name)
    ast.parse(text)
    assert 10 < lines_of_code(text) <= most


def test_the_pages_show_the_code_of_the_example():
    page, example = PAGE.read_text(), SCALE.read_text()
    for text in (
        "CUDA = ",
        "def float32_only",
        "def cuda_launch",
        "cuda_scale = ",
        "CPU = ",
        "def cpu_launch",
    ):
        for source in (page, example):
            assert source.count(text) == 1, text
        end = '"""\n' if text.endswith("= ") and text != "cuda_scale = " else "\n\n"
        start = page.index(text)
        block = page[start : page.index(end, start + 12)]
        assert block.rstrip("`\n") in example, block
    assert part(SCALE, "op").strip() in OP_PAGE.read_text()


def test_the_speed_table_is_that_of_the_results_file():
    from benchmarks import kernels

    assert kernels.main(["--check"]) == 0
    results = kernels.read("kernel_bench")
    assert results["commit"] and results["date"] and results["cpu"] and results["settings"]["peaks"]
    assert {row["file"] for row in results["rows"]} == set(kernels.FILES)


def test_a_rule_of_a_file_has_its_line_there_under_a_command_too():
    with origin("symconv kernel"):
        (rule,) = load_kernels(CONV_GELU).rules
    line = CONV_GELU.read_text().splitlines().index("fuse = sc.Rule(") + 1
    assert rule.place == f"{CONV_GELU.name}:{line}"


@pytest.mark.parametrize("path", [SCALE, CONV_GELU], ids=lambda p: p.name)
def test_the_rules_of_the_examples_hold(path, core, cxx):
    file = load_kernels(path)
    (rule,) = file.rules
    check_rule(rule, file.cases)
    for device in ("cpu", "emulated"):
        check_rule(rule, file.cases[:1], device)
    for case in file.bench:
        check_op(replace(case, build=case.instead), "reference")


@pytest.mark.parametrize("path", [SCALE, CONV_GELU], ids=lambda p: p.name)
def test_the_kernels_of_the_examples_pass(path, core, cxx):
    file = load_kernels(path)
    for _, kernel in file.kernels:
        report = examine(kernel, file.cases[:1])
        assert report.passed and report.ran, report
    for case in file.cases[1:]:
        check_op(case, "emulated")
        check_grad(case)
