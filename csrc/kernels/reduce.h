// How the reduction kernels walk their input: kept and reduced dimensions alternate, the last one ("inner") runs
// along memory.
#pragma once
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {

enum ReduceOp {
#define REDUCE_OP(name) reduce_##name,
#include "reduce_ops.h"
#undef REDUCE_OP
  kReduceOps
};

// Dimensions of one kind without the inner one; index i of them, in C order, lies at offset(i).
struct Walk {
  int ndim;
  long long n[8], stride[8];
  long long count;

  long long offset(long long i) const {
    if (ndim == 1) return i * stride[0];
    long long at = 0;
    for (int d = ndim - 1; d >= 0; d--) {
      at += i % n[d] * stride[d];
      i /= n[d];
    }
    return at;
  }
  // How many indices from i on are one step of the last dimension apart.
  long long run(long long i) const { return ndim ? n[ndim - 1] - i % n[ndim - 1] : 1; }
  long long step() const { return ndim ? stride[ndim - 1] : 0; }
};

struct Reduction {
  Walk kept, reduced;
  long long inner;
  bool inner_reduced;
  long long outputs() const { return inner_reduced ? kept.count : kept.count * inner; }
  long long terms() const { return inner_reduced ? reduced.count * inner : reduced.count; }
};

static inline Reduction reduction_of(const ReduceParams& p) {
  Reduction r{};
  r.kept.count = r.reduced.count = 1;
  r.inner = p.ndim ? p.shape[p.ndim - 1] : 1;
  r.inner_reduced = p.ndim && p.reduced >> (p.ndim - 1) & 1;
  long long stride[8], size = 1;
  for (int d = p.ndim - 1; d >= 0; d--) {
    stride[d] = size;
    size *= p.shape[d];
  }
  for (int d = 0; d < p.ndim - 1; d++) {
    Walk& w = p.reduced >> d & 1 ? r.reduced : r.kept;
    w.n[w.ndim] = p.shape[d];
    w.stride[w.ndim++] = stride[d];
    w.count *= p.shape[d];
  }
  return r;
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
