"""theano.compile.profiling: function(..., profile=True), f.profile.summary(), and what is printed at exit."""

from __future__ import annotations

import atexit
import sys
from typing import Any, TextIO

from symconv.see.profile import Profile
from symconv.theano.configuration import config


class ProfileStats:
    """How often functions ran, and where their time went: several may share one, by function(profile=stats).

    With atexit_print the summary is written to stderr when the program ends.
    """

    def __init__(self, atexit_print: bool = True, message: str | None = None, **_: Any) -> None:
        self.message = message
        self._profiles: list[Profile] = []
        if atexit_print:
            atexit.register(self._at_exit)

    def add(self, native: Any) -> None:
        """Time this native function from now on."""
        profile = Profile(native, stamps=0)
        profile.__dict__["peaks"] = None  # nothing is measured for a summary
        self._profiles.append(profile.start())

    def summary(
        self, file: TextIO | None = None, n_ops_to_print: int = 20, n_apply_to_print: int = 20
    ) -> None:
        """Write what ran since the last summary, or the beginning, to `file`, stderr by default."""
        file = file or sys.stderr
        print(f"Function profiling\n==================\n  Message: {self.message or '-'}", file=file)
        for profile in self._profiles:
            profile.stop()
            print(f"\n{profile.summary()}", file=file)
            if profile.timings:
                print("\n     us    share  steps  op", file=file)
                for what, us, share, steps in profile.totals("op")[:n_ops_to_print]:
                    print(f"{us:9.2f} {100 * share:5.1f} % {steps:6}  {what}", file=file)
                print(f"\n{profile.table(most=n_apply_to_print)}", file=file)
            profile.start()

    print_summary = summary

    def reset(self) -> None:
        """Forget what was timed so far."""
        for profile in self._profiles:
            profile.stop()
            profile.start()

    def _at_exit(self) -> None:
        if self._profiles:
            self.summary()


def stats_of(profile: Any, name: str | None) -> ProfileStats | None:
    """What function(profile=...) asks for: True and False, an object of this class, a message, or None, which
    is config.profile."""
    wanted = config.profile if profile is None else profile
    if isinstance(wanted, ProfileStats) or not wanted:
        return wanted or None
    return ProfileStats(message=wanted if isinstance(wanted, str) else name)


__all__ = ["ProfileStats"]
