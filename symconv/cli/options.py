"""Options and pieces that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from symconv import datasets
from symconv.datasets import Dataset
from symconv.nn import NETS


def whole(least: int) -> Callable[[str], int]:
    """An argparse type: a whole number of at least `least`."""

    def parse(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be {least} or more, not {value}")
        return value

    parse.__name__ = "whole number"
    return parse


def number(text: str) -> float:
    """An argparse type: a finite number of at least 0."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a finite number, 0 or more, not {text}")
    return value


def add_net(parser: argparse.ArgumentParser) -> None:
    about = "; ".join(f"{net.name}: {net.about}" for net in NETS.values())
    parser.add_argument(
        "--net", choices=list(NETS), default="dbl_conv_relu", help=f"{about} (default: %(default)s)"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        choices=["auto", "cpu", "cuda", "emulated", "reference"],
        help="where to compute; emulated runs the CUDA kernels on the CPU (default: SYMCONV_DEVICE, else cpu "
        "if the C++ core is built)",
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, metavar="PATH", help="a directory of IDX files or an .npz file (default: MNIST)"
    )
    parser.add_argument("--limit", type=whole(1), metavar="N", help="take the first N images of each split")


def load_data(path: Path | None, limit: int | None) -> Dataset:
    return datasets.mnist(limit=limit) if path is None else datasets.load(path, limit=limit)
