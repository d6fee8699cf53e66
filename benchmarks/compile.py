"""Compile times by depth, and what a call costs: symconv beside PyTorch and JAX, each in its own process.

    python benchmarks/compile.py --json FILE
    python benchmarks/compile.py --peers symconv --nets residual --depths 10,100

A compile time is that of a training step from the symbolic net (for peers: the Python function) to the end of
the first step, less the time of a second step; imports and the drawing of weights are not in it. The overhead
of a call is the time of a function whose work is next to nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report

PEERS = ("symconv", "torch", "jax")
NETS = {
    "dbl_conv_relu": [1],
    "residual": [10, 25, 50, 100, 200],
    "dense": [10, 100, 1000],
    "chain": [2000, 20000],
    "cuda_start": [1],
}
QUICK = {"dbl_conv_relu": [1], "residual": [2], "dense": [3], "chain": [50], "cuda_start": [1]}
PEER_LIMIT = {
    "residual": 50,
    "dense": 100,
    "chain": 2000,
    "cuda_start": 0,
}  # depths that peers compile in bearable time
WARM = ("cuda_start",)  # measured with what the process before left in the cache
SECONDS = 600  # that one net may take


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names, numbers = (lambda text: text.split(",")), (lambda text: [int(t) for t in text.split(",")])
    add = parser.add_argument
    add("--peers", type=names, default=list(PEERS))
    add("--nets", type=names, default=[*NETS, "calls"], help=f"of {', '.join(NETS)}, calls")
    add("--depths", type=numbers, default=None)
    add("--rounds", type=int, default=3)
    add("--device", choices=["cpu"], default="cpu")
    add("--python", action="append", default=[], metavar="PEER=PATH", help="interpreter of a peer")
    add("--quick", action="store_true", help="small nets, one round: to see that it works")
    add("--json", type=Path, help="write rows and the record of the machine here")
    args = parser.parse_args(argv)
    if bad := set(args.nets) - {*NETS, "calls"}:
        parser.error(f"unknown net {', '.join(sorted(bad))}; there are {', '.join(NETS)}, calls")
    if bad := set(args.peers) - set(PEERS):
        parser.error(f"unknown peer {', '.join(sorted(bad))}; there are {', '.join(PEERS)}")
    if args.quick:
        args.rounds = 1
    try:
        args.python = dict(pair.split("=", 1) for pair in args.python)
    except ValueError:
        parser.error("--python takes PEER=PATH")
    return args


def measure(peer: str, net: str, depth: int, python: str, rounds: int) -> dict[str, Any]:
    """One row: seconds of every round, each in a fresh process, or the reason why there are none."""
    row: dict[str, Any] = {
        "peer": peer, "config": "compile", "threads": 1, "workload": f"{net}_{depth}", "batch": 10,
        "metric": "call" if net == "calls" else "compile", "unit": "s", "note": "", "depth": depth,
    }  # fmt: skip
    seconds = []
    for _ in range(rounds + (net in WARM)):
        command = [python, "-m", "benchmarks.compile_nets", peer, net, str(depth)]
        root = Path(__file__).resolve().parents[1]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS, cwd=root, check=False
            )
        except subprocess.TimeoutExpired:
            row["note"] = f"more than {SECONDS} s"
            break
        if done.returncode:
            row["note"] = "failed: " + (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
            break
        seconds.append(json.loads(done.stdout.splitlines()[-1])["seconds"])
    if net in WARM:
        del seconds[:1]
    seconds.sort()
    row |= {"median": seconds[len(seconds) // 2] if seconds else None, "n": len(seconds)}
    row |= {"min": min(seconds, default=None), "max": max(seconds, default=None)}
    return row


def shown(row: dict[str, Any]) -> str:
    name = f"{row['workload']:<20} {row['peer']:<8}"
    if row["median"] is None:
        return f"{name} {row['note']}"
    if row["metric"] == "call":
        return f"{name} {1e6 * row['median']:9.2f} us a call"
    return f"{name} {row['median']:9.3f} s   {1e3 * row['median'] / row['depth']:8.3f} ms a layer"


def main(argv: Sequence[str] | None = None) -> int:
    args = arguments(argv)
    results = report.Results(args.json, vars(args), report.environment(args.device))

    def measure_all() -> None:
        for net in args.nets:
            for depth in args.depths or (QUICK if args.quick else {**NETS, "calls": [1]}).get(net, [1]):
                for peer in args.peers:
                    if peer != "symconv" and depth > PEER_LIMIT.get(net, depth):
                        continue
                    row = measure(peer, net, depth, args.python.get(peer, sys.executable), args.rounds)
                    print(shown(row), flush=True)
                    results.add([row], {})

    return results.collect(measure_all)


if __name__ == "__main__":
    sys.exit(main())
