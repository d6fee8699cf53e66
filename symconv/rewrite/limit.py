"""How many applications of rules are permitted: all of them, unless a bisection looks for a wrong one.

Every pass asks `permitted()` once before each replacement that it has decided on. A pass that does not
ask is taken or left as a whole by the bisection (symconv/debug/rewrites.py).
"""

from __future__ import annotations

from contextvars import ContextVar, Token


class Limit:
    """with Limit(n) as limit: the first n applications are permitted; None permits all, and counts them."""

    def __init__(self, count: int | None = None) -> None:
        self.count = count
        self.asked = 0
        self._token: Token[Limit | None] | None = None

    def __enter__(self) -> Limit:
        self._token = _limit.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._token is not None
        _limit.reset(self._token)


_limit: ContextVar[Limit | None] = ContextVar("symconv_rewrite_limit", default=None)


def limited() -> bool:
    """True while a bisection counts applications."""
    return _limit.get() is not None


def permitted() -> bool:
    """True if the replacement that is about to be made may be made."""
    limit = _limit.get()
    if limit is None:
        return True
    if limit.count is not None and limit.asked >= limit.count:
        return False
    limit.asked += 1
    return True
