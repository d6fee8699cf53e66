"""symconv predict: classes of images in files, by a network in a weights file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from symconv.cli.images import read_images
from symconv.cli.options import add_device
from symconv.config import config
from symconv.device import resolve_device
from symconv.nn.saved import SHIPPED, load_with_metadata


def add_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "predict",
        help="say what images show, by trained weights",
        description="Print file, class and probability of each image. A .npy file holds one image or many, "
        "[n, pixels] or [n, H, W]; uint8 pixels are divided by 256, floats are taken as they are. Pictures "
        "(.png and whatever else Pillow reads) are turned to grey; dark ink on a light ground is inverted, "
        "for the networks know light on dark; a picture of another size than the network's is cut to its "
        "ink, scaled to 20/28 of the network's size and centred by its centre of mass, as MNIST was made.",
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help=".png or .npy files")
    parser.add_argument(
        "--weights",
        type=Path,
        default=SHIPPED,
        metavar="F",
        help="written by symconv train (default: the net for digits that ships with symconv)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list with all probabilities")
    add_device(parser)
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    with config(device=arguments.device or config.device):
        device = resolve_device()
        model, metadata = load_with_metadata(arguments.weights)
        classes = metadata.get("classes") or [str(k) for k in range(model.n_classes)]
        shape = tuple(metadata.get("image_shape") or model.input_shape)
        rows = []
        for path in arguments.images:
            images = read_images(path, shape)
            for i, p in enumerate(model.predict_proba(images, device=device)):
                name = str(path) if len(images) == 1 else f"{path}[{i}]"
                rows.append((name, classes[int(p.argmax())], p))
    if arguments.json:
        found = [
            {"image": name, "class": best, "probabilities": dict(zip(classes, map(float, p)))}
            for name, best, p in rows
        ]
        print(json.dumps(found, indent=2))
        return 0
    for name, best, p in rows:
        print(f"{name}: {best}  ({100 * p.max():.1f} %)")
    return 0
