"""JAX: one jitted step, ten steps unrolled in one jit, or the whole run in one jit (fori_loop or scan).

Convolution is lax.conv or a hand-made im2col with a matrix product: lax.conv is slow on a CPU inside a loop.
Images are channels-last; the first dense layer's rows are permuted once, so that no transpose is left.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.peers.base import Peer, Predictor, Resident, Trainer
from benchmarks.workloads import Conv, Data, Workload

UNROLL = 10


def _to_jax(array: np.ndarray) -> Any:
    import jax

    return jax.device_put(array, may_alias=True)  # asarray would copy


resident = Resident(_to_jax)


def channels_last_rows(
    net: Workload, weights: Sequence[np.ndarray], inverse: bool = False
) -> list[np.ndarray]:
    """Rows of the first dense layer from (C, P, Q) order to (P, Q, C) order, or back."""
    result = list(weights)
    if net.convs:
        last, i = net.convs[-1], 2 * len(net.convs)
        p, c = last.out_size, last.filters
        w = result[i]
        if inverse:
            result[i] = w.reshape(p, p, c, -1).transpose(2, 0, 1, 3).reshape(w.shape)
        else:
            result[i] = w.reshape(c, p, p, -1).transpose(1, 2, 0, 3).reshape(w.shape)
    return [np.ascontiguousarray(w) for w in result]


def conv_pool(layer: Conv, x: Any, w: Any, im2col: bool) -> Any:
    import jax.numpy as jnp
    from jax import lax

    p = layer.conv_size
    if im2col:
        k = layer.kernel
        patches = jnp.concatenate([x[:, r : r + p, s : s + p] for r in range(k) for s in range(k)], -1)
        y = patches @ w.transpose(2, 3, 1, 0).reshape(-1, layer.filters)
    else:
        dims = ("NHWC", "OIHW", "NHWC")
        y = lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=dims)
    # reduce_window's gradient (select and scatter) is slower than that of a maximum over two axes
    cells = (-1, layer.out_size, layer.pool, layer.out_size, layer.pool, layer.filters)
    return y.reshape(cells).max((2, 4))


def net_logits(net: Workload, ps: Sequence[Any], x: Any, key: Any, im2col: bool) -> Any:
    """Logits; `key` is None in inference."""
    import jax
    import jax.numpy as jnp

    act = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "softmax": lambda z: z}
    if net.convs:
        x = x.reshape(-1, net.convs[0].size, net.convs[0].size, 1)
    for layer, w, b in zip(net.layers, ps[::2], ps[1::2]):
        if isinstance(layer, Conv):
            z = conv_pool(layer, x, w, im2col) + b
        else:
            x = x.reshape(x.shape[0], -1)
            if layer.dropout and key is not None:
                key, sub = jax.random.split(key)
                keep = 1 - layer.dropout
                x = jnp.where(jax.random.bernoulli(sub, keep, x.shape), x / keep, 0)
            z = x @ w + b
        x = act[layer.activation](z)
    return x


class JaxTrainer(Trainer):
    def __init__(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> None:
        import jax
        import jax.numpy as jnp
        from jax import lax

        self.net, self.step = net, 0
        n_batches = len(data.labels) // batch
        form, _, conv = config.partition("_")
        im2col = conv == "im2col"
        arrays = resident(data)
        # The hardware-like generator is many times faster than the default threefry on a CPU.
        key = jax.random.key(0, impl="rbg") if net.drops else None
        self.ps = [jnp.asarray(w) for w in channels_last_rows(net, weights)]
        decay, eta = net.decay(batch, len(data.labels)), net.eta

        def cost(ps: Any, x: Any, y: Any, key: Any) -> Any:
            log_p = jax.nn.log_softmax(net_logits(net, ps, x, key, im2col))
            return -jnp.mean(jnp.take_along_axis(log_p, y[:, None], 1))

        def one(step: Any, ps: Any, x_all: Any, y_all: Any) -> Any:
            first = step % n_batches * batch
            x = lax.dynamic_slice_in_dim(x_all, first, batch)
            y = lax.dynamic_slice_in_dim(y_all, first, batch)
            k = None if key is None else jax.random.fold_in(key, step)
            grads = jax.grad(cost)(ps, x, y, k)
            return [
                p - eta * (g + decay * p if decay and i % 2 == 0 else g)
                for i, (p, g) in enumerate(zip(ps, grads))
            ]

        self.advance = self._form(form, one, arrays)
        if form == "unroll":
            self.multiple = UNROLL

    def _form(
        self, form: str, one: Callable[..., Any], arrays: tuple[Any, Any]
    ) -> Callable[[Any, int, int], Any]:
        """advance(ps, first step, number of steps) -> ps. The old weights are given up to the new ones."""
        import jax
        import jax.numpy as jnp
        from jax import lax

        if form == "step":
            f = jax.jit(one, donate_argnums=1)

            def steps(ps: Any, first: int, n: int) -> Any:
                for step in range(first, first + n):
                    ps = f(step, ps, *arrays)
                return ps

            return steps
        if form == "unroll":

            def ten(first: Any, ps: Any, x: Any, y: Any) -> Any:
                for i in range(UNROLL):
                    ps = one(first + i, ps, x, y)
                return ps

            f_ten = jax.jit(ten, donate_argnums=1)

            def tens(ps: Any, first: int, n: int) -> Any:
                for step in range(first, first + n, UNROLL):
                    ps = f_ten(step, ps, *arrays)
                return ps

            return tens
        if form == "scan":

            def scan(indices: Any, ps: Any, x: Any, y: Any) -> Any:
                return lax.scan(lambda ps, i: (one(i, ps, x, y), None), ps, indices)[0]

            f_scan = jax.jit(scan, donate_argnums=1)
            return lambda ps, first, n: f_scan(jnp.arange(first, first + n), ps, *arrays)

        def epoch(first: Any, last: Any, ps: Any, x: Any, y: Any) -> Any:
            return lax.fori_loop(first, last, lambda i, ps: one(i, ps, x, y), ps)

        f_epoch = jax.jit(epoch, donate_argnums=2)
        return lambda ps, first, n: f_epoch(first, first + n, ps, *arrays)

    def run(self, n: int) -> None:
        import jax

        self.ps = jax.block_until_ready(self.advance(self.ps, self.step, n))
        self.step += n

    def weights(self) -> list[np.ndarray]:
        return channels_last_rows(self.net, [np.asarray(p) for p in self.ps], inverse=True)


class JaxPredictor(Predictor):
    def __init__(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> None:
        import jax
        import jax.numpy as jnp
        from jax import lax

        self.batch = batch
        self.n_batches = n_batches = len(data.labels) // batch
        self.form, _, conv = config.partition("_")
        im2col = conv == "im2col"
        self.x = resident(data)[0]
        self.ps = [jnp.asarray(w) for w in channels_last_rows(net, weights)]

        def one(step: Any, ps: Any, x: Any) -> Any:
            x = lax.dynamic_slice_in_dim(x, step % n_batches * batch, batch)
            return jax.nn.softmax(net_logits(net, ps, x, None, im2col))

        if self.form == "epoch":
            self.f = jax.jit(lambda indices, ps, x: lax.map(lambda i: one(i, ps, x), indices))
        else:
            self.f = jax.jit(one)

    def run(self, n: int) -> None:
        import jax
        import jax.numpy as jnp

        if self.form == "epoch":
            jax.block_until_ready(self.f(jnp.arange(n), self.ps, self.x))
        else:
            f, ps, x = self.f, self.ps, self.x
            p = None
            for step in range(n):
                p = f(step, ps, x)
            jax.block_until_ready(p)

    def probabilities(self) -> np.ndarray:
        import jax.numpy as jnp

        p = self.f(jnp.arange(1), self.ps, self.x)[0] if self.form == "epoch" else self.f(0, self.ps, self.x)
        return np.asarray(p)


class JaxPeer(Peer):
    name = "jax"

    def available(self, device: str) -> str | None:
        if importlib.util.find_spec("jax") is None:
            return "JAX is not installed in this environment"
        import jax

        if device == "cuda" and jax.default_backend() != "gpu":
            return f"jax {jax.__version__} sees no GPU"
        return None

    def versions(self) -> dict[str, str]:
        import jax
        import jaxlib

        return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}

    def environment(self, threads: int, device: str) -> dict[str, str]:
        if device != "cpu":
            return {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        env = {"JAX_PLATFORMS": "cpu", "NPROC": str(threads)}
        if threads == 1:
            env["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        return env

    def set_up(self, threads: int, device: str) -> None:
        import jax

        if device == "cuda":  # float32 means float32 on every peer
            jax.config.update("jax_default_matmul_precision", "highest")

    def configs(self, net: Workload, mode: str, device: str) -> list[str]:
        forms = ["step", "unroll", "epoch", "scan"] if mode == "train" else ["step", "epoch"]
        if not net.convs:
            return forms
        # lax.conv inside a loop is ten times slower than outside of it on a CPU: not a sensible form there
        loops = ("epoch", "scan") if device == "cpu" else ()
        return [f + "_lax" for f in forms if f not in loops] + [f + "_im2col" for f in forms]

    def make_trainer(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> Trainer:
        return JaxTrainer(net, config, batch, data, weights)

    def make_predictor(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> Predictor:
        return JaxPredictor(net, config, batch, data, weights)


PEER = JaxPeer()
