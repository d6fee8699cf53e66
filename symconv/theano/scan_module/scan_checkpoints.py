"""theano.scan_checkpoints: a loop of which every N-th step is handed out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symconv.errors import UnsupportedError
from symconv.graph.origin import user_line
from symconv.theano.scan_module.scan_views import scan
from symconv.theano.tensor import elementwise, shape_ops
from symconv.theano.updates import OrderedUpdates


def scan_checkpoints(
    fn: Callable[..., Any], sequences: Any = (), outputs_info: Any = None, non_sequences: Any = (),
    name: str = "checkpointscan_fn", n_steps: Any = None, save_every_N: int = 10, padding: bool = True,  # noqa: N803
) -> tuple[Any, OrderedUpdates]:  # fmt: skip
    """scan's (outputs, updates), of the outputs the steps N-1, 2N-1... and the last.

    The gradient keeps what scan's keeps: memory is not saved. padding has no effect. Raises UnsupportedError
    for taps, as Theano did.
    """
    infos = outputs_info if isinstance(outputs_info, (list, tuple)) else [outputs_info]
    if any(isinstance(i, dict) and "taps" in i for i in infos):
        raise UnsupportedError(
            f"scan_checkpoints does not take taps, at {user_line()}\n  hint: theano.scan does"
        )
    outputs, updates = scan(fn, sequences, outputs_info, non_sequences, n_steps, name=name, return_list=True)
    picked = []
    for v in outputs:
        n = v.shape[0]
        ends = (shape_ops.arange(elementwise.ceil_intdiv(n, save_every_N)) + 1) * save_every_N
        picked.append(v[elementwise.minimum(ends, n) - 1])
    return (picked[0] if len(picked) == 1 else picked), updates


__all__ = ["scan_checkpoints"]
