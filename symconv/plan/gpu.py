"""From a Plan to launches on a GPU: which kernels run after each other, which at once, and in what form.

Plain data that needs no GPU. A program is run in one of three ways: kernel by kernel; as a captured graph; or
as one persistent kernel in which all blocks go through the phases together, with a barrier of the grid after
each.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from symconv.graph import Kernel, Launch
from symconv.graph.kernel import USER_NAMESPACE
from symconv.graph.params import pack
from symconv.plan.plan import Plan, Step

WORD = 8  # bytes of an address
EXECUTORS = ("kernels", "graph", "persistent")

# What things cost on an H100, in microseconds and per microsecond: for the choice of the executor only.
NODE_US = 2.6  # a kernel boundary inside a graph, and the ramp after it
BARRIER_US = 1.1  # of the grid
FLOPS_PER_US = 50e6
BYTES_PER_US = 2.5e6
PERSISTENT_SHARE = 0.5  # of these rates with one block of 256 threads on a multiprocessor
MULTIPROCESSORS = 132


@dataclass(frozen=True, slots=True)
class Source:
    """One translation unit: a file of kernels/, or generated text (`code`) that includes such files."""

    file: str = ""
    code: str = ""
    defines: tuple[tuple[str, int], ...] = ()

    @property
    def name(self) -> str:
        """For messages: the file, or what a user's text calls itself in its first line."""
        if self.code and self.namespace:
            return self.code.partition("\n")[0].removeprefix("// ")
        return self.file or "generated code"

    @property
    def namespace(self) -> str:
        """'name::' of the namespace that a user's kernel stands in, else ''."""
        found = re.search(rf"^namespace ({USER_NAMESPACE}\w+) ", self.code, re.MULTILINE)
        return f"{found[1]}::" if found else ""

    def text(self) -> str:
        """The text for a compiler; faults in generated code are reported by its own lines."""
        return f'#line 1 "generated.cu"\n{self.code}' if self.code else f'#include "{self.file}"\n'


CONTROL = Source("control.cu")


def source_of(kernel: Kernel, launch: Launch) -> Source:
    """The text that a launch of a CUDA kernel comes from: its own, or the kernel's file."""
    if launch.code:
        return Source(code=launch.code)  # a user's kernel has its macros in its text
    return Source(kernel.source.removeprefix("kernels/"), defines=kernel.defines)


@dataclass(frozen=True, slots=True)
class Operand:
    """An array of a launch.

    kind 'buffer': buffer `number` of the plan; 'word': the word that holds its address; 'words', 'strides':
    those of all arrays that move in a loop; 'workspace': `number` bytes into the workspace.
    """

    kind: str
    number: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class GpuLaunch:
    """One kernel on its arrays. `step` is that of the plan, -1 for the upkeep of addresses."""

    source: Source
    entry: str
    params: bytes
    tail: bool
    reads: tuple[Operand, ...]
    writes: tuple[Operand, ...]
    tiles: int
    shared: int
    step: int

    @property
    def operands(self) -> tuple[Operand, ...]:
        return (*self.reads, *self.writes)


@dataclass(frozen=True, slots=True)
class HostStep:
    """A step that only the NumPy reference can run: its operands go to the host and back."""

    step: int


@dataclass(frozen=True, slots=True)
class Program:
    """What one execution of a plan launches, in order; `advance` follows it in a loop.

    words: the buffers whose address stands in device memory: inputs and outputs, which move in a loop, first
    (`moving` of them), then views whose start is worked out on the device.
    """

    plan: Plan
    launches: tuple[GpuLaunch | HostStep, ...]
    advance: GpuLaunch | None
    words: tuple[int, ...]
    moving: int
    workspace: int

    @property
    def round(self) -> list[GpuLaunch | HostStep]:
        """One round of a loop: the launches of an execution, then `advance`."""
        return [*self.launches, *([] if self.advance is None else [self.advance])]

    @property
    def sequence(self) -> list[GpuLaunch]:
        """`round` without what the host does."""
        return [x for x in self.round if isinstance(x, GpuLaunch)]


def word_of(plan: Plan, number: int) -> int | None:
    """The buffer whose word gives the address of `number`, or None where the address is fixed."""
    b = plan.buffers[number]
    if b.kind in ("input", "output"):
        return number
    if b.kind != "view":
        return None
    if b.start >= 0:
        return number
    base = word_of(plan, b.base)
    return base if base is None or b.offset == 0 else number


