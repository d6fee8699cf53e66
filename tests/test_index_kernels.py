"""The C++ kernels that move values, against the reference: every dtype, hostile shapes, moving starts."""

from __future__ import annotations

import numpy as np
import pytest

import symconv as sc
from symconv.backends.reference import evaluate
from symconv.errors import ExecutionError
from symconv.graph import KERNEL_DTYPES
from symconv.graph.params import pack

core = pytest.importorskip("symconv._core")
OURS = {f"symconv.ops.{name}" for name in ("shape", "slicing", "gather", "join", "pad", "create")}
RNG = np.random.default_rng(3)
INTEGERS = ("int8", "uint8", "int16", "int32", "int64")


def draw(shape, dtype="float32"):
    if dtype == "bool":
        return RNG.integers(0, 2, shape).astype(bool)
    return RNG.integers(0 if dtype.startswith("u") else -100, 100, shape).astype(dtype)


def check(build, *arrays, kernels=None, threads=1):
    """build(*variables) on the CPU equals the reference exactly, with none of our steps left to Python."""
    inputs = [sc.tensor(str(a.dtype), np.shape(a)) for a in arrays]
    out = build(*inputs)
    want = evaluate([out], dict(zip(inputs, arrays)))[0]
    with sc.config(num_threads=threads):
        run = sc.function(inputs, [out], device="cpu", on_unused_input="ignore")
        got = run(*arrays)[0]
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_array_equal(got, want)
    steps = [s for e in run.executables for s in e.plan.steps]
    by_python = [
        s.node.op.name for s in steps if s.kind == "reference" and type(s.node.op).__module__ in OURS
    ]
    assert not by_python, by_python
    if kernels is not None:
        assert [s.kernel.name for s in steps if s.kernel is not None and s.node.op.name != "copy"] == kernels


MOVES = {
    "transpose": (lambda x: sc.transpose(x, (2, 0, 1)), ["transpose"]),
    "transpose reversed": (lambda x: x.T, ["transpose"]),
    "broadcast": (lambda x: sc.broadcast_to(x[:, :1], (2, 3, 5, 7)), ["slice", "broadcast"]),
    "fill": (lambda x: sc.full(x.shape, 1, x.dtype) if x.type.size > 4096 else x[::-1], ["slice"]),
    "slice": (lambda x: x[1:, 2:4, ::3], ["slice"]),
    "flip": (lambda x: sc.flip(x), ["reverse"]),
    "flip last": (lambda x: sc.flip(x, -1), ["reverse"]),
    "integer": (lambda x: x[:, 2], ["slice"]),
    "concatenate 0": (lambda x: sc.concatenate([x, x[1:], x], 0), ["concatenate"]),
    "concatenate 1": (lambda x: sc.concatenate([x[:, :2], x[:, 4:], x], 1), None),
    "concatenate 2": (lambda x: sc.concatenate([x, x, x], 2), ["concatenate"]),
    "stack": (lambda x: sc.stack([x, x], 1), ["concatenate"]),
    "pad": (lambda x: sc.pad(x, ((1, 0), (2, 3), (0, 4)), value=1), ["pad"]),
    "pad edge": (lambda x: sc.pad(x, 1, "edge"), ["gather"] * 3),
    "tile": (lambda x: sc.tile(x, (2, 3, 1, 2)), ["broadcast"]),
    "repeat": (lambda x: sc.repeat(x, 3, 1), ["broadcast"]),
    "roll": (lambda x: sc.roll(x, 2, 1), None),
    "set": (lambda x: sc.set_subtensor(x[1:, ::-2], x[:2, 2:]), ["slice", "set_slice"]),
    "increment": (lambda x: sc.inc_subtensor(x[:, 1:3], x[:, 2:4]), None),
    "set to a number": (lambda x: sc.set_subtensor(x[:, :, 3], 1), None),
    "rows": (lambda x: x[[2, 0, -1, 0]], ["gather"]),
    "columns": (lambda x: x[:, :, [6, 0, -1]], ["gather"]),
    "two arrays": (lambda x: x[[[2], [0]], [1, -1, 0]], ["gather"]),
    "separated arrays": (lambda x: x[[2, 0], :, [1, -1]], ["transpose", "gather"]),
    "scatter": (lambda x: sc.set_subtensor(x[[2, 0, 2]], x), ["scatter"]),
    "scatter columns": (lambda x: sc.set_subtensor(x[:, :, [2, 2, 5]], x[:, :, :3]), None),
    "scatter add": (lambda x: sc.inc_subtensor(x[[2, 0, 2]], x), ["scatter"]),
    "scatter add in the middle": (lambda x: sc.inc_subtensor(x[:, [4, 1, 4]], x[:, :3]), None),
    "scatter add elements": (lambda x: sc.inc_subtensor(x[[0, 0], [1, 1], [2, 2]], 1), None),
}


@pytest.mark.parametrize("dtype", KERNEL_DTYPES)
@pytest.mark.parametrize("name", MOVES)
def test_move_equals_reference_in_every_dtype(name, dtype):
    build, kernels = MOVES[name]
    check(build, draw((3, 5, 7), dtype), kernels=kernels)


