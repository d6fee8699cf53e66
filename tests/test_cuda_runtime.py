"""The CUDA runtime against a stand-in for CuPy and the driver that runs launches in the emulator.

It shows that arguments, params, tails, shared memory and graphs reach the driver's calls as the kernels read
them; what only a GPU can show is in the tests marked `gpu`.
"""

from __future__ import annotations

import ctypes
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symconv as sc
from symconv import device
from symconv.backends.gpu import cuda, executable
from symconv.backends.gpu.emulator import Arg, Launch
from symconv.backends.gpu.emulator_build import entry_of
from symconv.config import config
from symconv.errors import DeviceError, ExecutionError, MemoryLimitError

pytestmark = pytest.mark.usefixtures("cxx")

MAX_ARGS = 40


class OutOfMemoryError(MemoryError):
    pass


class CUDARuntimeError(RuntimeError):
    pass


class FakeGpu:
    """Memory is the host's; a launch is decoded from the pointers that the driver would get."""

    def __init__(self) -> None:
        self.sources: dict[str, Any] = {}
        self.captured: list[Any] | None = None
        self.launches: list[tuple[str, int, int]] = []
        self.limit = 1 << 30
        self.copied: list[int] = []  # sizes
        self.rows = 4  # of the table of the one persistent kernel here: three softmaxes and advance

    # ---- cupy

    def module(self) -> types.ModuleType:
        gpu = self

        class Pointer:
            def __init__(self, nbytes: int) -> None:
                if nbytes > gpu.limit:
                    raise OutOfMemoryError(f"{nbytes} bytes")
                self.array = np.full(nbytes + 256, 0xFF, np.uint8)
                self.ptr = -(-self.array.ctypes.data // 256) * 256

        class Function:
            def __init__(self, source: Any, entry: str) -> None:
                self.max_dynamic_shared_size_bytes = 48 << 10
                self.what = source, entry
                self.kernel = types.SimpleNamespace(ptr=id(self))
                gpu.functions[id(self)] = self

        class RawModule:
            def __init__(self, path: str) -> None:
                self.source = gpu.sources[path]

            def get_function(self, entry: str) -> Function:
                return Function(self.source, entry)

        class Stream:
            ptr = 1

            def __init__(self, non_blocking: bool) -> None:
                assert non_blocking

            def synchronize(self) -> None:
                assert gpu.captured is None, "no waiting inside a capture"

            def begin_capture(self) -> None:
                gpu.captured = []

            def end_capture(self) -> Any:
                calls, gpu.captured = gpu.captured or [], None
                return types.SimpleNamespace(
                    upload=lambda stream: None, launch=lambda stream: [call() for call in calls]
                )

        def copy(to: int, source: int, nbytes: int, kind: int, stream: int) -> None:
            assert gpu.captured is None, "no copies inside a capture"
            gpu.copied.append(nbytes)
            ctypes.memmove(to, source, nbytes)

        self.functions: dict[int, Function] = {}
        runtime = types.SimpleNamespace(
            memcpyAsync=copy, memGetInfo=lambda: (10, 20), CUDARuntimeError=CUDARuntimeError,
            getDeviceCount=lambda: 1, getDeviceProperties=lambda i: {"name": b"H100"},
        )  # fmt: skip
        fake: Any = types.ModuleType("cupy")
        fake.cuda = types.SimpleNamespace(
            Device=lambda *_: types.SimpleNamespace(
                id=0, compute_capability="90", attributes={"MultiProcessorCount": 3}
            ),
            Stream=Stream, alloc=Pointer, runtime=runtime,
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        )  # fmt: skip
        fake.RawModule = RawModule
        return fake

    # ---- the driver

    def launch(self, handle: Any, *rest: Any, cooperative: bool) -> int:
        blocks, _, _, threads, _, _, shared, _stream, pointers = rest[:9]
        function = self.functions[handle.value]
        assert shared <= function.max_dynamic_shared_size_bytes
        source, entry = function.what
        words = np.frombuffer(ctypes.string_at(pointers[1], 8 * (MAX_ARGS + 2)), np.int64).tolist()
        tiles = ctypes.c_int.from_address(pointers[2]).value
        tail = "KERNEL_TAIL(" + entry in source.text() or self.is_tail(source, entry)
        params = ctypes.c_void_p.from_address(pointers[0]).value if tail else pointers[0]
        if entry == "whole_plan":
            words[0] = self.emulated_table(words[0])
        args = (Arg * MAX_ARGS)(*(Arg(w, 1 << 40) for w in words[:MAX_ARGS]))
        launch = Launch(
            args=args, step=words[-1], fault=words[-2], tiles=tiles, blocks=blocks, threads=threads,
            shared_bytes=shared, cooperative=cooperative,
        )  # fmt: skip
        # the params are a pointer here, not bytes of Python's
        ctypes.c_void_p.from_buffer(launch).value = params

        def run() -> None:
            entry_of(source, entry)(ctypes.byref(launch))
            assert not launch.failed, launch.message

        self.launches.append((entry, blocks, shared))
        if self.captured is not None:
            self.captured.append(run)
        else:
            run()
        return 0

    def emulated_table(self, address: int) -> int:
        """The table of Args as plan.cuh has it in the emulator: fault and step, then addresses and sizes."""
        rows = np.frombuffer(ctypes.string_at(address, 8 * (MAX_ARGS + 2) * self.rows), np.int64)
        rows = rows.reshape(self.rows, MAX_ARGS + 2)
        slots = np.stack([rows[:, :MAX_ARGS], np.full((self.rows, MAX_ARGS), 1 << 40)], axis=2)
        self.table = np.concatenate([rows[:, MAX_ARGS:], slots.reshape(self.rows, -1)], axis=1)
        return self.table.ctypes.data

    @staticmethod
    def is_tail(source: Any, entry: str) -> bool:
        from symconv.graph.params import kernel_dir

        return source.file != "" and f"KERNEL_TAIL({entry}," in (kernel_dir() / source.file).read_text()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    fake = FakeGpu()
    monkeypatch.setitem(sys.modules, "cupy", fake.module())

    def cubin(source: Any, architecture: int, wanted_by: str) -> Path:
        path = f"/{len(fake.sources)}.cubin"
        fake.sources[path] = source
        return Path(path)

    monkeypatch.setattr(cuda, "cubin", cubin)
    driver = types.SimpleNamespace(
        cuLaunchKernel=lambda *a: fake.launch(*a, cooperative=False),
        cuLaunchCooperativeKernel=lambda *a: fake.launch(*a, cooperative=True),
    )
    real = ctypes.CDLL
    monkeypatch.setattr(cuda.ctypes, "CDLL", lambda name: driver if name == "libcuda.so.1" else real(name))
    device.cuda_error.cache_clear()
    monkeypatch.setattr(executable, "_runtimes", {})
    with config(emulator_checks=False):
        yield fake
    device.cuda_error.cache_clear()


@pytest.mark.parametrize("executor", ["kernels", "graph", "persistent"])
def test_functions_run(gpu: FakeGpu, executor: str) -> None:
    x = sc.matrix("x")
    total = sc.shared(np.zeros((37, 10), "float32"))
    with config(gpu_executor=executor):
        f = sc.function(
            [x], [sc.softmax(x), sc.log_softmax(x)], updates=[(total, sc.softmax(total))], device="cuda"
        )
        a = np.random.default_rng(1).standard_normal((37, 10)).astype("float32")
        want = sc.function([x], [sc.softmax(x), sc.log_softmax(x)], device="reference")
        for _ in range(3):
            for got, w in zip(f(a), want(a)):
                np.testing.assert_allclose(got, w, rtol=1e-5, atol=1e-6)
        stacked = f.map(np.stack([a, 2 * a, -a]))
        for k, v in enumerate((a, 2 * a, -a)):
            np.testing.assert_allclose(stacked[0][k], want(v)[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(total.get_value(), np.full((37, 10), 0.1), rtol=1e-5)
    names = {name for name, _, _ in gpu.launches}
    assert names == (
        {"whole_plan"} if executor == "persistent" else {"softmax_f32", "log_softmax_f32", "advance"}
    )


def test_a_graph_is_launched_without_single_launches(gpu: FakeGpu) -> None:
    x = sc.matrix("x")
    with config(gpu_executor="graph"):
        f = sc.function([x], sc.softmax(x), device="cuda")
        f(np.ones((2, 3), "float32"))
        before = len(gpu.launches)
        f.loop(5, np.ones((2, 3), "float32"))
    assert len(gpu.launches) == before


def test_states_stay_on_the_device(gpu: FakeGpu) -> None:
    big = sc.shared(np.ones((100, 100), "float32"))
    f = sc.function([], updates=[(big, sc.softmax(big))], device="cuda")
    f()
    gpu.copied.clear()
    f()
    assert max(gpu.copied) <= 64  # the fault, the number of rounds
    np.testing.assert_allclose(big.get_value(), np.full((100, 100), 0.01), rtol=1e-5)
    big.set_value(np.zeros((100, 100), "float32"))
    f()
    np.testing.assert_allclose(big.get_value(), np.full((100, 100), 0.01), rtol=1e-5)


def test_out_of_memory_names_what_and_how_much(gpu: FakeGpu) -> None:
    x = sc.matrix("x")
    f = sc.function([x], sc.softmax(x), device="cuda")
    gpu.limit = 1000
    with pytest.raises(MemoryLimitError, match="needs 40,000 bytes; the GPU has 10 free of 20"):
        f(np.ones((100, 100), "float32"))


def test_refused_launches_name_the_kernel(gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    x = sc.matrix("x")
    f = sc.function([x], sc.softmax(x), device="cuda")
    f(np.ones((2, 2), "float32"))
    monkeypatch.setattr(gpu, "launch", lambda *a, **_: 701)
    with pytest.raises(ExecutionError, match="refused to launch whole_plan.*CUDA error 701"):
        f(np.ones((2, 2), "float32"))


def test_no_driver_no_cupy_old_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(count: Any, capability: str) -> str:
        fake: Any = types.ModuleType("cupy")
        runtime = types.SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
        fake.cuda = types.SimpleNamespace(
            runtime=runtime, Device=lambda *_: types.SimpleNamespace(compute_capability=capability)
        )
        monkeypatch.setitem(sys.modules, "cupy", fake)
        device.cuda_error.cache_clear()
        with pytest.raises(DeviceError) as error:
            device.resolve_device("cuda")
        return str(error.value)

    def fails() -> int:
        raise CUDARuntimeError("cudaErrorInsufficientDriver")

    assert "no usable driver" in resolve(fails, "90")
    assert "reports no GPU" in resolve(lambda: 0, "90")
    assert "compute capability is 6.1, the kernels need 7.5" in resolve(lambda: 1, "61")
    monkeypatch.setitem(sys.modules, "cupy", None)
    device.cuda_error.cache_clear()
    with pytest.raises(DeviceError, match="needs CuPy"):
        device.resolve_device("cuda")
    device.cuda_error.cache_clear()
