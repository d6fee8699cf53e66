"""Layers that infer their shapes: batch normalisation, a residual block, Adam with a one-cycle rate.

    python examples/07_modular_layers.py [--quick]

The book stops at plain convolutions. These are the parts of what came after it.
"""

import argparse

import symconv as sc
from symconv.nn import (
    Adam,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    GlobalPool,
    Pool,
    Residual,
    Sequential,
    Trainer,
    schedules,
)

parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true", help="few images and epochs: to see that it runs")
parser.add_argument("--epochs", type=int, default=3)
options = parser.parse_args()

data = sc.datasets.mnist(limit=300 if options.quick else 10000)
epochs = 1 if options.quick else options.epochs


def block(channels):
    """x + conv(relu(batch norm(conv(x)))): what is learned is a correction of x."""
    return Residual(
        [
            Conv(channels, 3, padding="same", bias=False),
            BatchNorm(),
            Conv(channels, 3, "relu", padding="same"),
        ]
    )


model = Sequential(
    [
        Conv(16, 5, "relu"),
        Pool(2),
        block(16),
        Conv(32, 3, "relu"),
        Pool(2),
        BatchNorm(),
        GlobalPool("avg"),
        Dropout(0.1),
        Dense(10),
    ],
    input_shape=data.image_shape,
    seed=1,
)
print(model.summary())

# The rate rises and falls once in the whole training. It is set for every step, and compiles nothing anew.
trainer = Trainer(
    model,
    Adam(schedules.OneCycle(0.02, epochs), weight_decay=0.01, decoupled=True),
    mini_batch_size=50,
    shuffle=True,
    patience=3,
    callbacks=[lambda trainer, row: print(f"  the rate is now {row['learning_rate']:.5f}")],
)
history = trainer.fit(data.train, epochs, data.validation, data.test)
print(f"best epoch {history.best_epoch}: test accuracy {100 * history.test_accuracy:.2f} %")
