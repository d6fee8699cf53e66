"""theano.gof.type: types of values other than tensors are not supported."""

from symconv.theano.absent import absent

_TENSORS = "values are tensors: T.matrix, theano.tensor.TensorType"
Type, Generic = absent("theano.gof.Type", _TENSORS), absent("theano.gof.generic", _TENSORS)
CDataType = absent("theano.gof.CDataType", _TENSORS)

__all__ = ["CDataType", "Generic", "Type"]
