// gemm_dots: out[r, q] = finish(beta c[r, q] + alpha sum_j a[r, j] b[q, j]): few rows of a, b stored as [N, K].
//
// Every element is a dot product of two contiguous rows (gemm_dots.h). b, the weights, is read where it lies.
// Gradients of small batches take this road: dx = dy w^T. With a factor f(y) that is mostly zero (dead ReLUs,
// dropped units) only the living elements are computed, four at a time; the others are 0.
#include "gemm_dots.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr ll kNearBytes = 20 << 10;  // of a, per pass; the rest of L1 is for rows of b
constexpr ll kMinDepth = 128;        // a shorter pass would fold too often
constexpr ll kFinish = 64;           // columns that are finished together
constexpr double kAlive = 0.6;       // share of living elements below which the dead are left out

// Terms of a pass; columns, rows of b, that stay in L1 while the rows of a go by; columns whose passes follow one another.
// Tiles with many rows read b but twice, so that it is a that is best kept: then few columns at a time.
struct Blocks {
  ll depth, columns, chunk;
};
Blocks blocks(ll m, ll k, ll itemsize) {
  if (VF_WIDTH < 16) {
    const ll depth = 1024, fit = 6144 / (k < depth ? k + 1 : depth) / 8 * 8;
    const ll columns = fit < 8 ? 8 : fit;
    return {depth, columns, columns};
  }
  const ll fit = kNearBytes / (m * itemsize) / 64 * 64, depth = fit < kMinDepth ? kMinDepth : fit;
  const ll passes = (k + depth - 1) / depth;
  return {passes < 2 ? k : ((k + passes - 1) / passes + 15) / 16 * 16, m == 1 ? kFinish : 4, kFinish};
}

template <class T>
void all_elements(const Product<T>& g, ll q0, ll q1) {
  const auto [depth, columns, chunk] = blocks(g.m, g.k, sizeof(T));
  for (ll q = q0; q < q1; q += chunk) {
    const ll end = q + chunk < q1 ? q + chunk : q1;
    ll j = 0;
    do {  // once even for an empty sum
      const ll terms = g.k - j < depth ? g.k - j : depth;
      Dots<T> p{g.a + j,         g.b + j, g.lda, g.ldb,   terms,
                j ? g.out : g.c, g.out,   g.n,   g.alpha, j ? T(1) : g.beta};
      for (ll first = q; first < end; first += columns)
        strips(p, g.m, first, first + columns < end ? first + columns : end);
      j += depth;
    } while (j < g.k);
    gemm_finish(g, 0, g.m, q, end);
  }
}

// Four columns of one row; two accumulators each.
template <class T>
auto four(const T* a, const T* const b[4], ll depth) {
  typedef typename Vec<T>::type V;
  constexpr int W = Vec<T>::width;
  const T *b0 = b[0], *b1 = b[1], *b2 = b[2], *b3 = b[3];
  V s[4] = {}, t[4] = {};
  ll j = 0;
  for (; j + 2 * W <= depth; j += 2 * W) {
    V x = load(a + j), y = load(a + j + W);
    s[0] = fma(x, load(b0 + j), s[0]);
    s[1] = fma(x, load(b1 + j), s[1]);
    s[2] = fma(x, load(b2 + j), s[2]);
    s[3] = fma(x, load(b3 + j), s[3]);
    t[0] = fma(y, load(b0 + j + W), t[0]);
    t[1] = fma(y, load(b1 + j + W), t[1]);
    t[2] = fma(y, load(b2 + j + W), t[2]);
    t[3] = fma(y, load(b3 + j + W), t[3]);
  }
  for (; j < depth; j += W) {
    const int n = depth - j < W ? static_cast<int>(depth - j) : W;
    V x = load_n(a + j, n);
    s[0] = fma(x, load_n(b0 + j, n), s[0]);
    s[1] = fma(x, load_n(b1 + j, n), s[1]);
    s[2] = fma(x, load_n(b2 + j, n), s[2]);
    s[3] = fma(x, load_n(b3 + j, n), s[3]);
  }
  for (int i = 0; i < 4; i++) s[i] += t[i];
  return fold(s);
}

// The elements where the factor is not zero; form kDotMulActGrad with relu or mul.
template <class T>
void living_elements(const Product<T>& g, ll q0, ll q1) {
  constexpr int W = Vec<T>::width;
  const bool relu = g.activation == kRelu;
  const ll group = g.k <= 128 ? 64 : g.k <= 320 ? 32 : 16;
  for (ll q = q0; q < q1; q += group) {
    const int count = static_cast<int>(q1 - q < group ? q1 - q : group);
    for (ll r = 0; r < g.m; r++) {
      const T* y = g.y + r * g.n + q;
      T* out = g.out + r * g.n + q;
      const T* a = g.a + r * g.lda;
      uint64_t alive = 0;
      if (!relu) {
        alive = nonzero_bits(y, count);
      } else {
        for (int i = 0; i < count; i += W) {
          const int n = count - i < W ? count - i : W;
          auto lanes = n == W ? load(y + i) : load_n(y + i, n);
          alive |= static_cast<uint64_t>(mask_bits(lanes > T(0))) << i;
        }
      }
      for (int i = 0; i < count; i++) out[i] = T(0);
      while (alive) {
        int at[4];
        const T* b[4];
        for (int i = 0; i < 4; i++) {
          at[i] = alive ? __builtin_ctzll(alive) : at[i - 1];  // the last one again, to the same place
          alive &= alive ? alive - 1 : 0;
          b[i] = g.b + (q + at[i]) * g.ldb;
        }
        const auto sums = four(a, b, g.k);
        for (int i = 0; i < 4; i++) out[at[i]] = relu ? sums[i] : sums[i] * y[at[i]];
      }
    }
  }
}

template <class T>
void dots_core(const Product<T>& g, ThreadPool* pool) {
  if (g.m == 0 || g.n == 0) return;
  bool living = g.form == kDotMulActGrad && (g.activation == kRelu || g.activation == kMul);
  double flops = 2.0 * g.m * g.n * g.k;
  if (living) {
    double alive = sampled_density(g.y, g.m * g.n);
    living = alive < kAlive;
    if (living) flops *= alive;
  }
  auto columns = [&](ll q0, ll q1) {
    if (living)
      living_elements(g, q0, q1);
    else
      all_elements(g, q0, q1);
  };
  const int threads = pays(flops, kPartFlops, pool) ? pool->size() : 1;
  const ll tasks = threads < g.n ? threads : g.n;
  if (tasks == 1) return columns(0, g.n);
  parallel_for(pool, static_cast<int>(tasks),
               [&](int task, int) { columns(g.n * task / tasks, g.n * (task + 1) / tasks); });
}

void run(const Launch& l) {
  if (params_as<GemmParams>(l).dtype == 6)
    for_batch<float>(l, 0, [](const Product<float>& g, void*, ThreadPool* pool) { dots_core(g, pool); });
  else
    for_batch<double>(l, 0, [](const Product<double>& g, void*, ThreadPool* pool) { dots_core(g, pool); });
}

void check(const Sizes& s) {
  check_gemm(s, "gemm_dots", true);
  const GemmParams& p = params_as<GemmParams>(s, "gemm_dots");
  const bool column = p.n == 1 && p.m > 1;
  if (column ? p.trans_a : (p.trans_a && p.m > 1) || (!p.trans_b && p.n > 1))
    fail("gemm_dots: the operands must be stored as [M, K] and [N, K]");
}

}  // namespace

void register_gemm_dots(Registrar& r) { r.add({"gemm_dots", run, check, nullptr}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
