// conv2d and its input gradient as packed matrix products, one for each group and phase of the gather:
//
//   out[k][q] = sum over (c, t) of weight(k, c, t) patch[(c, t)][q]      (see conv_geometry.h, conv_patches.h)
//
// gemm_gather: k are the rows, the outputs q of all images the columns. Weights are packed once per call; blocks of
// columns are the tasks: for each block of terms patches are packed, then tiles of kMR x kNR are added to out, in NCHW
// at once where the tile's outputs lie next to each other; else they are added up aside and moved at the end.
#include "conv_patches.h"
#include "gemm_pack.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

struct Plan {
  Gather g;
  const ConvParams* p;
  bool dgrad;
  int blocks;     // of columns of each phase
  int row_parts;  // of the rows, where there are few columns
  ll step;        // columns of a block, at most
  ll rows;        // of a group, in whole panels
  ll packed;      // values of packed weights of a group
  bool paired;    // two phases at a time, whose outputs alternate along the rows
  ll aside;       // panels of a block whose outputs do not lie next to each other, at most
};

ll columns_of(const Plan& plan, const Phase& f) { return static_cast<ll>(plan.p->n) * f.rows * f.cols; }

template <class T>
Plan make_plan(const ConvParams& p, bool dgrad, int threads, Phase* phases, Tap* taps) {
  constexpr int NR = tile_columns<T>();
  Plan plan{};
  plan.g = make_gather(p, dgrad, false, phases, taps);
  plan.p = &p;
  plan.dgrad = dgrad;
  const Gather& g = plan.g;
  plan.rows = round_up(g.out_channels, kMR);
  plan.packed = plan.rows * g.in_channels * g.n_taps;
  // The first phase has the most outputs.
  const ll panels =
      round_up(static_cast<ll>(p.n) * ceil_div(g.out_h, g.out_step_h) * ceil_div(g.out_w, g.out_step_w), NR) /
      NR;
  const ll columns = is_plain(g) ? kPlainColumns : kBlockColumns;
  ll blocks = (panels * NR + columns - 1) / columns;
  plan.row_parts = 1;
  if (pays(conv_flops(p), kConvPartFlops, threads) && g.groups < 8 * threads) {
    if (panels < 4 * threads && plan.rows >= 2LL * kMR * threads)
      plan.row_parts = threads;
    else
      blocks = round_up(blocks, threads);
  }
  if (blocks > panels) blocks = panels;
  plan.blocks = static_cast<int>(blocks);
  plan.step = blocks ? (panels + blocks - 1) / blocks * NR : 0;
  plan.paired = g.out_step_w == 2 && g.out_w % 2 == 0;
  plan.aside = plan.step / NR;
  const ll images = plan.step / (static_cast<ll>(g.out_h) * g.out_w) + 1;  // whose ends a block can meet
  if (g.out_step_h == 1 && g.out_step_w == 1 && images < plan.aside) plan.aside = images;
  return plan;
}

template <class T>
struct Scratch {
  Phase* phases;
  Tap* taps;
  T* weights;  // [group][phase][block of terms][panel of rows][term][kMR]
  T* patches;
  T* sums;  // [phase][panel][row][kNR]
  Stage<T> stage;
};

template <class T>
size_t carve(const Plan& plan, char* base, int threads, int part, Scratch<T>& out) {
  Carver c{base};
  const Gather& g = plan.g;
  Scratch<T> s{};
  s.phases = c.take<Phase>(static_cast<ll>(g.out_step_h) * g.out_step_w);
  s.taps = c.take<Tap>(static_cast<ll>(plan.p->r) * plan.p->s);
  s.weights = c.take<T>(plan.packed * g.groups);
  const ll terms = static_cast<ll>(g.in_channels) * plan.p->r * plan.p->s;
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    s.patches = c.take<T>(plan.step * (terms < kKC ? terms : kKC));
    s.sums = c.take<T>((plan.paired ? 2 : 1) * plan.aside * plan.rows * tile_columns<T>());
    s.stage = take_stage<T>(c, *plan.p, g, plan.dgrad, plan.step);
    if (t == part) out = s;
  }
  return c.used;
}

