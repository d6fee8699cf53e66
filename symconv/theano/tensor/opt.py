"""theano.tensor.opt: Assert."""

from symconv.theano.printing import Assert

assert_op = assert_ = Assert()

__all__ = ["Assert", "assert_", "assert_op"]
