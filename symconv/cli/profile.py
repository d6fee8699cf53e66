"""symconv profile: where the time of a network's training step, or of its prediction, goes."""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

from symconv.cli.options import number, whole
from symconv.cli.step import add_step, make_step
from symconv.config import config
from symconv.files import atomic_path
from symconv.function import Function
from symconv.see.profile import Profile
from symconv.see.roofline import peaks


def add_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "profile",
        help="time every step of a network's training step or prediction",
        description="Run one step of a network many times and print where the time goes: by step, kernel and "
        "line, with FLOPs, bytes and the percent of the roofline.",
    )
    add_step(parser)
    parser.add_argument("--runs", type=whole(1), metavar="N", help="how often (default: for --seconds)")
    parser.add_argument("--seconds", type=number, default=0.5, help="how long (default: %(default)s)")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write a trace for ui.perfetto.dev")
    parser.add_argument("--flame", type=Path, metavar="FILE", help="write the flame picture as SVG")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    parser.add_argument(
        "--peaks", action="store_true", help="measure the roofline anew, not as it is kept on disk"
    )
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    with config(device=arguments.device or config.device):
        recipe, _, f, values = make_step(arguments)
        profile = measure(f, values, arguments.runs, arguments.seconds)
        if arguments.peaks:
            peaks(profile.device, profile.threads, anew=True)
        print(f"{recipe.name}: {recipe.about}\n{profile}")
    if arguments.trace is not None:
        profile.trace(arguments.trace)
    if arguments.flame is not None:
        profile.flame(arguments.flame)
    if arguments.json is not None:
        with atomic_path(arguments.json) as path:
            path.write_text(json.dumps(profile.to_dict(), indent=1) + "\n")
    return 0


def measure(f: Function, values: tuple[Any, ...], runs: int | None, seconds: float) -> Profile:
    """The profile of that many runs with these arguments, or of about `seconds`, all warmed up."""
    f(*values)  # compiles
    start = time.perf_counter()
    f(*values)
    each = time.perf_counter() - start
    n = runs or max(1, math.ceil(seconds / max(each, 1e-6)))
    with f.profile() as profile:
        f.loop(n, *values)
    return profile
