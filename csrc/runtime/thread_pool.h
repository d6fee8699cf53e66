// Fork-join over a few threads. Included by kernels: declarations only (see kernel.h).
#pragma once
#include <cstddef>

namespace symconv {

struct PoolState;

// size() workers, of which the calling thread is one. parallel(n, fn, ctx) calls fn(ctx, task, part) for
// every task in [0, n). Tasks are split into size() contiguous parts; `part` in [0, size()) names the part,
// and no two calls with the same part run at once: use it as index of per-thread scratch. Which thread runs a
// part never changes what is computed, so results depend on size() alone.
//   * A worker that is late (asleep, descheduled) loses its part to the caller.
//   * Nested and concurrent calls run their parts one after the other on their own thread.
//   * An exception of a task is rethrown by parallel(), the one of the lowest part if there are several.
//   * After fork() the child makes new workers when it first needs them.
class ThreadPool {
 public:
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;
  void parallel(int n_tasks, void (*fn)(void* ctx, int task, int part), void* ctx);

  // Waits until no PoolUse is alive, then changes the size. Throws std::invalid_argument outside [1, 512],
  // and std::runtime_error inside a task or a PoolUse of this thread.
  void resize(int size);

  // The one pool of the process; its size comes from default_threads() at first use. Never destroyed.
  static ThreadPool& global();

 private:
  explicit ThreadPool(int size);
  friend class PoolUse;
  PoolState& state();
  int size_;
  PoolState* state_;
};

// While alive, the pool keeps its size.
class PoolUse {
 public:
  explicit PoolUse(ThreadPool& pool);
  ~PoolUse();
  PoolUse(const PoolUse&) = delete;
  PoolUse& operator=(const PoolUse&) = delete;

 private:
  PoolState* state_;
};

// SYMCONV_NUM_THREADS if set (throws std::invalid_argument when it is not a whole number in [1, 512]), else
// the physical cores in the process's affinity mask, bounded by the cgroup's cpu quota.
int default_threads();

}  // namespace symconv
