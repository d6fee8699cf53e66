// The weight gradient of conv2d by Winograd's transforms along columns alone (winograd_columns.h), float32: for few input
// channels. y = A' [(G g) . (B' d)] is linear in g; its adjoint, summed over all bands and columns, is
//
//   dw[k][c][.][s] = G' [ sum of (A dy[k])[column] . (B' x[c])[column + s] ]
//
// winograd_columns_wgrad: lanes are columns; where the windows step by s along rows, x is parted into s runs of every s-th
// column. Bands are transformed a few at a time; sums of up to 4 output channels x 6 terms (3 without AVX-512) stay in
// registers over their columns. Each task has some images and output channels, whose number does not depend on the
// threads'; what the tasks have summed up is added in their order.
#include "winograd_columns.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int W = VF_WIDTH;
constexpr int kMaxChannels = 4;  // of a tile
constexpr int kMaxTerms = VF_WIDTH == 16 ? 6 : 3;
constexpr int kBlock = 24;  // output channels of a task, at most
constexpr int kTasks = 16;  // to share, if there is work for them
constexpr double kTaskFlops = 1.5e6;
constexpr long long kChunkBytes = 192 << 10;  // of points in work at once
constexpr long long kMostSums = 64LL << 20;   // bytes

struct Plan {
  Gather g;
  ConvParams p;
  Columns columns;
  int runs, width;            // of a row of x; columns of each
  int x_pitch, vectors;       // from band to band of points of x; of those of dy
  int terms;                  // pieces * channels * S
  int blocks;                 // of the output channels of a group
  int parts;                  // of the images
  int chunk;                  // bands
  long long lines;            // of x in a band: pieces * channels * runs
  long long x_line, dy_line;  // from point to point
};

Plan make_plan(const ConvParams& p) {
  Plan plan{};
  Gather& g = plan.g;
  g = make_gather(p, false, true, nullptr, nullptr);
  plan.p = p;
  plan.columns = make_columns(p, g.in_step_h, g.out_h);
  const Columns& columns = plan.columns;
  cover_bands(columns, 0, g);
  plan.runs = g.in_step_w, plan.width = g.wp / g.in_step_w;
  plan.vectors = ceil_div(g.out_w, W);
  plan.x_pitch = static_cast<int>(round_up(most(plan.width, plan.vectors * W + (p.s - 1) / plan.runs), W));
  plan.terms = columns.pieces * g.in_channels * p.s;
  plan.blocks = ceil_div(g.out_channels, kBlock);
  const double tasks = conv_flops(p) / kTaskFlops;
  const int wanted = tasks < kTasks ? static_cast<int>(tasks) + 1 : kTasks;
  plan.parts = most(1, least(p.n, wanted / (plan.blocks * g.groups)));
  plan.lines = static_cast<long long>(columns.pieces) * g.in_channels * plan.runs;
  const long long band = (plan.lines * plan.x_pitch + kMaxChannels * plan.vectors * W) * columns.points *
                         static_cast<long long>(sizeof(float));
  plan.chunk = static_cast<int>(kChunkBytes / band);
  plan.chunk = most(1, least(plan.chunk, columns.bands));
  plan.x_line = skewed(static_cast<long long>(plan.chunk) * plan.x_pitch);
  plan.dy_line = skewed(static_cast<long long>(plan.chunk) * plan.vectors * W);
  return plan;
}

// Sums of one task: [point][channel of the block][term][lanes].
long long sums_of_task(const Plan& plan) {
  return static_cast<long long>(plan.columns.points) * least(kBlock, plan.g.out_channels) * plan.terms * W;
}
long long tasks_of(const Plan& plan) {
  return static_cast<long long>(plan.parts) * plan.g.groups * plan.blocks;
}

struct Scratch {
  long long* offsets;  // of the terms, from that of the first one of a point
  float* sums;         // of all tasks
  long long* copied;   // which (image, group) each part's `in` holds
  float* in;           // the padded planes
  float* x;            // [piece][channel][run][point][band][x_pitch]
  float* dy;           // [channel][point][band][vector]
};

