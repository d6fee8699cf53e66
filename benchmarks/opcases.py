"""The single operators of ops.py: shapes, inputs, FLOPs, bytes. Their right values: op_oracle.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CHAIN = (0.5, -0.25, 2.0, 1.0)  # a, b, c, d of sigmoid(x * a + b) * c + d


@dataclass(frozen=True)
class OpCase:
    """One operator on one shape.

    conv_forward, conv_dgrad, conv_wgrad: shape (N, C, H, W, K, R, S); max_pool: (N, C, H, W), 2x2 windows;
    max_pool_both: from x and dy to y and dx; softmax_xent: (rows, classes), mean cross-entropy and its
    gradient; chain: (n,), sigmoid(x * a + b) * c + d; sgemm: (m, n, k); copy: (n,), the bandwidth to reach.
    """

    kind: str
    shape: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def name(self) -> str:
        text = self.kind + " "
        if not self.kind.startswith("conv"):
            return text + "x".join(map(str, self.shape))
        n, c, h, w, k, r, s = self.shape
        text += f"N{n} {c}x{h}x{w} {k}@{r}x{s}"
        text += f" stride {self.stride}" if self.stride > 1 else ""
        text += f" pad {self.padding}" if self.padding else ""
        return text + (f" groups {self.groups}" if self.groups > 1 else "")

    @property
    def out_size(self) -> tuple[int, int]:
        _, _, h, w, _, r, s = self.shape
        return (h + 2 * self.padding - r) // self.stride + 1, (w + 2 * self.padding - s) // self.stride + 1

    @property
    def w_shape(self) -> tuple[int, ...]:
        _, c, _, _, k, r, s = self.shape
        return k, c // self.groups, r, s

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.shape[0], self.shape[4], *self.out_size

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        s = self.shape
        if self.kind == "conv_forward":
            return [s[:4], self.w_shape]
        if self.kind == "conv_dgrad":
            return [self.y_shape, self.w_shape]
        if self.kind == "conv_wgrad":
            return [s[:4], self.y_shape]
        if self.kind == "max_pool_both":
            return [s, (*s[:2], s[2] // 2, s[3] // 2)]
        if self.kind == "softmax_xent":
            return [s, s[:1]]
        return [(s[0], s[2]), (s[2], s[1])] if self.kind == "sgemm" else [s]

    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        s = self.shape
        if self.kind.startswith("conv"):
            shapes = {"conv_forward": self.y_shape, "conv_dgrad": s[:4], "conv_wgrad": self.w_shape}
            return [shapes[self.kind]]
        if self.kind.startswith("max_pool"):
            return [(*s[:2], s[2] // 2, s[3] // 2), *([s] if self.kind == "max_pool_both" else [])]
        return [(), s] if self.kind == "softmax_xent" else [s[:2] if self.kind == "sgemm" else s]

    def inputs(self) -> list[np.ndarray]:
        """Gaussian float32 arrays, and int32 labels for softmax_xent; the same in every process."""
        rng = np.random.RandomState(3)
        arrays = [rng.standard_normal(shape).astype(np.float32) for shape in self.input_shapes]
        if self.kind == "softmax_xent":
            arrays[1] = rng.randint(0, self.shape[1], self.shape[0]).astype(np.int32)
        return arrays

    @property
    def flops(self) -> int:
        """A multiply-add counts as two; 0 where memory and not arithmetic sets the limit."""
        if self.kind.startswith("conv"):
            return 2 * int(np.prod(self.y_shape)) * int(np.prod(self.w_shape[1:]))
        return 2 * int(np.prod(self.shape)) if self.kind == "sgemm" else 0

    @property
    def bytes(self) -> int:
        """What must be read and written at least: every operand is of 4 bytes."""
        return 4 * sum(int(np.prod(s)) for s in self.input_shapes + self.output_shapes)

    @property
    def reduction(self) -> int:
        """The number of terms that one output sums: rounding grows with its square root."""
        if self.kind == "conv_forward":
            return int(np.prod(self.w_shape[1:]))
        if self.kind == "conv_dgrad":
            return int(np.prod(self.w_shape)) // self.w_shape[1] // self.groups
        if self.kind == "conv_wgrad":
            return int(np.prod(self.y_shape)) // self.y_shape[1]
        return self.shape[-1] if self.kind in ("sgemm", "softmax_xent") else 1


def conv_cases(*shapes: tuple[tuple[int, ...], int, int, int]) -> list[OpCase]:
    return [OpCase(kind, *args) for args in shapes for kind in ("conv_forward", "conv_dgrad", "conv_wgrad")]


# Groups of cases that ops.py takes by name. Conv shapes: (N, C, H, W, K, R, S), stride, padding, groups.
CASES: dict[str, list[OpCase]] = {
    "conv": conv_cases(
        ((10, 1, 28, 28, 20, 5, 5), 1, 0, 1),
        ((128, 1, 28, 28, 20, 5, 5), 1, 0, 1),
        ((10, 20, 12, 12, 40, 5, 5), 1, 0, 1),
        ((128, 20, 12, 12, 40, 5, 5), 1, 0, 1),
        ((8, 64, 56, 56, 64, 3, 3), 1, 1, 1),
        ((8, 128, 28, 28, 128, 3, 3), 1, 1, 1),
        ((8, 256, 14, 14, 256, 1, 1), 1, 0, 1),
        ((4, 3, 224, 224, 64, 7, 7), 2, 3, 1),
        ((8, 64, 56, 56, 64, 3, 3), 1, 1, 64),
    ),
    "pool": [OpCase("max_pool", (128, 20, 24, 24)), OpCase("max_pool_both", (128, 20, 24, 24))],
    "softmax": [OpCase("softmax_xent", (128, 1000)), OpCase("softmax_xent", (8192, 1000))],
    "chain": [OpCase("chain", (10_000_000,))],
    "copy": [OpCase("copy", (n,)) for n in (1_000_000, 10_000_000)],
    "sgemm": [OpCase("sgemm", (n, n, n)) for n in (256, 512, 1024, 2048)],
    "resnet": conv_cases(
        ((8, 64, 56, 56, 256, 1, 1), 1, 0, 1),
        ((8, 256, 56, 56, 64, 1, 1), 1, 0, 1),
        ((8, 128, 56, 56, 128, 3, 3), 2, 1, 1),
        ((8, 256, 14, 14, 256, 3, 3), 1, 1, 1),
        ((8, 512, 28, 28, 1024, 1, 1), 2, 0, 1),
        ((8, 512, 7, 7, 512, 3, 3), 1, 1, 1),
    ),
    "vgg": conv_cases(
        ((2, 3, 224, 224, 64, 3, 3), 1, 1, 1),
        ((2, 64, 112, 112, 128, 3, 3), 1, 1, 1),
        ((2, 256, 28, 28, 512, 3, 3), 1, 1, 1),
        ((2, 512, 14, 14, 512, 3, 3), 1, 1, 1),
    ),
    "tiny": [
        *conv_cases(((2, 4, 9, 8, 6, 3, 2), 2, 1, 2)),
        OpCase("max_pool", (2, 3, 6, 6)),
        OpCase("max_pool_both", (2, 3, 6, 6)),
        OpCase("softmax_xent", (5, 7)),
        OpCase("chain", (1000,)),
        OpCase("copy", (1000,)),
        OpCase("sgemm", (17, 19, 23)),
    ],
}
