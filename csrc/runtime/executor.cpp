#include "runtime/executor.h"

#include <chrono>
#include <cstring>
#include <limits>

#include "runtime/errors.h"

namespace symconv {

namespace {

using Clock = std::chrono::steady_clock;

int64_t nanoseconds(Clock::time_point t) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
}

constexpr uint8_t kCanary = 0xa5;

// Without their sign, floats are ordered as the integers of their bits are: finite, infinity, NaN. Integer tests
// vectorise, float ones would not.
template <class Float, class Bits>
bool any_beyond(const void* data, size_t count, const Bounds& bounds) {
  constexpr size_t kChunk = 4096;
  constexpr Bits kMagnitude = ~(Bits{1} << (8 * sizeof(Bits) - 1));
  auto bits_of = [](Float value) {
    Bits bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
  };
  const Bits infinity = bits_of(static_cast<Float>(HUGE_VAL));
  const Bits limit = bounds.limit < static_cast<double>(std::numeric_limits<Float>::max())
                         ? bits_of(static_cast<Float>(bounds.limit))
                         : infinity - 1;
  const bool finite = limit < infinity - 1;
  const char* bytes = static_cast<const char*>(data);
  for (size_t begin = 0; begin < count; begin += kChunk) {
    size_t end = begin + kChunk < count ? begin + kChunk : count;
    Bits any = 0, beyond = 0, nan = 0, infinite = 0;
    for (size_t i = begin; i < end; i++) {
      Bits bits;
      std::memcpy(&bits, bytes + i * sizeof(Bits), sizeof(Bits));
      any |= (bits & kMagnitude) > limit;
    }
    if (!any) continue;
    for (size_t i = begin; i < end; i++) {
      Bits bits;
      std::memcpy(&bits, bytes + i * sizeof(Bits), sizeof(Bits));
      bits &= kMagnitude;
      nan |= bits > infinity;
      infinite |= bits == infinity;
      beyond |= bits > limit && bits < infinity;
    }
    if ((finite && beyond) || (bounds.nan && nan) || (bounds.infinity && infinite)) return true;
  }
  return false;
}

size_t changed(const char* data, size_t count) {
  size_t found = 0;
  for (size_t i = 0; i < count; i++) found += static_cast<uint8_t>(data[i]) != kCanary;
  return found;
}

}  // namespace

// Holds the executor for one caller, with the pool at a fixed size and a workspace that fits it.
class Executor::Running {
 public:
  explicit Running(Executor& e) : e_(e), use_(ThreadPool::global()) {
    if (e.runner_.load() == std::this_thread::get_id())
      throw std::runtime_error("this plan is running: a callback cannot run it again");
    e.running_.lock();
    e.runner_.store(std::this_thread::get_id());
    e.failed_step_ = -1;
    e.current_step_ = 0;
    try {
      e.fit_workspace(ThreadPool::global().size());
    } catch (...) {
      release();
      throw;
    }
  }
  ~Running() { release(); }

 private:
  void release() {
    e_.runner_.store(std::thread::id{});
    e_.running_.unlock();
  }
  Executor& e_;
  PoolUse use_;
};

void Executor::set_externals(void* const* externals, size_t count) {
  if (count != externals_.size())
    fail("run got %zu pointers, the plan has %zu external buffers", count, externals_.size());
  for (size_t i = 0; i < count; i++) {
    int id = externals_[i];
    if (!externals[i] && buffers_[id].nbytes > 0) fail("run got a null pointer for external buffer %d", id);
    pointers_[id] = externals[i];
  }
  resolve_fixed_views();
}

void Executor::resolve_fixed_views() {
  for (int id : fixed_views_)
    pointers_[id] = static_cast<char*>(pointers_[buffers_[id].base]) + buffers_[id].offset;
}

void Executor::resolve(int view) {
  const BufferSpec& v = buffers_[view];
  int64_t start;
  std::memcpy(&start, pointers_[v.start], sizeof start);
  size_t base_bytes = buffers_[v.base].nbytes;
  int64_t last = static_cast<int64_t>(base_bytes - v.offset - v.nbytes) / v.stride;
  if (start < 0 || start > last)
    fail_index("%s: start %lld is outside 0 to %lld (%zu bytes taken in steps of %lld from %zu bytes)",
               v.label.empty() ? "view" : v.label.c_str(), static_cast<long long>(start),
               static_cast<long long>(last), v.nbytes, static_cast<long long>(v.stride), base_bytes);
  pointers_[view] = static_cast<char*>(pointers_[v.base]) + v.offset + start * v.stride;
  for (int id : followers_[view])
    pointers_[id] = static_cast<char*>(pointers_[buffers_[id].base]) + buffers_[id].offset;
}

