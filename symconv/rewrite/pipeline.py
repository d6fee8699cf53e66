"""The passes, in order. Each takes a FunctionGraph and a trace to add to, and returns a FunctionGraph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

from symconv.config import config
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.verify import verify
from symconv.rewrite.activation import share_relu
from symconv.rewrite.algebra import algebra_rules
from symconv.rewrite.constants import store_constants
from symconv.rewrite.conv_pool import fuse_conv_pool, move_past_pool
from symconv.rewrite.cross_entropy import fuse_cross_entropy
from symconv.rewrite.driver import Applied, RuleSet, Trace
from symconv.rewrite.error_function import RULES as ERROR_FUNCTION_RULES
from symconv.rewrite.fuse import fuse_elementwise
from symconv.rewrite.gemm import fuse_dense, fuse_gemm
from symconv.rewrite.keep import seal, unseal
from symconv.rewrite.loops import rewrite_loops
from symconv.rewrite.masks import narrow_masks
from symconv.rewrite.registered import registered_rules
from symconv.rewrite.stabilize import RULES as STABILITY_RULES
from symconv.rewrite.users import UserRules

Pass = Callable[[FunctionGraph, Trace], FunctionGraph]


@dataclass(frozen=True, slots=True)
class Stage:
    """A graph on its way through the compiler: what it is after `name`, and what that applied."""

    name: str
    graph: FunctionGraph
    trace: tuple[Applied, ...] = ()


@lru_cache(maxsize=1)
def passes() -> tuple[tuple[str, Pass], ...]:
    """(name, pass) in order. Made once, at the first compilation, when all element-wise ops are known."""
    return (
        ("canonicalize", RuleSet([*algebra_rules(), *ERROR_FUNCTION_RULES, *STABILITY_RULES])),
        ("masks", narrow_masks),
        ("loops", partial(rewrite_loops, optimize=optimize)),
        ("share_relu", share_relu),
        ("move_past_pool", move_past_pool),
        ("share_relu_after_pool", share_relu),
        ("conv_pool", fuse_conv_pool),
        ("cross_entropy", fuse_cross_entropy),
        ("gemm", fuse_gemm),
        ("dense", fuse_dense),
        ("elementwise", fuse_elementwise),
        ("constants", store_constants),
    )


def passes_for(device: str) -> tuple[tuple[str, Pass], ...]:
    """`passes`, with one for the rules that users have registered behind the canonical form."""
    every, rules = passes(), registered_rules()
    if not rules:
        return every
    (canonical,) = (run for name, run in every if name == "canonicalize")
    assert isinstance(canonical, RuleSet)
    users = ("users", UserRules(rules, device, canonical))
    at = 1 + [name for name, _ in every].index("canonicalize")
    return (*every[:at], users, *every[at:])


def optimize(
    graph: FunctionGraph, stages: list[Stage] | None = None, device: str = "cpu"
) -> tuple[FunctionGraph, list[tuple[str, Trace]]]:
    """The graph after all passes, and for each pass the rules that it applied; `stages` gets every graph.

    Nodes that a user's kernel for `device` accepts are kept from the passes.
    """
    history: list[tuple[str, Trace]] = []
    trace: Trace = []
    sealed = seal(graph, device, trace)
    kept = sealed is not graph
    if kept:
        history.append(("kept_for_kernels", trace))
        graph = sealed
    for name, run in passes_for(device):
        trace = []
        graph = run(graph, trace)
        history.append((name, trace))
        if stages is not None:
            stages.append(Stage(name, graph, tuple(trace)))
        if config.verify_rewrites:
            verify(graph, name)
    if kept:
        graph = unseal(graph)
        if stages is not None:
            stages.append(Stage("kept_for_kernels", graph))
    return graph, history
