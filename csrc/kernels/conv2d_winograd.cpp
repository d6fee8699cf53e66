// conv2d and its input gradient by Winograd's transforms (conv_winograd.h): windows of 3 x 3 and 5 x 5, stride 1, and
// 3 x 3, stride 2; float32. The input gradient is the convolution of dy with the window turned round and the channels
// exchanged.
//
// winograd_fprop, winograd_dgrad: lanes are channels throughout. The weights are transformed to
// [panel][point][C][lanes], a panel being two or three vectors of output channels. Tiles come in strips, pieces of a
// row of tiles. Under a strip, the input is laid out channels-last and transformed to [point][tile][C]; a product for
// each point gives [point][tile][lanes]; tiles are transformed back and turned into planes.
//
// Two orders. Images with many tiles: all weights are transformed first, then chunks of strips go through all
// steps, their points staying in the L2 cache. Weights larger than that pays for: all tiles of a chunk are transformed
// first, then groups of panels go through the other steps, from the weights' transformation on, so that transformed
// weights need not be written to memory. Threads share chunks in the first case, groups in the second.
#include "conv_geometry.h"
#include "conv_winograd.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int W = VF_WIDTH;
// All flat around their best values.
template <class F>
constexpr int kChunkTiles = F::points > 8 ? 24 : 48;  // in the first order
constexpr long long kWeightBytes = 3 << 20;           // beyond these, the second order
constexpr int kSubTiles = 64;                         // in work at a time in the second order
constexpr int kManyTiles = 256;  // of a chunk in the second order, or what these bytes hold
constexpr long long kManyBytes = 16 << 20;
constexpr int kGroupLanes = 32;
constexpr int kTapChannels = 16;

struct Plan {
  int n, in_channels, in_h, in_w, out_channels, out_h, out_w;
  int top, left;                    // inputs of the first tile before the first of the image
  int skip_rows, skip_cols;         // outputs of the first tile before them
  bool dgrad, turned;               // turned: the windows are laid over the inputs backwards
  int tile_rows, tile_cols;         // of an image
  int strips, strip_tiles;          // of a row of tiles; tiles of the largest
  long long in_lanes, out_lanes;    // channels, rounded up
  int panels, group, groups;        // panels of a group
  bool by_groups;                   // the second order
  int chunks, chunk_strips;         // strips of the largest
  long long chunk_tiles;            // of the largest
  long long sub_strips, sub_tiles;  // second order: strips that go through the products at a time
  long long v_step, m_step;         // from point to point
};

int panel_begin(int panel) { return 2 * panel; }
int panel_vectors(const Plan& plan, int panel) {
  return panel == plan.panels - 1 ? static_cast<int>(plan.out_lanes / W) - 2 * panel : 2;
}

// Floats from point to point of a panel's transformed weights, and of those of the panels before it.
long long u_step(const Plan& plan, int vectors) {
  return skewed(static_cast<long long>(vectors) * W * plan.in_channels);
}
template <class F>
long long panel_floats(const Plan& plan, int panel) {
  return all_weights<F>() * panel * u_step(plan, 2);
}

