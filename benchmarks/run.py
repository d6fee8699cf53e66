"""Training steps and inference of W1 to W4 for symconv and its peers, interleaved in one run.

    python benchmarks/run.py --workloads W1,W3 --batches 10,128 --peers symconv,torch,jax --json FILE

Every configuration is checked first: from the same weights, ten steps on the same batches must give the
weights of a float64 NumPy oracle (W4 with its dropout switched off for the check; then the net with dropout
is timed), or, where rounding decides a near-tie in one of them, each must be the oracle's from the weights
before it. Those start weights are the book's initial ones after --settle steps: only after a while are as
many activations zero as in a net in training, and the speed of some kernels depends on that.
A peer of another environment: --python jax=/path/to/python or SYMCONV_BENCH_PYTHON_JAX.
After Ctrl-C the rows of all finished groups (net, mode, batch size) are printed and in the JSON file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the oracle must not spin beside the workers
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks import peers as peer_modules
from benchmarks import reference, report
from benchmarks.cores import Wanted, add_wanted
from benchmarks.measure import Protocol, Subject, absent_row, attempt, row, wanted_forms
from benchmarks.workers import WorkerError, Workers
from benchmarks.workloads import N_IMAGES, Data, Workload, gaussian, initial_weights, save_arrays, workload

CHECK_STEPS = 10
METRICS = {"train": ("step", "us"), "infer": ("inference", "images/s"), "memory": ("peak memory", "MiB")}
MEMORY_STEPS = 300


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names, numbers = (lambda text: text.split(",")), (lambda text: [int(t) for t in text.split(",")])
    add = parser.add_argument
    add("--workloads", type=names, default=["W1", "W2", "W3", "W4"], help="W1 to W4, W1t to W4t, D1 to D999")
    add("--batches", type=numbers, default=[10, 128], help="batch sizes of training")
    add("--infer-batches", type=numbers, default=[1, 10, 1000], help="batch sizes of inference")
    add("--modes", type=names, default=["train", "infer"], help="of train, infer, memory")
    add("--peers", type=names, default=list(peer_modules.MODULES))
    add("--configs", type=names, default=[], metavar="PEER:CONFIG", help="only these forms of their peers")
    add("--threads", type=numbers, default=None, help="default: 1 and the number of usable cores")
    add("--rounds", type=int, default=7)
    add("--target", type=float, default=0.1, help="seconds of one timing")
    add_wanted(parser)
    add("--device", choices=["cpu", "cuda"], default="cpu")
    add("--inputs", choices=["mnist", "gaussian"], default="mnist")
    add("--images", type=int, default=N_IMAGES, help="resident training images")
    add("--settle", type=int, default=1000, help="steps of batch 10 before anything is checked or timed")
    add("--busy", type=int, default=0, help="neighbours that keep a core busy during the timings")
    add("--python", action="append", default=[], metavar="PEER=PATH", help="interpreter of a peer")
    add("--quick", action="store_true", help="three short rounds, little settling: to see that it works")
    add("--json", type=Path, help="write rows and the record of the machine here, after every group")
    args = parser.parse_args(argv)
    args.threads = args.threads or sorted({1, report.usable_cores()})
    if args.quick:
        args.rounds, args.target, args.settle = min(args.rounds, 3), 0.01, min(args.settle, 30)
    try:
        for peer in args.peers:
            peer_modules.load(peer)
        for name in args.workloads:
            workload(name)
        args.python = dict(pair.split("=", 1) for pair in args.python)
    except (KeyError, ValueError) as why:
        parser.error(str(why.args[0]))
    if bad := set(args.modes) - set(METRICS):
        parser.error(f"unknown mode {', '.join(bad)}; there are {', '.join(METRICS)}")
    sizes = args.batches * bool({"train", "memory"} & set(args.modes)) + args.infer_batches * (
        "infer" in args.modes
    )
    if not 0 < min(sizes) <= max(sizes) <= args.images:
        parser.error(f"batch sizes must be from 1 to {args.images}, the number of images")
    return args


def training_data(inputs: str, n: int) -> Data:
    if inputs == "gaussian":
        return gaussian(n)
    from symconv.datasets import mnist

    train = mnist().train
    return Data(np.ascontiguousarray(train.images[:n]), np.ascontiguousarray(train.labels[:n]))


def weight_error(
    got: Sequence[np.ndarray],
    oracle: Sequence[np.ndarray],
    start: Sequence[np.ndarray],
    doubts: Sequence[np.ndarray],
) -> str:
    """What is wrong with `got`, or nothing.

    Float32 rounds every update of w to |w| * 2^-24 and gradients to some 1e-6 of their size, and near-ties in
    max-pooling and ReLU send a few gradients elsewhere, in every layer that they pass. Allowed per array: the
    rounding of the sums, for each layer of the net a thousandth of the largest movement, and per element what
    the oracle says that near-ties may do.
    """
    movement_share = 1e-3 * (len(start) // 2)
    for i, (g, o, s) in enumerate(zip(got, oracle, start)):
        if g.shape != o.shape or not np.isfinite(g).all():
            return f"weights {i}: shape {g.shape} for {o.shape}, or not finite"
        allowed = movement_share * np.abs(o - s).max() + CHECK_STEPS * 2.0**-24 * max(1.0, np.abs(o).max())
        worst = (np.abs(g - o) - doubts[i]).max()
        if worst > allowed:
            return f"weights {i} are off by {worst:.2g}, allowed {allowed:.2g}"
    return "" if len(got) == len(oracle) else f"{len(got)} weight arrays for {len(oracle)}"


class NetBenchmark:
    """All measurements on one set of data."""

    def __init__(self, args: argparse.Namespace, workers: Workers, folder: Path) -> None:
        self.args, self.workers, self.folder = args, workers, folder
        self.data = training_data(args.inputs, args.images)
        save_arrays(folder, "data", [self.data.images, self.data.labels])
        self.rows: list[dict[str, Any]] = []  # of the group in work
        self.protocol = Protocol(args.rounds, args.target, Wanted.of(args))

    def settled_weights(self, net: Workload) -> list[np.ndarray]:
        """The initial weights after --settle steps, by the first peer that can; every check comes later."""
        start = initial_weights(net)
        save_arrays(self.folder, net.name, start)
        if not self.args.settle or set(self.args.modes) == {"memory"}:
            return start
        for peer in self.args.peers:
            with contextlib.suppress(WorkerError):
                worker = self.workers.get(peer, self.args.threads[0])
                configs = worker.call("configs", net=net.name, mode="train")["configs"]
                if not configs:
                    continue
                subject = Subject(peer, configs[0], worker.threads, worker)
                batch = min(10, len(self.data.labels))
                subject.make("make", mode="train", net=net.name, batch=batch, dropout=True, weights=net.name)
                subject.run(-(-self.args.settle // subject.multiple) * subject.multiple)
                settled = subject.result()
                subject.drop()
                if all(np.isfinite(w).all() for w in settled):
                    save_arrays(self.folder, net.name, settled)
                    return settled
        return start

    def subjects(self, net: Workload, mode: str, batch: int) -> list[Subject]:
        """Every form of every peer; a peer that is not there leaves its rows at once."""
        result = []
        for peer in self.args.peers:
            for threads in self.args.threads:
                try:
                    worker = self.workers.get(peer, threads)
                    wanted = "infer" if mode == "infer" else "train"
                    configs = worker.call("configs", net=net.name, mode=wanted)["configs"]
                    if not configs:
                        raise WorkerError("has no form of this net")
                except WorkerError as why:
                    self.rows.append(absent_row(peer, threads, net.name, batch, *METRICS[mode], str(why)))
                    continue
                chosen = wanted_forms(peer, configs, self.args.configs)
                result += [Subject(peer, c, threads, worker) for c in chosen]
        return result

    def build_and_check(
        self, subject: Subject, net: Workload, mode: str, batch: int, oracle: list[np.ndarray]
    ) -> None:
        """Make the subject and compare it with the oracle; notes what is wrong."""
        report.progress(f"{net.name} {mode} batch {batch}: {subject.peer} {subject.config}/{subject.threads}")
        wanted = {"mode": mode, "net": net.name, "batch": batch, "weights": net.name}
        if mode == "infer":
            subject.make("make", dropout=True, **wanted)
            (p,) = subject.result()
            # 1e-4 of a probability: float32 rounding of logits of size 10 and more
            if p.shape != oracle[0].shape or not np.abs(p - oracle[0]).max() < 1e-4:
                subject.note = "wrong: class probabilities differ from the float64 oracle's"
            return
        subject.make("make", dropout=False, **wanted)  # this has already run `multiple` steps
        if CHECK_STEPS > subject.multiple:
            subject.run(CHECK_STEPS - subject.multiple)
        wrong = weight_error(subject.result(), oracle, self.start, self.doubts)
        if wrong and subject.multiple == 1:
            subject.drop()
            subject.make("make", dropout=False, **wanted)
            wrong = self.wrong_step(subject, net, batch)
        if wrong:
            subject.note = "wrong: " + wrong
        elif net.drops:
            subject.drop()
            subject.make("make", dropout=True, **wanted)

    def wrong_step(self, subject: Subject, net: Workload, batch: int) -> str:
        """What is wrong with the first wrong one of CHECK_STEPS steps, or nothing; one step has been run.

        Each is compared with the oracle's from the weights that the subject had before it: a near-tie in an
        earlier step, which leads all later weights elsewhere, says nothing against them.
        """
        before = self.start
        for step in range(CHECK_STEPS):
            if step:
                subject.run(1)
            got = subject.result()
            oracle, doubts = reference.train_with_doubt(net, before, self.data, batch, step, 1, "float64")
            if wrong := weight_error(got, oracle, before, doubts):
                return f"step {step}: {wrong}"
            before = got
        return ""

    def group(self, net: Workload, mode: str, batch: int) -> None:
        """All forms of one net at one batch size: build, check, time, write rows."""
        if mode == "train":
            oracle, self.doubts = reference.train_with_doubt(
                net, self.start, self.data, batch, 0, CHECK_STEPS, "float64"
            )
        else:
            oracle = [reference.predict(net, self.start, self.data.batch(0, batch)[0])]
        subjects = self.subjects(net, mode, batch)
        for subject in subjects:
            attempt(subject, lambda s: self.build_and_check(s, net, mode, batch, oracle))
        with neighbours(self.args.busy):
            self.protocol.time(
                subjects, lambda text: report.progress(f"{net.name} {mode} batch {batch}: {text}")
            )
        metric, unit = METRICS[mode]
        for s in subjects:
            values = [1e6 * t if mode == "train" else batch / t for t in s.seconds]
            self.rows.append(row(s, net.name, batch, metric, unit, values))
        for s in subjects:
            if not s.note:
                self.rows.append(row(s, net.name, batch, f"build, {mode}", "s", [s.build_s]))
            s.drop()

    def memory(self, net: Workload, batch: int) -> None:
        """Rows with the largest resident size of processes that train one form each: data and imports too."""
        for subject in self.subjects(net, "memory", batch):
            report.progress(f"{net.name} batch {batch}, memory: {subject.peer} {subject.config}")
            attempt(subject, lambda s: self.peak_memory(s, net, batch))
            self.rows.append(row(subject, net.name, batch, *METRICS["memory"], subject.sizes))

    def peak_memory(self, subject: Subject, net: Workload, batch: int) -> None:
        worker = self.workers.start(subject.peer, subject.threads)
        try:
            alone = Subject(subject.peer, subject.config, subject.threads, worker)
            alone.make("make", mode="train", net=net.name, batch=batch, dropout=True, weights=net.name)
            alone.run(-(-MEMORY_STEPS // alone.multiple) * alone.multiple)
            subject.sizes.append(worker.call("peak_memory")["bytes"] / 2**20)
        finally:
            worker.close()

    def run(self, results: report.Results) -> None:
        for name in self.args.workloads:
            net = workload(name)
            report.announce(f"{name}: settling")
            self.start = self.settled_weights(net)
            for mode in self.args.modes:
                for batch in self.args.infer_batches if mode == "infer" else self.args.batches:
                    report.announce(f"{name} {mode} batch {batch}")
                    self.rows = []
                    if mode == "memory":
                        self.memory(net, batch)
                    else:
                        self.group(net, mode, batch)
                    results.add(self.rows, self.workers.versions)


@contextlib.contextmanager
def neighbours(n: int) -> Iterator[None]:
    """n processes that do nothing but use a core."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def main(argv: Sequence[str] | None = None) -> int:
    args = arguments(argv)
    results = report.Results(args.json, vars(args), report.environment(args.device))

    def measure() -> None:
        with tempfile.TemporaryDirectory(prefix="symconv-bench-") as name:
            with Workers(Path(name), args.device, args.python) as workers:
                NetBenchmark(args, workers, Path(name)).run(results)

    return results.collect(measure)


if __name__ == "__main__":
    sys.exit(main())
