// gemm_packed: out = finish(alpha op(a) op(b) + beta c) for large products, after Goto and van de Geijn,
// "Anatomy of high-performance matrix multiplication" (2008), and the BLIS framework.
//
// kKC x nc of b is packed into panels of kNR columns, kMC x kKC of a into panels of kMR rows (transposition
// happens here), and a kMR x kNR tile of out is kept in registers while kc steps of both panels stream by: a panel of b
// stays in L1, the block of a in L2, the block of b in L3. Threads own rectangles of out, so sums never depend
// on their number, except where slices of k cost less than a grid of them, or out is too small to share.
// An a of which less than kSparse is non-zero goes to gemm_rows if b is stored as [K, N].
#include "gemm_pack.h"
#include "gemm_slim.h"
#include "gemm_tile.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr double kSparse = VF_WIDTH == 16 ? 0.42 : 0.5;  // as gemm_rows has it
constexpr double kFlopsPerThread = 1e5;
constexpr double kAdding = 12;  // what adding a partial sum costs, in multiply-adds of a tile
constexpr ll kSlice = 128;      // fewest terms of a slice of k
constexpr ll kFewColumns = 256;
constexpr ll kAheadBytes = 512 << 10;  // of a matrix that will still be in L2 when it is read

ll ceil_div(ll a, ll b) { return (a + b - 1) / b; }
ll round_up(ll a, ll b) { return ceil_div(a, b) * b; }
ll least(ll a, ll b) { return a < b ? a : b; }

// Columns of b packed at a time. Where a is one block it stays packed, and b need only fill L2 beside it.
ll block_columns(ll rows) { return rows <= kMC ? 256 : 2048; }

// Columns [nc, ne), terms [kc, kc + depth) of op(b), panel after panel; the last may be one vector wide.
template <class T>
void pack_b(const Product<T>& g, ll nc, ll ne, ll kc, ll depth, T* to) {
  constexpr int W = Vec<T>::width, NR = tile_columns<T>();
  const ll row = g.trans_b ? 1 : g.ldb, col = g.trans_b ? g.ldb : 1;
  const T* from = g.b + kc * row + nc * col;
  ll n = nc;
  if (!g.trans_b) {
    // Along the rows of b, as they lie in memory.
    const ll panels = (ne - nc) / NR;
    for (ll p = 0; p < depth; p++)
      for (ll i = 0; i < panels; i++)
        __builtin_memcpy(to + (i * depth + p) * NR, from + p * row + i * NR, NR * sizeof(T));
    n += panels * NR;
    if (const int width = static_cast<int>(ne - n); width > 0 && width != W) {
      const int vectors = width > W ? 2 : 1, last = width - (vectors - 1) * W;
      T* panel = to + (n - nc) * depth;
      for (ll p = 0; p < depth; p++, panel += vectors * W) {
        const T* line = from + p * row + (n - nc);
        if (vectors > 1) store(panel, load(line));
        store(panel + (vectors - 1) * W, load_n(line + (vectors - 1) * W, last));
      }
      return;
    }
  }
  for (; n < ne; n += NR) {
    const int width = static_cast<int>(least(NR, ne - n));
    T* panel = to + (n - nc) * depth;
    if (width > W)
      pack_panel<T, NR>(panel, from + (n - nc) * col, col, row, width, depth);
    else
      pack_panel<T, W>(panel, from + (n - nc) * col, col, row, width, depth);
  }
}

// Whether a is copied into panels. Where each of its elements serves only a few columns the copy would cost more than
// to read it where it lies; fewer still if that means a line for each term.
template <class T>
bool packs_a(const Product<T>& g, ll columns) {
  return columns > (g.trans_a ? kFewColumns / 2 : kFewColumns);
}

// Whether b is copied into panels, which few rows do not repay. Read where it lies, rows a page apart would share the
// same few sets of the caches.
template <class T>
bool packs_b(const Product<T>& g, ll rows) {
  return g.trans_b || rows > kMC || g.ldb * static_cast<ll>(sizeof(T)) % 4096 == 0;
}

// A batch is most often a slice of a larger array: what follows it is the next batch, a matrix further on. A tile
// fetches some of the same rows of that, as `column` of `columns` goes from 0 on.
template <class T>
Ahead<T> next_batch(const Product<T>& g, ll m, int rows, ll kc, ll depth, ll column, ll columns) {
  if (g.trans_a || g.m * g.k * static_cast<ll>(sizeof(T)) > kAheadBytes) return {};
  constexpr ll NR = tile_columns<T>();
  const ll panels = ceil_div(columns, NR), panel = column / NR;
  const ll j0 = kc + depth * panel / panels, j1 = kc + depth * (panel + 1) / panels;
  return Ahead<T>::of(g.a + g.m * g.k + m * g.lda + j0, g.lda, j1 - j0, rows);
}

