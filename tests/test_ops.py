"""Every case table in the modes test and grad, on the reference and on the compiled core."""

from __future__ import annotations

import importlib
import pkgutil

import cases
import pytest

from symconv import testing
from symconv.ops import instruction_set
from symconv.testing import OpCase

TABLE: dict[str, OpCase] = {
    f"{module.name}/{case.name}": case
    for module in pkgutil.iter_modules(cases.__path__)
    for case in importlib.import_module(f"cases.{module.name}").CASES
}
ALL = list(TABLE)
WITH_GRAD = [name for name, case in TABLE.items() if case.wrt()]
WITH_TORCH = [name for name, case in TABLE.items() if case.torch is not None]


@pytest.fixture(autouse=True)
def choices_of_avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables name the kernels that are chosen there; what AVX-512 chooses, test_conv_kernels has."""
    monkeypatch.setattr(instruction_set, "_in_use", lambda: "avx2")


@pytest.mark.parametrize("name", ALL)
def test_values_reference(name: str) -> None:
    testing.check_op(TABLE[name], "reference")


@pytest.mark.parametrize("name", ALL)
def test_values_cpu(name: str, core: None) -> None:
    testing.check_op(TABLE[name], "cpu")


@pytest.mark.parametrize("name", WITH_GRAD)
def test_gradients_differences(name: str) -> None:
    testing.check_grad(TABLE[name], "reference")


@pytest.mark.parametrize("name", WITH_GRAD)
def test_gradients_cpu(name: str, core: None) -> None:
    testing.check_grad(TABLE[name], "cpu")


@pytest.mark.parametrize("name", WITH_TORCH)
def test_values_and_gradients_torch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the second oracle, is not installed")
    testing.check_torch(TABLE[name], torch)


def test_case_names_distinct() -> None:
    for module in pkgutil.iter_modules(cases.__path__):
        names = [case.name for case in importlib.import_module(f"cases.{module.name}").CASES]
        assert len(set(names)) == len(names), sorted({n for n in names if names.count(n) > 1})
