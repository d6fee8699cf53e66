"""Where a training stands at the end of an epoch, in one file, so that it can go on as if never cut off.

The file is a weights file (symconv.nn.checkpoint): whole or not there, with checksums. Tensors "now..." are
everything that a step changes: weights, the optimiser's moments, running statistics, the counter of the
dropout masks; "best..." are the weights of the best epoch; "order" is the generator that shuffles.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from symconv.errors import WeightsError
from symconv.files import Pathlike
from symconv.graph import SharedVariable
from symconv.nn import checkpoint
from symconv.nn.history import History

NOW, BEST, ORDER = "now.", "best.", "order"
Tensors = dict[str, np.ndarray]
Best = tuple[float, Tensors]  # validation accuracy (-1 without) and the weights


@dataclass(frozen=True, eq=False)
class State:
    """A training at the end of an epoch; `order` is the state of the RandomState that shuffles."""

    history: History
    stale: int
    now: Tensors
    best: Best
    order: dict[str, Any]


class StateFile:
    """The file of one training: `facts`, JSON values, tell it from others; its steps change `changing`."""

    def __init__(
        self,
        path: Pathlike,
        facts: Mapping[str, Any],
        changing: Sequence[SharedVariable],
        parameters: Mapping[str, Any],
    ) -> None:
        self.path = Path(path)
        self.facts = dict(facts)
        own = {p.variable: name for name, p in parameters.items()}
        self.changing = {own.get(v, f"{i}:{v.name}"): v for i, v in enumerate(changing)}

    def read(self) -> State | None:
        """The state that was written; None where there is no file yet.

        Raises WeightsError where the file is damaged, or of another training.
        """
        if not self.path.exists():
            return None
        state, facts = read(self.path)
        check_same(self.path, facts, self.facts)
        checkpoint.check_shapes(
            state.now, {name: v.type.shape for name, v in self.changing.items()}, str(self.path)
        )
        return state

    def write(self, history: History, stale: int, best: Best, order: Mapping[str, Any]) -> None:
        """Replace the file; whenever this is cut off, it holds this state or the one before, whole."""
        accuracy, weights = best
        tensors = {f"{NOW}{name}": v.get_value(borrow=True) for name, v in self.changing.items()}
        tensors |= {f"{BEST}{name}": value for name, value in weights.items()}
        tensors[ORDER] = np.asarray(order["state"]["key"], np.uint32)
        metadata = {
            "training": self.facts,
            "history": asdict(history),
            "stale": stale,
            "best_accuracy": accuracy,
            "order": {
                "pos": int(order["state"]["pos"]),
                "has_gauss": int(order["has_gauss"]),
                "gauss": float(order["gauss"]),
            },
        }
        checkpoint.save(self.path, tensors, spec=self.facts.get("model"), metadata=metadata)


def read(path: Pathlike) -> tuple[State, dict[str, Any]]:
    """The state in a file, and the facts of its training. Raises WeightsError."""
    found = checkpoint.load(path)
    kept = found.metadata
    if not {"training", "history", "stale", "best_accuracy", "order"} <= set(kept):
        raise WeightsError(f"{path}: holds weights, but not the state of a training")
    order = kept["order"]
    state = State(
        history=History(**kept["history"]),
        stale=kept["stale"],
        now=part(found.tensors, NOW),
        best=(kept["best_accuracy"], part(found.tensors, BEST)),
        order={
            "bit_generator": "MT19937",
            "state": {"key": found.tensors[ORDER], "pos": order["pos"]},
            "has_gauss": order["has_gauss"],
            "gauss": order["gauss"],
        },
    )
    return state, kept["training"]


def read_weights(path: Pathlike) -> tuple[Tensors, Tensors]:
    """(weights of the best epoch, weights after the last epoch), for Model.set_weights."""
    state, _ = read(path)
    best = state.best[1]
    # A tensor that no step changes is the same in every epoch.
    return best, {name: state.now.get(name, value) for name, value in best.items()}


def part(tensors: Mapping[str, np.ndarray], prefix: str) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def check_same(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    keys = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
    if not keys:
        return
    raise WeightsError(
        "\n  ".join(
            [
                f"{path}: the state of another training, which cannot go on as this one",
                *(f"{k}: {shorten(found.get(k))} in the file, {shorten(wanted.get(k))} now" for k in keys),
                "hint: remove the file to train anew, or give another name",
            ]
        )
    )


def shorten(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def fingerprint(split: tuple[np.ndarray, np.ndarray]) -> list[int]:
    """How many images, and a CRC-32 of all pixels and labels."""
    images, labels = split
    return [len(labels), zlib.crc32(labels.tobytes(), zlib.crc32(images.data.cast("B")))]


def describe(optimizer: object) -> str:
    """The optimiser with its arguments, without the addresses that Python prints of functions."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(optimizer))
