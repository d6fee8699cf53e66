"""The text of one kernel that runs a whole program, many times over, with barriers between phases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symconv.plan.gpu import GpuLaunch, Phase, Program, Source

_HEAD = """\
#define SYMCONV_WHOLE_PLAN
#include "plan.cuh"
"""


def persistent_source(program: Program, phases: Sequence[Phase]) -> tuple[Source, int]:
    """The kernel `whole_plan` and the bytes of shared memory that it needs.

    Its arrays are the table of Args (one row a launch of program.sequence), the word of the grid's barrier,
    and the number of rounds. The params of every launch are constants of the text, so that the compiler knows
    all sizes.
    """
    launches = program.sequence
    files = dict.fromkeys(x.source.file for x in launches if x.source.file)
    codes = dict.fromkeys(x.source.code for x in launches if x.source.code)
    parts = [_HEAD, *(f'#include "{f}"\n' for f in files), *codes]
    parts += [_params(i, x) for i, x in enumerate(launches)]
    parts.append(
        "DEVICE void run_whole_plan(const AdvanceParams&, const Args& args, int block, Shared shared) {"
    )
    parts.append("  Args a = args;\n  (void)block;\n  const ll rounds = args.get<const ll>(2)[0];")
    parts.append("  for (ll round = 0; round < rounds; round++) {")
    for phase in phases:
        parts += _phase(phase, launches)
    parts.append("  }\n}\nWHOLE_PLAN(whole_plan, AdvanceParams, run_whole_plan)\n")
    return Source(code="\n".join(parts)), max((x.shared for x in launches), default=0)


def _phase(phase: Phase, launches: Sequence[GpuLaunch]) -> list[str]:
    sizes = [launches[unit[0]].tiles if len(unit) == 1 else 1 for unit in phase]
    lines = [f"    for (int t = blockIdx.x; t < {sum(sizes)}; t += gridDim.x) {{"]
    lines.append("      if (t != static_cast<int>(blockIdx.x)) next_tile();")
    first = 0
    for k, (unit, size) in enumerate(zip(phase, sizes)):
        test = f"if (t < {first + size}) " if k < len(phase) - 1 else ""
        lines.append(f"      {'else ' if k else ''}{test}{{")
        if len(unit) == 1:
            lines.append(f"        {_call(unit[0], launches, f't - {first}')}")
        else:
            tiles = [(i, tile) for i in unit for tile in range(launches[i].tiles)]
            for n, (i, tile) in enumerate(tiles):
                lines.append(f"        {'next_tile(); ' if n else ''}{_call(i, launches, str(tile))}")
        lines.append("      }")
        first += size
    lines.append("    }\n    grid_barrier(a);")
    return lines


def _call(number: int, launches: Sequence[GpuLaunch], tile: str) -> str:
    launch = launches[number]
    space, entry = launch.source.namespace, launch.entry
    return (
        f"{space}tile_of_{entry}(params_at<{space}{entry}_params>(words_{number}), row(a, {number}), {tile}, "
        "shared);"
    )


def _params(number: int, launch: GpuLaunch) -> str:
    """The params, tail and all, as constant words."""
    words = np.frombuffer(launch.params.ljust(-(-len(launch.params) // 8) * 8, b"\0"), np.uint64)
    values = ", ".join(f"{int(w):#x}ull" for w in words)
    return f"DEVICE_CONSTANT unsigned long long words_{number}[] = {{{values}}};"
