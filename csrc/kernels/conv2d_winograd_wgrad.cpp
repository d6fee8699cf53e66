// The weight gradient of conv2d by Winograd's transforms (conv_winograd.h): windows of 3 x 3 and 5 x 5, stride 1, and
// 3 x 3, stride 2; float32. Y = A' [(G g G') . (B' d B)] A is linear in g; its adjoint, summed over all tiles of 4 x 4 outputs, is
//
//   dw[k][c] = G' [ sum over tiles of (A dy[k] A') . (B' x[c] B) ] G
//
// winograd_wgrad: lanes are channels. Chunk by chunk, tiles of x and dy are laid out channels-last and transformed to
// [point][panel][tile][lanes]; then a product for each point, tiles being its terms, is added to [point][K][C], for
// points of the same weight to the same sums. At last these are transformed to windows. Threads share the strips of a
// chunk, then the weights' points, then the outputs: sums never depend on their number.
#include "winograd_adjoint.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int W = VF_WIDTH;
constexpr int kStripTiles = 64;
constexpr int kTerms = 32;                  // of a sum in registers
constexpr long long kChunkBytes = 4 << 20;  // of transformed tiles
constexpr int kChunkTiles = 512, kLeastTiles = 32;

struct Plan {
  const ConvParams* p;
  int tile_rows, tile_cols;           // of an image
  int strips, strip_tiles;            // of a row of tiles; tiles of the largest
  int all;                            // strips of all images
  int chunk;                          // strips of a chunk, at most
  long long tiles;                    // of the largest chunk
  long long x_lanes, dy_lanes;        // channels, rounded up
  long long x_step, dy_step, u_step;  // from point to point
};

template <class F>
Plan make_plan(const ConvParams& p) {
  constexpr long long kAll = all_points<F>();
  Plan plan{};
  plan.p = &p;
  plan.tile_rows = ceil_div(p.p, F::outputs), plan.tile_cols = ceil_div(p.q, F::outputs);
  plan.strips = ceil_div(plan.tile_cols, kStripTiles);
  plan.strip_tiles = ceil_div(plan.tile_cols, plan.strips);
  plan.all = p.n * plan.tile_rows * plan.strips;
  plan.x_lanes = round_up(p.c, W), plan.dy_lanes = round_up(p.k, W);
  long long tiles =
      kChunkBytes / (kAll * (plan.x_lanes + plan.dy_lanes) * static_cast<long long>(sizeof(float)));
  if (tiles > kChunkTiles) tiles = kChunkTiles;
  if (tiles < kLeastTiles) tiles = kLeastTiles;
  long long chunk = tiles / plan.strip_tiles;
  if (chunk < 1) chunk = 1;
  const long long chunks = (plan.all + chunk - 1) / chunk;
  plan.chunk = chunks ? static_cast<int>((plan.all + chunks - 1) / chunks) : 0;
  plan.tiles = static_cast<long long>(plan.chunk) * plan.strip_tiles;
  plan.x_step = skewed(plan.tiles * plan.x_lanes);
  plan.dy_step = skewed(plan.tiles * plan.dy_lanes);
  plan.u_step = skewed(plan.dy_lanes * plan.x_lanes);
  return plan;
}

struct Scratch {
  float* u;       // [point of the weights][K][C]
  float *x, *dy;  // [point][panel][tile][lanes]
  float* band;    // [points][columns][lanes]
  float* stage;   // [place of the window][C]
};

template <class F>
size_t carve(const Plan& plan, char* base, int threads, int part, Scratch& out) {
  constexpr long long kAll = all_points<F>();
  Carver c{base};
  Scratch s{};
  s.u = c.take<float>(all_weights<F>() * plan.u_step);
  s.x = c.take<float>(kAll * plan.x_step);
  s.dy = c.take<float>(kAll * plan.dy_step);
  const long long lanes = plan.x_lanes > plan.dy_lanes ? plan.x_lanes : plan.dy_lanes;
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    s.band = c.take<float>(F::inputs * ((plan.strip_tiles - 1LL) * F::step + F::inputs) * lanes);
    s.stage = c.take<float>(F::window * F::window * plan.x_lanes);
    if (t == part) out = s;
  }
  return c.used;
}

// Panels of three vectors of input channels; the last ones have two rather than one.
int panel_width(int vectors, int first) {
  const int left = vectors - first;
  return left == 4 || left == 2 ? 2 : left >= 3 ? 3 : 1;
}

// Where a strip lies.
struct Strip {
  int image, row, col, tiles;  // row and first column in tiles
};
Strip strip_at(const Plan& plan, int i) {
  const int piece = i % plan.strips, row = i / plan.strips,
            begin = share_of(plan.tile_cols, piece, plan.strips);
  return {row / plan.tile_rows, row % plan.tile_rows, begin,
          share_of(plan.tile_cols, piece + 1, plan.strips) - begin};
}
long long tiles_before(const Plan& plan, int i) {
  return static_cast<long long>(i / plan.strips) * plan.tile_cols +
         share_of(plan.tile_cols, i % plan.strips, plan.strips);
}

