"""A fused op: convolution, bias and GELU in one CUDA kernel, which writes every output once.

    python examples/11_conv_gelu.py
    symconv kernel check examples/11_conv_gelu.py

docs/adding_a_kernel.md says how it comes about.
"""

import math
from dataclasses import dataclass

import numpy as np

import symconv as sc
from symconv.testing import OpCase, Spec

# kernel: begin
CUDA = """
struct ConvGeluParams { int c, h, w, k, r, s, p, q; long long n; };
DEVICE void conv_gelu_tile(const ConvGeluParams& d, const Args& args, int tile, Shared) {
  auto x = args.get<const float>(0), w = args.get<const float>(1), b = args.get<const float>(2);
  ll i = tile * 256LL + threadIdx.x;  // one output: image, map, row, column
  if (i >= d.n) return;
  int q = i % d.q, p = i / d.q % d.p, k = i / (d.q * d.p) % d.k;
  ll image = i / (ll(d.q) * d.p * d.k) * d.c * d.h * d.w;
  float z = b[k];
  for (int c = 0; c < d.c; c++)
    for (int r = 0; r < d.r; r++)
      for (int s = 0; s < d.s; s++)
        z += x[image + (c * d.h + p + r) * d.w + q + s] * w[((k * d.c + c) * d.r + r) * d.s + s];
  args.get<float>(3)[i] = 0.5f * z * (1.0f + erff(z * 0.70710678f));
}
KERNEL(conv_gelu, ConvGeluParams, conv_gelu_tile)
"""


def launch(node):
    (_, c, h, w), (k, _, r, s), y = (v.type.dims for v in (*node.inputs[:2], node.out))
    n = node.out.type.size
    return sc.launch(sc.blocks(n), c=c, h=h, w=w, k=k, r=r, s=s, p=y[2], q=y[3], n=n)


float32_only = lambda node: None if node.out.dtype == "float32" else "float32 only"  # noqa: E731
cuda_conv_gelu = sc.cuda_kernel("conv_gelu_by_output", CUDA, supports=float32_only, launch=launch)
# kernel: end


# op: begin
def written_out(x, w, b):
    """The same of three ops: what is differentiated."""
    return sc.gelu(sc.conv2d(x, w) + b.dimshuffle("x", 0, "x", "x"))


@dataclass(frozen=True)
class ConvGelu(sc.Op):
    """y = gelu(conv2d(x, w) + b) for x [N, C, H, W], w [K, C, R, S], b [K]."""

    name = "conv_gelu"
    operands = ("x", "w", "b")
    kernels = [cuda_conv_gelu]

    def infer(self, x, w, b):
        return written_out(x, w, b).type

    def grad(self, node, dy):
        return sc.Lop(written_out(*node.inputs), list(node.inputs), dy)

    def reference(self, x, w, b):
        windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
        z = np.einsum("ncpqrs,kcrs->nkpq", windows, w) + b[:, None, None]
        return 0.5 * z * (1 + np.vectorize(math.erf, [z.dtype])(z / np.sqrt(z.dtype.type(2))))

    def flops(self, node):
        (_, c, _, _), (_, _, r, s) = (v.type.dims for v in node.inputs[:2])
        return node.out.type.size * (2 * c * r * s + 10)


def conv_gelu(x, w, b):
    """gelu(conv2d(x, w) + b) in one kernel."""
    return ConvGelu()(*map(sc.as_variable, (x, w, b)))


# op: end

CASES = [
    OpCase("conv_gelu", conv_gelu, (Spec((2, 3, 7, 6)), Spec((5, 3, 3, 2)), Spec((5,))), reduction=18),
    OpCase("conv_gelu_1x1", conv_gelu, (Spec((1, 2, 5, 3)), Spec((4, 2, 1, 1)), Spec((4,))), reduction=2),
]

if __name__ == "__main__":
    x, w, b = sc.tensor("float32", (2, 3, 8, 8), "x"), sc.tensor("float32", (4, 3, 3, 3), "w"), sc.vector("b")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype("float32") for shape in ((2, 3, 8, 8), (4, 3, 3, 3), (4,))]
    fused = sc.function([x, w, b], conv_gelu(x, w, b), device="emulated")
    plain = sc.function([x, w, b], written_out(x, w, b), device="emulated")
    print(np.abs(fused(*arrays) - plain(*arrays)).max())
    print(fused.explain())
    print(plain.explain())
