"""symconv.theano.port: what is converted, what is printed, and what division means afterwards."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

import symconv.theano.tensor as T
from symconv.theano.python2 import div

pytest.importorskip("fissix")

from symconv.theano import port  # noqa: E402

TEXT = r"'r', encoding='latin1', newline='\n'"


def converted(source):
    return port.convert(source).strip()


@pytest.mark.parametrize(
    "before, after",
    [
        ('print "a", 1', 'print("a", 1)'),
        ("print x,", "print(x, end=' ')"),
        ("print >>f, x", "print(x, file=f)"),
        ('print ("a {0}".format(1))', 'print(("a {0}".format(1)))'),
        ("for i in xrange(3): print i", "for i in range(3): print(i)"),
        ("import cPickle\nd = cPickle.load(f)", "import pickle\nd = pickle.load(f, encoding='latin1')"),
        (
            "import six.moves.cPickle as pickle\nd = pickle.load(f)",
            "import pickle\nd = pickle.load(f, encoding='latin1')",
        ),
        (
            "import cPickle\nf = open('a', 'w')\ncPickle.dump(1, f)",
            "import pickle\nf = open('a', 'wb')\npickle.dump(1, f)",
        ),
        (
            "import cPickle\nwith open(name) as f: x = cPickle.load(f)",
            "import pickle\nwith open(name, 'rb') as f: x = pickle.load(f, encoding='latin1')",
        ),
        (
            "with open(n, 'rb') as f:\n    for line in f: a.append(line.strip())",
            f"with open(n, {TEXT}) as f:\n    for line in f: a.append(line.strip())",
        ),
        (
            "def g():\n    f = open(os.path.join(a, b), 'rb')\n    return [x for x in f]",
            f"def g():\n    f = open(os.path.join(a, b), {TEXT})\n    return [x for x in f]",
        ),
        ("with open(n, 'rb') as f: r = csv.reader(f)", f"with open(n, {TEXT}) as f: r = csv.reader(f)"),
        (
            "with open(n, 'rb') as f:\n    f.readline()\n    x = np.fromfile(f)",
            "with open(n, 'rb') as f:\n    f.readline()\n    x = np.fromfile(f)",
        ),
        (
            "with open(n, 'rb') as f:\n    f.readline()\n    x = struct.unpack('i', f.read(4))",
            "with open(n, 'rb') as f:\n    f.readline()\n    x = struct.unpack('i', f.read(4))",
        ),
        ("d = open(n, 'rb').read()", "d = open(n, 'rb').read()"),
        ("x = np.fromstring(s, sep=' ')", "x = np.fromstring(s, sep=' ')"),
        ("raise ValueError, 'bad'", "raise ValueError('bad')"),
        ("for k, v in d.iteritems(): pass", "for k, v in d.items(): pass"),
        ("x = np.zeros(3, dtype=np.float)", "x = np.zeros(3, dtype=float)"),
        ("x = np.float32(1)", "x = np.float32(1)"),
        ("x = np.cast[floatX](a + 1) * 2", "x = np.asarray(a + 1, dtype=floatX) * 2"),
        ("ax = fig.add_subplot(y, x, j)", "ax = fig.add_subplot(y, x, j or y * x)"),
        ("plt.subplot(h, n + 1, i % 5, axis=a)", "plt.subplot(h, n + 1, (i % 5) or h * (n + 1), axis=a)"),
        ("plt.subplot(2, 3, i + 1)", "plt.subplot(2, 3, i + 1)"),
        ("plt.subplot(2, 3, 4)", "plt.subplot(2, 3, 4)"),
        ("plt.subplot(231)", "plt.subplot(231)"),
        ("plt.subplot(*cell)", "plt.subplot(*cell)"),
        ("x = np.asscalar(y[0])", "x = np.asarray(y[0]).item()"),
        ("x = np.product(s) * numpy.Inf", "x = np.prod(s) * numpy.inf"),
        ("x = self.np.float + a.time.clock()", "x = self.np.float + a.time.clock()"),
        ("t = time.clock() - t0", "t = time.perf_counter() - t0"),
        ("from time import sleep, clock", "from time import sleep, perf_counter as clock"),
        ("if f.func_name == 'relu': pass", "if f.__name__ == 'relu': pass"),
        ("n = 7 / 2", "n = 7 // 2"),
        ("n = len(a) / 2", "n = len(a) // 2"),
        ("x = 1.0 / n", "x = 1.0 / n"),
        ("x = 0.5 * eta * s / n", "x = 0.5 * eta * s / n"),
        ("from __future__ import division\nx = a / b", "from __future__ import division\nx = a / b"),
        (
            "from __future__ import print_function\nprint('a', 'b')",
            "from __future__ import print_function\nprint('a', 'b')",
        ),
    ],
)  # fmt: skip
def test_conversions(before, after):
    assert converted(before) == after


def test_unknown_division_keeps_its_meaning():
    text = port.convert(
        '"""Doc."""\nfrom __future__ import print_function\ndef f(a, b):\n    return a * b / 2 * a\n'
    )
    assert text.splitlines()[2] == "from symconv.theano.python2 import div"
    scope: dict = {}
    exec(text, scope)
    assert scope["f"](3, 5) == 21 and scope["f"](3.0, 5) == 22.5


def test_names_of_one_kind_are_known():
    assert converted("n = 10\nm = n / 3").endswith("m = n // 3")
    assert "div(n, 3)" in converted("n = 10\nn = f()\nm = n / 3")
    assert "div(n, 3)" in converted("def f(n):\n    return n / 3")
    assert converted("n = 10\nn /= 4").endswith("n //= 4")


def test_div():
    assert div(7, 2) == 3 and div(-7, 2) == -4 and div(7.0, 2) == 3.5 and div(np.int64(9), 2) == 4
    assert div(np.array([7, 8]), 2).tolist() == [3, 4]
    assert div(T.ivector(), 2).dtype == "int32" and div(T.fvector(), 2).dtype == "float32"


def test_vectors_between_words_are_read(tmp_path):
    """A file of words, each followed by the bytes of a vector: text and numbers of one file."""
    vectors = {"low": [1.5, -2.0], "caf\xe9": [np.nan, 1e-30]}
    body = b"".join(w.encode("latin1") + b" " + np.float32(v).tobytes() + b"\n" for w, v in vectors.items())
    (tmp_path / "words.bin").write_bytes(b"2 2\n" + body)
    program = """
