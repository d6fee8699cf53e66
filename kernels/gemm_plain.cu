// gemm_plain: out = op(a) op(b) for integers and bools, see GemmParams. Integers wrap around, as in NumPy; bools give
// "or of ands".
//
//   a thread an element of out, neighbouring threads neighbouring columns: loads of b coalesce, those of a are the
//   same for a whole warp. The naive form: no network multiplies integers, so there is nothing to gain.
#include "common.cuh"

// U is unsigned: overflow wraps instead of being undefined.
template <class U, bool kBool>
DEVICE void gemm_plain_as(const GemmParams& p, const Args& args, int tile) {
  ll unit = static_cast<ll>(tile) * THREADS + threadIdx.x, member = unit / (p.m * p.n);
  ll row = unit % (p.m * p.n) / p.n, col = unit % p.n, rest = member, a_at = 0, b_at = 0;
  for (int d = p.batch_ndim - 1; d >= 0; d--) {
    ll i = rest % p.batch_shape[d];
    rest /= p.batch_shape[d];
    a_at += i * p.a_stride[d];
    b_at += i * p.b_stride[d];
  }
  if (rest > 0 || (p.batch_ndim == 0 && member > 0)) return;
  Global<const U> a = args.get<const U>(0) + a_at, b = args.get<const U>(1) + b_at;
  ll a_row = p.trans_a ? 1 : p.k, a_step = p.trans_a ? p.m : 1;
  ll b_col = p.trans_b ? p.k : 1, b_step = p.trans_b ? 1 : p.n;
  U sum = 0;
  for (ll k = 0; k < p.k; k++) {
    U x = a[row * a_row + k * a_step], y = b[col * b_col + k * b_step];
    sum = static_cast<U>(kBool ? sum | (x & y) : sum + x * y);
  }
  args.get<U>(2)[unit] = sum;
}

DEVICE void gemm_plain_tile(const GemmParams& p, const Args& args, int tile, Shared) {
  switch (p.dtype) {
    case 0:
      return gemm_plain_as<unsigned char, true>(p, args, tile);
    case 1:
    case 2:
      return gemm_plain_as<unsigned char, false>(p, args, tile);
    case 3:
      return gemm_plain_as<unsigned short, false>(p, args, tile);
    case 4:
      return gemm_plain_as<unsigned, false>(p, args, tile);
    default:
      return gemm_plain_as<unsigned long long, false>(p, args, tile);
  }
}

KERNEL(gemm_plain, GemmParams, gemm_plain_tile)
