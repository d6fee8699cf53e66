"""tune(): measure the kernels that a function's plan could use, and let the function use the fastest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from symconv.backends.tune import Timing, tune_graph
from symconv.function import Function


def tune(function: Function, *args: Any, again: bool = False) -> str:
    """Times the kernels for the plan of these arguments; a table of what was measured.

    Each node that more than one kernel can run is run by itself on random data, with its kernels and their
    variants in turns. The fastest goes into config.tuning_file, unless it gains less than 3 %. The function
    uses what the file says from its next call on; others do with autotune="cached". Nothing is updated.
    again: measure also what the file has. Raises ArgumentError on device "emulated" or "reference".
    """
    executable = function.prepare(*args)
    available = None
    if function.device == "cpu":
        from symconv.backends.cpu import available_kernels

        available = available_kernels()
    found = tune_graph(executable.graph, function.device, available, again)
    function.forget_plans(autotune="cached")
    return (
        "\n".join(table(found.items())) or "nothing to measure: no node has two kernels that the file lacks"
    )


def table(found: Iterable[tuple[str, list[Timing]]]) -> list[str]:
    """Lines of text: each node, then its kernels from the fastest on."""
    lines = []
    for node, timings in found:
        lines.append(node if len(node) < 150 else node[:147] + "...")
        usual = timings[0].median
        for t in sorted(timings, key=lambda t: t.median):
            lines.append(f"  {t.median:>10.1f} us  {t.median / usual:>6.2f} of the first  {t.name}")
    return lines