template <Executor::Mode mode>
void Executor::run_steps_in(Nonfinite* found) {
  ThreadPool& pool = ThreadPool::global();
  int n = static_cast<int>(steps_.size());
  int64_t before = 0;
  int64_t* stamp = nullptr;
  if constexpr (mode == Mode::kProfile) {
    before = nanoseconds(Clock::now());
    size_t used = stamped_runs_ * (steps_.size() + 1);
    if (stamps_.size() - used > steps_.size()) {
      stamp = stamps_.data() + used;
      *stamp++ = before;
    }
  }
  for (int i = 0; i < n; i++) {
    const StepSpec& step = steps_[i];
    current_step_ = i;
    for (size_t k = 0; k < step.in.size(); k++) in_[k] = pointers_[step.in[k]];
    for (size_t k = 0; k < step.out.size(); k++) out_[k] = pointers_[step.out[k]];
    if (entries_[i])
      entries_[i]->run({params_->data() + params_offset_[i], step.params.size(), in_.data(), out_.data(),
                        workspace(), &pool});
    else if (step.kind == StepSpec::Kind::kResolve)
      resolve(step.buffer);
    else
      step.callback(in_.data(), out_.data());
    if constexpr (mode == Mode::kProfile) {
      int64_t now = nanoseconds(Clock::now());
      profile_ns_[i] += now - before;
      before = now;
      if (stamp) *stamp++ = now;
    }
    if constexpr (mode == Mode::kWatch)
      for (int id : step.out)
        if (watch_itemsize_[id] && out_of_bounds({id, watch_itemsize_[id]}, bounds_)) {
          *found = {i, id};
          return;
        }
  }
  if constexpr (mode == Mode::kProfile) {
    profile_runs_++;
    if (stamp) stamped_runs_++;
  }
}

// Adds the place to what a kernel throws; a Python exception from a callback passes unchanged.
void Executor::run_steps(Mode mode, Nonfinite* found) {
  try {
    if (mode == Mode::kPlain) run_steps_in<Mode::kPlain>(found);
    if (mode == Mode::kProfile) run_steps_in<Mode::kProfile>(found);
    if (mode == Mode::kWatch) run_steps_in<Mode::kWatch>(found);
  } catch (const std::out_of_range& error) {
    failed_step_ = current_step_;
    throw std::out_of_range(place(current_step_) + ": " + error.what());
  } catch (const std::invalid_argument& error) {
    failed_step_ = current_step_;
    throw std::invalid_argument(place(current_step_) + ": " + error.what());
  } catch (...) {
    failed_step_ = current_step_;
    throw;
  }
}

void Executor::run(void* const* externals, size_t count) {
  Running running(*this);
  set_externals(externals, count);
  run_steps(profile_ ? Mode::kProfile : Mode::kPlain, nullptr);
}

LoopResult Executor::run_many(int64_t n, const std::vector<ExternalRange>& externals,
                              const std::function<bool(int64_t)>& progress,
                              const std::vector<FloatBuffer>& checks, const volatile char* stop) {
  Running running(*this);
  iterations_done_ = 0;
  if (n < 0) fail("run_many: %lld iterations", static_cast<long long>(n));
  check_float_buffers(checks);
  std::vector<void*> addresses(externals.size());
  for (size_t k = 0; k < externals.size(); k++) addresses[k] = externals[k].address;
  set_externals(addresses.data(), addresses.size());
  Clock::time_point last = Clock::now();
  for (int64_t i = 0; i < n; i++) {
    for (size_t k = 0; k < externals.size(); k++)
      pointers_[externals_[k]] = externals[k].address + i * externals[k].stride;
    resolve_fixed_views();
    run_steps(profile_ ? Mode::kProfile : Mode::kPlain, nullptr);
    iterations_done_ = i + 1;
    for (const FloatBuffer& b : checks)
      if (out_of_bounds(b, {})) return {i + 1, b.id};
    if (stop && *stop) break;
    if (progress) {
      Clock::time_point now = Clock::now();
      if (now - last >= std::chrono::milliseconds(100)) {
        if (!progress(i + 1)) break;
        last = Clock::now();
      }
    }
  }
  return {iterations_done_, -1};
}

Nonfinite Executor::run_watched(void* const* externals, size_t count, const std::vector<FloatBuffer>& watched,
                                Bounds bounds) {
  Running running(*this);
  if (!(bounds.limit >= 0)) fail("run_watched: the limit %g is not a magnitude", bounds.limit);
  bounds_ = bounds;
  check_float_buffers(watched);
  watch_itemsize_.assign(buffers_.size(), 0);
  for (const FloatBuffer& b : watched) watch_itemsize_[b.id] = b.itemsize;
  set_externals(externals, count);
  Nonfinite found = {-1, -1};
  run_steps(Mode::kWatch, &found);
  return found;
}

void Executor::set_profile(bool on, size_t stamps) {
  Running running(*this);
  profile_ = on;
  if (!on) return;
  profile_ns_.assign(steps_.size(), 0);
  profile_runs_ = 0;
  stamps_.assign(stamps, 0);  // touched now, not while the clock runs
  stamped_runs_ = 0;
}

void Executor::poison(uint8_t byte) {
  Running running(*this);
  std::memset(arena_->data(), byte, arena_->size());
  std::memset(workspace(), byte, workspace_bytes());
  std::memset(workspace_->data(), kCanary, guard_);
  std::memset(workspace() + workspace_bytes(), kCanary, guard_);
}

std::pair<size_t, size_t> Executor::damage() {
  Running running(*this);
  return {changed(workspace_->data(), guard_), changed(workspace() + workspace_bytes(), guard_)};
}

void Executor::check_float_buffers(const std::vector<FloatBuffer>& list) const {
  for (const FloatBuffer& b : list) {
    const BufferSpec& spec = buffer(b.id);
    if ((b.itemsize != 4 && b.itemsize != 8) || spec.nbytes % b.itemsize)
      fail("buffer %d of %zu bytes cannot be checked as floats of %d bytes", b.id, spec.nbytes, b.itemsize);
  }
}

bool Executor::out_of_bounds(const FloatBuffer& b, const Bounds& bounds) const {
  size_t count = buffers_[b.id].nbytes / b.itemsize;
  if (b.itemsize == 4) return any_beyond<float, uint32_t>(pointers_[b.id], count, bounds);
  return any_beyond<double, uint64_t>(pointers_[b.id], count, bounds);
}

}  // namespace symconv