// to[term][kMR] = weight(m + i, c, t) for i < rows; zero for the others.
template <class T>
void pack_rows(const Plan& plan, const Phase& f, const Tap* taps, const Terms& terms, const T* w, int rows,
               T* to) {
  const Gather& g = plan.g;
  const int window = plan.p->r * plan.p->s, n = terms.t1 - terms.t0;
  w += terms.c0 * g.weight_in;
  if (window == 1) return pack_panel<T, kMR>(to, w, g.weight_out, g.weight_in, rows, terms.c1 - terms.c0);
  if (f.taps == window && g.weight_in == window)
    return pack_panel<T, kMR>(to, w + terms.t0, g.weight_out, 1, rows, terms.depth());
  for (int c = terms.c0; c < terms.c1; c++, w += g.weight_in, to += n * kMR) {
    if (f.taps == window) {
      pack_panel<T, kMR>(to, w + terms.t0, g.weight_out, 1, rows, n);
      continue;
    }
    for (int t = 0; t < n; t++) {
      const T* from = w + taps[terms.t0 + t].weight;
      for (int i = 0; i < kMR; i++) to[t * kMR + i] = i < rows ? from[i * g.weight_out] : T(0);
    }
  }
}

// One panel of rows of all phases of a group.
template <class T>
void pack_weights(const Plan& plan, const Scratch<T>& s, int group, int m, const T* w) {
  const Gather& g = plan.g;
  w += static_cast<ll>(group) * (plan.dgrad ? g.in_channels * g.weight_in : g.out_channels * g.weight_out) +
       m * g.weight_out;
  const int rows = g.out_channels - m < kMR ? g.out_channels - m : kMR;
  T* to = s.weights + group * plan.packed;
  for (int i = 0; i < g.n_phases; i++) {
    const Phase& f = s.phases[i];
    const Blocks blocks(g.in_channels, f.taps);
    for (int b = 0; b < blocks.count; b++) {
      const Terms terms = blocks[b];
      pack_rows(plan, f, s.taps + f.first, terms, w, rows, to + m * terms.depth());
      to += plan.rows * terms.depth();
    }
  }
}

// Where the columns of one panel go.
template <class T>
struct Outputs {
  const Gather& g;
  const Phase& f;
  T* out;  // the group's first plane in the first image
  ll image_step;
  ll plane = static_cast<ll>(g.out_h) * g.out_w;
  Run run[tile_columns<T>()] = {};
  int n_runs = 0;
  T* straight = nullptr;  // where they lie next to each other, else null

  void aim(const Patches<T>& patches, ll q, int n) {
    n_runs = patches.runs(q, n, run);
    const bool one = g.out_step_h == 1 && g.out_step_w == 1 && run[0].image == run[n_runs - 1].image;
    straight = one ? place(run[0]) : nullptr;
  }
  T* place(const Run& r) const {
    return out + r.image * image_step + (static_cast<ll>(r.row) * g.out_step_h + f.a) * g.out_w +
           static_cast<ll>(r.col) * g.out_step_w + f.b;
  }
  // from[row][NR] goes to the rows from m on.
  void place_rows(const T* from, int m, int rows) const {
    const ll step = g.out_step_w;
    for (int i = 0; i < n_runs; i++) {
      T* first = place(run[i]) + m * plane;
      const T* values = from + run[i].lane;
      const int n = run[i].end - run[i].lane;
      for (int r = 0; r < rows; r++, first += plane, values += tile_columns<T>())
        for (int j = 0; j < n; j++) first[j * step] = values[j];
    }
  }
  // The same of two phases whose outputs alternate.
  void place_pairs(const T* even, const T* odd, int m, int rows) const {
    constexpr int W = Vec<T>::width, NR = tile_columns<T>();
    for (int i = 0; i < n_runs; i++) {
      T* first = place(run[i]) + m * plane;
      const int lane = run[i].lane, n = run[i].end - lane;
      const T *e = even + lane, *o = odd + lane;
      for (int r = 0; r < rows; r++, first += plane, e += NR, o += NR) {
        int j = 0;
        for (; j + W <= n; j += W) {
          typename Vec<T>::type a, b;
          join_pairs(load(e + j), load(o + j), a, b);
          store(first + 2 * j, a);
          store(first + 2 * j + W, b);
        }
        for (; j < n; j++) first[2 * j] = e[j], first[2 * j + 1] = o[j];
      }
    }
  }
};

// A block of outputs: rows [m0, m1) and columns [q0, q1) of one group.
template <class T>
struct Block {
  const T *weights, *in;  // of the group
  T* out;
  ll in_step, out_step;  // from image to image
  ll q0, q1;
  int m0, m1;

