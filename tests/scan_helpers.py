"""What the tests of sc.scan share: devices, loops in a plan, differences, draws."""

import numpy as np
import pytest

import symconv as sc
from symconv.loops import Scan

DEVICES = ["reference", "cpu"]
RNG = np.random.default_rng(5)


@pytest.fixture(params=DEVICES)
def on_devices(request):
    with sc.config(device=request.param, verify_rewrites=True):
        yield request.param


def loops_of(f):
    """The Scan nodes of the function's only plan, after rewriting."""
    (executable,) = f.executables
    return [n for n in executable.graph.nodes() if isinstance(n.op, Scan)]


def numeric(f, arrays, which, eps=1e-6):
    """d f / d arrays[which] by central differences."""
    x = arrays[which]
    out = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = [a.copy() for a in arrays]
            moved[which][at] += sign * eps
            ends.append(f(*moved))
        out[at] = (ends[0] - ends[1]) / (2 * eps)
    return out


def draw(*shape):
    return RNG.standard_normal(shape)
