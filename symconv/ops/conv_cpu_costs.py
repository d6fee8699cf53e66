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
        "direct_channels_dgrad": dict(products=0.106, loads=0.0694, fetched=0.0549, steps=0.284,
            outputs=1.52, apart=5.34, spilled=0.0408, tiles=7.85, pages=1.23, copies=0.954, weights=3.51,
            shared=0.376, memory=3.3, calls=770),
        "direct_channels_fprop": dict(products=0.111, loads=0.0882, fetched=0.0199, steps=0.0121,
            outputs=1.24, spilled=0.0377, tiles=11.1, pages=1.84, copies=0.351, weights=1.13, shared=0.651,
            memory=3.04, calls=887),
        "direct_channels_wgrad": dict(products=0.08, steps=0.0741, loads=0.226, sums=1.25, lines=0.441,
            turned=1, spilled=0.0174, copies=0.0237, weights=0.143, shared=0.309, memory=1.41, calls=1100),
        "direct_conv_pool": dict(products=0.174, outputs=1.31, turned=4.66, weights=0.861, spilled=0.0827,
            images=80.5, shared=0.106, memory=2.21, calls=525),
        "direct_rows_dgrad": dict(products=0.104, fetched=0.469, steps=0.559, outputs=0.389, apart=1.92,
            ragged=2.29, tiles=2.54, pages=0.583, spilled=0.0159, lines=4.84, weights=0.464, shared=0.616,
            memory=2.65, calls=932),
        "direct_rows_fprop": dict(products=0.0814, fetched=0.179, steps=0.628, strided=0.0226, far=0.187,
            outputs=0.593, ragged=3.18, pages=0.984, spilled=0.0251, copies=0.528, lines=5.11,
            weights=0.437, shared=0.308, memory=1.62, calls=841),
        "direct_rows_wgrad": dict(products=0.344, strided=0.0255, lines=0.445, ends=0.924, copies=2.12,
            weights=1.49, shared=0.297, memory=2.89, calls=977),
        "gemm_gather_dgrad": dict(products=0.864, packed=0.585, lines=0.673, pieces=0.116, outputs=7.87,
            spilled=0.0738, apart=2.44, weights=0.452, images=232, phases=1480, shared=0.453, memory=4.87),
        "gemm_gather_fprop": dict(products=0.834, packed=0.38, lines=0.31, pieces=0.36, strided=0.847,
            far=1.56, outputs=7.98, spilled=0.109, weights=0.259, images=260, phases=1450, shared=0.848,
            memory=4.28),
        "gemm_gather_wgrad": dict(products=0.881, windows=1.87, strided=1.08, far=2.26, lines=0.409,
            panels=0.545, spilled=0.0646, weights=0.778, shared=1.14, memory=2.95, calls=2250),
        "gemm_scatter_dgrad": dict(products=0.886, tiles=5.36, added=0.697, strided=2.08, lines=1.79,
            cleared=0.45, weights=0.212, images=159, shared=0.847, memory=6.57, calls=619),
        "winograd_columns_conv_pool": dict(products=0.152, idle=0.0942, single=0.118, loads=0.174,
            outputs=1.99, ragged=2.67, units=67.9, inputs=0.734, weights=7.33, lines=2.39, shared=1.01,
            memory=4.11, calls=634),
        "winograd_columns_dgrad": dict(products=0.156, idle=0.112, single=0.121, loads=0.355, outputs=1.09,
            units=46.7, inputs=0.698, weights=6.16, lines=1.71, shared=0.452, memory=5.49, calls=992),
        "winograd_columns_fprop": dict(products=0.143, idle=0.0901, single=0.122, strided=0.04, loads=0.314,
            outputs=0.95, ragged=1.78, units=16.6, inputs=1.05, weights=6.9, lines=1.82, shared=0.649,
            memory=4.19, calls=611),
        "winograd_columns_wgrad": dict(products=0.229, added=0.988, outputs=0.624, inputs=1.66, ends=2.4,
            shared=0.505, memory=4.23, calls=1440),
        "winograd_conv_pool": dict(products=0.153, inputs=1.44, outputs=1, weights=1.01, spilled=2.99,
            heavy=9.7, bands=0.643, shared=1.4, memory=4.6, calls=1370),
        "winograd_dgrad": dict(products=0.147, inputs=1.48, outputs=1.04, weights=0.774, spilled=0.305,
            heavy=0.854, bands=1.13, shared=1.67, memory=6.82, calls=1150),
        "winograd_dgrad_strided": dict(products=0.161, inputs=1.05, outputs=1.7, weights=0.116,
            spilled=0.302, heavy=0.237, bands=0.78, shared=1.32, memory=6.26, calls=1410),
        "winograd_fprop": dict(products=0.138, inputs=1.57, outputs=1.04, weights=0.956, spilled=0.132,
            heavy=0.719, bands=1.35, shared=2.39, memory=7.48, calls=952),
        "winograd_fprop_strided": dict(products=0.153, inputs=1.71, outputs=0.976, weights=0.208,
            spilled=0.259, heavy=0.187, bands=0.567, shared=1.03, memory=5.1, calls=885),
        "winograd_wgrad": dict(products=0.118, inputs=1.7, outputs=3.05, weights=0.942, spilled=0.786,
            heavy=7.04, bands=0.667, shared=1.74, memory=6.21, calls=1330),
        "winograd_wgrad_strided": dict(products=0.137, inputs=1.94, outputs=2.55, weights=0.391,
            spilled=0.537, heavy=2.89, shared=1.49, memory=4.06, calls=5240),
    },
    "avx512": {
        "direct_channels_dgrad": dict(products=0.289, loads=0.0525, fetched=0.0958, outputs=1.68,
            apart=8.61, spilled=0.0488, tiles=6.42, pages=0.675, copies=1.18, weights=6.11, shared=0.885,
            memory=4.92, calls=1200),
        "direct_channels_fprop": dict(products=0.259, loads=0.0766, fetched=0.0197, outputs=1.87,
            spilled=0.0373, tiles=8.26, pages=1.26, copies=0.29, weights=1.96, shared=0.574, memory=4.66,
            calls=929),
        "direct_channels_wgrad": dict(products=0.246, steps=0.0626, loads=0.204, sums=1.2, lines=0.206,
            turned=1.75, spilled=0.0382, weights=0.153, shared=0.337, memory=2.14, calls=963),
        "direct_conv_pool": dict(products=0.287, outputs=2.14, turned=4.19, lines=1.37, weights=0.998,
            spilled=0.0519, memory=0.986, calls=1180),
        "direct_rows_dgrad": dict(products=0.236, loads=0.26, fetched=0.57, steps=0.189, outputs=0.693,
            apart=2.58, ragged=1.53, tiles=3.83, spilled=0.0121, lines=4.39, weights=0.196, shared=0.654,
            memory=2.21, calls=1250),
        "direct_rows_fprop": dict(products=0.234, loads=0.202, fetched=0.118, steps=0.104, strided=0.0197,
            far=0.53, outputs=0.862, ragged=2.39, pages=0.844, spilled=0.0282, copies=1.37, lines=4.53,
            weights=0.191, shared=0.208, memory=1.1, calls=1000),
        "direct_rows_wgrad": dict(products=0.595, strided=0.0541, ragged=0.053, lines=0.401, ends=1.44,
            copies=2.78, weights=1.97, shared=0.456, memory=1.99, calls=795),
        "gemm_gather_dgrad": dict(products=3.17, lines=0.801, outputs=13.2, spilled=0.335, apart=4.97,
            weights=0.821, images=285, phases=1140, shared=0.553, memory=1.94),
        "gemm_gather_fprop": dict(products=3.29, lines=0.659, strided=1.48, far=3.6, outputs=14.8,
            spilled=0.528, weights=0.394, images=308, phases=1090, shared=0.603, memory=3.61),
        "gemm_gather_wgrad": dict(products=3.35, windows=2, strided=2.13, far=4.78, lines=0.745,
            spilled=0.432, weights=1.67, shared=0.925, memory=3.9, calls=1760),
        "gemm_scatter_dgrad": dict(products=3.49, tiles=7.2, added=1.75, strided=3.49, lines=1.44,
            cleared=1, weights=0.146, images=105, shared=0.197, memory=3.31, calls=386),
        "winograd_columns_conv_pool": dict(products=0.271, idle=0.0823, single=0.00194, loads=0.277,
            outputs=1.41, ragged=3.26, units=97.7, inputs=2.03, weights=5.77, lines=1.85, shared=0.365,
            memory=3.86, calls=554),
        "winograd_columns_dgrad": dict(products=0.285, idle=0.116, loads=0.211, outputs=1.24, units=35.3,
            inputs=1.44, weights=5.34, lines=3.15, shared=0.499, memory=4.28, calls=1060),
        "winograd_columns_fprop": dict(products=0.267, idle=0.087, single=0.000512, strided=0.0269,
            loads=0.233, outputs=1.24, ragged=0.932, units=25.5, inputs=2.45, weights=6.04, lines=1.75,
            shared=0.306, memory=4.11, calls=706),
        "winograd_columns_wgrad": dict(products=0.288, idle=0.035, added=1.18, outputs=0.953, inputs=3.57,
            ends=3.13, shared=0.563, memory=4.32, calls=1050),
        "winograd_conv_pool": dict(products=0.293, inputs=2.38, outputs=1.72, weights=1.99, spilled=1.71,
            heavy=17.4, bands=0.278, shared=0.79, memory=3.87, calls=1110),
        "winograd_dgrad": dict(products=0.301, inputs=2.1, outputs=1.7, weights=1.36, spilled=0.0938,
            heavy=1.63, bands=0.616, shared=1.97, memory=6.19, calls=1100),
        "winograd_dgrad_strided": dict(products=0.315, inputs=1.05, outputs=3.38, weights=0.367,
            spilled=0.322, heavy=1.23, shared=1.47, memory=6.23, calls=989),
        "winograd_fprop": dict(products=0.294, inputs=2.23, outputs=1.83, weights=1.56, spilled=0.115,
            heavy=1.14, bands=0.431, shared=1.85, memory=6.5, calls=932),
        "winograd_fprop_strided": dict(products=0.315, inputs=2.27, outputs=1.72, weights=0.411,
            spilled=0.168, heavy=0.715, bands=0.481, shared=1.3, memory=4.24, calls=791),
        "winograd_wgrad": dict(products=0.275, inputs=3.63, outputs=5.5, weights=1.71, spilled=0.574,
            heavy=10.1, shared=2.18, memory=6.44, calls=1350),
        "winograd_wgrad_strided": dict(products=0.276, inputs=4.74, outputs=4.19, weights=0.859,
            spilled=0.449, heavy=4, shared=2.91, memory=3.69, calls=3090),
    },
}
# fmt: on
