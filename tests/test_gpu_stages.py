"""A kernel of two stages with a workspace between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import symconv as sc
from symconv.graph import Kernel, Launch, Op, TensorType, Variable
from symconv.graph.params import pack

CODE = """
#include "common.cuh"
DEVICE void halves_sum_tile(const FillParams& p, const Args& args, int tile, Shared) {
  if (threadIdx.x > 0) return;
  float sum = 0;
  ll half = p.count / 2;
  for (ll i = tile * half; i < (tile ? p.count : half); i++) sum += args.get<const float>(0)[i];
  args.get<float>(2)[tile] = sum;
}
DEVICE void halves_add_tile(const FillParams&, const Args& args, int, Shared) {
  if (threadIdx.x == 0) args.get<float>(1)[0] = args.get<float>(2)[0] + args.get<float>(2)[1];
}
KERNEL(halves_sum, FillParams, halves_sum_tile)
KERNEL(halves_add, FillParams, halves_add_tile)
"""


def _launch(node: object) -> Launch:
    params = pack("FillParams", itemsize=4, count=node.inputs[0].type.size, value=1)  # type: ignore[attr-defined]
    add = Launch(params, 1, 0, "halves_add", CODE)
    return Launch(params, 2, 0, "halves_sum", CODE, workspace=8, then=add)


@dataclass(frozen=True)
class HalvesSum(Op):
    name = "halves_sum"
    kernels = [Kernel("halves", "cuda", "kernels/common.cuh", "halves_sum", lambda node: None, _launch)]

    def infer(self, x: Variable) -> TensorType:
        return TensorType(x.dtype, ())

    def reference(self, x: np.ndarray) -> np.ndarray:
        raise AssertionError("the kernel must run")


def test_the_second_stage_reads_what_the_first_left_in_the_workspace(cxx: str) -> None:
    x = Variable(TensorType("float32", (9,)))
    f = sc.function([x], HalvesSum()(x) + HalvesSum()(x * 2), device="emulated")
    assert float(f(np.arange(9, dtype="float32"))) == 36 + 72
