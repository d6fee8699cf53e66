// gemm_rows: out[r, :] = finish(beta c[r, :] + sum_j alpha op(a)[r, j] b[j, :]), b stored as [K, N].
//
// b is read straight from where it lies, kBlock rows at a time. Two ways to visit it:
//   walk    one row of out, at most 13 vectors of it, stays in registers while the non-zero elements of that row of
//           op(a) are visited; each brings one row of b. Time falls with the zeros of a (pixels, ReLU, dropout).
//   tile    several rows of out by a few vectors, every element of a: fewer loads for each FMA, for dense a.
// The density of a, sampled, decides; both cost the same near the threshold.
//
// This serves the forward product of small batches (a = x, j along the features), and the rank-k update
// w += alpha x^T dy (a = x^T, j along the batch), where a walk touches no row of w whose inputs are all zero.
// A walk's zeros hide NaN and infinity in b: only where a is exactly 0.
#include <cstring>
#include <type_traits>

#include "gemm.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kMaxVectors = 13;  // accumulators of one row; 13 vectors of 8 hold 100 columns
constexpr int kBlock = 64;       // rows of b visited per pass: one bit each
constexpr int kChunk = 32;       // rows whose bits are found at a time
constexpr int kOuter = 128;      // rows of out visited before the next, while b streams by

// How the accumulators of a pass start.
enum Start { kZero, kAdd, kScale };

template <class T>
struct Pass {
  const T* a;  // op(a)(r, j) = a[r * row + j * col]
  ll ahead;    // elements from a to what will be read next
  ll row, col;
  const T* b;  // row 0 of this block, first column of this panel
  ll ldb;
  int count;   // rows of b in this block
  const T* c;  // first column of this panel
  T* out;
  ll ld;  // of c and out
  T alpha, beta;
  Start start;
  int last;     // offset of the last vector: it overlaps the one before where columns are no multiple of W
  int columns;  // only for panels narrower than one vector
};

// The vectors of a panel; a narrow one is a single vector of which `columns` lanes exist.
template <class T, int NV, bool kNarrow>
struct Panel {
  typedef typename Vec<T>::type V;
  static constexpr int W = Vec<T>::width;
  int columns, last;
  V get(const T* q, int v) const {
    if (kNarrow) return load_n(q, columns);
    return load(v == NV - 1 ? q + last : q + v * W);
  }
  void put(T* q, int v, V x) const {
    if (kNarrow)
      store_n(q, x, columns);
    else
      store(v == NV - 1 ? q + last : q + v * W, x);
  }
};

// Rows [r, r + rows), the j whose bits are set; where `may_skip`, rows without any are left alone.
template <class T, int NV, bool kNarrow>
void walk(const Pass<T>& pass, ll r, int rows, const uint64_t* found, bool may_skip) {
  typedef typename Vec<T>::type V;
  const Pass<T> p = pass;
  const Panel<T, NV, kNarrow> panel{p.columns, p.last};
  for (int i = 0; i < rows; i++) {
    uint64_t bits = found[i];
    if (!bits && may_skip) continue;
    V acc[NV];
    // All loads of a row come before its stores: overlapping vectors agree on the lanes they share.
    for (int v = 0; v < NV; v++) acc[v] = p.start == kZero ? V{} : panel.get(p.c + (r + i) * p.ld, v);
    if (p.start == kScale)
      for (int v = 0; v < NV; v++) acc[v] *= p.beta;
    const T* a = p.a + (r + i) * p.row;
    while (bits) {
      const int j = __builtin_ctzll(bits);
      bits &= bits - 1;
      const V x = set1(p.alpha * a[j * p.col]);
      const T* b = p.b + j * p.ldb;
      for (int v = 0; v < NV; v++) acc[v] = fma(x, panel.get(b, v), acc[v]);
    }
    for (int v = 0; v < NV; v++) panel.put(p.out + (r + i) * p.ld, v, acc[v]);
  }
}

