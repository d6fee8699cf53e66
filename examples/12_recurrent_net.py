"""A recurrent net learns to add: the sum of the two marked numbers of a sequence, with `sc.scan`."""

import numpy as np

import symconv as sc

STEPS, BATCH, UNITS = 8, 32, 24


def batch(rng):
    """x [steps, batch, 2]: numbers, and marks on two of them; y [batch]: the sum of the marked numbers."""
    x = np.zeros((STEPS, BATCH, 2), "float32")
    x[:, :, 0] = rng.random((STEPS, BATCH))
    for k in range(BATCH):
        x[rng.choice(STEPS, 2, replace=False), k, 1] = 1
    return x, (x[:, :, 0] * x[:, :, 1]).sum(0)


def main(updates=2000):
    rng = np.random.default_rng(0)

    def parameter(*shape):
        return sc.shared((rng.standard_normal(shape) / np.sqrt(shape[0])).astype("float32"))

    u, w, b, v = (
        parameter(2, UNITS),
        parameter(UNITS, UNITS),
        sc.shared(np.zeros(UNITS, "f")),
        parameter(UNITS),
    )
    x, y = sc.tensor3("x"), sc.vector("y")
    h, _ = sc.scan(
        lambda row, h: sc.tanh(sc.dot(row, u) + sc.dot(h, w) + b),
        x,
        sc.zeros((x.shape[1], UNITS)),
        name="rnn",
    )
    cost = sc.mean((sc.dot(h[-1], v) - y) ** 2)
    parameters = [u, w, b, v]
    step = sc.function(
        [x, y], cost, updates=[(p, p - 0.05 * g) for p, g in zip(parameters, sc.grad(cost, parameters))]
    )
    costs = [float(step(*batch(rng))) for _ in range(updates)]
    tenth = max(1, updates // 10)
    print(
        f"mean squared error: {np.mean(costs[:tenth]):.3f} at first, {np.mean(costs[-tenth:]):.3f} at the end"
    )
    return costs


if __name__ == "__main__":
    main()
