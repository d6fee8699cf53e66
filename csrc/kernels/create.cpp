// one_hot: out[j, labels[j]] = 1. arange: out[i] = start + i * step. eye: out[i, i + k] = 1.
// symconv: no-contract
// (arange rounds product and sum apart, as NumPy does.)
#include <string.h>

#include "dtypes.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr long long kMost = 1LL << 46;

// Zeros everywhere, then one[0:itemsize] at place(i) for i < count.
template <class F>
void scatter_ones(void* out, size_t bytes, int itemsize, const long long* one, long long count,
                  const F& place) {
  memset(out, 0, bytes);
  char* data = static_cast<char*>(out);
  for (long long i = 0; i < count; i++) memcpy(data + place(i) * itemsize, one, itemsize);
}

size_t matrix_bytes(const char* kernel, long long n, long long m, int itemsize) {
  require_itemsize(kernel, itemsize);
  if (n < 0 || m < 0 || static_cast<__int128>(n) * m > kMost)
    fail("%s: the output is %lld x %lld", kernel, n, m);
  return static_cast<size_t>(n * m) * itemsize;
}

void run_one_hot(const Launch& l) {
  const OneHotParams& p = params_as<OneHotParams>(l);
  for (long long j = 0; j < p.count; j++) {
    long long label = integer_at(l.in[0], p.index_dtype, j);
    if (label < 0 || label >= p.n)
      fail_index("label %lld is out of range for %lld classes (0..%lld)", label, p.n, p.n - 1);
  }
  scatter_ones(l.out[0], static_cast<size_t>(p.count * p.n) * p.itemsize, p.itemsize, &p.one, p.count,
               [&](long long j) { return j * p.n + integer_at(l.in[0], p.index_dtype, j); });
}

void check_one_hot(const Sizes& s) {
  const OneHotParams& p = params_as<OneHotParams>(s, "one_hot");
  require_counts(s, "one_hot", 2, 1);
  require_index_dtype("one_hot", p.index_dtype);
  require_bytes("one_hot", "output", s.out_bytes[0], matrix_bytes("one_hot", p.count, p.n, p.itemsize));
  if (p.count > kMost) fail("one_hot: %lld labels", p.count);
  require_bytes("one_hot", "labels", s.in_bytes[0], static_cast<size_t>(p.count) * dtype_size(p.index_dtype));
}

void run_arange(const Launch& l) {
  const ArangeParams& p = params_as<ArangeParams>(l);
  with_sum_type(p.dtype, [&](auto zero) {
    typedef decltype(zero) T;
    if constexpr (requires { T(1) * T(1); }) {
      T start = *static_cast<const T*>(l.in[0]), step = *static_cast<const T*>(l.in[1]);
      T* out = static_cast<T*>(l.out[0]);
      for (long long i = 0; i < p.count; i++) out[i] = static_cast<T>(start + static_cast<T>(i) * step);
    }
  });
}

void check_arange(const Sizes& s) {
  const ArangeParams& p = params_as<ArangeParams>(s, "arange");
  require_counts(s, "arange", 3, 1);
  require_dtype("arange", p.dtype);
  if (p.dtype == kBool) fail("arange: a bool has no range");
  if (p.count < 0 || p.count > kMost) fail("arange: count is %lld", p.count);
  size_t size = dtype_size(p.dtype);
  require_bytes("arange", "start", s.in_bytes[0], size);
  require_bytes("arange", "step", s.in_bytes[1], size);
  require_bytes("arange", "output", s.out_bytes[0], static_cast<size_t>(p.count) * size);
}

void run_eye(const Launch& l) {
  const EyeParams& p = params_as<EyeParams>(l);
  long long row = p.k < 0 ? -p.k : 0, column = p.k < 0 ? 0 : p.k;
  long long height = p.n - row, width = p.m - column, count = height < width ? height : width;
  scatter_ones(l.out[0], static_cast<size_t>(p.n * p.m) * p.itemsize, p.itemsize, &p.one, count,
               [&](long long i) { return (row + i) * p.m + column + i; });
}

void check_eye(const Sizes& s) {
  const EyeParams& p = params_as<EyeParams>(s, "eye");
  require_counts(s, "eye", 2, 1);
  if (p.k > kMost || p.k < -kMost) fail("eye: k is %lld", p.k);
  require_bytes("eye", "output", s.out_bytes[0], matrix_bytes("eye", p.n, p.m, p.itemsize));
}

}  // namespace

void register_create(Registrar& r) {
  r.add({"one_hot", run_one_hot, check_one_hot, nullptr});
  r.add({"arange", run_arange, check_arange, nullptr});
  r.add({"eye", run_eye, check_eye, nullptr});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
