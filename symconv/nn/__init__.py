"""Networks: layers and training as in the book's network3.py, modular layers, optimisers, checkpoints."""

from __future__ import annotations

from symconv.nn import schedules
from symconv.nn.activations import layer_outputs
from symconv.nn.augment import Augmentation
from symconv.nn.book import ConvPoolLayer, FullyConnectedLayer, Network, SoftmaxLayer
from symconv.nn.committee import Committee
from symconv.nn.counts import count_parameters
from symconv.nn.history import History
from symconv.nn.hyper import LogUniform, Trial, Uniform, grid, sample, search
from symconv.nn.layer import Layer, ReLU, linear, sigmoid, tanh
from symconv.nn.metrics import accuracy, confusion_matrix
from symconv.nn.model import Model, Sequential
from symconv.nn.modules import Activate, BatchNorm, Conv, Dense, Dropout, Flatten, GlobalPool, Pool, Residual
from symconv.nn.nets import NETS, Net, net
from symconv.nn.optimizers import SGD, Adam, Optimizer, RMSProp
from symconv.nn.progress import Progress
from symconv.nn.replicas import fit_replicas
from symconv.nn.saved import load
from symconv.nn.trainer import Trainer
from symconv.nn.views import Views

__all__ = [
    "NETS",
    "SGD",
    "Activate",
    "Adam",
    "Augmentation",
    "BatchNorm",
    "Committee",
    "Conv",
    "ConvPoolLayer",
    "Dense",
    "Dropout",
    "Flatten",
    "FullyConnectedLayer",
    "GlobalPool",
    "History",
    "Layer",
    "LogUniform",
    "Model",
    "Net",
    "Network",
    "Optimizer",
    "Pool",
    "Progress",
    "RMSProp",
    "ReLU",
    "Residual",
    "Sequential",
    "SoftmaxLayer",
    "Trainer",
    "Trial",
    "Uniform",
    "Views",
    "accuracy",
    "confusion_matrix",
    "count_parameters",
    "fit_replicas",
    "grid",
    "layer_outputs",
    "linear",
    "load",
    "net",
    "sample",
    "schedules",
    "search",
    "sigmoid",
    "tanh",
]
