"""symconv book: the experiments of the book's chapter 6, by name."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from symconv.book import EXPERIMENTS, Plan, experiment, read_results, report, run
from symconv.book.ensemble import COMMITTEE, judge
from symconv.book.pictures import draw, draw_comparison
from symconv.book.report import Summary
from symconv.book.speedrun import COURSES, MARK, SEEDS, SPEEDRUN, run_one, speedrun, speedrun_table
from symconv.cli.options import add_data, add_device, number, whole
from symconv.config import config
from symconv.device import resolve_device
from symconv.errors import ConfigError, MissingExtraError
from symconv.files import import_extra
from symconv.nn.progress import Lines, percent


def add_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "book",
        help="run an experiment of the book's chapter 6",
        description="Run an experiment of the book's chapter 6 with its hyper-parameters: test accuracy at "
        "the best validation epoch, of several runs. What is cut off, by Ctrl-C or otherwise, goes on after "
        "its last whole epoch when the command is given again. Writes one JSON a run, weights and pictures.",
    )
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help=f"{', '.join(EXPERIMENTS)}; or {SPEEDRUN}: the least time to a test accuracy, from the start of "
        "a process",
    )
    parser.add_argument("--list", action="store_true", help="print all experiments with the book's figures")
    parser.add_argument("--epochs", type=whole(1), metavar="N", help="instead of the book's")
    parser.add_argument("--runs", type=whole(1), metavar="N", help="instead of three")
    parser.add_argument("--seed", type=whole(0), metavar="S", help="of the first run; the next has S + 1")
    parser.add_argument(
        "--digit", type=whole(0), default=0, metavar="I", help="the test image whose feature maps are drawn"
    )
    add_device(parser)
    add_data(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where results go (default: runs/book, or runs/book-first-N with --limit N)",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="PAGE",
        help="write the table of the results in --out between the markers of a Markdown page",
    )
    parser.add_argument(
        "--target",
        type=number,
        action="append",
        metavar="T",
        help=f"of {SPEEDRUN}, in percent: {', '.join(f'{t:g}' for t in COURSES)} (default: all)",
    )
    # A run of speedrun's, in this process: its result is one line.
    parser.add_argument("--one", type=whole(0), metavar="SEED", help=argparse.SUPPRESS)
    parser.set_defaults(run=main)
    return parser


def main(arguments: argparse.Namespace) -> int:
    plan = Plan(
        out=arguments.out,
        epochs=arguments.epochs,
        runs=arguments.runs,
        seed=config.seed if arguments.seed is None else arguments.seed,
        limit=arguments.limit,
        data=arguments.data,
    )
    if arguments.list:
        print(listing())
        return 0
    if arguments.name == SPEEDRUN:
        return run_speedrun(arguments, plan)
    if arguments.target or arguments.one is not None:
        raise ConfigError(f"--target belongs to `symconv book {SPEEDRUN}`")
    if arguments.name is None and arguments.report is None:
        raise ConfigError(f"give the name of an experiment, or --list\n  allowed: {', '.join(EXPERIMENTS)}")
    if arguments.name is not None:
        with config(device=arguments.device or config.device):
            resolve_device()
            if not perform(arguments.name, plan, arguments.digit):
                print("Interrupted: the same command goes on after the last whole epoch.", flush=True)
                return 130
    if arguments.report is not None:
        report(arguments.report, plan.directory)
        print(f"Table written into {arguments.report}")
    return 0


def run_speedrun(arguments: argparse.Namespace, plan: Plan) -> int:
    """All runs, or with --one one of them in this process."""
    if arguments.data is not None:
        raise ConfigError(f"{SPEEDRUN} runs on MNIST alone")
    targets = arguments.target or list(COURSES)
    with config(device=arguments.device or config.device):
        if arguments.one is not None:
            found = run_one(targets[0], arguments.one, epochs=plan.epochs, limit=plan.limit)
            print(MARK + json.dumps(found), flush=True)
            return 0
        seeds = range(plan.seed, plan.seed + (plan.runs or SEEDS))
        result = speedrun(
            targets, seeds, plan.directory / SPEEDRUN, epochs=plan.epochs, limit=plan.limit,
            say=lambda text: print(text, flush=True),
        )  # fmt: skip
        print(speedrun_table([result]), end="")
        print(f"Results in {plan.directory / SPEEDRUN}")
    return 0


def listing() -> str:
    """Every experiment: what it trains, and the book's figure in percent."""
    rows = [("NAME", "NETWORK", "EPOCHS", "ETA", "LAMBDA", "IMAGES", "BOOK")]
    for name, e in EXPERIMENTS.items():
        lmbda = f"{e.sweep[0]:g} to {e.sweep[-1]:g}" if e.sweep else f"{e.net.lmbda:g}"
        images = "250,000" if e.expanded else "50,000"
        book = "-" if e.book is None else f"{e.book:.2f}"
        rows.append((name, e.net.about, str(e.net.epochs), f"{e.net.eta:g}", lmbda, images, book))
    widths = [max(len(row[k]) for row in rows) for k in range(7)]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths)).rstrip() for row in rows)


def perform(name: str, plan: Plan, digit: int = 0) -> bool:
    """Run it, draw its pictures, say what came of it; False after Ctrl-C."""
    e = experiment(name)
    import_extra("safetensors", "train", "saving weights")
    if digit >= len(plan.dataset.test):  # said now, not after the training
        raise ConfigError(f"--digit {digit}: there are {len(plan.dataset.test)} test images, from 0 on")
    if not run(name, plan, progress=Lines(), say=lambda text: print(text, flush=True)):
        return False
    if e.members:
        result = judge(e, plan)
        print(
            f"{len(result['members'])} nets: {percent(result['last']['vote'])} by vote, "
            f"{percent(result['last']['mean'])} by mean probability, {len(result['errors'])} of "
            f"{result['test_images']:,} wrong; in {plan.directory / name / COMMITTEE}"
        )
        return True
    for variant, results in read_results(plan.directory).get(name, {}).items():
        summary = Summary(results)
        print(
            f"{' '.join(filter(None, (name, variant)))}: best {max(summary.accuracies):.2f} %, mean "
            f"{summary.mean:.2f} %, of {len(results)} runs"
            + (f" (book: {e.book:.2f} %)" if e.book is not None else "")
        )
    try:
        draw(e, plan, digit)
        draw_comparison(plan.directory)
    except MissingExtraError as why:
        print(f"No pictures: {why}", flush=True)
    print(f"Results in {plan.directory / name}")
    return True
