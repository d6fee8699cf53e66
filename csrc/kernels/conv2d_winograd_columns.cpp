// conv2d, and its input gradient at stride 1, by Winograd's transforms along columns alone (winograd_columns_tiles.h): for
// few input channels, whose sums are too short for the transforms of both axes (conv2d_winograd.cpp), and for larger
// windows.
#include "winograd_columns_tiles.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

// The outputs of one image and group.
struct Planes {
  const Gather& g;
  float* out;
  bool fetches;  // not what caches hold

  float* at(const Place& place, int channel) const {
    return out + static_cast<long long>(channel) * g.out_h * g.out_w + place.at;
  }
  void done(int, int) const {}
  // Inlined: GCC leaves calls out that do nothing but fetch.
  __attribute__((always_inline)) void fetch(const Place& place, int channel) const {
    const float* to = at(place, channel);
    for (int r = 0; r < kBandRows; r++) __builtin_prefetch(to + static_cast<long long>(r) * g.out_w, 1);
  }
  __attribute__((always_inline)) void put(const Place& place, int channel, const vf* y) const {
    const long long pitch = g.out_w;
    float* to = at(place, channel);
    if (place.whole) {
      store(to, y[0]), store(to + pitch, y[1]);
      to += 2 * pitch;
      store(to, y[2]), store(to + pitch, y[3]);
      return;
    }
    const int n = g.out_w - place.col, rows = least(kBandRows, g.out_h - place.band * kBandRows);
#pragma GCC unroll 4
    for (int r = 0; r < kBandRows; r++, to += pitch)
      if (r < rows) store_part(to, y[r], n);
    const int others = place.halves ? least(kBandRows, g.out_h - (place.band + 1) * kBandRows) : 0;
#pragma GCC unroll 4
    for (int r = 0; r < kBandRows; r++, to += pitch)
      if (r < others) store_part(to, swap_halves(y[r]), n);
  }
};

template <bool DGRAD>
void run(const Launch& l) {
  const ColumnsPlan plan = plan_columns(params_as<ConvParams>(l), DGRAD, l.pool->size());
  const Gather& g = plan.g;
  const long long image = static_cast<long long>(g.out_channels) * g.out_h * g.out_w;
  const bool fetches = image * g.groups * plan.p.n * static_cast<long long>(sizeof(float)) > kCachedBytes;
  float* out = static_cast<float*>(l.out[0]);
  with_transform(plan.columns, [&](auto f) {
    run_columns<decltype(f)>(l, plan, [&](long long i) { return Planes{g, out + i * image, fetches}; });
  });
}

template <bool DGRAD>
size_t workspace(const Sizes& s) {
  const ColumnsPlan plan = plan_columns(params_as<ConvParams>(s, "winograd_columns"), DGRAD, s.threads);
  ColumnsScratch scratch;
  return carve_columns(plan, nullptr, s.threads, 0, scratch);
}

void check_shape(const Sizes& s, const char* name, bool dgrad) {
  const ConvParams& p = params_as<ConvParams>(s, name);
  const bool strided = p.stride_h != 1 || p.stride_w != 1;
  if (p.itemsize != 4 || !unit_dilation(p) || (dgrad && strided))
    fail("%s: stride (%d, %d), dilation (%d, %d), %d bytes a value", name, p.stride_h, p.stride_w,
         p.dilation_h, p.dilation_w, p.itemsize);
}

void check_fprop(const Sizes& s) {
  check_conv_fprop(s, "winograd_columns_fprop");
  check_shape(s, "winograd_columns_fprop", false);
}
void check_dgrad(const Sizes& s) {
  check_conv_dgrad(s, "winograd_columns_dgrad");
  check_shape(s, "winograd_columns_dgrad", true);
}

}  // namespace

void register_conv2d_winograd_columns(Registrar& r) {
  r.add({"winograd_columns_fprop", run<false>, check_fprop, workspace<false>});
  r.add({"winograd_columns_dgrad", run<true>, check_dgrad, workspace<true>});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
