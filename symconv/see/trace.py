"""A profile as the trace events that chrome://tracing, Perfetto and their kin draw along an axis of time.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from symconv.backends.executable import Timing
from symconv.plan.lifetime import live_bytes

if TYPE_CHECKING:
    from symconv.see.profile import Profile

MOST_EVENTS = 200_000  # of steps: what viewers still open at ease


def chrome_trace(profile: Profile) -> str:
    """JSON with an event per step and run, one track a plan, and the live bytes of the arena as a counter.

    Microseconds since the first stamp. Runs beyond MOST_EVENTS steps are left out, the last ones first.
    """
    events: list[dict[str, Any]] = [
        {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": f"symconv on {profile.device}"}}
    ]
    stamped = [t.stamps[0, 0] for _, t in profile.timings if len(t.stamps)]
    zero = int(min(stamped, default=0))
    room = MOST_EVENTS
    rows = {(r.plan, r.step): r for r in profile.rows}
    for number, (executable, timing) in enumerate(profile.timings):
        shapes = ", ".join(str(v.type) for v in executable.graph.inputs)
        name = f"{profile.name}({shapes})"
        events.append({"ph": "M", "pid": 1, "tid": number, "name": "thread_name", "args": {"name": name}})
        runs = min(len(timing.stamps), room // max(len(timing.items), 1))
        room -= runs * len(timing.items)
        details = [_details(item.step, rows[number, item.step], item.kernel) for item in timing.items]
        for run in range(runs):
            events += _run(number, timing, run, zero, details)
        if executable.plan is not None and runs:
            events += _memory(number, executable.plan, timing, zero)
    return json.dumps({"displayTimeUnit": "ns", "traceEvents": events}) + "\n"


def _details(step: int, row: Any, kernel: str) -> dict[str, Any]:
    args = {"step": step, "kernel": kernel, "output": row.output, "line": row.line}
    args |= {"flops": row.flops, "bytes": row.bytes}
    if row.roofline is not None:
        args["percent of roofline, mean"] = round(100 * row.roofline, 1)
    return {"name": row.op, "cat": kernel, "args": args}


def _run(
    number: int, timing: Timing, run: int, zero: int, details: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    stamps = ((timing.stamps[run] - zero) / 1e3).tolist()
    common = {"ph": "X", "pid": 1, "tid": number}
    return [
        {**common, "ts": round(a, 3), "dur": round(b - a, 3), **what}
        for a, b, what in zip(stamps, stamps[1:], details)
    ]


def _memory(number: int, plan: Any, timing: Timing, zero: int) -> list[dict[str, Any]]:
    """The arena during the first run."""
    live = live_bytes(plan)
    counter = {"ph": "C", "pid": 1, "tid": number, "name": f"live bytes of the arena, plan {number}"}
    stamps = (timing.stamps[0] - zero) / 1e3
    samples = []
    for k, item in enumerate(timing.items):
        if item.step >= 0:
            samples.append({**counter, "ts": round(float(stamps[k]), 3), "args": {"bytes": live[item.step]}})
    samples.append({**counter, "ts": round(float(stamps[-1]), 3), "args": {"bytes": 0}})
    return samples