size_t carve(const Plan& plan, char* base, int threads, int part, Scratch& out) {
  Carver c{base};
  const Gather& g = plan.g;
  Scratch s{};
  s.offsets = c.take<long long>(plan.terms);
  s.sums = c.take<float>(sums_of_task(plan) * tasks_of(plan));
  s.copied = c.take<long long>(threads);
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    s.in = c.take<float>(g.plane * g.in_channels + W);  // vectors reach over the end
    s.x = c.take<float>(plan.lines * plan.columns.points * plan.x_line);
    s.dy = c.take<float>(kMaxChannels * plan.columns.points * plan.dy_line);
    if (t == part) out = s;
  }
  return c.used;
}

// The points of x of `bands` bands from `first` on.
template <class F>
void transform_x(const Plan& plan, const float* in, int first, int bands, float* points) {
  const Gather& g = plan.g;
  const long long row = static_cast<long long>(g.in_step_h) * g.wp,
                  begin = static_cast<long long>(first) * kBandRows * row;
  for (int piece = 0; piece < plan.columns.pieces; piece++) {
    const float* from =
        in + begin + static_cast<long long>(piece_at(plan.p, g.in_step_h, F::window, piece).first) * g.wp;
    for (int c = 0; c < g.in_channels; c++, from += g.plane)
      for (int run = 0; run < plan.runs; run++, points += F::points * plan.x_line)
        for (int b = 0; b < bands; b++)
          transform_columns<F>(from + b * kBandRows * row + run * plan.width, row, plan.width,
                               points + b * plan.x_pitch, plan.x_line);
  }
}

// Those of one channel of dy, with zeros behind its columns.
template <class F>
void transform_dy(const Plan& plan, const float* dy, int first, int bands, float* points) {
  const int q = plan.g.out_w;
  const long long plane = static_cast<long long>(plan.g.out_h) * q;
  for (int b = 0; b < bands; b++) {
    const int rows = least(kBandRows, plan.g.out_h - (first + b) * kBandRows);
    const float* from = dy + static_cast<long long>(first + b) * kBandRows * q;
    float* to = points + b * plan.vectors * W;
    for (int x = 0; x < q; x += W) {
      vf y[F::outputs], t[F::points];
      for (int i = 0; i < kBandRows; i++)
        y[i] = i < rows ? load_part(from + static_cast<long long>(i) * q + x, q - x) : vf{};
      for (int i = 0; i < kBandRows; i++)
        __builtin_prefetch(from + plane + static_cast<long long>(i) * q + x);
      F::spread(y, t);
      for (int i = 0; i < F::points; i++) store(to + i * plan.dy_line + x, t[i]);
    }
  }
}

// Points of some bands, of one point.
struct Rows {
  int bands, vectors;
  long long channel;  // of dy, to the next
  long long gap;      // in x, from the last vector of a band to the next band
  const long long* offsets;
};

// sums[m][t] += sum over the columns of dy[m] x[offset[t]].
template <int M, int T>
void add_products(const Rows& rows, const float* dy, const float* x, float* sums, long long row) {
  vf acc[M][T] = {};
  const float* from[T];
#pragma GCC unroll 6
  for (int t = 0; t < T; t++) from[t] = x + rows.offsets[t];
  long long at = 0;
  for (int b = 0; b < rows.bands; b++, at += rows.gap)
    for (int v = 0; v < rows.vectors; v++, dy += W, at += W) {
      vf d[M];
#pragma GCC unroll 4
      for (int m = 0; m < M; m++) {
        d[m] = load(dy + m * rows.channel);
        pin(d[m]);
      }
#pragma GCC unroll 6
      for (int t = 0; t < T; t++) {
        vf xv = load(from[t] + at);
        pin(xv);
#pragma GCC unroll 4
        for (int m = 0; m < M; m++) acc[m][t] = fma(d[m], xv, acc[m][t]);
      }
    }
#pragma GCC unroll 4
  for (int m = 0; m < M; m++)
#pragma GCC unroll 6
    for (int t = 0; t < T; t++) store(sums + m * row + t * W, load(sums + m * row + t * W) + acc[m][t]);
}

