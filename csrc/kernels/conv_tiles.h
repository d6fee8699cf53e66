// Tiles of the kernels that have channels in their lanes: rows (outputs, or pairs of input channel and tap) by vectors of
// channels, whose sums stay in registers. A step costs a broadcast for each row and a load for each vector.
#pragma once
#include "conv_geometry.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

#if defined(__AVX512F__)  // 32 registers
constexpr int kMaxVectors = 4;
constexpr int rows_of_tile(int vectors) { return 14 - 2 * vectors; }
inline int count_blocks(int units) { return ceil_div(units, kMaxVectors); }
#else
constexpr int kMaxVectors = 3;
constexpr int rows_of_tile(int vectors) { return 10 - 2 * vectors; }
inline int count_blocks(int units) { return units < 2 ? 1 : units / 2; }  // two vectors are best
#endif

// The first vector of a block; `units` vectors of channels are cut into `blocks`.
template <class Plan>
inline int block_begin(const Plan& plan, int block) {
  return share_of(plan.units, block, plan.blocks);
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
