"""symconv search: learning rate and regularisation of one of the book's nets, chosen on validation images."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from symconv.book.runner import make_directory, read_json, write_json
from symconv.cli.options import add_data, add_device, add_net, load_data, whole
from symconv.config import config
from symconv.device import resolve_device
from symconv.errors import ConfigError, DataError
from symconv.nn import SGD, LogUniform, Model, Optimizer, Trial, Uniform, grid, net, sample, search
from symconv.nn.hyper import Values, ranked
from symconv.nn.progress import percent

RESULT = "search.json"


def values(text: str) -> Values:
    """An argparse type: A,B,C is a list, LOW:HIGH a range, drawn from by orders of magnitude."""
    low, colon, high = text.partition(":")
    try:
        numbers = [float(part) for part in ([low, high] if colon else text.split(","))]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither A,B,C nor LOW:HIGH") from None
    if any(not 0 <= v < float("inf") for v in numbers):
        raise argparse.ArgumentTypeError(f"{text}: finite numbers, 0 or more")
    if not colon:
        return numbers
    if not 0 < numbers[0] < numbers[1]:
        raise argparse.ArgumentTypeError(f"{text}: LOW must be above 0 and below HIGH")
    return LogUniform(*numbers)


def add_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "search",
        help="search for a net's learning rate and regularisation",
        description="Train one of the book's networks with many learning rates and strengths of "
        "regularisation, and rank them by accuracy on the validation images. Lists of values make a grid; "
        "with a range, --trials points are drawn. Writes search.json after every setting; the same command "
        "goes on with those that are missing.",
    )
    add_net(parser)
    parser.add_argument(
        "--eta", type=values, metavar="V", help="learning rates: A,B,C or LOW:HIGH (default: the net's)"
    )
    parser.add_argument(
        "--lmbda", type=values, metavar="V", help="regularisation: A,B,C or LOW:HIGH (default: the net's)"
    )
    parser.add_argument("--trials", type=whole(1), metavar="N", help="points to draw (default: 10)")
    parser.add_argument("--epochs", type=whole(1), default=3, metavar="N", help="of each (default: 3)")
    parser.add_argument("--batch", type=whole(1), metavar="B", help="images in a mini-batch")
    parser.add_argument("--seeds", type=whole(1), default=1, metavar="K", help="trainings of each setting")
    parser.add_argument("--seed", type=whole(0), metavar="S", help="of the draws, and of the first training")
    parser.add_argument(
        "--together", type=whole(1), metavar="R", help="replicas in one step (default: 8 on a GPU, else 1)"
    )
    add_device(parser)
    add_data(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: runs/search-NET")
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    recipe = net(arguments.net)
    seed = config.seed if arguments.seed is None else arguments.seed
    batch = arguments.batch or recipe.mini_batch_size
    space: dict[str, Values] = {
        "eta": [recipe.eta] if arguments.eta is None else arguments.eta,
        "lmbda": [recipe.lmbda] if arguments.lmbda is None else arguments.lmbda,
    }
    drawn = any(isinstance(v, Uniform) for v in space.values())
    if arguments.trials and not drawn:
        raise ConfigError("--trials: lists of values are taken whole\n  hint: --eta LOW:HIGH is drawn from")
    settings = sample(space, arguments.trials or 10, seed) if drawn else grid(space)
    facts = {
        "net": recipe.name,
        "epochs": arguments.epochs,
        "mini_batch_size": batch,
        "seeds": list(range(seed, seed + arguments.seeds)),
        "limit": arguments.limit,
        "data": None if arguments.data is None else str(arguments.data),
    }
    path = (arguments.out or Path("runs") / f"search-{recipe.name}") / RESULT
    make_directory(path.parent)
    with config(device=arguments.device or config.device):
        facts["device"] = resolve_device()
        trials = read(path, facts)
        missing = [s for s in settings if all(t.setting != s for t in trials)]
        data = load_data(arguments.data, arguments.limit)

        def build(setting: dict[str, Any], seed: int) -> tuple[Model, Optimizer, float]:
            made = replace(recipe, mini_batch_size=batch).build(data.image_shape, data.n_classes, seed)
            return made, SGD(setting["eta"]), setting["lmbda"]

        def after(trial: Trial) -> None:
            trials.append(trial)
            write(path, facts, trials)
            what = percent(trial.accuracy) if not all(trial.stopped) else str(trial.stopped[0])
            print(f"{len(trials)} of {len(settings)}: {show(trial)}: {what}", flush=True)

        print(
            f"{recipe.name} on {len(data.train):,} images of {data.name}: {len(missing)} of {len(settings)} "
            f"settings to train, {arguments.epochs} epochs each, {arguments.seeds} seeds",
            flush=True,
        )
        if missing:
            search(
                build, missing, data.train, data.validation, arguments.epochs, seeds=facts["seeds"],
                mini_batch_size=batch, together=arguments.together, after=after,
            )  # fmt: skip
    print(table(trials))
    print(f"In {path}")
    return 0


def show(trial: Trial) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in trial.setting.items())


def table(trials: list[Trial]) -> str:
    """The trials, best first: setting, mean validation accuracy, worst and best seed."""
    lines = [f"{'eta':>10}  {'lambda':>10}  {'validation':>10}  worst to best of the seeds"]
    for t in ranked(trials):
        each = [a or 0.0 for a in t.accuracies]
        lines.append(
            f"{t.setting['eta']:>10.4g}  {t.setting['lmbda']:>10.4g}  {percent(t.accuracy):>10}  "
            f"{percent(min(each))} to {percent(max(each))}"
        )
    return "\n".join(lines)


def write(path: Path, facts: dict[str, Any], trials: list[Trial]) -> None:
    write_json(path, {**facts, "trials": [t.as_json() for t in ranked(trials)]})


def read(path: Path, facts: dict[str, Any]) -> list[Trial]:
    """What is there of the same search. Raises DataError for another's file."""
    found = read_json(path)
    if found is None:
        return []
    try:
        same = {key: found[key] for key in facts} == facts
        trials = [
            Trial(t["setting"], *(tuple(t[k]) for k in ("seeds", "accuracies", "best_epochs", "stopped")))
            for t in found["trials"]
        ]
    except (KeyError, TypeError) as why:
        raise DataError(f"{path}: not the results of a search: {why}\n  hint: remove it") from why
    if not same:
        raise DataError(f"{path}: the results of another search\n  hint: remove it, or give another --out")
    return trials
