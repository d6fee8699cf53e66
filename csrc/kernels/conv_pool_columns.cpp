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
  float* y;  // of one image
  uint8_t* argmax;

  static constexpr bool fetches = false;
  void fetch(const Place&, int) const {}

  // n lanes from `lane` on are outputs of a pooled row.
  void part(const float* values, const uint8_t* places, int lane, int n, int row, int col,
            long long plane) const {
    if (row >= shape.rows) return;
    const long long at = plane + static_cast<long long>(row) * shape.cols + col;
    n = least(n, shape.cols - col);
    if (n == W / 2) {
      memcpy(y + at, values + lane, W / 2 * sizeof(float)), memcpy(argmax + at, places + lane, W / 2);
    } else if (n == W / 4) {
      memcpy(y + at, values + lane, W / 4 * sizeof(float)), memcpy(argmax + at, places + lane, W / 4);
    } else {
      for (int i = 0; i < n; i++) y[at + i] = values[lane + i], argmax[at + i] = places[lane + i];
    }
  }

  __attribute__((always_inline)) void put(const Place& place, int channel, const vf* rows) const {
    vf v[4], largest{}, other, each;
    for (int r = 0; r < kBandRows; r++) {
      const vf size = abs(rows[r]);
      largest = select(size > largest, size, largest);  // NaN is passed over
    }
    split_pairs(rows[0], rows[2], v[0], v[1]);
    split_pairs(rows[1], rows[3], v[2], v[3]);
    split_pairs(largest, largest, each, other);
    TieFold window(v[0], tie_margin(max(each, other)));
#pragma GCC unroll 3
    for (int k = 1; k < 4; k++) window.add(v[k], static_cast<float>(k));
    float values[W];
    int32_t numbers[W];
    uint8_t places[W];
    store(values, activate(ACTIVATION, window.best + bias[channel]));
    store(numbers, to_int(window.place));
    for (int i = 0; i < W; i++) places[i] = static_cast<uint8_t>(numbers[i]);
    const long long plane = channel * shape.positions;
    const int row = 2 * place.band, col = place.col / 2;
    if (!place.halves) {
      part(values, places, 0, W / 2, row, col, plane);
      part(values, places, W / 2, W / 2, row + 1, col, plane);
    } else {
      for (int i = 0; i < 4; i++)  // two bands, and of each two rows
        part(values, places, i * W / 4, W / 4, row + 2 * (i % 2) + i / 2, col, plane);
    }
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
        return Pooled<act.value>{shape, bias, y + i * image, argmax + i * image};
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
