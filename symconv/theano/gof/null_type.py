"""theano.gof.null_type: the type of a gradient that is not defined."""

from symconv.theano.absent import absent

NullType = absent("theano.gof.null_type.NullType", "theano.gradient.grad_undefined")
