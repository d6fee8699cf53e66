"""A fused op: convolution, bias and GELU in one kernel that writes every output once, and the rule for it.

    python examples/11_conv_gelu.py
    symconv kernel check examples/11_conv_gelu.py
    symconv kernel bench examples/11_conv_gelu.py

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

# cpu kernel: begin
CPU = """
struct ConvGeluParams { int c, h, w, k, r, s, p, q; };
typedef float Vec __attribute__((vector_size(32), aligned(4)));  // 8 floats, wherever they lie
static Vec gelu(Vec z) {  // z Phi(z), where Phi is a quotient to 2e-7
  Vec five = Vec{} + 5.0f, v = z > five ? five : z < -five ? -five : z, t = v * v;
  Vec a = 0.39894205f + t * (4.5447721e-2f + t * (5.2179469e-3f + t * (2.6904233e-4f + t * 5.1646578e-6f)));
  Vec b = 2.4382689e-3f + t * (9.6755101e-5f + t * 4.5945305e-7f);
  return z * (0.5f + v * a / (1.0f + t * (0.28058344f + t * (3.4850486e-2f + t * b))));
}
void conv_gelu_rows(const ConvGeluParams& d, const Args& args, ll begin, ll end) {
  const float *x = args.raw<const float>(0), *w = args.raw<const float>(1), *bias = args.raw<const float>(2);
  ll window = ll(d.c) * d.r * d.s, map = ll(d.p) * d.q;
  for (ll row = begin; row < end; row++)  // of outputs, in all maps: 4 maps x 8 columns in registers
    for (int first = 0; first < d.k; first += 4)
      for (int left = 0; left < d.q; left += 8) {
        int k = std::min(first, d.k - 4), q = std::min(left, d.q - 8);
        Vec sum[4];
        for (int m = 0; m < 4; m++) sum[m] = Vec{} + bias[k + m];
        for (int c = 0; c < d.c; c++)
          for (int r = 0; r < d.r; r++)
            for (int s = 0; s < d.s; s++) {
              Vec in = *(const Vec*)(x + ((row / d.p * d.c + c) * d.h + row % d.p + r) * d.w + q + s);
              const float* weight = w + k * window + (c * d.r + r) * d.s + s;
              for (int m = 0; m < 4; m++) sum[m] += weight[m * window] * in;
            }
        float* y = args.raw<float>(3) + (row / d.p * d.k + k) * map + row % d.p * d.q + q;
        for (int m = 0; m < 4; m++) *(Vec*)(y + m * map) = gelu(sum[m]);
      }
}
CPU_KERNEL(conv_gelu, ConvGeluParams, conv_gelu_rows)
"""


def supports_cpu(node):
    (_, c, _, _), (k, _, _, _) = (v.type.dims for v in node.inputs[:2])
    if node.out.dtype != "float32" or k < 4 or node.out.type.dims[3] < 8:
        return "for float32, 4 maps or more, and rows of 8 outputs or more"
    return sc.Slower(f"{c} input channels: a convolution by Winograd wins") if c > 4 else None


def launch_cpu(node):
    (_, c, h, w), (k, _, r, s), (n, _, p, q) = (v.type.dims for v in (*node.inputs[:2], node.out))
    return sc.launch(n * p, c=c, h=h, w=w, k=k, r=r, s=s, p=p, q=q)


cpu_conv_gelu = sc.cpu_kernel("conv_gelu_by_row", CPU, supports=supports_cpu, launch=launch_cpu)
# cpu kernel: end


# op: begin
def written_out(x, w, b):
    """The same of three ops: what is differentiated."""
    return sc.gelu(sc.conv2d(x, w) + b.dimshuffle("x", 0, "x", "x"))


@dataclass(frozen=True)
class ConvGelu(sc.Op):
    """y = gelu(conv2d(x, w) + b) for x [N, C, H, W], w [K, C, R, S], b [K]."""

    name = "conv_gelu"
    operands = ("x", "w", "b")
    kernels = [cuda_conv_gelu, cpu_conv_gelu]

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

# rule: begin
fuse = sc.Rule(
    "conv_gelu", written_out, conv_gelu, types={"x": sc.tensor4(), "w": sc.tensor4(), "b": sc.vector()}
)
# rule: end

CASES = [
    OpCase("conv_gelu_wide", conv_gelu, (Spec((2, 3, 7, 15)), Spec((6, 3, 3, 2)), Spec((6,))), reduction=18),
    OpCase("conv_gelu", conv_gelu, (Spec((2, 3, 7, 6)), Spec((5, 3, 3, 2)), Spec((5,))), reduction=18),
    OpCase("conv_gelu_1x1", conv_gelu, (Spec((1, 2, 5, 3)), Spec((4, 2, 1, 1)), Spec((4,))), reduction=2),
]

BENCH = [
    OpCase(name, conv_gelu, (Spec(x), Spec(w), Spec(w[:1])), instead=written_out)
    for name, x, w in (
        ("28x28, 1 to 20", (10, 1, 28, 28), (20, 1, 5, 5)),
        ("32x32, 3 to 16", (8, 3, 32, 32), (16, 3, 3, 3)),
        ("12x12, 20 to 40", (10, 20, 12, 12), (40, 20, 5, 5)),
    )
]

if __name__ == "__main__":
    x, w, b = sc.tensor4("x"), sc.tensor4("w"), sc.vector("b")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype("float32") for shape in ((2, 3, 8, 8), (4, 3, 3, 3), (4,))]
    f = sc.function([x, w, b], written_out(x, w, b), device="emulated")
    plain = f(*arrays)
    with sc.use_rule(fuse):  # sc.register_rule(fuse): until unregister_rule
        fused = f(*arrays)
        print(f.explain(rewrites=True))
    print("largest difference:", np.abs(fused - plain).max())
