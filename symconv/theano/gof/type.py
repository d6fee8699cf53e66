"""theano.gof.type: types of values other than tensors are not supported, but for `generic`, of shared
variables that no graph holds."""

from symconv.theano.absent import absent
from symconv.theano.generic import GenericType as Generic
from symconv.theano.generic import generic

_TENSORS = "values are tensors: T.matrix, theano.tensor.TensorType"
Type = absent("theano.gof.Type", _TENSORS)
CDataType = absent("theano.gof.CDataType", _TENSORS)

__all__ = ["CDataType", "Generic", "Type", "generic"]
