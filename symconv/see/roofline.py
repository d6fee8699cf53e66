"""The roofline: what a device can do at most, measured, and how near a step comes to it.

A step of F operations that moves B bytes takes at least max(F / peak, B / bandwidth) (Williams, Waterman and
Patterson, 2009). The bandwidth is that of the cache in which B bytes lie: at the batch sizes that matter here
most of a network stays in the second level, and against the main memory's bandwidth every step would shine.

Operations are those of the plain algorithm. Winograd's transforms and kernels that skip zeros do fewer, and
may come above 100 %.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from symconv.config import config
from symconv.errors import OutputError
from symconv.files import atomic_path, import_extra
from symconv.graph import Apply
from symconv.graph.params import pack
from symconv.plan.tuning import cpu_model

METHOD = 1  # counts up when what is measured changes, so that old files are not believed
SIZES = tuple(1 << k for k in range(14, 27, 2))  # bytes moved: 16 KiB to 64 MiB
SECONDS = 0.02  # of one timing; the best of several counts
TIMINGS = 4
DEVICE_TO_DEVICE = 3  # cudaMemcpyKind


@dataclass(frozen=True)
class Peaks:
    """flops: operations a second by dtype; bandwidth: (bytes touched, bytes a second), sizes rising."""

    device: str
    threads: int
    flops: dict[str, float]
    bandwidth: tuple[tuple[int, float], ...]

    def seconds(self, node: Apply) -> float:
        """The least time that the node can take."""
        dtype = "float64" if any(o.dtype == "float64" for o in node.outputs) else "float32"
        moved = node.op.bytes(node)
        rate = next((rate for size, rate in self.bandwidth if moved <= size), self.bandwidth[-1][1])
        return max(node.op.flops(node) / self.flops[dtype], moved / rate)

    def __str__(self) -> str:
        first, last = self.bandwidth[0], self.bandwidth[-1]
        single, double = (f"{self.flops[dtype] / 1e9:.0f}" for dtype in ("float32", "float64"))
        return (
            f"{self.device}, {self.threads} threads: {single} GFLOP/s in float32, {double} in float64; "
            f"{first[1] / 1e9:.0f} GB/s on {first[0] >> 10} KiB, {last[1] / 1e9:.0f} on {last[0] >> 20} MiB"
        )


def peaks(device: str, threads: int, *, anew: bool = False) -> Peaks | None:
    """The peaks of a device, measured once and then kept in config.cache_dir; None for the emulator.

    anew: measure now, whatever is kept: for a machine that was busy the first time. The emulator's times say
    nothing about a GPU. A GPU's arithmetic is computed from its multiprocessors and their clock: kernels that
    use tensor cores may come above it.
    """
    if device == "emulated":
        return None
    threads = threads if device == "cpu" else 1
    key = f"{METHOD} {device} {threads} {_machine(device)}"
    path = config.cache_dir / "peaks.json"
    known = _read(path)
    found = None if anew else _parsed(device, threads, known.get(key))
    if found is not None:
        return found
    measure = {"cpu": _measure_core, "reference": _measure_numpy, "cuda": _measure_cuda}[device]
    flops, bandwidth = measure(threads)
    known[key] = {"flops": flops, "bandwidth": bandwidth}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(known, indent=1) + "\n")
    except (OSError, OutputError):
        pass  # it is measured again next time
    return Peaks(device, threads, flops, bandwidth)


def _parsed(device: str, threads: int, kept: Any) -> Peaks | None:
    """What a file holds; None for what is no such thing."""
    try:
        flops = {dtype: float(kept["flops"][dtype]) for dtype in ("float32", "float64")}
        bandwidth = tuple((int(size), float(rate)) for size, rate in kept["bandwidth"])
    except (TypeError, KeyError, ValueError):
        return None
    return Peaks(device, threads, flops, bandwidth) if bandwidth else None


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


@lru_cache(maxsize=2)
def _machine(device: str) -> str:
    """The processor by name, and for the core the instruction set in use."""
    name = cpu_model()
    if device == "cpu":
        from symconv import _core  # needs the core to have been built

        return f"{name} {_core.isa()}"
    if device == "cuda":
        cupy = import_extra("cupy", "cuda", "measuring a GPU")
        gpu = cupy.cuda.Device()
        return str(cupy.cuda.runtime.getDeviceProperties(gpu.id)["name"])
    return f"{name} numpy {np.__version__}"


def _best(amount: float, run: Callable[[], Any]) -> float:
    """amount a second, in the fastest of several timings of about SECONDS."""
    start = time.perf_counter()
    run()
    repeats = max(1, int(SECONDS / max(time.perf_counter() - start, 1e-7)))
    best = float("inf")
    for _ in range(TIMINGS):
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        best = min(best, (time.perf_counter() - start) / repeats)
    return amount / best


def _falling(bandwidth: list[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """What a large size reaches a small one can reach too: what it lacks is the cost of a call."""
    return tuple((size, max(rate for _, rate in bandwidth[k:])) for k, (size, _) in enumerate(bandwidth))


def _arrays(count: int) -> list[np.ndarray]:
    """Three float32 arrays that begin with a cache line, each at another place of a page."""
    memory = np.ones(3 * count + 3 * 1024, np.float32)
    first = -(memory.ctypes.data // 4) % 16
    return [memory[first + k * (count + 336) :][:count] for k in range(3)]


Measured = tuple[dict[str, float], tuple[tuple[int, float], ...]]  # flops and bandwidth of Peaks


def _measure_core(threads: int) -> Measured:
    from symconv import _core

    before = _core.num_threads()
    _core.set_num_threads(threads)
    try:
        flops = {}
        for dtype, itemsize in (("float32", 4), ("float64", 8)):
            out = np.zeros(2)
            params = pack("PeakParams", count=0, rounds=200_000, itemsize=itemsize)
            run = partial(_core.call_kernel, "peak_fma", params, [], [out])
            run()
            flops[dtype] = _best(float(out[0]), run)
        bandwidth = []
        for size in SIZES:
            count = size // 12 // 64 * 64
            a, b, c = _arrays(count)
            rounds = max(1, (1 << 24) // size)
            params = pack("PeakParams", count=count, rounds=rounds, itemsize=4)
            run = partial(_core.call_kernel, "peak_stream", params, [a, b], [c])
            bandwidth.append((size, _best(12.0 * count * rounds, run)))
    finally:
        _core.set_num_threads(before)
    return flops, _falling(bandwidth)


def _measure_numpy(threads: int) -> Measured:
    """For the reference: NumPy's matrix product, and its addition."""
    n = 512
    flops = {}
    for dtype in ("float32", "float64"):
        a = np.ones((n, n), dtype)
        flops[dtype] = _best(2.0 * n**3, partial(np.dot, a, a))
    bandwidth = []
    for size in SIZES:
        a, b, c = _arrays(size // 12)
        bandwidth.append((size, _best(12.0 * len(a), partial(np.add, a, b, c))))
    return flops, _falling(bandwidth)


# Lanes of float32 of a multiprocessor, and the share of float64, by compute capability (CUDA guide).
LANES = {70: 64, 75: 64, 80: 64}
DOUBLES = {70: 1 / 2, 75: 1 / 32, 80: 1 / 2, 90: 1 / 2, 100: 1 / 2}


def _measure_cuda(threads: int) -> Measured:
    """Operations from the clock, bandwidth from copies on the device, timed by its own events."""
    cupy = import_extra("cupy", "cuda", "measuring a GPU")
    gpu = cupy.cuda.Device()
    capability = int(gpu.compute_capability)
    clock = 1e3 * gpu.attributes["ClockRate"]  # which is in kHz
    single = 2.0 * LANES.get(capability, 128) * gpu.attributes["MultiProcessorCount"] * clock
    stream = cupy.cuda.Stream(non_blocking=True)
    bandwidth = []
    for size in SIZES:
        nbytes, copies = size // 2, max(1, (1 << 28) // size)
        a, b = cupy.cuda.alloc(nbytes), cupy.cuda.alloc(nbytes)
        times = []
        for _ in range(TIMINGS):
            before, after = cupy.cuda.Event(), cupy.cuda.Event()
            before.record(stream)
            for _ in range(copies):
                cupy.cuda.runtime.memcpyAsync(b.ptr, a.ptr, nbytes, DEVICE_TO_DEVICE, stream.ptr)
            after.record(stream)
            after.synchronize()
            times.append(cupy.cuda.get_elapsed_time(before, after) / 1e3)
        bandwidth.append((size, 2.0 * nbytes * copies / min(times)))
    return {"float32": single, "float64": single * DOUBLES.get(capability, 1 / 64)}, _falling(bandwidth)
