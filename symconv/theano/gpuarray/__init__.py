"""theano.gpuarray: what programs ask it, and cuDNN's functions (dnn). Values live where the device is."""

from __future__ import annotations

from typing import Any

from symconv.theano.absent import missing


def on_gpu() -> bool:
    """Whether theano.config.device names a GPU."""
    from symconv.theano.configuration import config

    return str(config.device).startswith(("cuda", "gpu"))


def use(device: str, *args: Any, **kwargs: Any) -> None:
    """theano.config.device = device. Raises DeviceError where there is no such device."""
    from symconv.theano.configuration import config

    config.device = device


def __getattr__(name: str) -> Any:
    return missing("gpuarray", name)
