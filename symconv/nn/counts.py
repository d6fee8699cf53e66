"""How many parameters each layer has, as products that show why."""

from __future__ import annotations

from symconv.nn.model import Model


def count_parameters(model: Model) -> str:
    """A line a layer, weights + biases = parameters, and the sum, as the book's chapter 6 counts them.

    20 filters of 5 x 5 weights and a bias each are 20·1·5·5 + 20 = 520; 30 neurons that see all 784 pixels
    are 784·30 + 30 = 23,550.
    """
    rows, everything = [], 0
    for layer in model.layers:
        sizes = [p.variable.type.shape for _, p in layer.named_parameters() if p.trained]
        if sizes:
            total = sum(p.variable.type.size for _, p in layer.named_parameters() if p.trained)
            terms = " + ".join("·".join(map(str, shape)) for shape in sizes)
            rows.append((layer.name or layer.kind, f"{terms} = {total:,}"))
            everything += total
    rows.append(("in all", f"{everything:,}"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {count}" for name, count in rows)
