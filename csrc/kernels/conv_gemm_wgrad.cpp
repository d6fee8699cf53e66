// The weight gradient of conv2d as a packed matrix product for each group:
//
//   dw[k][(c, t)] = sum over q of dy[k][q] patch[(c, t)][q]      (see conv_geometry.h, conv_patches.h)
//
// gemm_gather_wgrad: the outputs q of all images are the terms. Block by block of them dy is packed into panels of
// kMR channels, patches into panels of kNR pairs (c, t): gathered as in conv_gemm.cpp, then transposed. Threads
// share the outputs, each with a dw of its own, and these are added in order; or the pairs, where there are few
// outputs or dw is large.
#include "conv_patches.h"
#include "gemm_pack.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr ll kMostPartials = 32 << 20;  // bytes of all threads' own dw
constexpr ll kLeastTerms = 512;         // outputs for a thread, to pay for adding up its dw
constexpr ll kGathered = 64;            // outputs gathered at a time

struct Plan {
  Gather g;
  const ConvParams* p;
  ll terms;    // outputs of all images
  int slices;  // of the terms
  int parts;   // of the pairs
  ll pairs;    // of a group
  ll rows;     // of a group, in whole panels
};

template <class T>
Plan make_plan(const ConvParams& p, int threads, Phase* phases, Tap* taps) {
  Plan plan{make_gather(p, false, false, phases, taps), &p, 0, 1, 1, 0, 0};
  const Gather& g = plan.g;
  plan.terms = static_cast<ll>(p.n) * p.p * p.q;
  plan.pairs = static_cast<ll>(g.in_channels) * g.n_taps;
  plan.rows = round_up(g.out_channels, kMR);
  if (!pays(conv_flops(p), kConvPartFlops, threads)) return plan;
  const ll size = plan.pairs * p.k * static_cast<ll>(sizeof(T));
  if (plan.terms >= kLeastTerms * threads && size * (threads - 1) <= kMostPartials)
    plan.slices = threads;
  else if (g.groups < 2 * threads)
    plan.parts = threads;
  return plan;
}

template <class T>
struct Scratch {
  Phase* phase;
  Tap* taps;
  T* partial;  // dw of a slice but the first
  T* dy;       // [panel][term][kMR]
  T* patches;  // [panel][term][kNR]
  T* gathered;
  Stage<T> stage;
};

template <class T>
size_t carve(const Plan& plan, char* base, int threads, int part, Scratch<T>& out) {
  constexpr int NR = tile_columns<T>();
  Carver c{base};
  Scratch<T> s{};
  s.phase = c.take<Phase>(1);
  s.taps = c.take<Tap>(plan.g.n_taps);
  const ll depth = plan.terms < kKC ? plan.terms : kKC, pairs = plan.pairs < kKC ? plan.pairs : kKC;
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    s.partial = c.take<T>(t && plan.slices > 1 ? plan.pairs * plan.p->k : 0);
    s.dy = c.take<T>(plan.rows * depth);
    s.patches = c.take<T>(round_up(pairs, NR) * depth);
    s.gathered = c.take<T>(round_up(pairs, NR) * kGathered);
    s.stage = take_stage<T>(c, *plan.p, plan.g, false, kGathered);
    if (t == part) out = s;
  }
  return c.used;
}

// to[panel][q][kMR] = dy[m + i][q] for the outputs [q0, q1).
template <class T>
void pack_dy(const Plan& plan, const T* dy, ll image_step, ll q0, ll q1, T* to) {
  const Gather& g = plan.g;
  const ll size = static_cast<ll>(g.out_h) * g.out_w;
  for (int m = 0; m < g.out_channels; m += kMR) {
    const int rows = g.out_channels - m < kMR ? g.out_channels - m : kMR;
    for (ll q = q0; q < q1;) {
      const ll image = q / size, at = q - image * size, n = size - at < q1 - q ? size - at : q1 - q;
      pack_panel<T, kMR>(to, dy + image * image_step + m * size + at, size, 1, rows, n);
      to += n * kMR, q += n;
    }
  }
}

