// conv_pool by Winograd's transforms along columns alone (winograd_columns_tiles.h), for few input channels: y =
// activation(maxpool(x * w) + b), and the place of each maximum, pooling by 2 x 2.
//
// winograd_columns_conv_pool: of a band's four rows, which are in registers, the first two and the last two are parted into even
// and odd columns; a vector then holds the first, second, third or fourth values of windows of two pooled rows.
#include "conv_pool_common.h"
#include "winograd_columns_tiles.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int W = VF_WIDTH;
typedef uint8_t Bytes __attribute__((vector_size(VF_WIDTH)));

ConvParams conv_of(const ConvPoolParams& p) {
  ConvParams conv{};
  conv.itemsize = p.itemsize, conv.n = p.n, conv.c = p.c, conv.h = p.h, conv.w = p.w, conv.k = p.k;
  conv.r = p.r, conv.s = p.s, conv.p = p.h + p.top + p.bottom - p.r + 1,
  conv.q = p.w + p.left + p.right - p.s + 1;
  conv.stride_h = conv.stride_w = conv.dilation_h = conv.dilation_w = conv.groups = 1;
  conv.top = p.top, conv.left = p.left;
  return p.flip ? flipped(conv) : conv;
}

template <int ACTIVATION>
struct Pooled {
  const PooledShape& shape;
  const float* bias;
  int channels;
  float* y;  // of one image
  uint8_t* argmax;

  static constexpr bool fetches = false;
  void fetch(const Place&, int) const {}

  void done(int first_band, int end_band) const {
    if constexpr (comes_later(ACTIVATION)) {
      const int first = 2 * first_band, end = least(2 * end_band, shape.rows);
      if (first == 0 && end == shape.rows) return activate_run<ACTIVATION>(y, channels * shape.positions);
      for (int k = 0; k < channels; k++)
        activate_run<ACTIVATION>(y + k * shape.positions + static_cast<long long>(first) * shape.cols,
                                 static_cast<long long>(end - first) * shape.cols);
    }
  }

  // PARTS equal parts of a vector are outputs of as many pooled rows, `rows[i]` below the band's first.
  template <int PARTS>
  __attribute__((always_inline)) void store_rows(vf values, vi places, const int (&rows)[PARTS], int row,
                                                 int col, long long plane) const {
    constexpr int N = W / PARTS;
    const auto bytes = __builtin_convertvector(places, Bytes);
    const long long cols = shape.cols, at = plane + row * cols + col;
    if (col + N > cols || row + PARTS > shape.rows)
      return store_some<PARTS>(values, bytes, rows, row, col, plane);
#pragma GCC unroll 4
    for (int i = 0; i < PARTS; i++) {
      memcpy(y + at + rows[i] * cols, reinterpret_cast<const float*>(&values) + i * N, N * sizeof(float));
      memcpy(argmax + at + rows[i] * cols, reinterpret_cast<const uint8_t*>(&bytes) + i * N, N);
    }
  }

  // The same where some lanes lie beyond the outputs. Not inlined: the compiler would take all lanes apart before it looks.
  template <int PARTS>
  __attribute__((noinline)) void store_some(vf values, Bytes places, const int (&rows)[PARTS], int row,
                                            int col, long long plane) const {
    constexpr int N = W / PARTS;
    const int n = least(N, shape.cols - col);
    float lanes[2 * W];
    store(lanes, values);
    for (int i = 0; i < PARTS; i++) {
      if (row + rows[i] >= shape.rows) continue;
      const long long at = plane + static_cast<long long>(row + rows[i]) * shape.cols + col;
      store_n(y + at, load(lanes + i * N), n);
      for (int j = 0; j < n; j++) argmax[at + j] = places[i * N + j];
    }
  }

  __attribute__((always_inline)) void put(const Place& place, int channel, const vf* rows) const {
    const vf largest = largest_of<kBandRows>(rows);
    vf v[4], other, each, best, number;
    split_pairs(rows[0], rows[2], v[0], v[1]);
    split_pairs(rows[1], rows[3], v[2], v[3]);
    split_pairs(largest, largest, each, other);
    fold_ties<4>(v, tie_margin(max(each, other)), best, number);
    vf values = best + bias[channel];
    if constexpr (!comes_later(ACTIVATION)) values = activate(ACTIVATION, values);
    const long long plane = channel * shape.positions;
    const int row = 2 * place.band, col = place.col / 2;
    if (place.halves)
      store_rows<4>(values, to_int(number), {0, 2, 1, 3}, row, col, plane);  // of two bands
    else
      store_rows<2>(values, to_int(number), {0, 1}, row, col, plane);
  }
};

void run(const Launch& l) {
  const ConvPoolParams& p = params_as<ConvPoolParams>(l);
  const ColumnsPlan plan = plan_columns(conv_of(p), false, l.pool->size());
  const PooledShape shape = pooled_shape(p);
  const float* bias = static_cast<const float*>(l.in[2]);
  float* y = static_cast<float*>(l.out[0]);
  uint8_t* argmax = static_cast<uint8_t*>(l.out[1]);
  const long long image = p.k * shape.positions;
  with_activation(p.activation, [&](auto act) {
    with_transform(plan.columns, [&](auto f) {
      run_columns<decltype(f)>(l, plan, [&](long long i) {
        return Pooled<act.value>{shape, bias, p.k, y + i * image, argmax + i * image};
      });
    });
  });
}

size_t workspace(const Sizes& s) {
  const ConvPoolParams& p = params_as<ConvPoolParams>(s, "winograd_columns_conv_pool");
  ColumnsScratch scratch;
  return carve_columns(plan_columns(conv_of(p), false, s.threads), nullptr, s.threads, 0, scratch);
}

void check(const Sizes& s) {
  check_conv_pool(s);
  const ConvPoolParams& p = params_as<ConvPoolParams>(s, "winograd_columns_conv_pool");
  if (p.itemsize != 4 || p.pool_h != 2 || p.pool_w != 2)
    fail("winograd_columns_conv_pool: pooled by %d x %d, %d bytes a value", p.pool_h, p.pool_w, p.itemsize);
}

}  // namespace

void register_conv_pool_columns(Registrar& r) {
  r.add({"winograd_columns_conv_pool", run, check, workspace});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