@pytest.mark.parametrize("shape", [(0, 5, 7), (3, 0, 7), (3, 5, 0), (1, 1, 1)])
@pytest.mark.parametrize(
    "build",
    [
        lambda x: x.T,
        lambda x: x[::-1, :1],
        lambda x: sc.concatenate([x, x], 1),
        lambda x: sc.pad(x, 2),
        lambda x: sc.tile(x, (1, 2, 2)),
        lambda x: sc.inc_subtensor(x[:, :, :1], 3),
        lambda x: x[np.zeros((0, 2), int)],
        lambda x: sc.set_subtensor(x[:, np.zeros((0,), int)], 1),
    ],
)
def test_move_of_empty_and_unit_shapes(shape, build):
    check(build, draw(shape))


def test_many_dimensions_merge_and_too_many_are_refused():
    x = sc.tensor("float32", (2,) * 5)
    tiled = sc.tile(x, (2,) * 5).owner.inputs[0].owner
    reasons = [k.supports(tiled) for k in tiled.op.kernels]
    assert reasons[-1] == "10 dimensions that do not merge, the kernel takes 8"
    check(lambda x: sc.tile(x, (1, 1, 2, 1, 2)), draw((2, 3, 2, 1, 2)), kernels=["broadcast"])


@pytest.mark.parametrize("start", [0, 2, 6])
def test_slice_with_moving_start(start):
    at = np.int64(start)
    check(lambda x, i: x[:, i : i + 3], draw((4, 9)), at, kernels=None)
    check(lambda x, i: x[:, i : i + 3 : 2] * 2, draw((4, 9)), at, kernels=None)
    check(lambda x, i: sc.set_subtensor(x[:, i : i + 3], 7), draw((4, 9)), at, kernels=None)
    check(lambda x, i: sc.inc_subtensor(x[i], 7), draw((9, 4)), at, kernels=None)
    check(lambda x, i: x[:, i, i], draw((2, 9, 9)), np.int32(start - 9), kernels=None)


def test_slice_lengths_and_starts_equal_numpy():
    for dim in (0, 1, 5):
        for start in (-7, -1, 0, 2, 5, 9):
            for step in (1, 3, -1, -2):
                for kind, bounds in ((0, [start]), (1, [start, 3]), (1, [start, -9])):
                    out = np.zeros((), "int64")
                    params = pack("SliceBoundParams", kind=kind, axis=0, step=step)
                    scalars = [np.array(v, "int64") for v in (*bounds, dim)]
                    core.call_kernel("slice_bound", params, scalars, [out])
                    whole = range(dim)[slice(bounds[0], None if kind == 0 else bounds[1], step)]
                    if kind == 1:
                        assert out == len(whole), (dim, bounds, step)
                    elif len(whole):
                        assert out == whole[0], (dim, bounds, step)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_gather_takes_every_index_dtype(dtype):
    check(lambda x, i: x[i], draw((6, 3)), np.array([[5, 0], [1, 1]], dtype))
    check(lambda x, i: x[sc.arange(4), i], draw((4, 6)), np.array([5, 0, 1, 1], dtype))
    check(lambda i: sc.one_hot(i, 6), np.array([[5, 0], [1, 1]], dtype), kernels=["one_hot"])


def test_out_of_range_index_names_it_on_the_cpu():
    x, v, i = sc.matrix(), sc.ivector(), sc.lscalar()
    a = draw((4, 5))
    for out, index, text in (
        (x[:, v], np.array([0, 5], "int32"), "index 5 is out of range for axis 1 of length 5"),
        (
            sc.inc_subtensor(x[v], 1),
            np.array([-5], "int32"),
            "index -5 is out of range for axis 0 of length 4",
        ),
        (sc.one_hot(v, 5) + 0 * x[0], np.array([5], "int32"), "label 5 is out of range for 5 classes"),
    ):
        run = sc.function([x, v], out, device="cpu", on_unused_input="ignore")
        with pytest.raises(ExecutionError, match=rf"test_index_kernels\.py:\d+.*{text}"):
            run(a, index)
    run = sc.function([x, i], x[:, i] * 2, device="cpu")
    with pytest.raises(ExecutionError, match="index 7 is out of range for axis 1 of length 5"):
        run(a, 7)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_large_moves_with_several_threads(threads):
    x, rows = draw((517, 1031)), RNG.integers(-517, 517, 700)
    check(lambda x: x[::-1, 3:], x, threads=threads)
    check(lambda x: sc.pad(x, 3), x, threads=threads)
    check(lambda x, i: x[i], x, rows, threads=threads)
    check(lambda x, i: sc.inc_subtensor(x[i], x[0]), x, rows, threads=threads)
    check(lambda x, i: sc.inc_subtensor(x[:, i], x[:, :700]), x, rows, threads=threads)
    check(lambda x: sc.inc_subtensor(x[1:], x[:-1]), x, threads=threads)


