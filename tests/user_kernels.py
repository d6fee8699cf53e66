"""An op with a CUDA and a CPU kernel, as a user writes them: what the tests of users' kernels share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import symconv as sc

CUDA = """
struct ScaleParams { ll count, inner; };
DEVICE void scale_tile(const ScaleParams& p, const Args& args, int tile, Shared) {
  auto x = args.get<const float>(0), s = args.get<const float>(1);
  ll i = tile * 256LL + threadIdx.x;
  if (i < p.count) args.get<float>(2)[i] = x[i] * s[i / p.inner];
}
KERNEL(scale_channels, ScaleParams, scale_tile)
"""

CPU = """
struct ScaleParams { ll inner; };
void scale(const ScaleParams& p, const Args& args, ll begin, ll end) {
  auto x = args.get<const float>(0), s = args.get<const float>(1);
  auto y = args.get<float>(2);
  for (ll i = begin; i < end; i++)
    for (ll j = i * p.inner; j < (i + 1) * p.inner; j++) y[j] = x[j] * s[i];
}
CPU_KERNEL(scale_channels, ScaleParams, scale)
"""


def inner(node):
    return int(np.prod(node.out.type.dims[2:]))


def float32_only(node):
    return None if node.out.dtype == "float32" else f"dtype {node.out.dtype}, float32 only"


def cuda_launch(node):
    return sc.launch(sc.blocks(node.out.type.size), count=node.out.type.size, inner=inner(node))


def cpu_launch(node):
    return sc.launch(node.inputs[1].type.size, inner=inner(node))


@dataclass(frozen=True)
class Scale(sc.Op):
    """x [N, C, ...] times s [N, C]."""

    name = "scale"
    operands = ("x", "s")

    def infer(self, x, s):
        return x.type

    def reference(self, x, s):
        return x * s.reshape(*s.shape, *(1,) * (x.ndim - 2))


SCALE_CUDA = sc.cuda_kernel("scale_tile", CUDA, supports=float32_only, launch=cuda_launch)
SCALE_CPU = sc.cpu_kernel("scale_planes", CPU, supports=float32_only, launch=cpu_launch)


def data(dtype="float32"):
    rng = np.random.default_rng(3)
    return rng.standard_normal((2, 3, 5, 7)).astype(dtype), rng.standard_normal((2, 3)).astype(dtype)


def compiled(device, dtype="float32", expression=None):
    x, s = sc.tensor(dtype, (None,) * 4), sc.tensor(dtype, (None,) * 2)
    return sc.function([x, s], (expression or Scale())(x, s), device=device)


def kernels_used(f):
    (executable,) = f.executables
    return [s.kernel.name if s.kernel else "reference" for s in executable.plan.steps]


TANH = """
struct TanhParams { ll n; };
void run(const TanhParams& p, const Args& args, ll begin, ll end) {
  for (ll i = begin; i < end; i++) args.get<float>(1)[i] = tanhf(args.get<const float>(0)[i]);
}
CPU_KERNEL(my_tanh, TanhParams, run)
"""


def tanh_kernel(name="my_tanh", supports=float32_only):
    return sc.cpu_kernel(
        name, TANH, supports=supports, launch=lambda n: sc.launch(n.out.type.size, grain=1000, n=1)
    )