template <class F>
Plan make_plan(const ConvParams& params, bool dgrad, int threads) {
  const ConvParams p = unflipped(params);
  constexpr int kAll = all_points<F>();
  Plan plan{};
  plan.dgrad = dgrad, plan.turned = dgrad != is_flipped(params);
  plan.n = p.n;
  plan.in_channels = dgrad ? p.k : p.c, plan.out_channels = dgrad ? p.c : p.k;
  plan.in_h = dgrad ? p.p : p.h, plan.in_w = dgrad ? p.q : p.w;
  plan.out_h = dgrad ? p.h : p.p, plan.out_w = dgrad ? p.w : p.q;
  plan.top = p.top, plan.left = p.left;
  if (dgrad && p.stride_h == 1) {
    plan.top = p.r - 1 - p.top, plan.left = p.s - 1 - p.left;
  } else if (dgrad) {  // tiles begin with an output that the middle tap meets
    plan.top = 1 - (p.top + 1) / 2, plan.left = 1 - (p.left + 1) / 2;
    plan.skip_rows = 1 - p.top % 2, plan.skip_cols = 1 - p.left % 2;
  }
  plan.tile_rows = ceil_div(plan.out_h + plan.skip_rows, F::outputs);
  plan.tile_cols = ceil_div(plan.out_w + plan.skip_cols, F::outputs);
  plan.in_lanes = round_up(plan.in_channels, W), plan.out_lanes = round_up(plan.out_channels, W);
  const int vectors = static_cast<int>(plan.out_lanes / W);
  plan.panels = vectors > 1 ? vectors / 2 : 1;
  const long long u_bytes =
      static_cast<long long>(sizeof(float)) * all_weights<F>() * plan.in_channels * plan.out_lanes;
  plan.strips = ceil_div(plan.tile_cols, kChunkTiles<F>);
  plan.strip_tiles = ceil_div(plan.tile_cols, plan.strips);
  const int all = p.n * plan.tile_rows * plan.strips;
  plan.group = ceil_div(kGroupLanes, 2 * W);
  plan.by_groups = u_bytes > kWeightBytes || (all < threads && all < plan.panels);
  long long tiles = kChunkTiles<F>;
  if (plan.by_groups) {
    tiles = kManyBytes / (kAll * plan.in_lanes * static_cast<long long>(sizeof(float)));
    if (tiles > kManyTiles) tiles = kManyTiles;
    if (tiles < kSubTiles) tiles = kSubTiles;
  }
  long long per_chunk = tiles / plan.strip_tiles;
  if (per_chunk < 1) per_chunk = 1;
  plan.chunks = static_cast<int>((all + per_chunk - 1) / per_chunk);
  if (!plan.by_groups && pays(conv_flops(p), kConvPartFlops, threads))
    plan.chunks = static_cast<int>(round_up(plan.chunks, threads));
  if (plan.chunks > all) plan.chunks = all;
  plan.chunk_strips = plan.chunks ? ceil_div(all, plan.chunks) : 0;
  plan.chunk_tiles = static_cast<long long>(plan.chunk_strips) * plan.strip_tiles;
  plan.sub_strips = plan.chunk_strips;
  if (plan.by_groups) {
    plan.sub_strips = kSubTiles / plan.strip_tiles;
    if (plan.sub_strips < 1) plan.sub_strips = 1;
    if (plan.sub_strips > plan.chunk_strips) plan.sub_strips = plan.chunk_strips;
    while (plan.group > 1 && plan.panels < plan.group * threads) plan.group--;
  }
  plan.sub_tiles = plan.sub_strips * plan.strip_tiles;
  plan.groups = ceil_div(plan.panels, plan.group);
  plan.v_step = skewed(plan.chunk_tiles * plan.in_lanes);
  plan.m_step = skewed(plan.sub_tiles * (plan.group * 2 + 1) * W);
  return plan;
}

struct Scratch {
  float* u;      // [panel][point][C][lanes], of all panels or of a group
  float* v;      // [point][tile][in_lanes]
  float* taps;   // weights of some input channels, [channel][place][lanes]
  float* band;   // [points][columns][in_lanes]
  float* m;      // [point][tile][lanes of a group]
  float* stage;  // [outputs][columns][lanes of a group]
};

template <class F>
size_t carve(const Plan& plan, char* base, int threads, int part, Scratch& out) {
  constexpr int kAll = all_points<F>();
  Carver c{base};
  Scratch s{};
  const long long group_lanes = (plan.group * 2 + 1) * W;
  auto weights = [&](int panels) {  // the last may be of three vectors
    return c.take<float>(panel_floats<F>(plan, panels - 1) + all_weights<F>() * u_step(plan, 3));
  };
  if (!plan.by_groups) s.u = weights(plan.panels);
  if (plan.by_groups) s.v = c.take<float>(kAll * plan.v_step);
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    if (plan.by_groups) s.u = weights(plan.group);
    if (!plan.by_groups) s.v = c.take<float>(kAll * plan.v_step);
    s.taps = c.take<float>(kTapChannels * F::window * F::window * 3LL * W);
    s.band = c.take<float>(F::inputs * ((plan.strip_tiles - 1LL) * F::step + F::inputs) * plan.in_lanes);
    s.m = c.take<float>(kAll * plan.m_step);
    s.stage = c.take<float>(F::outputs * F::outputs * plan.strip_tiles * group_lanes);
    if (t == part) out = s;
  }
  return c.used;
}

