"""The compiled core with each instruction set and numbers of threads; for modules that need the core."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from symconv import _core as core
from symconv.ops import instruction_set


@pytest.fixture(params=core.isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = core.isa()
    core.set_isa(request.param)
    yield request.param
    core.set_isa(before)


@pytest.fixture
def rules_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let kernels be chosen as on a processor with that instruction set, whatever this one has."""
    return lambda name: monkeypatch.setattr(instruction_set, "_in_use", lambda: name)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = core.num_threads()
    core.set_num_threads(request.param)
    yield request.param
    core.set_num_threads(before)
