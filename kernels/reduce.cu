// reduce: sum, prod, max, min, any, all over any dimensions.
//
//   out[o] = op over t of x[kept(o) + reduced(t)]; kept and reduced dimensions alternate, in any number
// float32 sums and products are taken in float64, of integers in int64; a NaN stays. Rungs:
//   1. a thread an output: nothing coalesces where the innermost dimension is reduced, few outputs leave the GPU empty
//   2. a tree of all threads of the block in shared memory, a barrier a level
//   3. as many threads an output as its terms need (1 to 32 lanes, or the block), in trees of shuffles; the warps of a
//      block meet once in shared memory; up to eight loads in flight; neighbouring outputs side by side where they are
//      contiguous
//   4. few outputs of many terms: groups of terms, each with a tile of its own, whose results a second launch puts
//      together in order. No atomics: the same bits on any grid
#include "math.cuh"
#include "reduce.cuh"

template <class Input, class Accumulator, class Result>
struct Reduction {
  typedef Input In;
  typedef Accumulator Acc;
  typedef Result Out;
  DEVICE static Acc of(In v, ll) { return static_cast<Acc>(v); }
  DEVICE static Acc exchange(Acc a, int bits) { return __shfl_xor_sync(FULL_MASK, a, bits); }
  DEVICE static Out result(Acc a) { return static_cast<Out>(a); }
};

template <class Input, class Accumulator, class Result>
struct ReduceSum : Reduction<Input, Accumulator, Result> {
  DEVICE static Accumulator identity() { return 0; }
  DEVICE static Accumulator combine(Accumulator a, Accumulator b) { return a + b; }
};
template <class Input, class Accumulator, class Result>
struct ReduceProd : Reduction<Input, Accumulator, Result> {
  DEVICE static Accumulator identity() { return 1; }
  DEVICE static Accumulator combine(Accumulator a, Accumulator b) { return a * b; }
};

template <class T>
DEVICE T lowest_of() {
  if constexpr (T(1) / T(2) != T(0))
    return static_cast<T>(-INFINITY);
  else
    return static_cast<T>(1ull << (8 * sizeof(T) - 1));
}
template <class T>
DEVICE T highest_of() {
  if constexpr (T(1) / T(2) != T(0))
    return static_cast<T>(INFINITY);
  else
    return static_cast<T>(~(1ull << (8 * sizeof(T) - 1)));
}
template <class Input, class Accumulator>
struct ReduceMax : Reduction<Input, Accumulator, Input> {
  DEVICE static Accumulator identity() { return lowest_of<Accumulator>(); }
  DEVICE static Accumulator combine(Accumulator a, Accumulator b) { return max_of(a, b); }
};
template <class Input, class Accumulator>
struct ReduceMin : Reduction<Input, Accumulator, Input> {
  DEVICE static Accumulator identity() { return highest_of<Accumulator>(); }
  DEVICE static Accumulator combine(Accumulator a, Accumulator b) { return min_of(a, b); }
};

struct ReduceAny : Reduction<unsigned char, int, unsigned char> {
  DEVICE static int identity() { return 0; }
  DEVICE static int combine(int a, int b) { return a | b; }
};
struct ReduceAll : Reduction<unsigned char, int, unsigned char> {
  DEVICE static int identity() { return 1; }
  DEVICE static int combine(int a, int b) { return a & b; }
};

typedef unsigned long long Sum64;  // wraps

#define REDUCE_KERNELS(dtype, T, Acc, Total, Out)                                       \
  KERNEL(reduce_sum_##dtype, ReduceTileParams, reduce_tile<ReduceSum<T, Total, Out>>)   \
  KERNEL(reduce_prod_##dtype, ReduceTileParams, reduce_tile<ReduceProd<T, Total, Out>>) \
  KERNEL(reduce_max_##dtype, ReduceTileParams, reduce_tile<ReduceMax<T, Acc>>)          \
  KERNEL(reduce_min_##dtype, ReduceTileParams, reduce_tile<ReduceMin<T, Acc>>)

REDUCE_KERNELS(int8, signed char, int, Sum64, ll)
REDUCE_KERNELS(uint8, unsigned char, int, Sum64, ll)
REDUCE_KERNELS(int16, short, int, Sum64, ll)
REDUCE_KERNELS(int32, int, int, Sum64, ll)
REDUCE_KERNELS(int64, ll, ll, Sum64, ll)
REDUCE_KERNELS(float32, float, float, double, float)
REDUCE_KERNELS(float64, double, double, double, double)
KERNEL(reduce_any_bool, ReduceTileParams, reduce_tile<ReduceAny>)
KERNEL(reduce_all_bool, ReduceTileParams, reduce_tile<ReduceAll>)