@pytest.mark.parametrize("dtype", KERNEL_DTYPES)
def test_creation_equals_numpy(dtype):
    check(lambda x: sc.eye(70, 80, 3, dtype), draw(1))
    check(lambda x: sc.eye(70, 80, -90, dtype), draw(1))
    check(lambda x: sc.eye(70, 80, -69, dtype), draw(1))
    check(lambda x: sc.full((70, 80), 1, dtype), draw(1), kernels=["fill"])
    check(lambda i: sc.one_hot(i, 5, dtype), np.array([4, 0], "int32"))
    if dtype != "bool":
        # The distance of floats is that of the first two after rounding, as NumPy has it.
        steps = ["elementwise", "arange"] if dtype.startswith("float") else ["arange"]
        check(lambda s: sc.arange(s, 9 * s, s, dtype), np.array(3, dtype), kernels=steps)


def test_arange_of_floats_rounds_as_numpy():
    step = np.float32(0.1)
    x = sc.fscalar()
    out = sc.function([x], sc.arange(x, 1000 * x, x), device="cpu")(step)
    np.testing.assert_array_equal(out, (step + np.arange(len(out), dtype="float32") * step))


def test_set_subtensor_updates_a_shared_variable_in_place():
    w = sc.shared(np.zeros((64, 100), "float32"))
    i = sc.lscalar()
    step = sc.function([i], updates=[(w, sc.inc_subtensor(w[i], 1))], device="cpu")
    before = w.get_value(borrow=True)
    for at in (3, 3, 63):
        step(at)
    want = np.zeros((64, 100), "float32")
    np.add.at(want, [3, 3, 63], 1)
    np.testing.assert_array_equal(w.get_value(), want)
    assert w.get_value(borrow=True) is before
    (plan,) = (e.plan for e in step.executables)
    assert [s.kernel.name for s in plan.steps if s.kernel and s.node.op.name == "set_slice"] == ["set_slice"]
    assert not [s for s in plan.steps if s.node.op.name == "copy"]


def pieces(*parts, dtype=6):
    return pack("PiecesParams", n_pieces=len(parts), dtype=dtype, tail=b"".join(parts))


def part(shape, in_stride, out_stride, in_offset=0, out_offset=0, source=0, starts=(), itemsize=4):
    head = pack(
        "PieceParams", source=source, add=0, whole=0, moving=0, n_starts=len(starts),
        start_input=[s[0] for s in starts], start_stride=[s[1] for s in starts],
        start_low=[s[2] for s in starts], start_high=[s[3] for s in starts],
    )  # fmt: skip
    return head + pack(
        "StridedCopyParams", ndim=len(shape), itemsize=itemsize, in_offset=in_offset, out_offset=out_offset,
        shape=shape, in_stride=in_stride, out_stride=out_stride,
    )  # fmt: skip


@pytest.mark.parametrize(
    "params,text",
    [
        (pieces(part([5], [1], [1])), "input elements 0 to 4 are touched, the buffer has 4"),
        (pieces(part([2], [1], [1], out_offset=3)), "output elements 3 to 4"),
        (pieces(part([2], [1], [1], source=1)), "comes from input 1"),
        (pieces(part([2], [1], [1], itemsize=8)), "itemsize 8 for dtype 6"),
        (pieces(part([2], [1], [1]), dtype=9), "dtype is 9"),
        (pieces(part([2], [1], [1], starts=[(5, 1, 0, 1)])), "start 0 of piece 0 is in input 5"),
        (pieces(part([2], [1], [1], starts=[(0, 1, 0, 3)])), "input elements 3 to 4"),
        (pieces(part([2], [1], [1], starts=[(0, 1, 3, 0)])), "unbounded"),
        (pieces(part([2], [1], [1]))[:-8], "bytes of params for 1 pieces"),
    ],
)
def test_pieces_refuse_params_that_leave_the_buffers(params, text):
    with pytest.raises(ValueError, match=text):
        core.call_kernel("pieces", params, [np.zeros(4, "f4")], [np.zeros(4, "f4")])


def gather_params(**changes):
    values = dict(n_index=1, ndim=1, dtype=6, itemsize=4, add=0, axis=0, outer=1, inner=2, picked=[3],
                  extent=[4], index_dtype=[5], index_stride=[1])  # fmt: skip
    return pack("GatherParams", **(values | changes))


@pytest.mark.parametrize(
    "changes,text",
    [
        ({"extent": [5]}, "x has 32 bytes, the params need 40"),
        ({"picked": [4]}, "output has 24 bytes, the params need 32"),
        ({"index_stride": [2]}, "an index array has 24 bytes, the params need 40"),
        ({"index_dtype": [6]}, "index dtype is 6"),
        ({"n_index": 0}, "0 index arrays"),
        ({"itemsize": 8}, "itemsize 8 for dtype 6"),
        ({"outer": -1}, r"x\[0\] is -1"),
        ({"index_stride": [-1]}, "negative stride"),
    ],
)
def test_gather_refuses_params_that_leave_the_buffers(changes, text):
    x, i, out = np.zeros((4, 2), "f4"), np.zeros(3, "i8"), np.zeros((3, 2), "f4")
    with pytest.raises(ValueError, match=text):
        core.call_kernel("gather", gather_params(**changes), [x, i], [out])