import numpy as np
with open(name, "rb") as f:
    n, k = map(int, f.readline().split())
    found = {}
    for _ in xrange(n):
        word = ""
        while not word.endswith(" "):
            word += f.read(1)
        found[word.strip()] = np.fromstring(f.read(4 * k), dtype="float32")
"""
    names = {"name": str(tmp_path / "words.bin")}
    exec(port.convert(program), names)
    assert list(names["found"]) == list(vectors)
    for word, vector in vectors.items():
        np.testing.assert_array_equal(names["found"][word], np.float32(vector))
    names["found"]["low"][0] = 0  # a copy, as fromstring made


def test_pickles_of_python_2_are_read(tmp_path):
    # protocol 2 of Python 2 holds byte strings; SHORT_BINSTRING 'U' is how it wrote "caf\\xe9"
    (tmp_path / "old.pkl").write_bytes(b"\x80\x02U\x04caf\xe9q\x00.")
    text = port.convert("import cPickle\nvalue = cPickle.load(open(path))\n")
    scope: dict = {"path": tmp_path / "old.pkl"}
    exec(text, scope)
    assert scope["value"] == "caf\xe9"
    with pytest.raises(UnicodeDecodeError):
        pickle.loads(b"\x80\x02U\x04caf\xe9q\x00.")


PROGRAM = """import theano, theano.tensor as T
import numpy as np
def size(data): return data.get_value(borrow=True).shape[0]
data = theano.shared(np.arange(10.))
batches = size(data)/3
i = T.lscalar()
f = theano.function([i], data[i*3:(i+1)*3].sum())
for j in xrange(batches):
    print "batch %d:" % j, f(j)
"""


def test_a_program_of_python_2_runs(tmp_path):
    old = tmp_path / "old.py"
    old.write_text(PROGRAM)
    run = [sys.executable, "-m"]
    done = subprocess.run([*run, "symconv.theano", str(old)], capture_output=True, text=True)
    assert done.returncode == 1 and "symconv.theano.port" in done.stderr
    done = subprocess.run([*run, "symconv.theano.port", str(old)], capture_output=True, text=True)
    assert "5 - batches = size(data)/3" in done.stdout and "+ batches = div(size(data), 3)" in done.stdout
    assert (tmp_path / "old.py.bak").read_text() == PROGRAM
    done = subprocess.run([*run, "symconv.theano", str(old)], capture_output=True, text=True)
    assert done.stdout == "batch 0: 3.0\nbatch 1: 12.0\nbatch 2: 21.0\n", done.stderr


def test_command_on_hostile_files(tmp_path, capsys):
    bad, good = tmp_path / "bad.py", tmp_path / "good.py"
    bad.write_text("def f(:\n")
    good.write_bytes(b"x = 7/2\r\nname = 'caf\xe9'\r\n")
    assert port.main([str(tmp_path), "-o", str(tmp_path / "out"), "-q"]) == 1
    captured = capsys.readouterr()
    assert "bad.py" in captured.err and "good.py: 1 lines changed" in captured.out
    assert "x = 7//2" in (tmp_path / "out" / "good.py").read_text()
    assert port.main([str(tmp_path / "missing.py")]) == 1
    assert good.read_bytes().startswith(b"x = 7/2") and port.main([str(good), "-n"]) == 0


def test_a_directory_keeps_its_folders(tmp_path):
    (tmp_path / "program" / "lib").mkdir(parents=True)
    (tmp_path / "program" / "a.py").write_text("print 1\n")
    (tmp_path / "program" / "lib" / "a.py").write_text("print 2\n")
    assert port.main([str(tmp_path / "program"), "-q", "-o", str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "a.py").read_text() == "print(1)\n"
    assert (tmp_path / "new" / "lib" / "a.py").read_text() == "print(2)\n"
