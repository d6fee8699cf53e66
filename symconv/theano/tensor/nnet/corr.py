"""theano.tensor.nnet.corr: cross-correlation over two axes, as op classes."""

from symconv.theano.tensor.nnet.conv_classes import CorrMM, CorrMM_gradInputs, CorrMM_gradWeights

__all__ = ["CorrMM", "CorrMM_gradInputs", "CorrMM_gradWeights"]
