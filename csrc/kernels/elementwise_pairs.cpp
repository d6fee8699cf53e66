// Two additions, subtractions or products in one loop: y = (a . b) . c, the result of the first staying in registers.
// Both round, as by themselves.
// symconv: no-contract
#include "elementwise_loops.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

struct Add {
  template <class T>
  static T apply(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <class T>
  static T apply(T a, T b) {
    return a - b;
  }
};
struct SubFrom {
  template <class T>
  static T apply(T a, T b) {
    return b - a;
  }
};
struct Mul {
  template <class T>
  static T apply(T a, T b) {
    return a * b;
  }
};

// Second(First(a, b), c); b and c are blocks or single elements.
template <class First, bool kSingleB, class Second, bool kSingleC, class T>
void pair_loop(const void* const* in, void* out, long long n, double) {
  const T *a = static_cast<const T*>(in[0]), *b = static_cast<const T*>(in[1]),
          *c = static_cast<const T*>(in[2]);
  T* y = static_cast<T*>(out);
  const T one_b = *b, one_c = *c;
#pragma GCC ivdep
  for (long long i = 0; i < n; i++)
    y[i] = Second::apply(First::apply(a[i], kSingleB ? one_b : b[i]), kSingleC ? one_c : c[i]);
}

template <class First, bool kSingleB, bool kSingleC, class T>
Loop with_second(int op, bool reversed) {
  switch (op) {
    case op_add:
      return pair_loop<First, kSingleB, Add, kSingleC, T>;
    case op_sub:
      return reversed ? pair_loop<First, kSingleB, SubFrom, kSingleC, T>
                      : pair_loop<First, kSingleB, Sub, kSingleC, T>;
    case op_mul:
      return pair_loop<First, kSingleB, Mul, kSingleC, T>;
  }
  return nullptr;
}

template <class First, bool kSingleB, class T>
Loop with_first(const Half& second) {
  return second.single ? with_second<First, kSingleB, true, T>(second.op, second.reversed)
                       : with_second<First, kSingleB, false, T>(second.op, second.reversed);
}

template <class T>
Loop of_type(const Half& first, const Half& second) {
  switch (first.op) {
    case op_add:
      return first.single ? with_first<Add, true, T>(second) : with_first<Add, false, T>(second);
    case op_sub:
      if (!first.single) return with_first<Sub, false, T>(second);
      return first.reversed ? with_first<SubFrom, true, T>(second) : with_first<Sub, true, T>(second);
    case op_mul:
      return first.single ? with_first<Mul, true, T>(second) : with_first<Mul, false, T>(second);
  }
  return nullptr;
}

}  // namespace

Loop pair_loop_of(const Half& first, const Half& second, int dtype) {
  if (dtype == dtype_float32) return of_type<float>(first, second);
  if (dtype == dtype_float64) return of_type<double>(first, second);
  return nullptr;
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
