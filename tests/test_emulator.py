"""The emulator: planted faults are found and named; barriers, warps and grids work as on a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from symconv.backends.gpu.emulator import EmulatedRuntime
from symconv.backends.gpu.runtime import FAULT, Array, Work
from symconv.config import config
from symconv.errors import CompileError, KernelFault, MemoryLimitError
from symconv.graph.params import pack
from symconv.plan.gpu import Source

ORDERS = (0, 1, 2, 17)
PARAMS = pack("AdvanceParams", n=0)

pytestmark = pytest.mark.usefixtures("cxx")


def source(**bodies: str) -> Source:
    """Kernels of these names and bodies, with the params of `advance`."""
    parts = ['#include "math.cuh"']
    for name, body in bodies.items():
        parts += [
            f"DEVICE void body_of_{name}(const AdvanceParams&, const Args& args, int tile, Shared shared) {{",
            "  (void)args; (void)tile; (void)shared;\n  int t = threadIdx.x; (void)t;",
            f"{body}\n}}\nKERNEL({name}, AdvanceParams, body_of_{name})",
        ]
    return Source(code="\n".join(parts) + "\n")


def launch(
    kernel: Source,
    entry: str,
    *arrays: np.ndarray,
    tiles: int = 1,
    shared: int = 4096,
    blocks: int = 0,
    grid: bool = False,
) -> np.ndarray:
    """Run `entry` on copies of the arrays; returns the last one, and the fault if one was kept."""
    runtime = EmulatedRuntime()
    memories = [runtime.allocate(max(a.nbytes, 1), "array") for a in arrays]
    for memory, a in zip(memories, arrays):
        runtime.upload(memory.address, a)
    args = tuple(Array(m.address, a.nbytes) for m, a in zip(memories, arrays))
    fault = runtime.allocate(FAULT.itemsize, "fault")
    runtime.upload(fault.address, np.zeros(1, FAULT))
    work = Work(kernel, entry, PARAMS, args, tiles, shared=shared, step=5, grid=grid, blocks=blocks)
    runtime.prepare([work], fault.address)()
    found = np.zeros(1, FAULT)
    runtime.download(fault.address, found)
    if found["found"][0]:
        return found
    result = np.empty_like(arrays[-1])
    runtime.download(memories[-1].address, result)
    return result


# name: (body, what the message says). The line is that of "HERE", one below it where it says so.
FAULTS = {
    "race_write_write": (
        """SharedArray<float> s = shared.array<float>(0, 8);
           s[t % 8] = 1.0f;  // HERE""",
        "race on shared memory",
    ),
    "race_read_write": (
        """SharedArray<float> s = shared.array<float>(0, 256);
           s[t] = 1.0f;
           float v = s[255 - t];  // HERE
           args.get<float>(0)[t] = v;""",
        "",  # forward order meets a word that nobody wrote yet, reverse order another: either is right
    ),
    "race_write_after_read": (
        """SharedArray<float> s = shared.array<float>(0, 256);
           s[t] = 1.0f;
           __syncthreads();
           float v = s[255 - t];
           s[t] = v;""",
        "race on shared memory",  # either of the two lines

    ),
    "race_across_warps_after_warp_sync": (
        """SharedArray<float> s = shared.array<float>(0, 256);
           s[t] = 1.0f;
           __syncwarp();
           float v = s[(t + 32) % 256];
           __syncwarp();
           s[t] = v;""",
        "",
    ),
    "uninitialised": (
        """SharedArray<float> s = shared.array<float>(0, 256);
           float v = s[t];  // HERE
           args.get<float>(0)[t] = v;""",
        "read of shared memory that nothing was written to",
    ),
    "divergent_barrier_two_sites": (
        """if (t < 128) __syncthreads(); else
           __syncthreads();""",
        "divergent barrier: thread",
    ),
    "barrier_after_return": ("if (t >= 100) return;\n__syncthreads();", "divergent barrier"),
    "barrier_missed_by_some": ("if (t < 32) __syncthreads();", "divergent barrier"),
    "warp_missing_lane": (
        "if (t % 32 < 31) __shfl_xor_sync(FULL_MASK, 1.0f, 1);",
        "",  # the missing lane has ended, or never comes
    ),
    "warp_divergent_sites": (
        """if (t % 2) __ballot_sync(FULL_MASK, 1); else
           __ballot_sync(FULL_MASK, 1);""",
        "divergent warp operation",
    ),
    "lane_not_in_mask": ("__ballot_sync(0xffffu, 1);", "is not in its own mask"),
    "global_out_of_bounds": (
        "args.get<float>(0)[t + 1] = 0.0f;  // HERE",
        "index 256 of global memory is out of bounds: the array has 256 elements",
    ),
    "global_negative": (
        "float v = args.get<const float>(0)[t - 1];  // HERE\n(void)v;",
        "index -1 of global memory",
    ),
    "shared_out_of_bounds": (
        """SharedArray<float> s = shared.array<float>(0, 255);
           s[t] = 1.0f;  // HERE""",
        "index 255 of shared memory is out of bounds",
    ),
    "shared_array_too_large": ("shared.array<float>(0, 1025)[t] = 0.0f;  // HERE", "the tile has 4096 bytes"),
    "misaligned_vector": (
        "float4 v = load_vector<float4>(args.get<const float>(0), 1);  // HERE\n(void)v;",
        "misaligned access: element 1",
    ),
    "grid_barrier_not_cooperative": (
        "emulator::current->grid_barrier(EMULATOR_SITE);  // HERE",
        "grid barrier in a launch that is not cooperative",
    ),
}  # fmt: skip
OPERATIONS = """Global<int> y = args.get<int>(0);
SharedArray<int> s = shared.array<int>(0, 256);
s[t] = t;
__syncthreads();
int other = s[255 - t];
int sum = warp_reduce(t, Sum());
int down = __shfl_down_sync(FULL_MASK, t, 3);
unsigned odd = __ballot_sync(FULL_MASK, t % 2);
int many = __syncthreads_count(t < 100);
int low = 0;
if (t % 32 < 16) low = __shfl_sync(0xffffu, t, 2);
else low = __shfl_sync(0xffff0000u, t, 20);
for (int i = 0; i < 100; i++) sum += __any_sync(FULL_MASK, i == t) ? 1 : 0;
y[t] = other;
y[256 + t] = sum;
y[512 + t] = down;
y[768 + t] = static_cast<int>(odd >> 1);
y[1024 + t] = many;
y[1280 + t] = low;"""
GRID = """Global<int> x = args.get<int>(0), y = args.get<int>(1);
for (int i = tile; i < 8; i += 3) x[i * 256 + t] = i * 256 + t;
emulator::current->grid_barrier(EMULATOR_SITE);
for (int i = tile; i < 8; i += 3) y[i * 256 + t] = x[2047 - (i * 256 + t)];"""
FAULTY = source(**{name: body.replace("HERE", f"HERE {name}") for name, (body, _) in FAULTS.items()})
OTHERS = source(
    missed="if (tile == 1) emulator::current->grid_barrier(EMULATOR_SITE);",
    stops="if (t < 40) __syncthreads();",
    works="__syncthreads();\nargs.get<float>(0)[t] = t;",
    operations=OPERATIONS,
    grid=GRID,
    stale="""SharedArray<float> s = shared.array<float>(0, 256);
             if (tile == 0) s[t] = 1.0f;
             __syncthreads();
             float v = s[t];
             args.get<float>(0)[t] = v;""",
    data="if (t == 7) check_index(args, 12, t, 10);",
)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_found(name: str, order: int) -> None:
    _, message = FAULTS[name]
    with config(emulator_order=order), pytest.raises(KernelFault) as error:
        launch(FAULTY, name, np.zeros(256, "float32"))
    text = str(error.value)
    assert f"kernel {name}, block 0, thread " in text and message in text
    lines = FAULTY.code.splitlines()
    here = [i + 1 for i, line in enumerate(lines) if line.endswith(f"HERE {name}")]
    if here and message:
        assert f" generated.cu:{here[0]}:" in text, (text, here)


