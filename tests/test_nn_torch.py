"""One training step of every network, and some of every optimiser, against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from nn_helpers import DEVICES, blobs

import symconv as sc
from symconv import nn
from symconv.graph.traversal import toposort
from symconv.nn.trainer import training_step

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
F = torch.nn.functional
ACTIVATION = {"sigmoid": torch.sigmoid, "relu": torch.relu, "linear": lambda z: z}


def images(n: int, shape: tuple[int, ...], classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    # With this seed no window of the book's nets has two maxima that rounding could take for one another.
    rng = np.random.default_rng(18)
    x = rng.uniform(0, 1, (n, int(np.prod(shape)))) * rng.integers(0, 2, (n, int(np.prod(shape))))
    return x.astype("float32"), rng.integers(0, classes, n).astype("int32")


def masks(model: nn.Model, n: int) -> list[np.ndarray]:
    """The dropout masks of the first step, layer by layer."""
    found = []
    for node in toposort([model.training_scores]):
        if node.op.name == "dropout":
            ones = np.ones((n, *node.inputs[0].type.shape[1:]), "float32")
            found.append(node.op.reference(ones, np.asarray(0)))
    return found


def forward(
    model: nn.Network, x: torch.Tensor, w: dict[str, torch.Tensor], drop: list[np.ndarray]
) -> torch.Tensor:
    """network3's forward pass in training, in PyTorch."""
    drop = list(drop)
    for layer in model.layers:
        if isinstance(layer, nn.ConvPoolLayer):
            x = F.conv2d(x.reshape(-1, *layer.image_shape[1:]), w[f"{layer.name}.w"])
            x = F.max_pool2d(x, layer.poolsize) + w[f"{layer.name}.b"][:, None, None]
        else:
            x = x.flatten(1)
            if layer.p_dropout:
                x = x * torch.tensor(drop.pop(0), dtype=torch.float64)
            x = x @ w[f"{layer.name}.w"] + w[f"{layer.name}.b"]
        x = ACTIVATION[getattr(layer, "activation_fn", "linear")](x)
    assert not drop
    return x


def torch_weights(model: nn.Model) -> dict[str, torch.Tensor]:
    return {
        k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in model.get_weights().items()
    }


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", list(nn.NETS))
def test_one_step_of_every_net_is_pytorchs(name, device):
    recipe, n = nn.net(name), 10
    model = recipe.build(seed=3)
    rng = np.random.default_rng(0)
    softmax = model.layers[-1].w  # zeros would hide the gradients below
    softmax.set_value(rng.normal(0, 0.3, softmax.type.shape).astype("float32"))
    x, y = images(n, (784,))
    w = torch_weights(model)
    scores = forward(model, torch.tensor(x, dtype=torch.float64), w, masks(model, n))
    cost = F.cross_entropy(scores, torch.tensor(y, dtype=torch.int64))
    l2 = sum((w[k] ** 2).sum() for k in w if k.endswith(".w"))
    (cost + 0.5 * recipe.lmbda * l2).backward()
    before = model.get_weights()
    step = training_step(model, nn.SGD(recipe.eta), (x, y), n, recipe.lmbda, device=device)
    np.testing.assert_allclose(step(0), cost.item(), rtol=2e-6)
    for key, new in model.get_weights().items():
        gradient = w[key].grad.numpy()
        moved = (new.astype("float64") - before[key]) / -recipe.eta
        # Each image may round the new weight to float32: so is what can be seen of the gradient.
        rounding = 2**-24 * np.abs(before[key]).max() / recipe.eta
        assert np.abs(gradient).max() > 5 * n * rounding, key
        np.testing.assert_allclose(
            moved, gradient, rtol=1e-4, atol=n * rounding + 3e-6 * np.abs(gradient).max(), err_msg=key
        )


