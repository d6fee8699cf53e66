"""From a Plan to launches on a GPU: which kernels run after each other, which at once, and in what form.

Plain data that needs no GPU. A program is run in one of three ways: kernel by kernel; as a captured graph; or
as one persistent kernel in which all blocks go through the phases together, with a barrier of the grid after
each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
        return self.file or "generated code"

    def text(self) -> str:
        """The text for a compiler; faults in generated code are reported by its own lines."""
        return f'#line 1 "generated.cu"\n{self.code}' if self.code else f'#include "{self.file}"\n'


CONTROL = Source("control.cu")


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
    def kernels(self) -> list[GpuLaunch]:
        return [x for x in self.launches if isinstance(x, GpuLaunch)]


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
        file = kernel.source.removeprefix("kernels/")
        source = Source(code=launch.code) if launch.code else Source(file, defines=kernel.defines)
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


def _regions(plan: Plan, operand: Operand, address: bool) -> Iterator[tuple[object, int, int]]:
    """(memory, first byte, byte after the last) of an operand; with `address` also the word it hangs on."""
    whole = 1 << 62
    if operand.kind == "workspace":
        yield "workspace", operand.number, operand.number + operand.nbytes
        return
    if operand.kind == "word":
        yield ("word", operand.number), 0, WORD
        return
    if operand.kind != "buffer":
        yield operand.kind, 0, whole
        return
    number, offset, nbytes = operand.number, 0, operand.nbytes
    word = word_of(plan, number)
    if address and word is not None:
        yield ("word", word), 0, WORD
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


def phases(program: Program) -> list[list[int]] | None:
    """The launches by number, in groups that may run at once; None if the host has a part in the program."""
    plan = program.plan
    result: list[list[int]] = []
    touched: list[tuple[int, bool, list[tuple[object, int, int]]]] = []  # (phase, writes, regions)
    for i, launch in enumerate(program.launches):
        if isinstance(launch, HostStep):
            return None
        reads = [r for o in launch.reads for r in _regions(plan, o, True)]
        writes = [r for o in launch.writes for r in _regions(plan, o, False)]
        reads += [r for o in launch.writes for r in _regions(plan, o, True) if r not in writes]
        phase = 0
        for other, is_write, regions in touched:
            if other >= phase and (_overlap(writes, regions) or (is_write and _overlap(reads, regions))):
                phase = other + 1
        touched += [(phase, False, reads), (phase, True, writes)]
        while len(result) <= phase:
            result.append([])
        result[phase].append(i)
    return result


def _overlap(a: Sequence[tuple[object, int, int]], b: Sequence[tuple[object, int, int]]) -> bool:
    return any(m == n and s < v and u < t for m, s, t in a for n, u, v in b)


# ---- in what form


@dataclass(frozen=True, slots=True)
class ExecutorChoice:
    name: str
    reason: str
    phases: tuple[tuple[int, ...], ...] = ()


def choose_executor(program: Program, wanted: str = "auto") -> ExecutorChoice:
    """The executor for a program; `wanted` is obeyed where it can be."""
    groups = phases(program)
    if groups is None:
        hosts = [program.plan.steps[x.step].label for x in program.launches if isinstance(x, HostStep)]
        return ExecutorChoice("kernels", f"the host takes part: {hosts[0]}")
    by_phase = tuple(map(tuple, groups))
    alone = next((x for x in program.kernels if x.source.defines), None)
    if alone is not None and wanted in ("auto", "persistent"):
        return ExecutorChoice("graph", f"{alone.entry} needs macros of its own", by_phase)
    if wanted != "auto":
        return ExecutorChoice(wanted, "asked for by config.gpu_executor", by_phase)
    work = sum(_work_us(program.plan, x) for x in program.kernels)
    graph = work + NODE_US * len(program.kernels)
    persistent = work / PERSISTENT_SHARE + BARRIER_US * len(groups)
    reason = (
        f"modelled {persistent:.0f} us as one persistent kernel of {len(groups)} phases, "
        f"{graph:.0f} us as a graph of {len(program.kernels)} kernels"
    )
    return ExecutorChoice("persistent" if persistent < graph else "graph", reason, by_phase)


def _work_us(plan: Plan, launch: GpuLaunch) -> float:
    if launch.step < 0:
        return 0.0
    node = plan.steps[launch.step].node
    full = max(node.op.flops(node) / FLOPS_PER_US, node.op.bytes(node) / BYTES_PER_US)
    return full / min(1.0, launch.tiles / MULTIPROCESSORS)


def explain_program(program: Program, choice: ExecutorChoice) -> str:
    """The launches as text: phase, kernel, tiles, shared memory."""
    phase_of = {i: p for p, group in enumerate(choice.phases) for i in group}
    lines = [f"executor {choice.name}: {choice.reason}"]
    for i, launch in enumerate(program.launches):
        if isinstance(launch, HostStep):
            lines.append(f"  host      {program.plan.steps[launch.step].label}")
            continue
        where = f"phase {phase_of[i]}" if i in phase_of else "-"
        shared = f", {launch.shared} bytes shared" if launch.shared else ""
        name = "" if launch.step < 0 else f" for step {launch.step}"
        lines.append(f"  {where:<9} {launch.entry}{name}: {launch.tiles} tiles{shared}")
    return "\n".join(lines)
