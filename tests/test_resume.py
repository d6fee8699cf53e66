"""A training that is cut off and goes on gives the bits of one at a go."""

from __future__ import annotations

import numpy as np
import pytest
from nn_helpers import DEVICES, blobs, same_weights

from symconv import nn
from symconv.errors import WeightsError
from symconv.nn import resume
from symconv.nn.schedules import Cosine

pytest.importorskip("safetensors")
TRAIN, VALIDATION, TEST = blobs(45), blobs(40, seed=1), blobs(30, seed=2)
MAKERS = {
    "sgd": lambda: nn.SGD(0.2),
    "momentum": lambda: nn.SGD(Cosine(0.1, 5), momentum=0.9),
    "adam": lambda: nn.Adam(0.01, weight_decay=0.01, decoupled=True),
}


def net(dropout: float = 0.5) -> nn.Model:
    layers = [
        nn.Conv(3, 3), nn.BatchNorm(), nn.Activate("relu"), nn.Flatten(), nn.Dropout(dropout), nn.Dense(4),
    ]  # fmt: skip
    return nn.Sequential(layers, (1, 8, 8), seed=3)


def train(epochs, path=None, optimizer="sgd", device="reference", **options):
    """(model after the training, its history without clocks, its last weights)."""
    model, last = net(), {}
    trainer = nn.Trainer(
        model,
        MAKERS[optimizer](),
        **{
            "mini_batch_size": 9,
            "lmbda": 0.1,
            "shuffle": True,
            "progress": False,
            "device": device,
            **options,
        },
        callbacks=[lambda t, row: last.update(model.get_weights())],
    )
    history = trainer.fit(TRAIN, epochs, VALIDATION, TEST, resume_from=path)
    rows = [{k: v for k, v in row.items() if k not in ("seconds", "images_per_s")} for row in history.epochs]
    return model, (rows, history.best_epoch, history.images, history.stopped), last


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("optimizer", MAKERS)
def test_a_resumed_training_has_the_bits_of_one_at_a_go(optimizer, device, tmp_path):
    whole, history, last = train(5, optimizer=optimizer, device=device)
    path = tmp_path / "state.safetensors"
    for epochs in (1, 3, 5):
        model, resumed, resumed_last = train(epochs, path, optimizer, device)
    assert resumed == history and same_weights(resumed_last, last)
    assert same_weights(model.get_weights(), whole.get_weights())
    best, at_end = resume.read_weights(path)
    assert same_weights(best, whole.get_weights()) and same_weights(at_end, last)


def test_a_finished_training_is_not_taken_again(tmp_path):
    path = tmp_path / "state.npz"
    model, history, _ = train(2, path)
    before = path.read_bytes()
    again, same, last = train(2, path)
    assert same == history and not last and path.read_bytes() == before
    assert same_weights(again.get_weights(), model.get_weights())


def test_a_training_that_stopped_stays_stopped(tmp_path):
    path = tmp_path / "state.npz"
    _, history, _ = train(50, path, patience=1)
    assert history[3] and len(history[0]) < 50
    assert train(50, path, patience=1)[1] == history


def test_a_cut_off_write_leaves_the_state_before(tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    train(1, path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(resume.checkpoint.np, "savez", full)
    _, (rows, *_), _ = train(3, path)  # Ctrl-C ends a training quietly
    monkeypatch.undo()
    assert len(rows) == 2 and path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]
    assert train(3, path)[1] == train(3)[1]


@pytest.mark.parametrize(
    "change, named",
    [
        ({"lmbda": 0.2}, "lmbda: 0.1 in the file, 0.2 now"),
        ({"mini_batch_size": 5}, "mini_batch_size: 9 in the file, 5 now"),
        ({"optimizer": "adam"}, "optimizer: SGD"),
        ({"shuffle": False}, "shuffle: True"),
    ],
)
def test_another_training_is_refused(change, named, tmp_path):
    path = tmp_path / "state.npz"
    train(1, path)
    with pytest.raises(WeightsError, match="another training") as caught:
        train(2, path, **change)
    assert named in str(caught.value)


def test_other_data_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    train(1, path)
    images, labels = TRAIN
    monkeypatch.setitem(globals(), "TRAIN", (images, np.roll(labels, 1)))
    with pytest.raises(WeightsError, match="train: "):
        train(2, path)


def test_a_file_of_weights_alone_is_refused(tmp_path):
    path = tmp_path / "weights.npz"
    net().save(path)
    with pytest.raises(WeightsError, match="not the state of a training"):
        train(1, path)


def test_a_damaged_state_is_refused(tmp_path):
    path = tmp_path / "state.safetensors"
    train(1, path)
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="checksum"):
        train(2, path)
