// gemm_rows: out[r, :] = finish(beta c[r, :] + sum_j alpha op(a)[r, j] b[j, :]), b stored as [K, N].
//
// One row of out, at most kMaxVectors vectors of it, stays in registers while the non-zero elements of that row of
// op(a) are visited; each brings one row of b, read straight from where it lies. An FMA per load is what the machine
// can do, so nothing is lost against register tiles where a is dense, and time falls with the zeros where it
// is not (pixels, ReLU, dropout). Narrow outputs take several rows at once to keep the FMA pipes busy.
//
// It serves the forward product of small batches (a = x, j along the features), and the rank-k update
// w += alpha x^T dy (a = x^T, j along the batch) that touches no row of w whose inputs are all zero.
// Zeros of a hide NaN and infinity in b: only where a is exactly 0.
#include "gemm.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kMaxVectors = 13;  // accumulators of one row; 13 vectors of 8 hold 100 columns
constexpr int kBlock = 64;       // rows of b visited per pass: one bit each
constexpr int kChunk = 32;       // rows whose bits are found at a time
constexpr int kOuter = 32;       // rows of out kept in L1 while b streams by
constexpr double kShareFlops = 1e6;

// How the accumulators of a pass start.
enum Start { kZero, kAdd, kScale };

template <class T>
struct Pass {
  const T* a;  // op(a)(r, j) = a[r * row + j * col]
  ll row, col;
  const T* b;  // row 0 of this block, first column of this panel
  ll ldb;
  const T* c;  // first column of this panel
  T* out;
  ll ld;  // of c and out
  T beta;
  Start start;
  int last;     // offset of the last vector: it overlaps the one before where columns are no multiple of W
  int columns;  // only for panels narrower than one vector
};

// RR rows from r on, NV vectors; `bits` says which j of the block some of the rows need.
template <class T, int RR, int NV, bool kNarrow>
void walk(const Pass<T>& p, ll r, uint64_t bits) {
  typedef typename Vec<T>::type V;
  constexpr int W = Vec<T>::width;
  auto get = [&](const T* q, int v) {
    if (kNarrow) return load_n(q, p.columns);
    return load(v == NV - 1 ? q + p.last : q + v * W);
  };
  V acc[RR][NV];
  for (int i = 0; i < RR; i++) {
    const T* c = p.c + (r + i) * p.ld;
    for (int v = 0; v < NV; v++) {
      if (p.start == kZero)
        acc[i][v] = V{};
      else
        acc[i][v] = get(c, v);
    }
    if (p.start == kScale)
      for (int v = 0; v < NV; v++) acc[i][v] *= p.beta;
  }
  const T* a = p.a + r * p.row;
  while (bits) {
    int j = __builtin_ctzll(bits);
    bits &= bits - 1;
    const T* b = p.b + j * p.ldb;
    V x[RR];
    for (int i = 0; i < RR; i++) x[i] = set1(a[i * p.row + j * p.col]);
    for (int v = 0; v < NV; v++) {
      V y = get(b, v);
      for (int i = 0; i < RR; i++) acc[i][v] = fma(x[i], y, acc[i][v]);
    }
  }
  for (int i = 0; i < RR; i++) {
    T* out = p.out + (r + i) * p.ld;
    for (int v = 0; v < NV; v++) {
      if (kNarrow)
        store_n(out, acc[i][v], p.columns);
      else
        store(v == NV - 1 ? out + p.last : out + v * W, acc[i][v]);
    }
  }
}

template <class T>
using Walk = void (*)(const Pass<T>&, ll, uint64_t);

// Rows taken together so that about 12 accumulators are in flight.
constexpr int rows_together(int vectors) {
  return vectors >= 7 ? 1 : vectors >= 5 ? 2 : vectors == 4 ? 3 : vectors == 3 ? 4 : 6;
}

template <class T, int NV>
Walk<T> pick_rows(int rows) {
  constexpr int most = rows_together(NV);
  if constexpr (most >= 6) {
    if (rows >= 6) return walk<T, 6, NV, false>;
    if (rows == 5) return walk<T, 5, NV, false>;
  }
  if constexpr (most >= 4) {
    if (rows == 4) return walk<T, 4, NV, false>;
  }
  if constexpr (most >= 3) {
    if (rows == 3) return walk<T, 3, NV, false>;
  }
  if constexpr (most >= 2) {
    if (rows == 2) return walk<T, 2, NV, false>;
  }
  return walk<T, 1, NV, false>;
}

