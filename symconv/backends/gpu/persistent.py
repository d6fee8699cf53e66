"""The text of one kernel that runs a whole program, many times over, with barriers between phases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symconv.plan.gpu import GpuLaunch, Program, Source

_HEAD = """\
#define SYMCONV_WHOLE_PLAN
#include "plan.cuh"
"""


def persistent_source(program: Program, phases: Sequence[Sequence[int]]) -> tuple[Source, int]:
    """The kernel `whole_plan` and the bytes of shared memory that it needs.

    Its arrays are the table of Args (one row a launch, in the order of all_launches), the word of the grid's
    barrier, and the number of rounds. The params of every launch are constants of the text, so that the
    compiler knows all sizes.
    """
    launches = all_launches(program)
    files = dict.fromkeys(x.source.file for x in launches if x.source.file)
    codes = dict.fromkeys(x.source.code for x in launches if x.source.code)
    parts = [_HEAD, *(f'#include "{f}"\n' for f in files), *codes]
    parts += [_params(i, x) for i, x in enumerate(launches)]
    parts.append(
        "DEVICE void run_whole_plan(const AdvanceParams&, const Args& args, int block, Shared shared) {"
    )
    parts.append("  Args a = args;\n  (void)block;\n  const ll rounds = args.get<const ll>(2)[0];")
    parts.append("  for (ll round = 0; round < rounds; round++) {")
    groups = [list(p) for p in phases]
    if program.advance is not None:
        groups.append([len(launches) - 1])
    for group in groups:
        parts += _phase(group, launches)
    parts.append("  }\n}\nWHOLE_PLAN(whole_plan, AdvanceParams, run_whole_plan)\n")
    return Source(code="\n".join(parts)), max((x.shared for x in launches), default=0)


def all_launches(program: Program) -> list[GpuLaunch]:
    """The launches in the order of their rows; `advance` is the last."""
    return program.kernels + ([program.advance] if program.advance is not None else [])


def _phase(group: Sequence[int], launches: Sequence[GpuLaunch]) -> list[str]:
    total = sum(launches[i].tiles for i in group)
    lines = [f"    for (int t = blockIdx.x; t < {total}; t += gridDim.x) {{"]
    lines.append("      if (t != static_cast<int>(blockIdx.x)) next_tile();")
    first = 0
    for k, i in enumerate(group):
        x = launches[i]
        last = first + x.tiles
        test = f"if (t < {last}) " if k < len(group) - 1 else ""
        otherwise = "else " if k else ""
        params = f"params_at<{x.entry}_params>(words_{i})"
        call = f"tile_of_{x.entry}({params}, row(a, {i}), t - {first}, shared);"
        lines.append(f"      {otherwise}{test}{call}")
        first = last
    lines.append("    }\n    grid_barrier(a);")
    return lines


def _params(number: int, launch: GpuLaunch) -> str:
    """The params, tail and all, as constant words."""
    words = np.frombuffer(launch.params.ljust(-(-len(launch.params) // 8) * 8, b"\0"), np.uint64)
    values = ", ".join(f"{int(w):#x}ull" for w in words)
    return f"DEVICE_CONSTANT unsigned long long words_{number}[] = {{{values}}};"
