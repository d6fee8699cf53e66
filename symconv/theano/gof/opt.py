"""theano.gof.opt: rewrites of Theano's graphs are not run; symconv's take rules of their own."""

from symconv.theano.absent import refusing

__getattr__ = refusing("gof.opt", "symconv.Rule and symconv.register_rule add rewrites (docs/rewriting.md)")
