"""symconv: a symbolic graph compiler for convolutional networks."""