// to[panel][q][kNR] = patch[pair][q] for the outputs [q0, q1) and the pairs of `terms`.
template <class T>
void pack_patches(const Patches<T>& patches, const Terms& terms, ll q0, ll q1, T* gathered, T* to) {
  constexpr int W = Vec<T>::width, NR = tile_columns<T>();
  const ll pairs = terms.depth(), depth = q1 - q0;
  if (is_plain(patches.g)) {
    // Lanes beyond the pairs keep what they hold: their sums are not stored.
    const ll size = patches.per_image();
    for (ll j = 0; j < pairs; j += NR) {
      const int count = pairs - j < NR ? static_cast<int>(pairs - j) : NR, lanes = (count + W - 1) / W * W;
      for (ll q = q0; q < q1;) {
        const ll image = q / size, end = (image + 1) * size < q1 ? (image + 1) * size : q1;
        transpose(patches.in + image * patches.image_step + (terms.c0 + j) * patches.plane + q - image * size,
                  patches.plane, to + j * depth + (q - q0) * lanes, lanes, count, end - q);
        q = end;
      }
    }
    return;
  }
  for (ll begin = q0; begin < q1; begin += kGathered) {
    const ll end = q1 - begin < kGathered ? q1 : begin + kGathered;
    patches.pack(begin, end, terms, gathered);
    for (ll q = begin; q < end; q += NR) {
      const int n = end - q < NR ? static_cast<int>(end - q) : NR, width = (n + W - 1) / W * W;
      const T* from = gathered + (q - begin) * pairs;
      for (ll j = 0; j < pairs; j += NR) {
        const int count = pairs - j < NR ? static_cast<int>(pairs - j) : NR, lanes = (count + W - 1) / W * W;
        transpose(from + j * width, width, to + j * depth + (q - q0) * lanes, lanes, count, n);
      }
    }
  }
}

// dw of one group over the outputs [q0, q1), for the blocks of pairs [first, last).
template <class T>
void run_block(const Plan& plan, const Scratch<T>& s, const T* x, const T* dy, ll x_step, ll dy_step, ll q0,
               ll q1, int first, int last, T* dw) {
  constexpr int W = Vec<T>::width, NR = tile_columns<T>();
  const Gather& g = plan.g;
  const Patches<T> patches{g, *s.phase, s.taps, x, x_step, &s.stage};
  const Blocks blocks(g.in_channels, g.n_taps);
  const ll steps = (q1 - q0 + kKC - 1) / kKC;
  // What is packed next comes while products are made: rows of dy, and of x where the patches are those.
  const ll plane = static_cast<ll>(g.out_h) * g.out_w, c0 = blocks[first].c0, c1 = blocks[last - 1].c1;
  const ll ahead = g.out_channels + (is_plain(g) ? c1 - c0 : 0);
  const ll tiles = ((c1 - c0) * g.n_taps + NR - 1) / NR * (plan.rows / kMR);
  for (ll step = 0; step < steps; step++) {
    const ll q = q0 + (q1 - q0) * step / steps, depth = q0 + (q1 - q0) * (step + 1) / steps - q;
    pack_dy(plan, dy, dy_step, q, q + depth, s.dy);
    const ll next = q + depth, after = next + depth < q1 ? next + depth : q1;
    const bool fetches = next < after && (g.out_channels <= kFetchedFor || plan.pairs <= kFetchedFor);
    ll done = 0;
    for (int b = first; b < last; b++) {
      const Terms terms = blocks[b];
      const ll pairs = terms.depth();
      T* to = dw + static_cast<ll>(terms.c0) * g.n_taps + terms.t0;
      pack_patches(patches, terms, q, q + depth, s.gathered, s.patches);
      for (int mc = 0; mc < g.out_channels; mc += kMC) {
        const int me = g.out_channels - mc < kMC ? g.out_channels : mc + static_cast<int>(kMC);
        for (ll j = 0; j < pairs; j += NR) {
          const int n = pairs - j < NR ? static_cast<int>(pairs - j) : NR, nv = (n + W - 1) / W;
          Target<T> t;
          t.alpha = T(1), t.beta = step ? T(1) : T(0);
          t.ld = plan.pairs, t.last = n - (nv - 1) * W;
          for (int m = mc; m < me; m += kMR) {
            const int rows = me - m < kMR ? me - m : kMR;
            t.out = to + m * plan.pairs + j;
            t.c = t.out;
            if (fetches) {
              const ll r0 = ahead * done / tiles, r1 = ahead * ++done / tiles, k = g.out_channels;
              t.ahead = r0 < k ? ahead_in(dy, dy_step, plane, next, after, r0, r1 < k ? r1 : k)
                               : ahead_in(x, x_step, plane, next, after, c0 + r0 - k, c0 + r1 - k);
            }
            const Tile<T> compute = nv == kVectors ? pick_tile<T, kVectors>(rows) : pick_tile<T, 1>(rows);
            compute(depth, s.dy + m * depth, s.patches + j * depth, t);
          }
        }
      }
    }
  }
}