template <class T>
Walk<T> pick_narrow(int rows) {
  switch (rows) {
    case 1:
      return walk<T, 1, 1, true>;
    case 2:
      return walk<T, 2, 1, true>;
    case 3:
      return walk<T, 3, 1, true>;
    case 4:
      return walk<T, 4, 1, true>;
    case 5:
      return walk<T, 5, 1, true>;
    default:
      return walk<T, 6, 1, true>;
  }
}

template <class T>
Walk<T> pick(int vectors, int rows) {
  switch (vectors) {
    case 1:
      return pick_rows<T, 1>(rows);
    case 2:
      return pick_rows<T, 2>(rows);
    case 3:
      return pick_rows<T, 3>(rows);
    case 4:
      return pick_rows<T, 4>(rows);
    case 5:
      return pick_rows<T, 5>(rows);
    case 6:
      return pick_rows<T, 6>(rows);
    case 7:
      return pick_rows<T, 7>(rows);
    case 8:
      return pick_rows<T, 8>(rows);
    case 9:
      return pick_rows<T, 9>(rows);
    case 10:
      return pick_rows<T, 10>(rows);
    case 11:
      return pick_rows<T, 11>(rows);
    case 12:
      return pick_rows<T, 12>(rows);
    default:
      return pick_rows<T, 13>(rows);
  }
}

// bits[i] for rows r0 + i of op(a), j in [0, count): non-zero elements.
template <class T>
void find_bits(const T* a, ll row, ll col, ll r0, int rows, int count, uint64_t* bits) {
  constexpr int W = Vec<T>::width;
  typedef typename Vec<T>::mask M;
  typedef typename Vec<T>::lane Lane;
  if (col == 1) {
    for (int i = 0; i < rows; i++) bits[i] = nonzero_bits(a + (r0 + i) * row, count);
    return;
  }
  // a is stored with r contiguous: W rows side by side, one bit of every lane per j.
  constexpr int kLaneBits = sizeof(T) * 8;
  for (int i = 0; i < rows; i += W) {
    int n = rows - i < W ? rows - i : W;
    for (int k = 0; k < n; k++) bits[i + k] = 0;
    for (int j0 = 0; j0 < count; j0 += kLaneBits) {
      M found{};
      int end = count - j0 < kLaneBits ? count - j0 : kLaneBits;
      const T* p = a + (r0 + i) + j0 * col;
      if (n == W) {
        for (int j = 0; j < end; j++, p += col) found |= (load(p) != T(0)) & static_cast<Lane>(1ULL << j);
      } else {
        for (int j = 0; j < end; j++, p += col)
          found |= (load_n(p, n) != T(0)) & static_cast<Lane>(1ULL << j);
      }
      for (int k = 0; k < n; k++) {
        uint64_t lane = static_cast<uint64_t>(found[k]);
        if (kLaneBits == 32) lane &= 0xffffffffu;
        bits[i + k] |= lane << j0;
      }
    }
  }
}