// `tiles` tiles of RR rows from r on, every j. Sums stay in registers if the loops over them are unrolled.
template <class T, int RR, int NV, bool kNarrow>
void tile(const Pass<T>& pass, ll r, ll tiles) {
  typedef typename Vec<T>::type V;
  const Pass<T> p = pass;
  const Panel<T, NV, kNarrow> panel{p.columns, p.last};
  const bool scaled = p.alpha != T(1), from_c = p.start != kZero;
  for (; tiles > 0; tiles--, r += RR) {
    const T* c = p.c + r * p.ld;
    V acc[RR][NV];
    if (from_c && !scaled) {
#pragma GCC unroll 6
      for (int i = 0; i < RR; i++)
#pragma GCC unroll 6
        for (int v = 0; v < NV; v++) acc[i][v] = panel.get(c + i * p.ld, v);
      if (p.start == kScale)
#pragma GCC unroll 6
        for (int i = 0; i < RR; i++)
#pragma GCC unroll 6
          for (int v = 0; v < NV; v++) acc[i][v] *= p.beta;
    } else {
      if (from_c)
#pragma GCC unroll 6
        for (int i = 0; i < RR; i++) __builtin_prefetch(c + i * p.ld, 1);
#pragma GCC unroll 6
      for (int i = 0; i < RR; i++)
#pragma GCC unroll 6
        for (int v = 0; v < NV; v++) acc[i][v] = V{};
    }
    const T* a = p.a + r * p.row;
    const T* b = p.b;
    for (int j = 0; j < p.count; j++, a += p.col, b += p.ldb) {
      if constexpr (RR <= NV) {
        V x[RR];
#pragma GCC unroll 6
        for (int i = 0; i < RR; i++) x[i] = set1(a[i * p.row]);
#pragma GCC unroll 6
        for (int v = 0; v < NV; v++) {
          V y = panel.get(b, v);
#pragma GCC unroll 6
          for (int i = 0; i < RR; i++) acc[i][v] = fma(x[i], y, acc[i][v]);
        }
      } else {
        V y[NV];
#pragma GCC unroll 6
        for (int v = 0; v < NV; v++) y[v] = panel.get(b, v);
#pragma GCC unroll 6
        for (int i = 0; i < RR; i++) {
          V x = set1(a[i * p.row]);
#pragma GCC unroll 6
          for (int v = 0; v < NV; v++) acc[i][v] = fma(x, y[v], acc[i][v]);
        }
      }
    }
    if (scaled) {
      const T beta = p.start == kScale ? p.beta : T(1);
#pragma GCC unroll 6
      for (int i = 0; i < RR; i++) {
#pragma GCC unroll 6
        for (int v = 0; v < NV; v++) acc[i][v] *= p.alpha;
        if (from_c)
#pragma GCC unroll 6
          for (int v = 0; v < NV; v++) acc[i][v] = fma(set1(beta), panel.get(c + i * p.ld, v), acc[i][v]);
      }
    }
#pragma GCC unroll 6
    for (int i = 0; i < RR; i++)
#pragma GCC unroll 6
      for (int v = 0; v < NV; v++) panel.put(p.out + (r + i) * p.ld, v, acc[i][v]);
  }
}

template <class T>
using Walk = void (*)(const Pass<T>&, ll, int, const uint64_t*, bool);

template <class T>
Walk<T> pick_walk(int vectors, bool narrow) {
  static constexpr Walk<T> walks[kMaxVectors + 1] = {
      walk<T, 1, true>,   walk<T, 1, false>,  walk<T, 2, false>,  walk<T, 3, false>, walk<T, 4, false>,
      walk<T, 5, false>,  walk<T, 6, false>,  walk<T, 7, false>,  walk<T, 8, false>, walk<T, 9, false>,
      walk<T, 10, false>, walk<T, 11, false>, walk<T, 12, false>, walk<T, 13, false>};
  return walks[narrow ? 0 : vectors];
}

template <class T>
using TileOf = void (*)(const Pass<T>&, ll, ll);

#if VF_WIDTH == 16
// Rows of a tile of that many vectors: up to 24 accumulators of 32 registers.
constexpr int tile_rows(int vectors) { return vectors >= 5 ? 4 : vectors == 4 ? 5 : 6; }
// Vectors of a tile when there are that many rows in all.
constexpr int tile_vectors(ll rows) { return rows >= 5 ? 4 : 6; }
#else
// 12 accumulators of 16 registers.
constexpr int tile_rows(int vectors) { return vectors >= 5 ? 2 : vectors == 4 ? 3 : vectors == 3 ? 4 : 6; }
constexpr int tile_vectors(ll rows) { return rows >= 4 ? 3 : rows == 3 ? 4 : 6; }
#endif

