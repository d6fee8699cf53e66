"""theano.scalar.basic_scipy: the special functions of numbers as classes: GammaLn(upgrade_to_float).

T.Elemwise(GammaLn(...)) is T.gammaln, and so on.
"""

from __future__ import annotations

from typing import Any

from symconv.theano.scalar.operations import ScalarOperation, operation

_CLASSES = {
    "Chi2SF": "chi2sf", "Erf": "erf", "Erfc": "erfc", "Erfcinv": "erfcinv", "Erfcx": "erfcx",
    "Erfinv": "erfinv", "Gamma": "gamma", "GammaInc": "gammainc", "GammaIncC": "gammaincc",
    "GammaL": "gammal", "GammaLn": "gammaln", "GammaU": "gammau", "I0": "i0", "I1": "i1", "Iv": "iv",
    "J0": "j0", "J1": "j1", "Jv": "jv", "Psi": "psi", "TriGamma": "tri_gamma",
}  # fmt: skip


def _made(name: str, function: str) -> type[ScalarOperation]:
    class Special(ScalarOperation):
        def __init__(self, output_types_preference: Any = None, name: str | None = None) -> None:
            super().__init__(function)

        def impl(self, *numbers: Any) -> Any:
            """The value for these numbers."""
            from symconv.theano.tensor.basic import as_tensor_variable

            return self.on_tensors(*map(as_tensor_variable, numbers)).eval()

        @classmethod
        def st_impl(cls, *numbers: Any) -> Any:
            """The same without an object."""
            return cls().impl(*numbers)

    Special.__name__ = Special.__qualname__ = name
    Special.__doc__ = f"theano.tensor.{function}, for Elemwise."
    return Special


GammaLn, Psi = _made("GammaLn", "gammaln"), _made("Psi", "psi")


def __getattr__(name: str) -> Any:
    found = _made(name, _CLASSES[name]) if name in _CLASSES else operation(name)
    if found is None:
        raise AttributeError(f"theano.scalar.basic_scipy.{name} is not supported by symconv.theano")
    globals()[name] = found
    return found


__all__ = ["GammaLn", "Psi"]