def gpu_program(plan: Plan) -> Program:
    """The launches of a Plan that was made for device 'cuda' or 'emulated'."""
    moving = [i for i, b in enumerate(plan.buffers) if b.kind in ("input", "output")]
    views = [i for i, b in enumerate(plan.buffers) if b.kind == "view" and word_of(plan, i) == i]
    launches: list[GpuLaunch | HostStep] = []
    workspace = 0

    def derived(base: int) -> Iterator[GpuLaunch]:
        """Views at an offset into one that has just got its address."""
        for v in views:
            b = plan.buffers[v]
            if b.start < 0 and word_of(plan, b.base) == base:
                yield _resolve(plan, v, -1)
                yield from derived(v)

    for number in moving:
        launches += derived(number)
    for k, step in enumerate(plan.steps):
        if step.kind == "view":
            launches.append(_resolve(plan, step.outputs[0], k))
            launches += derived(step.outputs[0])
        elif step.kernel is None:
            launches.append(HostStep(k))
        elif any(plan.buffers[o].type.size for o in step.outputs):
            launches += _stages(plan, step, k, workspace)
            workspace += -(-step.launch.workspace // 256) * 256
    words = (*moving, *views)
    return Program(plan, tuple(launches), _advance(len(moving)), words, len(moving), workspace)


def _buffer(plan: Plan, number: int) -> Operand:
    return Operand("buffer", number, plan.buffers[number].type.nbytes)


def _stages(plan: Plan, step: Step, number: int, workspace: int) -> Iterator[GpuLaunch]:
    assert step.kernel is not None
    kernel, launch = step.kernel, step.launch
    reads = tuple(_buffer(plan, i) for i in step.inputs)
    writes = tuple(_buffer(plan, o) for o in step.outputs)
    if launch.workspace:
        writes += (Operand("workspace", workspace, launch.workspace),)
    while launch is not None:
        source = source_of(kernel, launch)
        entry = launch.entry or kernel.entry
        if launch.tiles:
            yield GpuLaunch(
                source, entry, launch.params, kernel.tail, reads, writes, launch.tiles, launch.shared, number
            )  # fmt: skip
        launch = launch.then  # type: ignore[assignment]


def _resolve(plan: Plan, number: int, step: int) -> GpuLaunch:
    b = plan.buffers[number]
    base = _buffer(plan, b.base)
    last = (base.nbytes - b.offset - b.type.nbytes) // b.stride if b.start >= 0 else 0
    params = pack("ResolveParams", offset=b.offset, stride=b.stride, last=last, has_start=int(b.start >= 0))
    start = _buffer(plan, b.start) if b.start >= 0 else base
    word = Operand("word", number, WORD)
    return GpuLaunch(CONTROL, "resolve", params, False, (base, start), (word,), 1, 0, step)


def _advance(n: int) -> GpuLaunch | None:
    if not n:
        return None
    strides, words = Operand("strides", 0, WORD * n), Operand("words", 0, WORD * n)
    params = pack("AdvanceParams", n=n)
    return GpuLaunch(CONTROL, "advance", params, False, (strides,), (words,), -(-n // 256), 0, -1)


# ---- what may run at once

Region = tuple[object, int, int]  # memory, first byte, byte after the last
Phase = tuple[tuple[int, ...], ...]

SMALL = 2  # tiles of a launch that may be one of several in a row of one block


def _regions(program: Program, operand: Operand, address: bool) -> Iterator[Region]:
    """The memory of an operand; with `address` also the word that its address stands in."""
    plan = program.plan
    if operand.kind == "workspace":
        yield "workspace", operand.number, operand.number + operand.nbytes
        return
    if operand.kind != "buffer":
        first = WORD * program.words.index(operand.number) if operand.kind == "word" else 0
        kind = "strides" if operand.kind == "strides" else "words"
        yield kind, first, first + operand.nbytes
        return
    number, offset, nbytes = operand.number, 0, operand.nbytes
    word = word_of(plan, number)
    if address and word is not None:
        first = WORD * program.words.index(word)
        yield "words", first, first + WORD
    while (b := plan.buffers[number]).kind == "view":
        if b.start >= 0:
            offset, nbytes = 0, plan.buffers[b.base].type.nbytes
        else:
            offset += b.offset
        number = b.base
    if b.kind == "arena":
        yield "arena", b.offset + offset, b.offset + offset + nbytes
    elif b.kind != "constant":
        yield (b.kind, b.slot), offset, offset + nbytes


def _accesses(program: Program, launch: GpuLaunch) -> tuple[list[Region], list[Region]]:
    """What a launch reads and what it writes."""
    reads = [r for o in launch.reads for r in _regions(program, o, True)]
    writes = [r for o in launch.writes for r in _regions(program, o, False)]
    reads += [
        r for o in launch.writes for r in _regions(program, o, True) if r[0] == "words" and r not in writes
    ]
    return reads, writes


def phases(program: Program) -> list[Phase] | None:
    """The launches by number (`program.sequence`), in phases; None if the host has a part in the program.

    A phase is a tuple of units that may run at once; a unit is a row of launches that one block does one
    after the other, or a single launch of any size. Each launch goes into the first phase that it can. Small
    ones on the longest chain of launches join a row of small ones that they depend on, which saves a barrier.
    """
    if any(isinstance(x, HostStep) for x in program.launches):
        return None
    launches = program.sequence
    needs = _dependences(program)
    critical = _on_the_longest_chain(needs)
    result: list[list[list[int]]] = []
    place: list[tuple[int, int]] = []  # (phase, unit) of every launch so far
    for i, launch in enumerate(launches):
        before = {place[j] for j in needs[i]}
        phase = max((p for p, _ in before), default=-1) + 1
        last = {unit for p, unit in before if p == phase - 1}
        if len(last) == 1 and launch.tiles <= SMALL and critical[i]:
            (number,) = last
            unit = result[phase - 1][number]
            if all(launches[j].tiles <= SMALL for j in unit):
                place.append((phase - 1, number))
                unit.append(i)
                continue
        while len(result) <= phase:
            result.append([])
        place.append((phase, len(result[phase])))
        result[phase].append([i])
    return [tuple(map(tuple, units)) for units in result]


def _dependences(program: Program) -> list[list[int]]:
    """For every launch earlier ones that must be done before it; those that they in turn wait for may lack.

    Memory is cut where any access begins or ends. Of each piece it is enough to know who wrote it last and
    who has read it since: whoever came before, the last writer has waited for.
    """
    accesses = [_accesses(program, x) for x in program.sequence]
    cuts: dict[object, set[int]] = {}
    for memory, first, end in (r for reads, writes in accesses for r in (*reads, *writes)):
        cuts.setdefault(memory, set()).update((first, end))
    edges = {memory: sorted(found) for memory, found in cuts.items()}
    writer: dict[tuple[object, int], int] = {}
    readers: dict[tuple[object, int], list[int]] = {}

    def pieces(regions: Sequence[Region]) -> Iterator[tuple[object, int]]:
        for memory, first, end in regions:
            at = edges[memory]
            for k in range(bisect_left(at, first), bisect_left(at, end)):
                yield memory, k

    needs: list[list[int]] = []
    for i, (reads, writes) in enumerate(accesses):
        before: set[int] = set()
        for piece in pieces(reads):
            if piece in writer:
                before.add(writer[piece])
            readers.setdefault(piece, []).append(i)
        for piece in pieces(writes):
            if piece in writer:
                before.add(writer[piece])
            before.update(readers.pop(piece, ()))
            writer[piece] = i
        needs.append(sorted(before - {i}))
    return needs


def _on_the_longest_chain(needs: Sequence[Sequence[int]]) -> list[bool]:
    depth = [0] * len(needs)
    height = [0] * len(needs)
    for i, before in enumerate(needs):
        depth[i] = max((depth[j] + 1 for j in before), default=0)
    for i in reversed(range(len(needs))):
        for j in needs[i]:
            height[j] = max(height[j], height[i] + 1)
    longest = max((d + h for d, h in zip(depth, height)), default=0)
    return [d + h == longest for d, h in zip(depth, height)]


# ---- in what form


@dataclass(frozen=True, slots=True)
class ExecutorChoice:
    name: str
    reason: str
    phases: tuple[Phase, ...] = ()


def choose_executor(program: Program, wanted: str = "auto") -> ExecutorChoice:
    """The executor for a program; `wanted` is obeyed where it can be."""
    groups = phases(program)
    if groups is None:
        hosts = [program.plan.steps[x.step].label for x in program.launches if isinstance(x, HostStep)]
        return ExecutorChoice("kernels", f"the host takes part: {hosts[0]}")
    by_phase = tuple(groups)
    launches = program.sequence
    alone = next((x for x in launches if x.source.defines), None)
    if alone is not None and wanted in ("auto", "persistent"):
        return ExecutorChoice("graph", f"{alone.entry} needs macros of its own", by_phase)
    if wanted != "auto":
        return ExecutorChoice(wanted, "asked for by config.gpu_executor", by_phase)
    work = sum(_work_us(program.plan, x) for x in launches)
    graph = work + NODE_US * len(launches)
    persistent = work / PERSISTENT_SHARE + BARRIER_US * len(groups)
    reason = (
        f"modelled {persistent:.0f} us as one persistent kernel of {len(groups)} phases, "
        f"{graph:.0f} us as a graph of {len(launches)} kernels"
    )
    return ExecutorChoice("persistent" if persistent < graph else "graph", reason, by_phase)


def _work_us(plan: Plan, launch: GpuLaunch) -> float:
    if launch.source is CONTROL:
        return 0.0
    node = plan.steps[launch.step].node
    full = max(node.op.flops(node) / FLOPS_PER_US, node.op.bytes(node) / BYTES_PER_US)
    return full / min(1.0, launch.tiles / MULTIPROCESSORS)


def explain_program(program: Program, choice: ExecutorChoice) -> str:
    """The launches as text: phase by phase, or in their order where the executor has no phases."""
    lines = [f"executor {choice.name}: {choice.reason}"]
    if not choice.phases:
        for launch in program.launches:
            if isinstance(launch, HostStep):
                lines.append(f"  on the host: {program.plan.steps[launch.step].label}")
            else:
                lines.append(f"  {_explain_launch(launch)}")
    launches = program.sequence
    for number, phase in enumerate(choice.phases):
        lines.append(f"  phase {number}")
        for unit in phase:
            lines += [f"    {'then ' if k else ''}{_explain_launch(launches[i])}" for k, i in enumerate(unit)]
    return "\n".join(lines)


def _explain_launch(launch: GpuLaunch) -> str:
    shared = f", {launch.shared} bytes shared" if launch.shared else ""
    step = "" if launch.step < 0 else f" for step {launch.step}"
    return f"{launch.entry}{step}: {launch.tiles} tiles{shared}"
