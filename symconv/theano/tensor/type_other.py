"""theano.tensor.type_other: None as an operand."""

from symconv.theano.absent import absent

NoneTypeT = absent("theano.tensor.type_other.NoneTypeT", "None itself")
NoneConst = None

__all__ = ["NoneConst", "NoneTypeT"]
