"""Gradients: symbolic, of anything, again and again.

    python examples/02_gradients.py

`grad` walks the graph backwards and gives new expressions, which can be compiled, printed, and
differentiated once more.
"""

import numpy as np

import symconv as sc

# d/dx of sin(x) * x^2, and its derivative again.
x = sc.dscalar("x")  # d: float64
y = sc.sin(x) * x**2
dy = sc.grad(y, x)
ddy = sc.grad(dy, x)
f = sc.function([x], [y, dy, ddy])
print("y, y', y'' at 1.3:", *(float(v) for v in f(1.3)))

# Checked by finite differences.
h = 1e-4
numeric = (f(1.3 + h)[0] - f(1.3 - h)[0]) / (2 * h)
print("(y(x + h) - y(x - h)) / 2h:", float(numeric))
assert abs(numeric - f(1.3)[1]) < 1e-6

# A gradient has the shape of what it is taken by, whatever happened in between: here broadcasting.
a, b = sc.dmatrix("a"), sc.dvector("b")
cost = sc.sum(sc.sigmoid(a + b) ** 2)
da, db = sc.function([a, b], sc.grad(cost, [a, b]))(np.ones((3, 4)), np.zeros(4))
print("shapes:", da.shape, db.shape)
assert np.allclose(da.sum(0), db)

# Newton's method for the minimum of a function of two variables, with its Hessian matrix.
p = sc.shared(np.array([-1.0, 1.5]), name="p")
rosenbrock = (1 - p[0]) ** 2 + 10 * (p[1] - p[0] ** 2) ** 2
newton = sc.function([], [rosenbrock, sc.grad(rosenbrock, p), sc.hessian(rosenbrock, p)])
for step in range(7):
    value, slope, curvature = newton()
    print(f"step {step}: p = {p.get_value()}, value {float(value):.2e}")
    p.set_value(p.get_value() - np.linalg.solve(curvature, slope))
assert np.allclose(p.get_value(), [1, 1])

# What a cost does not depend on is an error, unless you say that zeros will do.
other = sc.shared(1.0, name="other")
try:
    sc.grad(rosenbrock, other)
except sc.errors.DisconnectedInputError as error:
    print("\n" + str(error))
assert sc.grad(rosenbrock, other, disconnected_inputs="ignore").eval() == 0
