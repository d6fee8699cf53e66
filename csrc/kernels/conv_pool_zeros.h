// Which rows of the patch under a pooling window hold only zeros, for inputs full of them (digits, dead ReLUs).
//
// A window's outputs read a patch of R + pool_h - 1 rows. Bits of each input row say where it is not zero;
// smeared over the width of a patch they answer for all windows of a row at once. The taps of the rows before
// the first living row and after the last one add nothing and are left out. As everywhere here zeros hide
// NaN and infinity in the weights: only where the input is exactly 0.
#pragma once
#include "conv_pool_common.h"
#include "zeros.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr double kSparseInput = 0.6;  // share of non-zeros above which no rows are looked for
constexpr int kMaxPatch = 64;         // rows and columns of a patch: bits of a word

// The rows [first, end) of the taps that each window needs: [C][P Q].
struct TapRows {
  uint8_t *first, *end;
};

inline long long row_words(const PooledShape& s) { return (s.wp + 63) / 64; }

inline bool may_skip_rows(const ConvPoolParams& p) {
  return p.r + p.pool_h - 1 <= kMaxPatch && p.s + p.pool_w - 1 <= kMaxPatch;
}

// bits of x != 0, then each bit set where any of the `width` elements from there on is not 0.
template <class T>
void mark_row(const T* x, int n, int width, long long words, uint64_t* bits) {
  for (long long j = 0; j < words; j++) bits[j] = 0;
  constexpr int W = Lanes<T>::W;
  int i = 0;
  for (; i + W <= n; i += W)
    bits[i / 64] |= static_cast<uint64_t>(mask_bits(load(x + i) != T(0))) << (i % 64);
  if (i < n) bits[i / 64] |= static_cast<uint64_t>(mask_bits(load_n(x + i, n - i) != T(0))) << (i % 64);
  for (long long j = 0; j < words; j++) {
    const uint64_t low = bits[j], high = j + 1 < words ? bits[j + 1] : 0;
    uint64_t any = low;
    for (int k = 1; k < width; k++) any |= low >> k | high << (64 - k);
    bits[j] = any;
  }
}

typedef uint8_t bytes __attribute__((vector_size(16)));
typedef uint8_t bytes_mem __attribute__((vector_size(16), aligned(1), may_alias));
constexpr int kBytes = 16;

inline bytes min_bytes(bytes a, bytes b) { return a < b ? a : b; }
inline bytes max_bytes(bytes a, bytes b) { return a > b ? a : b; }

inline long long living_stride(const PooledShape& s) { return round_up(s.cols, kBytes); }

// The rows of one padded image x [C, hp, wp]. bits: scratch of row_words, living: of hp * living_stride; rows with
// room for kBytes more.
template <class T>
void find_tap_rows(const ConvPoolParams& p, const PooledShape& s, const T* x, uint64_t* bits, uint8_t* living,
                   TapRows rows) {
  const long long stride = living_stride(s);
  const int patch_rows = p.r + p.pool_h - 1;
  const bytes before = static_cast<uint8_t>(p.pool_h - 1) - bytes{},
              r = static_cast<uint8_t>(p.r < 255 ? p.r : 255) - bytes{};
  for (int c = 0; c < p.c; c++) {
    for (int i = 0; i < s.hp; i++, x += s.wp) {
      mark_row(x, s.wp, p.s + p.pool_w - 1, row_words(s), bits);
      for (int j = 0; j < s.cols; j++) {
        const unsigned at = static_cast<unsigned>(j * p.pool_w);
        living[i * stride + j] = static_cast<uint8_t>(-(bits[at / 64] >> (at % 64) & 1));
      }
    }
    for (int i = 0; i < s.rows; i++, rows.first += s.cols, rows.end += s.cols)
      for (int j = 0; j < s.cols; j += kBytes) {
        const uint8_t* row = living + static_cast<long long>(i) * p.pool_h * stride + j;
        bytes first = ~bytes{}, end{};
        for (int k = 0; k < patch_rows; k++, row += stride) {
          const bytes alive = *reinterpret_cast<const bytes_mem*>(row),
                      at = static_cast<uint8_t>(k) - bytes{};
          first = min_bytes(first, at | ~alive);
          end = max_bytes(end, (at + 1) & alive);
        }
        *reinterpret_cast<bytes_mem*>(rows.first + j) = first - min_bytes(first, before);
        *reinterpret_cast<bytes_mem*>(rows.end + j) = min_bytes(end, r);
      }
  }
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
