// conv_pool by Winograd's transforms: y = activation(maxpool(x * w) + b), and the place of each maximum.
//
// winograd_conv_pool: windows of 3 x 3 and 5 x 5 (conv_winograd.h). Weights are transformed once per call to
// [point][block][C][lanes], by each thread for itself where they fit into its L2 cache: to read what another core has
// just written would take longer. Tile rows are taken a few at a time, so that their points stay in the L2 cache: the
// input is laid out channels-last and transformed to [point][tile][C]; a product for each point gives
// [point][tile][K]; tiles are transformed back, and their maxima taken, with a vector of channels in registers. Lanes
// are channels throughout.
#include "conv_pool_common.h"
#include "conv_winograd.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int W = VF_WIDTH;
constexpr int kOutputs = 4;  // of a tile, along each side
static_assert(Window3::outputs == kOutputs && Window5::outputs == kOutputs);
constexpr long long kPointBytes = 320 << 10;  // of transformed inputs and outputs in work at once
constexpr int kLeastTiles = 8;                // below this the weights would be read for too little work
constexpr long long kOwnBytes = 512 << 10;    // of transformed weights that each thread makes for itself

struct Plan : PooledShape {
  ConvPoolParams p;
  int tile_rows, tile_cols;  // of an image
  int band_cols;             // inputs under a tile row
  long long c_lanes, k_lanes;
  int blocks;                   // of output channels
  int chunks;                   // of the tile rows of all images
  int chunk_rows;               // tile rows of the largest
  int parts;                    // threads that share the chunks
  bool own;                     // each has weights of its own
  long long in_step, out_step;  // from point to point
};

template <class F>
Plan make_plan(const ConvPoolParams& p, int threads) {
  constexpr int kAll = all_points<F>();
  Plan plan{};
  static_cast<PooledShape&>(plan) = pooled_shape(p);
  plan.p = p;
  plan.tile_rows = (plan.rows * p.pool_h + kOutputs - 1) / kOutputs;
  plan.tile_cols = (plan.cols * p.pool_w + kOutputs - 1) / kOutputs;
  plan.band_cols = (plan.tile_cols - 1) * kOutputs + F::points;
  plan.c_lanes = round_up(p.c, W);
  plan.k_lanes = round_up(p.k, W);
  const int vectors = static_cast<int>(plan.k_lanes / W);
  const int widest = vectors % 5 ? 3 : 5;  // four would not leave their rows enough registers
  plan.blocks = ceil_div(vectors, widest);
  long long tiles = kPointBytes / (kAll * (plan.c_lanes + plan.k_lanes) * static_cast<int>(sizeof(float)));
  if (tiles < kLeastTiles) tiles = kLeastTiles;
  long long rows = tiles / plan.tile_cols;
  if (rows < 1) rows = 1;
  const int all = p.n * plan.tile_rows;
  plan.chunks = static_cast<int>((all + rows - 1) / rows);
  const bool share = pays(conv_pool_flops(p, plan), kPartFlops, threads);
  if (share) plan.chunks = static_cast<int>(round_up(plan.chunks, threads));
  if (plan.chunks > all) plan.chunks = all;
  plan.parts = !share || plan.chunks < 2 ? 1 : plan.chunks < threads ? plan.chunks : threads;
  plan.own = kAll * plan.k_lanes * p.c * static_cast<int>(sizeof(float)) <= kOwnBytes;
  plan.chunk_rows = plan.chunks ? (all + plan.chunks - 1) / plan.chunks : 0;
  plan.in_step = skewed(plan.chunk_rows * plan.tile_cols * plan.c_lanes);
  plan.out_step = skewed(plan.chunk_rows * plan.tile_cols * plan.k_lanes);
  return plan;
}

struct Scratch {
  float* taps;     // [C][R R][k_lanes]
  float* weights;  // [point][block][C][lanes]
  float* band;     // [points][band_cols][c_lanes]
  float* in;       // [point][tile][c_lanes]
  float* out;      // [point][tile][k_lanes]
  float* pooled;   // [position][k_lanes]
  float* places;
};

template <class F>
size_t carve(const Plan& plan, char* base, int part, Scratch& out) {
  constexpr int kAll = all_points<F>();
  Carver c{base};
  Scratch s{};
  const ConvPoolParams& p = plan.p;
  const long long positions = static_cast<long long>(plan.chunk_rows) * (kOutputs / p.pool_h) * plan.cols;
  for (int t = 0; t < plan.parts; t++) {
    c.begin_part(t);
    if (t == 0 || plan.own) {
      s.taps = c.take<float>(static_cast<long long>(p.c) * p.r * p.r * plan.k_lanes);
      s.weights = c.take<float>(kAll * plan.k_lanes * p.c);
    }
    s.band = c.take<float>(F::points * plan.band_cols * plan.c_lanes);
    s.in = c.take<float>(kAll * plan.in_step);
    s.out = c.take<float>(kAll * plan.out_step);
    s.pooled = c.take<float>(positions * plan.k_lanes);
    s.places = c.take<float>(positions * plan.k_lanes);
    if (t == part) out = s;
  }
  return c.used;
}

