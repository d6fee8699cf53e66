"""theano.tensor.signal."""

from symconv.theano.tensor.signal import conv as conv
from symconv.theano.tensor.signal import downsample as downsample
from symconv.theano.tensor.signal import pool as pool
