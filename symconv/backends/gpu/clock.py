"""The profile of a GPU program: its launches one by one, in order, each timed by its runtime's stopwatch.

While a profile runs, a program that would otherwise be a captured graph or one persistent kernel is launched
kernel by kernel: the arithmetic is the same, the kernels' times are theirs, and only the time between them is
another one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from symconv.backends.executable import TimedItem, Timing
from symconv.backends.gpu.runtime import Runtime, Stopwatch, Work
from symconv.backends.loop_clock import loop_clocks
from symconv.plan.gpu import GpuLaunch, HostStep, Program


class LaunchClock:
    """Times of the launches of a program, kept over many rounds."""

    def __init__(self, program: Program, executor: str, room: int) -> None:
        self.launches = program.round
        self.items = tuple(_item(program, x) for x in self.launches)
        self.executor = executor
        self.room = room // (len(self.items) + 1)
        self.ns = np.zeros(len(self.items))
        self.runs = 0
        self.stamps: list[np.ndarray] = []
        hosts = [i.node if isinstance(x, HostStep) else None for i, x in zip(self.items, self.launches)]
        self.loops = loop_clocks(hosts)

    def launcher(
        self,
        runtime: Runtime,
        work: Callable[[GpuLaunch], Work],
        host_call: Callable[[HostStep], Callable[[], None]],
        fault: int,
    ) -> Callable[[int], None]:
        """launch(n): n rounds; the host waits after each for its times."""
        units: list[Callable[[], Sequence[float]]] = []
        works: list[Work] = []

        def close() -> None:
            if works:
                units.append(partial(_watched, runtime.stopwatch(tuple(works), fault)))
                works.clear()

        for k, launch in enumerate(self.launches):
            if isinstance(launch, GpuLaunch):
                works.append(work(launch))
                continue
            close()
            call = host_call(launch)
            units.append(partial(_timed, partial(self.loops[k].call, call) if k in self.loops else call))
        close()

        def run(n: int) -> None:
            for _ in range(n):
                start = time.perf_counter_ns()
                self.add(start, [ns for unit in units for ns in unit()])

        return run

    def add(self, start: int, ns: Sequence[float]) -> None:
        self.ns += ns
        self.runs += 1
        if len(self.stamps) < self.room:
            self.stamps.append(start + np.concatenate([[0.0], np.cumsum(ns)]).astype(np.int64))

    def timing(self) -> Timing:
        how = "every launch timed by itself"
        if self.executor != "kernels":
            how += f", kernel by kernel; without a profile they run as one {self.executor}"
        stamps = np.asarray(self.stamps, np.int64).reshape(-1, len(self.items) + 1)
        inside = {k: clock.timing() for k, clock in self.loops.items()}
        return Timing(self.items, self.runs, self.ns, stamps, how, inside)


def _item(program: Program, launch: GpuLaunch | HostStep) -> TimedItem:
    node = program.plan.steps[launch.step].node if launch.step >= 0 else None
    if isinstance(launch, HostStep):
        return TimedItem(launch.step, node, "reference")
    kernel = program.plan.steps[launch.step].kernel if launch.step >= 0 else None
    return TimedItem(launch.step, node, kernel.name if kernel is not None else launch.entry)


def _watched(watch: Stopwatch) -> Sequence[float]:
    watch.run()
    return watch.elapsed_ns()


def _timed(call: Callable[[], None]) -> Sequence[float]:
    before = time.perf_counter_ns()
    call()
    return (float(time.perf_counter_ns() - before),)