template <class T, int NV, bool kNarrow>
TileOf<T> pick_tile_rows(int rows) {
  constexpr int most = tile_rows(NV);
  if constexpr (most >= 6) {
    if (rows >= 6) return tile<T, 6, NV, kNarrow>;
  }
  if constexpr (most >= 5) {
    if (rows == 5) return tile<T, 5, NV, kNarrow>;
  }
  if constexpr (most >= 4) {
    if (rows == 4) return tile<T, 4, NV, kNarrow>;
  }
  if constexpr (most >= 3) {
    if (rows == 3) return tile<T, 3, NV, kNarrow>;
  }
  return rows == 2 ? tile<T, 2, NV, kNarrow> : tile<T, 1, NV, kNarrow>;
}

template <class T>
TileOf<T> pick_tile(int vectors, bool narrow, int rows) {
  if (narrow) return pick_tile_rows<T, 1, true>(rows);
  switch (vectors) {
    case 1:
      return pick_tile_rows<T, 1, false>(rows);
    case 2:
      return pick_tile_rows<T, 2, false>(rows);
    case 3:
      return pick_tile_rows<T, 3, false>(rows);
    case 4:
      return pick_tile_rows<T, 4, false>(rows);
    case 5:
      return pick_tile_rows<T, 5, false>(rows);
    default:
      return pick_tile_rows<T, 6, false>(rows);
  }
}

// bits[i] for `rows` rows from a on, stored with rows contiguous, j in [0, count): one bit of every lane per j.
// kWhole: rows = kChunk.
template <class T, bool kWhole>
void find_columns(const T* a, ll col, int rows, int count, uint64_t* bits) {
  constexpr int W = Vec<T>::width;
  typedef typename Vec<T>::mask M;
  typedef typename Vec<T>::lane Lane;
  constexpr int kLaneBits = sizeof(T) * 8, kVectors = kChunk / W;
  int j0 = 0;
  do {  // once even for an empty sum
    M found[kVectors];
    for (int v = 0; v < kVectors; v++) found[v] = M{};
    const int end = count - j0 < kLaneBits ? count - j0 : kLaneBits;
    const T* p = a + j0 * col;
    for (int j = 0; j < end; j++, p += col) {
      const M bit = M{} + static_cast<Lane>(1ULL << j);
      for (int v = 0; v < kVectors; v++) {
        const int n = rows - v * W;
        if (!kWhole && n <= 0) break;
        found[v] |= ((kWhole || n >= W ? load(p + v * W) : load_n(p + v * W, n)) != T(0)) & bit;
      }
    }
    Lane lanes[kChunk];
    memcpy(lanes, found, sizeof lanes);
    for (int i = 0; i < kChunk; i++) {
      const uint64_t lane = static_cast<std::make_unsigned_t<Lane>>(lanes[i]);
      bits[i] = j0 ? bits[i] | lane << j0 : lane;
    }
    j0 += kLaneBits;
  } while (j0 < count);
}

// bits[i] for row r + i of op(a), `rows` <= kChunk rows, j in [0, p.count): non-zero elements.
template <class T>
void find_bits(const Pass<T>& p, ll r, int rows, uint64_t* bits) {
  const T* a = p.a + r * p.row;
  if (p.col != 1)
    return rows == kChunk ? find_columns<T, true>(a, p.col, rows, p.count, bits)
                          : find_columns<T, false>(a, p.col, rows, p.count, bits);
  // A batch is most often a slice of a larger array: what follows it is the next batch, a matrix further on.
  constexpr int kLine = 64 / sizeof(T);
  for (int i = 0; i < rows; i++, a += p.row) {
    for (int j = 0; j < p.count; j += kLine) __builtin_prefetch(a + p.ahead + j, 0, 2);
    for (int j = 0; j < p.count; j += kLine) __builtin_prefetch(a + kBlock + j);
    bits[i] = nonzero_bits(a, p.count);
  }
}

// A small b that many rows visit is copied, times alpha, into rows of whole vectors, which cross no cache line.
bool copies_b(ll rows, ll terms, ll vectors) {
  return rows >= 4 * kChunk && terms * vectors <= kBlock * kMaxVectors;
}

