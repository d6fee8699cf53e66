// What every kernel file starts from. A kernel is a tile function
//
//     __device__ void NAME(const PARAMS& p, const Args& args, int tile, Shared shared);
//
// which does tile number `tile` of the work with THREADS threads, and KERNEL(entry, PARAMS, NAME), which makes of it a
// kernel to launch (one block a tile) and tile_of_entry() for the kernels that run whole plans. Barriers are met by all
// threads of the block or by none; shared memory is free for use at the start of a tile, its contents are undefined.
// The same text is compiled by NVRTC and by the host compiler for the emulator (csrc/emulator), so: no includes of
// the system, global memory through Global<T>, shared memory through SharedArray<T>, elements read into typed
// variables (not auto).
#pragma once

#define THREADS 256
#define WARPS (THREADS / 32)
#define MAX_ARGS 40
#define FULL_MASK 0xffffffffu

typedef long long ll;

#if defined(SYMCONV_EMULATED)
#include "cuda.h"
#define DEVICE inline
#else
#define DEVICE __device__ __forceinline__
#if defined(__CUDACC_RTC__)
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#endif
#endif

#include "params.h"

// ---- memory
#if defined(SYMCONV_CHECKED)
template <class T>
using Global = emulator::Pointer<T, false>;
template <class T>
using SharedArray = emulator::Pointer<T, true>;
#else
template <class T>
using Global = T*;
template <class T>
using SharedArray = T*;
#endif

// The first fault that a kernel met in its data, for the host to report: an index outside 0 to limit - 1, found at
// element `at` of the array that held it.
struct Fault {
  int found;
  int step;
  ll index;
  ll at;
  ll limit;
};

// The arrays of a kernel: inputs in the op's order, then outputs. A view whose start is known only on the device
// stands as the address, negated, of the word that holds its address.
struct Args {
#if defined(SYMCONV_EMULATED)
  const EmulatedArg* slot;
  Fault* fault;
  int step;
  ll address(int i) const {
    ll base = reinterpret_cast<ll>(slot[i].base);
    return base < 0 ? *reinterpret_cast<ll*>(-base) : base;
  }
#if defined(SYMCONV_CHECKED)
  // The arrays of a launch are known; those of a plan in one kernel (plan.cuh) are not.
  template <class T>
  void check(int i, bool arithmetic, std::source_location where) const {
    if (slot == emulator::current->launch->args)
      emulator::current->check_arg(i, sizeof(T), arithmetic, std::is_floating_point_v<T>,
                                   emulator::site_of(where));
  }
  template <class T>
  Global<T> get(int i, std::source_location where = std::source_location::current()) const {
    check<T>(i, std::is_arithmetic_v<T>, where);
    T* p = reinterpret_cast<T*>(address(i));
    return Global<T>(p, p, p + slot[i].bytes / sizeof(T));
  }
  template <class T>
  T* raw(int i, std::source_location where = std::source_location::current()) const {
    check<T>(i, false, where);
    return reinterpret_cast<T*>(address(i));
  }
#else
  template <class T>
  Global<T> get(int i) const {
    return reinterpret_cast<T*>(address(i));
  }
  template <class T>
  T* raw(int i) const {
    return reinterpret_cast<T*>(address(i));
  }
#endif
#else
  void* slot[MAX_ARGS];
  Fault* fault;
  int step;
  DEVICE ll address(int i) const {
    ll base = reinterpret_cast<ll>(slot[i]);
    return base < 0 ? *reinterpret_cast<const ll*>(-base) : base;
  }
  template <class T>
  DEVICE Global<T> get(int i) const {
    char* p = static_cast<char*>(slot[i]);
    if (reinterpret_cast<ll>(p) < 0) p = *reinterpret_cast<char* const*>(-reinterpret_cast<ll>(p));
    // By way of the global window, or else a load would be a generic one: it would wait for stores to shared memory
    // before it, which it might read. (An assumption of __isGlobal leaves the loads generic.)
    return reinterpret_cast<T*>(__cvta_global_to_generic(reinterpret_cast<size_t>(p)));
  }
  template <class T>
  DEVICE T* raw(int i) const {
    return get<T>(i);
  }
#endif
};

DEVICE void keep_fault(const Args& args, ll index, ll at, ll limit) {
  if (atomicCAS(&args.fault->found, 0, 1) == 0) {
    args.fault->step = args.step;
    args.fault->index = index;
    args.fault->at = at;
    args.fault->limit = limit;
  }
}

// True if 0 <= index < limit; else the fault is kept and the caller must not use the index.
DEVICE bool check_index(const Args& args, ll index, ll at, ll limit) {
  if (index >= 0 && index < limit) return true;
  keep_fault(args, index, at, limit);
  return false;
}

// True if low < high; else the fault of an empty range is kept: one with at = -1.
DEVICE bool check_range(const Args& args, ll low, ll high) {
  if (low < high) return true;
  keep_fault(args, low, -1, high);
  return false;
}

// The shared memory of a tile: array<T>(offset, n) are n elements from byte `offset` on.
struct Shared {
  char* base;
#if defined(SYMCONV_CHECKED)
  ll bytes;
  template <class T>
  SharedArray<T> array(ll offset, ll n, std::source_location where = std::source_location::current()) const {
    if (offset % alignof(T) || offset + n * static_cast<ll>(sizeof(T)) > bytes)
      emulator::current->fail(emulator::site_of(where),
                              "shared array of %lld elements at byte %lld: the tile has %lld bytes", n,
                              offset, bytes);
    T* p = reinterpret_cast<T*>(base + offset);
    return SharedArray<T>(p, p, p + n);
  }
#else
  template <class T>
  DEVICE SharedArray<T> array(ll offset, ll n) const {
    (void)n;
    return reinterpret_cast<T*>(base + offset);
  }
#endif
};