// band[i][j][c] = planes[c][row + i][col + j], zeros outside the image and beyond the channels.
void fill_band(const float* planes, int channels, int h, int w, int row, int col, int rows, int cols,
               long long lanes, float* band) {
  int begin = col < 0 ? -col : 0, end = w - col;
  if (end > cols) end = cols;
  if (begin > end) begin = end = 0;
  const long long plane = static_cast<long long>(h) * w;
  for (int i = 0; i < rows; i++, band += cols * lanes) {
    const int y = row + i;
    const bool inside = y >= 0 && y < h && begin < end;
    if (!inside || lanes > channels) {
      memset(band, 0, static_cast<size_t>(cols * lanes) * sizeof(float));
    } else {
      memset(band, 0, static_cast<size_t>(begin * lanes) * sizeof(float));
      memset(band + end * lanes, 0, static_cast<size_t>((cols - end) * lanes) * sizeof(float));
    }
    if (inside)
      transpose(planes + static_cast<long long>(y) * w + col + begin, plane, band + begin * lanes, lanes,
                channels, end - begin);
  }
}

// in[i * row + j * col], outputs x outputs vectors -> out[(i * points + j) * step].
template <class F>
inline void spread_tile(const float* in, long long row, long long col, float* out, long long step) {
  constexpr int P = F::points, M = F::outputs;
  vf half[P][M];
  for (int j = 0; j < M; j++) {
    vf y[M], t[P];
    for (int i = 0; i < M; i++) y[i] = load(in + i * row + j * col);
    F::spread(y, t);
    for (int i = 0; i < P; i++) half[i][j] = t[i];
  }
  for (int i = 0; i < P; i++) {
    vf t[P];
    F::spread(half[i], t);
    for (int j = 0; j < P; j++) store(out + (i * P + j) * step, t[j]);
  }
}

// in[(i * weight_points + j) * step] -> out[(i * window + j) * out_step].
template <class F>
inline void collect_tile(const float* in, long long step, float* out, long long out_step) {
  constexpr int P = F::weight_points, R = F::window;
  vf half[R][P];
  for (int j = 0; j < P; j++) {
    vf t[P], g[R];
    for (int i = 0; i < P; i++) t[i] = load(in + (i * P + j) * step);
    F::collect(t, g);
    for (int i = 0; i < R; i++) half[i][j] = g[i];
  }
  for (int i = 0; i < R; i++) {
    vf g[R];
    F::collect(half[i], g);
    for (int j = 0; j < R; j++) store(out + (i * R + j) * out_step, g[j]);
  }
}

// The transformed tiles of strip i, the first of which is number `at` of the chunk.
template <class F>
void transform_strip(const Plan& plan, const Scratch& s, int i, long long at, const float* x,
                     const float* dy) {
  const ConvParams& p = *plan.p;
  const Strip strip = strip_at(plan, i);
  const int row = strip.row * F::outputs, col = strip.col * F::outputs;
  long long cols = (strip.tiles - 1LL) * F::step + F::inputs, lanes = plan.x_lanes;
  fill_band(x + static_cast<long long>(strip.image) * p.c * p.h * p.w, p.c, p.h, p.w,
            strip.row * F::step - p.top, strip.col * F::step - p.left, F::inputs, static_cast<int>(cols),
            lanes, s.band);
  const int vectors = static_cast<int>(lanes / W);
  for (int first = 0; first < vectors;) {
    const int width = panel_width(vectors, first);
    float* panel = s.x + first * W * plan.tiles + at * width * W;
    for (int t = 0; t < strip.tiles; t++)
      for (int v = 0; v < width; v++)
        input_tile<F>(s.band + t * F::step * lanes + (first + v) * W, cols * lanes, lanes,
                      panel + (t * width + v) * W, plan.x_step);
    first += width;
  }
  cols = strip.tiles * F::outputs, lanes = plan.dy_lanes;
  fill_band(dy + static_cast<long long>(strip.image) * p.k * p.p * p.q, p.k, p.p, p.q, row, col, F::outputs,
            static_cast<int>(cols), lanes, s.band);
  for (int t = 0; t < strip.tiles; t++)
    for (long long k = 0; k < lanes; k += W)
      spread_tile<F>(s.band + t * F::outputs * lanes + k, cols * lanes, lanes,
                     s.dy + k * plan.tiles + (at + t) * W, plan.dy_step);
}

// u[m][v] (+)= sum over tiles of dy[tile][m] x[tile][v], for M channels and V vectors. Sums start anew every kTerms
// tiles: the shorter they are, the less is lost of them, and the transforms make much of what is.
template <int M, int V>
void add_products(const float* dy, const float* x, long long tiles, float* u, long long ldu, bool add) {
  for (long long t = 0; t < tiles; add = true) {
    vf acc[M][V] = {};
    for (const long long end = t + kTerms < tiles ? t + kTerms : tiles; t < end; t++, dy += W, x += V * W) {
      vf xv[V];
      for (int v = 0; v < V; v++) {
        xv[v] = load(x + v * W);
        pin(xv[v]);
      }
      for (int m = 0; m < M; m++) {
        const vf a = set1(dy[m]);
        for (int v = 0; v < V; v++) acc[m][v] = fma(a, xv[v], acc[m][v]);
      }
    }
    for (int m = 0; m < M; m++)
      for (int v = 0; v < V; v++) {
        float* sum = u + m * ldu + v * W;
        store(sum, add ? load(sum) + acc[m][v] : acc[m][v]);
      }
  }
}

