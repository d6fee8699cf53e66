// argmax and argmin over any dimensions: the position, counted over the reduced dimensions in C order, of the first
// extreme element, or of the first NaN. A term is a value with its position; of two the better, or the earlier one,
// stays, which is the same in any order: so the rungs of reduce.cu serve here.
#include "reduce.cuh"

template <class T>
struct Best {
  T value;
  ll position;  // -1: none yet
};

template <class T, bool kMax>
struct ArgReduce {
  typedef T In;
  typedef Best<T> Acc;
  typedef ll Out;
  DEVICE static Acc identity() { return {T(0), -1}; }
  DEVICE static Acc of(T v, ll t) { return {v, t}; }
  DEVICE static bool better(T x, T best) { return (kMax ? x > best : x < best) || (x != x && best == best); }
  DEVICE static Acc combine(Acc a, Acc b) {
    if (a.position < 0) return b;
    if (b.position < 0) return a;
    if (better(b.value, a.value)) return b;
    return b.position < a.position && !better(a.value, b.value) ? b : a;
  }
  DEVICE static Acc exchange(Acc a, int bits) {
    Acc other;
    other.value = static_cast<T>(__shfl_xor_sync(FULL_MASK, a.value, bits));
    other.position = __shfl_xor_sync(FULL_MASK, a.position, bits);
    return other;
  }
  DEVICE static ll result(Acc a) { return a.position; }
};

#define ARG_KERNELS(dtype, T)                                                      \
  KERNEL(reduce_argmax_##dtype, ReduceTileParams, reduce_tile<ArgReduce<T, true>>) \
  KERNEL(reduce_argmin_##dtype, ReduceTileParams, reduce_tile<ArgReduce<T, false>>)

ARG_KERNELS(int8, signed char)
ARG_KERNELS(uint8, unsigned char)
ARG_KERNELS(int16, short)
ARG_KERNELS(int32, int)
ARG_KERNELS(int64, ll)
ARG_KERNELS(float32, float)
ARG_KERNELS(float64, double)