// Rows [r0, r1) of out from j in [j0, j1). With `partial` the sum goes there ([m, n], from zero) instead of out.
template <class T>
void rows_range(const Product<T>& g, ll r0, ll r1, ll j0, ll j1, T* partial, T* scratch) {
  constexpr int W = Vec<T>::width;
  const bool scale_b = g.alpha != T(1);
  const int vectors = static_cast<int>((g.n + W - 1) / W);
  const int panels = (vectors + kMaxVectors - 1) / kMaxVectors;
  const bool in_place = g.in_place() && !partial;
  // With one pass, or where each pass first scales its block of b, the rows are not blocked.
  const ll outer = scale_b || j1 - j0 <= kBlock ? r1 - r0 : kOuter;
  for (ll ro = r0; ro < r1; ro += outer) {
    const ll ro_end = ro + outer < r1 ? ro + outer : r1;
    ll jb = j0;
    do {  // once even for an empty sum: beta c is still due
      const int count = static_cast<int>(j1 - jb < kBlock ? j1 - jb : kBlock);
      const bool first = jb == j0;
      for (int panel = 0; panel < panels; panel++) {
        const ll c0 = vectors * panel / panels * W, v1 = vectors * (panel + 1) / panels;
        const ll c1 = v1 * W < g.n ? v1 * W : g.n;
        const int nv = static_cast<int>((c1 - c0 + W - 1) / W), columns = static_cast<int>(c1 - c0);
        const bool narrow = columns < W;
        Pass<T> p;
        p.row = g.a_row(), p.col = g.a_col();
        p.a = g.a + jb * p.col;
        p.b = g.b + jb * g.ldb + c0, p.ldb = g.ldb;
        p.out = (partial ? partial : g.out) + c0, p.ld = g.n;
        p.c = first && !partial ? g.c + c0 : p.out;
        p.beta = g.beta;
        p.start = !first ? kAdd : partial || g.beta == T(0) ? kZero : g.beta == T(1) ? kAdd : kScale;
        p.last = columns - W, p.columns = columns;
        if (scale_b && count > 0) {
          for (int j = 0; j < count; j++) {
            const T* from = p.b + j * p.ldb;
            T* to = scratch + static_cast<ll>(j) * columns;
            for (int i = 0; i < columns; i++) to[i] = g.alpha * from[i];
          }
          p.b = scratch, p.ldb = columns;
        }
        const int together = narrow ? 6 : rows_together(nv);
        const bool skip = nv >= 3;  // else finding the zeros costs more than it saves
        const uint64_t all = count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
        const bool untouched = p.start == kAdd && (in_place || !first);
        const Walk<T> full = narrow ? pick_narrow<T>(together) : pick<T>(nv, together);
        for (ll rc = ro; rc < ro_end; rc += kChunk) {
          const int rows = static_cast<int>(ro_end - rc < kChunk ? ro_end - rc : kChunk);
          uint64_t bits[kChunk];
          if (skip) find_bits(g.a + jb * p.col, p.row, p.col, rc, rows, count, bits);
          for (int i = 0; i < rows; i += together) {
            const int rr = rows - i < together ? rows - i : together;
            uint64_t wanted = skip ? 0 : all;
            if (skip)
              for (int k = 0; k < rr; k++) wanted |= bits[i + k];
            if (!wanted && untouched) continue;
            Walk<T> f = rr == together ? full : narrow ? pick_narrow<T>(rr) : pick<T>(nv, rr);
            f(p, rc + i, wanted);
          }
        }
      }
      jb += kBlock;
    } while (jb < j1);
    if (!partial) gemm_finish(g, ro, ro_end, 0, g.n);
  }
}

constexpr ll kSplitK = 256;  // least j per thread where the sum is split

bool splits_k(ll m, ll k, int threads) { return m < 8 * threads && k >= kSplitK * threads; }

constexpr size_t kBlockBytes = kBlock * kMaxVectors * 4 * VF_WIDTH;  // one scaled block of b, per thread

template <class T>
void rows_core(const Product<T>& g, void* scratch, ThreadPool* pool) {
  const int threads = pool ? pool->size() : 1;
  char* base = static_cast<char*>(scratch);
  if (g.m == 0 || g.n == 0) return;
  double flops = 2.0 * g.m * g.n * g.k;
  if (threads > 1 && flops >= kShareFlops) flops *= sampled_density(g.a, g.m * g.k);
  if (threads == 1 || flops < kShareFlops)
    return rows_range(g, 0, g.m, 0, g.k, static_cast<T*>(nullptr), reinterpret_cast<T*>(base));
  if (splits_k(g.m, g.k, threads)) {
    // Each thread keeps to its rows of b, which are the rows of the weights that it updates.
    T* partials = reinterpret_cast<T*>(base + threads * kBlockBytes);
    const ll size = static_cast<ll>(align64(g.m * g.n * sizeof(T)) / sizeof(T));
    Product<T> plain = g;
    plain.form = kDot;
    parallel_for(pool, threads, [&](int task, int part) {
      rows_range(plain, 0, g.m, g.k * task / threads, g.k * (task + 1) / threads,
                 task ? partials + (task - 1) * size : nullptr,
                 reinterpret_cast<T*>(base + part * kBlockBytes));
    });
    for (int t = 1; t < threads; t++) {
      const T* other = partials + (t - 1) * size;
      for (ll i = 0; i < g.m * g.n; i++) g.out[i] += other[i];
    }
    return gemm_finish(g, 0, g.m, 0, g.n);
  }
  const ll tasks = threads < g.m ? threads : g.m;
  parallel_for(pool, static_cast<int>(tasks), [&](int task, int part) {
    rows_range(g, g.m * task / tasks, g.m * (task + 1) / tasks, 0, g.k, static_cast<T*>(nullptr),
               reinterpret_cast<T*>(base + part * kBlockBytes));
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
  size_t each = s.threads * align64(gemm_rows_scratch(p.m, p.n, p.k, itemsize, 1));
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
  return threads * kBlockBytes + (splits_k(m, k, threads) ? partial : 0);
}

void register_gemm_rows(Registrar& r) { r.add({"gemm_rows", run, check, workspace}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
