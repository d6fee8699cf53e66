"""The memory of a plan over time: every value of the arena as a bar from its first to its last step."""

from __future__ import annotations

from symconv.plan.lifetime import lifetimes, live_bytes
from symconv.plan.plan import Plan
from symconv.see.drawing import phase
from symconv.see.svg import CHARACTER, rect, svg, text

HEIGHT = 360.0
LEFT, TOP, BOTTOM = 84.0, 14.0, 34.0
NARROW, WIDE = 8.0, 34.0  # pixels of a step


def arena_svg(plan: Plan, *, alone: bool = True) -> str:
    """Steps to the right, bytes of the arena upwards; the line is how many bytes hold a needed value."""
    steps = max(len(plan.steps), 1)
    step = max(NARROW, min(WIDE, 1060.0 / steps))
    size = max(plan.arena_bytes, 1)
    width = LEFT + steps * step + 16
    base = TOP + HEIGHT

    def y(nbytes: float) -> float:
        return base - HEIGHT * nbytes / size

    body = []
    for k in range(5):
        nbytes = size * k / 4
        body.append(f'<path class="sc-grid" d="M{LEFT},{y(nbytes):.1f}H{width - 16:.1f}"/>')
        body.append(text(LEFT - 8, y(nbytes) + 4, amount(nbytes), "sc-e sc-f"))
    every = max(1, round(40 / step))
    for t in range(0, len(plan.steps), every):
        body.append(text(LEFT + (t + 0.5) * step, base + 16, str(t), "sc-m sc-f"))
    body.append(text(LEFT + steps * step / 2, base + 31, "step", "sc-m sc-f"))
    for life in lifetimes(plan):
        b, made = plan.buffers[life.buffer], plan.steps[life.first]
        x, long = LEFT + life.first * step, (life.last - life.first + 1) * step
        high = max(HEIGHT * b.type.nbytes / size, 1.0)
        tip = (
            f"{b.type}, {b.type.nbytes:,} bytes at {b.offset:,}\nwritten by step {life.first}, "
            f"{made.node.op.name} from {made.node.origin}\nread last by step {life.last}"
        )
        top = y(b.offset + b.type.nbytes)
        body.append(rect(x + 0.5, min(top, base - high), long - 1, high, f"sc-{phase(made.node)}", tip))
        label = made.node.op.name
        if high >= 14 and long >= len(label) * CHARACTER + 8:
            body.append(f'<g pointer-events="none">{text(x + 5, top + high / 2 + 4, label)}</g>')
    curve = "".join(
        f"{'L' if t else 'M'}{LEFT + t * step:.1f},{y(n):.1f}H{LEFT + (t + 1) * step:.1f}"
        for t, n in enumerate(live_bytes(plan))
    )
    if curve:
        body.append(f'<path class="sc-curve" d="{curve}"/>')
    title = f"the arena of {plan.arena_bytes:,} bytes over {len(plan.steps)} steps"
    return svg(body, width, base + BOTTOM + TOP, title, alone=alone)


def amount(nbytes: float) -> str:
    """Bytes as people write them: 0, 640 B, 12.5 KiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < 1024 or unit == "GiB":
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return ""
