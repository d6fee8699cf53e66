// Parallel loops for kernels. Templates live in the instruction set's namespace (see kernel.h).
#pragma once
#include "runtime/kernel.h"
#include "runtime/thread_pool.h"

namespace symconv {
namespace SYMCONV_ISA {

// f(task, part) for task in [0, n). part in [0, pool size) indexes per-thread scratch; a part is a contiguous
// range of tasks. With share = false (work below some 4 us) all runs here, as part 0.
template <class F>
static inline void parallel_for(ThreadPool* pool, int n, const F& f, bool share = true) {
  if (!share || n <= 1 || !pool || pool->size() == 1) {
    for (int task = 0; task < n; task++) f(task, 0);
    return;
  }
  pool->parallel(
      n, [](void* ctx, int task, int part) { (*static_cast<const F*>(ctx))(task, part); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

// Whether `work` pays its sharing among threads that have at least `each`, some 2 us. More than eight need not have
// as much: they meet later, but large work is not left to one.
static inline bool pays(double work, double each, int threads) {
  return threads > 1 && work >= each * (threads < 8 ? threads : 8);
}
static inline bool pays(double work, double each, const ThreadPool* pool) {
  return pool && pays(work, each, pool->size());
}

// Where the scratch of a part begins that lies `at` bytes or further into the workspace. A part finds its own at much
// the same addresses in every kernel: to write memory that another core has just written takes longer than to compute
// what is written there.
constexpr size_t kSlab = size_t{1} << 20;
static inline size_t next_slab(size_t at) { return (at + kSlab - 1) / kSlab * kSlab; }
// The same for parts that need `bytes` each, and what all of them need together.
static inline size_t part_begin(int part, size_t bytes) {
  return static_cast<size_t>(part) * next_slab(bytes);
}
static inline size_t parts_end(int parts, size_t bytes) {
  return parts ? part_begin(parts - 1, bytes) + bytes : 0;
}

// f(begin, end, part): [0, n) in at most pool-size contiguous ranges of at least `grain` elements, with begin
// a multiple of `multiple` (64 floats: no cache line is written by two threads when the base is aligned).
template <class F>
static inline void parallel_range(ThreadPool* pool, long long n, long long grain, const F& f,
                                  int multiple = 64) {
  long long parts = pool ? pool->size() : 1;
  if (grain < 1) grain = 1;
  if (parts > n / grain) parts = n / grain;
  if (parts <= 1) {
    if (n > 0) f(0LL, n, 0);
    return;
  }
  long long blocks = (n + multiple - 1) / multiple;
  parallel_for(pool, static_cast<int>(parts), [&](int task, int part) {
    long long begin = blocks * task / parts * multiple, end = blocks * (task + 1) / parts * multiple;
    if (end > n) end = n;
    if (begin < end) f(begin, end, part);
  });
}

// params as P; throws unless at least sizeof(P) bytes came. A variable tail starts at params + sizeof(P).
template <class P>
static inline const P& params_as(const Sizes& s, const char* kernel) {
  if (s.params_bytes < sizeof(P) || !s.params)
    fail("%s: %zu bytes of params, expected at least %zu", kernel, s.params_bytes, sizeof(P));
  return *static_cast<const P*>(s.params);
}
template <class P>
static inline const P& params_as(const Launch& l) {
  return *static_cast<const P*>(l.params);
}

// f(T{}), T the type of the floats that params with an itemsize speak of.
template <class P, class F>
static inline auto with_type(const P& p, const F& f) {
  return p.itemsize == 4 ? f(float{}) : f(double{});
}

static inline void require_counts(const Sizes& s, const char* kernel, int n_in, int n_out) {
  if (s.n_in != n_in || s.n_out != n_out)
    fail("%s: got %d inputs and %d outputs, expected %d and %d", kernel, s.n_in, s.n_out, n_in, n_out);
}
// The buffer `what` has `have` bytes, and the params say that the kernel touches `need` of them.
static inline void require_bytes(const char* kernel, const char* what, size_t have, size_t need) {
  if (have < need) fail("%s: %s has %zu bytes, the params need %zu", kernel, what, have, need);
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
