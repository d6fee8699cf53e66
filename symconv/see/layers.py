"""A layered drawing of a directed acyclic graph: producers above consumers, few crossings, straight edges.

The four steps of Sugiyama, Tagawa and Toda (1981): rows by longest path, long edges cut by points in the rows
between, order within rows by barycentres, places by least squares. The last one is exact for each row: with
the order and the widths fixed, sum of weight * (x - wanted)^2 is least by pooling neighbours that would
overlap (isotonic regression).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

SWEEPS = 12  # over the rows, downwards and upwards in turn, for their order
SETTLING = 40  # and for the places in them
MAX_POINTS = 30_000  # on long edges; beyond, the longest edges are drawn straight across the rows
GAP_X, GAP_Y = 18.0, 34.0
POINT_WIDTH = 6.0
STRAIGHTNESS = 8.0  # weight of a point on a long edge against that of a box

Point = tuple[float, float]


@dataclass
class Layout:
    """Centres of the boxes, the points that every edge passes between its ends, and the size of it all."""

    centres: list[Point]
    bends: list[list[Point]]
    width: float
    height: float


@dataclass
class _Grid:
    rows: list[list[int]]
    widths: list[float]
    above: list[list[int]]
    below: list[list[int]]
    chains: list[list[int]] = field(default_factory=list)  # per edge, its points


def lay_out(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Layout:
    """Places for boxes of these (width, height); edges (from, to) lead from boxes with a lower index.

    The boxes must be sorted so: producers first.
    """
    if not sizes:
        return Layout([], [[] for _ in edges], 0.0, 0.0)
    ranks = _ranks(len(sizes), edges)
    grid = _grid(sizes, edges, ranks)
    _order(grid)
    x = _places(grid, len(sizes))
    tops: list[float] = []
    y = 0.0
    for row in grid.rows:
        height = max((sizes[b][1] for b in row if b < len(sizes)), default=0.0)
        tops.append(y + height / 2)
        y += height + GAP_Y
    row_of = {b: r for r, row in enumerate(grid.rows) for b in row}
    left = min(x[b] - grid.widths[b] / 2 for b in range(len(x)))
    right = max(x[b] + grid.widths[b] / 2 for b in range(len(x)))
    at = [(x[b] - left, tops[row_of[b]]) for b in range(len(x))]
    bends = [[at[p] for p in chain] for chain in grid.chains]
    return Layout(at[: len(sizes)], bends, right - left, y - GAP_Y)


def _ranks(n: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The row of each box: below all its producers, moved down to its consumers where that shortens edges.

    drag: edges that grow with every row that a box moves down. A producer of this box alone comes along, and
    drags what it drags.
    """
    into: list[list[int]] = [[] for _ in range(n)]
    out: list[list[int]] = [[] for _ in range(n)]
    for a, b in edges:
        into[b].append(a)
        out[a].append(b)
    rank, drag = [0] * n, [0] * n
    for b in range(n):
        rank[b] = max((rank[a] + 1 for a in into[b]), default=0)
        drag[b] = sum(min(1, drag[a]) if len(out[a]) == 1 else 1 for a in into[b])
    for a in reversed(range(n)):
        if out[a] and len(out[a]) >= drag[a]:
            rank[a] = min(rank[b] for b in out[a]) - 1
    first = min(rank)
    return [r - first for r in rank]


def _grid(
    sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]], ranks: Sequence[int]
) -> _Grid:
    n = len(sizes)
    rows: list[list[int]] = [[] for _ in range(max(ranks) + 1)]
    for b in range(n):
        rows[ranks[b]].append(b)
    grid = _Grid(rows, [w for w, _ in sizes], [[] for _ in range(n)], [[] for _ in range(n)])
    spans = sorted(ranks[b] - ranks[a] - 1 for a, b in edges)
    longest, points = 0, 0
    for span in spans:
        points += span
        if points > MAX_POINTS:
            break
        longest = span
    for a, b in edges:
        chain: list[int] = []
        if ranks[b] - ranks[a] - 1 <= longest:
            before = a
            for r in range(ranks[a] + 1, ranks[b]):
                p = len(grid.widths)
                grid.widths.append(POINT_WIDTH)
                grid.above.append([before])
                grid.below.append([])
                grid.below[before].append(p)
                rows[r].append(p)
                chain.append(p)
                before = p
            grid.below[before].append(b)
            grid.above[b].append(before)
        grid.chains.append(chain)
    return grid