  int columns(ll q) const {
    return q1 - q < tile_columns<T>() ? static_cast<int>(q1 - q) : tile_columns<T>();
  }
};

// What is packed after terms b of a block, shared out among the tiles that are made before. Worth it for few rows.
template <class T>
class Coming {
 public:
  Coming(const Plan& plan, const Phase& f, const Block<T>& block, const Blocks& blocks, int b)
      : block_(block), plane_(static_cast<ll>(plan.g.in_h) * plan.g.in_w) {
    if (!is_plain(plan.g) || block.m1 - block.m0 > kFetchedFor) return;
    const bool ends = b + 1 == blocks.count;
    const ll all = columns_of(plan, f), behind = block.q1 + plan.step;
    terms_ = blocks[ends ? 0 : b + 1];
    q0_ = ends ? block.q1 : block.q0;
    q1_ = !ends ? block.q1 : behind < all ? behind : all;
    tiles_ = (block.q1 - block.q0 + tile_columns<T>() - 1) / tile_columns<T>() *
             ((block.m1 - block.m0 + kMR - 1) / kMR);
  }
  // Of the next tile.
  Ahead<T> share() {
    if (q0_ >= q1_) return {};
    const ll c0 = terms_.depth() * done_ / tiles_, c1 = terms_.depth() * ++done_ / tiles_;
    return ahead_in(block_.in, block_.in_step, plane_, q0_, q1_, terms_.c0 + c0, terms_.c0 + c1);
  }

 private:
  const Block<T>& block_;
  ll plane_, q0_ = 0, q1_ = 0, tiles_ = 0, done_ = 0;
  Terms terms_{};
};

// The sums of one phase; those of panels whose outputs do not lie next to each other go to `sums`.
template <class T>
void add_up(const Plan& plan, const Scratch<T>& s, const Phase& f, const Block<T>& block, T* sums) {
  constexpr int W = Vec<T>::width, NR = tile_columns<T>();
  const Gather& g = plan.g;
  const int m0 = block.m0, m1 = block.m1;
  const Patches<T> patches{g, f, s.taps + f.first, block.in, block.in_step, &s.stage};
  Outputs<T> to{g, f, block.out, block.out_step};
  const T* weights = block.weights + plan.rows * g.in_channels * f.first;
  const ll aside = round_up(m1 - m0, kMR) * NR;
  const Blocks blocks(g.in_channels, f.taps);
  for (int b = 0; b < blocks.count; b++) {
    const Terms terms = blocks[b];
    const ll depth = terms.depth();
    patches.pack(block.q0, block.q1, terms, s.patches);
    Coming<T> coming(plan, f, block, blocks, b);
    for (int mc = m0; mc < m1; mc += kMC) {
      const int me = m1 - mc < kMC ? m1 : mc + static_cast<int>(kMC);
      T* own = sums;
      for (ll q = block.q0; q < block.q1; q += NR) {
        const int n = block.columns(q), nv = (n + W - 1) / W;
        to.aim(patches, q, n);
        Target<T> t;
        t.alpha = T(1), t.beta = b ? T(1) : T(0);
        t.ld = to.straight ? to.plane : NR;
        t.last = to.straight ? n - (nv - 1) * W : W;
        for (int m = mc; m < me; m += kMR) {
          const int rows = me - m < kMR ? me - m : kMR;
          t.out = to.straight ? to.straight + m * to.plane : own + static_cast<ll>(m - m0) * NR;
          t.c = t.out;
          const Tile<T> compute = nv == kVectors ? pick_tile<T, kVectors>(rows) : pick_tile<T, 1>(rows);
          t.ahead = coming.share();
          compute(depth, weights + m * depth, s.patches + (q - block.q0) * depth, t);
        }
        if (!to.straight) own += aside;
      }
    }
    weights += plan.rows * depth;
  }
  if (f.taps == 0)
    memset(sums, 0, static_cast<size_t>((block.q1 - block.q0 + NR - 1) / NR * aside) * sizeof(T));
}

