// Runs the steps of a plan in order. Built once from plain data, which is checked completely at construction: after
// that a run does nothing but fill pointer arrays and call kernels.
#pragma once
#include <atomic>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/kernel.h"
#include "runtime/memory.h"
#include "runtime/thread_pool.h"

namespace symconv {

// External: pointer given per run. Constant: pointer fixed. Arena: offset (a multiple of 64) in the executor's own
// memory. View: `offset` bytes into buffer `base`; with start >= 0 it is dynamic: a resolve step reads the int64 in
// buffer `start` and adds that many times `stride` bytes, within the bounds of the base.
struct BufferSpec {
  enum class Kind { kExternal, kConstant, kArena, kView };
  Kind kind = Kind::kExternal;
  size_t nbytes = 0;
  void* address = nullptr;
  size_t offset = 0;
  int base = -1;
  int start = -1;
  int64_t stride = 0;
  std::string label;
};

using Callback = std::function<void(void* const* in, void* const* out)>;

struct StepSpec {
  enum class Kind { kKernel, kResolve, kCallback };
  Kind kind = Kind::kKernel;
  std::string entry;
  std::string label;
  std::string params;
  std::vector<int> in, out;
  int buffer = -1;  // kResolve: the dynamic view
  Callback callback;
};

// Float buffers to look through for NaN and infinities: id and element size (4 or 8).
struct FloatBuffer {
  int id;
  int itemsize;
};

struct ExternalRange {
  char* address;
  int64_t stride;  // bytes from one iteration to the next
};

struct LoopResult {
  int64_t done;    // iterations that ran to their end
  int bad_buffer;  // -1, or the buffer in which iteration done - 1 left a NaN or an infinity
};

struct Nonfinite {
  int step, buffer;  // -1, -1: none
};

// What a watched run stops at: values beyond `limit` in magnitude (infinity: none but infinities), and NaN.
struct Bounds {
  double limit = HUGE_VAL;
  bool nan = true, infinity = true;
};

class Executor {
 public:
  // Throws std::invalid_argument on bad data, OutOfMemory when arena + workspace exceed `limit` bytes (0: no limit)
  // or cannot be allocated. The workspace has `guard` bytes on either side that no kernel may touch.
  Executor(std::vector<BufferSpec> buffers, std::vector<StepSpec> steps, size_t limit, size_t guard = 0);

  // One pointer per external buffer, in order of their ids.
  void run(void* const* externals, size_t count);

  // n runs with moving externals. progress(done) is called about every 0.1 s between iterations; the loop ends
  // when it returns false. Every `checks` buffer is looked through after each iteration. The loop also ends
  // after an iteration that leaves *stop other than 0.
  LoopResult run_many(int64_t n, const std::vector<ExternalRange>& externals,
                      const std::function<bool(int64_t)>& progress, const std::vector<FloatBuffer>& checks,
                      const volatile char* stop = nullptr);

  // One run that stops after the first step that writes a value out of bounds into one of `watched`.
  Nonfinite run_watched(void* const* externals, size_t count, const std::vector<FloatBuffer>& watched,
                        Bounds bounds = {});

  // Times every step of the runs that follow; switching on starts from zero. Of the first runs, as many as `stamps`
  // words can hold, the times themselves are kept too.
  void set_profile(bool on, size_t stamps = 0);
  const std::vector<int64_t>& profile_ns() const { return profile_ns_; }  // per step, since set_profile(true)
  int64_t profile_runs() const { return profile_runs_; }                  // that came to their end
  size_t stamped_runs() const { return stamped_runs_; }
  // steps + 1 per stamped run, in nanoseconds of the steady clock: the start, then the end of every step.
  const int64_t* stamps() const { return stamps_.data(); }
  size_t n_steps() const { return steps_.size(); }

  // Fills the arena and the workspace with a byte (0xFF: NaN in every float type), which shows reads of unwritten
  // memory, and the guards with kCanary.
  void poison(uint8_t byte = 0xff);
  // Bytes of the guards before and after the workspace that have changed since poison().
  std::pair<size_t, size_t> damage();

  size_t arena_bytes() const { return arena_->size(); }
  size_t workspace_bytes() const { return workspace_->size() - 2 * guard_; }
  size_t n_external() const { return externals_.size(); }
  size_t external_bytes(size_t i) const { return buffers_[externals_[i]].nbytes; }
  int64_t iterations_done() const { return iterations_done_; }  // of the last run_many, also when it threw
  int failed_step() const { return failed_step_; }              // of the last run that threw, else -1
  const BufferSpec& buffer(int id) const;                       // throws std::invalid_argument on a bad id
  std::shared_ptr<AlignedMemory> arena() const { return arena_; }

 private:
  enum class Mode { kPlain, kProfile, kWatch };
  class Running;

  void check_buffers();
  void check_steps();
  void check_view(int id);
  void lay_out();
  Sizes sizes_of(const StepSpec& step, int threads, std::vector<size_t>& bytes) const;
  size_t workspace_for(int threads) const;
  void fit_workspace(int threads);
  void set_externals(void* const* externals, size_t count);
  void resolve_fixed_views();
  void resolve(int view);
  void run_steps(Mode mode, Nonfinite* found);
  template <Mode mode>
  void run_steps_in(Nonfinite* found);
  bool out_of_bounds(const FloatBuffer& b, const Bounds& bounds) const;
  char* workspace() const { return workspace_->data() + guard_; }
  void check_float_buffers(const std::vector<FloatBuffer>& list) const;
  std::string place(int step) const;

  std::vector<BufferSpec> buffers_;
  std::vector<StepSpec> steps_;
  std::vector<const KernelEntry*> entries_;  // per step, null unless a kernel
  std::vector<size_t> params_offset_;        // per step
  std::unique_ptr<AlignedMemory> params_;    // all params, each 64-byte aligned
  std::vector<int> externals_;               // ids
  std::vector<int> fixed_views_;             // ids of views that depend on no dynamic one, bases first
  std::vector<std::vector<int>> followers_;  // per dynamic view: static views of it, bases first
  std::vector<void*> pointers_;              // per buffer, during a run
  std::vector<void*> in_, out_;              // argument lists of the current step
  std::shared_ptr<AlignedMemory> arena_;
  std::unique_ptr<AlignedMemory> workspace_;
  size_t limit_;
  size_t guard_;
  int threads_ = 0;  // that workspace_ serves
  bool profile_ = false;
  std::vector<int64_t> profile_ns_;
  int64_t profile_runs_ = 0;
  std::vector<int64_t> stamps_;
  size_t stamped_runs_ = 0;
  std::vector<int> watch_itemsize_;  // per buffer, kWatch only
  Bounds bounds_;                    // kWatch only
  int current_step_ = 0;
  int failed_step_ = -1;
  int64_t iterations_done_ = 0;
  std::mutex running_;
  std::atomic<std::thread::id> runner_{};
};

}  // namespace symconv
