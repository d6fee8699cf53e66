"""Rules that users have registered: for the process, or for the length of a `with` block.

As with kernels (symconv/graph/registry.py) what is registered is one immutable tuple. `state()` gives rules
and kernels together: compiled functions keep it with their plans.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from symconv.errors import ArgumentError
from symconv.graph.registry import state as kernel_state
from symconv.rewrite.pattern import LocalRule, Rule

AnyRule = Rule | LocalRule
State = tuple[Any, ...]

_lock = threading.Lock()
_process: tuple[AnyRule, ...] = ()
_scoped: ContextVar[tuple[AnyRule, ...]] = ContextVar("symconv_rules", default=())


def state() -> State:
    """All that users have registered and that a plan depends on. It can be hashed."""
    return (*kernel_state(), _scoped.get(), _process)


def registered_rules() -> tuple[AnyRule, ...]:
    """In the order in which they are tried: newest first, those of this thread's blocks before the others."""
    return (*_scoped.get(), *_process)


def register_rule(*rules: AnyRule) -> None:
    """Offer rules to everything that is compiled from now on, in the pass "users" behind the canonical form.

    Functions that have been compiled already make their plans again at their next call. Raises ArgumentError
    for a name that is registered already.
    """
    global _process
    with _lock:
        _process = (*_checked(rules), *_process)


def unregister_rule(*names: str) -> None:
    """Take back what `register_rule` did. Raises ArgumentError for an unknown name."""
    global _process
    with _lock:
        for name in names:
            if not any(r.name == name for r in _process):
                known = ", ".join(r.name for r in _process) or "none"
                raise ArgumentError(f"unregister_rule: no rule {name!r} is registered (registered: {known})")
        _process = tuple(r for r in _process if r.name not in names)


@contextmanager
def use_rule(*rules: AnyRule) -> Iterator[None]:
    """`register_rule` for this thread (or async task), undone at the end of the block."""
    token = _scoped.set((*_checked(rules), *_scoped.get()))
    try:
        yield
    finally:
        _scoped.reset(token)


def _checked(rules: tuple[AnyRule, ...]) -> tuple[AnyRule, ...]:
    taken = {r.name: r for r in registered_rules()}
    for rule in rules:
        if not isinstance(rule, (Rule, LocalRule)):
            raise ArgumentError(
                f"{rule!r} is no rule\n  hint: sc.Rule(name, pattern, replacement), or sc.LocalRule"
            )
        if rule.name in taken:
            raise ArgumentError(f"a rule {rule.name!r} is registered already, from {taken[rule.name].place}")
        taken[rule.name] = rule
    return rules
