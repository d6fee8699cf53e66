"""The C++ executor: buffers, views, Python steps, loops, refusals."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import weakref

import numpy as np
import pytest

from symconv.graph import params

core = pytest.importorskip("symconv._core", reason="the C++ core is not built")


def copy_params(count: int, itemsize: int = 4) -> bytes:
    return params.pack(
        "StridedCopyParams",
        ndim=1,
        itemsize=itemsize,
        in_offset=0,
        out_offset=0,
        shape=[count],
        in_stride=[1],
        out_stride=[1],
    )


def copy_step(count: int, source: int, target: int, label: str = "copy") -> tuple:
    return ("kernel", label, "strided_copy", copy_params(count), [source], [target])


def address(array: np.ndarray) -> int:
    return array.ctypes.data


def test_run_goes_through_arena_constant_and_views():
    constant = np.arange(8, dtype="f4")
    plan = core.Executor(
        [
            ("constant", 32, address(constant)),
            ("arena", 32, 64),
            ("view", 16, 1, 8),
            ("external", 16),
            ("view", 8, 3, 8),
            ("external", 8),
        ],
        [copy_step(8, 0, 1), copy_step(4, 2, 3), copy_step(2, 4, 5)],
        keep=constant,
    )
    first, second = np.zeros(4, "f4"), np.zeros(2, "f4")
    plan.run([address(first), address(second)])
    assert first.tolist() == [2, 3, 4, 5] and second.tolist() == [4, 5]
    assert plan.arena_bytes == 96 and plan.n_external == 2


def test_dynamic_view_follows_its_start_and_carries_static_views():
    data, start, out = np.arange(20, dtype="f4"), np.array(3), np.zeros(1, "f4")
    buffers = [
        ("external", 80),
        ("external", 8),
        ("view", 16, 0, 0, 1, 8, "slice of x"),
        ("view", 4, 2, 12),
        ("external", 4),
    ]
    plan = core.Executor(buffers, [("resolve", "slice", 2), copy_step(1, 3, 4)])
    pointers = [address(data), address(start), address(out)]
    for value in (0, 3, 8):
        start[()] = value
        plan.run(pointers)
        assert out[0] == 2 * value + 3
    for value in (-1, 9, 2**62, -(2**62)):
        start[()] = value
        with pytest.raises(IndexError, match=r"step 0, slice: slice of x: start -?\d+ is outside 0 to 8"):
            plan.run(pointers)
        assert plan.failed_step == 0


def test_start_of_a_view_may_be_computed_by_a_step():
    data, out = np.arange(6, dtype="f4"), np.zeros(2, "f4")

    def choose(inputs, outputs):
        outputs[0][...] = 2

    plan = core.Executor(
        [
            ("constant", 24, address(data)),
            ("arena", 8, 0),
            ("view", 8, 0, 0, 1, 8, "rows"),
            ("external", 8),
        ],
        [("python", "choose", choose, [], [(1, "int64", ())]), ("resolve", "rows", 2), copy_step(2, 2, 3)],
        keep=data,
    )
    plan.run([address(out)])
    assert out.tolist() == [4, 5]


def test_python_step_sees_the_buffers_and_cannot_write_its_inputs():
    x, y = np.arange(6, dtype="f8").reshape(2, 3), np.zeros(3)
    seen = {}

    def total(inputs, outputs):
        seen["shape"], seen["writeable"] = inputs[0].shape, inputs[0].flags.writeable
        inputs[0].sum(axis=0, out=outputs[0])

    step = ("python", "sum", total, [(0, "float64", (2, 3))], [(1, np.dtype("float64"), (3,))])
    core.Executor([("external", 48), ("external", 24)], [step]).run([address(x), address(y)])
    assert y.tolist() == [3, 5, 7] and seen == {"shape": (2, 3), "writeable": False}


def test_python_step_error_passes_unchanged_and_names_the_step():
    def broken(inputs, outputs):
        raise KeyError("mine")

    plan = core.Executor(
        [("arena", 4, 0)], [("python", "a", lambda i, o: None, [], []), ("python", "b", broken, [], [])]
    )
    with pytest.raises(KeyError, match="mine"):
        plan.run([])
    assert plan.failed_step == 1


def test_python_step_may_not_run_its_own_plan():
    plans = []
    plan = core.Executor([], [("python", "again", lambda i, o: plans[0].run([]), [], [])])
    plans.append(plan)
    with pytest.raises(RuntimeError, match="running"):
        plan.run([])


def test_run_many_moves_the_externals():
    x, y = np.arange(12, dtype="f4").reshape(4, 3), np.zeros((4, 3), "f4")
    plan = core.Executor([("external", 12), ("external", 12)], [copy_step(3, 0, 1)])
    assert plan.run_many(4, [(address(x), 12), (address(y), 12)]) == (4, -1)
    assert (x == y).all() and plan.iterations_done == 4
    assert plan.run_many(0, [(address(x), 12), (address(y), 12)]) == (0, -1)


def test_run_many_stops_at_the_first_value_that_is_not_finite():
    for dtype, bad in [("f4", np.nan), ("f4", -np.inf), ("f8", np.inf), ("f8", np.nan)]:
        x, y = np.zeros(9, dtype), np.zeros(9, dtype)
        x[5] = bad
        size = x.itemsize
        step = ("kernel", "", "strided_copy", copy_params(1, size), [0], [1])
        plan = core.Executor([("external", size), ("external", size)], [step])
        ranges = [(address(x), size), (address(y), size)]
        assert plan.run_many(9, ranges, check=[(1, size)]) == (6, 1)
        x[5] = np.finfo(dtype).max
        assert plan.run_many(9, ranges, check=[(1, size)]) == (9, -1)


def test_run_watched_finds_the_step():
    x, y = np.array([1, np.inf], "f4"), np.zeros(2, "f4")
    plan = core.Executor(
        [("external", 8), ("arena", 8, 0), ("external", 8)],
        [copy_step(1, 0, 1), copy_step(2, 0, 2), copy_step(2, 0, 1)],
    )
    plan.poison()
    pointers = [address(x), address(y)]
    assert plan.run_watched(pointers, [(2, 4)]) == (1, 2)
    x[1] = 0
    plan.poison()
    assert plan.run_watched(pointers, [(1, 4)]) == (0, 1)  # step 0 left the second float as NaN
    assert plan.run_watched(pointers, [(2, 4)]) is None


@pytest.mark.parametrize(("dtype", "size"), [("f4", 4), ("f8", 8)])
def test_run_watched_tells_nan_infinities_and_large_values_apart(dtype, size):
    x, y = np.zeros(5000, dtype), np.zeros(5000, dtype)
    step = ("kernel", "", "strided_copy", copy_params(5000, size), [0], [1])
    plan = core.Executor([("external", x.nbytes), ("external", y.nbytes)], [step])

    def stops(value, **bounds):
        x[4999] = value
        return plan.run_watched([address(x), address(y)], [(1, size)], **bounds) is not None

    for value in (np.nan, -np.nan):
        assert stops(value) and not stops(value, nan=False) and stops(value, infinity=False)
    for value in (np.inf, -np.inf):
        assert stops(value) and not stops(value, infinity=False) and stops(value, nan=False)
    for value in (-2e10, np.finfo(dtype).max):
        assert not stops(value) and stops(value, limit=1e10) and stops(value, limit=1e10, nan=False)
    assert not stops(1e10, limit=2e10)
    with pytest.raises(ValueError, match="magnitude"):
        stops(0.0, limit=np.nan)


def test_progress_is_called_and_may_end_the_loop():
    def slow(inputs, outputs):
        time.sleep(0.06)

    plan = core.Executor([], [("python", "slow", slow, [], [])])
    seen = []
    done, bad = plan.run_many(100, [], lambda n: seen.append(n) or len(seen) < 2)
    assert bad == -1 and done == seen[-1] < 100 and len(seen) == 2


def test_error_in_progress_ends_the_loop():
    def progress(done):
        raise OSError("full")

    plan = core.Executor([], [("python", "slow", lambda i, o: time.sleep(0.06), [], [])])
    with pytest.raises(OSError, match="full"):
        plan.run_many(50, [], progress)
    assert 0 < plan.iterations_done < 50 and plan.failed_step == -1


def test_interrupt_ends_the_loop_between_iterations():
    x, y = np.ones(1, "f4"), np.zeros(1, "f4")
    plan = core.Executor([E4, E4], [copy_step(1, 0, 1)])
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        plan.run_many(10**9, [(address(x), 0), (address(y), 0)])
    assert 0 < plan.iterations_done < 10**9 and y[0] == 1 and plan.failed_step == -1


def test_profile_counts_time_per_step_only_while_on():
    plan = core.Executor(
        [],
        [("python", "a", lambda i, o: time.sleep(0.01), [], []), ("python", "b", lambda i, o: None, [], [])],
    )
    plan.run([])
    assert plan.profile() == [0, 0]
    plan.set_profile(True)
    plan.run([])
    first, second = plan.profile()
    assert first >= 10_000_000 > second > 0
    plan.set_profile(False)
    plan.run([])
    assert plan.profile() == [first, second]


def test_profile_keeps_the_stamps_of_the_first_runs():
    fail = []

    def second(ins, outs):
        if fail:
            raise ArithmeticError("no")

    plan = core.Executor(
        [],
        [
            ("python", "a", lambda i, o: time.sleep(0.001), [], []),
            ("python", "b", second, [], []),
        ],
    )
    plan.set_profile(True, 2 * 3 + 2)  # two runs of three stamps, and not quite a third
    before = time.perf_counter_ns()
    for _ in range(3):
        plan.run([])
    after = time.perf_counter_ns()
    stamps = plan.profile_stamps()
    assert stamps.shape == (2, 3) and plan.profile_runs == 3
    assert before <= stamps[0, 0] and stamps[1, 2] <= after and (np.diff(stamps.ravel()) >= 0).all()
    assert (np.diff(stamps, axis=1)[:, 0] >= 1_000_000).all()
    plan.set_profile(True, 3)
    fail.append(True)
    with pytest.raises(ArithmeticError):
        plan.run([])
    assert plan.profile_runs == 0 and plan.profile_stamps().shape == (0, 3)
    fail.clear()
    plan.run([])
    assert plan.profile_runs == 1 and plan.profile_stamps().shape == (1, 3)
    plan.set_profile(True)
    plan.run([])
    assert plan.profile_runs == 1 and plan.profile_stamps().shape == (0, 3)


def test_two_threads_share_one_plan_without_mixing_their_data():
    plan = core.Executor(
        [("external", 40_000), ("arena", 40_000, 0), ("external", 40_000)],
        [copy_step(10_000, 0, 1), copy_step(10_000, 1, 2)],
    )
    wrong = []

    def work(value):
        x, y = np.full(10_000, value, "f4"), np.zeros(10_000, "f4")
        for _ in range(300):
            plan.run([address(x), address(y)])
            if not (y == value).all():
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(k,)) for k in (1, 2, 3)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong


def test_thread_count_may_change_between_runs_but_not_inside():
    before = core.num_threads()
    n = 1 << 20
    x, y = np.random.default_rng(0).random(n, "f4"), np.zeros(n, "f4")
    plan = core.Executor([("external", 4 * n), ("external", 4 * n)], [copy_step(n, 0, 1)])
    inside = core.Executor([], [("python", "resize", lambda i, o: core.set_num_threads(2), [], [])])
    try:
        for threads in (1, 3, 8, 2):
            core.set_num_threads(threads)
            y[:] = 0
            plan.run([address(x), address(y)])
            assert (x == y).all()
        with pytest.raises(RuntimeError, match="number of threads"):
            inside.run([])
    finally:
        core.set_num_threads(before)


def test_memory_limit_is_refused_with_the_size():
    buffers = [("arena", 3_000_000, 0)]
    with pytest.raises(MemoryError, match=r"3000000 bytes \(3.0 MB\).*limit is 1000000 bytes"):
        core.Executor(buffers, [], limit_bytes=1_000_000)
    with pytest.raises(MemoryError, match="cannot allocate 4611686018427387904 bytes"):
        core.Executor([("arena", 2**62, 0)], [])
    assert core.Executor(buffers, [], limit_bytes=3_000_000).arena_bytes == 3_000_000


E4, A4 = ("external", 4), ("arena", 4, 0)


@pytest.mark.parametrize(
    ("buffers", "steps", "message"),
    [
        ([("nothing", 4)], [], "kind is 'nothing'"),
        ([("external",)], [], "expected"),
        ([("external", -4)], [], "buffer 0: .*sign"),
        ([E4, ("external", "4")], [], "buffer 1: .*type"),
        ([("external", 2**63)], [], "2.62"),
        ([("arena", 4)], [], "got 2 values, expected 3"),
        ([("arena", 4, 8)], [], "multiple of 64"),
        ([("arena", 4, 2**63)], [], "2.62"),
        ([("constant", 4, 0)], [], "without address"),
        ([("view", 4, 0, 0)], [], "base 0 must come before"),
        ([E4, ("view", 4, 7, 0)], [], "names buffer 7"),
        ([E4, ("view", 4, -1, 0)], [], "names buffer -1"),
        ([E4, ("view", 4, 0, 1)], [], "lie outside"),
        ([E4, ("view", 8, 0, 0)], [], "lie outside"),
        ([E4, ("view", 4, 0, 2**61)], [], "lie outside"),
        ([E4, ("view", 4, 0, 0, 0, 4, "v")], [], "int64 needs 8"),
        ([("external", 8), ("view", 4, 0, 0, 0, 0, "v")], [], "stride 0"),
        ([("external", 8), ("view", 4, 0, 0, 9, 4, "v")], [], "names buffer 9"),
        ([("external", 8), ("view", 4, 0, 0, -1, 4, "v")], [], "start is buffer -1"),
        ([E4, A4], [("kernel", "c", "no_such_kernel", b"", [0], [1])], "no kernel 'no_such_kernel'"),
        (
            [E4, A4],
            [("kernel", "c", "strided_copy", b"", [0], [1])],
            "step 0, c .strided_copy.: .*0 bytes of params",
        ),
        ([E4, A4], [copy_step(2, 0, 1, "c")], "step 0, c .strided_copy.: .*input elements 0 to 1"),
        ([E4, A4], [copy_step(1, 0, 2)], "names buffer 2"),
        ([E4, A4], [copy_step(1, -1, 1)], "names buffer -1"),
        ([E4, A4], [("kernel", "c", "strided_copy", copy_params(1), [0, 0], [1])], "got 2 inputs"),
        ([E4, A4], [("kernel", "c", "strided_copy", copy_params(1), [], [])], "got 0 inputs"),
        ([E4, A4], [("kernel", "c", "strided_copy")], "expected 6"),
        ([E4, A4], [("jump", "c")], "kind is 'jump'"),
        ([E4, A4], [("resolve", "r", 1)], "not a dynamic view"),
        ([E4, A4], [("resolve", "r", 5)], "names buffer 5"),
        ([E4, A4], [("python", "p", 3, [], [])], "cannot be called"),
        ([E4, A4], [("python", "p", print, [(0, "float32", (2,))], [])], "8 bytes on buffer 0"),
        ([E4, A4], [("python", "p", print, [(0, "float32", (2**40, 2**40))], [])], "impossible shape"),
        ([E4, A4], [("python", "p", print, [(0, "float32", (-1,))], [])], "impossible shape"),
        ([E4, A4], [("python", "p", print, [(4, "float32", ())], [])], "names buffer 4"),
        ([E4, A4], [("python", "p", print, [(0, "O", ())], [])], "dtype"),
        ([("external", 8), ("view", 4, 0, 0, 0, 4, "v"), A4], [copy_step(1, 1, 2)], "before it is resolved"),
        (
            [("external", 8), ("view", 4, 0, 0, 0, 4, "v"), ("view", 4, 1, 0), A4],
            [copy_step(1, 2, 3), ("resolve", "r", 1)],
            "before it is resolved",
        ),
    ],
)
def test_bad_plans_are_refused(buffers, steps, message):
    with pytest.raises(ValueError, match=message):
        core.Executor(buffers, steps)


def test_bad_calls_are_refused():
    x = np.zeros(1, "f4")
    plan = core.Executor([E4, E4], [copy_step(1, 0, 1)])
    with pytest.raises(ValueError, match="got 1 pointers, the plan has 2"):
        plan.run([address(x)])
    with pytest.raises(ValueError, match="null pointer for external buffer 1"):
        plan.run([address(x), 0])
    with pytest.raises(TypeError):
        plan.run([address(x), "a"])
    with pytest.raises(TypeError):
        plan.run([address(x), None])
    with pytest.raises(TypeError):
        plan.run(3)
    with pytest.raises(ValueError, match="got 0 pointers"):
        plan.run_many(3, [])
    with pytest.raises(ValueError, match="-1 iterations"):
        plan.run_many(-1, [(address(x), 0)] * 2)
    with pytest.raises(ValueError, match="names buffer 2"):
        plan.run_many(1, [(address(x), 0)] * 2, check=[(2, 4)])
    with pytest.raises(ValueError, match="floats of 8 bytes"):
        plan.run_watched([address(x)] * 2, [(0, 8)])


def test_arrays_are_taken_in_place_of_addresses_and_checked():
    x, y = np.arange(6, dtype="f4"), np.zeros(6, "f4")
    plan = core.Executor([("external", 8), ("external", 8)], [copy_step(2, 0, 1)])
    plan.run([x[2:4], y[:3]])
    assert y.tolist() == [2, 3, 0, 0, 0, 0]
    assert plan.run_many(3, [(x, 8), (y, 8)]) == (3, -1) and (x == y).all()
    with pytest.raises(ValueError, match="external buffer 1: the array has 4 bytes, the plan uses 8"):
        plan.run([x, y[:1]])
    with pytest.raises(ValueError, match="external buffer 0: the array is not C-contiguous"):
        plan.run([x[::2], y])
    with pytest.raises(ValueError, match="external buffer 1: the array has 24 bytes, the plan uses 28"):
        plan.run_many(6, [(x, 0), (y, 4)])
    with pytest.raises(ValueError, match="stride .* too large"):
        plan.run_many(2**40, [(x, 0), (y, 2**62)])


def test_executor_and_callback_that_refer_to_each_other_are_collected():
    class Owner:
        def step(self, inputs, outputs):
            pass

    owner = Owner()
    owner.plan = core.Executor([], [("python", "p", owner.step, [], [])], keep=owner)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