def _order(grid: _Grid) -> None:
    """Sort rows by the mean place of the neighbours, back and forth; keep the order with fewest crossings."""
    rows, place = grid.rows, [0.0] * len(grid.widths)

    def number(row: list[int]) -> None:
        for k, b in enumerate(row):
            place[b] = k

    for row in rows:
        number(row)
    best, fewest = [list(row) for row in rows], _crossings(grid, place)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = grid.above if down else grid.below
        for row in rows if down else reversed(rows):
            means = {b: sum(place[i] for i in near[b]) / len(near[b]) if near[b] else place[b] for b in row}
            row.sort(key=means.__getitem__)
            number(row)
        count = _crossings(grid, place)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
    grid.rows[:] = best


def _crossings(grid: _Grid, place: Sequence[float]) -> int:
    """Pairs of edges between neighbouring rows that cross: inversions, counted with a binary indexed tree."""
    total = 0
    for r, row in enumerate(grid.rows[:-1]):
        size = len(grid.rows[r + 1])
        tree = [0] * (size + 1)
        seen = 0
        for b in row:
            ends = sorted(int(place[c]) for c in grid.below[b])
            for end in ends:
                i, before = end + 1, 0
                while i:
                    before += tree[i]
                    i &= i - 1
                total += seen - before
            for end in ends:
                i = end + 1
                while i <= size:
                    tree[i] += 1
                    i += i & -i
            seen += len(ends)
    return total


def _places(grid: _Grid, boxes: int) -> list[float]:
    """x of the centre of every box and point."""
    x = [0.0] * len(grid.widths)
    for row in grid.rows:
        at = 0.0
        for b in row:
            x[b] = at + grid.widths[b] / 2
            at += grid.widths[b] + GAP_X
    for sweep in range(SETTLING):
        down = sweep % 2 == 0
        for row in grid.rows if down else reversed(grid.rows):
            wanted, weights = [], []
            for b in row:
                near = (grid.above[b] or grid.below[b]) if down else (grid.below[b] or grid.above[b])
                if (
                    sweep >= SETTLING // 2
                ):  # both sides: the first half brings neighbours together, this evens out
                    near = grid.above[b] + grid.below[b]
                wanted.append(_median([x[i] for i in near]) if near else x[b])
                weights.append((STRAIGHTNESS if b >= boxes else 1.0) * (1.0 if near else 0.1))
            for b, value in zip(row, _spread(wanted, weights, [grid.widths[b] for b in row])):
                x[b] = value
    return x


def _median(values: list[float]) -> float:
    values.sort()
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def _spread(wanted: Sequence[float], weights: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The x nearest to `wanted` that keep the order with a gap between: pooled adjacent violators."""
    shift, at = [], 0.0
    for k, width in enumerate(widths):
        narrow = k and width == widths[k - 1] == POINT_WIDTH  # edges side by side
        at += (widths[k - 1] + width) / 2 + (GAP_X / 3 if narrow else GAP_X) if k else 0.0
        shift.append(at)
    blocks: list[list[float]] = []  # [weighted sum, weight, members]
    for value, weight, s in zip(wanted, weights, shift):
        blocks.append([(value - s) * weight, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, mass, members = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += mass
            blocks[-1][2] += members
    result: list[float] = []
    for total, mass, members in blocks:
        result += [total / mass] * int(members)
    return [value + s for value, s in zip(result, shift)]