def test_grid_barrier_missed_by_a_block_is_found() -> None:
    with pytest.raises(KernelFault, match="grid's barrier"):
        launch(OTHERS, "missed", np.zeros(4, "float32"), tiles=2, grid=True)


@pytest.mark.parametrize("order", ORDERS)
def test_the_machine_still_works_after_a_fault(order: int) -> None:
    with config(emulator_order=order):
        for _ in range(3):
            with pytest.raises(KernelFault):
                launch(OTHERS, "stops", np.zeros(1, "float32"))
            y = launch(OTHERS, "works", np.zeros(256, "float32"))
            assert np.array_equal(y, np.arange(256))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("checks", [True, False])
def test_block_and_warp_operations(order: int, checks: bool) -> None:
    with config(emulator_order=order, emulator_checks=checks):
        y = launch(OTHERS, "operations", np.zeros(6 * 256, "int32")).reshape(6, 256)
    t = np.arange(256)
    base = t // 32 * 32
    assert np.array_equal(y[0], 255 - t)
    hits = [sum(b <= i < b + 32 for i in range(100)) for b in base]
    assert np.array_equal(y[1], base * 32 + 496 + hits)
    assert np.array_equal(y[2], np.where(t % 32 + 3 < 32, t + 3, t))
    assert (y[3] == 0x55555555).all() and (y[4] == 100).all()
    assert np.array_equal(y[5], base + np.where(t % 32 < 16, 2, 20))