// The transformed weights of one panel, from point to point u_step.
template <class F>
void transform_panel(const Plan& plan, const float* w, int panel, float* taps, float* u) {
  constexpr int kPlaces = F::window * F::window;
  const int vectors = panel_vectors(plan, panel), first = panel_begin(panel) * W;
  const int channels = least(vectors * W, plan.out_channels - first);
  const long long lanes = vectors * W, step = u_step(plan, vectors);
  const Order order = in_order(kPlaces, lanes, plan.turned);
  if (channels < lanes) memset(taps, 0, static_cast<size_t>(kTapChannels * kPlaces * lanes) * sizeof(float));
  for (int c = 0; c < plan.in_channels; c += kTapChannels) {
    const int n = least(kTapChannels, plan.in_channels - c);
    if (plan.dgrad) {
      for (int i = 0; i < n; i++)
        transpose(w + ((c + i) * static_cast<long long>(plan.out_channels) + first) * kPlaces, kPlaces,
                  taps + i * kPlaces * lanes, lanes, channels, kPlaces);
    } else {
      const long long filter = static_cast<long long>(plan.in_channels) * kPlaces;
      transpose(w + first * filter + c * kPlaces, filter, taps, lanes, channels,
                static_cast<long long>(n) * kPlaces);
    }
    for (int i = 0; i < n; i++)
      for (int v = 0; v < vectors; v++) {
        const float* from = taps + i * kPlaces * lanes + v * W;
        float* to = u + (c + i) * lanes + v * W;
        weight_tile<F>(from + order.first, order.step, to, step);
      }
  }
}

// Where a strip lies.
struct Strip {
  int image, row, col, tiles;  // row and first column in tiles
};
Strip strip_at(const Plan& plan, int i) {
  const int piece = i % plan.strips, row = i / plan.strips;
  const int begin = share_of(plan.tile_cols, piece, plan.strips);
  return {row / plan.tile_rows, row % plan.tile_rows, begin,
          share_of(plan.tile_cols, piece + 1, plan.strips) - begin};
}

// The inputs under a strip, channels-last, zeros outside the image.
template <class F>
void fill_band(const Plan& plan, const Strip& strip, const float* x, float* band) {
  const int cols = (strip.tiles - 1) * F::step + F::inputs;
  const int first = strip.col * F::step - plan.left;  // column of x under the first
  int begin = first < 0 ? -first : 0, end = plan.in_w - first;
  if (end > cols) end = cols;
  if (begin > end) begin = end = 0;
  const long long plane = static_cast<long long>(plan.in_h) * plan.in_w, lanes = plan.in_lanes;
  for (int i = 0; i < F::inputs; i++, band += cols * lanes) {
    const int y = strip.row * F::step + i - plan.top;
    const bool inside = y >= 0 && y < plan.in_h && begin < end;
    if (!inside || lanes > plan.in_channels) {
      memset(band, 0, static_cast<size_t>(cols * lanes) * sizeof(float));
    } else {
      memset(band, 0, static_cast<size_t>(begin * lanes) * sizeof(float));
      memset(band + end * lanes, 0, static_cast<size_t>((cols - end) * lanes) * sizeof(float));
    }
    if (inside)
      transpose(x + static_cast<long long>(y) * plan.in_w + first + begin, plane, band + begin * lanes, lanes,
                plan.in_channels, end - begin);
  }
}

