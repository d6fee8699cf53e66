// MRG31k3p (L'Ecuyer and Touzin: Fast combined multiple recursive generators with multipliers of the form
// a = +-2^q +-2^r, 2000): uniform values in (0, 1), element i from stream i % streams.
//
//   x[k] = 2^22 x[k-2] + (2^7 + 1) x[k-3]          mod m1 = 2^31 - 1
//   y[k] = 2^15 y[k-1] + (2^15 + 1) y[k-3]         mod m2 = 2^31 - 21069
//   u[k] = ((x[k] - y[k]) mod m1, 0 as m1) * norm
//
//   state   int32[streams, 6]: x[k-1], x[k-2], x[k-3], y[k-1], y[k-2], y[k-3] of each stream
#include <string.h>

#include "parallel.h"
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr uint64_t kM1 = 2147483647, kM2 = 2147462579;

// The next value of the stream at s, an integer from 1 to m1.
inline uint32_t next(int32_t* s) {
  uint64_t x2 = static_cast<uint32_t>(s[1]), x3 = static_cast<uint32_t>(s[2]);
  uint64_t y1 = static_cast<uint32_t>(s[3]), y3 = static_cast<uint32_t>(s[5]);
  uint32_t x = static_cast<uint32_t>(((x2 << 22) + (x3 << 7) + x3) % kM1);
  uint32_t y = static_cast<uint32_t>(((y1 << 15) + (y3 << 15) + y3) % kM2);
  s[2] = s[1];
  s[1] = s[0];
  s[0] = static_cast<int32_t>(x);
  s[5] = s[4];
  s[4] = s[3];
  s[3] = static_cast<int32_t>(y);
  return x <= y ? static_cast<uint32_t>(x + kM1 - y) : x - y;
}

template <class T>
void run(const Launch& l, T norm) {
  const MrgParams& p = params_as<MrgParams>(l);
  if (l.out[0] != l.in[0]) memcpy(l.out[0], l.in[0], static_cast<size_t>(p.streams) * 6 * sizeof(int32_t));
  int32_t* state = static_cast<int32_t*>(l.out[0]);
  T* u = static_cast<T*>(l.out[1]);
  parallel_range(
      l.pool, p.streams < p.n ? p.streams : p.n, 1 + 4096 / (1 + p.n / p.streams),
      [&](long long begin, long long end, int) {
        for (long long row = 0; row < p.n; row += p.streams)
          for (long long k = begin; k < end && row + k < p.n; k++)
            u[row + k] = static_cast<T>(static_cast<int32_t>(next(state + 6 * k))) * norm;
      },
      1);
}

// The largest factor for which m1, rounded to float, stays below 1.
void run_f32(const Launch& l) { run<float>(l, 4.6566126e-10f); }
void run_f64(const Launch& l) { run<double>(l, 0x1p-31); }

template <size_t kSize>
void check(const Sizes& s) {
  if (s.n_in < 1) fail("mrg31k3p: %d inputs, expected a state and the dimensions", s.n_in);
  require_counts(s, "mrg31k3p", s.n_in, 2);
  const MrgParams& p = params_as<MrgParams>(s, "mrg31k3p");
  if (p.n < 0 || p.streams < 1) fail("mrg31k3p: %lld elements from %lld streams", p.n, p.streams);
  require_bytes("mrg31k3p", "state", s.in_bytes[0], static_cast<size_t>(p.streams) * 24);
  require_bytes("mrg31k3p", "new state", s.out_bytes[0], static_cast<size_t>(p.streams) * 24);
  require_bytes("mrg31k3p", "u", s.out_bytes[1], static_cast<size_t>(p.n) * kSize);
}

}  // namespace

void register_mrg31k3p(Registrar& r) {
  r.add({"mrg31k3p_f32", run_f32, check<4>, nullptr});
  r.add({"mrg31k3p_f64", run_f64, check<8>, nullptr});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
