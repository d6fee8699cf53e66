"""From a rewritten graph to a Plan: kernels chosen, steps in order, every buffer placed."""
