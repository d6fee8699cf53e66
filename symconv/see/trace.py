"""A profile as the trace events that chrome://tracing, Perfetto and their kin draw along an axis of time.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from symconv.backends.executable import Timing
from symconv.plan.lifetime import live_bytes

if TYPE_CHECKING:
    from symconv.see.profile import Profile

MOST_EVENTS = 200_000  # of steps: what viewers still open at ease


def chrome_trace(profile: Profile) -> str:
    """JSON with an event per step and run, one track a plan, and the live bytes of the arena as a counter.

    The iterations of a loop lie within its event. Microseconds since the first stamp. Runs beyond MOST_EVENTS
    steps are left out, the last ones first.
    """
    events: list[dict[str, Any]] = [
        {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": f"symconv on {profile.device}"}}
    ]
    stamped = [t.stamps[0, 0] for _, t in profile.timings if len(t.stamps)]
    zero = int(min(stamped, default=0))
    room = MOST_EVENTS
    rows = {(r.plan, *r.within, r.step): r for r in profile.rows}
    for number, (executable, timing) in enumerate(profile.timings):
        shapes = ", ".join(str(v.type) for v in executable.graph.inputs)
        name = f"{profile.name}({shapes})"
        events.append({"ph": "M", "pid": 1, "tid": number, "name": "thread_name", "args": {"name": name}})
        found = _events((number,), timing, zero, rows, room)
        events += found
        room -= len(found)
        runs = len(timing.stamps)
        if executable.plan is not None and runs:
            events += _memory(number, executable.plan, timing, zero)
    return json.dumps({"displayTimeUnit": "ns", "traceEvents": events}) + "\n"


def _events(
    path: tuple[int, ...], timing: Timing, zero: int, rows: dict[tuple[int, ...], Any], room: int
) -> list[dict[str, Any]]:
    """The runs of a plan for which there is room, and in them the iterations of its loops."""
    runs = min(len(timing.stamps), room // max(len(timing.items), 1))
    if not runs:
        return []
    details = [_details(rows[path + (item.step,)], item.kernel) for item in timing.items]
    common = {"ph": "X", "pid": 1, "tid": path[0]}
    events: list[dict[str, Any]] = []
    for run in range(runs):
        stamps = ((timing.stamps[run] - zero) / 1e3).tolist()
        for a, b, what in zip(stamps, stamps[1:], details):
            events.append({**common, "ts": round(a, 3), "dur": round(b - a, 3), **what})
    last = timing.stamps[runs - 1, -1]
    for k, inner in timing.inside.items():
        kept = int(np.searchsorted(inner.stamps[:, -1], last, "right")) if len(inner.stamps) else 0
        inner = replace(inner, stamps=inner.stamps[:kept])
        events += _events((*path, timing.items[k].step), inner, zero, rows, room - len(events))
    return events


def _details(row: Any, kernel: str) -> dict[str, Any]:
    args = {"step": row.label if row.within else row.step, "kernel": kernel, "output": row.output}
    args |= {"line": row.line, "flops": round(row.flops / row.times), "bytes": round(row.bytes / row.times)}
    if row.roofline is not None:
        args["percent of roofline, mean"] = round(100 * row.roofline, 1)
    return {"name": row.op, "cat": kernel, "args": args}


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
