"""theano.tensor.nnet.corr3d: cross-correlation over three axes, as op classes."""

from symconv.theano.tensor.nnet.conv_classes import Corr3dMM, Corr3dMM_gradInputs, Corr3dMM_gradWeights

__all__ = ["Corr3dMM", "Corr3dMM_gradInputs", "Corr3dMM_gradWeights"]
