"""theano.version: the version of Theano whose behaviour this package has."""

version = full_version = short_version = "1.0.5"
git_revision = "symconv"
release = True
