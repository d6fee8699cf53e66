"""The process in which one peer runs with one number of threads: JSON lines in, JSON lines out.

python -m benchmarks.worker PEER THREADS DEVICE FOLDER     (started by workers.py; FOLDER holds the arrays)
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.opcases import OpCase
from benchmarks.workloads import Data, load_arrays, save_arrays, workload


class Worker:
    def __init__(self, peer: str, threads: int, device: str, folder: Path) -> None:
        self.peer, self.threads, self.device, self.folder = peers.load(peer), threads, device, folder
        self.subjects: dict[int, Any] = {}
        self.data: Data | None = None

    def open(self) -> dict[str, Any]:
        reason = self.peer.available(self.device)
        if reason:
            return {"reason": reason}
        self.peer.set_up(self.threads, self.device)
        versions = {"python": sys.version.split()[0], "numpy": np.__version__, **self.peer.versions()}
        return {"reason": None, "versions": versions}

    def configs(self, net: str, mode: str) -> dict[str, Any]:
        return {"configs": self.peer.configs(workload(net), mode, self.device)}

    def op_configs(self, case: dict[str, Any]) -> dict[str, Any]:
        return {"configs": self.peer.op_configs(op_case(case), self.device)}

    def make(
        self, subject: int, mode: str, net: str, config: str, batch: int, dropout: bool, weights: str
    ) -> dict[str, Any]:
        """Build one configuration; `weights` is the prefix of its start weights in the folder."""
        if self.data is None:
            self.data = Data(*load_arrays(self.folder, "data"))
        what = workload(net) if dropout else workload(net).without_dropout()
        start = load_arrays(self.folder, weights)
        begin = time.perf_counter()
        build = self.peer.make_trainer if mode == "train" else self.peer.make_predictor
        made = self.subjects[subject] = build(what, config, batch, self.data, start)
        return {"seconds": time.perf_counter() - begin, "multiple": made.multiple}

    def make_op(self, subject: int, case: dict[str, Any], config: str) -> dict[str, Any]:
        begin = time.perf_counter()
        made = self.subjects[subject] = self.peer.make_op(op_case(case), config)
        return {"seconds": time.perf_counter() - begin, "multiple": made.multiple}

    def run(self, subject: int, n: int) -> dict[str, Any]:
        made = self.subjects[subject]
        gc.disable()
        try:
            begin = time.perf_counter()
            made.run(n)
            return {"seconds": time.perf_counter() - begin}
        finally:
            gc.enable()

    def result(self, subject: int, prefix: str) -> dict[str, Any]:
        """Write weights, probabilities or outputs into the folder."""
        made = self.subjects[subject]
        if hasattr(made, "weights"):
            arrays = made.weights()
        else:
            arrays = [made.probabilities()] if hasattr(made, "probabilities") else made.output()
        save_arrays(self.folder, prefix, arrays)
        return {}

    def drop(self, subject: int) -> dict[str, Any]:
        self.subjects.pop(subject, None)
        gc.collect()
        return {}

    def peak_memory(self) -> dict[str, Any]:
        """The largest resident size of this process so far, in bytes.

        Linux hands ru_maxrss on from the process that started this one: VmHWM is this process's own.
        """
        kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with contextlib.suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    kib = int(line.split()[1])
        return {"bytes": kib * 1024}


def op_case(fields: dict[str, Any]) -> OpCase:
    case = OpCase(**fields)
    return replace(case, shape=tuple(case.shape))


def pin(threads: int) -> None:
    """Leave this process as many CPUs as it has threads, the last ones of those it may use."""
    if hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cpus[-threads:])


def main() -> None:
    peer, threads, device, folder = sys.argv[1:]
    # Frameworks print what they like: the answers keep the real standard output to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if device == "cpu":
        pin(int(threads))
    worker = Worker(peer, int(threads), device, Path(folder))
    for line in sys.stdin:
        request = json.loads(line)
        command = request.pop("command")
        try:
            answer = getattr(worker, command)(**request)
        except Exception as why:
            answer = {"error": f"{type(why).__name__}: {why}".strip(), "traceback": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
