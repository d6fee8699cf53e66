"""A first expression: symbols, functions, and what the compiler makes of them.

    python examples/01_first_expression.py

Nothing is computed while an expression is built: a graph grows. `function` compiles it.
"""

import numpy as np

import symconv as sc

# A symbol has a type: float32 (config.floatX) and a number of axes. Its sizes are still open.
x = sc.vector("x")
y = sc.tanh(x) ** 2 + 1
print("y as a graph, each node with the line that made it:")
print(sc.debugprint(y))

# Compiled, it maps arrays to arrays. Sizes are fixed at the first call, and again for every new size.
f = sc.function([x], y)
values = np.linspace(-2, 2, 5, dtype="float32")
print("\nf(x) =", f(values))
assert np.allclose(f(values), np.tanh(values) ** 2 + 1)

# The rewriting passes have merged tanh, square and sum into one loop over the elements.
print("\nThe plan that runs:")
print(f.explain())

# Shapes that cannot fit are found when the expression is written, not when it runs.
w = sc.shared(np.ones((3, 2), "float32"), name="w")
try:
    sc.dot(w, w)
except sc.errors.ShapeError as error:
    print("\nA mistake:\n" + str(error))

# A shared variable keeps its value between calls; `updates` change it, all together, after the outputs.
count = sc.shared(np.zeros((), "int64"), name="count")
tick = sc.function([], count, updates=[(count, count + 1)])
print("\nticks:", int(tick()), int(tick()), int(tick()), "and the variable now holds", int(count.get_value()))

# A thousand calls in one: the loop runs inside the C++ core.
assert tick.loop(1000)[-1] == 1002
print("after a loop of 1000 more:", int(count.get_value()))
