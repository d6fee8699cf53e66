// Loops of the element-wise machine: y[i] = f(a[i], ...) over n elements, one for each instruction and dtype.
// y may be one of the operands' buffers, never a shifted part of one.
#pragma once
#include "simd.h"

namespace symconv {
namespace SYMCONV_ISA {

enum DType {
#define DTYPE(name, type) dtype_##name,
#include "elementwise_ops.h"
#undef DTYPE
  kDTypes
};

enum Opcode {
#define ELEMENTWISE_OP(name, operands, cost) op_##name,
#include "elementwise_ops.h"
#undef ELEMENTWISE_OP
  kOpcodes
};

constexpr int kItemSize[kDTypes] = {
#define DTYPE(name, type) sizeof(type),
#include "elementwise_ops.h"
#undef DTYPE
};

typedef void (*Loop)(const void* const* in, void* out, long long n, double immediate);

// Each gives the loop of an instruction of its family, or null: see find_loop in elementwise.cpp.
Loop arithmetic_loop(int op, int dtype);
Loop logic_loop(int op, int dtype);
Loop cast_loop(int from, int to);
Loop float32_loop(int op);
Loop float64_loop(int op);

// The same with a single element for operand `which`; only for the commonest.
Loop arithmetic_single_loop(int op, int dtype, int which);
Loop logic_single_loop(int op, int dtype, int which);

// One instruction of two that share a loop: a . b, where b may be a single element; reversed: b . a.
struct Half {
  int op;
  bool single, reversed;
};
// The loop over (a . b) . c, or null; its operands are a, b, c, of which a is a block.
Loop pair_loop_of(const Half& first, const Half& second, int dtype);

// The loop over F(x * a + b) * c + d, F being instruction `op` of float32, or null: the operands are x, which is a block, and
// single elements a to d; without `before` or `after`, a and b or c and d are not looked at. Products and sums round, as by
// themselves. immediate: so many elements ahead x is fetched, if it is not 0.
Loop scaled_loop(int op, bool before, bool after);

// F has `static R apply(T...)`; the compiler makes vectors of these loops.
template <class F, class T>
static void unary_loop(const void* const* in, void* out, long long n, double) {
  const T* a = static_cast<const T*>(in[0]);
  auto* y = static_cast<decltype(F::apply(T()))*>(out);
#pragma GCC ivdep
  for (long long i = 0; i < n; i++) y[i] = F::apply(a[i]);
}

template <class F, class T>
static void binary_loop(const void* const* in, void* out, long long n, double) {
  const T *a = static_cast<const T*>(in[0]), *b = static_cast<const T*>(in[1]);
  auto* y = static_cast<decltype(F::apply(T(), T()))*>(out);
#pragma GCC ivdep
  for (long long i = 0; i < n; i++) y[i] = F::apply(a[i], b[i]);
}

// One of the operands is a single element.
template <class F, class T, int kSingle>
static void single_loop(const void* const* in, void* out, long long n, double) {
  const T* a = static_cast<const T*>(in[1 - kSingle]);
  const T b = *static_cast<const T*>(in[kSingle]);
  auto* y = static_cast<decltype(F::apply(T(), T()))*>(out);
#pragma GCC ivdep
  for (long long i = 0; i < n; i++) y[i] = kSingle ? F::apply(a[i], b) : F::apply(b, a[i]);
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