// The transformed inputs of strip i, at v.
template <class F>
int transform_strip(const Plan& plan, int i, const float* x, float* band, float* v) {
  const Strip strip = strip_at(plan, i);
  const long long lanes = plan.in_lanes, cols = (strip.tiles - 1) * F::step + F::inputs;
  fill_band<F>(plan, strip,
               x + static_cast<long long>(strip.image) * plan.in_channels * plan.in_h * plan.in_w, band);
  for (int t = 0; t < strip.tiles; t++)
    for (long long c = 0; c < lanes; c += W)
      input_tile<F>(band + t * F::step * lanes + c, cols * lanes, lanes, v + t * lanes + c, plan.v_step);
  return strip.tiles;
}

// The outputs of strip i, from m, for channels first to first + channels - 1.
template <class F>
int finish_strip(const Plan& plan, int i, const float* m, long long lanes, int first, int channels,
                 float* stage, float* y) {
  const Strip strip = strip_at(plan, i);
  const long long row = static_cast<long long>(strip.tiles) * F::outputs * lanes;
  for (int t = 0; t < strip.tiles; t++)
    for (long long c = 0; c < lanes; c += W) {
      vf tile[F::outputs][F::outputs];
      output_tile<F>(m + t * lanes + c, plan.m_step, tile);
      for (int a = 0; a < F::outputs; a++)
        for (int b = 0; b < F::outputs; b++)
          store(stage + a * row + (t * F::outputs + b) * lanes + c, tile[a][b]);
    }
  const long long plane = static_cast<long long>(plan.out_h) * plan.out_w;
  const int top = strip.row * F::outputs - plan.skip_rows, left = strip.col * F::outputs - plan.skip_cols;
  const int rows = least(F::outputs, plan.out_h - top),
            cols = least(strip.tiles * F::outputs, plan.out_w - left);
  const int first_row = top < 0 ? -top : 0, first_col = left < 0 ? -left : 0;
  y += (static_cast<long long>(strip.image) * plan.out_channels + first) * plane;
  for (int a = first_row; a < rows; a++)
    transpose(stage + a * row + first_col * lanes, lanes,
              y + static_cast<long long>(top + a) * plan.out_w + left + first_col, plane, cols - first_col,
              channels);
  return strip.tiles;
}

// Products and outputs of a group of panels, whose weights are at u, for strips [first, last), transformed at v.
template <class F>
void run_group(const Plan& plan, const Scratch& s, const float* u, int group, int first, int last,
               const float* v, float* y) {
  const int begin = group * plan.group, end = least(begin + plan.group, plan.panels);
  const int channel = panel_begin(begin) * W;
  const long long lanes = (panel_begin(end - 1) + panel_vectors(plan, end - 1)) * W - channel;
  int tiles = 0;
  for (int i = first; i < last; i++) tiles += strip_at(plan, i).tiles;
  for (int point = 0; point < all_points<F>(); point++) {
    const float* weights = u;
    for (int panel = begin; panel < end; panel++) {
      const int vectors = panel_vectors(plan, panel);
      const long long step = u_step(plan, vectors);
      multiply_vectors(vectors, v + point * plan.v_step, plan.in_lanes, tiles,
                       weights + weight_at<F>(point) * step, plan.in_channels,
                       s.m + point * plan.m_step + panel_begin(panel) * W - channel, lanes);
      weights += all_weights<F>() * step;
    }
  }
  const float* m = s.m;
  const int channels = least(static_cast<int>(lanes), plan.out_channels - channel);
  for (int i = first; i < last; i++)
    m += finish_strip<F>(plan, i, m, lanes, channel, channels, s.stage, y) * lanes;
}