int block_begin(const Plan& plan, int block) {
  return share_of(static_cast<int>(plan.k_lanes / W), block, plan.blocks);
}

// w [K][C R R] -> taps [C R R][k_lanes], with zeros beyond K.
void pack_taps(const Plan& plan, const float* w, float* taps) {
  const long long n = static_cast<long long>(plan.p.c) * plan.p.r * plan.p.r;
  if (plan.p.k < plan.k_lanes) memset(taps, 0, static_cast<size_t>(n * plan.k_lanes) * sizeof(float));
  transpose(w, n, taps, plan.k_lanes, plan.p.k, n);
}

template <class F>
void transform_channel(const Plan& plan, const Scratch& s, int c) {
  const long long step = plan.k_lanes * plan.p.c;
  const Order order = in_order(F::window * F::window, plan.k_lanes, plan.p.flip);
  for (int b = 0; b < plan.blocks; b++) {
    const int begin = block_begin(plan, b), end = block_begin(plan, b + 1);
    for (int v = begin; v < end; v++) {
      const float* from = s.taps + static_cast<long long>(c) * plan.p.r * plan.p.r * plan.k_lanes + v * W;
      float* to = s.weights + (static_cast<long long>(begin) * plan.p.c + c * (end - begin) + v - begin) * W;
      weight_tile<F>(from + order.first, order.step, to, step);
    }
  }
}

// The inputs under one tile row, channels-last. Columns beyond the image stay zero from the start.
template <class F>
void fill_band(const Plan& plan, const float* x, int tile_row, float* band) {
  const ConvPoolParams& p = plan.p;
  const long long row = plan.band_cols * plan.c_lanes, plane = static_cast<long long>(p.h) * p.w;
  const int cols = p.w < plan.band_cols - p.left ? p.w : plan.band_cols - p.left;
  for (int i = 0; i < F::points; i++, band += row) {
    const int y = tile_row * kOutputs + i - p.top;
    if (y < 0 || y >= p.h)
      memset(band, 0, static_cast<size_t>(row) * sizeof(float));
    else if (cols > 0)
      transpose(x + static_cast<long long>(y) * p.w, plane, band + p.left * plan.c_lanes, plan.c_lanes, p.c,
                cols);
  }
}

// The maxima of one tile of outputs in windows of PH x PW; row and col are those of its first window, in the chunk's positions.
template <int PH, int PW>
void pool_tile(const Plan& plan, const vf (*y)[kOutputs], int rows, int cols, float* pooled, float* places) {
  const vf margin = tie_margin(largest_of<kOutputs * kOutputs>(y[0]));
#pragma GCC unroll 4
  for (int i = 0; i < kOutputs / PH; i++)
#pragma GCC unroll 4
    for (int j = 0; j < kOutputs / PW; j++) {
      if (i >= rows || j >= cols) continue;
      vf window[PH * PW], best, place;
      for (int k = 0; k < PH * PW; k++) window[k] = y[i * PH + k / PW][j * PW + k % PW];
      fold_ties<PH * PW>(window, margin, best, place);
      const long long at = (static_cast<long long>(i) * plan.cols + j) * plan.k_lanes;
      store(pooled + at, best);
      store(places + at, place);
    }
}

// Calls f with the sides of the pooling windows, which divide a tile's.
template <class F>
void with_window(const ConvPoolParams& p, F&& f) {
  auto side = [](int n, auto&& g) {
    if (n == 1) return g(std::integral_constant<int, 1>{});
    if (n == 2) return g(std::integral_constant<int, 2>{});
    g(std::integral_constant<int, 4>{});
  };
  side(p.pool_h, [&](auto ph) { side(p.pool_w, [&](auto pw) { f(ph, pw); }); });
}

template <class F>
void finish_tiles(const Plan& plan, int tile_row, const float* out, float* pooled, float* places) {
  const int high = kOutputs / plan.p.pool_h, wide = kOutputs / plan.p.pool_w;
  const int rows = plan.rows - tile_row * high < high ? plan.rows - tile_row * high : high;
  for (int t = 0; t < plan.tile_cols; t++, out += plan.k_lanes) {
    const int cols = plan.cols - t * wide < wide ? plan.cols - t * wide : wide;
    for (long long k = 0; k < plan.k_lanes; k += W) {
      vf y[kOutputs][kOutputs];
      output_tile<F>(out + k, plan.out_step, y);
      const long long at = static_cast<long long>(t) * wide * plan.k_lanes + k;
      with_window(plan.p, [&](auto ph, auto pw) {
        pool_tile<ph.value, pw.value>(plan, y, rows, cols, pooled + at, places + at);
      });
    }
  }
}

