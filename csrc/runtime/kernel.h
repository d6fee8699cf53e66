// The border between runtime and kernels. Kernel files are compiled once per instruction set, so this header
// holds declarations only: an inline function or a std template in it could be emitted in an AVX-512 object
// and be the copy that the linker keeps for all.
#pragma once
#include <cstddef>
#include <cstdint>

namespace symconv {

class ThreadPool;

// One call of a kernel. in and out are dense C-contiguous buffers in the op's order (no alignment beyond the
// element's is promised); params is 64-byte aligned and params_bytes long; workspace is 64-byte aligned.
struct Launch {
  const void* params;
  size_t params_bytes;
  void* const* in;
  void* const* out;
  void* workspace;
  ThreadPool* pool;
};

// What is known before a run. threads is the pool's size that the workspace must serve. workspace_bytes is 0
// in check() and workspace().
struct Sizes {
  const void* params;
  size_t params_bytes;
  const size_t* in_bytes;
  int n_in;
  const size_t* out_bytes;
  int n_out;
  size_t workspace_bytes;
  int threads;
};

// check throws (see fail) when params or sizes do not fit; it runs once, before workspace and run, which may
// then trust them. workspace may be null: none needed.
struct KernelEntry {
  const char* name;
  void (*run)(const Launch&);
  void (*check)(const Sizes&);
  size_t (*workspace)(const Sizes&);
};

// Collects the entries of one instruction set: each kernel file ends with
//   void register_<file>(Registrar& r) { r.add({"entry", run, check, workspace}); }
class Registrar {
 public:
  virtual void add(const KernelEntry& entry) = 0;

 protected:
  ~Registrar() = default;
};

// Both take a printf format. fail throws std::invalid_argument (Python: ValueError), fail_index throws
// std::out_of_range (Python: IndexError). The runtime adds the step and its label.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));
[[noreturn]] void fail_index(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace symconv