// Whether a walk is the cheaper visit. In units of half an FMA: it pays for loads that cross cache lines, as those of wide
// vectors do most often, and where out is narrow for the latency of its few accumulators.
bool walks(ll rows, ll terms, ll vectors, double density) {
  const bool copied = copies_b(rows, terms, vectors);
  const double across = VF_WIDTH == 16 ? copied ? 1.85 : 2.45 : copied ? 1.05 : 1.4;
  const double each = across * static_cast<double>(vectors);
  return rows == 1 || density * (each > 8 ? each : 8) < static_cast<double>(vectors);
}

// Rows [r0, r1) of one panel and block.
template <class T>
void visit(const Pass<T>& p, ll r0, ll r1, int vectors, bool narrow, bool walking) {
  if (walking) {
    const Walk<T> f = pick_walk<T>(vectors, narrow);
    const bool may_skip = p.start == kAdd && p.c == p.out;
    for (ll r = r0; r < r1; r += kChunk) {
      const int rows = static_cast<int>(r1 - r < kChunk ? r1 - r : kChunk);
      uint64_t bits[kChunk];
      find_bits(p, r, rows, bits);
      f(p, r, rows, bits, may_skip);
    }
    return;
  }
  // Tiles of rows as even as possible: 10 rows are 5 + 5, not 6 + 4.
  const ll rows = r1 - r0, most = tile_rows(vectors), tiles = (rows + most - 1) / most;
  const int larger = static_cast<int>((rows + tiles - 1) / tiles);
  const ll large = rows - tiles * (larger - 1);  // tiles of the larger size
  pick_tile<T>(vectors, narrow, larger)(p, r0, large);
  if (large < tiles) pick_tile<T>(vectors, narrow, larger - 1)(p, r0 + large * larger, tiles - large);
}

// Rows [r0, r1) of out from j in [j0, j1). With `partial` the sum goes there ([m, n], from zero) instead of out.
template <class T>
void rows_range(const Product<T>& g, ll r0, ll r1, ll j0, ll j1, bool walking, T* partial, T* scratch) {
  constexpr int W = Vec<T>::width;
  const ll vectors = (g.n + W - 1) / W;
  const ll widest = walking ? kMaxVectors : tile_vectors(r1 - r0);
  const ll panels = (vectors + widest - 1) / widest;
  const bool copy = copies_b(r1 - r0, j1 - j0, vectors);
  if (copy)
    for (ll j = j0; j < j1; j++)
      for (ll i = 0; i < g.n; i++) scratch[(j - j0) * vectors * W + i] = g.alpha * g.b[j * g.ldb + i];
  for (ll ro = r0; ro < r1; ro += kOuter) {
    const ll ro_end = ro + kOuter < r1 ? ro + kOuter : r1;
    ll jb = j0;
    do {  // once even for an empty sum: beta c is still due
      const bool first = jb == j0;
      for (ll panel = 0; panel < panels; panel++) {
        const ll c0 = vectors * panel / panels * W, v1 = vectors * (panel + 1) / panels;
        const ll c1 = v1 * W < g.n ? v1 * W : g.n;
        Pass<T> p;
        p.count = static_cast<int>(j1 - jb < kBlock ? j1 - jb : kBlock);
        p.row = g.a_row(), p.col = g.a_col();
        p.a = g.a + jb * p.col;
        p.ahead = g.m * p.row;
        p.ldb = copy ? vectors * W : g.ldb;
        p.b = (copy ? scratch + (jb - j0) * p.ldb : g.b + jb * p.ldb) + c0;
        p.out = (partial ? partial : g.out) + c0, p.ld = g.n;
        p.c = first && !partial ? g.c + c0 : p.out;
        p.alpha = copy ? T(1) : g.alpha, p.beta = g.beta;
        p.start = !first ? kAdd : partial || g.beta == T(0) ? kZero : g.beta == T(1) ? kAdd : kScale;
        p.columns = static_cast<int>(c1 - c0), p.last = p.columns - W;
        visit(p, ro, ro_end, (p.columns + W - 1) / W, p.columns < W, walking);
      }
      jb += kBlock;
    } while (jb < j1);
    if (!partial) gemm_finish(g, ro, ro_end, 0, g.n);
  }
}

constexpr ll kSplitK = 256;  // least j per thread where the sum is split

