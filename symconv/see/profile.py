"""Profiles: where the time of a compiled function goes, by step, kernel and user's line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from symconv.backends.executable import Executable, TimedItem, Timing
from symconv.config import config
from symconv.errors import ArgumentError, GraphError
from symconv.files import Pathlike, atomic_path
from symconv.see.roofline import Peaks, peaks

STAMPS = 1 << 20  # time stamps kept of each plan: 8 MiB
MOST_ROWS = 40  # of a table, unless more are asked for
UPKEEP = "(upkeep)"  # launches that only move addresses from one round of a loop to the next


class Profiled(Protocol):
    """What a Profile needs of a function."""

    device: str
    name: str | None

    @property
    def executables(self) -> list[Executable]: ...

    def watch_plans(self, profile: Profile | None) -> None:
        """Tell `profile` of every plan that is made from now on."""
        ...


@dataclass(frozen=True)
class Row:
    """One step of a plan. Times are microseconds of one run: the mean over all, and the least of those kept.

    flops and bytes are those of the plain algorithm; share is of all time in the profile; roofline is the
    least time that the step could take by its mean time, None where the device's peaks are not known.
    A loop is followed by the steps inside it: `within` are the numbers of the steps around it, `runs` its
    iterations in all, and times, flops and bytes are those of all iterations in a run of the function. The
    loop's own row has what its inner steps leave, and `total_us` with them.
    """

    plan: int
    step: int
    op: str
    kernel: str
    output: str
    line: str
    runs: int
    us: float
    least_us: float
    share: float
    flops: int
    bytes: int
    roofline: float | None
    total_us: float
    within: tuple[int, ...] = ()
    times: float = 1.0

    @property
    def label(self) -> str:
        """The step's number; '3.1' is step 1 of the loop that is step 3."""
        return ".".join(map(str, (*self.within, self.step))) if self.step >= 0 else "-"

    @property
    def what(self) -> str:
        """The op, and how often a run of the function does it."""
        if self.total_us > self.us:
            return f"{self.op}, {self.total_us:.2f} with its steps"
        return f"{self.op} x{self.times:.4g}" if self.within else self.op

    @property
    def gflops(self) -> float:
        """10^9 operations a second."""
        return self.flops / self.us / 1e3 if self.us else 0.0

    @property
    def gbytes(self) -> float:
        """10^9 bytes a second."""
        return self.bytes / self.us / 1e3 if self.us else 0.0


