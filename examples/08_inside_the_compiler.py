"""What the compiler does to a network: the graph as written, the rewrites, the plan.

    python examples/08_inside_the_compiler.py

The same for the book's networks, from the command line: symconv explain --net dbl_conv_relu
"""

import numpy as np

import symconv as sc

# A small convolutional layer and its training step, as one would write them down.
x = sc.tensor("float32", (10, 1, 12, 12), "x")
y = sc.ivector("y")
rng = np.random.default_rng(0)
w = sc.shared((rng.normal(size=(4, 1, 5, 5)) / 5).astype("float32"), name="w")
b = sc.shared(np.zeros(4, "float32"), name="b")
v = sc.shared((rng.normal(size=(64, 10)) / 8).astype("float32"), name="v")

convolved = sc.conv2d(x, w) + b.dimshuffle("x", 0, "x", "x")
features = sc.max_pool2d(sc.relu(convolved), 2).flatten(2)
p = sc.softmax(sc.dot(features, v))
cost = -sc.mean(sc.log(p)[sc.arange(y.shape[0]), y])
params = [w, b, v]
updates = [(s, s - 0.1 * g) for s, g in zip(params, sc.grad(cost, params))]
step = sc.function([x, y], cost, updates, name="step")

# Nothing is compiled before the sizes are known: at the first call, or when it is prepared for one.
images, labels = np.ones((10, 1, 12, 12), "float32"), np.arange(10, dtype="int32")
step.prepare(images, labels)
print(step.explain(graph=True, rewrites=True))

# Without rewriting the same expression runs node by node. The values agree; the number of steps does not.
with sc.config(optimize=False):
    plain = sc.function([x, y], cost, name="plain")
    value = plain(images, labels)
rewritten = step(images, labels)
print("\ncost:", float(value), "and rewritten:", float(rewritten))
assert np.isclose(value, rewritten, rtol=1e-5)
