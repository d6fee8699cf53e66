"""Every class of exception is provoked: the message tells the user's line and its place on the page."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import symconv as sc
from symconv import errors, nn
from symconv.config import Config
from symconv.files import import_extra
from symconv.graph import Op
from symconv.ops.arithmetic import Mul
from symconv.rewrite import pipeline
from symconv.rewrite.driver import RuleSet
from symconv.rewrite.pattern import LocalRule, Rule

HERE = "test_errors_raised.py:"
PROVOKED: dict[str, tuple[Callable[..., object], bool]] = {}


def provokes(name: str, line: bool = True) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """The function raises errors.`name`; line: with a line of this file."""

    def keep(f: Callable[..., object]) -> Callable[..., object]:
        PROVOKED[name] = f, line
        return f

    return keep


@provokes("ShapeError")
def shape():
    sc.conv2d(sc.tensor("float32", (2, 3, 8, 8)), sc.tensor("float32", (4, 2, 3, 3)))


@provokes("IndexRangeError")
def index():
    sc.tensor("float32", (3,))[5]


@provokes("DTypeError")
def dtype():
    sc.conv2d(sc.tensor("int32", (2, 3, 8, 8)), sc.tensor("int32", (4, 3, 3, 3)))


@provokes("ArgumentError", line=False)
def argument():
    sc.dropout(sc.vector(), 2.0, rng=sc.RandomStream(1))


@provokes("GraphError")
def graph():
    x, y = sc.vector("x"), sc.vector("y")
    sc.function([x], x + y)


@provokes("ProtocolError")
def protocol():
    class Nothing(Op):
        name = "nothing"

    Nothing()(sc.vector("x"))


@provokes("SymbolicError")
def symbolic():
    if sc.scalar("x") > 0:
        pass


@provokes("GradientError")
def gradient():
    x = sc.vector("x")
    sc.grad(x * 2, x)


@provokes("DisconnectedInputError")
def disconnected():
    x, y = sc.vector("x"), sc.vector("y")
    sc.grad(x.sum(), y)


@provokes("CompileError")
def compile_(monkeypatch):
    endless = [
        LocalRule("swap", Mul, lambda n: Mul()(*n.inputs[::-1]) if n.inputs[0] is not n.inputs[1] else None)
    ]
    monkeypatch.setattr(pipeline, "passes", lambda: (("endless", RuleSet(endless)),))
    x, y = sc.vector("x"), sc.vector("y")
    sc.function([x, y], x * y, device="reference")(np.ones(2), np.ones(2))


@provokes("ExecutionError")
def execution():
    i = sc.lscalar("i")
    sc.function([i], sc.shared(np.arange(3, dtype="float32"))[i])(7)


@provokes("KernelFault")
def fault(cxx):
    code = """
    struct P { ll n; };
    DEVICE void stray(const P& p, const Args& args, int tile, Shared shared) {
      args.get<float>(1)[threadIdx.x] = args.get<const float>(0)[threadIdx.x];
    }
    KERNEL(stray, P, stray)
    """
    kernel = sc.cuda_kernel("stray", code, launch=lambda n: sc.launch(1, n=1))
    x = sc.vector("x")
    with sc.use_kernel("relu", kernel):
        sc.function([x], sc.relu(x), device="emulated")(np.ones(3, "float32"))


@provokes("MemoryLimitError")
def memory():
    x = sc.vector("x")
    with sc.config(memory_limit=100):
        sc.function([x], sc.exp(x).sum(), device="reference")(np.ones(1000, "float32"))


@provokes("DeviceError", line=False)
def device():
    x = sc.vector("x")
    sc.function([x], x, device="tpu")


@provokes("DataError", line=False)
def data(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"no")
    sc.datasets.load(tmp_path / "x.npz")


@provokes("WeightsError", line=False)
def weights(tmp_path):
    nn.load(tmp_path / "nothing.safetensors")


@provokes("ConfigError", line=False)
def config():
    _ = Config({"SYMCONV_NUM_THREADS": "many"}).num_threads


@provokes("UnknownSettingError", line=False)
def setting():
    _ = sc.config.devise


@provokes("NonFiniteError")
def nonfinite():
    x = sc.vector("x")
    sc.function([x], sc.log(x).sum(), mode="nan_guard", device="reference")(np.zeros(2, "float32"))


@dataclass(frozen=True)
class Lie(Op):
    name = "lie"
    wide: bool = False
    simpler: bool = False

    def infer(self, x):
        return x.type

    def reference(self, x):
        return x.astype("float64") if self.wide else 2 * x


@provokes("DebugModeError")  # by a subclass
@provokes("KernelMismatchError")
def mismatch():
    x = sc.vector("x")
    sc.function([x], Lie(wide=True)(x), mode="debug", device="reference")(np.ones(2, "float32"))


@provokes("MemoryClaimError")
def claim():
    from symconv.graph import View

    @dataclass(frozen=True)
    class Peep(Lie):
        name = "peep"

        def view(self, node):
            return View()

    x = sc.vector("x")
    sc.function([x], Peep()(x) + 0.5, mode="debug", device="reference")(np.ones(2, "float32"))


@provokes("RewriteMismatchError")
def rewrite(monkeypatch):
    wrong = Rule("lost", lambda x: sc.tanh(x), lambda x: x)
    monkeypatch.setattr(pipeline, "passes", lambda: (("only", RuleSet([wrong])),))
    x = sc.vector("x")
    sc.function([x], sc.tanh(x), mode="debug", device="reference")(np.ones(2, "float32"))


@provokes("GradientMismatchError")
def gradient_mismatch():
    sc.verify_grad(lambda x: 2 * x - sc.stop_gradient(x), [np.ones(2)])


@provokes("UnsupportedError", line=False)
def unsupported():
    from symconv.theano.gof import Op

    class Lacking(Op):
        def make_node(self, x):
            raise AssertionError

    Lacking().perform(None, [], [])


@provokes("OutputError", line=False)
def output(tmp_path):
    model = nn.Sequential([nn.Dense(2)], (3,))
    (tmp_path / "file").write_text("")
    model.save(tmp_path / "file" / "weights.safetensors")


@provokes("MissingExtraError", line=False)
def extra():
    import_extra("no_such_package", "viz", "this picture")


CLASSES = [
    n
    for n, c in inspect.getmembers(errors, inspect.isclass)
    if c.__module__ == errors.__name__ and n != "SymconvError"
]


@pytest.mark.parametrize("name", CLASSES)
def test_the_class_is_raised_with_its_place_on_the_page_and_the_line(name, request):
    f, line = PROVOKED[name]
    arguments = {k: request.getfixturevalue(k) for k in inspect.signature(f).parameters}
    cls = getattr(errors, name)
    with pytest.raises(cls) as caught:
        f(**arguments)
    error = caught.value
    if name != "DebugModeError":
        assert type(error) is cls
    text = str(error)
    assert text.endswith(f"\n  see {type(error).anchor()}") and text.count("docs/errors.md#") == 1
    assert not line or HERE in text, text