OPTIMIZERS = {
    "sgd": (nn.SGD(0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "momentum": (
        nn.SGD(0.05, momentum=0.9, weight_decay=0.02),
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.02),
    ),
    "nesterov": (
        nn.SGD(0.05, momentum=0.8, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.8, nesterov=True),
    ),
    "rmsprop": (
        nn.RMSProp(0.01, decay=0.9, weight_decay=0.1),
        lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9, weight_decay=0.1),
    ),
    "adam": (
        nn.Adam(0.02, beta1=0.8, weight_decay=0.1),
        lambda p: torch.optim.Adam(p, 0.02, betas=(0.8, 0.999), weight_decay=0.1),
    ),
    "adamw": (
        nn.Adam(0.02, weight_decay=0.3, decoupled=True),
        lambda p: torch.optim.AdamW(p, 0.02, weight_decay=0.3),
    ),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_are_pytorchs(name, device):
    ours, theirs = OPTIMIZERS[name]
    rng = np.random.default_rng(1)
    start, target = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    w = sc.shared(start.astype("float32"), "w")
    cost = sc.mean((w - target.astype("float32")) ** 2 * 3.0)
    step = sc.function([], cost, ours.updates([w], [sc.grad(cost, w)], {w}), device=device)
    p = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = theirs([p])
    for _ in range(6):
        optimizer.zero_grad()
        loss = (3 * (p - torch.tensor(target)) ** 2).mean()
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(step(), loss.item(), rtol=1e-5)
        np.testing.assert_allclose(w.get_value(), p.detach().numpy(), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_a_modular_network_trains_as_pytorchs(device):
    layers = [
        nn.Conv(4, 3, "tanh", padding=1),  # after a relu that is never 0 its bias has no gradient, but noise
        nn.BatchNorm(),
        nn.Pool(2, "avg"),
        nn.Residual([nn.Conv(4, 3, "tanh", padding="same")]),
        nn.Pool(2),
        nn.Flatten(),
        nn.Dense(6, "elu"),
        nn.Dense(4),
    ]
    model = nn.Sequential(layers, (1, 8, 8), seed=0)
    names = iter(("conv1", "batch_norm1", "residual1.conv1", "dense1", "dense2"))
    x, y = blobs(30)
    parts = [
        torch.nn.Conv2d(1, 4, 3, padding=1),
        torch.nn.BatchNorm2d(4, momentum=0.1),
        torch.nn.Conv2d(4, 4, 3, padding=1),
        torch.nn.Linear(16, 6),
        torch.nn.Linear(6, 4),
    ]
    weights = {k: torch.tensor(v) for k, v in model.get_weights().items()}
    with torch.no_grad():
        for part in parts:
            name = next(names)
            if isinstance(part, torch.nn.BatchNorm2d):
                continue
            w = weights[f"{name}.w"]
            part.weight.copy_(w.T if isinstance(part, torch.nn.Linear) else w)
            part.bias.copy_(weights[f"{name}.b"])
    conv, norm, inner, dense1, dense2 = parts

    def run(x):
        z = F.avg_pool2d(norm(torch.tanh(conv(x))), 2)
        z = F.max_pool2d(z + torch.tanh(inner(z)), 2).flatten(1)
        return dense2(F.elu(dense1(z)))

    optimizer = torch.optim.Adam([p for part in parts for p in part.parameters()], 0.01)
    step = training_step(model, nn.Adam(0.01), (x, y), 10, device=device)
    for i in range(3):
        optimizer.zero_grad()
        rows = slice(10 * i, 10 * i + 10)
        loss = F.cross_entropy(
            run(torch.tensor(x[rows]).reshape(-1, 1, 8, 8)), torch.tensor(y[rows], dtype=torch.int64)
        )
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(step(i), loss.item(), rtol=1e-4)
    norm.eval()
    with torch.no_grad():
        theirs = torch.softmax(run(torch.tensor(x).reshape(-1, 1, 8, 8)), 1).numpy()
    np.testing.assert_allclose(model.predict_proba(x), theirs, atol=2e-4)
    np.testing.assert_allclose(model.get_weights()["batch_norm1.var"], norm.running_var.numpy(), rtol=1e-4)
