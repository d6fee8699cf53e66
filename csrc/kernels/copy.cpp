// strided_copy: out[o + i . s_out] = in[a + i . s_in] for i in shape (strided.h). fill: out[:count] = value.
#include "strided.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

void run_strided_copy(const Launch& l) {
  copy_strided(params_as<StridedCopyParams>(l), l.in[0], l.out[0], l.pool);
}

void check_strided_copy(const Sizes& s) {
  require_counts(s, "strided_copy", 1, 1);
  const StridedCopyParams& p = params_as<StridedCopyParams>(s, "strided_copy");
  if (!check_shape("strided_copy", p)) return;
  require_extent("strided_copy", "input", p, p.in_offset, p.in_stride, s.in_bytes[0]);
  require_extent("strided_copy", "output", p, p.out_offset, p.out_stride, s.out_bytes[0]);
}

template <class T>
void fill_with(void* out, long long count, const void* value, ThreadPool* pool) {
  T v;
  memcpy(&v, value, sizeof v);
  T* typed = static_cast<T*>(out);
  parallel_range(pool, count, kShareBytes / static_cast<long long>(sizeof(T)),
                 [&](long long begin, long long end, int) {
                   for (long long i = begin; i < end; i++) typed[i] = v;
                 });
}

void run_fill(const Launch& l) {
  const FillParams& p = params_as<FillParams>(l);
  switch (p.itemsize) {
    case 1:
      return fill_with<uint8_t>(l.out[0], p.count, &p.value, l.pool);
    case 2:
      return fill_with<uint16_t>(l.out[0], p.count, &p.value, l.pool);
    case 4:
      return fill_with<uint32_t>(l.out[0], p.count, &p.value, l.pool);
    default:
      return fill_with<uint64_t>(l.out[0], p.count, &p.value, l.pool);
  }
}

void check_fill(const Sizes& s) {
  const FillParams& p = params_as<FillParams>(s, "fill");
  if (s.n_out != 1) fail("fill: got %d outputs, expected 1", s.n_out);
  if (p.itemsize != 1 && p.itemsize != 2 && p.itemsize != 4 && p.itemsize != 8)
    fail("fill: itemsize is %d, expected 1, 2, 4 or 8", p.itemsize);
  if (p.count < 0 || p.count > kLimit) fail("fill: count is %lld", p.count);
  require_bytes("fill", "output", s.out_bytes[0], static_cast<size_t>(p.count) * p.itemsize);
}

}  // namespace

void register_copy(Registrar& r) {
  r.add({"strided_copy", run_strided_copy, check_strided_copy, nullptr});
  r.add({"fill", run_fill, check_fill, nullptr});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