// Rows [m0, m1), columns [n0, n1), terms [k0, k1). With `partial` (ld n) the sum goes there, from zero.
template <class T>
void rectangle(const Product<T>& g, ll m0, ll m1, ll n0, ll n1, ll k0, ll k1, T* partial, T* scratch) {
  constexpr int W = Vec<T>::width, NR = tile_columns<T>();
  const ll a_row = g.a_row(), a_col = g.a_col(), columns = block_columns(m1 - m0);
  T* bp = scratch;
  T* ap = scratch + least(columns, round_up(n1 - n0, NR)) * least(kKC, k1 - k0);
  const bool packs = packs_a(g, n1 - n0), b_lies = !packs_b(g, m1 - m0);
  if (const int rest = packs ? 0 : slim_columns<T>(m1 - m0, n1 - n0, k1 - k0)) {
    Product<T> h = g;
    if (partial) h.out = partial, h.beta = T(0);
    slim(h, m0, m1, n1 - rest, n1, k0, k1, scratch);
    if (!partial) gemm_finish(g, m0, m1, n1 - rest, n1);
    n1 -= rest;
  }
  const ll passes = ceil_div(k1 - k0, kKC);
  for (ll pass = 0; pass < passes; pass++) {
    const ll kc = k0 + (k1 - k0) * pass / passes, depth = k0 + (k1 - k0) * (pass + 1) / passes - kc;
    const bool first = pass == 0, last = pass == passes - 1;
    for (ll nc = n0; nc < n1; nc += columns) {
      const ll ne = least(nc + columns, n1), packed = b_lies ? nc + (ne - nc) / NR * NR : nc;
      pack_b(g, packed, ne, kc, depth, bp);
      for (ll mc = m0; mc < m1; mc += kMC) {
        const ll me = least(mc + kMC, m1);
        if (packs && (nc == n0 || m1 - m0 > kMC))  // else the one block of a is still there
          for (ll m = mc; m < me; m += kMR)
            pack_panel<T, kMR>(ap + (m - mc) * depth, g.a + m * a_row + kc * a_col, a_row, a_col,
                               static_cast<int>(least(kMR, me - m)), depth);
        for (ll n = nc; n < ne; n += NR) {
          const int width = static_cast<int>(least(NR, ne - n)), nv = static_cast<int>(ceil_div(width, W));
          const Columns<T> b =
              n < packed ? Columns<T>(g.b + kc * g.ldb + n, g.ldb) : Columns<T>(bp + (n - packed) * depth);
          Target<T> t;
          t.alpha = g.alpha, t.ld = g.n, t.last = width - (nv - 1) * W;
          t.beta = !first ? T(1) : partial ? T(0) : g.beta;
          for (ll m = mc; m < me; m += kMR) {
            const int rows = static_cast<int>(least(kMR, me - m));
            t.out = (partial ? partial : g.out) + m * g.n + n;
            t.c = first && !partial ? g.c + m * g.n + n : t.out;
            if (packs) {
              Tile<T> f = nv == 2 ? pick_tile<T, 2>(rows) : pick_tile<T, 1>(rows);
              f(depth, ap + (m - mc) * depth, b, t);
            } else {
              t.ahead = next_batch(g, m, rows, kc, depth, n - n0, n1 - n0);
              Tile<T> f = nv == 2 ? pick_tile<T, 2, false>(rows) : pick_tile<T, 1, false>(rows);
              f(depth, {g.a + m * a_row + kc * a_col, a_row, a_col}, b, t);
            }
          }
        }
        if (last && !partial) gemm_finish(g, mc, me, nc, ne);
      }
    }
  }
}

// How a product is shared: a grid of rectangles, or slices of k.
struct Shares {
  int rows, columns, slices;
};

Shares share_out(ll m, ll n, ll k, int threads) {
  double flops = 2.0 * m * n * k;
  int parts = threads;
  if (flops < parts * kFlopsPerThread) parts = static_cast<int>(flops / kFlopsPerThread);
  if (parts <= 1 || k == 0) return {1, 1, 1};
  // Fewest bytes packed: each rectangle packs its own rows of a and columns of b.
  Shares best = {1, 1, 1};
  double cost = 1e300;
  for (int rows = 1; rows <= parts; rows++) {
    int columns = parts / rows;
    if (rows > ceil_div(m, kMR) || columns > ceil_div(n, kVectors * VF_WIDTH)) continue;
    double work = static_cast<double>(ceil_div(m, rows)) * static_cast<double>(ceil_div(n, columns));
    double packing = 8.0 * (static_cast<double>(m) / rows + static_cast<double>(n) / columns);
    if (work + packing < cost) cost = work + packing, best = {rows, columns, 1};
  }
  if (best.rows * best.columns * 2 <= parts && k >= 2 * kKC * parts) return {1, 1, parts};
  // Slices of k: each packs its own part of both, and their sums are added.
  const double both = static_cast<double>(m) * static_cast<double>(n);
  const double added = kAdding * both / static_cast<double>(k);
  if (k >= kSlice * parts && both / parts + 8.0 * static_cast<double>(m + n) / parts + added < cost)
    return {1, 1, parts};
  return best;
}

