// The input gradient of conv2d by products that are added where they belong ("col2im"):
//
//   cols[(c, t)][q] = sum over k of w[k][(c, t)] dy[k][q],   dx[c][place of tap t of q] += cols[(c, t)][q]
//
// gemm_scatter: pairs (c, t) are the rows of the product, outputs q the columns. Unlike the gather over dx it
// multiplies nothing by padding and needs no phases for strides, and few input channels still give many rows; it pays
// with one addition into dx for every K products. Weights are packed once per call. A block of rows of dy is
// packed once for all blocks of channels; the sums of a block stay in the L2 cache until they are added. Tasks are images
// and parts of their channels.
#include "conv_patches.h"
#include "gemm_pack.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr ll kColumns = 256;  // at least one row of outputs, else as many as this
constexpr ll kSums = 40000;   // of a block

struct Plan {
  Gather plain;  // of dy by itself
  const ConvParams* p;
  int channels, maps, window;  // of a group
  int most, blocks;            // channels of a block, at most; blocks of a group
  int parts;                   // of the blocks of an image, to have work for all threads
  int rows;                    // of outputs packed at once
  ll pairs;                    // of a block, in whole panels
};

int part_begin(int n, int part, int parts) { return static_cast<int>(static_cast<ll>(n) * part / parts); }

template <class T>
Plan make_plan(const ConvParams& p, int threads) {
  Plan plan{};
  plan.p = &p;
  plan.channels = p.c / p.groups, plan.maps = p.k / p.groups, plan.window = p.r * p.s;
  plan.most = kMC / plan.window < 1 ? 1 : static_cast<int>(kMC / plan.window);
  const bool few =
      pays(conv_flops(p), kConvPartFlops, threads) && static_cast<ll>(p.n) * p.groups < 2 * threads;
  if (few && plan.most > ceil_div(plan.channels, threads)) plan.most = ceil_div(plan.channels, threads);
  if (plan.most > plan.channels) plan.most = plan.channels;
  plan.blocks = ceil_div(plan.channels, plan.most);
  plan.most = ceil_div(plan.channels, plan.blocks);
  plan.parts = few ? plan.blocks < threads ? plan.blocks : threads : 1;
  plan.pairs = round_up(static_cast<ll>(plan.most) * plan.window, kMR);
  ll columns = kSums / plan.pairs < kColumns ? kSums / plan.pairs : kColumns;
  plan.rows = columns < p.q ? 1 : static_cast<int>(columns / p.q);
  if (plan.rows > p.p) plan.rows = p.p;
  Gather& g = plan.plain;
  g.in_h = p.p, g.in_w = p.q, g.in_step_h = g.in_step_w = 1;
  return plan;
}

template <class T>
struct Scratch {
  T* weights;  // [group][block][terms][panel][term][kMR]
  T* dy;       // [terms][panel][term][kNR]
  T* sums;     // [pair][columns]
};

template <class T>
ll columns_of(const Plan& plan) {
  const ll columns = round_up(static_cast<ll>(plan.rows) * plan.p->q, tile_columns<T>());
  return columns % 64 ? columns : columns + tile_columns<T>();  // rows of sums in different cache sets
}

template <class T>
size_t carve(const Plan& plan, char* base, int threads, int part, Scratch<T>& out) {
  Carver c{base};
  Scratch<T> s{};
  s.weights = c.take<T>(plan.p->groups * static_cast<ll>(plan.blocks) * plan.pairs * plan.maps);
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    s.dy = c.take<T>(columns_of<T>(plan) * plan.maps);
    s.sums = c.take<T>(columns_of<T>(plan) * plan.pairs);
    if (t == part) out = s;
  }
  return c.used;
}

