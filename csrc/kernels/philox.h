// Philox4x32-10: words of a draw, as symconv/ops/philox.py defines them.
#pragma once
#include "simd.h"

namespace symconv {
namespace SYMCONV_ISA {

typedef uint64_t vul __attribute__((vector_size(4 * VF_WIDTH)));
typedef uint64_t vul_mem __attribute__((vector_size(4 * VF_WIDTH), aligned(4), may_alias));

// Product of the low halves of the 64-bit lanes; whatever the high halves hold.
static inline vul mul_low(vul a, uint32_t b) {
#if defined(__AVX512F__)
  return (vul)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
#elif defined(__AVX2__)
  return (vul)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
#elif defined(__SSE2__)
  return (vul)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(b));
#else
  return (a & 0xffffffffu) * static_cast<uint64_t>(b);
#endif
}

struct PhiloxKey {
  uint32_t seed_low, seed_high, stream, draw_low, draw_high;
};

static inline PhiloxKey philox_key(long long seed, long long stream, long long draw) {
  uint64_t s = static_cast<uint64_t>(seed), d = static_cast<uint64_t>(draw);
  return {static_cast<uint32_t>(s), static_cast<uint32_t>(s >> 32), static_cast<uint32_t>(stream),
          static_cast<uint32_t>(d), static_cast<uint32_t>(d >> 32)};
}

constexpr int kPhiloxVectors = 2;                         // in flight, to hide the multiplier's latency
constexpr int kPhiloxBlocks = kPhiloxVectors * VD_WIDTH;  // blocks of one call
constexpr int kPhiloxWords = 4 * kPhiloxBlocks;           // words of one call

// out[0 : kPhiloxWords] = words of blocks block ... block + kPhiloxBlocks - 1. Each word of a block lives in the
// low half of a 64-bit lane, so that a round needs no shuffle; the high halves hold rubbish.
static inline void philox_words(const PhiloxKey& key, uint64_t block, uint32_t* out) {
  vul c0[kPhiloxVectors], c1[kPhiloxVectors], c2[kPhiloxVectors], c3[kPhiloxVectors];
  const vul lane = reinterpret_cast<vul>(lane_numbers<double>());
  for (int v = 0; v < kPhiloxVectors; v++) {
    c0[v] = lane + (block + v * VD_WIDTH);
    c1[v] = vul{} + key.stream;
    c2[v] = vul{} + key.draw_low;
    c3[v] = vul{} + key.draw_high;
  }
  uint32_t k0 = key.seed_low, k1 = key.seed_high;
  for (int round = 0; round < 10; round++) {
    for (int v = 0; v < kPhiloxVectors; v++) {
      vul a = mul_low(c0[v], 0xD2511F53u), b = mul_low(c2[v], 0xCD9E8D57u);
      c0[v] = (b >> 32) ^ c1[v] ^ k0;
      c1[v] = b;
      c2[v] = (a >> 32) ^ c3[v] ^ k1;
      c3[v] = a;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int v = 0; v < kPhiloxVectors; v++) {
    vul first = (c0[v] & 0xffffffffu) | (c1[v] << 32), second = (c2[v] & 0xffffffffu) | (c3[v] << 32);
    // blocks [f0 s0] [f1 s1] ... from the lanes of first and second
    uint32_t* to = out + v * 4 * VD_WIDTH;
#if VD_WIDTH == 8
    vul low = __builtin_shuffle(first, second, vul{0, 8, 1, 9, 2, 10, 3, 11});
    vul high = __builtin_shuffle(first, second, vul{4, 12, 5, 13, 6, 14, 7, 15});
#elif VD_WIDTH == 4
    vul low = __builtin_shuffle(first, second, vul{0, 4, 1, 5});
    vul high = __builtin_shuffle(first, second, vul{2, 6, 3, 7});
#else
    vul low = __builtin_shuffle(first, second, vul{0, 2});
    vul high = __builtin_shuffle(first, second, vul{1, 3});
#endif
    *reinterpret_cast<vul_mem*>(to) = low;
    *reinterpret_cast<vul_mem*>(to + 2 * VD_WIDTH) = high;
  }
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
