"""theano.typed_list: symbolic lists of tensors are not supported; the module can be imported."""

from symconv.theano.absent import refusing

__getattr__ = refusing("typed_list", "stack the tensors (T.stack), or keep a Python list of variables")
