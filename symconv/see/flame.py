"""The flame picture of a profile: bars as wide as their share of the time, what they consist of below."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from symconv.see.drawing import phase_of
from symconv.see.svg import CHARACTER, rect, svg, text

if TYPE_CHECKING:
    from symconv.see.profile import Profile

WIDTH, ROW = 1180.0, 24.0
PAD = 10.0
NARROWEST = 0.4  # pixels; narrower bars are not drawn


@dataclass
class Span:
    """A bar: its name, its microseconds, its kind of fill, and the bars below it."""

    name: str
    kind: str
    us: float = 0.0
    tip: str = ""
    below: dict[str, Span] = field(default_factory=dict)

    def child(self, key: str, kind: str) -> Span:
        return self.below.setdefault(key, Span(key, kind))

    def depth(self) -> int:
        return 1 + max((s.depth() for s in self.below.values()), default=0)


def spans(profile: Profile) -> Span:
    """The time of one run of each plan by phase, user's line, step and kernel."""
    from symconv.see.profile import user_line

    root = Span(profile.name, "constant")
    around: dict[tuple[int, ...], list[Span]] = {}  # (plan, step, step within ...) -> the bars down to it
    for row in profile.rows:
        kind = phase_of(row.line)
        steps = (row.plan, *row.within)
        path = list(around[steps]) if row.within else [root]
        if not row.within:
            if len(profile.timings) > 1:
                path.append(root.child(f"plan {row.plan}", "constant"))
            path.append(path[-1].child(kind, kind))
        path.append(path[-1].child(user_line(row.line) or row.op, kind))
        path.append(path[-1].child(f"{row.label} {row.op}", kind))
        around[steps + (row.step,)] = path  # noqa: RUF005
        path = [*path, path[-1].child(row.kernel, kind)]
        for span in path:
            span.us += row.us
        roof = "" if row.roofline is None else f"\n{100 * row.roofline:.0f} % of the roofline"
        work = f"{row.flops:,} FLOPs, {row.bytes:,} bytes{roof}"
        path[-2].tip = f"{row.line}\n{row.kernel} gives {row.output}\n{work}"
    return root


def flame_svg(profile: Profile, *, alone: bool = True) -> str:
    """The picture, WIDTH wide; every bar says more when the pointer rests on it."""
    root = spans(profile)
    rows = root.depth()
    body: list[str] = []
    total = root.us or 1.0

    def draw(span: Span, x: float, level: int) -> None:
        width = span.us / total * WIDTH
        if width < NARROWEST:
            return
        tip = f"{span.name}\n{span.us:,.2f} us, {100 * span.us / total:.1f} %"
        y = PAD + level * ROW
        body.append(
            rect(x, y, width, ROW - 2, f"sc-{span.kind}", tip + ("\n" + span.tip if span.tip else ""))
        )
        room = int((width - 8) / CHARACTER)
        if room >= 3:
            label = span.name if len(span.name) <= room else span.name[: room - 1] + "…"
            time = f"  {span.us:,.1f} us"
            label += time if len(label) + len(time) <= room else ""
            body.append(f'<g pointer-events="none">{text(x + 4, y + 15, label)}</g>')
        for child in sorted(span.below.values(), key=lambda s: -s.us):
            draw(child, x, level + 1)
            x += child.us / total * WIDTH

    draw(root, PAD, 0)
    title = f"where the {root.us:,.1f} us of a run go"
    return svg(body, WIDTH + 2 * PAD, rows * ROW + 2 * PAD, title, alone=alone)