// Vectors of 16 bytes: p must be aligned to them at i.
#if defined(SYMCONV_CHECKED)
template <class V, class T, bool kShared>
V load_vector(emulator::Pointer<T, kShared> p, emulator::Index i) {
  T* at = p.check(i.value, sizeof(V) / sizeof(T), i.where, sizeof(V));
  if constexpr (kShared)
    emulator::current->touch_shared(reinterpret_cast<const char*>(at), sizeof(V), false,
                                    emulator::site_of(i.where));
  else if (emulator::current->launch->n_traces)
    emulator::current->note_read(reinterpret_cast<const char*>(at), sizeof(V), emulator::site_of(i.where),
                                 nullptr);
  V v;
  std::memcpy(&v, at, sizeof v);
  return v;
}
template <class V, class T, bool kShared>
void store_vector(emulator::Pointer<T, kShared> p, emulator::Index i, V v) {
  T* at = p.check(i.value, sizeof(V) / sizeof(T), i.where, sizeof(V));
  if constexpr (kShared)
    emulator::current->touch_shared(reinterpret_cast<const char*>(at), sizeof(V), true,
                                    emulator::site_of(i.where));
  else if (emulator::current->launch->n_traces)
    emulator::current->note_write(reinterpret_cast<const char*>(at), sizeof(V), emulator::site_of(i.where),
                                  nullptr);
  std::memcpy(at, &v, sizeof v);
}
#else
template <class V, class T>
DEVICE V load_vector(T* p, ll i) {
  return *reinterpret_cast<const V*>(p + i);
}
template <class V, class T>
DEVICE void store_vector(T* p, ll i, V v) {
  *reinterpret_cast<V*>(p + i) = v;
}
#endif

// True if 16-byte vectors of T may be loaded at p.
template <class P>
DEVICE bool is_aligned(P p) {
#if defined(SYMCONV_CHECKED)
  return p.aligned(16);
#else
  return reinterpret_cast<unsigned long long>(p) % 16 == 0;
#endif
}

// What stands behind the struct (params.pack(..., tail=...)).
template <class T, class P>
DEVICE const T* tail_of(const P& p) {
  return reinterpret_cast<const T*>(&p + 1);
}

// ---- kernels
#if defined(SYMCONV_EMULATED)
#define SYMCONV_ENTRY(min_blocks, entry, Params, Received, the_params)                          \
  static void entry##_thread(const EmulatedLaunch& l) {                                         \
    Args args{l.args, static_cast<Fault*>(l.fault), l.step};                                    \
    for (int tile = blockIdx.x; tile < l.tiles; tile += gridDim.x) {                            \
      if (tile != static_cast<int>(blockIdx.x)) emulator::current->reset_shared(EMULATOR_SITE); \
      tile_of_##entry(*static_cast<const Params*>(l.params), args, tile, emulated_shared());    \
    }                                                                                           \
  }                                                                                             \
  extern "C" __attribute__((visibility("default"))) void entry(EmulatedLaunch* l) {             \
    emulator::Scheduler(l, #entry, entry##_thread).run();                                       \
  }
#else
// __grid_constant__: an indexed field is read where it is, not from a copy of the struct in local memory.
#define SYMCONV_ENTRY(min_blocks, entry, Params, Received, the_params)                                \
  extern "C" __global__ void __launch_bounds__(THREADS, min_blocks)                                   \
      entry(__grid_constant__ Received const p, const __grid_constant__ Args args, const int tiles) { \
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {                                    \
      if (tile != blockIdx.x) __syncthreads();                                                        \
      tile_of_##entry(the_params, args, tile, Shared{symconv_shared});                                \
    }                                                                                                 \
  }
#endif

#if defined(SYMCONV_CHECKED)
inline Shared emulated_shared() {
  return Shared{emulator::current->shared, emulator::current->launch->shared_bytes};
}
#elif defined(SYMCONV_EMULATED)
inline Shared emulated_shared() { return Shared{emulator::current->shared}; }
#else
extern __shared__ __align__(16) char symconv_shared[];
#endif

#if defined(SYMCONV_WHOLE_PLAN)  // the plan's own kernel calls the tile functions
#define SYMCONV_LAUNCH(...)
#else
#define SYMCONV_LAUNCH SYMCONV_ENTRY
#endif

#define SYMCONV_TILE(entry, Params, ...)                                                    \
  DEVICE void tile_of_##entry(const Params& p, const Args& args, int tile, Shared shared) { \
    __VA_ARGS__(p, args, tile, shared);                                                     \
  }                                                                                         \
  typedef Params entry##_params;

// At least two blocks on a multiprocessor, so 128 registers a thread; left to itself the compiler spills to fit more
// blocks. KERNEL_ALONE: one block, up to 255 registers. KERNEL_TAIL: the params do not come with the launch, they lie
// in global memory with their tail behind them.
#define KERNEL(entry, Params, ...)         \
  SYMCONV_TILE(entry, Params, __VA_ARGS__) \
  SYMCONV_LAUNCH(2, entry, Params, Params, p)
#define KERNEL_ALONE(entry, Params, ...)   \
  SYMCONV_TILE(entry, Params, __VA_ARGS__) \
  SYMCONV_LAUNCH(1, entry, Params, Params, p)
#define KERNEL_TAIL(entry, Params, ...)    \
  SYMCONV_TILE(entry, Params, __VA_ARGS__) \
  SYMCONV_LAUNCH(2, entry, Params, Params*, *p)
