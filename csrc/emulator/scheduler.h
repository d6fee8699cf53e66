// The emulated GPU: runs the threads of a launch as fibers, and knows who waits for whom.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "fiber.h"
#include "launch.h"

namespace emulator {

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

struct Site {
  const char* file = "";
  int line = 0;
};

constexpr int kWarp = 32;
constexpr int kPayload = 32;  // bytes that a lane can hand to its warp at once

enum class State : uint8_t { kReady, kAtBarrier, kAtWarp, kAtGrid, kDone };

struct Thread {
  Index3 index;
  int number = 0;  // within the block
  State state = State::kReady;
  Fiber* fiber = nullptr;  // null until started
  Site site;               // where it waits
  int exchange = 0;        // the buffer that its warp operation was given
};

// The values that the lanes of one warp operation handed over; free again when all have read them.
struct Exchange {
  alignas(16) char value[kWarp][kPayload];
  uint32_t unread = 0;
  uint32_t nonzero = 0;  // lanes whose first four bytes are not all zero: a ballot's result
};

// Lanes that wait for each other: all that have come to the operation of `mask` at `site`.
struct Meeting {
  uint32_t mask = 0, here = 0;
  Site site;
};

struct Warp {
  static constexpr int kExchanges = 32;
  static constexpr int kMeetings = 8;
  uint32_t existing = 0, ended = 0;  // lanes
  Meeting meetings[kMeetings];       // at most kMeetings disjoint masks at once
  int n_meetings = 0;
  uint32_t epoch = 0;  // whole-warp operations so far: they order the accesses before and after
  Exchange exchanges[kExchanges];
  alignas(16) char posted[kWarp][kPayload];
};

// Who touched four bytes of shared memory last.
struct Shadow {
  uint32_t write_epoch = 0, read_epoch = 0;  // block epochs, from 1; 0: never
  uint32_t write_warp_epoch = 0, read_warp_epoch = 0;
  uint16_t writer = 0, reader = 0;
  bool written = false, more_readers = false;
};

struct Block {
  int number = 0;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::unique_ptr<char[]> storage;
  char* shared = nullptr;  // of a multiple of 16
  std::vector<Shadow> shadow;
  uint32_t epoch = 1;
  int live = 0, arrived = 0, count = 0, at_grid = 0;
  int barrier_count = 0;  // of the predicates of the last barrier
};

class __attribute__((visibility("default"))) Scheduler {  // kernels are libraries of their own
 public:
  explicit Scheduler(EmulatedLaunch* launch, const char* kernel, void (*thread)(const EmulatedLaunch&));
  ~Scheduler();
  void run();

  EmulatedLaunch* const launch;
  Block* block = nullptr;    // of the running thread
  Thread* thread = nullptr;  // the running thread

  // Called by the running thread. `predicate` counts to the result.
  int barrier(Site site, bool predicate);
  void grid_barrier(Site site);
  // Hands `bytes` of `value` to the lanes of `mask`, waits for theirs.
  // release() says that they have been read.
  const Exchange& exchange(uint32_t mask, const void* value, size_t bytes, Site site);
  void release();
  void reset_shared(Site site);
  void touch_shared(const char* address, size_t bytes, bool write, Site site);
  // A write to an array whose writes are kept; pc: where the site is not known.
  void note_write(const char* address, size_t bytes, Site site, const void* pc);
  // A read of an array whose writes are kept.
  void note_read(const char* address, size_t bytes, Site site, const void* pc);
  // Fails where the kernel has no array i, or where its elements are others than those that it is read as.
  void check_arg(int i, size_t itemsize, bool arithmetic, bool floating, Site site);
  // An access by a plain pointer, from the instruction before pc: must be to memory of the device or of the thread.
  void touch_plain(const char* address, size_t bytes, bool write, const void* pc);
  [[noreturn]] void fail_at(const void* pc, const char* format, ...) __attribute__((format(printf, 3, 4)));
  [[noreturn]] void fail(Site site, const char* format, ...) __attribute__((format(printf, 3, 4)));

 private:
  void start(Block& b, int number);
  bool advance(Block& b);  // runs until no thread of the block can go on; false if none could
  void resume(Thread& t);
  void finish();
  void park(State state, Site site);
  void release_barrier();
  void report_stuck(Block& b);
  bool is_own(const char* address, size_t bytes, bool write, const void* pc) const;
  int begin_message(const Thread& t, Site site);  // "kernel k, block b, thread t, file:line: "; its length
  static void work();
  uint32_t random();

  const char* const kernel_;
  void (*const thread_)(const EmulatedLaunch&);
  std::vector<Block> blocks_;
  std::vector<int> order_;
  uint64_t seed_;
};

extern __attribute__((visibility("default"))) constinit thread_local Scheduler* current;

// What an exception says, read outside of a kernel, whose accesses are watched.
__attribute__((visibility("default"))) void copy_text(const std::exception& error, char* text, size_t bytes);

}  // namespace emulator
