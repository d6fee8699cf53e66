// The emulated GPU: runs the threads of a launch as fibers, and knows who waits for whom.
#pragma once

#include <cstddef>
#include <cstdint>

#include "launch.h"

// Every emulated kernel is compiled with this file: it includes little, and what kernels do not touch stands in block.h.

namespace emulator {

class Fiber;

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

struct Block;  // block.h

class __attribute__((visibility("default"))) Scheduler {  // kernels are libraries of their own
 public:
  explicit Scheduler(EmulatedLaunch* launch, const char* kernel, void (*thread)(const EmulatedLaunch&));
  ~Scheduler();
  void run();

  EmulatedLaunch* const launch;
  Thread* thread = nullptr;  // the running thread
  Block* block = nullptr;    // its block
  int block_number = 0;
  char* shared = nullptr;  // its shared memory, of a multiple of 16

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
  struct Running;
  void start(Block& b, int number);
  void enter(Block& b);
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
  Running* const running_;
  uint64_t seed_;
};

extern __attribute__((visibility("default"))) constinit thread_local Scheduler* current;

}  // namespace emulator
