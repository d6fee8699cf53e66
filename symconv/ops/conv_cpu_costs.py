"""What the work of the CPU's convolution kernels costs (conv_cpu_work.py), in ns, and which is the quickest.

The table was fitted by benchmarks/conv_costs.py, one thread on one processor (family 25, model 17), on which
instructions of AVX-512 take two steps. Others differ, mostly by a factor that all kernels share: the costs
need not be exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from symconv.ops.conv_cpu_work import Sizes, Vectors, Work, work_of
from symconv.ops.instruction_set import instruction_set

VECTORS = {"avx2": Vectors(8, 4, 6), "avx512": Vectors(16, 8, 12)}


def cost_name(kernel: str, g: Sizes) -> str:
    """What the table calls the kernel: at stride 2 Winograd's transforms are others."""
    tiles = kernel.startswith("winograd") and "columns" not in kernel
    return f"{kernel}_strided" if tiles and g["stride_h"] > 1 else kernel


def time_of(work: Work, costs: dict[str, float]) -> float:
    return sum(cost * work[key] for key, cost in costs.items())


@lru_cache(maxsize=4096)
def _estimate(isa: str, form: str, kind: str, sizes: tuple[tuple[str, int], ...]) -> float:
    g = dict(sizes)
    kernel = form if form.endswith("conv_pool") else f"{form}_{kind}"
    return time_of(work_of(form, kind, g, VECTORS[isa]), NANOSECONDS[isa][cost_name(kernel, g)])


def vectors() -> Vectors:
    """Of the instruction set in use; AVX2's for what has no costs of its own."""
    return VECTORS[_isa()]


def _isa() -> str:
    return instruction_set() if instruction_set() in VECTORS else "avx2"


def quickest(forms: Sequence[tuple[str, Sizes]], kind: str) -> str:
    """Of these, with their sizes."""
    times = {form: _estimate(_isa(), form, kind, tuple(g.items())) for form, g in forms}
    return min(times, key=lambda form: times[form])


