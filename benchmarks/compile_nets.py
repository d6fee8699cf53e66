"""The nets of benchmarks/compile.py in each framework: python -m benchmarks.compile_nets PEER NET DEPTH.

Prints one line of JSON: `seconds` from the net as the user wrote it to the end of the first training step,
less a second step. The nets: dbl_conv_relu; residual: blocks of 3x3 convolution, batch norm, ReLU and a skip,
16 channels of 28x28; dense: layers of 32 tanh; chain: element-wise operations on ten numbers. Batch 10,
gradients by all weights, momentum (chain: the gradient by its input). calls: seconds of one call of x + 1.
cuda_start: dbl_conv_relu's plan for a GPU, its persistent kernel's source, and sm_90's machine code, from
the cache in every round but the first; without a driver, so without loading it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[[], Any]
RNG = np.random.default_rng(0)
IMAGES = RNG.random((10, 784), dtype=np.float32)
LABELS = RNG.integers(0, 10, 10).astype(np.int32)
NUMBERS = np.full(10, 0.5, np.float32)


def symconv_net(net: str, depth: int) -> Callable[[], Step]:
    import symconv as sc
    from symconv import nn
    from symconv.nn.nets import net as book_net
    from symconv.nn.optimizers import SGD
    from symconv.nn.trainer import training_step

    if net == "calls":
        x = sc.vector("x")
        f = sc.function([x], x + 1, device="cpu")
        return lambda: lambda: f(NUMBERS)
    if net == "chain":

        def chain() -> Step:
            x = h = sc.vector("x")
            for _ in range(depth // 2):
                h = sc.tanh(h) * x
            f = sc.function([x], sc.grad(h.sum(), x), device="cpu")
            return lambda: f(NUMBERS)

        return chain
    if net == "cuda_start":
        return cuda_start()
    if net == "dbl_conv_relu":
        model: Any = book_net(net).build(seed=1)
    elif net == "dense":
        model = nn.Sequential([*(nn.Dense(32, "tanh") for _ in range(depth)), nn.Dense(10)], (784,), seed=1)
    else:
        block = lambda: [nn.Conv(16, 3, padding=1, bias=False), nn.BatchNorm(), nn.Activate("relu")]  # noqa: E731
        blocks = [nn.Residual(block()) for _ in range(depth)]
        layers = [nn.Conv(16, 3, padding=1), *blocks, nn.GlobalPool(), nn.Dense(10)]
        model = nn.Sequential(layers, (1, 28, 28), seed=1)

    def make() -> Step:
        f = training_step(model, SGD(0.01, momentum=0.9), (IMAGES, LABELS), 10, device="cpu")
        return lambda: f(0)

    return make


def cuda_start() -> Callable[[], Step]:
    from symconv import nn
    from symconv.backends.gpu import emulator, nvrtc  # noqa: F401 - imports are not in the time
    from symconv.backends.gpu.persistent import persistent_source
    from symconv.nn.trainer import training_step
    from symconv.plan.gpu import phases

    model = nn.net("dbl_conv_relu").build(seed=1)

    def make() -> Step:
        step = training_step(model, nn.SGD(0.01), (IMAGES, LABELS), 10, device="emulated")
        program = step.prepare(0).program
        nvrtc.cubin(persistent_source(program, phases(program))[0], 90).read_bytes()
        return lambda: None

    return make


def torch_net(net: str, depth: int) -> Callable[[], Step]:
    import torch
    from torch import nn
    from torch.nn import functional as F  # noqa: N812

    torch.set_num_threads(1)
    torch._dynamo.config.recompile_limit = 1000
    numbers = torch.from_numpy(NUMBERS)
    if net == "calls":
        f = torch.compile(lambda x: x + 1)
        return lambda: lambda: f(numbers)
    if net == "chain":

        def chain(x: torch.Tensor) -> torch.Tensor:
            h = x
            for _ in range(depth // 2):
                h = torch.tanh(h) * x
            return h.sum()

        def make_chain() -> Step:
            gradient = torch.compile(torch.func.grad(chain))
            return lambda: gradient(numbers)

        return make_chain

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + F.relu(self.norm(self.conv(x)))

    shape = nn.Unflatten(1, (1, 28, 28))
    if net == "dense":
        sizes = [784] + [32] * depth
        layers: list[nn.Module] = [
            m for a, b in zip(sizes[:-1], sizes[1:]) for m in (nn.Linear(a, b), nn.Tanh())
        ]
        layers.append(nn.Linear(32, 10))
    elif net == "residual":
        blocks = [Residual() for _ in range(depth)]
        layers = [shape, nn.Conv2d(1, 16, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        layers.append(nn.Linear(16, 10))
    else:
        layers = [shape, nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(20, 40, 5)]
        layers += [
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(640, 100),
            nn.ReLU(),
            nn.Linear(100, 10),
        ]
    model = nn.Sequential(*layers)
    images, labels = torch.from_numpy(IMAGES), torch.from_numpy(LABELS).long()
    velocity = [torch.zeros_like(p) for p in model.parameters()]

    def make() -> Step:
        loss = torch.compile(lambda: F.cross_entropy(model(images), labels))

        def step() -> None:
            cost = loss()
            grads = torch.autograd.grad(cost, list(model.parameters()))
            with torch.no_grad():
                torch._foreach_mul_(velocity, 0.9)
                torch._foreach_add_(velocity, grads)
                torch._foreach_add_(list(model.parameters()), velocity, alpha=-0.01)

        return step

    return make


def jax_net(net: str, depth: int) -> Callable[[], Step]:
    import jax
    import jax.numpy as jnp

    if net == "calls":
        f = jax.jit(lambda x: x + 1)
        numbers = jnp.asarray(NUMBERS)
        return lambda: lambda: f(numbers).block_until_ready()
    if net == "chain":

        def chain(x: Any) -> Any:
            h = x
            for _ in range(depth // 2):
                h = jnp.tanh(h) * x
            return h.sum()

        def make_chain() -> Step:
            gradient = jax.jit(jax.grad(chain))
            return lambda: gradient(NUMBERS).block_until_ready()

        return make_chain

    def draw(*shape: int) -> np.ndarray:
        return 0.1 * RNG.standard_normal(shape, dtype=np.float32)

    def conv(x: Any, w: Any, padding: str) -> Any:
        return jax.lax.conv_general_dilated(x, w, (1, 1), padding)

    def pool(x: Any) -> Any:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def scores(params: list[Any], x: Any) -> Any:
        if net == "dense":
            for w, b in params[:-1]:
                x = jnp.tanh(x @ w + b)
            return x @ params[-1][0] + params[-1][1]
        x = x.reshape(-1, 1, 28, 28)
        if net == "dbl_conv_relu":
            for w, b in params[:2]:
                x = jax.nn.relu(pool(conv(x, w, "VALID")) + b[:, None, None])
            x = jax.nn.relu(x.reshape(len(x), -1) @ params[2][0] + params[2][1])
            return x @ params[3][0] + params[3][1]
        x = conv(x, params[0], "SAME")
        for w, gamma, beta in params[1:-1]:
            y = conv(x, w, "SAME")
            mean, var = y.mean((0, 2, 3), keepdims=True), y.var((0, 2, 3), keepdims=True)
            y = gamma[:, None, None] * (y - mean) / jnp.sqrt(var + 1e-5) + beta[:, None, None]
            x = x + jax.nn.relu(y)
        return x.mean((2, 3)) @ params[-1]

    if net == "dense":
        sizes = [784] + [32] * depth + [10]
        params: list[Any] = [(draw(a, b), draw(b)) for a, b in zip(sizes[:-1], sizes[1:])]
    elif net == "dbl_conv_relu":
        params = [(draw(20, 1, 5, 5), draw(20)), (draw(40, 20, 5, 5), draw(40))]
        params += [(draw(640, 100), draw(100)), (draw(100, 10), draw(10))]
    else:
        blocks = [(draw(16, 16, 3, 3), draw(16), draw(16)) for _ in range(depth)]
        params = [draw(16, 1, 3, 3), *blocks, draw(16, 10)]

    def cost(params: list[Any]) -> Any:
        return -jax.nn.log_softmax(scores(params, IMAGES))[jnp.arange(10), LABELS].mean()

    def update(params: list[Any], velocity: list[Any]) -> Any:
        grads = jax.grad(cost)(params)
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, grads)
        return jax.tree.map(lambda p, v: p - 0.01 * v, params, velocity), velocity

    def make() -> Step:
        step, zeros = jax.jit(update), jax.tree.map(np.zeros_like, params)
        return lambda: jax.block_until_ready(step(params, zeros))

    return make


PEERS = {"symconv": symconv_net, "torch": torch_net, "jax": jax_net}


def main(peer: str, net: str, depth: int) -> dict[str, Any]:
    make = PEERS[peer](net, depth)  # imports, weights
    started = time.perf_counter()
    step = make()
    step()
    first = time.perf_counter() - started
    started = time.perf_counter()
    step()
    second = time.perf_counter() - started
    if net != "calls":
        return {"seconds": first - second}
    best = float("inf")
    for _ in range(20):
        started = time.perf_counter()
        for _ in range(5000):
            step()
        best = min(best, (time.perf_counter() - started) / 5000)
    return {"seconds": best}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
