"""Plans: order, in-place writes, memory, kernels - as data, without running anything."""

import numpy as np
import pytest

import symconv as sc
from symconv.plan.build import build_plan
from symconv.plan.explain import explain_plan
from symconv.plan.memory import ALIGNMENT, Arena


def plan_of(inputs, outputs, updates=(), shapes=(), device="cpu"):
    f = sc.function(inputs, outputs, updates=updates, device="reference", on_unused_input="ignore")
    graph = f.prepare(*[np.zeros(s, v.dtype) for s, v in zip(shapes, inputs)]).graph
    return build_plan(graph, device)


def lifetimes(plan):
    """(first step, last step) of every arena buffer, views counted to their base."""
    root = {}
    for i, b in enumerate(plan.buffers):
        root[i] = root[b.base] if b.kind == "view" else i
    life = {}
    for t, step in enumerate(plan.steps):
        for i in (*step.inputs, *step.outputs):
            r = root[i]
            life[r] = (life.get(r, (t, t))[0], t)
    return life


def test_values_that_live_together_never_overlap():
    x = sc.matrix("x")
    y = sc.dot(x, x)
    for _ in range(6):
        y = sc.dot(sc.tanh(y) + sc.dot(y, x), x.T)
    plan = plan_of([x], y.sum(), shapes=[(7, 7)])
    life = lifetimes(plan)
    arena = [i for i, b in enumerate(plan.buffers) if b.kind == "arena" and i in life]
    assert len(arena) > 5
    for i in arena:
        for j in arena:
            a, b = plan.buffers[i], plan.buffers[j]
            apart = a.offset + a.type.nbytes <= b.offset or b.offset + b.type.nbytes <= a.offset
            if i < j and not apart:
                (s1, e1), (s2, e2) = life[i], life[j]
                assert e1 <= s2 or e2 <= s1, (plan.buffers[i], plan.buffers[j])
                # sharing at the boundary step is an in-place write, allowed only for equal sizes
                if e1 == s2 or e2 == s1:
                    assert a.type.nbytes == b.type.nbytes and a.offset == b.offset


def test_arena_is_reused():
    x = sc.matrix("x")
    y = x
    for _ in range(30):
        y = sc.dot(y, x)
    plan = plan_of([x], y, shapes=[(64, 64)])
    assert plan.arena_bytes <= 3 * 64 * 64 * 4


def test_every_offset_is_aligned():
    x = sc.vector("x")
    plan = plan_of([x], sc.dot(sc.exp(x), sc.cumsum(x) if hasattr(sc, "cumsum") else x), shapes=[(13,)])
    assert all(b.offset % ALIGNMENT == 0 for b in plan.buffers if b.kind == "arena")


def test_arena_coalesces_free_ranges():
    arena = Arena()
    a, b, c = arena.allocate(100), arena.allocate(64), arena.allocate(1)
    assert (a, b, c) == (0, 128, 192)
    arena.release(a, 100)
    arena.release(b, 64)
    assert arena.allocate(192) == 0
    assert arena.peak == 256
    arena.release(c, 1)
    assert arena.allocate(200) == 192 and arena.peak == 448


def test_update_is_written_after_all_readers_of_the_old_value():
    w, x = sc.shared(np.ones((4, 4), "float32"), "w"), sc.matrix("x")
    y = sc.dot(x, w)
    plan = plan_of([x], [y, sc.dot(w, x)], updates=[(w, w - 0.1 * sc.dot(x.T, y))], shapes=[(4, 4)])
    states = set(plan.states)
    writes = [t for t, s in enumerate(plan.steps) if any(plan.buffers[o].kind == "state" for o in s.outputs)]
    reads = [t for t, s in enumerate(plan.steps) if states & set(s.inputs)]
    assert len(writes) == 1 and max(reads) <= writes[0]


def test_rank_k_update_runs_in_place():
    w, x, d = sc.shared(np.ones((5, 3), "float32"), "w"), sc.matrix("x"), sc.matrix("d")
    plan = plan_of([x, d], [], updates=[(w, w - 0.1 * sc.dot(x.T, d) - 0.01 * w)], shapes=[(2, 5), (2, 3)])
    (step,) = plan.steps
    assert step.node.op.name == "gemm"
    assert plan.buffers[step.outputs[0]].kind == "state" and plan.arena_bytes == 0
    beta = next(v for v in step.node.inputs[4:])
    assert float(beta.data) == pytest.approx(0.99)


def test_reshapes_and_row_slices_are_views():
    x, i = sc.tensor("float32", (10, 6), "x"), sc.lscalar("i")
    plan = plan_of([x, i], sc.exp(x[i : i + 2].reshape((3, 4))), shapes=[(10, 6), ()])
    kinds = [s.kind for s in plan.steps]
    assert kinds.count("view") == 1
    views = [b for b in plan.buffers if b.kind == "view"]
    assert len(views) == 2 and any(v.stride == 24 for v in views)


def test_refusals_are_kept_and_shown():
    x = sc.tensor("int8", (3,), "x")
    plan = plan_of([x], sc.sort(x) if hasattr(sc, "sort") else x % 2, shapes=[(3,)], device="nothing")
    assert plan.steps[0].kernel is None and "no nothing kernel" in explain_plan(plan)


def test_explain_shows_places_and_lines():
    x = sc.matrix("x")
    text = explain_plan(plan_of([x], sc.exp(x).sum(), shapes=[(2, 2)]))
    assert "arena+0" in text and "input0" in text and "output0" in text and "test_plan.py:" in text
