"""Kernel descriptors of the ops in softmax.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from symconv.graph import Apply, Kernel, Launch
from symconv.graph.kernel import InplacePairs
from symconv.graph.params import pack
from symconv.ops.float_kernels import both_dtypes


def along_axis(name: str, operands: int = 1) -> list[Kernel]:
    """Kernels for an op with an `axis`, whose operands and output have one shape."""

    def launch(node: Apply) -> Launch:
        op: Any = node.op
        shape: Any = node.out.type.shape
        outer, inner = math.prod(shape[: op.axis]), math.prod(shape[op.axis + 1 :])
        return Launch(pack("SoftmaxParams", outer=outer, k=shape[op.axis], inner=inner))

    return both_dtypes(name, "softmax", launch, tuple((0, i) for i in range(operands)))


def by_label(
    name: str, rows: Callable[[Apply], Any], labels: int, inplace: InplacePairs = ()
) -> list[Kernel]:
    """Kernels for an op with one label a row; `rows` finds the variable [N, K], `labels` is an input."""

    def launch(node: Apply) -> Launch:
        n, k = rows(node).type.shape
        label = node.inputs[labels].type
        unsigned = int(label.dtype.startswith("u"))
        return Launch(pack("LabelParams", n=n, k=k, label_bytes=label.itemsize, label_unsigned=unsigned))

    return both_dtypes(name, "softmax", launch, inplace)
