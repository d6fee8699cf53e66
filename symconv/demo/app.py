"""What the page's server answers, apart from HTTP: JSON values in, JSON values out."""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symconv import datasets
from symconv.demo.net import DemoNet, packed
from symconv.errors import SymconvError
from symconv.files import Pathlike

MOST_SIDE = 512  # pixels of a drawing
MOST_BODY = 4 * MOST_SIDE * MOST_SIDE // 3 + 1024  # bytes: the largest drawing in base64, and its frame
TEST_IMAGES = 10_000  # of the test set that can be chosen


class Refusal(Exception):
    """An answer that is an error: its HTTP status, and words for the reader."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Demo:
    """The nets, and the digits of the test set.

    weights: files whose nets can be chosen, the first at once. data: a directory of IDX files or an .npz
    whose test images can be chosen, MNIST if None; it is read when the first digit is asked for, and nothing
    is ever downloaded. Raises WeightsError.
    """

    def __init__(
        self, weights: Sequence[Path], *, data: Pathlike | None = None, device: str | None = None
    ) -> None:
        self.nets = [DemoNet(path, device) for path in weights]
        self.data = data
        self._digits: tuple[np.ndarray, np.ndarray, tuple[str, ...]] | None = None
        self._lock = threading.Lock()

    def list_nets(self) -> dict[str, Any]:
        return {"nets": [net.describe() for net in self.nets]}

    def look(self, body: bytes) -> dict[str, Any]:
        """What a net makes of a drawing: {"net": number, "width", "height", "pixels": base64 of bytes}."""
        request = parse(body)
        number = whole(request, "net", 0, len(self.nets) - 1)
        width, height = whole(request, "width", 1, MOST_SIDE), whole(request, "height", 1, MOST_SIDE)
        text = request.get("pixels")
        if not isinstance(text, str):
            raise Refusal(400, "pixels must be a string: the drawing's bytes, row by row, in base64")
        try:
            raw = base64.b64decode(text.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError) as why:
            raise Refusal(400, f"pixels are not base64: {why}") from why
        if len(raw) != width * height:
            raise Refusal(400, f"pixels hold {len(raw)} bytes; width * height are {width * height}")
        return self.nets[number].look(np.frombuffer(raw, np.uint8).reshape(height, width))

    def digit(self, query: dict[str, str]) -> dict[str, Any]:
        """Image number "index" of the test set, with its label and how many images there are."""
        images, labels, classes = self.digits()
        text = query.get("index", "")
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) < len(images)):
            raise Refusal(400, f"index must be a whole number from 0 to {len(images) - 1}")
        index = int(text)
        return {
            "index": index,
            "label": classes[int(labels[index])],
            "count": len(images),
            "image": packed(images[index]),
        }

    def digits(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """(images [n, H, W], labels, names of the classes) of the test set; Refusal where it is not there."""
        with self._lock:
            if self._digits is None:
                try:
                    if self.data is None:
                        found = datasets.mnist(limit=TEST_IMAGES, download=False)
                    else:
                        found = datasets.load(self.data, limit=TEST_IMAGES)
                except SymconvError as why:
                    raise Refusal(503, f"there is no test set to choose from: {why.message}") from why
                images = found.test.images.reshape(-1, *found.image_shape).mean(1)
                self._digits = images, found.test.labels, found.classes
            return self._digits


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in a request. Raises Refusal."""
    try:
        request = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as why:
        raise Refusal(400, f"the request is not JSON: {why}") from why
    if not isinstance(request, dict):
        raise Refusal(400, "the request is not a JSON object")
    return request


def whole(request: dict[str, Any], name: str, least: int, most: int) -> int:
    value = request.get(name)
    if type(value) is not int or not least <= value <= most:
        raise Refusal(400, f"{name} must be a whole number from {least} to {most}")
    return value