size_t rectangle_bytes(ll m, ll n, ll k, size_t itemsize) {
  const ll nr = kVectors * VF_WIDTH * 4 / static_cast<ll>(itemsize), depth = least(kKC, k);
  const ll panels = least(block_columns(m), round_up(n, nr)) * depth + least(kMC, round_up(m, kMR)) * depth;
  const ll slim = nr / kVectors / 4 * k;  // copied before them
  return align64((panels > slim ? panels : slim) * itemsize);
}

template <class T>
void packed_core(const Product<T>& g, void* scratch, ThreadPool* pool) {
  if (g.m == 0 || g.n == 0) return;
  const bool rows_fit = !g.trans_b || g.n == 1;
  // An empty sum too: gemm_rows knows what is then due.
  if (rows_fit && (g.k == 0 || sampled_density(g.a, g.m * g.k) < kSparse))
    return gemm_rows_core(g, scratch, pool);
  if (g.k == 0) {
    Product<T> h = g;
    h.trans_b = false, h.ldb = h.n;
    return gemm_rows_core(h, scratch, pool);
  }
  const Shares s = share_out(g.m, g.n, g.k, pool ? pool->size() : 1);
  const size_t bytes = rectangle_bytes(g.m, g.n, g.k, sizeof(T));
  char* base = static_cast<char*>(scratch);
  auto piece = [&](int part) { return reinterpret_cast<T*>(base + part_begin(part, bytes)); };
  if (s.slices > 1) {
    T* partials = reinterpret_cast<T*>(base + parts_end(s.slices, bytes));
    const ll size = static_cast<ll>(align64(g.m * g.n * sizeof(T)) / sizeof(T));
    Product<T> plain = g;
    plain.form = kDot;
    parallel_for(pool, s.slices, [&](int task, int part) {
      rectangle(plain, 0, g.m, 0, g.n, g.k * task / s.slices, g.k * (task + 1) / s.slices,
                task ? partials + (task - 1) * size : nullptr, piece(part));
    });
    parallel_for(pool, s.slices, [&](int task, int) {
      const ll r0 = g.m * task / s.slices, r1 = g.m * (task + 1) / s.slices;
      for (int t = 1; t < s.slices; t++)
        for (ll i = r0 * g.n; i < r1 * g.n; i++) g.out[i] += partials[(t - 1) * size + i];
      gemm_finish(g, r0, r1, 0, g.n);
    });
    return;
  }
  const ll np = ceil_div(g.n, tile_columns<T>());
  auto work = [&](int task, int part) {
    const ll i = task / s.columns, j = task % s.columns;
    const ll m0 = g.m * i / s.rows, m1 = g.m * (i + 1) / s.rows;
    const ll n0 = np * j / s.columns * tile_columns<T>();
    const ll n1 = least(np * (j + 1) / s.columns * tile_columns<T>(), g.n);
    if (m0 < m1 && n0 < n1) rectangle(g, m0, m1, n0, n1, 0, g.k, static_cast<T*>(nullptr), piece(part));
  };
  parallel_for(pool, s.rows * s.columns, work);
}

void run(const Launch& l) {
  const GemmParams& p = params_as<GemmParams>(l);
  size_t one = gemm_packed_scratch(p.m, p.n, p.k, p.dtype == 6 ? 4 : 8, 1);
  if (p.dtype == 6)
    for_batch<float>(l, one, packed_core<float>);
  else
    for_batch<double>(l, one, packed_core<double>);
}

void check(const Sizes& s) { check_gemm(s, "gemm_packed", true); }

size_t workspace(const Sizes& s) {
  const GemmParams& p = params_as<GemmParams>(s, "gemm_packed");
  size_t itemsize = p.dtype == 6 ? 4 : 8;
  size_t whole = gemm_packed_scratch(p.m, p.n, p.k, itemsize, s.threads);
  size_t each = parts_end(s.threads, gemm_packed_scratch(p.m, p.n, p.k, itemsize, 1));
  return p.batch_ndim && each > whole ? each : whole;
}

}  // namespace

void gemm_packed_core(const Product<float>& g, void* scratch, ThreadPool* pool) {
  packed_core(g, scratch, pool);
}
void gemm_packed_core(const Product<double>& g, void* scratch, ThreadPool* pool) {
  packed_core(g, scratch, pool);
}

size_t gemm_packed_scratch(ll m, ll n, ll k, size_t itemsize, int threads) {
  if (n == 1) n = m, m = 1;  // as bind() turns it
  size_t rows = gemm_rows_scratch(m, n, k, itemsize, threads);
  size_t tiles = parts_end(threads, rectangle_bytes(m, n, k, itemsize));
  if (share_out(m, n, k, threads).slices > 1) tiles += (threads - 1) * align64(m * n * itemsize);
  return tiles > rows ? tiles : rows;
}

void register_gemm_packed(Registrar& r) { r.add({"gemm_packed", run, check, workspace}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
