// What the scheduler knows of a block: its threads, its warps' operations, and who touched its shared memory.
#pragma once

#include <vector>

#include "scheduler.h"

namespace emulator {

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
  std::vector<char> storage;
  char* shared = nullptr;
  std::vector<Shadow> shadow;
  uint32_t epoch = 1;
  int live = 0, arrived = 0, count = 0, at_grid = 0;
  int barrier_count = 0;  // of the predicates of the last barrier
};

struct Scheduler::Running {
  std::vector<Block> blocks;
  std::vector<int> order;  // of the threads
};

}  // namespace emulator
