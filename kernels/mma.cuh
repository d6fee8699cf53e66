// Products of small matrices by a whole warp: c[16, 8] += a[16, 8] b[8, 8] in TF32, sums in float32.
//
//   lane l, g = l / 4, t = l % 4, holds
//   a[0..3] = (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)      rows, then terms
//   b[0..1] = (t, g), (t + 4, g)                                  terms, then columns
//   c[0..3] = (g, 2 t), (g, 2 t + 1), (g + 8, 2 t), (g + 8, 2 t + 1)
// On sm_80 and later one instruction; before that, and in the emulator, the lanes hand each other their shares.
#pragma once

#include "common.cuh"

#if !defined(SYMCONV_EMULATED) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
#define SYMCONV_HAS_TF32 1
#else
#define SYMCONV_HAS_TF32 0
#endif

// x with the 10 bits of mantissa that TF32 keeps, ties away from zero.
DEVICE float tf32_of(float x) {
#if SYMCONV_HAS_TF32
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return __uint_as_float(bits);
#else
  unsigned bits = __float_as_uint(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return x;  // infinities and NaN; all ones would wrap around
  return __uint_as_float((bits + 0x1000u) & ~0x1fffu);
#endif
}

#if SYMCONV_HAS_TF32
DEVICE void mma_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
        "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

#elif defined(SYMCONV_EMULATED)
DEVICE void mma_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  const float mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const char (*lanes)[emulator::kPayload] =
      emulator::current->exchange(FULL_MASK, mine, sizeof mine, EMULATOR_SITE).value;
  auto share = [&](int lane, int i) {
    float v;
    std::memcpy(&v, lanes[lane] + i * sizeof v, sizeof v);
    return v;
  };
  int g = emulator::lane() / 4, t = emulator::lane() % 4;
  for (int k = 0; k < 8; k++)
    for (int i = 0; i < 4; i++) {
      float x = share(g * 4 + k % 4, k / 4 * 2 + i / 2), y = share((2 * t + i % 2) * 4 + k % 4, 4 + k / 4);
      c[i] = fmaf(x, y, c[i]);
    }
  emulator::current->release();
}

#else
DEVICE void mma_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int k = 0; k < 8; k++) {
    float upper = __shfl_sync(FULL_MASK, a[k / 4 * 2], g * 4 + k % 4);
    float lower = __shfl_sync(FULL_MASK, a[k / 4 * 2 + 1], g * 4 + k % 4);
    float left = __shfl_sync(FULL_MASK, b[k / 4], 2 * t * 4 + k % 4);
    float right = __shfl_sync(FULL_MASK, b[k / 4], (2 * t + 1) * 4 + k % 4);
    c[0] = fmaf(upper, left, c[0]), c[1] = fmaf(upper, right, c[1]);
    c[2] = fmaf(lower, left, c[2]), c[3] = fmaf(lower, right, c[3]);
  }
}
#endif
