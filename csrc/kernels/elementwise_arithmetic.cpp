// Element-wise arithmetic in all dtypes. Integers wrap; division by zero gives 0, as in NumPy.
// symconv: no-contract
#include <math.h>

#include "elementwise_loops.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

typedef unsigned char u8;

// Arithmetic that may overflow is done without sign, at least as wide as int.
template <class T>
struct Wide {
  typedef unsigned int type;
};
template <>
struct Wide<long long> {
  typedef unsigned long long type;
};
template <>
struct Wide<float> {
  typedef float type;
};
template <>
struct Wide<double> {
  typedef double type;
};
template <class T>
using W = typename Wide<T>::type;

template <class T>
constexpr bool is_signed_integer = T(-1) < T(0) && T(1) / T(2) == T(0);

struct Copy {
  template <class T>
  static T apply(T a) {
    return a;
  }
};
struct Add {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(W<T>(a) + W<T>(b));
  }
};
struct Sub {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(W<T>(a) - W<T>(b));
  }
};
struct Mul {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(W<T>(a) * W<T>(b));
  }
};
struct Square {
  template <class T>
  static T apply(T a) {
    return static_cast<T>(W<T>(a) * W<T>(a));
  }
};
struct Neg {
  template <class T>
  static T apply(T a) {
    return static_cast<T>(-W<T>(a));
  }
  static float apply(float a) { return -a; }
  static double apply(double a) { return -a; }
};
// A NaN in either operand stays.
struct Maximum {
  template <class T>
  static T apply(T a, T b) {
    return (a > b) | (a != a) ? a : b;
  }
};
struct Minimum {
  template <class T>
  static T apply(T a, T b) {
    return (a < b) | (a != a) ? a : b;
  }
};
struct Abs {
  template <class T>
  static T apply(T a) {
    return a < 0 ? static_cast<T>(-W<T>(a)) : a;
  }
  static float apply(float a) { return __builtin_fabsf(a); }
  static double apply(double a) { return __builtin_fabs(a); }
};
struct Sign {
  template <class T>
  static T apply(T a) {
    return static_cast<T>((a > 0) - (a < 0));
  }
  static float apply(float a) { return a != a ? a : static_cast<float>((a > 0) - (a < 0)); }
  static double apply(double a) { return a != a ? a : static_cast<double>((a > 0) - (a < 0)); }
};
struct Relu {
  template <class T>
  static T apply(T a) {
    return a < 0 ? T(0) : a;
  }
};

struct FloorDiv {
  template <class T>
  static T apply(T a, T b) {
    if (b == 0) return 0;
    if constexpr (is_signed_integer<T>) {
      if (b == -1) return Neg::apply(a);  // the least a has no positive counterpart, and wraps
      T q = static_cast<T>(a / b);
      return static_cast<T>(q - ((a % b != 0) & ((a < 0) != (b < 0))));
    }
    return static_cast<T>(a / b);
  }
};
struct Mod {
  template <class T>
  static T apply(T a, T b) {
    if (b == 0) return 0;
    if constexpr (is_signed_integer<T>) {
      if (b == -1) return 0;
      T r = static_cast<T>(a % b);
      return static_cast<T>(r != 0 && (r < 0) != (b < 0) ? r + b : r);
    }
    return static_cast<T>(a % b);
  }
};

struct Div {
  template <class T>
  static T apply(T a, T b) {
    return a / b;
  }
};

