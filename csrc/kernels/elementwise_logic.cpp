// Element-wise comparisons, logic, selection and casts. Bools are bytes of 0 or 1.
#include <math.h>

#include "elementwise_loops.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

typedef unsigned char u8;

struct Eq {
  template <class T>
  static u8 apply(T a, T b) {
    return a == b;
  }
};
struct Neq {
  template <class T>
  static u8 apply(T a, T b) {
    return a != b;
  }
};
struct Lt {
  template <class T>
  static u8 apply(T a, T b) {
    return a < b;
  }
};
struct Le {
  template <class T>
  static u8 apply(T a, T b) {
    return a <= b;
  }
};
struct Gt {
  template <class T>
  static u8 apply(T a, T b) {
    return a > b;
  }
};
struct Ge {
  template <class T>
  static u8 apply(T a, T b) {
    return a >= b;
  }
};
struct And {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
// Shifts by a negative number or by all bits and more leave 0, or -1 of a negative number shifted right.
struct ShiftLeft {
  template <class T>
  static T apply(T a, T b) {
    constexpr long long bits = 8 * sizeof(T);
    return static_cast<unsigned long long>(b) < bits ? static_cast<T>(static_cast<unsigned long long>(a) << b)
                                                     : T(0);
  }
};
struct ShiftRight {
  template <class T>
  static T apply(T a, T b) {
    constexpr long long bits = 8 * sizeof(T);
    if (static_cast<unsigned long long>(b) < bits) return static_cast<T>(a >> b);
    return static_cast<T>(a < T(0) ? -1 : 0);
  }
};
struct Not {
  static u8 apply(u8 a) { return a ^ 1; }
};
struct IsNan {
  template <class T>
  static u8 apply(T a) {
    return a != a;
  }
};
struct IsInf {
  template <class T>
  static u8 apply(T a) {
    return (a == T(INFINITY)) | (a == T(-INFINITY));
  }
};
struct IsFinite {
  template <class T>
  static u8 apply(T a) {
    return (a < T(INFINITY)) & (a > T(-INFINITY));
  }
};

template <class T>
void where_loop(const void* const* in, void* out, long long n, double) {
  const u8* c = static_cast<const u8*>(in[0]);
  const T *a = static_cast<const T*>(in[1]), *b = static_cast<const T*>(in[2]);
  T* y = static_cast<T*>(out);
#pragma GCC ivdep
  for (long long i = 0; i < n; i++) {
    T x = a[i], z = b[i];  // both are read, so that the compiler may blend
    y[i] = c[i] ? x : z;
  }
}

// b is a single element, as in where(c, dy, 0).
template <class T>
void where_single_loop(const void* const* in, void* out, long long n, double) {
  const u8* c = static_cast<const u8*>(in[0]);
  const T *a = static_cast<const T*>(in[1]), b = *static_cast<const T*>(in[2]);
  T* y = static_cast<T*>(out);
#pragma GCC ivdep
  for (long long i = 0; i < n; i++) {
    T x = a[i];
    y[i] = c[i] ? x : b;
  }
}

// Of float32 with a single second operand, as in x > 0.
Loop with_single(int op) {
  switch (op) {
    case op_eq:
      return single_loop<Eq, float, 1>;
    case op_lt:
      return single_loop<Lt, float, 1>;
    case op_le:
      return single_loop<Le, float, 1>;
    case op_gt:
      return single_loop<Gt, float, 1>;
    case op_ge:
      return single_loop<Ge, float, 1>;
  }
  return nullptr;
}

template <class T>
Loop compare(int op) {
  switch (op) {
    case op_eq:
      return binary_loop<Eq, T>;
    case op_neq:
      return binary_loop<Neq, T>;
    case op_lt:
      return binary_loop<Lt, T>;
    case op_le:
      return binary_loop<Le, T>;
    case op_gt:
      return binary_loop<Gt, T>;
    case op_ge:
      return binary_loop<Ge, T>;
    case op_where:
      return where_loop<T>;
  }
  return nullptr;
}

template <class T>
Loop floats(int op) {
  switch (op) {
    case op_isnan:
      return unary_loop<IsNan, T>;
    case op_isinf:
      return unary_loop<IsInf, T>;
    case op_isfinite:
      return unary_loop<IsFinite, T>;
  }
  return compare<T>(op);
}

template <class T>
Loop integers(int op) {
  switch (op) {
    case op_and:
      return binary_loop<And, T>;
    case op_or:
      return binary_loop<Or, T>;
    case op_xor:
      return binary_loop<Xor, T>;
    case op_shift_left:
      return binary_loop<ShiftLeft, T>;
    case op_shift_right:
      return binary_loop<ShiftRight, T>;
  }
  return compare<T>(op);
}

Loop bools(int op) {
  switch (op) {
    case op_and:
      return binary_loop<And, u8>;
    case op_or:
      return binary_loop<Or, u8>;
    case op_xor:
      return binary_loop<Xor, u8>;
    case op_not:
      return unary_loop<Not, u8>;
  }
  return compare<u8>(op);
}

template <class To>
struct CastTo {
  template <class T>
  static To apply(T a) {
    return static_cast<To>(a);
  }
};
// Small integers by way of int: a value out of range keeps its low bits, as NumPy's does on this machine.
template <class To>
struct CastSmall {
  template <class T>
  static To apply(T a) {
    return static_cast<To>(static_cast<int>(a));
  }
  static To apply(long long a) { return static_cast<To>(a); }
};

template <class T>
Loop cast_from(int to) {
  switch (to) {
    case dtype_bool: {
      struct NonZero {
        static u8 apply(T a) { return a != 0; }
      };
      return unary_loop<NonZero, T>;
    }
    case dtype_int8:
      return unary_loop<CastSmall<signed char>, T>;
    case dtype_uint8:
      return unary_loop<CastSmall<u8>, T>;
    case dtype_int16:
      return unary_loop<CastSmall<short>, T>;
    case dtype_int32:
      return unary_loop<CastTo<int>, T>;
    case dtype_int64:
      return unary_loop<CastTo<long long>, T>;
    case dtype_float32:
      return unary_loop<CastTo<float>, T>;
    case dtype_float64:
      return unary_loop<CastTo<double>, T>;
  }
  return nullptr;
}

}  // namespace

Loop logic_single_loop(int op, int dtype, int which) {
  if (dtype != dtype_float32) return nullptr;
  if (op == op_where) return which == 2 ? where_single_loop<float> : nullptr;
  return which == 1 ? with_single(op) : nullptr;
}

Loop logic_loop(int op, int dtype) {
  switch (dtype) {
    case dtype_bool:
      return bools(op);
    case dtype_int8:
      return integers<signed char>(op);
    case dtype_uint8:
      return integers<u8>(op);
    case dtype_int16:
      return integers<short>(op);
    case dtype_int32:
      return integers<int>(op);
    case dtype_int64:
      return integers<long long>(op);
    case dtype_float32:
      return floats<float>(op);
    case dtype_float64:
      return floats<double>(op);
  }
  return nullptr;
}

Loop cast_loop(int from, int to) {
  switch (from) {
    case dtype_bool:
    case dtype_uint8:
      return cast_from<u8>(to);
    case dtype_int8:
      return cast_from<signed char>(to);
    case dtype_int16:
      return cast_from<short>(to);
    case dtype_int32:
      return cast_from<int>(to);
    case dtype_int64:
      return cast_from<long long>(to);
    case dtype_float32:
      return cast_from<float>(to);
    case dtype_float64:
      return cast_from<double>(to);
  }
  return nullptr;
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
