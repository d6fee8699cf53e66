"""The panes of the page about one plan: rules, kernels, refusals, memory, code, steps, profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symconv.backends.executable import Executable
from symconv.plan.explain import place
from symconv.plan.lifetime import lifetimes, live_bytes
from symconv.plan.plan import InPlan, Plan, steps_of
from symconv.rewrite.driver import Refused, applications
from symconv.see.arena import amount, arena_svg
from symconv.see.flame import flame_svg
from symconv.see.html import count, escape, table
from symconv.see.sources import sources

if TYPE_CHECKING:
    from symconv.see.profile import Profile

NO_PLAN = (
    '<p class="faint">The reference executor runs the rewritten graph node by node in NumPy: there is no '
    "plan, and so no kernel, no arena and no generated code.</p>"
)


def of(executable: Executable) -> list[tuple[str, str, str]]:
    """(key, title, HTML) of each pane."""
    rules = ("rules", "Applied rules", rules_pane(executable))
    plan = executable.plan
    if plan is None:
        return [rules, ("plan", "Plan", NO_PLAN)]
    return [
        rules,
        ("kernels", "Kernels", kernels_pane(plan)),
        ("refusals", "Refusals", refusals_pane(plan)),
        ("memory", "Memory", memory_pane(plan)),
        ("code", "Generated code", code_pane(executable, plan)),
        ("steps", "Steps", steps_pane(executable, plan)),
    ]


def rules_pane(executable: Executable) -> str:
    rows = []
    for s in executable.stages:
        for a in s.trace:
            refused = isinstance(a, Refused)
            rule = f"<b>{escape(a.rule)}</b>{' left alone' if refused else ''}"
            after = f"because {a.after}" if refused else a.after
            rows.append((escape(s.name), rule, escape(a.before), escape(after), escape(a.origin)))
    if not rows:
        return '<p class="faint">No rule matched, or config.optimize is off.</p>'
    idle = [s.name for s in executable.stages[1:] if not s.trace]
    applied = sum(len(applications(s.trace)) for s in executable.stages)
    lead = f"{applied} applications, in the order in which they were made."
    lead += f" Nothing to do for: {escape(', '.join(idle))}." if idle else ""
    heads = ("pass", "rule", "before", "after", "line")
    return f'<p class="lead">{lead}</p>{table(heads, rows, "..wwm")}'


def kernels_pane(plan: Plan) -> str:
    groups: dict[str, list[InPlan]] = {}
    for found in steps_of(plan):
        kernel = found.step.kernel
        groups.setdefault(kernel.name if kernel is not None else found.step.kind, []).append(found)
    flops = {k: sum(f.flops for f in v) for k, v in groups.items()}
    most = max(flops.values(), default=0) or 1
    rows = []
    for name in sorted(groups, key=lambda k: -flops[k]):
        kernel = groups[name][0].step.kernel
        ops = ", ".join(dict.fromkeys(f.step.node.op.name for f in groups[name]))
        bar = f'<span class="bar" style="width:{90 * flops[name] / most:.0f}px"></span>'
        source = (kernel.source or kernel.origin) if kernel is not None else ""
        rows.append(
            (
                f"<b>{escape(name)}</b>",
                escape(ops),
                ", ".join(f.label for f in groups[name]),
                f"{bar}{count(flops[name])}",
                escape(
                    source or {"view": "an address, no work", "reference": "the op in NumPy"}.get(name, "")
                ),
            )
        )
    lead = "The first kernel in an op's list that accepts a node is taken. FLOPs are the plain algorithm's."
    heads = ("kernel", "runs", "steps", "FLOPs", "source")
    return f'<p class="lead">{lead}</p>{table(heads, rows, "cm.sc")}'


def refusals_pane(plan: Plan) -> str:
    rows = []
    for found in steps_of(plan):
        step = found.step
        if step.kind == "view":
            continue
        op, line = escape(step.node.op.name), escape(step.node.origin)
        chosen = escape(step.kernel.name) if step.kernel is not None else f"<b>{step.kind}</b>"
        rows += [(found.label, op, escape(name), escape(why), chosen, line) for name, why in step.refusals]
    if not rows:
        return '<p class="faint">None: every step took the first kernel of its op.</p>'
    lead = "Faster kernels that were asked first and why they did not take the step."
    heads = ("step", "op", "refused by", "because", "taken by", "line")
    return f'<p class="lead">{lead}</p>{table(heads, rows, "ncc.cm")}'


def memory_pane(plan: Plan) -> str:
    alive = lifetimes(plan)
    if not alive:
        return '<p class="faint">No value lives between two steps: the arena is empty.</p>'
    total = sum(plan.buffers[a.buffer].type.nbytes for a in alive)
    peak = max(live_bytes(plan))
    lead = (
        f"{len(alive)} values of {amount(total)} in an arena of {amount(plan.arena_bytes)}; at most "
        f"{amount(peak)} are needed at once (the line). A bar is a value, from the step that writes it to "
        "the step that reads it last; its height is its size."
    )
    return f'<p class="lead">{lead}</p><div class="scroll picture fit">{arena_svg(plan, alone=False)}</div>'


def code_pane(executable: Executable, plan: Plan) -> str:
    found = sources(plan, getattr(executable, "program", None), getattr(executable, "choice", None))
    if not found:
        return '<p class="faint">No code was generated: every step is a kernel that was compiled ahead.</p>'
    parts = []
    for k, source in enumerate(found):
        opened = " open" if k == 0 else ""
        parts.append(
            f"<details{opened}><summary><b>{escape(source.title)}</b> <span class=faint>{escape(source.note)}"
            f"</span></summary><pre>{escape(source.text)}</pre></details>"
        )
    return f'<p class="lead">{len(found)} texts; steps with equal code share one.</p>{"".join(parts)}'


def steps_pane(executable: Executable, plan: Plan) -> str:
    choice = getattr(executable, "choice", None)
    lead = "As they run, one after another."
    if choice is not None:
        lead = f"Executor {choice.name}: {escape(choice.reason)}."
    return f'<p class="lead">{lead}</p>{steps_table(plan)}'


def steps_table(plan: Plan) -> str:
    """The steps of a plan, and below them those of the loops in it."""
    rows = []
    for number, step in enumerate(plan.steps):
        node = step.node
        kernel = step.kernel.name if step.kernel is not None else step.kind
        ins = ", ".join(place(plan, i) for i in step.inputs if plan.buffers[i].kind != "constant")
        outs = ", ".join(f"{plan.buffers[o].type} @ {place(plan, o)}" for o in step.outputs)
        work = step.kind != "view"
        rows.append(
            (
                str(number),
                f"<b>{escape(kernel)}</b>",
                f'<span title="{escape(node.op.label())}">{escape(node.op.name)}</span>',
                escape(outs),
                escape(ins),
                count(node.op.flops(node)) if work else "",
                count(node.op.bytes(node)) if work else "",
                escape(node.origin),
            )
        )
    heads = ("step", "kernel", "op", "writes", "reads", "FLOPs", "bytes", "line")
    parts = [table(heads, rows, "nccwwnnm")]
    for number, step in enumerate(plan.steps):
        if step.loop is not None:
            parts.append(f"<p>Step {number} runs this {step.loop.n:,} times:</p>")
            parts.append(steps_table(step.loop.plan))
    return "".join(parts)


def profile_pane(profile: Profile) -> str:
    most = max((r.share for r in profile.rows), default=0) or 1
    rows = []
    for r in sorted(profile.rows, key=lambda r: -r.share):
        bar = f'<span class="bar" style="width:{70 * r.share / most:.0f}px"></span>'
        rows.append(
            (
                r.label,
                f"<b>{escape(r.op)}</b>{escape(r.what.removeprefix(r.op))}",
                f"{r.us:,.2f}",
                f"{bar}{100 * r.share:.1f} %",
                "" if r.roofline is None else f"{100 * r.roofline:.0f} %",
                f"{r.gflops:,.2f}" if r.flops else "",
                f"{r.gbytes:,.2f}" if r.bytes else "",
                escape(r.kernel),
                escape(r.line),
            )
        )
    heads = ("step", "op", "us", "share", "roofline", "GFLOP/s", "GB/s", "kernel", "line")
    picture = flame_svg(profile, alone=False)
    return (
        f'<p class="lead">{escape(profile.summary()).replace(chr(10), "<br>")}</p>'
        f'<div class="scroll picture fit">{picture}</div><br>{table(heads, rows, "ncnsnnncm")}'
    )
