"""symconv alone, in this process: what breakdown.py, scaling.py and loaded.py share."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.cores import cores_of, look
from benchmarks.peers.symconv_peer import SymconvTrainer
from benchmarks.workers import ROOT
from benchmarks.workloads import Data, Workload, initial_weights

FIGURES = ROOT / "benchmarks" / "results" / "symconv"  # files of another form than run.py's


def settled_weights(net: Workload, data: Data, steps: int = 1000) -> list[np.ndarray]:
    """The initial weights after some training: before, other shares of the activations are zero."""
    trainer = SymconvTrainer(net, "map", min(10, len(data.labels)), data, initial_weights(net))
    trainer.run(steps)
    return trainer.weights()


def seconds_per_step(run: Callable[[int], None], n: int) -> float:
    begin = time.perf_counter()
    run(n)
    return (time.perf_counter() - begin) / n


def steps_for(run: Callable[[int], None], target: float) -> int:
    """How many steps take about `target` seconds; also compiles and warms up."""
    run(1)
    n = 1
    while True:
        seconds = n * seconds_per_step(run, n)
        if seconds > 0.5 * target or n >= 1_000_000:
            return max(1, round(n * target / seconds))
        n = min(10 * n, max(n + 1, round(n * target / max(seconds, 1e-9))))


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def write(
    name: str, settings: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], path: Path | None
) -> None:
    """The rows with date, commit, machine and versions, to `path` or to results/symconv/<name>.json."""
    import symconv as sc

    record = {**report.environment("cpu"), **cores_of([seen] if (seen := look()) else [])}
    record["versions"] = {"symconv": {"symconv": sc.__version__, "numpy": np.__version__}}
    report.write_json(path or FIGURES / f"{name}.json", [dict(r) for r in rows], settings, record)


def read(name: str, folder: Path = FIGURES) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return result
