"""Single operators of symconv beside PyTorch's, interleaved in one run.

    python benchmarks/ops.py --groups conv,pool --threads 1,2 --json FILE

Every form is checked against a float64 NumPy oracle before it is timed. Rows are those of run.py, with the
operator and its shape as the workload, and with GFLOP/s or GB/s (least possible traffic) of the median.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks import peers as peer_modules
from benchmarks import report
from benchmarks.measure import Protocol, Subject, absent_row, attempt, row, wanted_forms
from benchmarks.op_oracle import disagreement, oracle
from benchmarks.opcases import CASES, OpCase
from benchmarks.workers import WorkerError, Workers

PEERS = ("symconv", "torch")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names, numbers = (lambda text: text.split(",")), (lambda text: [int(t) for t in text.split(",")])
    add = parser.add_argument
    default = [g for g in CASES if g not in ("tiny", "resnet", "vgg")]
    add("--groups", type=names, default=default, help=f"of {', '.join(CASES)}")
    add("--only", default="", help="only cases whose name contains this text")
    add("--peers", type=names, default=list(PEERS))
    add("--configs", type=names, default=[], metavar="PEER:CONFIG", help="only these forms of their peers")
    add("--threads", type=numbers, default=None, help="default: 1 and the number of usable cores")
    add("--rounds", type=int, default=7)
    add("--target", type=float, default=0.1, help="seconds of one timing")
    add("--device", choices=["cpu", "cuda"], default="cpu")
    add("--python", action="append", default=[], metavar="PEER=PATH", help="interpreter of a peer")
    add("--quick", action="store_true", help="short timings and three rounds: to see that it works")
    add("--json", type=Path, help="write rows and the record of the machine here")
    args = parser.parse_args(argv)
    args.threads = args.threads or sorted({1, report.usable_cores()})
    if args.quick:
        args.rounds, args.target = min(args.rounds, 3), 0.005
    if bad := set(args.groups) - set(CASES):
        parser.error(f"unknown group {', '.join(sorted(bad))}; there are {', '.join(CASES)}")
    if bad := set(args.peers) - set(peer_modules.MODULES):
        parser.error(f"unknown peer {', '.join(sorted(bad))}; there are {', '.join(peer_modules.MODULES)}")
    try:
        args.python = dict(pair.split("=", 1) for pair in args.python)
    except ValueError:
        parser.error("--python takes PEER=PATH")
    return args


def check(subject: Subject, case: OpCase, wanted: list[np.ndarray]) -> None:
    """Make the subject, run it once, compare its outputs with the oracle's; notes what is wrong."""
    subject.make("make_op", case=asdict(case))
    if wrong := disagreement(case, subject.result(), wanted):
        subject.note = "wrong: " + wrong


def measure(case: OpCase, args: argparse.Namespace, workers: Workers) -> list[dict[str, Any]]:
    rows, subjects = [], []
    for peer in args.peers:
        for threads in args.threads:
            try:
                worker = workers.get(peer, threads)
                configs = worker.call("op_configs", case=asdict(case))["configs"]
            except WorkerError as why:
                rows.append(absent_row(peer, threads, case.name, None, "time", "us", str(why)))
                continue
            chosen = wanted_forms(peer, configs, args.configs)
            subjects += [Subject(peer, config, threads, worker) for config in chosen]
    wanted = oracle(case)
    for subject in subjects:
        attempt(subject, lambda s: check(s, case, wanted))
    Protocol(args.rounds, args.target).time(subjects, lambda text: None)
    for subject in subjects:
        timed = row(subject, case.name, None, "time", "us", [1e6 * t for t in subject.seconds])
        if timed["median"] is not None:
            work, unit = (case.flops, "GFLOP/s") if case.flops else (case.bytes, "GB/s")
            timed |= {"rate": work / timed["median"] / 1e3, "rate_unit": unit}
        rows.append(timed)
        subject.drop()
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    args = arguments(argv)
    results = report.Results(args.json, vars(args), report.environment(args.device))
    cases = [c for group in args.groups for c in CASES[group] if args.only in c.name]

    def measure_all() -> None:
        with tempfile.TemporaryDirectory(prefix="symconv-bench-") as folder:
            with Workers(Path(folder), args.device, args.python) as workers:
                for number, case in enumerate(cases, 1):
                    report.announce(f"{number} of {len(cases)}: {case.name}")
                    results.add(measure(case, args, workers), workers.versions)

    return results.collect(measure_all)


if __name__ == "__main__":
    sys.exit(main())
