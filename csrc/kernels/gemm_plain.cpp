// gemm_plain: out = op(a) op(b) for integers and bools, in loops that the compiler vectorises. Integers wrap around, as in
// NumPy; bools give "or of ands". Zeros of a are skipped.
#include "gemm.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr double kShareOps = 1e6;

// U is unsigned: overflow wraps instead of being undefined.
template <class U, bool kBool>
void plain(const Product<U>& g, ll r0, ll r1) {
  for (ll r = r0; r < r1; r++) {
    U* __restrict out = g.out + r * g.n;
    const U* a = g.a + r * g.a_row();
    const ll step = g.a_col();
    if (g.trans_b) {
      for (ll c = 0; c < g.n; c++) {
        const U* b = g.b + c * g.ldb;
        U sum = 0;
        for (ll j = 0; j < g.k; j++) {
          if (kBool)
            sum = static_cast<U>(sum | (a[j * step] & b[j]));
          else
            sum = static_cast<U>(sum + a[j * step] * b[j]);
        }
        out[c] = sum;
      }
      continue;
    }
    for (ll c = 0; c < g.n; c++) out[c] = 0;
    for (ll j = 0; j < g.k; j++) {
      const U x = a[j * step];
      if (!x) continue;
      const U* b = g.b + j * g.ldb;
      for (ll c = 0; c < g.n; c++) {
        if (kBool)
          out[c] = static_cast<U>(out[c] | b[c]);
        else
          out[c] = static_cast<U>(out[c] + x * b[c]);
      }
    }
  }
}

template <class U, bool kBool>
void run_as(const Launch& l) {
  for_batch<U>(l, 0, [](const Product<U>& g, void*, ThreadPool* pool) {
    const ll tasks = pool && pool->size() < g.m ? pool->size() : g.m;
    if (2.0 * g.m * g.n * g.k < kShareOps) return plain<U, kBool>(g, 0, g.m);
    parallel_for(pool, static_cast<int>(tasks),
                 [&](int task, int) { plain<U, kBool>(g, g.m * task / tasks, g.m * (task + 1) / tasks); });
  });
}

void run(const Launch& l) {
  switch (params_as<GemmParams>(l).dtype) {
    case 0:
      return run_as<uint8_t, true>(l);
    case 1:
    case 2:
      return run_as<uint8_t, false>(l);
    case 3:
      return run_as<uint16_t, false>(l);
    case 4:
      return run_as<uint32_t, false>(l);
    default:
      return run_as<uint64_t, false>(l);
  }
}

void check(const Sizes& s) { check_gemm(s, "gemm_plain", false); }

}  // namespace

void register_gemm_plain(Registrar& r) { r.add({"gemm_plain", run, check, nullptr}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
