#include "runtime/thread_pool.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <exception>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "runtime/cpu_count.h"
#include "runtime/kernel.h"

namespace symconv {

namespace {

constexpr int kMaxThreads = 512;
constexpr auto kSpin = std::chrono::microseconds(50);

std::atomic<uint64_t> fork_generation{0};
thread_local bool inside_task = false;
thread_local int uses_of_this_thread = 0;

inline void cpu_relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Polls until ready() or the spin time is over; true when ready.
template <class Ready>
bool spin_until(std::chrono::nanoseconds time, const Ready& ready) {
  for (int i = 0; i < 16; i++) {
    if (ready()) return true;
    cpu_relax();
  }
  auto end = std::chrono::steady_clock::now() + time;
  do {
    for (int i = 0; i < 16; i++) {
      if (ready()) return true;
      cpu_relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

// One per part. A part of region e is run by whoever raises `claimed` to e first: its worker or the caller.
struct alignas(64) Slot {
  std::atomic<uint64_t> claimed{0};
  std::atomic<uint32_t> done{0};  // low bits of the last finished region
  std::exception_ptr error;

  bool claim(uint64_t epoch) {
    uint64_t seen = claimed.load(std::memory_order_acquire);
    return seen < epoch && claimed.compare_exchange_strong(seen, epoch, std::memory_order_acq_rel);
  }
};

struct Job {
  void (*fn)(void*, int, int) = nullptr;
  void* ctx = nullptr;
  int n_tasks = 0;
  int parts = 0;
};

void run_tasks(const Job& job, int part) {
  int begin = static_cast<int>(int64_t{job.n_tasks} * part / job.parts);
  int end = static_cast<int>(int64_t{job.n_tasks} * (part + 1) / job.parts);
  for (int task = begin; task < end; task++) job.fn(job.ctx, task, part);
}

// All parts on this thread. Used when the pool is busy or we are inside a task already.
void run_serially(const Job& job) {
  for (int part = 0; part < job.parts; part++) run_tasks(job, part);
}

}  // namespace

// The epoch counts regions. `published` holds (epoch << 16 | parts), so that a worker never combines the
// epoch of one region with the parts of another. Job fields are read only by the holder of a claim of the
// current epoch: the caller cannot start the next region before that part is done, so they do not change
// under a reader.
struct PoolState {
  explicit PoolState(int n) : size(n), slots(new Slot[n]), generation(fork_generation.load()) {
    // More threads than cores: a spinning worker would take the core from one that works.
    if (n > available_cpus()) spin = std::chrono::nanoseconds(0);
  }

  const int size;
  std::unique_ptr<Slot[]> slots;
  const uint64_t generation;
  std::chrono::nanoseconds spin = kSpin;
  std::shared_mutex use;
  std::mutex region;
  PoolState* retired = nullptr;  // predecessor, kept: a thread may be about to look at its locks
  bool started = false;
  std::vector<std::thread> threads;
  alignas(64) std::atomic<uint64_t> published{0};
  Job job;  // in the line that workers poll: one transfer between cores brings both
  alignas(64) std::atomic<int> sleepers{0};
  std::atomic<uint32_t> wake{0};
  std::atomic<bool> stop{false};

  void start() {
    started = true;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // signals belong to the Python thread
    try {
      for (int part = 1; part < size; part++) threads.emplace_back([this, part] { work(part); });
    } catch (const std::system_error&) {
      // No more threads to be had: the caller runs the parts that have no worker.
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void shut_down() {
    stop.store(true);
    wake.fetch_add(1);
    wake.notify_all();
    for (std::thread& t : threads) t.join();
    threads.clear();
  }

  void run_part(int part, uint64_t epoch) {
    Slot& slot = slots[part];
    inside_task = true;
    try {
      run_tasks(job, part);
    } catch (...) {
      slot.error = std::current_exception();
    }
    inside_task = false;
    slot.done.store(static_cast<uint32_t>(epoch));  // seq_cst: ordered before notify's look for waiters
    slot.done.notify_one();
  }

  void work(int part) {
    uint64_t last = 0;
    auto fresh = [&] { return published.load(std::memory_order_acquire) != last || stop.load(); };
    while (true) {
      if (!spin_until(spin, fresh)) {
        // The caller stores `published`, then looks at `sleepers`; we do it the other way round, so that one
        // of the two sees the other.
        sleepers.fetch_add(1);
        uint32_t ticket = wake.load();
        if (published.load() == last && !stop.load()) wake.wait(ticket);
        sleepers.fetch_sub(1);
      }
      if (stop.load()) return;
      uint64_t word = published.load(std::memory_order_acquire);
      if (word == last) continue;
      last = word;
      if (part < static_cast<int>(word & 0xffff) && slots[part].claim(word >> 16)) run_part(part, word >> 16);
    }
  }

  // Called with `region` held.
  void fork_join(const Job& next) {
    if (!started) start();
    uint64_t epoch = (published.load(std::memory_order_relaxed) >> 16) + 1;
    job = next;
    published.store(epoch << 16 | static_cast<uint64_t>(next.parts));
    if (sleepers.load() > 0) {
      wake.fetch_add(1);
      wake.notify_all();
    }
    for (int part = 0; part < next.parts; part++)
      if (slots[part].claim(epoch)) run_part(part, epoch);
    uint32_t goal = static_cast<uint32_t>(epoch);
    for (int part = 1; part < next.parts; part++) {
      std::atomic<uint32_t>& done = slots[part].done;
      spin_until(spin, [&] { return done.load(std::memory_order_acquire) == goal; });
      for (uint32_t seen; (seen = done.load(std::memory_order_acquire)) != goal;) done.wait(seen);
    }
    std::exception_ptr first;
    for (int part = next.parts - 1; part >= 0; part--)
      if (slots[part].error) first = std::exchange(slots[part].error, nullptr);
    if (first) std::rethrow_exception(first);
  }
};

ThreadPool::ThreadPool(int size) : size_(size), state_(new PoolState(size)) {
  pthread_atfork(nullptr, nullptr, [] { fork_generation.fetch_add(1); });
}

ThreadPool& ThreadPool::global() {
  static ThreadPool& pool = *new ThreadPool(default_threads());
  return pool;
}

int ThreadPool::size() const { return __atomic_load_n(&size_, __ATOMIC_RELAXED); }

// After fork() the workers are gone and locks may be held by threads that no longer exist: the old state is
// left behind (it may be in use further up the stack) and a new one takes its place.
PoolState& ThreadPool::state() {
  PoolState* seen = __atomic_load_n(&state_, __ATOMIC_ACQUIRE);
  if (seen->generation == fork_generation.load(std::memory_order_relaxed)) return *seen;
  auto* fresh = new PoolState(seen->size);
  fresh->retired = seen;
  if (__atomic_compare_exchange_n(&state_, &seen, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    return *fresh;
  delete fresh;
  return *seen;
}

void ThreadPool::parallel(int n_tasks, void (*fn)(void*, int, int), void* ctx) {
  if (n_tasks <= 0) return;
  PoolState& s = state();
  Job job{fn, ctx, n_tasks, n_tasks < s.size ? n_tasks : s.size};
  if (job.parts == 1 || inside_task) return run_serially(job);
  std::unique_lock lock(s.region, std::try_to_lock);
  if (!lock.owns_lock()) return run_serially(job);
  s.fork_join(job);
}

void ThreadPool::resize(int size) {
  if (size < 1 || size > kMaxThreads) fail("number of threads is %d, expected 1 to %d", size, kMaxThreads);
  if (inside_task || uses_of_this_thread > 0)
    throw std::runtime_error("the number of threads cannot change while this thread runs a plan");
  PoolState& old = state();
  std::unique_lock no_use(old.use);
  std::unique_lock no_region(old.region);
  if (size == size_) return;
  old.shut_down();
  auto* fresh = new PoolState(size);
  fresh->retired = &old;
  __atomic_store_n(&size_, size, __ATOMIC_RELAXED);
  __atomic_store_n(&state_, fresh, __ATOMIC_RELEASE);
}

PoolUse::PoolUse(ThreadPool& pool) : state_(nullptr) {
  if (uses_of_this_thread++ > 0) return;
  while (true) {
    PoolState& s = pool.state();
    s.use.lock_shared();
    if (&s == &pool.state()) {
      state_ = &s;
      return;
    }
    s.use.unlock_shared();  // resized while we waited
  }
}

PoolUse::~PoolUse() {
  uses_of_this_thread--;
  if (state_) state_->use.unlock_shared();
}

}  // namespace symconv
