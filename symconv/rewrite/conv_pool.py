"""Convolution + max-pooling + bias + activation as one kernel, and their backward pass as one kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv.graph import Apply, Variable, constant
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.origin import origin
from symconv.graph.traversal import Readers, inherit_lines
from symconv.ops.activations import Relu, Sigmoid
from symconv.ops.arithmetic import Add, add
from symconv.ops.conv import Conv2d, Conv2dDgrad, Conv2dWgrad
from symconv.ops.conv_pool import MAX_WINDOW, ConvPool, ConvPoolGrad
from symconv.ops.gemm import DotMulActGrad
from symconv.ops.pool import MaxPool2d, MaxPool2dGrad
from symconv.ops.reduce import Sum
from symconv.ops.shape import broadcast_to, reshape
from symconv.ops.transcendental import Tanh
from symconv.rewrite.activation import FUSED, is_number, match_activation_grad, owner
from symconv.rewrite.driver import Applied, RuleSet, Trace
from symconv.rewrite.limit import permitted
from symconv.rewrite.pattern import LocalRule

# -- a bias and a monotone activation move past the pooling, which then leaves a quarter of the work --


def _channel_bias(b: Variable, channels: int, ndim: int = 4) -> Variable | None:
    """b as a vector [K] where it adds one number to every channel of a [N, K, P, Q] tensor."""
    shape = (1,) * (ndim - b.ndim) + tuple(d or 0 for d in b.type.shape)
    return reshape(b, (channels,)) if shape == (1, channels, 1, 1) else None


def _pool_of_bias(node: Apply) -> Variable | None:
    """max_pool(x + b) -> max_pool(x) + b for a bias per channel."""
    total = owner(node.inputs[0], "add")
    if total is None:
        return None
    for x, b in (total.inputs, total.inputs[::-1]):
        if x.type == total.out.type and _channel_bias(b, x.type.shape[1] or 0) is not None:
            return add(node.op(x), b)
    return None


def _pool_of_activation(node: Apply) -> Variable | None:
    """max_pool(act(x)) -> act(max_pool(x)) for an activation that never decreases."""
    inner = node.inputs[0].owner
    if inner is None or not isinstance(inner.op, (Relu, Sigmoid, Tanh)):
        return None
    return inner.op(node.op(inner.inputs[0]))  # type: ignore[no-any-return]


def _pool_grad_of_bias(node: Apply) -> Variable | None:
    """The place of the maximum does not depend on a bias per channel."""
    x, dy = node.inputs
    total = owner(x, "add")
    if total is None:
        return None
    for a, b in (total.inputs, total.inputs[::-1]):
        if a.type == x.type and _channel_bias(b, x.type.shape[1] or 0) is not None:
            return node.op(a, dy)  # type: ignore[no-any-return]
    return None


def _sum_of_pool_grad(node: Apply) -> Variable | None:
    """sum(max_pool_grad(x, dy)) over whole images -> sum(dy): every dy goes to one place."""
    op: Any = node.op
    grad = node.inputs[0].owner
    if grad is None or not isinstance(grad.op, MaxPool2dGrad) or not _summed_over((2, 3), node):
        return None
    return op(grad.inputs[1])  # type: ignore[no-any-return]


def _summed_over(axes: Sequence[int], node: Apply) -> bool:
    """Whether a Sum adds up all along these axes; one of length 1 need not be among its own."""
    op: Any = node.op
    return all(a in op.axes or node.inputs[0].type.shape[a] == 1 for a in axes)


def _activation_grad_of_pool_grad(node: Apply) -> Variable | None:
    """act'(x) * max_pool_grad(act(x), dy) -> max_pool_grad(x, act'(max_pool(x)) * dy)."""
    found = match_activation_grad(node.out)
    if found is None:
        return None
    activation, d, y = found
    grad = d.owner
    if grad is None or not isinstance(grad.op, MaxPool2dGrad) or grad.inputs[0] is not y:
        return None
    act = owner(y, activation)
    if act is None:
        return None
    x, dy = act.inputs[0], grad.inputs[1]
    attributes = grad.op.attributes()
    pooled = act.op(MaxPool2d(**attributes)(x))
    from symconv.autodiff import Lop

    inner = Lop(pooled, pooled.owner.inputs[0], dy)
    return MaxPool2dGrad(**attributes)(x, inner)  # type: ignore[no-any-return]


RULES = [
    LocalRule("pool_of_bias", MaxPool2d, _pool_of_bias),
    LocalRule("pool_of_activation", MaxPool2d, _pool_of_activation),
    LocalRule("pool_grad_of_bias", MaxPool2dGrad, _pool_grad_of_bias),
    LocalRule("sum_of_pool_grad", Sum, _sum_of_pool_grad),
]


def _pools_only(graph: FunctionGraph) -> bool:
    return any(isinstance(n.op, MaxPool2d) for n in graph.nodes())


def move_past_pool(graph: FunctionGraph, trace: Trace) -> FunctionGraph:
    """max_pool(act(x + b)) -> act(max_pool(x) + b), in the forward pass and in the gradients."""
    if not _pools_only(graph):
        return graph
    from symconv.ops.arithmetic import Mul
    from symconv.ops.logic import Where

    rules = [
        *RULES,
        *(LocalRule("activation_grad_of_pool_grad", c, _activation_grad_of_pool_grad) for c in (Mul, Where)),
    ]
    return RuleSet(rules)(graph, trace)


# -- the fusion ---------------------------------------------------------------------------------------


def _plain_pool(op: Any, size: Sequence[int | None]) -> bool:
    """True for pooling by adjacent windows without padding or a partial last window."""
    window = op.window
    return bool(
        window[0]
        and window[1]
        and window[0] > 0
        and window[1] > 0
        and op.stride == window
        and not any(op.padding)
        and not op.ceil_mode
        and window[0] * window[1] <= MAX_WINDOW
    )


def _fusible(node: Apply, readers: Readers) -> Apply | None:
    """The convolution under a max-pooling node, if all that reads it can be fused."""
    conv = node.inputs[0].owner
    if conv is None or not isinstance(conv.op, Conv2d) or not _plain_pool(node.op, conv.out.type.shape[2:]):
        return None
    op = conv.op
    if op.stride != (1, 1) or op.dilation != (1, 1) or op.groups != 1 or not conv.out.type.is_float:
        return None
    attributes = node.op.attributes()
    for reader, k in readers[conv.out]:
        if reader is node:
            continue
        same = reader is not None and isinstance(reader.op, MaxPool2dGrad) and k == 0
        if not same or reader.op.attributes() != attributes:  # type: ignore[union-attr]
            return None
    return conv


def fuse_conv_pool(graph: FunctionGraph, trace: Trace) -> FunctionGraph:
    """act(max_pool(conv2d(x, w)) + b) -> conv_pool; its gradients -> conv_pool_grad."""
    if not _pools_only(graph):
        return graph
    readers = graph.readers()
    replace: dict[Variable, Variable] = {}
    fused: dict[Variable, Variable] = {}  # convolution's output -> y of the fused node
    for node in graph.nodes():
        if not isinstance(node.op, MaxPool2d):
            continue
        conv = _fusible(node, readers)
        if conv is None or not permitted():
            continue
        x, w = conv.inputs
        with origin(conv.origin):
            top, bias, activation = _epilogue(node, readers)
            if bias is None:
                bias = broadcast_to(constant(0, x.dtype), (w.type.shape[0],))
            op: Any = conv.op
            y, _ = ConvPool(node.op.window, op.padding, activation, op.flip)(x, w, bias)
        inherit_lines(y.owner, [top])
        replace[top] = y
        fused[conv.out] = y
        trace.append(Applied("conv_pool", repr(conv), repr(y.owner), y.origin))
    if not replace:
        return graph
    marks = {c: y for c, y in fused.items()}
    graph, marks = _substitute_marked(graph, replace, marks)
    return _fuse_backward(graph, trace, marks)


def _substitute_marked(
    graph: FunctionGraph, replace: dict[Variable, Variable], marks: dict[Variable, Variable]
) -> tuple[FunctionGraph, dict[Variable, Variable]]:
    """Substitute, and follow the marked variables (convolution, fused output) to their new selves."""
    from symconv.graph.traversal import substitute

    keys, values = list(marks), list(marks.values())
    roots = substitute([*graph.roots, *keys, *values], replace)
    n = len(graph.roots)
    return graph.with_roots(roots[:n]), dict(zip(roots[n : n + len(keys)], roots[n + len(keys) :]))


def _epilogue(pool: Apply, readers: Readers) -> tuple[Variable, Variable | None, str]:
    """(variable to replace, bias or None, activation): what follows the pooling and nothing else reads."""
    top, bias, activation = pool.out, None, "linear"
    after = _only_reader(top, readers)
    if after is not None and isinstance(after.op, Add) and after.out.type == top.type:
        other = after.inputs[1] if after.inputs[0] is top else after.inputs[0]
        bias = _channel_bias(other, top.type.shape[1] or 0)
        if bias is not None:
            top = after.out
            after = _only_reader(top, readers)
    if after is not None and after.op.name in FUSED:
        top, activation = after.out, after.op.name
    return top, bias, activation


def _only_reader(v: Variable, readers: Readers) -> Apply | None:
    found = readers.get(v, [])
    return found[0][0] if len(found) == 1 else None


def _fuse_backward(graph: FunctionGraph, trace: Trace, fused: dict[Variable, Variable]) -> FunctionGraph:
    readers = graph.readers()
    replace: dict[Variable, Variable] = {}
    for node in graph.nodes():
        if not isinstance(node.op, MaxPool2dGrad) or node.inputs[0] not in fused:
            continue
        y = fused[node.inputs[0]]
        forward = y.owner
        assert forward is not None
        x, w = forward.inputs[:2]
        dgrad = wgrad = None
        for reader, _ in readers[node.out]:
            if reader is not None and isinstance(reader.op, Conv2dDgrad) and reader.inputs[1] is w:
                dgrad = reader
            elif reader is not None and isinstance(reader.op, Conv2dWgrad) and reader.inputs[0] is x:
                wgrad = reader
            else:
                break
        else:
            if wgrad is not None and permitted():
                with origin(wgrad.origin):
                    _backward_node(node, forward, dgrad, wgrad, readers, replace, trace)
    return graph.substitute(replace)


def _backward_node(
    node: Apply,
    forward: Apply,
    dgrad: Apply | None,
    wgrad: Apply,
    readers: Readers,
    replace: dict[Variable, Variable],
    trace: Trace,
) -> None:
    op: Any = forward.op
    x, w, _ = forward.inputs
    y, argmax = forward.outputs
    dz = node.inputs[1]
    activation, dy = "linear", dz
    found = match_activation_grad(dz)
    if found is not None and found[2] is y and found[0] == op.activation and found[1].type == y.type:
        activation, dy = found[0], found[1]
    if activation == "relu" and (masked := _masked_product(dy, y, readers)) is not None:
        activation, dy = "linear", masked
    back = ConvPoolGrad(op.window, op.padding, activation, op.flip, need_dx=dgrad is not None)
    *dx, dw, db = back(x, w, y, argmax, dy)
    if dgrad is not None:
        replace[dgrad.out] = dx[0]
    replace[wgrad.out] = dw
    for reader, _ in readers.get(dz, ()):
        if (
            reader is not None
            and isinstance(reader.op, Sum)
            and 1 not in reader.op.axes
            and _summed_over((0, 2, 3), reader)
        ):
            replace[reader.out] = reshape(db, reader.out.type.shape)
    inherit_lines(dw.owner, [v.out for v in (wgrad, dgrad) if v is not None], node.inputs[:1])
    trace.append(Applied("conv_pool_grad", repr(node), repr(dw.owner), dw.origin))


def _masked_product(dy: Variable, y: Variable, readers: Readers) -> Variable | None:
    """dy * relu'(y) where dy is a product, reshaped or not: it then computes only the elements that live."""
    shaped = owner(dy, "reshape")
    product = owner(dy if shaped is None else shaped.inputs[0], "dot")
    if product is None or product.out.ndim != 2 or not all(product.out.type.shape):
        return None
    if any(len(readers[v]) > 1 for v in (dy, product.out)):
        return None
    op: Any = product.op
    factor = DotMulActGrad(op.trans_a, op.trans_b, "relu")
    with origin(product.origin):
        return reshape(factor(*product.inputs, reshape(y, product.out.type.dims)), y.type.dims)


__all__ = ["fuse_conv_pool", "is_number", "move_past_pool"]
