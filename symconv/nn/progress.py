"""Reports while a training runs: a tqdm bar where somebody watches, a line an epoch everywhere."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any


class Progress:
    """Says nothing."""

    def start(self, images: int, epochs: int) -> None:
        """A training of `epochs` epochs of `images` images begins."""

    def images(self, epoch: int, done: int, cost: float | None) -> None:
        """`done` images of this epoch are done; the latest known cost."""

    def epoch(self, row: Mapping[str, Any], best: bool) -> None:
        """An epoch ended with this row of the history; `best`: its validation accuracy is the best so far."""

    def note(self, text: str) -> None:
        """Something to tell."""

    def close(self) -> None:
        """The training ended."""


class Lines(Progress):
    """A line for each epoch on standard output; on a terminal with tqdm, a bar on standard error too."""

    def __init__(self, bar: bool | None = None) -> None:
        self.tqdm: Any = None
        if sys.stderr.isatty() if bar is None else bar:
            try:
                self.tqdm = importlib.import_module("tqdm").tqdm
            except ImportError:  # the lines alone, then
                pass
        self.bar: Any = None
        self.accuracy: float | None = None

    def start(self, images: int, epochs: int) -> None:
        self.epochs, self.per_epoch = epochs, images
        if self.tqdm is not None:
            self.bar = self.tqdm(
                total=images * epochs,
                unit=" images",
                unit_scale=True,
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
                mininterval=0.1,
            )

    def images(self, epoch: int, done: int, cost: float | None) -> None:
        if self.bar is None:
            return
        self.bar.set_description(f"epoch {epoch}/{self.epochs}", refresh=False)
        shown = {} if cost is None else {"cost": f"{cost:.4f}"}
        if self.accuracy is not None:
            shown["accuracy"] = percent(self.accuracy)
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update((epoch - 1) * self.per_epoch + done - self.bar.n)

    def epoch(self, row: Mapping[str, Any], best: bool) -> None:
        self.accuracy = row.get("validation_accuracy")
        parts = [f"Epoch {row['epoch']}: cost {row['cost']:.4f}"]
        for key, word in (("validation_accuracy", "validation"), ("test_accuracy", "test")):
            if row.get(key) is not None:
                parts.append(f"{word} {percent(row[key])}")
        parts.append(f"{row['images_per_s']:,.0f} images/s")
        self.note(", ".join(parts) + (" (best so far)" if best and self.accuracy is not None else ""))

    def note(self, text: str) -> None:
        if self.bar is None:
            print(text, flush=True)
        else:
            self.tqdm.write(text, file=sys.stdout)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"
