"""The strokes of a written digit, as a hand would draw it again: the skeleton of its ink, as paths."""

from __future__ import annotations

import numpy as np

FINER = 3  # pixels of the skeleton's picture for one of the image
STEP = 3  # of those, from one point of a path to the next


def strokes(image: np.ndarray) -> list[np.ndarray]:
    """Paths [n, 2] of (x, y) in pixels of an image [H, W], light on dark, along the middle of its ink."""
    height, width = image.shape
    to = [(np.arange(n * FINER) + 0.5) / FINER - 0.5 for n in (height, width)]
    rows = np.array([np.interp(to[1], np.arange(width), row) for row in image])
    fine = np.array([np.interp(to[0], np.arange(height), column) for column in rows.T]).T
    found = []
    for path in paths(skeleton(fine > 0.5 * image.max())):
        step = max(1, min(STEP, len(path) // 4))
        kept = np.append(path[:-1:step], path[-1:], axis=0)
        found.append((kept[:, ::-1] + 0.5) / FINER)
    return found


def skeleton(marked: np.ndarray) -> np.ndarray:
    """Lines one pixel wide.

    T. Zhang, C. Suen, "A fast parallel algorithm for thinning digital patterns", 1984.
    """
    marked = np.pad(marked, 1).astype(np.int8)
    while True:
        before = marked.sum()
        for first in (True, False):
            p = np.pad(marked, 1)
            # The neighbours clockwise from the one above.
            n, ne, e, se, s, sw, w, nw = (
                p[1 + dy : p.shape[0] - 1 + dy, 1 + dx : p.shape[1] - 1 + dx]
                for dy, dx in ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
            )
            ring = np.stack([n, ne, e, se, s, sw, w, nw, n])
            count = ring[:8].sum(0)
            rises = ((ring[:8] == 0) & (ring[1:] == 1)).sum(0)
            sides = (n * e * s == 0) & (e * s * w == 0) if first else (n * e * w == 0) & (n * s * w == 0)
            marked = marked & ~((count >= 2) & (count <= 6) & (rises == 1) & sides)
        if marked.sum() == before:
            return marked[1:-1, 1:-1].astype(bool)


def paths(lines: np.ndarray) -> list[np.ndarray]:
    """Walks [n, 2] over all pixels (row, column) of lines, from their ends where they have any."""
    left = {(int(r), int(c)) for r, c in np.argwhere(lines)}
    everything = set(left)

    def around(p: tuple[int, int], among: set[tuple[int, int]]) -> list[tuple[int, int]]:
        near = [(p[0] + a, p[1] + b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
        return [q for q in near if q in among]

    found = []
    while left:
        start = min(left, key=lambda p: (len(around(p, left)), p))
        walk, at, heading = [start], start, np.zeros(2)
        left.remove(start)
        while near := around(at, left):
            moves = [np.subtract(q, at) for q in near]
            best = max(range(len(near)), key=lambda k: moves[k] @ heading - np.abs(moves[k]).sum())
            heading = 0.6 * heading + moves[best]
            step = near[best]
            left.remove(step)
            walk.append(step)
            at = step
        # A branch begins and ends on the line that it leaves or meets.
        others = everything - set(walk)
        whole = [*around(walk[0], others)[:1], *walk, *around(walk[-1], others)[:1]]
        if len(walk) > 2 or len(everything) < 6:
            found.append(np.array(whole, float))
    return found