bool splits_k(ll m, ll k, int threads) { return m < 8 * threads && k >= kSplitK * threads; }

constexpr size_t kBlockBytes = kBlock * kMaxVectors * 4 * VF_WIDTH;  // a copy of b, per thread

template <class T>
void rows_core(const Product<T>& g, void* scratch, ThreadPool* pool) {
  const int threads = pool ? pool->size() : 1;
  char* base = static_cast<char*>(scratch);
  if (g.m == 0 || g.n == 0) return;
  const double density = sampled_density(g.a, g.m * g.k);
  const bool walking = walks(g.m, g.k, (g.n + Vec<T>::width - 1) / Vec<T>::width, density);
  const double flops = 2.0 * g.m * g.n * g.k * (walking ? density : 1.0);
  if (!pays(flops, kPartFlops, threads))
    return rows_range(g, 0, g.m, 0, g.k, walking, static_cast<T*>(nullptr), reinterpret_cast<T*>(base));
  if (splits_k(g.m, g.k, threads)) {
    // Each thread keeps to its rows of b, which are the rows of the weights that it updates.
    T* partials = reinterpret_cast<T*>(base + align64(parts_end(threads, kBlockBytes)));
    const ll size = static_cast<ll>(align64(g.m * g.n * sizeof(T)) / sizeof(T));
    Product<T> plain = g;
    plain.form = kDot;
    parallel_for(pool, threads, [&](int task, int part) {
      rows_range(plain, 0, g.m, g.k * task / threads, g.k * (task + 1) / threads, walking,
                 task ? partials + (task - 1) * size : nullptr,
                 reinterpret_cast<T*>(base + part_begin(part, kBlockBytes)));
    });
    for (int t = 1; t < threads; t++) {
      const T* other = partials + (t - 1) * size;
      for (ll i = 0; i < g.m * g.n; i++) g.out[i] += other[i];
    }
    return gemm_finish(g, 0, g.m, 0, g.n);
  }
  const ll tasks = threads < g.m ? threads : g.m;
  parallel_for(pool, static_cast<int>(tasks), [&](int task, int part) {
    rows_range(g, g.m * task / tasks, g.m * (task + 1) / tasks, 0, g.k, walking, static_cast<T*>(nullptr),
               reinterpret_cast<T*>(base + part_begin(part, kBlockBytes)));
  });
}

void run(const Launch& l) {
  const GemmParams& p = params_as<GemmParams>(l);
  size_t one = gemm_rows_scratch(p.m, p.n, p.k, p.dtype == 6 ? 4 : 8, 1);
  if (p.dtype == 6)
    for_batch<float>(l, one, rows_core<float>);
  else
    for_batch<double>(l, one, rows_core<double>);
}

void check(const Sizes& s) {
  check_gemm(s, "gemm_rows", true);
  const GemmParams& p = params_as<GemmParams>(s, "gemm_rows");
  bool column = p.n == 1 && p.m > 1;
  if (column ? !p.trans_a : p.trans_b && p.n > 1)
    fail("gemm_rows: the second operand must be stored as [K, N]");
}

size_t workspace(const Sizes& s) {
  const GemmParams& p = params_as<GemmParams>(s, "gemm_rows");
  size_t itemsize = p.dtype == 6 ? 4 : 8;
  size_t whole = gemm_rows_scratch(p.m, p.n, p.k, itemsize, s.threads);
  size_t each = parts_end(s.threads, gemm_rows_scratch(p.m, p.n, p.k, itemsize, 1));
  return p.batch_ndim && each > whole ? each : whole;
}

}  // namespace

void gemm_rows_core(const Product<float>& g, void* scratch, ThreadPool* pool) { rows_core(g, scratch, pool); }
void gemm_rows_core(const Product<double>& g, void* scratch, ThreadPool* pool) {
  rows_core(g, scratch, pool);
}

size_t gemm_rows_scratch(ll m, ll n, ll k, size_t itemsize, int threads) {
  size_t partial = align64(m * n * itemsize) * (threads - 1);
  if (n == 1) m = 1;
  return align64(parts_end(threads, kBlockBytes)) + (splits_k(m, k, threads) ? partial : 0);
}

void register_gemm_rows(Registrar& r) { r.add({"gemm_rows", run, check, workspace}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