// One image of a task: channels [begin, end) of its group.
template <class F>
void add_image(const Plan& plan, const Scratch& s, const float* dy, int begin, int end, float* sums) {
  const Gather& g = plan.g;
  const long long plane = static_cast<long long>(g.out_h) * g.out_w,
                  row = static_cast<long long>(plan.terms) * W, point = row * least(kBlock, g.out_channels),
                  channel = F::points * plan.dy_line;
  for (int first = 0; first < plan.columns.bands; first += plan.chunk) {
    const int bands = least(plan.chunk, plan.columns.bands - first);
    Rows rows{bands, plan.vectors, channel, plan.x_pitch - static_cast<long long>(plan.vectors) * W, nullptr};
    transform_x<F>(plan, s.in, first, bands, s.x);
    for (int i = 0; i < ceil_div(end - begin, kMaxChannels); i++) {
      const Cut k = cut(end - begin, kMaxChannels, i);
      for (int m = k.begin; m < k.end; m++)
        transform_dy<F>(plan, dy + (begin + m) * plane, first, bands, s.dy + (m - k.begin) * channel);
      with_constant<kMaxChannels>(k.size(), [&](auto m) {
        for (int q = 0; q < F::points; q++)
          for (int j = 0; j < ceil_div(plan.terms, kMaxTerms); j++) {
            const Cut t = cut(plan.terms, kMaxTerms, j);
            rows.offsets = s.offsets + t.begin;
            with_constant<kMaxTerms>(t.size(), [&](auto terms) {
              add_products<m.value, terms.value>(rows, s.dy + q * plan.dy_line, s.x + q * plan.x_line,
                                                 sums + q * point + k.begin * row + t.begin * W, row);
            });
          }
      });
    }
  }
}

// dw of output channel k of a group, from the sums of all tasks.
template <class F>
void collect_channel(const Plan& plan, const float* all, int group, int k, float* dw) {
  const ConvParams& p = plan.p;
  const Gather& g = plan.g;
  const long long row = static_cast<long long>(plan.terms) * W, point = row * least(kBlock, g.out_channels),
                  part = sums_of_task(plan) * g.groups * plan.blocks;
  int block = 0;
  while (cut(g.out_channels, kBlock, block).end <= k) block++;
  const float* own = all + sums_of_task(plan) * (group * plan.blocks + block) +
                     (k - cut(g.out_channels, kBlock, block).begin) * row;
  const int window = p.r * p.s;
  for (int first = 0; first < plan.terms; first += W) {
    const int n = least(W, plan.terms - first);
    float t[F::points][W] = {}, taps[F::window][W];
    for (int i = 0; i < F::points; i++)
      for (int j = 0; j < n; j++) {
        const float* from = own + i * point + static_cast<long long>(first + j) * W;
        vf sum = load(from);
        for (int a = 1; a < plan.parts; a++) sum = sum + load(from + a * part);
        t[i][j] = hsum(sum);
      }
    vf points[F::points], collected[F::window];
    for (int i = 0; i < F::points; i++) points[i] = load(t[i]);
    F::collect(points, collected);
    for (int i = 0; i < F::window; i++) store(taps[i], collected[i]);
    for (int j = 0; j < n; j++) {
      const int term = first + j, column = term % p.s, c = term / p.s % g.in_channels;
      const Piece rows = piece_at(p, g.in_step_h, F::window, term / p.s / g.in_channels);
      for (int i = 0; i < rows.taps; i++) {
        const int at = (rows.first + i * g.in_step_h) * p.s + column;
        dw[static_cast<long long>(c) * window + (is_flipped(p) ? window - 1 - at : at)] = taps[i][j];
      }
    }
  }
}

