"""How much memory a function may take, checked before anything is allocated."""

from __future__ import annotations

import os
from functools import lru_cache

from symconv.config import config
from symconv.errors import MemoryLimitError
from symconv.graph.function_graph import FunctionGraph


@lru_cache(maxsize=1)
def machine_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its cgroup's if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path) as file:
                text = file.read().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total


def memory_limit() -> int:
    """config.memory_limit, or the machine's memory where that is 0."""
    return config.memory_limit or machine_memory()


def check_memory(graph: FunctionGraph) -> None:
    """Raises MemoryLimitError if one value of the graph alone exceeds the limit."""
    limit = memory_limit()
    for node in graph.nodes():
        if node.op.view(node) is not None or node.op.name in ("broadcast_to", "scan"):
            continue  # these need not be stored, at least not whole: the executor's own check comes later
        for out in node.outputs:
            if out.type.nbytes > limit:
                raise MemoryLimitError(
                    f"{node.op.name} from {node.origin} needs {out.type.nbytes:,} bytes for {out.type}, "
                    f"the limit is {limit:,} bytes\n  hint: smaller batches or sizes, or config.memory_limit"
                )
