"""symconv.theano: convolutions with filters of unknown size, unshared, over three axes, separable and
causal; the
op classes; shapes; upsampling."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.tensor.nnet import abstract_conv, corr, corr3d

RNG = np.random.RandomState(3)


def integers(*shape):
    return RNG.randint(-3, 4, shape).astype("float64")


def widths(mode, extents):
    named = {
        "valid": [(0, 0)] * 3,
        "half": [(e // 2,) * 2 for e in extents],
        "full": [(e - 1,) * 2 for e in extents],
    }
    if isinstance(mode, str):
        return named[mode][: len(extents)]
    each = mode if isinstance(mode, tuple) else (mode,) * len(extents)
    return [m if isinstance(m, tuple) else (m, m) for m in each]


def convolved(x, w, mode="valid", step=None, dilation=None, groups=1, flip=True):
    """By its definition, over any number of axes; w may be [K, P, Q, C, R, S]: unshared."""
    rank = x.ndim - 2
    unshared = w.ndim == 6 and rank == 2
    step, dilation = step or (1,) * rank, dilation or (1,) * rank
    if flip:
        w = np.flip(w, tuple(range(w.ndim - rank, w.ndim)))
    window = w.shape[-rank:]
    extents = [d * (n - 1) + 1 for d, n in zip(dilation, window)]
    x = np.pad(x, [(0, 0), (0, 0), *widths(mode, extents)])
    out = [(n - e) // s + 1 for n, e, s in zip(x.shape[2:], extents, step)]
    y = np.zeros((x.shape[0], w.shape[0], *out), x.dtype)
    per_x, per_y = x.shape[1] // groups, w.shape[0] // groups
    for k in range(w.shape[0]):
        channels = slice(k // per_y * per_x, (k // per_y + 1) * per_x)
        for place in np.ndindex(*out):
            index = tuple(slice(p * s, p * s + e, d) for p, s, e, d in zip(place, step, extents, dilation))
            filters = w[k][place] if unshared else w[k]
            y[(slice(None), k, *place)] = (
                (x[(slice(None), channels, *index)] * filters).reshape(len(x), -1).sum(1)
            )
    return y


def gradients(x, w, dy, **options):
    """By x and by w, from the definition: both are sums over unit vectors, as the map is linear in each."""
    found = []
    for which in (0, 1):
        g = np.zeros((x, w)[which].shape)
        for place in np.ndindex(*g.shape):
            unit = np.zeros(g.shape)
            unit[place] = 1
            pair = (unit, w) if which == 0 else (x, unit)
            g[place] = (convolved(*pair, **options) * dy).sum()
        found.append(g)
    return found


@pytest.mark.parametrize("mode", ["valid", "half", "full", 1, ((2, 0), (0, 1)), (1, (0, 2))])
def test_padding_by_sides_with_filters_of_unknown_size(mode):
    x, w = integers(2, 4, 6, 5), integers(6, 2, 3, 2)
    xs, ws = T.tensor4(), T.tensor4()
    y = T.nnet.conv2d(xs, ws, border_mode=mode, subsample=(2, 1), filter_dilation=(1, 2), num_groups=2)
    want = convolved(x, w, mode, (2, 1), (1, 2), 2)
    np.testing.assert_array_equal(theano.function([xs, ws], y)(x, w), want)


@pytest.mark.parametrize("groups, flip", [(1, True), (2, False)])
def test_unshared_filters_and_their_gradients(groups, flip):
    options = {"mode": (1, (0, 1)), "step": (2, 1), "dilation": (1, 2), "groups": groups, "flip": flip}
    x = integers(2, 2, 4, 5)
    w = integers(4, 2, 4, 2 // groups, 3, 2)
    y = convolved(x, w, **options)
    dy = integers(*y.shape)
    given = {
        "border_mode": options["mode"], "subsample": (2, 1), "filter_dilation": (1, 2), "filter_flip": flip,
        "num_groups": groups, "unshared": True,
    }  # fmt: skip
    xs, ws, dys = T.tensor4(), T.tensor6(), T.tensor4()
    out = [
        T.nnet.conv2d(xs, ws, x.shape, w.shape, **given),
        T.nnet.conv2d_grad_wrt_inputs(dys, ws, (None, None, xs.shape[2], 5), **given),
        T.nnet.conv2d_grad_wrt_weights(xs, dys, (None,) * 4 + (ws.shape[4], 2), **given),
        *T.grad((T.nnet.conv2d(xs, ws, **given) * dys).sum(), [xs, ws]),
    ]
    got = theano.function([xs, ws, dys], out)(x, w, dy)
    for g, want in zip(got, [y, *gradients(x, w, dy, **options) * 2]):
        np.testing.assert_array_equal(g, want)


def test_unshared_filters_of_the_wrong_rank_are_refused():
    with pytest.raises(errors.ShapeError, match="filters of 6"):
        T.nnet.conv2d(T.tensor4(), T.tensor4(), unshared=True)


@pytest.mark.parametrize("mode", ["valid", "half", "full", 1])
def test_conv3d_and_its_gradients_with_filters_of_unknown_size(mode):
    options = {"mode": mode, "step": (1, 2, 1), "dilation": (2, 1, 1), "groups": 2}
    x, w = integers(1, 2, 4, 3, 3), integers(2, 1, 2, 2, 3)
    y = convolved(x, w, **options)
    dy = integers(*y.shape)
    given = {"border_mode": mode, "subsample": (1, 2, 1), "filter_dilation": (2, 1, 1), "num_groups": 2}
    xs, ws, dys = (T.tensor5() for _ in range(3))
    out = [
        T.nnet.conv3d(xs, ws, **given),
        T.nnet.conv3d_grad_wrt_inputs(dys, ws, (None, None, xs.shape[2], 3, 3), **given),
        T.nnet.conv3d_grad_wrt_weights(xs, dys, (None, None, 2, ws.shape[3], 3), **given),
    ]
    for g, want in zip(theano.function([xs, ws, dys], out)(x, w, dy), [y, *gradients(x, w, dy, **options)]):
        np.testing.assert_array_equal(g, want)


def test_op_classes_correlate_or_convolve():
    x, w = integers(2, 3, 5, 6), integers(4, 3, 3, 2)
    y = convolved(x, w, "half", flip=False)
    dy = integers(*y.shape)
    xs, ws, dys = T.tensor4(), T.tensor4(), T.tensor4()
    size = ws.shape[2:]
    out = [
        corr.CorrMM("half")(xs, ws),
        corr.CorrMM_gradInputs("half")(ws, dys, xs.shape[2:]),
        corr.CorrMM_gradWeights("half")(xs, dys, size),
        abstract_conv.AbstractConv2d(border_mode="half", filter_flip=False)(xs, ws),
        abstract_conv.AbstractConv2d_gradInputs(border_mode="half", filter_flip=False)(ws, dys, (5, 6)),
        abstract_conv.AbstractConv2d_gradWeights(border_mode="half", filter_flip=False)(xs, dys, size),
    ]
    want = [y, *gradients(x, w, dy, mode="half", flip=False)] * 2
    for g, value in zip(theano.function([xs, ws, dys], out)(x, w, dy), want):
        np.testing.assert_array_equal(g, value)


def test_op_classes_find_the_shape_where_only_one_fits():
    x, w = integers(2, 3, 5, 6), integers(4, 3, 3, 2)
    dy = integers(2, 4, 3, 5)
    xs, ws, dys = T.tensor4(), T.tensor4(), T.tensor4()
    out = [corr.CorrMM_gradInputs()(ws, dys), corr.CorrMM_gradWeights()(xs, dys)]
    got = theano.function([xs, ws, dys], out)(x, w, dy)
    for g, want in zip(got, gradients(x, w, dy, flip=False)):
        np.testing.assert_array_equal(g, want)
    with pytest.raises(errors.ShapeError, match="several shapes"):
        corr.CorrMM_gradInputs(subsample=(2, 1))(ws, dys)


def test_op_classes_over_three_axes():
    x, w = integers(2, 1, 3, 4, 3), integers(2, 1, 2, 2, 1)
    dy = integers(2, 2, 2, 3, 3)
    xs, ws, dys = (T.tensor5() for _ in range(3))
    out = [
        corr3d.Corr3dMM()(xs, ws),
        corr3d.Corr3dMM_gradInputs()(ws, dys),
        abstract_conv.AbstractConv3d_gradWeights(filter_flip=False)(xs, dys, ws.shape[2:]),
    ]
    want = [convolved(x, w, flip=False), *gradients(x, w, dy, flip=False)]
    for g, value in zip(theano.function([xs, ws, dys], out)(x, w, dy), want):
        np.testing.assert_array_equal(g, value)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"border_mode": "same"}, "border_mode"),
        ({"border_mode": -1}, "border_mode"),
        ({"border_mode": (1, 2, 3)}, "two of them"),
        ({"border_mode": ((1, 2, 3), 1)}, "pairs"),
        ({"num_groups": 0}, "num_groups"),
        ({"subsample": (1, 1, 1)}, "subsample must have 2"),
        ({"imshp": (T.iscalar("n"), 3, 5, 5)}, "imshp must hold ints"),
    ],
)
def test_op_classes_refuse_options(options, said):
    with pytest.raises(errors.ShapeError, match=said):
        abstract_conv.AbstractConv2d(**options)


def test_an_operand_of_the_wrong_rank_is_a_type_error_as_in_theano():
    with pytest.raises(TypeError, match="must have 4 dimensions") as caught:
        corr.CorrMM()(T.matrix(), T.tensor4())
    assert isinstance(caught.value, errors.ShapeError)


def test_separable_convolution():
    x, depthwise, pointwise = integers(2, 3, 5, 4), integers(6, 1, 2, 3), integers(2, 6, 1, 1)
    y = T.nnet.separable_conv2d(
        T.constant(x), T.constant(depthwise), T.constant(pointwise), 3, border_mode="half"
    )
    want = convolved(convolved(x, depthwise, "half", groups=3), pointwise)
    np.testing.assert_array_equal(y.eval(), want)
    x, depthwise, pointwise = integers(1, 2, 3, 4, 3), integers(4, 1, 2, 2, 2), integers(1, 4, 1, 1, 1)
    y = T.nnet.separable_conv3d(T.constant(x), T.constant(depthwise), T.constant(pointwise), 2)
    np.testing.assert_array_equal(y.eval(), convolved(convolved(x, depthwise, groups=2), pointwise))


def test_causal_convolution_sees_no_later_input():
    x, w = integers(2, 2, 7), integers(3, 2, 3)
    got = T.nnet.causal_conv1d(T.constant(x), T.constant(w), w.shape, filter_dilation=2).eval()
    want = np.zeros((2, 3, 7))
    for t, r in itertools.product(range(7), range(3)):
        if t - 2 * r >= 0:  # a true convolution: filter element 0 meets the present
            want[:, :, t] += x[:, :, t - 2 * r] @ w[:, :, r].T
    np.testing.assert_array_equal(got, want)
    with pytest.raises(errors.ShapeError, match="causal_conv1d"):
        T.nnet.causal_conv1d(T.tensor4(), T.constant(w), w.shape)


@pytest.mark.parametrize("mode", ["valid", "half", "full", 1, ((0, 2), (1, 1))])
def test_shapes_agree_with_each_other(mode):
    images, filters, dilation = (2, 4, 7, 8), (6, 2, 3, 2), (1, 2)
    x, w = np.zeros(images), np.zeros(filters)
    pairs = mode if isinstance(mode, (str, tuple)) else (mode, mode)
    out = abstract_conv.get_conv_output_shape(images, filters, pairs, (1, 1), dilation)
    assert out == convolved(x, w, mode, None, dilation, 2).shape
    assert abstract_conv.get_conv_gradinputs_shape(filters, out, pairs, (1, 1), dilation, 2) == images
    found = abstract_conv.get_conv_gradweights_shape(images, out, pairs, (1, 1), dilation)
    assert found[2:] == ((None, None) if mode == "half" else filters[2:])
    assert abstract_conv.get_conv_gradinputs_shape(filters, out, pairs, (2, 1), dilation)[2] is None
    assert abstract_conv.check_conv_gradinputs_shape(images, filters, out, pairs, (1, 1), dilation)
    assert not abstract_conv.check_conv_gradinputs_shape(
        images, filters, (*out[:3], 1), pairs, (1, 1), dilation
    )
    n = T.iscalar()
    symbolic = abstract_conv.get_conv_output_shape((2, 4, n, 8), filters, pairs, (1, 1), dilation)
    assert symbolic[2].eval({n: 7}) == out[2]


def test_shapes_can_be_asserted():
    n = T.iscalar("n")
    checked = abstract_conv.assert_conv_shape((3, 2, 5, n))
    assert checked[3].eval({n: 1}) == 1
    with pytest.raises(AssertionError, match="at least 1 in dimension 3"):
        checked[3].eval({n: 0})
    with pytest.raises(ValueError, match="dimension 2"):
        abstract_conv.assert_conv_shape((3, 2, 0, n))
    x = T.matrix()
    assert abstract_conv.assert_shape(x, (2, None)) is x
    with theano.config.change_flags([("conv.assert_shape", True)]):
        f = theano.function([x], abstract_conv.assert_shape(x, (2, None), "two rows"))
    assert f(np.ones((2, 1))).shape == (2, 1)
    with pytest.raises(AssertionError, match="two rows"):
        f(np.ones((3, 1)))


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_bilinear_upsampling_of_a_row(ratio):
    values = np.array([1.0, 5.0, 2.0])
    x = np.tile(values, (1, 1, 2, 1))
    y = T.nnet.bilinear_upsampling(T.constant(x), ratio).eval()
    assert y.shape == (1, 1, 2 * ratio, 3 * ratio)
    places = (np.arange(3 * ratio) - (ratio - 1) // 2) / ratio
    np.testing.assert_allclose(y[0, 0, 0], np.interp(places, np.arange(3), values), atol=1e-12)
    z = T.nnet.bilinear_upsampling(
        T.constant(x), frac_ratio=((ratio, 1), (ratio, 2)), use_1D_kernel=False
    ).eval()
    divisor = 2 if ratio % 2 else 1
    if divisor == 2:
        np.testing.assert_allclose(z[0, 0, 0], y[0, 0, 0, ::2], atol=1e-12)
    kernel = abstract_conv.bilinear_kernel_2D(ratio).eval()
    row = abstract_conv.bilinear_kernel_1D(ratio, normalize=False).eval()
    np.testing.assert_allclose(kernel, np.outer(row, row) / ratio**2)


def test_bilinear_upsampling_refuses_both_ratios_or_none():
    x = T.tensor4()
    for options in ({}, {"ratio": 2, "frac_ratio": (3, 2)}, {"frac_ratio": (3, 2)}):
        with pytest.raises(errors.ArgumentError):
            T.nnet.bilinear_upsampling(x, **options)


class Particular(Exception):
    def __init__(self, first, second):
        super().__init__(first, second)


@pytest.mark.parametrize(
    "raised", [KeyError("two"), ValueError("two"), Particular("two", 2), AssertionError("two")]
)
def test_errors_of_a_step_are_also_what_the_step_raised(raised):
    @theano.as_op(itypes=[T.dvector], otypes=[T.dvector])
    def wants_two(a):
        if len(a) != 2:
            raise raised
        return a * 2

    v = T.dvector()
    f = theano.function([v], wants_two(v))
    assert f([1, 2]).tolist() == [2, 4]
    with pytest.raises(type(raised)) as caught:
        f([1])
    assert isinstance(caught.value, errors.ExecutionError)
    text = str(caught.value)
    assert "wants_two" in text and "\\n" not in text and text.count("see docs") == 1
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, type(raised)) and str(again) == text


def test_kinds_that_cannot_be_joined_stay_execution_errors():
    @theano.as_op(itypes=[T.dvector], otypes=[T.dvector])
    def reads(a):
        raise FileNotFoundError(2, "nothing there")

    v = T.dvector()
    with pytest.raises(errors.ExecutionError, match="nothing there"):
        theano.function([v], reads(v))([1.0])
