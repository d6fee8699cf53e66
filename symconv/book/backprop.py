"""python -m symconv.book.backprop docs/backprop.md: writes the derived equations between its markers."""

from __future__ import annotations

import sys
from pathlib import Path

from symconv.book.experiments import experiment
from symconv.book.report import replaced
from symconv.files import atomic_path
from symconv.nn import ConvPoolLayer, FullyConnectedLayer, Network, SoftmaxLayer
from symconv.nn.counts import count_parameters
from symconv.see.equations import explain

NETS = ("shallow", "conv", "relu", "dropout")  # whose equations the page shows


def markers(name: str) -> tuple[str, str]:
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def sections() -> dict[str, str]:
    """What stands between the markers, by their name."""
    found = {}
    for name in NETS:
        model = experiment(name).net.build(seed=0)
        found[name] = block(str(explain(model.cost(), model.params)))
    relu = experiment("relu").net.build(seed=0)
    found["latex"] = block(explain(relu.cost(), relu.params).latex(), "latex")
    counts = [count_parameters(experiment(name).net.build(seed=0)) for name in ("conv", "relu")]
    found["counts"] = block("\n\n".join([chapter_counts(), *counts]))
    return found


def chapter_counts() -> str:
    """20 feature maps with shared weights, and 30 neurons that see every pixel."""
    shared = Network([ConvPoolLayer((20, 1, 5, 5), (1, 1, 28, 28)), SoftmaxLayer(2880, 10)], seed=0)
    full = Network([FullyConnectedLayer(784, 30), SoftmaxLayer(30, 10)], seed=0)
    return "\n".join(count_parameters(model).splitlines()[0] for model in (shared, full))


def block(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```\n"


def rewritten(text: str, page: str) -> str:
    for name, section in sections().items():
        text = replaced(text, section, page, *markers(name))
    return text


def main(page: str) -> None:
    new = rewritten(Path(page).read_text(encoding="utf-8"), page)
    with atomic_path(page) as temporary:
        temporary.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
