"""symconv bench: how long a network's training step and its predictions take on a device."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from symconv.cli.options import add_device, add_net, whole
from symconv.config import config
from symconv.device import resolve_device
from symconv.files import atomic_path
from symconv.function import function
from symconv.nn import SGD, net
from symconv.nn.trainer import training_step


def sizes(text: str) -> list[int]:
    """An argparse type: batch sizes, separated by commas."""
    values = [int(part) for part in text.split(",")]
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"batches have one image or more, not {min(values)}")
    return values


def add_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "bench",
        help="time a network's training step and its predictions",
        description="Time steps of one network on random images, a fifth of them not zero, many steps in one "
        "call. Medians of several rounds, with the least and the most. Other frameworks are compared by "
        "benchmarks/run.py in a checkout.",
    )
    add_net(parser)
    parser.add_argument("--batches", type=sizes, default=[10, 128], metavar="B,..", help="of training")
    parser.add_argument("--infer", type=sizes, default=[1, 10, 1000], metavar="B,..", help="of predictions")
    parser.add_argument("--rounds", type=whole(1), default=5, help="timings of each (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.2, help="of one timing (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    add_device(parser)
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    rows = []
    with config(device=arguments.device or config.device):
        device = resolve_device()
        print(f"{arguments.net} on {device}: {arguments.rounds} rounds of {arguments.seconds} s")
        print(
            f"{'':<14} {'batch':>6} {'median':>10} {'least':>10} {'most':>10}  {'images/s':>10}  first call"
        )
        for metric, batches in (("training step", arguments.batches), ("prediction", arguments.infer)):
            for batch in batches:
                make = trainer if metric == "training step" else predictor
                seconds, first = measure(make(arguments.net, batch, device), arguments)
                middle = statistics.median(seconds)
                row = {
                    "net": arguments.net, "device": device, "metric": metric, "batch": batch, "unit": "us",
                    "median": 1e6 * middle, "min": 1e6 * min(seconds), "max": 1e6 * max(seconds),
                    "n": len(seconds), "first_call_s": first,
                }  # fmt: skip
                rows.append(row)
                times = " ".join(f"{1e6 * t:>7,.0f} us" for t in (middle, min(seconds), max(seconds)))
                print(f"{metric:<14} {batch:>6} {times}  {batch / middle:>10,.0f}  {first:.2f} s", flush=True)
    if arguments.json is not None:
        with atomic_path(arguments.json) as path:
            path.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def images_and_labels(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.random((n, 784), dtype="float32") * (rng.random((n, 784)) < 0.2)
    return images.astype("float32"), rng.integers(0, 10, n).astype("int32")


def trainer(name: str, batch: int, device: str) -> Callable[[int], Any]:
    """run(n): n training steps in one call."""
    recipe = net(name)
    model = recipe.build(seed=0)
    count = max(1, 2000 // batch)
    step = training_step(
        model, SGD(recipe.eta), images_and_labels(count * batch), batch, recipe.lmbda, device=device
    )
    return lambda n: step.map(np.arange(n) % count)


def predictor(name: str, batch: int, device: str) -> Callable[[int], Any]:
    model = net(name).build(seed=0)
    f = function([model.x], model.output, device=device, no_default_updates=True)
    images = images_and_labels(batch)[0]
    return lambda n: f.loop(n, images)


def measure(run: Callable[[int], Any], arguments: argparse.Namespace) -> tuple[list[float], float]:
    """(seconds a step, one for each round; seconds of the first step, which compiles)."""

    def timed(n: int) -> float:
        start = time.perf_counter()
        run(n)
        return time.perf_counter() - start

    first = timed(1)
    each = min(timed(1), timed(2) / 2)
    n = max(1, math.ceil(arguments.seconds / max(each, 1e-7)))
    return [timed(n) / n for _ in range(arguments.rounds)], first
