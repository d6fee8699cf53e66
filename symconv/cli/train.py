"""symconv train: one of the book's networks, trained, with its results in a directory."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

from symconv import viz
from symconv.cli.options import add_data, add_device, add_net, load_data, number, whole
from symconv.config import config
from symconv.datasets import Dataset
from symconv.datasets.augment import shift_expand
from symconv.device import resolve_device
from symconv.errors import MissingExtraError, NonFiniteError, OutputError
from symconv.files import atomic_path, import_extra, output_hint, reason
from symconv.nn import SGD, History, Network, Trainer, net
from symconv.nn.progress import Lines, percent

WEIGHTS, RESULT = "weights.safetensors", "result.json"


def add_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train one of the book's networks on MNIST or another data set",
        description="Train a network of the book's chapter 6, with the book's hyper-parameters unless others "
        "are given. Writes result.json, weights.safetensors, curves.png, filters.png and errors.png. Ctrl-C "
        "ends the training and keeps the best weights.",
    )
    add_net(parser)
    parser.add_argument("--epochs", type=whole(1), metavar="N", help="walks through the training images")
    parser.add_argument("--batch", type=whole(1), metavar="B", help="images in a mini-batch")
    parser.add_argument("--eta", type=number, metavar="E", help="learning rate")
    parser.add_argument("--lmbda", type=number, metavar="L", help="strength of the L2 regularisation")
    parser.add_argument("--patience", type=whole(1), metavar="N", help="end after N epochs without a gain")
    parser.add_argument("--shuffle", action="store_true", help="visit the images in a new order each epoch")
    parser.add_argument("--expand", action="store_true", help="add copies moved by a pixel: 5 times the data")
    add_device(parser)
    parser.add_argument("--seed", type=whole(0), metavar="S", help="of initial weights, dropout, shuffling")
    add_data(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="where results go (default: runs/NET)")
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    seed = config.seed if arguments.seed is None else arguments.seed
    recipe = net(arguments.net)
    out = arguments.out or Path("runs") / recipe.name
    with config(device=arguments.device or config.device, seed=seed):
        device = resolve_device()
        import_extra("safetensors", "train", "saving weights")
        make_writable(out)
        data = load_data(arguments.data, arguments.limit)
        model = recipe.build(data.image_shape, data.n_classes, seed)
        settings: dict[str, Any] = {
            "epochs": arguments.epochs or recipe.epochs,
            "mini_batch_size": arguments.batch or recipe.mini_batch_size,
            "eta": recipe.eta if arguments.eta is None else arguments.eta,
            "lmbda": recipe.lmbda if arguments.lmbda is None else arguments.lmbda,
        }
        images, labels = data.train
        if arguments.expand:
            images, labels = shift_expand(images, labels, image_shape=data.image_shape, seed=seed)
        print(describe(recipe.name, data, len(images), device, settings, seed), flush=True)
        trainer = Trainer(
            model,
            SGD(settings["eta"]),
            mini_batch_size=settings["mini_batch_size"],
            lmbda=settings["lmbda"],
            shuffle=arguments.shuffle,
            patience=arguments.patience,
            progress=Lines(),
            device=device,
        )
        facts = {"net": recipe.name, "device": device, "seed": seed, "data": data.name, **settings}
        try:
            history = trainer.fit((images, labels), settings["epochs"], data.validation, data.test)
        except NonFiniteError as error:
            report(out, model, data, trainer.history, facts)
            raise NonFiniteError(f"{error}\n  these weights are in {out / WEIGHTS}") from error
        if history.interrupted:
            print("Interrupted: keeping the best weights so far.", flush=True)
        report(out, model, data, history, facts)
    return 130 if history.interrupted else 0


def describe(name: str, data: Dataset, n: int, device: str, settings: dict[str, Any], seed: int) -> str:
    return (
        f"Training {name} on {n:,} images of {data.name} ({device}): {settings['epochs']} epochs, "
        f"mini-batches of {settings['mini_batch_size']}, eta {settings['eta']:g}, "
        f"lambda {settings['lmbda']:g}, seed {seed}"
    )


def make_writable(directory: Path) -> None:
    """Make the directory and try to write into it: before the training, not after it. Raises OutputError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise OutputError(
            f"cannot make the output directory {directory}: {reason(why)}{output_hint(directory)}"
        ) from why
    for name in (WEIGHTS, RESULT):
        if (directory / name).is_dir():
            raise OutputError(f"cannot write {directory / name}: it is a directory")
    probe = directory / ".probe"
    with atomic_path(probe):
        pass
    probe.unlink()


def report(out: Path, model: Network, data: Dataset, history: History, facts: dict[str, Any]) -> None:
    """Write everything into `out`, the weights first, and say where it is."""
    version = importlib.import_module("symconv").__version__
    result = {
        **{key: facts[key] for key in ("net", "device")},
        "epochs": len(history.epochs),
        "seconds": round(history.seconds, 3),
        "images_per_s": round(history.images_per_s, 1),
        "validation_accuracy": history.validation_accuracy,
        "test_accuracy": history.test_accuracy,
        "seed": facts["seed"],
        "version": version,
        "best_epoch": history.best_epoch,
        "interrupted": history.interrupted,
        "stopped": history.stopped,
        **{key: facts[key] for key in ("data", "mini_batch_size", "eta", "lmbda")},
        "history": history.epochs,
    }
    model.save(
        out / WEIGHTS,
        {"net": facts["net"], "classes": list(data.classes), "image_shape": list(data.image_shape)},
    )
    with atomic_path(out / RESULT) as path:
        path.write_text(json.dumps(result, indent=2) + "\n")
    try:
        draw(out, model, data, history)
    except MissingExtraError as why:
        print(f"No pictures: {why}", flush=True)
    if history.test_accuracy is not None:
        print(
            f"Best epoch {history.best_epoch}: validation {percent(history.validation_accuracy or 0.0)}, "
            f"test {percent(history.test_accuracy)}; {history.images_per_s:,.0f} images/s, "
            f"{history.seconds:.1f} s in all"
        )
    print(f"Results in {out}", flush=True)


def draw(out: Path, model: Network, data: Dataset, history: History) -> None:
    """curves.png, filters.png where the first layer convolves, errors.png."""
    if history.epochs:
        viz.plot_curves(history.epochs, out / "curves.png")
        predictions = model.predict(data.test.images)
        viz.plot_errors(
            data.test.images,
            data.test.labels,
            predictions,
            out / "errors.png",
            image_shape=data.image_shape,
            classes=data.classes,
        )
    filters = next((w for w in model.weights if w.ndim == 4), None)
    if filters is not None:
        viz.plot_filters(filters.get_value(), out / "filters.png")
