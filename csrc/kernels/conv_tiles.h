// Tiles of the kernels that have channels in their lanes: rows (outputs, or pairs of input channel and tap) by vectors of
// channels, whose sums stay in registers. A step costs a broadcast for each row and a load for each vector.
#pragma once
#include <type_traits>

#include "conv_geometry.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

#if defined(__AVX512F__)  // 32 registers
constexpr int kMaxVectors = 4, kMaxRows = 12;
constexpr int rows_of_tile(int vectors) { return 14 - 2 * vectors; }
constexpr int count_blocks(int units) { return (units + kMaxVectors - 1) / kMaxVectors; }
#else
constexpr int kMaxVectors = 3, kMaxRows = 8;
constexpr int rows_of_tile(int vectors) { return 10 - 2 * vectors; }
constexpr int count_blocks(int units) { return units < 2 ? 1 : units / 2; }  // two vectors are best
#endif

// Calls f with the constant n, which is 1 to MOST.
template <int MOST, class F>
inline void with_constant(int n, F&& f) {
  if constexpr (MOST > 1)
    if (n < MOST) return with_constant<MOST - 1>(n, f);
  f(std::integral_constant<int, MOST>{});
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