// The weights of one block of channels, w being those of its group and of its first channel.
template <class T>
void pack_weights(const Plan& plan, const T* w, int channels, T* to) {
  const ll pairs = static_cast<ll>(channels) * plan.window,
           row = static_cast<ll>(plan.channels) * plan.window;
  const Blocks terms(plan.maps, 1);
  for (int b = 0; b < terms.count; b++) {
    const int k = terms[b].c0, depth = terms[b].c1 - k;
    for (ll m = 0; m < pairs; m += kMR) {
      const int width = pairs - m < kMR ? static_cast<int>(pairs - m) : kMR;
      pack_panel<T, kMR>(to + m * depth, w + k * row + m, 1, row, width, depth);
    }
    to += plan.pairs * depth;
  }
}

// sums[pair][columns] of one block of channels, from weights and dy as packed.
template <class T>
void multiply(const Plan& plan, const T* weights, const T* dy, int pairs, ll columns, ll ld, T* sums) {
  constexpr int W = Vec<T>::width, NR = tile_columns<T>();
  const Blocks terms(plan.maps, 1);
  const ll packed = round_up(columns, W);
  for (int b = 0; b < terms.count; b++) {
    const int depth = terms[b].c1 - terms[b].c0;
    for (ll q = 0; q < columns; q += NR) {
      const int nv = columns - q > W ? kVectors : 1;
      for (int m = 0; m < pairs; m += kMR) {
        const int rows = pairs - m < kMR ? pairs - m : kMR;
        Target<T> t;
        t.out = sums + m * ld + q;
        t.c = t.out, t.ld = ld, t.alpha = T(1), t.beta = b ? T(1) : T(0), t.last = W;
        const Tile<T> compute = nv == kVectors ? pick_tile<T, kVectors>(rows) : pick_tile<T, 1>(rows);
        compute(depth, weights + static_cast<ll>(m) * depth, dy + q * depth, t);
      }
    }
    weights += plan.pairs * depth;
    dy += packed * depth;
  }
}

template <class T>
void add_line(T* __restrict to, const T* __restrict from, int n, int step) {
  if (step == 1)
    for (int i = 0; i < n; i++) to[i] += from[i];
  else
    for (int i = 0; i < n; i++) to[static_cast<ll>(i) * step] += from[i];
}

// The sums of one channel over the rows [row, row + rows) of outputs added into its plane.
template <class T>
void scatter(const ConvParams& p, const T* sums, ll ld, int row, int rows, T* plane) {
  for (int r = 0; r < p.r; r++)
    for (int s = 0; s < p.s; s++, sums += ld) {
      const ll x0 = static_cast<ll>(s) * p.dilation_w - p.left, room = p.w - 1 - x0;
      if (room < 0) continue;
      const ll lo = x0 < 0 ? (-x0 + p.stride_w - 1) / p.stride_w : 0,
               hi = room / p.stride_w + 1 < p.q ? room / p.stride_w + 1 : p.q;
      if (lo >= hi) continue;
      for (int i = 0; i < rows; i++) {
        const ll y = static_cast<ll>(row + i) * p.stride_h + static_cast<ll>(r) * p.dilation_h - p.top;
        if (y < 0 || y >= p.h) continue;
        add_line(plane + y * p.w + x0 + lo * p.stride_w, sums + static_cast<ll>(i) * p.q + lo,
                 static_cast<int>(hi - lo), p.stride_w);
      }
    }
}