template <class F>
void run_transform(const Launch& l, const Plan& plan) {
  const Gather& g = plan.g;
  const ConvParams& p = plan.p;
  const int threads = l.pool->size();
  char* base = static_cast<char*>(l.workspace);
  Scratch shared{};
  carve(plan, base, threads, 0, shared);
  for (int t = 0; t < threads; t++) {
    Scratch s{};
    carve(plan, base, threads, t, s);
    s.copied[t] = -1;
    memset(s.in + g.plane * g.in_channels, 0, W * sizeof(float));
    // Columns behind a chunk's are multiplied by zeros: they must be numbers.
    memset(s.x, 0, static_cast<size_t>(plan.lines * F::points * plan.x_line) * sizeof(float));
  }
  int term = 0;
  for (int line = 0; line < plan.columns.pieces * g.in_channels; line++)
    for (int s = 0; s < p.s; s++, term++)
      shared.offsets[term] =
          (static_cast<long long>(line) * plan.runs + s % plan.runs) * F::points * plan.x_line +
          s / plan.runs;
  const long long out_image = static_cast<long long>(g.out_channels) * g.out_h * g.out_w,
                  sums = sums_of_task(plan);
  const bool share = pays(conv_flops(p), kConvPartFlops, l.pool);
  parallel_for(
      l.pool, static_cast<int>(tasks_of(plan)),
      [&](int task, int part) {
        Scratch s{};
        carve(plan, base, threads, part, s);
        const int images = task / (g.groups * plan.blocks), group = task / plan.blocks % g.groups;
        const Cut k = cut(g.out_channels, kBlock, task % plan.blocks);
        float* own = s.sums + task * sums;
        memset(own, 0, static_cast<size_t>(sums) * sizeof(float));
        for (int n = share_of(p.n, images, plan.parts); n < share_of(p.n, images + 1, plan.parts); n++) {
          const long long which = static_cast<long long>(n) * g.groups + group;
          hold_planes(g, l.in[0], which, s.copied[part], s.in);
          add_image<F>(plan, s, static_cast<const float*>(l.in[1]) + which * out_image, k.begin, k.end, own);
        }
      },
      share);
  const long long weights = static_cast<long long>(g.in_channels) * p.r * p.s;
  parallel_for(
      l.pool, p.k,
      [&](int k, int) {
        collect_channel<F>(plan, shared.sums, k / g.out_channels, k % g.out_channels,
                           static_cast<float*>(l.out[0]) + k * weights);
      },
      share);
}

void run(const Launch& l) {
  const Plan plan = make_plan(params_as<ConvParams>(l));
  with_transform(plan.columns, [&](auto f) { run_transform<decltype(f)>(l, plan); });
}

size_t workspace(const Sizes& s) {
  Scratch scratch;
  return carve(make_plan(params_as<ConvParams>(s, "winograd_columns_wgrad")), nullptr, s.threads, 0, scratch);
}

void check(const Sizes& s) {
  check_conv_wgrad(s, "winograd_columns_wgrad");
  const ConvParams& p = params_as<ConvParams>(s, "winograd_columns_wgrad");
  if (p.itemsize != 4 || !unit_dilation(p))
    fail("winograd_columns_wgrad: dilation (%d, %d), %d bytes a value", p.dilation_h, p.dilation_w,
         p.itemsize);
  const Plan plan = make_plan(p);
  const long long bytes = sums_of_task(plan) * tasks_of(plan) * static_cast<long long>(sizeof(float));
  if (bytes > kMostSums)
    fail("winograd_columns_wgrad: sums of %d channels to %d in %lld bytes, at most %lld", p.c, p.k, bytes,
         kMostSums);
}

}  // namespace

void register_conv2d_winograd_columns_wgrad(Registrar& r) {
  r.add({"winograd_columns_wgrad", run, check, workspace});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
