"""The case tables on the emulated GPU: values and gradients, all checks on, in three orders of threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from test_ops import ALL, TABLE, WITH_GRAD

from symconv import testing
from symconv.backends.gpu import executable


@pytest.fixture(autouse=True)
def only_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails the test if a node falls back to the reference."""
    missing: list[str] = []
    original = executable.GpuExecutable._host_call

    def watched(self: Any, host: Any) -> Any:
        step = self.plan.steps[host.step]
        missing.append(f"{step.node.op.label()}: {step.refusals}")
        return original(self, host)

    monkeypatch.setattr(executable.GpuExecutable, "_host_call", watched)
    yield
    assert not missing, "no CUDA kernel for " + "; ".join(missing)


@pytest.mark.parametrize("name", ALL)
def test_values(name: str, cxx: str) -> None:
    testing.check_op(TABLE[name], "emulated")


@pytest.mark.parametrize("name", WITH_GRAD)
def test_gradients(name: str, cxx: str) -> None:
    testing.check_grad(TABLE[name], "emulated")
