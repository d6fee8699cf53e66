// What Python hands to an emulated kernel, and what it gets back. Plain C: symconv/backends/gpu/emulator.py mirrors it.
#pragma once

extern "C" {

// One pointer of a kernel. A negative base is the address, negated, of the word that holds the pointer.
struct EmulatedArg {
  void* base;
  unsigned long long bytes;
};

struct EmulatedLaunch {
  const void* params;
  const EmulatedArg* args;
  int step;     // of the plan, for the fault
  void* fault;  // kernels/common.cuh, Fault
  int tiles;
  int blocks;
  int threads;
  long long shared_bytes;
  int cooperative;  // all blocks alive at once, so that grid barriers work
  int order;        // of threads and blocks: 0 forward, 1 reverse, else random with this seed
  int failed;
  char message[1024];  // of the first fault
};
}
