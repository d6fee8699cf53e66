"""Names that Theano's modules took over from one another, found when they are asked for.

theano.tensor had all that its modules imported: T.Constant, T.Apply, T.grad_undefined; theano.compile and
theano.gof the classes of each other.
"""

from __future__ import annotations

import importlib
from typing import Any

_OPS, _GOF = "tensor.op_classes", "gof"
_GRADIENTS = ("DisconnectedType", "grad_not_implemented", "grad_undefined")
# module -> name -> (module, attribute or None for the module itself)
NAMES: dict[str, dict[str, tuple[str, str | None]]] = {
    "tensor": {
        **{name: (_GOF, name) for name in ("Apply", "Constant", "Op", "Variable")},
        **{name: ("gradient", name) for name in _GRADIENTS},
        "AsTensorError": ("errors", "DTypeError"),
        "compile": ("compile", None),
        "gof": ("gof", None),
        "hashtype": ("gof.utils", "hashtype"),
        "slicetype": ("tensor.type_other", "slicetype"),
    },
    "compile": {
        "FromFunctionOp": ("compile.ops", "FromFunctionOp"),
        "MonitorMode": ("compile.monitormode", "MonitorMode"),
        "Shape_i": ("tensor.opt", "Shape_i"),
        "SpecifyShape": (_OPS, "SpecifyShape"),
        "Shape": (_OPS, "Shape"),
        "generic": (_GOF, "generic"),
        "optdb": ("gof.opt", "optdb"),
        "predefined_modes": ("compile.mode", "predefined_modes"),
        "rebuild_collect_shared": ("compile.pfunc", "rebuild_collect_shared"),
        "register_mode": ("compile.mode", "register_mode"),
        "shape": ("tensor.basic", "shape"),
        "specify_shape": ("tensor.basic", "specify_shape"),
    },
    "gof": {
        "MethodNotDefined": ("gof.utils", "MethodNotDefined"),
        "OpRemove": ("gof.opt", "OpRemove"),
        "hashtype": ("gof.utils", "hashtype"),
        "local_optimizer": ("gof.opt", "local_optimizer"),
    },
}


def elsewhere(module: str, name: str) -> Any | None:
    """What `module` has under that name from another module, or None."""
    found = NAMES[module].get(name)
    if found is None:
        return None
    home, attribute = found
    imported = importlib.import_module(f"symconv.theano.{home}")
    return imported if attribute is None else getattr(imported, attribute)