@pytest.mark.parametrize("order", ORDERS)
def test_grid_barrier_and_loop_over_tiles(order: int) -> None:
    """Three blocks do eight tiles of a first pass, meet, and read each other's results in a second."""
    with config(emulator_order=order):
        y = launch(OTHERS, "grid", np.zeros(2048, "int32"), np.zeros(2048, "int32"), tiles=3, grid=True)
    assert np.array_equal(y, np.arange(2048)[::-1])


def test_shared_memory_is_fresh_for_every_tile() -> None:
    """A block that does several tiles must not find the last one's values."""
    with pytest.raises(KernelFault, match="nothing was written to"):
        launch(OTHERS, "stale", np.zeros(256, "float32"), tiles=2, blocks=1)


def test_faults_in_data_are_kept_for_the_host() -> None:
    found = launch(OTHERS, "data", np.zeros(1, "float32"))
    assert found[0].tolist() == (1, 5, 12, 7, 10)


def test_compiler_errors_name_the_kernel() -> None:
    with pytest.raises(CompileError, match="nonsense"):
        launch(source(k="nonsense(t);"), "k", np.zeros(1, "float32"))
    with pytest.raises(CompileError, match="defines no KERNEL"):
        EmulatedRuntime().prepare([Work(OTHERS, "other", PARAMS, (), 1)], 0)


def test_memory_beyond_the_limit_is_refused() -> None:
    with config(memory_limit=1000), pytest.raises(MemoryLimitError, match="the arena needs 2,000 bytes"):
        EmulatedRuntime().allocate(2000, "the arena")


def test_cache_survives_two_processes_at_once(tmp_path: Path) -> None:
    """Both build the same kernel into an empty cache; both run it; one file of each kind is left."""
    code = (
        "import numpy as np, symconv as sc\n"
        "x = sc.matrix('x')\n"
        "f = sc.function([x], 2 * x, device='emulated')\n"
        "assert (f(np.ones((3, 4), 'float32')) == 2).all()\n"
    )
    env = {**os.environ, "SYMCONV_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1])}
    runs = [subprocess.Popen([sys.executable, "-c", code], env=env) for _ in range(2)]
    assert [p.wait(300) for p in runs] == [0, 0]
    left = sorted(p.suffix for p in (tmp_path / "kernels").iterdir() if p.suffix not in (".h", ".gch"))
    assert left == [".so", ".so", ".so"], left  # the emulator, the product and control
