"""The exceptions of symconv: one class for each kind of fault a caller may want to tell apart.

Every class is a SymconvError and also the built-in that a reader would expect, so both
`except symconv.errors.SymconvError` and `except ValueError` work. Messages end with the place on the page
of errors that tells cause and cure. This module imports nothing of symconv.
"""

from __future__ import annotations

import re

PAGE = "docs/errors.md"
_SEE = re.compile(rf"\n  see {re.escape(PAGE)}#\w+")


class SymconvError(Exception):
    """Cause: anything that symconv refuses or cannot do. Cure: see the subclass that was raised."""

    @classmethod
    def anchor(cls) -> str:
        """The place on the page of errors: that of the class itself, or of the nearest one that is there."""
        documented = next(c for c in cls.__mro__ if c.__module__ == __name__)
        return f"{PAGE}#{documented.__name__.lower()}"

    @property
    def message(self) -> str:
        """The text without the place on the page, also where the text of another error is part of it."""
        return _SEE.sub("", super().__str__())

    def __str__(self) -> str:
        return f"{self.message}\n  see {self.anchor()}"


class ShapeError(SymconvError, ValueError):
    """Cause: ranks, dimensions or channel counts that do not fit, or a window that has no output.
    Cure: compare the shapes in the message with the layout it names; reshape, pad or transpose one."""


class IndexRangeError(ShapeError, IndexError):
    """Cause: an index or label known to lie outside its axis.
    Cure: the message names the index and the axis; count from 0, or from -1 backwards."""


class DTypeError(SymconvError, TypeError):
    """Cause: an operand whose dtype the op does not take, or an update that would change a variable's dtype.
    Cure: cast() the operand, or make the data with the dtype that the message names."""


class ArgumentError(SymconvError, ValueError):
    """Cause: an attribute outside what an op takes: a probability of 2, a negative size, an eps of NaN.
    Cure: the message names the argument and the values that it allows."""


class GraphError(SymconvError, ValueError):
    """Cause: an ill-formed graph or function: a missing, unused or duplicate input, a cycle.
    Cure: pass each variable that the outputs depend on once, as an input, a given or a shared one."""


class ProtocolError(SymconvError, NotImplementedError):
    """Cause: a class of the user lacks a method that was needed: an op infer or reference, an optimiser step.
    Cure: define the method that the message names; docs/adding_an_op.md tells how."""


class SymbolicError(SymconvError, TypeError):
    """Cause: a symbolic variable stood where Python needs its value: in `if`, `len`, `float`, a loop.
    Cure: use sc.where, sc.switch or the logical ops; or eval() the variable, or call a compiled function."""


class GradientError(SymconvError, ValueError):
    """Cause: a gradient that does not exist: a cost that is not a scalar, an op without a gradient rule.
    Cure: reduce the cost with mean() or sum(), or keep the op out of the path with stop_gradient()."""


class DisconnectedInputError(GradientError):
    """Cause: the cost does not depend on a variable that grad() was asked for.
    Cure: take the variable out of the list, or pass disconnected_inputs="ignore" to get zeros."""


class UnsupportedError(SymconvError, NotImplementedError):
    """Cause: a program asks for a feature of Theano that symconv.theano does not have.
    Cure: the message names the feature, where it was met, and what to use instead."""


class CompileError(SymconvError, RuntimeError):
    """Cause: a well-formed graph that could not be turned into a plan, or a kernel that did not build.
    Cure: read the pass or kernel in the message; config(optimize=False) tells if a rewrite is at fault."""


class ExecutionError(SymconvError, RuntimeError):
    """Cause: a step of a compiled plan failed while it ran.
    Cure: the message names the step, its kernel and the line that made the node; look at its operands."""


class KernelFault(ExecutionError):
    """Cause: the emulated GPU caught a kernel at a race, a divergent barrier, or memory not its own.
    Cure: the message names the kernel, its line, the block and the thread; docs/cuda.md tells more."""


class MemoryLimitError(SymconvError, MemoryError):
    """Cause: a plan or an array needs more memory than `config.memory_limit` or the machine allows.
    Cure: take a smaller batch, or raise memory_limit; nothing has been allocated yet."""


class DeviceError(SymconvError, RuntimeError):
    """Cause: an unknown device, or one whose driver, package or compiled core is absent.
    Cure: choose another with `config.device` or SYMCONV_DEVICE, or install what the message names."""


class DataError(SymconvError, ValueError):
    """Cause: a data set that is missing, truncated, corrupt or inconsistent, or labels out of range.
    Cure: the message names the file, what was expected and what was found; replace that file."""


class WeightsError(SymconvError, ValueError):
    """Cause: a weights file that is missing, truncated, corrupt, or made for another network.
    Cure: the message names the file, the tensor, the expected and the found shape; load the matching file."""


class ConfigError(SymconvError, ValueError):
    """Cause: a value that a setting does not take, given in Python or in a SYMCONV_* variable.
    Cure: the message lists the allowed values; `print(symconv.config.describe())` shows every setting."""


class UnknownSettingError(ConfigError, AttributeError):
    """Cause: a setting that does not exist, most often a misspelt one.
    Cure: take the name the message proposes. It is an AttributeError too, so that hasattr() answers False."""


class NonFiniteError(SymconvError, FloatingPointError):
    """Cause: NaN or Inf in the data, in the cost of a training or, in mode "nan_guard", in any value.
    Cure: clean the data; or lower the learning rate, and check the initial weights and the data's scale."""


class DebugModeError(SymconvError, AssertionError):
    """Cause: mode "debug" found that a function does not do what its graph says; subclasses tell what.
    Cure: docs/debugging.md; leave the mode out, and the function runs unchecked."""


class KernelMismatchError(DebugModeError):
    """Cause: a kernel gave another result than the op's reference, or one that changes from run to run.
    Cure: the message names the kernel, the step and the worst element; mend the kernel or its supports()."""


class MemoryClaimError(DebugModeError):
    """Cause: a kernel wrote memory not its own, an in-place or view claim is wrong, or values overlap.
    Cure: the message names the kernel and the claim; mend Kernel.inplace, Op.view, or the kernel's bounds."""


class RewriteMismatchError(DebugModeError):
    """Cause: the rewritten graph gives another result than the graph as it was written.
    Cure: the message names the pass and the rule; config(optimize=False) does without until it is mended."""


class GradientMismatchError(SymconvError, AssertionError):
    """Cause: verify_grad found that a gradient is not what differences of the function say.
    Cure: mend the op's grad(), or check at a point away from kinks; the message lists the worst elements."""


class OutputError(SymconvError, OSError):
    """Cause: a file or directory that cannot be written: no such directory, no permission, a full disk.
    Cure: choose another path or make room; what stood there before is untouched."""


class MissingExtraError(SymconvError, ImportError):
    """Cause: a part of symconv needs an optional package that is not installed.
    Cure: run the `pip install "symconv[...]"` line of the message."""
