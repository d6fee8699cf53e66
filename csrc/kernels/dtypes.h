// The dtypes of symconv by their number in params structs, and dispatch from number to C++ type.
#pragma once
#include "parallel.h"
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

enum DType { kBool, kInt8, kUInt8, kInt16, kInt32, kInt64, kFloat32, kFloat64, kDTypes };

inline int dtype_size(int dtype) {
  constexpr int sizes[kDTypes] = {1, 1, 1, 2, 4, 8, 4, 8};
  return sizes[dtype];
}

inline void require_dtype(const char* kernel, int dtype) {
  if (dtype < 0 || dtype >= kDTypes) fail("%s: dtype is %d, expected 0 to %d", kernel, dtype, kDTypes - 1);
}

inline void require_index_dtype(const char* kernel, int dtype) {
  if (dtype < kInt8 || dtype > kInt64) fail("%s: index dtype is %d, expected an integer's", kernel, dtype);
}

// A bool, whose sum is "or".
struct Bool {
  unsigned char value;
};
inline Bool operator+(Bool a, Bool b) { return {static_cast<unsigned char>(a.value | b.value)}; }

// f(T{}) for the type T of a dtype; integers come unsigned, so that sums wrap around as NumPy's.
template <class F>
void with_sum_type(int dtype, const F& f) {
  switch (dtype) {
    case kBool:
      return f(Bool{});
    case kInt8:
    case kUInt8:
      return f(uint8_t{});
    case kInt16:
      return f(uint16_t{});
    case kInt32:
      return f(uint32_t{});
    case kInt64:
      return f(uint64_t{});
    case kFloat32:
      return f(float{});
    default:
      return f(double{});
  }
}

// f(T{}) for an unsigned type of that many bytes: to move values without looking at them.
template <class F>
void with_bits(int itemsize, const F& f) {
  switch (itemsize) {
    case 1:
      return f(uint8_t{});
    case 2:
      return f(uint16_t{});
    case 4:
      return f(uint32_t{});
    default:
      return f(uint64_t{});
  }
}

inline void require_itemsize(const char* kernel, int itemsize) {
  if (itemsize != 1 && itemsize != 2 && itemsize != 4 && itemsize != 8)
    fail("%s: itemsize is %d, expected 1, 2, 4 or 8", kernel, itemsize);
}

// Element i of an array of integers.
inline long long integer_at(const void* data, int dtype, long long i) {
  switch (dtype) {
    case kInt8:
      return static_cast<const int8_t*>(data)[i];
    case kUInt8:
      return static_cast<const uint8_t*>(data)[i];
    case kInt16:
      return static_cast<const int16_t*>(data)[i];
    case kInt32:
      return static_cast<const int32_t*>(data)[i];
    default:
      return static_cast<const int64_t*>(data)[i];
  }
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
