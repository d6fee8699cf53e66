"""A training loop of one's own: momentum, shuffling, and a rate that falls when progress ends.

    python examples/06_custom_training_loop.py [--quick]

symconv.nn.Trainer does all this and more; here it is in the open, to be changed.
"""

import argparse

import numpy as np

import symconv as sc

parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true", help="few images and epochs: to see that it runs")
quick = parser.parse_args().quick

data = sc.datasets.mnist(limit=1000 if quick else None)
epochs, batch = (2 if quick else 15), 20
rng = np.random.default_rng(1)

# A network of two layers, with ReLU, from operations alone.
x, y = sc.matrix("x"), sc.ivector("y")
w1 = sc.shared((rng.normal(size=(784, 64)) * np.sqrt(2 / 784)).astype("float32"), name="w1")
b1 = sc.shared(np.zeros(64, "float32"), name="b1")
w2 = sc.shared((rng.normal(size=(64, 10)) * np.sqrt(1 / 64)).astype("float32"), name="w2")
b2 = sc.shared(np.zeros(10, "float32"), name="b2")
params = [w1, b1, w2, b2]
scores = sc.dense(sc.relu(sc.dense(x, w1, b1)), w2, b2)
cost = sc.mean(sc.cross_entropy_with_logits(scores, y))

# The learning rate is a shared variable: to change it compiles nothing anew.
eta = sc.shared(np.float32(0.05), name="eta")
momentum = 0.9
updates = []
for w, dw in zip(params, sc.grad(cost, params)):
    v = sc.shared(np.zeros_like(w.get_value()), name=f"velocity of {w.name}")
    new_v = momentum * v - eta * dw
    updates += [(v, new_v), (w, w + new_v)]

# Each epoch visits the images in another order: mini-batch i takes rows order[i * batch : ...].
images, labels = sc.shared(data.train.images), sc.shared(data.train.labels)
order = sc.shared(np.arange(len(data.train)), name="order")
i = sc.lscalar("i")
rows = order[i * batch : (i + 1) * batch]
train = sc.function([i], cost, updates, givens={x: images[rows], y: labels[rows]}, name="train")
wrong = sc.function([x, y], sc.mean(sc.neq(sc.argmax(scores, axis=1), y)), name="wrong")

best, best_weights, patience = 1.0, [], 0
for epoch in range(1, epochs + 1):
    order.set_value(rng.permutation(len(data.train)))
    costs = train.map(np.arange(len(data.train) // batch))
    error = float(wrong(*data.validation))
    print(f"epoch {epoch}: cost {costs.mean():.4f}, validation error {100 * error:.2f} %")
    if error < best:
        best, best_weights, patience = error, [w.get_value() for w in params], 0
        continue
    patience += 1
    if patience == 2:  # no gain in two epochs: smaller steps
        eta.set_value(eta.get_value() / 4)
        print(f"  the learning rate is now {eta.get_value():g}")
        patience = 0

for w, value in zip(params, best_weights):
    w.set_value(value)
print(f"test error {100 * float(wrong(*data.test)):.2f} %")
assert wrong(*data.test) < (0.3 if quick else 0.03)