template <class T>
void run(const Launch& l) {
  const ConvParams& p = params_as<ConvParams>(l);
  const int threads = l.pool->size();
  char* base = static_cast<char*>(l.workspace);
  const Plan plan = make_plan<T>(p, threads, nullptr, nullptr);
  Scratch<T> shared{};
  carve(plan, base, threads, 0, shared);
  make_gather(p, false, false, shared.phase, shared.taps);
  const Gather& g = plan.g;
  T* dw = static_cast<T*>(l.out[0]);
  const ll size = plan.pairs * p.k;
  if (plan.terms == 0) {
    memset(dw, 0, static_cast<size_t>(size) * sizeof(T));
    return;
  }
  const ll x_group = static_cast<ll>(g.in_channels) * p.h * p.w,
           dy_group = static_cast<ll>(g.out_channels) * p.p * p.q;
  const int blocks = Blocks(g.in_channels, g.n_taps).count;
  const bool share = pays(conv_flops(p), kConvPartFlops, l.pool);
  parallel_for(
      l.pool, plan.slices * g.groups * plan.parts,
      [&](int task, int part) {
        const int group = task / plan.parts % g.groups, i = task % plan.parts;
        const ll slice = task / plan.parts / g.groups;
        Scratch<T> s{}, own{};
        carve(plan, base, threads, part, s);
        carve(plan, base, threads, static_cast<int>(slice), own);
        T* to = slice ? own.partial : dw;
        run_block(plan, s, static_cast<const T*>(l.in[0]) + group * x_group,
                  static_cast<const T*>(l.in[1]) + group * dy_group, x_group * g.groups, dy_group * g.groups,
                  plan.terms * slice / plan.slices, plan.terms * (slice + 1) / plan.slices,
                  static_cast<int>(static_cast<ll>(blocks) * i / plan.parts),
                  static_cast<int>(static_cast<ll>(blocks) * (i + 1) / plan.parts),
                  to + group * g.out_channels * plan.pairs);
      },
      share);
  if (plan.slices == 1) return;
  parallel_range(l.pool, size, 16384, [&](ll begin, ll end, int) {
    for (int i = 1; i < plan.slices; i++) {
      Scratch<T> own{};
      carve(plan, base, threads, i, own);
      for (ll j = begin; j < end; j++) dw[j] += own.partial[j];
    }
  });
}

void run_any(const Launch& l) {
  with_type(params_as<ConvParams>(l), [&](auto zero) { run<decltype(zero)>(l); });
}

size_t workspace(const Sizes& s) {
  const ConvParams& p = params_as<ConvParams>(s, "gemm_gather_wgrad");
  return with_type(p, [&](auto zero) {
    Scratch<decltype(zero)> scratch{};
    return carve(make_plan<decltype(zero)>(p, s.threads, nullptr, nullptr), nullptr, s.threads, 0, scratch);
  });
}

void check(const Sizes& s) { check_conv_wgrad(s, "gemm_gather_wgrad"); }

}  // namespace

void register_conv_gemm_wgrad(Registrar& r) { r.add({"gemm_gather_wgrad", run_any, check, workspace}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
