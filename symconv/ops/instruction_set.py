"""The instruction set of the CPU's kernels, as rules of choice see it; "" where there is no CPU backend."""

from __future__ import annotations

from collections.abc import Callable

_in_use: Callable[[], str] = lambda: ""  # noqa: E731


def set_instruction_set(name: Callable[[], str]) -> None:
    """How the CPU backend tells which instruction set its kernels are of."""
    global _in_use
    _in_use = name


def instruction_set() -> str:
    """Such as "avx2"."""
    return _in_use()