// The tile rows [first, last), counted over all images.
template <class F>
void run_chunk(const Plan& plan, const Scratch& s, int first, int last, const float* x, const float* bias,
               float* y, uint8_t* argmax) {
  constexpr int kAll = all_points<F>();
  const ConvPoolParams& p = plan.p;
  const int n_tiles = (last - first) * plan.tile_cols;
  const long long image = static_cast<long long>(p.c) * p.h * p.w;
  for (int i = first; i < last; i++) {
    fill_band<F>(plan, x + i / plan.tile_rows * image, i % plan.tile_rows, s.band);
    float* to = s.in + static_cast<long long>(i - first) * plan.tile_cols * plan.c_lanes;
    for (int t = 0; t < plan.tile_cols; t++, to += plan.c_lanes)
      for (long long c = 0; c < plan.c_lanes; c += W)
        input_tile<F>(s.band + t * kOutputs * plan.c_lanes + c, plan.band_cols * plan.c_lanes, plan.c_lanes,
                      to + c, plan.in_step);
  }
  for (int point = 0; point < kAll; point++)
    for (int b = 0; b < plan.blocks; b++) {
      const int begin = block_begin(plan, b), end = block_begin(plan, b + 1);
      multiply_vectors(end - begin, s.in + point * plan.in_step, plan.c_lanes, n_tiles,
                       s.weights + (point * plan.k_lanes + begin * W) * p.c, p.c,
                       s.out + point * plan.out_step + begin * W, plan.k_lanes);
    }
  const int high = kOutputs / p.pool_h;  // pooled rows of a tile row
  for (int i = first; i < last;) {
    const int row = i % plan.tile_rows;
    const int rows = plan.tile_rows - row < last - i ? plan.tile_rows - row : last - i;  // of this image
    for (int j = 0; j < rows; j++) {
      const float* out = s.out + static_cast<long long>(i - first + j) * plan.tile_cols * plan.k_lanes;
      const long long at = static_cast<long long>(j) * high * plan.cols * plan.k_lanes;
      finish_tiles<F>(plan, row + j, out, s.pooled + at, s.places + at);
    }
    const long long begin = static_cast<long long>(row) * high * plan.cols;
    long long end = begin + static_cast<long long>(rows) * high * plan.cols;
    if (end > plan.positions) end = plan.positions;
    const long long at = i / plan.tile_rows * plan.positions * p.k;
    finish_positions(p, plan.positions, 0, p.k, bias, s.pooled, s.places, plan.k_lanes, begin, end - begin,
                     y + at, argmax + at);
    i += rows;
  }
}

template <class F>
void run_winograd(const Launch& l) {
  const Plan plan = make_plan<F>(params_as<ConvPoolParams>(l), l.pool->size());
  const ConvPoolParams& p = plan.p;
  char* base = static_cast<char*>(l.workspace);
  const float* w = static_cast<const float*>(l.in[1]);
  if (!plan.own) {
    Scratch shared{};
    carve<F>(plan, base, 0, shared);
    pack_taps(plan, w, shared.taps);
    parallel_for(l.pool, p.c, [&](int c, int) { transform_channel<F>(plan, shared, c); }, plan.parts > 1);
  }
  const int all = p.n * plan.tile_rows;
  parallel_for(l.pool, plan.parts, [&](int part, int) {
    Scratch s{};
    carve<F>(plan, base, part, s);
    if (plan.own) {
      pack_taps(plan, w, s.taps);
      for (int c = 0; c < p.c; c++) transform_channel<F>(plan, s, c);
    }
    memset(s.band, 0, static_cast<size_t>(F::points * plan.band_cols * plan.c_lanes) * sizeof(float));
    for (int i = share_of(plan.chunks, part, plan.parts); i < share_of(plan.chunks, part + 1, plan.parts);
         i++)
      run_chunk<F>(plan, s, share_of(all, i, plan.chunks), share_of(all, i + 1, plan.chunks),
                   static_cast<const float*>(l.in[0]), static_cast<const float*>(l.in[2]),
                   static_cast<float*>(l.out[0]), static_cast<uint8_t*>(l.out[1]));
  });
}

void run_any(const Launch& l) {
  params_as<ConvPoolParams>(l).r == 3 ? run_winograd<Window3>(l) : run_winograd<Window5>(l);
}

template <class F>
size_t workspace_of(const ConvPoolParams& p, int threads) {
  Scratch scratch{};
  return carve<F>(make_plan<F>(p, threads), nullptr, 0, scratch);
}
size_t workspace(const Sizes& s) {
  const ConvPoolParams& p = params_as<ConvPoolParams>(s, "winograd_conv_pool");
  return p.r == 3 ? workspace_of<Window3>(p, s.threads) : workspace_of<Window5>(p, s.threads);
}

void check(const Sizes& s) {
  check_conv_pool(s);
  const ConvPoolParams& p = params_as<ConvPoolParams>(s, "winograd_conv_pool");
  if (p.itemsize != 4 || p.r != p.s || (p.r != 3 && p.r != 5) || kOutputs % p.pool_h || kOutputs % p.pool_w)
    fail("winograd_conv_pool: windows of %d x %d, pooled by %d x %d, %d bytes a value", p.r, p.s, p.pool_h,
         p.pool_w, p.itemsize);
}

}  // namespace

void register_conv_pool_winograd(Registrar& r) { r.add({"winograd_conv_pool", run_any, check, workspace}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
