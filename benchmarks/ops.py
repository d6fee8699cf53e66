"""Single operators of symconv beside PyTorch's, interleaved in one run.

    python benchmarks/ops.py --groups conv,pool --threads 1,2 --json FILE

Every form is checked against a float64 NumPy oracle before it is timed. Rows are those of run.py, with the
operator and its shape as the workload, and with GFLOP/s or GB/s (least possible traffic) of the median. Where
memory sets the limit, a copy of as many bytes is timed in the same rounds: its GB/s are `copy_rate`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks import peers as peer_modules
from benchmarks import report
from benchmarks.cores import Wanted, add_wanted
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
    add_wanted(parser)
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


def copy_subjects(copy: OpCase, args: argparse.Namespace, workers: Workers) -> list[Subject]:
    """What copies memory, for each number of threads: the first form of the first peer that has one."""
    subjects = []
    for threads in args.threads:
        for peer in args.peers:
            try:
                worker = workers.get(peer, threads)
                configs = worker.call("op_configs", case=asdict(copy))["configs"]
            except WorkerError:
                continue
            if configs:
                subjects.append(Subject(peer, configs[0], threads, worker))
                break
    return subjects


def shares(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each row of symconv's that memory limits: its share of the bandwidth of a copy."""
    return [
        f"{r['workload']}, {r['threads']} thread(s), {r['config']}: {r['rate']:.1f} GB/s, "
        f"{100 * r['rate'] / r['copy_rate']:.0f} % of a copy's {r['copy_rate']:.1f}"
        for r in rows
        if r["peer"] == report.OURS and "copy_rate" in r
    ]


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
    copy = OpCase("copy", (max(1, case.bytes // 8),))
    copies = [] if case.flops or case.kind == "copy" else copy_subjects(copy, args, workers)
    for subject in copies:
        attempt(subject, lambda s: check(s, copy, oracle(copy)))
    Protocol(args.rounds, args.target, Wanted.of(args)).time([*subjects, *copies], lambda text: None)
    copy_rates = {s.threads: copy.bytes / statistics.median(s.seconds) / 1e9 for s in copies if s.seconds}
    for subject in copies:
        subject.drop()
    for subject in subjects:
        timed = row(subject, case.name, None, "time", "us", [1e6 * t for t in subject.seconds])
        if timed["median"] is not None:
            work, unit = (case.flops, "GFLOP/s") if case.flops else (case.bytes, "GB/s")
            timed |= {"rate": work / timed["median"] / 1e3, "rate_unit": unit}
            if subject.threads in copy_rates:
                timed["copy_rate"] = copy_rates[subject.threads]
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

    code = results.collect(measure_all)
    print("\n".join(shares(results.rows)), end="\n" if shares(results.rows) else "")
    return code


if __name__ == "__main__":
    sys.exit(main())