// The products of one point over the first `tiles` tiles of a chunk.
void multiply_point(const Plan& plan, const float* dy, const float* x, long long tiles, float* u, bool add) {
  constexpr int M = 4;
  const int vectors = static_cast<int>(plan.x_lanes / W);
  for (int first = 0; first < vectors;) {
    const int width = panel_width(vectors, first);
    const float* panel = x + first * W * plan.tiles;
    for (long long k = 0; k < plan.dy_lanes; k += M) {
      const float* own = dy + k / W * W * plan.tiles + k % W;
      float* to = u + k * plan.x_lanes + first * W;
      if (width == 3)
        add_products<M, 3>(own, panel, tiles, to, plan.x_lanes, add);
      else if (width == 2)
        add_products<M, 2>(own, panel, tiles, to, plan.x_lanes, add);
      else
        add_products<M, 1>(own, panel, tiles, to, plan.x_lanes, add);
    }
    first += width;
  }
}

template <class F>
void run_window(const Launch& l) {
  constexpr int kPlaces = F::window * F::window;
  const bool turned = is_flipped(params_as<ConvParams>(l));
  const ConvParams p = unflipped(params_as<ConvParams>(l));
  const Plan plan = make_plan<F>(p);
  const int threads = l.pool->size();
  const float *x = static_cast<const float*>(l.in[0]), *dy = static_cast<const float*>(l.in[1]);
  float* dw = static_cast<float*>(l.out[0]);
  if (plan.all == 0) {
    memset(dw, 0, static_cast<size_t>(p.k) * static_cast<size_t>(p.c) * kPlaces * sizeof(float));
    return;
  }
  auto scratch = [&](int part) {
    Scratch s{};
    carve<F>(plan, static_cast<char*>(l.workspace), threads, part, s);
    return s;
  };
  const bool share = pays(conv_flops(p), kConvPartFlops, l.pool);
  for (int first = 0; first < plan.all; first += plan.chunk) {
    const int last = plan.all - first < plan.chunk ? plan.all : first + plan.chunk;
    const long long before = tiles_before(plan, first), tiles = tiles_before(plan, last) - before;
    parallel_for(
        l.pool, last - first,
        [&](int i, int part) {
          transform_strip<F>(plan, scratch(part), first + i, tiles_before(plan, first + i) - before, x, dy);
        },
        share);
    parallel_for(
        l.pool, all_weights<F>(),
        [&](int i, int part) {
          const int weight = all_weights<F>() - 1 - i;  // the last has the most points
          const Scratch s = scratch(part);
          bool add = first > 0;
          for (int point = 0; point < all_points<F>(); point++) {
            if (weight_at<F>(point) != weight) continue;
            multiply_point(plan, s.dy + point * plan.dy_step, s.x + point * plan.x_step, tiles,
                           s.u + weight * plan.u_step, add);
            add = true;
          }
        },
        share);
  }
  parallel_for(
      l.pool, p.k,
      [&](int k, int part) {
        const Scratch s = scratch(part);
        const Order order = in_order(kPlaces, plan.x_lanes, turned);
        for (long long c = 0; c < plan.x_lanes; c += W)
          collect_tile<F>(s.u + k * plan.x_lanes + c, plan.u_step, s.stage + order.first + c, order.step);
        transpose(s.stage, plan.x_lanes, dw + static_cast<long long>(k) * p.c * kPlaces, kPlaces, kPlaces,
                  p.c);
      },
      share);
}

void check(const Sizes& s) {
  check_conv_wgrad(s, "winograd_wgrad");
  check_winograd(s, "winograd_wgrad");
}

// call(transform) for the transforms of the window and the stride.
template <class Call>
auto with_adjoints(const ConvParams& p, const Call& call) {
  if (p.stride_h == 2) return call(AdjointStrided3{});
  return p.r == 3 ? call(Adjoint3{}) : call(Adjoint5{});
}

}  // namespace

void run_winograd_wgrad(const Launch& l) {
  with_adjoints(params_as<ConvParams>(l), [&](auto f) { run_window<decltype(f)>(l); });
}

size_t winograd_wgrad_workspace(const Sizes& s) {
  const ConvParams& p = params_as<ConvParams>(s, "winograd_wgrad");
  return with_adjoints(p, [&](auto f) {
    Scratch scratch{};
    return carve<decltype(f)>(make_plan<decltype(f)>(p), nullptr, s.threads, 0, scratch);
  });
}

void register_conv2d_winograd_wgrad(Registrar& r) {
  r.add({"winograd_wgrad", run_winograd_wgrad, check, winograd_wgrad_workspace});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