# fmt: off
NANOSECONDS: dict[str, dict[str, dict[str, float]]] = {
    "avx2": {
        "direct_channels_dgrad": dict(products=0.108, loads=0.0604, fetched=0.0405, steps=0.311,
            outputs=1.5, apart=4.95, spilled=0.0566, tiles=7.25, pages=0.72, copies=0.999, weights=3.16,
            shared=0.686, memory=4.46, calls=916),
        "direct_channels_fprop": dict(products=0.105, loads=0.0879, fetched=0.0353, steps=0.0753,
            outputs=1.38, spilled=0.0415, tiles=10.2, pages=1.55, copies=0.372, weights=1.27, shared=0.555,
            memory=2.89, calls=816),
        "direct_channels_wgrad": dict(products=0.0667, steps=0.0732, loads=0.394, sums=1.26, lines=0.509,
            turned=0.904, spilled=0.0197, copies=0.0475, weights=0.138, shared=0.288, memory=1.52,
            calls=968),
        "direct_conv_pool": dict(products=0.189, outputs=1.2, turned=4.27, weights=0.821, spilled=0.0914,
            images=49.1, shared=0.265, memory=2.34, calls=927),
        "direct_rows_dgrad": dict(products=0.106, fetched=0.208, steps=0.551, outputs=0.32, apart=1.91,
            ragged=2.23, tiles=3.41, pages=1.17, spilled=0.0708, lines=4.4, weights=0.449, shared=0.619,
            memory=2.44, calls=964),
        "direct_rows_fprop": dict(products=0.091, fetched=0.109, steps=0.546, strided=0.0206, far=0.263,
            outputs=0.592, ragged=3.32, pages=1.27, spilled=0.0434, copies=0.485, lines=4.9, weights=0.485,
            shared=0.362, memory=2.02, calls=819),
        "direct_rows_wgrad": dict(products=0.355, strided=0.0333, lines=0.343, ends=1.05, copies=2.06,
            weights=1.34, shared=0.412, memory=3.02, calls=871),
        "gemm_gather_dgrad": dict(products=0.834, packed=0.645, lines=0.912, pieces=0.0531, outputs=9.64,
            spilled=0.207, apart=2.17, weights=0.485, images=156, phases=493, shared=0.179, memory=3.51,
            calls=506),
        "gemm_gather_fprop": dict(products=0.823, packed=0.384, lines=0.492, pieces=0.339, strided=0.778,
            far=1.52, outputs=9.21, spilled=0.116, weights=0.279, images=180, phases=1120, shared=0.904,
            memory=3.01),
        "gemm_gather_wgrad": dict(products=0.881, windows=1.87, strided=1.08, far=2.25, lines=0.519,
            panels=0.629, spilled=0.0563, weights=1.07, shared=1.02, memory=2.69, calls=1430),
        "gemm_scatter_dgrad": dict(products=0.89, tiles=5.34, added=0.658, strided=1.97, lines=1.96,
            cleared=0.42, weights=0.216, images=128, shared=0.982, memory=5.07, calls=720),
        "winograd_columns_conv_pool": dict(products=0.149, idle=0.0823, single=0.13, loads=0.193,
            outputs=1.97, ragged=3.13, units=70.6, inputs=0.782, weights=6.87, lines=2.24, shared=0.936,
            memory=3.6, calls=879),
        "winograd_columns_dgrad": dict(products=0.159, idle=0.104, single=0.128, loads=0.225, outputs=1.11,
            ragged=0.142, units=51.6, inputs=0.934, weights=5.78, lines=1.23, shared=0.319, memory=4.37,
            calls=866),
        "winograd_columns_fprop": dict(products=0.144, idle=0.0844, single=0.132, strided=0.0472,
            loads=0.285, outputs=0.93, ragged=1.75, units=26.1, inputs=1.09, weights=6.04, lines=1.72,
            shared=0.644, memory=4, calls=830),
        "winograd_columns_wgrad": dict(products=0.217, added=1.05, outputs=0.645, inputs=1.78, ends=2.52,
            shared=0.277, memory=3.49, calls=1200),
        "winograd_conv_pool": dict(products=0.149, inputs=1.48, outputs=1.01, weights=1.24, spilled=2.87,
            heavy=9.62, bands=0.696, shared=1.39, memory=4.41, calls=1220),
        "winograd_dgrad": dict(products=0.147, inputs=1.5, outputs=1.04, weights=0.792, spilled=0.301,
            heavy=0.84, bands=0.991, shared=1.68, memory=6.62, calls=1200),
        "winograd_dgrad_strided": dict(products=0.155, inputs=1.15, outputs=1.68, weights=0.27,
            spilled=0.229, heavy=0.199, bands=0.133, shared=1.74, memory=6.27, calls=1680),
        "winograd_fprop": dict(products=0.137, inputs=1.57, outputs=1.05, weights=0.935, spilled=0.123,
            heavy=0.752, bands=1.18, shared=2.38, memory=7.11, calls=1130),
        "winograd_fprop_strided": dict(products=0.15, inputs=1.69, outputs=0.973, weights=0.268,
            spilled=0.203, heavy=0.204, bands=0.175, shared=1.52, memory=5.47, calls=1580),
        "winograd_wgrad": dict(products=0.118, inputs=1.67, outputs=3.14, weights=0.681, spilled=1.07,
            heavy=7.02, bands=0.0257, shared=1.81, memory=6, calls=2620),
        "winograd_wgrad_strided": dict(products=0.137, inputs=1.81, outputs=2.45, weights=0.303,
            spilled=0.627, heavy=2.89, shared=2.03, memory=6.74, calls=6690),
    },
    "avx512": {
        "direct_channels_dgrad": dict(products=0.288, loads=0.0561, fetched=0.0813, outputs=1.9, apart=6.65,
            spilled=0.0597, tiles=4.21, pages=0.133, copies=1.29, weights=5.19, shared=1.05, memory=5.2,
            calls=870),
        "direct_channels_fprop": dict(products=0.258, loads=0.0796, fetched=0.0116, outputs=2.07,
            spilled=0.0376, tiles=7.19, pages=1.16, copies=0.299, weights=2.05, shared=0.524, memory=4.1,
            calls=766),
        "direct_channels_wgrad": dict(products=0.232, steps=0.0577, loads=0.358, sums=1.14, lines=0.356,
            turned=1.65, spilled=0.0349, weights=0.169, shared=0.355, memory=2.04, calls=891),
        "direct_conv_pool": dict(products=0.295, outputs=2.04, turned=3.85, lines=0.862, weights=2.1,
            spilled=0.0451, images=34.9, shared=0.193, memory=1.15, calls=900),
        "direct_rows_dgrad": dict(products=0.227, loads=0.256, fetched=0.299, steps=0.251, outputs=0.883,
            apart=2.54, ragged=1.22, tiles=4.18, pages=0.883, spilled=0.0562, lines=4.28, weights=0.209,
            shared=0.68, memory=1.99, calls=1060),
        "direct_rows_fprop": dict(products=0.225, loads=0.176, fetched=0.102, steps=0.195, strided=0.023,
            far=0.643, outputs=0.862, ragged=2.4, pages=1.14, spilled=0.0264, copies=1.22, lines=4.53,
            weights=0.194, shared=0.284, memory=1.37, calls=933),
        "direct_rows_wgrad": dict(products=0.59, strided=0.0875, ragged=0.0815, lines=0.282, ends=1.5,
            copies=3.03, weights=2, shared=0.347, memory=2.13, calls=820),
        "gemm_gather_dgrad": dict(products=3, lines=1.01, outputs=16.6, spilled=0.933, apart=4.86,
            weights=0.732, images=226, phases=439, shared=0.391, memory=2.87, calls=350),
        "gemm_gather_fprop": dict(products=3.19, lines=0.883, strided=1.16, far=3.43, outputs=15.6,
            spilled=0.66, weights=0.406, images=213, phases=964, shared=0.683, memory=2.9),
        "gemm_gather_wgrad": dict(products=3.21, windows=2.29, strided=2.22, far=4.73, lines=0.75,
            spilled=0.541, weights=2.29, shared=0.654, memory=3.28, calls=1130),
        "gemm_scatter_dgrad": dict(products=3.47, tiles=5.47, added=1.83, strided=3.31, lines=1.53,
            cleared=1.02, weights=0.148, images=70.8, shared=0.216, memory=3.27, calls=720),
        "winograd_columns_conv_pool": dict(products=0.271, idle=0.0807, single=0.0104, loads=0.178,
            outputs=1.51, ragged=3.35, units=89.4, inputs=2.13, weights=5.33, lines=1.87, shared=0.353,
            memory=2.88, calls=788),
        "winograd_columns_dgrad": dict(products=0.29, idle=0.113, loads=0.114, outputs=1.24, units=42.7,
            inputs=1.64, weights=4.91, lines=2.86, shared=0.44, memory=3.78, calls=830),
        "winograd_columns_fprop": dict(products=0.266, idle=0.0879, single=0.00612, strided=0.0365,
            loads=0.261, outputs=1.24, ragged=0.56, units=29.7, inputs=2.36, weights=5.25, lines=2,
            shared=0.345, memory=3.63, calls=735),
        "winograd_columns_wgrad": dict(products=0.275, idle=0.0398, added=1.22, outputs=1.04, inputs=3.76,
            ends=3.14, shared=0.384, memory=3.75, calls=1080),
        "winograd_conv_pool": dict(products=0.294, inputs=2.37, outputs=1.7, weights=2.1, spilled=1.7,
            heavy=17.3, bands=0.324, shared=0.902, memory=3.81, calls=1110),
        "winograd_dgrad": dict(products=0.3, inputs=2.15, outputs=1.65, weights=1.28, spilled=0.206,
            heavy=1.6, bands=0.671, shared=2.15, memory=6.27, calls=1160),
        "winograd_dgrad_strided": dict(products=0.312, inputs=1.11, outputs=3.14, weights=0.456,
            spilled=0.284, heavy=1.18, shared=2.17, memory=6.32, calls=1630),
        "winograd_fprop": dict(products=0.29, inputs=2.23, outputs=1.82, weights=1.48, spilled=0.177,
            heavy=1.19, bands=0.518, shared=2.41, memory=6.3, calls=1110),
        "winograd_fprop_strided": dict(products=0.317, inputs=2.2, outputs=1.68, weights=0.349,
            spilled=0.23, heavy=0.695, bands=0.0153, shared=1.59, memory=4.67, calls=1580),
        "winograd_wgrad": dict(products=0.254, inputs=3.9, outputs=5.39, weights=1.38, spilled=1.13,
            heavy=10.1, shared=2.52, memory=6.27, calls=2130),
        "winograd_wgrad_strided": dict(products=0.287, inputs=4.54, outputs=3.85, weights=0.301,
            spilled=0.995, heavy=3.92, shared=3.32, memory=6.86, calls=6420),
    },
}
# fmt: on
