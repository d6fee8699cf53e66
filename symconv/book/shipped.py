"""The net whose weights ship with the package: `python -m symconv.book.shipped --out DIR` trains it anew.

Two convolutions and two dense layers, 184,586 parameters, trained on the 50,000 training images, bent anew in
every epoch, so that digits drawn with a mouse are known too. The weights are those after the last epoch, when
the learning rate has come to its end, stored as float16: the validation images are only watched, the test
images are looked at once, with the weights as stored.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from symconv import datasets
from symconv.book.report import row
from symconv.book.runner import make_directory, write_json
from symconv.config import config
from symconv.datasets import Dataset
from symconv.device import resolve_device
from symconv.nn import (
    Adam,
    Augmentation,
    Conv,
    Dense,
    Dropout,
    Flatten,
    History,
    Pool,
    Sequential,
    Trainer,
    checkpoint,
)
from symconv.nn.schedules import OneCycle

NAME = "mnist"
STATE = "state.safetensors"


@dataclass(frozen=True)
class Recipe:
    """All that decides about the weights, beside the data, the device and the number of threads."""

    epochs: int = 40
    mini_batch_size: int = 100
    peak: float = 3e-3  # of Adam's learning rate, after three tenths of the epochs
    seed: int = 7
    augment: Augmentation = field(
        default=Augmentation(rotation=12, translation=1.5, scale=0.15, shear=9, elastic=18, sigma=4)
    )

    def build(self) -> Sequential:
        return Sequential(
            [
                Conv(32, 5, "relu"),
                Pool(2),
                Conv(64, 5, "relu"),
                Pool(2),
                Flatten(),
                Dropout(0.4),
                Dense(128, "relu"),
                Dropout(0.4),
                Dense(10),
            ],
            (1, 28, 28),
            seed=self.seed,
        )

    def trainer(self, model: Sequential) -> Trainer:
        return Trainer(
            model,
            Adam(OneCycle(self.peak, self.epochs)),
            self.mini_batch_size,
            shuffle=True,
            augment=self.augment,
            keep_best=False,
        )


def train(recipe: Recipe, data: Dataset, directory: Path) -> History:
    """Train, or go on after the last whole epoch; mnist.safetensors and mnist.json in the directory."""
    make_directory(directory)
    model = recipe.build()
    trainer = recipe.trainer(model)
    history = trainer.fit(data.train, recipe.epochs, data.validation, resume_from=directory / STATE)
    if not history.interrupted:
        write(directory, model, recipe, data, history)
    return history


def write(directory: Path, model: Sequential, recipe: Recipe, data: Dataset, history: History) -> None:
    stored = {name: w.astype(np.float16) for name, w in model.get_weights().items()}
    model.set_weights(stored)
    accuracy = model.accuracy(data.test)
    about: dict[str, Any] = {
        "net": NAME,
        "classes": list(data.classes),
        "image_shape": list(data.image_shape),
        "test_accuracy": accuracy,
    }
    checkpoint.save(directory / f"{NAME}.safetensors", stored, spec=model.spec(), metadata=about)
    result = {
        "test_accuracy": accuracy,
        "validation_accuracy": model.accuracy(data.validation),
        "test_images": len(data.test),
        "train_images": len(data.train),
        "parameters": sum(w.size for w in stored.values()),
        "stored_as": "float16",
        "epochs": recipe.epochs,
        "mini_batch_size": recipe.mini_batch_size,
        "seed": recipe.seed,
        "optimizer": f"Adam({OneCycle(recipe.peak, recipe.epochs)})",
        "augment": repr(recipe.augment),
        "seconds": round(history.seconds, 1),
        "device": resolve_device(),
        "threads": config.num_threads,
        "version": importlib.import_module("symconv").__version__,
        "history": history.epochs,
    }
    write_json(directory / f"{NAME}.json", result)
    print(f"Test {100 * accuracy:.2f} % of {len(data.test):,}; in {directory}", flush=True)


def describe(result: dict[str, Any]) -> str:
    """What docs/demo.md says of the net: lines of a Markdown table."""
    cells = {
        "test images right": f"{100 * result['test_accuracy']:.2f} % of {result['test_images']:,}",
        "validation images right": f"{100 * result['validation_accuracy']:.2f} %",
        "parameters": f"{result['parameters']:,}, stored as {result['stored_as']}",
        "trained on": f"{result['train_images']:,} images, {result['epochs']} epochs, seed {result['seed']}",
        "augmentation": f"`{result['augment']}`",
        "optimiser": f"`{result['optimizer']}`, mini-batches of {result['mini_batch_size']}",
    }
    lines = [row(["", "the net that ships"]), row(["---", "---"]), *(row(pair) for pair in cells.items())]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m symconv.book.shipped", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    parser.add_argument("--limit", type=int, help="the first images of each split alone")
    arguments = parser.parse_args(argv)
    recipe = Recipe(epochs=arguments.epochs, seed=arguments.seed)
    history = train(recipe, datasets.mnist(limit=arguments.limit), arguments.out)
    return 130 if history.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