class Profile:
    """The times of a function's steps while it is switched on.

        with f.profile() as p:
            f.map(indices)
        print(p)

    Calls, loops and maps of `f` inside the block are timed in all its plans, also new ones. `start` and
    `stop` do the same without a block. Starting again begins anew. Raises GraphError if another profile of
    the same function is running.
    """

    def __init__(self, f: Profiled, stamps: int = STAMPS) -> None:
        if stamps < 0:
            raise ArgumentError(f"profile: stamps must not be negative, got {stamps}")
        self.device = f.device
        self.name = f.name or "function"
        self.threads = 1
        self.timings: list[tuple[Executable, Timing]] = []
        self._function = f
        self._room = stamps
        self._watched: list[Executable] = []
        self._running = False

    # -- measuring -----------------------------------------------------------------------------

    def __enter__(self) -> Profile:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Profile:
        self._function.watch_plans(self)
        self._running = True
        self._watched, self.timings = [], []
        self.__dict__.pop("rows", None)
        for executable in self._function.executables:
            self.watch(executable)
        return self

    def watch(self, executable: Executable) -> None:
        """Time this plan from now on."""
        self._watched.append(executable)
        executable.profile(True, self._room)

    def stop(self) -> None:
        if not self._running:
            return
        self._running = False
        self._function.watch_plans(None)
        self.threads = config.num_threads or _threads(self.device)
        for executable in self._watched:
            executable.profile(False)
            timing = executable.timing()
            if timing.runs:
                self.timings.append((executable, timing))

    # -- results -------------------------------------------------------------------------------

    @cached_property
    def peaks(self) -> Peaks | None:
        """What the device can do, measured at the first question and kept on disk."""
        return peaks(self.device, self.threads)

    @cached_property
    def rows(self) -> list[Row]:
        """One for each step that ran, in the order of the plans. Raises GraphError while the profile runs."""
        if self._running:
            raise GraphError("profile: still running\n  hint: read it after the with block, or call stop()")
        total = sum(float(t.ns.sum()) for _, t in self.timings)
        return [row for k, (_, t) in enumerate(self.timings) for row in self._rows(k, t, total, t.runs, ())]

    def _rows(
        self, plan: int, timing: Timing, total: float, runs: int, within: tuple[int, ...]
    ) -> Iterator[Row]:
        """The steps of a plan, or, within others, of a loop's; `runs` are those of the function."""
        times = timing.runs / runs  # of a run
        least = np.diff(timing.stamps, axis=1).min(axis=0) if len(timing.stamps) else None
        for items in _by_step(timing.items):
            first = timing.items[items[0]]
            ns = float(sum(timing.ns[k] for k in items))
            inner = timing.inside.get(items[0])
            inner = inner if inner is not None and inner.runs else None
            own = ns if inner is None else max(ns - float(inner.ns.sum()), 0.0)
            us = own / runs / 1e3
            fastest = us if least is None or inner is not None else float(least[items].sum()) * times / 1e3
            node = first.node
            works = node is not None and first.kernel != "view" and inner is None
            limit = None
            if works and self.peaks is not None:
                limit = times * self.peaks.seconds(node) * 1e6  # type: ignore[arg-type]
            yield Row(
                plan,
                first.step,
                UPKEEP if node is None else node.op.name,
                first.kernel,
                "" if node is None else ", ".join(str(o.type) for o in node.outputs),
                "" if node is None else node.origin,
                timing.runs,
                us,
                fastest,
                own / total if total else 0.0,
                round(times * node.op.flops(node)) if works else 0,  # type: ignore[union-attr,arg-type]
                round(times * node.op.bytes(node)) if works else 0,  # type: ignore[union-attr,arg-type]
                limit / us if limit is not None and us else None,
                ns / runs / 1e3,
                within,
                times,
            )
            if inner is not None:
                yield from self._rows(plan, inner, total, runs, (*within, first.step))

    def totals(self, by: str = "kernel") -> list[tuple[str, float, float, int]]:
        """(what, microseconds of a run, share, steps) by 'kernel', 'op' or 'line', the longest first."""
        if by not in ("kernel", "op", "line"):
            raise ArgumentError(f"profile: by must be 'kernel', 'op' or 'line', got {by!r}")
        sums: dict[str, tuple[float, float, int]] = {}
        for row in self.rows:
            us, share, steps = sums.get(getattr(row, by), (0.0, 0.0, 0))
            sums[getattr(row, by)] = (us + row.us, share + row.share, steps + 1)
        return sorted(((k, *v) for k, v in sums.items()), key=lambda item: -item[2])

    def table(self, *, sort: str = "time", most: int | None = MOST_ROWS) -> str:
        """The steps as text: the longest first (sort='time') or as they run ('step'), at most `most`."""
        if sort not in ("time", "step"):
            raise ArgumentError(f"profile: sort must be 'time' or 'step', got {sort!r}")
        rows = sorted(self.rows, key=lambda r: -r.share) if sort == "time" else list(self.rows)
        shown = rows if most is None else rows[:most]
        several = len(self.timings) > 1
        cells = [
            ["step", "us", "least", "share", "roof", "GFLOP/s", "GB/s", "kernel", "op", "output", "line"]
        ]
        for r in shown:
            cells.append(
                [
                    f"{r.plan}:{r.label}" if several else r.label,
                    f"{r.us:.2f}",
                    f"{r.least_us:.2f}",
                    f"{100 * r.share:.1f} %",
                    percent(r.roofline),
                    f"{r.gflops:.2f}" if r.flops else "",
                    f"{r.gbytes:.2f}" if r.bytes else "",
                    r.kernel,
                    r.what,
                    r.output,
                    r.line,
                ]
            )
        lines = _columns(cells, right=7)
        left = rows[len(shown) :]
        if left:
            lines.append(
                f"and {len(left)} shorter steps, {100 * sum(r.share for r in left):.1f} % of the time"
            )
        return "\n".join(lines)

    def summary(self) -> str:
        """What ran how often and for how long, a line for each plan; then how it was measured."""
        if not self.timings:
            return f"profile of {self.name} on {self.device}: it did not run"
        lines = []
        for number, (executable, timing) in enumerate(self.timings):
            shapes = ", ".join(str(v.type) for v in executable.graph.inputs)
            mean = float(timing.ns.sum()) / timing.runs / 1e3
            of = f"plan {number} of " if len(self.timings) > 1 else ""
            runs = f"{timing.runs} run{'s' * (timing.runs != 1)}, {mean:,.2f} us each"
            lines.append(f"{of}{self.name}({shapes}) on {self.device}: {runs} in {len(timing.items)} steps")
        lines.append(f"measured by: {self.timings[0][1].how}")
        lines.append(f"roofline: {self.peaks or 'the peaks of this device are not known'}")
        return "\n".join(lines)

    def __str__(self) -> str:
        if not self.timings:
            return self.summary()
        parts = [self.summary(), self.table()]
        for by in ("kernel", "line"):
            cells = [["us", "share", "steps", f"by {by}"]]
            for what, us, share, steps in self.totals(by)[:MOST_ROWS]:
                cells.append([f"{us:.2f}", f"{100 * share:.1f} %", str(steps), what or UPKEEP])
            parts.append("\n".join(_columns(cells, right=3)))
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        state = "running" if self._running else f"{sum(t.runs for _, t in self.timings)} runs"
        return f"<profile of {self.name} on {self.device}: {state}>"

    def to_dict(self) -> dict[str, Any]:
        """All that was measured as JSON values."""
        return {
            "function": self.name,
            "device": self.device,
            "threads": self.threads,
            "peaks": None if self.peaks is None else asdict(self.peaks),
            "plans": [
                {"inputs": [str(v.type) for v in e.graph.inputs], "runs": t.runs, "how": t.how}
                for e, t in self.timings
            ],
            "steps": [asdict(r) for r in self.rows],
        }

    # -- pictures and files --------------------------------------------------------------------

    def trace(self, path: Pathlike) -> Path:
        """Write the kept time stamps as a trace that chrome://tracing and ui.perfetto.dev open."""
        from symconv.see.trace import chrome_trace

        text = chrome_trace(self)
        with atomic_path(path) as temporary:
            temporary.write_text(text)
        return Path(path)

    def flame(self, path: Pathlike | None = None) -> str:
        """The flame picture as SVG: phase, user's line, step; also written to `path` where one is given."""
        from symconv.see.flame import flame_svg

        picture = flame_svg(self)
        if path is not None:
            with atomic_path(path) as temporary:
                temporary.write_text(picture)
        return picture

    def _repr_svg_(self) -> str | None:
        return None if self._running else self.flame()

    def _repr_html_(self) -> str:
        from symconv.see.notebook import box

        if self._running or not self.timings:
            return box(repr(self), "")
        return box(self.summary().partition("\n")[0], self.flame(), str(self))


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def user_line(origin: str) -> str:
    """The line without what the compiler says before it: 'gradient of conv2d at a.py:3' -> 'a.py:3'."""
    return origin.partition(" at ")[2] if origin.startswith("gradient of ") else origin


def _by_step(items: Sequence[TimedItem]) -> list[list[int]]:
    """Numbers of the items of each step: a step may be several launches; all upkeep is one."""
    groups: dict[int, list[int]] = {}
    for k, item in enumerate(items):
        groups.setdefault(item.step, []).append(k)
    return list(groups.values())


def _columns(cells: list[list[str]], right: int) -> list[str]:
    """Lines with aligned columns, the first `right` of them to the right."""
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    lines = []
    for row in cells:
        parts = [c.rjust(w) if k < right else c.ljust(w) for k, (c, w) in enumerate(zip(row, widths))]
        lines.append("  ".join(parts).rstrip())
    return lines


def _threads(device: str) -> int:
    if device != "cpu":
        return 1
    from symconv.backends.cpu import default_threads  # needs the core

    return default_threads()
