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
        "direct_channels_dgrad": dict(products=0.106, loads=0.0702, fetched=0.0552, steps=0.273,
            outputs=1.4, apart=5.31, spilled=0.0405, tiles=9.12, pages=1.23, copies=0.863, weights=3.55,
            shared=0.491, memory=3.41, calls=883),
        "direct_channels_fprop": dict(products=0.111, loads=0.0859, fetched=0.02, steps=0.0389,
            outputs=1.25, spilled=0.0365, tiles=11, pages=1.85, copies=0.333, weights=1.21, shared=0.667,
            memory=3.05, calls=806),
        "direct_channels_wgrad": dict(products=0.0754, steps=0.0733, loads=0.272, sums=1.24, lines=0.493,
            turned=0.986, spilled=0.0151, copies=0.00922, weights=0.153, shared=0.303, memory=1.41,
            calls=962),
        "direct_conv_pool": dict(products=0.175, outputs=1.34, turned=4.56, weights=0.884, spilled=0.0821,
            images=52, shared=0.0937, memory=2.17, calls=890),
        "direct_rows_dgrad": dict(products=0.102, fetched=0.468, steps=0.577, outputs=0.344, apart=1.88,
            ragged=2.3, tiles=3.03, pages=0.592, spilled=0.014, lines=4.45, weights=0.472, shared=0.633,
            memory=2.71, calls=951),
        "direct_rows_fprop": dict(products=0.0822, fetched=0.179, steps=0.616, strided=0.0233, far=0.206,
            outputs=0.599, ragged=3.17, pages=0.981, spilled=0.0248, copies=0.509, lines=5.22,
            weights=0.461, shared=0.311, memory=1.62, calls=801),
        "direct_rows_wgrad": dict(products=0.347, strided=0.029, lines=0.409, ends=0.954, copies=2.26,
            weights=1.25, shared=0.193, memory=2.74, calls=842),
        "gemm_gather_dgrad": dict(products=0.855, packed=0.622, lines=0.866, pieces=0.0442, outputs=9.24,
            spilled=0.0658, apart=2.63, weights=0.54, images=164, phases=489, shared=0.207, memory=4.62,
            calls=515),
        "gemm_gather_fprop": dict(products=0.824, packed=0.42, lines=0.44, pieces=0.313, strided=0.919,
            far=1.61, outputs=8.67, spilled=0.109, weights=0.283, images=192, phases=1110, shared=0.796,
            memory=4.15),
        "gemm_gather_wgrad": dict(products=0.873, packed=0.0226, windows=1.86, strided=1.14, far=2.47,
            lines=0.481, panels=0.641, spilled=0.0616, weights=1.03, shared=1.03, memory=2.8, calls=1470),
        "gemm_scatter_dgrad": dict(products=0.885, tiles=5.4, added=0.661, strided=1.98, lines=1.93,
            cleared=0.475, weights=0.211, images=123, shared=0.878, memory=6.61, calls=724),
        "winograd_columns_conv_pool": dict(products=0.152, idle=0.0884, single=0.121, loads=0.182,
            outputs=1.95, ragged=2.95, units=70.8, inputs=0.735, weights=6.9, lines=2.26, shared=1.02,
            memory=4.17, calls=907),
        "winograd_columns_dgrad": dict(products=0.156, idle=0.106, single=0.126, loads=0.369, outputs=1.1,
            ragged=0.107, units=52.1, inputs=0.803, weights=5.66, lines=1.18, shared=0.293, memory=5.34,
            calls=882),
        "winograd_columns_fprop": dict(products=0.145, idle=0.0777, single=0.126, strided=0.0402,
            loads=0.322, outputs=0.893, ragged=1.83, units=27.5, inputs=1.09, weights=6.19, lines=1.55,
            shared=0.653, memory=4.18, calls=846),
        "winograd_columns_wgrad": dict(products=0.224, added=0.987, outputs=0.647, inputs=1.78, ends=2.57,
            shared=0.415, memory=4.2, calls=1170),
        "winograd_conv_pool": dict(products=0.152, inputs=1.44, outputs=1.01, weights=1.05, spilled=2.96,
            heavy=9.69, bands=0.709, shared=1.39, memory=4.59, calls=1250),
        "winograd_dgrad": dict(products=0.146, inputs=1.49, outputs=1.04, weights=0.793, spilled=0.29,
            heavy=0.854, bands=1.03, shared=1.7, memory=6.82, calls=1190),
        "winograd_dgrad_strided": dict(products=0.159, inputs=1.1, outputs=1.66, weights=0.228,
            spilled=0.234, heavy=0.209, bands=0.19, shared=1.51, memory=6.42, calls=1670),
        "winograd_fprop": dict(products=0.138, inputs=1.56, outputs=1.03, weights=0.939, spilled=0.145,
            heavy=0.721, bands=1.24, shared=2.4, memory=7.48, calls=1110),
        "winograd_fprop_strided": dict(products=0.153, inputs=1.66, outputs=0.979, weights=0.227,
            spilled=0.249, heavy=0.184, bands=0.148, shared=1.26, memory=5.18, calls=1590),
        "winograd_wgrad": dict(products=0.122, inputs=1.66, outputs=3.05, weights=0.576, spilled=1.12,
            heavy=7.04, bands=0.352, shared=1.68, memory=6.16, calls=2650),
        "winograd_wgrad_strided": dict(products=0.138, inputs=1.78, outputs=2.51, weights=0.224,
            spilled=0.681, heavy=2.9, shared=1.87, memory=4.45, calls=6740),
    },
    "avx512": {
        "direct_channels_dgrad": dict(products=0.294, loads=0.0503, fetched=0.0936, outputs=1.79,
            apart=7.61, spilled=0.0519, tiles=6.47, pages=0.696, copies=1.04, weights=5.55, shared=0.841,
            memory=5.04, calls=833),
        "direct_channels_fprop": dict(products=0.26, loads=0.0754, fetched=0.0203, outputs=1.96,
            spilled=0.0366, tiles=7.74, pages=1.26, copies=0.303, weights=1.98, shared=0.523, memory=4.61,
            calls=755),
        "direct_channels_wgrad": dict(products=0.241, steps=0.0609, loads=0.246, sums=1.19, lines=0.264,
            turned=1.72, spilled=0.0366, weights=0.16, shared=0.342, memory=2.16, calls=890),
        "direct_conv_pool": dict(products=0.288, outputs=2.12, turned=4.03, lines=1.41, weights=1.65,
            spilled=0.045, images=35.1, memory=0.982, calls=871),
        "direct_rows_dgrad": dict(products=0.233, loads=0.255, fetched=0.575, steps=0.224, outputs=0.755,
            apart=2.38, ragged=1.52, tiles=4.12, spilled=0.0102, lines=4.27, weights=0.231, shared=0.621,
            memory=2.17, calls=1040),
        "direct_rows_fprop": dict(products=0.232, loads=0.207, fetched=0.118, steps=0.108, strided=0.0208,
            far=0.596, outputs=0.888, ragged=2.32, pages=0.853, spilled=0.0259, copies=1.24, lines=4.98,
            weights=0.227, shared=0.228, memory=1.1, calls=918),
        "direct_rows_wgrad": dict(products=0.602, strided=0.0606, ragged=0.0555, lines=0.339, ends=1.46,
            copies=2.97, weights=1.9, shared=0.384, memory=1.88, calls=800),
        "gemm_gather_dgrad": dict(products=3.1, lines=0.941, outputs=16.2, spilled=0.349, apart=5.3,
            weights=0.928, images=229, phases=414, shared=0.394, memory=1.74, calls=363),
        "gemm_gather_fprop": dict(products=3.26, lines=0.809, strided=1.49, far=3.7, outputs=15.4,
            spilled=0.525, weights=0.429, images=227, phases=956, shared=0.613, memory=3.63),
        "gemm_gather_wgrad": dict(products=3.27, windows=2.01, strided=2.2, far=5.21, lines=0.882,
            spilled=0.467, weights=2.08, shared=0.965, memory=4.04, calls=1170),
        "gemm_scatter_dgrad": dict(products=3.48, tiles=7.1, added=1.71, strided=3.15, lines=1.61,
            cleared=1.01, weights=0.134, images=71.3, shared=0.266, memory=3.36, calls=723),
        "winograd_columns_conv_pool": dict(products=0.272, idle=0.0792, single=0.00471, loads=0.271,
            outputs=1.33, ragged=3.5, units=96, inputs=1.99, weights=5.25, lines=1.9, shared=0.445,
            memory=3.94, calls=798),
        "winograd_columns_dgrad": dict(products=0.287, idle=0.113, loads=0.22, outputs=1.24, units=42.3,
            inputs=1.5, weights=4.64, lines=2.97, shared=0.412, memory=4.21, calls=848),
        "winograd_columns_fprop": dict(products=0.268, idle=0.0852, single=0.00254, strided=0.0285,
            loads=0.229, outputs=1.2, ragged=0.867, units=31.9, inputs=2.4, weights=5.35, lines=1.84,
            shared=0.303, memory=4.13, calls=735),
        "winograd_columns_wgrad": dict(products=0.28, idle=0.04, added=1.17, outputs=0.972, inputs=3.81,
            ends=3.21, shared=0.508, memory=4.31, calls=1060),
        "winograd_conv_pool": dict(products=0.292, inputs=2.37, outputs=1.73, weights=2.01, spilled=1.7,
            heavy=17.4, bands=0.296, shared=0.807, memory=3.88, calls=1110),
        "winograd_dgrad": dict(products=0.301, inputs=2.07, outputs=1.68, weights=1.3, spilled=0.144,
            heavy=1.64, bands=0.737, shared=2.02, memory=6.24, calls=1150),
        "winograd_dgrad_strided": dict(products=0.314, inputs=1.04, outputs=3.12, weights=0.41,
            spilled=0.271, heavy=1.25, shared=1.9, memory=6.62, calls=1650),
        "winograd_fprop": dict(products=0.294, inputs=2.2, outputs=1.82, weights=1.49, spilled=0.18,
            heavy=1.15, bands=0.491, shared=1.91, memory=6.54, calls=1110),
        "winograd_fprop_strided": dict(products=0.318, inputs=2.06, outputs=1.68, weights=0.352,
            spilled=0.192, heavy=0.725, bands=0.258, shared=1.59, memory=4.42, calls=1580),
        "winograd_wgrad": dict(products=0.281, inputs=3.61, outputs=5.4, weights=1.31, spilled=0.92,
            heavy=10.2, shared=2.32, memory=6.62, calls=2190),
        "winograd_wgrad_strided": dict(products=0.28, inputs=4.28, outputs=4.11, weights=0.259,
            spilled=0.982, heavy=4.04, shared=3.46, memory=4.58, calls=6430),
    },
}
# fmt: on