// The blocks [first, last) of channels of one image and group.
template <class T>
void run_image(const Plan& plan, const Scratch<T>& s, const T* dy, ll image_step, ll image, const T* weights,
               int first, int last, T* dx) {
  const ConvParams& p = *plan.p;
  const ll plane = static_cast<ll>(p.h) * p.w, outputs = static_cast<ll>(p.p) * p.q, ld = columns_of<T>(plan);
  const int c0 = part_begin(plan.channels, first, plan.blocks),
            c1 = part_begin(plan.channels, last, plan.blocks);
  memset(dx + c0 * plane, 0, static_cast<size_t>((c1 - c0) * plane) * sizeof(T));
  const Phase phase{0, 0, p.p, p.q, 0, 1};
  const Tap tap{};
  const Patches<T> patches{plan.plain, phase, &tap, dy, image_step};
  const Blocks terms(plan.maps, 1);
  for (int row = 0; row < p.p; row += plan.rows) {
    const int rows = p.p - row < plan.rows ? p.p - row : plan.rows;
    const ll columns = static_cast<ll>(rows) * p.q, q = image * outputs + static_cast<ll>(row) * p.q;
    T* to = s.dy;
    for (int b = 0; b < terms.count; b++) {
      patches.pack_plain(q, q + columns, terms[b], to);
      to += round_up(columns, Vec<T>::width) * terms[b].depth();
    }
    for (int b = first; b < last; b++) {
      const int begin = part_begin(plan.channels, b, plan.blocks),
                end = part_begin(plan.channels, b + 1, plan.blocks);
      multiply(plan, weights + b * plan.pairs * plan.maps, s.dy, (end - begin) * plan.window, columns, ld,
               s.sums);
      for (int c = begin; c < end; c++)
        scatter(p, s.sums + static_cast<ll>(c - begin) * plan.window * ld, ld, row, rows, dx + c * plane);
    }
  }
}

template <class T>
void run(const Launch& l) {
  const ConvParams& p = params_as<ConvParams>(l);
  const int threads = l.pool->size();
  char* base = static_cast<char*>(l.workspace);
  const Plan plan = make_plan<T>(p, threads);
  Scratch<T> shared{};
  carve(plan, base, threads, 0, shared);
  const ll per_group = plan.blocks * plan.pairs * plan.maps,
           weights = static_cast<ll>(plan.maps) * plan.channels * plan.window;
  const bool share = pays(conv_flops(p), kConvPartFlops, l.pool);
  parallel_for(
      l.pool, p.groups * plan.blocks,
      [&](int i, int) {
        const int group = i / plan.blocks, b = i % plan.blocks;
        const int begin = part_begin(plan.channels, b, plan.blocks),
                  end = part_begin(plan.channels, b + 1, plan.blocks);
        pack_weights(plan,
                     static_cast<const T*>(l.in[1]) + group * weights + static_cast<ll>(begin) * plan.window,
                     end - begin, shared.weights + group * per_group + b * plan.pairs * plan.maps);
      },
      share && weights * p.groups > 50000);
  const ll dx_group = static_cast<ll>(plan.channels) * p.h * p.w,
           dy_group = static_cast<ll>(plan.maps) * p.p * p.q;
  parallel_for(
      l.pool, p.n * p.groups * plan.parts,
      [&](int task, int part) {
        Scratch<T> s{};
        carve(plan, base, threads, part, s);
        const int i = task % plan.parts, group = task / plan.parts % p.groups;
        const ll image = task / plan.parts / p.groups;
        run_image(plan, s, static_cast<const T*>(l.in[0]) + group * dy_group, dy_group * p.groups, image,
                  shared.weights + group * per_group, part_begin(plan.blocks, i, plan.parts),
                  part_begin(plan.blocks, i + 1, plan.parts),
                  static_cast<T*>(l.out[0]) + (image * p.groups + group) * dx_group);
      },
      share);
}

void run_any(const Launch& l) {
  with_type(params_as<ConvParams>(l), [&](auto zero) { run<decltype(zero)>(l); });
}

size_t workspace(const Sizes& s) {
  const ConvParams& p = params_as<ConvParams>(s, "gemm_scatter_dgrad");
  return with_type(p, [&](auto zero) {
    Scratch<decltype(zero)> scratch{};
    return carve(make_plan<decltype(zero)>(p, s.threads), nullptr, s.threads, 0, scratch);
  });
}

void check(const Sizes& s) { check_conv_dgrad(s, "gemm_scatter_dgrad"); }

}  // namespace

void register_conv_gemm_scatter(Registrar& r) { r.add({"gemm_scatter_dgrad", run_any, check, workspace}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
