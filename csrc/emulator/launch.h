// What Python hands to an emulated kernel, and what it gets back. Plain C: symconv/backends/gpu/emulator.py mirrors it.
#pragma once

extern "C" {

// One pointer of a kernel. A negative base is the address, negated, of the word that holds the pointer.
struct EmulatedArg {
  void* base;
  unsigned long long bytes;
};

// What an array holds, for kernels whose accesses are checked: "float32"; null where nobody knows.
struct EmulatedType {
  const char* name;
  int itemsize;
  int floating;
};

// A piece of device memory.
struct EmulatedRange {
  const char* begin;
  const char* end;
};

// Who wrote an element last: from which line, or for a plain pointer from which instruction, of the kernel. And who
// read it first, if that was before anybody had written it.
struct EmulatedWrite {
  const char* file;
  const void* pc;
  int line, block, thread;
  unsigned epoch;
  int other_line, other_block, other_thread;  // of another thread that wrote it too, unordered; -1: none
  int found;
  const char* read_file;
  const void* read_pc;
  int read_line, read;
};

// An array whose writes are to be kept: one EmulatedWrite for every `unit` bytes.
struct EmulatedTrace {
  const char* begin;
  const char* end;
  long long unit;
  EmulatedWrite* writes;
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
  int n_args;
  const EmulatedType* types;  // of the args, or null
  long long params_bytes;
  const EmulatedRange* memory;  // of the device, for kernels that are compiled with guard.cpp's hooks
  int n_memory;
  const EmulatedTrace* traces;
  int n_traces;
  int failed;
  char message[1024];  // of the first fault
};
}