template <class F>
void run(const Launch& l, bool dgrad) {
  const ConvParams& p = params_as<ConvParams>(l);
  const int threads = l.pool->size();
  const Plan plan = make_plan<F>(p, dgrad, threads);
  char* base = static_cast<char*>(l.workspace);
  const float *x = static_cast<const float*>(l.in[0]), *w = static_cast<const float*>(l.in[1]);
  float* y = static_cast<float*>(l.out[0]);
  const bool share = pays(conv_flops(p), kConvPartFlops, l.pool);
  const int all = plan.n * plan.tile_rows * plan.strips;
  auto scratch = [&](int part) {
    Scratch s{};
    carve<F>(plan, base, threads, part, s);
    return s;
  };
  if (!plan.by_groups) {
    parallel_for(
        l.pool, plan.panels,
        [&](int panel, int part) {
          const Scratch s = scratch(part);
          transform_panel<F>(plan, w, panel, s.taps, s.u + panel_floats<F>(plan, panel));
        },
        share);
    parallel_for(
        l.pool, plan.chunks,
        [&](int chunk, int part) {
          const Scratch s = scratch(part);
          const int first = share_of(all, chunk, plan.chunks), last = share_of(all, chunk + 1, plan.chunks);
          float* v = s.v;
          for (int i = first; i < last; i++) v += transform_strip<F>(plan, i, x, s.band, v) * plan.in_lanes;
          for (int g = 0; g < plan.groups; g++)
            run_group<F>(plan, s, s.u + panel_floats<F>(plan, g * plan.group), g, first, last, s.v, y);
        },
        share);
    return;
  }
  for (int chunk = 0; chunk < plan.chunks; chunk++) {
    const int first = share_of(all, chunk, plan.chunks), last = share_of(all, chunk + 1, plan.chunks);
    auto place = [&](int strip) {  // tiles before it
      const int whole = plan.strips;
      auto before = [&](int i) {
        return static_cast<long long>(i / whole) * plan.tile_cols +
               share_of(plan.tile_cols, i % whole, whole);
      };
      return before(strip) - before(first);
    };
    parallel_for(
        l.pool, last - first,
        [&](int i, int part) {
          const Scratch s = scratch(part);
          transform_strip<F>(plan, first + i, x, s.band, s.v + place(first + i) * plan.in_lanes);
        },
        share);
    parallel_for(
        l.pool, plan.groups,
        [&](int group, int part) {
          const Scratch s = scratch(part);
          const int begin = group * plan.group, end = least(begin + plan.group, plan.panels);
          for (int panel = begin; panel < end; panel++)
            transform_panel<F>(plan, w, panel, s.taps,
                               s.u + panel_floats<F>(plan, panel) - panel_floats<F>(plan, begin));
          for (long long i = first; i < last; i += plan.sub_strips) {
            const int stop = i + plan.sub_strips < last ? static_cast<int>(i + plan.sub_strips) : last;
            run_group<F>(plan, s, s.u, group, static_cast<int>(i), stop,
                         s.v + place(static_cast<int>(i)) * plan.in_lanes, y);
          }
        },
        share);
  }
}

// call(transform) for the transforms of the window and the stride.
template <bool DGRAD, class Call>
auto with_transforms(const ConvParams& p, const Call& call) {
  if (p.stride_h == 2) return call(std::conditional_t<DGRAD, Strided3Dgrad, Strided3>{});
  return p.r == 3 ? call(Window3{}) : call(Window5{});
}

template <bool DGRAD>
void run_any(const Launch& l) {
  with_transforms<DGRAD>(params_as<ConvParams>(l), [&](auto f) { run<decltype(f)>(l, DGRAD); });
}

template <bool DGRAD>
size_t workspace(const Sizes& s) {
  const ConvParams& p = params_as<ConvParams>(s, "winograd");
  return with_transforms<DGRAD>(p, [&](auto f) {
    Scratch scratch{};
    return carve<decltype(f)>(make_plan<decltype(f)>(p, DGRAD, s.threads), nullptr, s.threads, 0, scratch);
  });
}
void check_fprop(const Sizes& s) {
  check_conv_fprop(s, "winograd_fprop");
  check_winograd(s, "winograd_fprop");
}
void check_dgrad(const Sizes& s) {
  check_conv_dgrad(s, "winograd_dgrad");
  check_winograd(s, "winograd_dgrad");
}

}  // namespace

void run_winograd_dgrad(const Launch& l) { run_any<true>(l); }
size_t winograd_dgrad_workspace(const Sizes& s) { return workspace<true>(s); }

void register_conv2d_winograd(Registrar& r) {
  r.add({"winograd_fprop", run_any<false>, check_fprop, workspace<false>});
  r.add({"winograd_dgrad", run_winograd_dgrad, check_dgrad, winograd_dgrad_workspace});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