// One phase, or two whose outputs alternate.
template <class T>
void run_block(const Plan& plan, const Scratch<T>& s, const Phase* f, const Block<T>& block) {
  constexpr int NR = tile_columns<T>();
  const ll aside = round_up(block.m1 - block.m0, kMR) * NR;
  T *sums = s.sums, *odd = s.sums + plan.aside * plan.rows * NR;
  add_up(plan, s, f[0], block, sums);
  if (plan.paired) add_up(plan, s, f[1], block, odd);
  const Patches<T> patches{plan.g, *f, s.taps + f->first, block.in, block.in_step};
  Outputs<T> to{plan.g, *f, block.out, block.out_step};
  for (ll q = block.q0; q < block.q1; q += NR) {
    to.aim(patches, q, block.columns(q));
    if (to.straight && f->taps) continue;
    if (plan.paired)
      to.place_pairs(sums, odd, block.m0, block.m1 - block.m0);
    else
      to.place_rows(sums, block.m0, block.m1 - block.m0);
    sums += aside, odd += aside;
  }
}

template <class T>
void run(const Launch& l, bool dgrad) {
  const ConvParams& p = params_as<ConvParams>(l);
  const int threads = l.pool->size();
  char* base = static_cast<char*>(l.workspace);
  const Plan plan = make_plan<T>(p, dgrad, threads, nullptr, nullptr);
  Scratch<T> shared{};
  carve(plan, base, threads, 0, shared);
  make_gather(p, dgrad, false, shared.phases, shared.taps);
  const Gather& g = plan.g;
  const bool share = pays(conv_flops(p), kConvPartFlops, l.pool);
  const int row_panels = static_cast<int>(plan.rows / kMR);
  parallel_for(
      l.pool, g.groups * row_panels,
      [&](int i, int) {
        pack_weights(plan, shared, i / row_panels, i % row_panels * kMR, static_cast<const T*>(l.in[1]));
      },
      share && plan.packed * g.groups > 50000);
  const ll in_group = static_cast<ll>(g.in_channels) * g.in_h * g.in_w,
           out_group = static_cast<ll>(g.out_channels) * g.out_h * g.out_w;
  const int phases = plan.paired ? g.n_phases / 2 : g.n_phases,
            per_block = g.groups * phases * plan.row_parts;
  parallel_for(
      l.pool, plan.blocks * per_block,
      [&](int task, int part) {
        Scratch<T> s{};
        carve(plan, base, threads, part, s);
        const int j = task / per_block, group = task % per_block / (phases * plan.row_parts),
                  phase = task / plan.row_parts % phases, rows = task % plan.row_parts;
        const Phase* f = s.phases + (plan.paired ? 2 * phase : phase);
        const ll n = columns_of(plan, *f), panels = round_up(n, tile_columns<T>()) / tile_columns<T>();
        const ll end = panels * (j + 1) / plan.blocks * tile_columns<T>();
        const int last = row_panels * (rows + 1) / plan.row_parts * kMR;
        Block<T> block;
        block.weights = s.weights + group * plan.packed;
        block.in = static_cast<const T*>(l.in[0]) + group * in_group;
        block.out = static_cast<T*>(l.out[0]) + group * out_group;
        block.in_step = in_group * g.groups, block.out_step = out_group * g.groups;
        block.q0 = panels * j / plan.blocks * tile_columns<T>(), block.q1 = end < n ? end : n;
        block.m0 = row_panels * rows / plan.row_parts * kMR;
        block.m1 = last < g.out_channels ? last : g.out_channels;
        if (block.q0 < block.q1) run_block(plan, s, f, block);
      },
      share);
}

template <bool DGRAD>
void run_any(const Launch& l) {
  with_type(params_as<ConvParams>(l), [&](auto zero) { run<decltype(zero)>(l, DGRAD); });
}

template <bool DGRAD>
size_t workspace(const Sizes& s) {
  const ConvParams& p = params_as<ConvParams>(s, "gemm_gather");
  return with_type(p, [&](auto zero) {
    Scratch<decltype(zero)> scratch;
    return carve(make_plan<decltype(zero)>(p, DGRAD, s.threads, nullptr, nullptr), nullptr, s.threads, 0,
                 scratch);
  });
}

void check_fprop(const Sizes& s) { check_conv_fprop(s, "gemm_gather_fprop"); }
void check_dgrad(const Sizes& s) { check_conv_dgrad(s, "gemm_gather_dgrad"); }

}  // namespace

void register_conv_gemm(Registrar& r) {
  r.add({"gemm_gather_fprop", run_any<false>, check_fprop, workspace<false>});
  r.add({"gemm_gather_dgrad", run_any<true>, check_dgrad, workspace<true>});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