// Python's divmod for floats: the remainder takes the sign of b and is exact.
template <class T>
T float_mod(T a, T b) {
  if (b == 0) return static_cast<T>(NAN);
  T r = static_cast<T>(::fmod(double(a), double(b)));  // of floats: exact in double too
  if (r == 0) return static_cast<T>(::copysign(0.0, double(b)));
  return (b < 0) != (r < 0) ? r + b : r;
}
template <class T>
T float_floor_div(T a, T b) {
  if (b == 0) return a / b;
  T r = static_cast<T>(::fmod(double(a), double(b)));
  T q = (a - r) / b;
  if (r != 0 && (b < 0) != (r < 0)) q -= 1;
  if (q == 0) return static_cast<T>(::copysign(0.0, double(a / b)));
  T down = static_cast<T>(::floor(double(q)));
  return q - down > T(0.5) ? down + 1 : down;  // (a - r) / b is whole but for its rounding
}
template <>
float FloorDiv::apply(float a, float b) {
  return float_floor_div(a, b);
}
template <>
double FloorDiv::apply(double a, double b) {
  return float_floor_div(a, b);
}
template <>
float Mod::apply(float a, float b) {
  return float_mod(a, b);
}
template <>
double Mod::apply(double a, double b) {
  return float_mod(a, b);
}

// By squaring; a negative power is truncated like an integer division: 1 and -1 stay, the others give 0.
struct Pow {
  template <class T>
  static T apply(T a, T b) {
    if constexpr (is_signed_integer<T>) {
      if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 == 0 ? 1 : -1) : 0;
    }
    W<T> base = static_cast<W<T>>(a), result = 1;
    for (W<T> n = static_cast<W<T>>(b); n; n >>= 1) {
      if (n & 1) result *= base;
      base *= base;
    }
    return static_cast<T>(result);
  }
};

template <class T>
Loop numbers(int op) {
  switch (op) {
    case op_copy:
      return unary_loop<Copy, T>;
    case op_add:
      return binary_loop<Add, T>;
    case op_sub:
      return binary_loop<Sub, T>;
    case op_mul:
      return binary_loop<Mul, T>;
    case op_square:
      return unary_loop<Square, T>;
    case op_neg:
      return unary_loop<Neg, T>;
    case op_maximum:
      return binary_loop<Maximum, T>;
    case op_minimum:
      return binary_loop<Minimum, T>;
    case op_abs:
      return unary_loop<Abs, T>;
    case op_sign:
      return unary_loop<Sign, T>;
    case op_relu:
      return unary_loop<Relu, T>;
    case op_floor_div:
      return binary_loop<FloorDiv, T>;
    case op_mod:
      return binary_loop<Mod, T>;
  }
  return nullptr;
}

template <class T>
Loop integers(int op) {
  return op == op_pow ? binary_loop<Pow, T> : numbers<T>(op);
}

// Bools are bytes of 0 or 1: + is or, * is and.
struct Or {
  static u8 apply(u8 a, u8 b) { return a | b; }
};
struct And {
  static u8 apply(u8 a, u8 b) { return a & b; }
};

Loop bools(int op) {
  switch (op) {
    case op_copy:
    case op_square:
      return unary_loop<Copy, u8>;
    case op_add:
    case op_maximum:
      return binary_loop<Or, u8>;
    case op_mul:
    case op_minimum:
      return binary_loop<And, u8>;
  }
  return nullptr;
}

template <class T, int kSingle>
Loop with_single(int op) {
  switch (op) {
    case op_add:
      return single_loop<Add, T, kSingle>;
    case op_sub:
      return single_loop<Sub, T, kSingle>;
    case op_mul:
      return single_loop<Mul, T, kSingle>;
    case op_div:
      return single_loop<Div, T, kSingle>;
    case op_maximum:
      return single_loop<Maximum, T, kSingle>;
    case op_minimum:
      return single_loop<Minimum, T, kSingle>;
  }
  return nullptr;
}

}  // namespace

Loop arithmetic_single_loop(int op, int dtype, int which) {
  if (dtype == dtype_float32) return which ? with_single<float, 1>(op) : with_single<float, 0>(op);
  if (dtype == dtype_float64) return which ? with_single<double, 1>(op) : with_single<double, 0>(op);
  return nullptr;
}

Loop arithmetic_loop(int op, int dtype) {
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
      return numbers<float>(op);
    case dtype_float64:
      return numbers<double>(op);
  }
  return nullptr;
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
