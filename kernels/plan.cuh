// For the kernel that runs a whole plan (symconv/backends/gpu/persistent.py writes it): arrays from a table, and the
// barrier of the grid.
#pragma once

#include "common.cuh"

#if defined(SYMCONV_EMULATED)
#define DEVICE_CONSTANT alignas(16) static const
#define next_tile() emulator::current->reset_shared(EMULATOR_SITE)
#define grid_barrier(args) emulator::current->grid_barrier(EMULATOR_SITE)

struct EmulatedRow {
  Fault* fault;
  ll step;
  EmulatedArg slot[MAX_ARGS];
};
DEVICE Args row(const Args& args, int i) {
  const EmulatedRow& r = reinterpret_cast<const EmulatedRow*>(args.address(0))[i];
  return Args{r.slot, r.fault, static_cast<int>(r.step)};
}
#else
#define DEVICE_CONSTANT static __device__ const __align__(16)
#define next_tile() __syncthreads()

DEVICE const Args& row(const Args& args, int i) { return reinterpret_cast<const Args*>(args.address(0))[i]; }

// One word, never reset: block 0 adds 2^31 - (blocks - 1), the others 1, so that bit 31 flips when all have come. The
// fences make every block's writes visible to all that come after; reads of global memory must not be through the
// read-only path.
DEVICE void grid_barrier(const Args& args) {
  __syncthreads();
  if (threadIdx.x == 0) {
    unsigned* word = reinterpret_cast<unsigned*>(args.address(1));
    __threadfence();
    unsigned before = atomicAdd(word, blockIdx.x == 0 ? 0x80000000u - (gridDim.x - 1) : 1u), now;
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(word) : "memory");
    } while (((before ^ now) & 0x80000000u) == 0);
    __threadfence();
  }
  __syncthreads();
}
#endif

template <class P>
DEVICE const P& params_at(const unsigned long long* words) {
  return *reinterpret_cast<const P*>(words);
}

// Like KERNEL_ALONE, but there where the plan's other kernels are tile functions only.
#define WHOLE_PLAN(entry, Params, function) \
  SYMCONV_TILE(entry, Params, function)     \
  SYMCONV_ENTRY(1, entry, Params, Params, p)
