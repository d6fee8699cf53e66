"""A new op with kernels of its own: the scale of a squeeze-and-excite block, y = x * sigmoid(s) by channel.

    python examples/10_squeeze_excite_scale.py
    symconv kernel check examples/10_squeeze_excite_scale.py
    symconv kernel bench examples/10_squeeze_excite_scale.py

docs/adding_an_op.md and docs/adding_a_kernel.md walk through this file.
"""

from dataclasses import dataclass

import numpy as np

import symconv as sc
from symconv.testing import OpCase, Spec, check_kernel

# kernel: begin
CUDA = """
struct ScaleParams { long long n, inner; };
DEVICE void scale_tile(const ScaleParams& p, const Args& args, int tile, Shared) {
  auto x = args.get<const float>(0), s = args.get<const float>(1);
  auto y = args.get<float>(2);
  ll i = tile * 256LL + threadIdx.x;
  if (i < p.n) y[i] = x[i] / (1.0f + expf(-s[i / p.inner]));
}
KERNEL(squeeze_excite_scale, ScaleParams, scale_tile)
"""


def float32_only(node):
    return None if node.out.dtype == "float32" else f"dtype {node.out.dtype}, float32 only"


def cuda_launch(node):
    n, planes = node.out.type.size, node.inputs[1].type.size
    return sc.launch(sc.blocks(n), n=n, inner=n // max(planes, 1))


cuda_scale = sc.cuda_kernel("scale_by_element", CUDA, supports=float32_only, launch=cuda_launch)
# kernel: end

# cpu kernel: begin
CPU = """
struct ScaleParams { long long inner; };
void scale_planes(const ScaleParams& p, const Args& args, ll begin, ll end) {
  auto x = args.get<const float>(0), s = args.get<const float>(1);
  auto y = args.get<float>(2);
  for (ll c = begin; c < end; c++) {
    float gate = 1.0f / (1.0f + expf(-s[c]));
    for (ll i = c * p.inner; i < (c + 1) * p.inner; i++) y[i] = x[i] * gate;
  }
}
CPU_KERNEL(squeeze_excite_scale, ScaleParams, scale_planes)
"""


def cpu_launch(node):
    planes = node.inputs[1].type.size
    inner = node.out.type.size // max(planes, 1)
    return sc.launch(planes, grain=1 + 16384 // max(inner, 1), inner=inner)


cpu_scale = sc.cpu_kernel("scale_by_plane", CPU, supports=float32_only, launch=cpu_launch)
# cpu kernel: end


# op: begin
@dataclass(frozen=True)
class SqueezeExciteScale(sc.Op):
    """y[n, c, h, w] = x[n, c, h, w] * sigmoid(s[n, c])."""

    name = "squeeze_excite_scale"
    operands = ("x", "s")
    kernels = [cuda_scale, cpu_scale]

    def infer(self, x, s):
        if x.ndim != 4 or s.ndim != 2:
            raise sc.op_error(self, (x, s), f"x is [N, C, H, W] and s [N, C], got {x.ndim} and {s.ndim} axes")
        for axis, (a, b) in enumerate(zip(x.type.shape, s.type.shape)):
            if None not in (a, b) and a != b:
                raise sc.op_error(self, (x, s), f"axis {axis} is {a} in x and {b} in s")
        if s.dtype != x.dtype:
            raise sc.op_error(self, (x, s), f"s is {s.dtype}, x is {x.dtype}", kind=sc.errors.DTypeError)
        return x.type

    def grad(self, node, dy):
        x, s = node.inputs
        gate = sc.sigmoid(s)
        return [squeeze_excite_scale(dy, s), sc.sum(dy * x, axis=(2, 3)) * gate * (1 - gate)]

    def reference(self, x, s):
        return x / (1 + np.exp(-s))[:, :, None, None]


def squeeze_excite_scale(x, s):
    """x scaled channel by channel with sigmoid(s)."""
    return SqueezeExciteScale()(sc.as_variable(x), sc.as_variable(s))


# op: end


def written_out(x, s):
    """The same of the package's own ops."""
    return x * sc.sigmoid(s).dimshuffle(0, 1, "x", "x")


# A rule: what others have written out gets the op, where it has a kernel.
use_the_op = sc.Rule(
    "squeeze_excite_scale", written_out, squeeze_excite_scale, types={"x": sc.tensor4(), "s": sc.matrix()}
)

CASES = [
    OpCase("scale", squeeze_excite_scale, (Spec((2, 3, 5, 7)), Spec((2, 3)))),
    OpCase("scale_block", squeeze_excite_scale, (Spec((1, 1, 16, 16)), Spec((1, 1)))),
    OpCase("scale_one", squeeze_excite_scale, (Spec((3, 1, 1, 1)), Spec((3, 1)))),
    OpCase("scale_empty", squeeze_excite_scale, (Spec((0, 2, 3, 3)), Spec((0, 2))), grad=False),
]
# instead: what one would write without the op, for `kernel bench`
BENCH = [
    OpCase(name, squeeze_excite_scale, (Spec(shape), Spec(shape[:2])), instead=written_out)
    for name, shape in {"batch 32": (32, 64, 28, 28), "batch 1": (1, 64, 28, 28)}.items()
]

if __name__ == "__main__":
    x, s = sc.tensor("float32", (None,) * 4, "x"), sc.matrix("s")
    cost = sc.sum(squeeze_excite_scale(x, s) ** 2)
    f = sc.function([x, s], [cost, sc.grad(cost, s)])
    print(f(np.ones((2, 3, 4, 4), "float32"), np.zeros((2, 3), "float32")))
    print(f.explain())
    for kernel in SqueezeExciteScale.kernels:
        if kernel.device == "cpu" and f.device != "cpu":
            continue  # the C++ core is not built
        print(check_kernel(kernel, CASES[:1]))
