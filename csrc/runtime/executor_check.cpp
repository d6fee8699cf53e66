// Executor's construction: everything a run relies on is checked here.
#include <algorithm>

#include "runtime/errors.h"
#include "runtime/executor.h"
#include "runtime/registry.h"

namespace symconv {

namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kLargest = size_t{1} << 62;  // no sum of two sizes overflows

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

void require_id(int id, size_t n, const std::string& who) {
  if (id < 0 || static_cast<size_t>(id) >= n)
    fail("%s names buffer %d, the plan has %zu buffers", who.c_str(), id, n);
}

std::string megabytes(size_t bytes) {
  char text[64];
  std::snprintf(text, sizeof text, "%zu bytes (%.1f MB)", bytes, static_cast<double>(bytes) / 1e6);
  return text;
}

void require_within_limit(size_t arena, size_t workspace, size_t limit) {
  if (workspace <= kLargest && (limit == 0 || arena + workspace <= limit)) return;
  throw OutOfMemory("the plan needs " + megabytes(arena) + " for its buffers and " + megabytes(workspace) +
                    " of workspace, the limit is " + megabytes(limit ? limit : kLargest));
}

}  // namespace

Executor::Executor(std::vector<BufferSpec> buffers, std::vector<StepSpec> steps, size_t limit, size_t guard)
    : buffers_(std::move(buffers)), steps_(std::move(steps)), limit_(limit), guard_(aligned(guard)) {
  if (guard > kLargest) fail("a guard of %zu bytes", guard);
  check_buffers();
  check_steps();
  lay_out();
}

const BufferSpec& Executor::buffer(int id) const {
  require_id(id, buffers_.size(), "the call");
  return buffers_[id];
}

void Executor::check_view(int id) {
  const BufferSpec& v = buffers_[id];
  std::string who = "buffer " + std::to_string(id) + " (view)";
  require_id(v.base, buffers_.size(), who);
  if (v.base >= id) fail("%s: its base %d must come before it", who.c_str(), v.base);
  size_t base_bytes = buffers_[v.base].nbytes;
  if (v.offset > base_bytes || v.nbytes > base_bytes - v.offset)
    fail("%s: bytes %zu to %zu lie outside buffer %d of %zu bytes", who.c_str(), v.offset,
         v.offset + v.nbytes, v.base, base_bytes);
  if (v.start < 0) return;
  require_id(v.start, buffers_.size(), who);
  if (buffers_[v.start].nbytes < sizeof(int64_t))
    fail("%s: its start, buffer %d, has %zu bytes, an int64 needs 8", who.c_str(), v.start,
         buffers_[v.start].nbytes);
  if (v.stride <= 0) fail("%s: stride %lld must be positive", who.c_str(), static_cast<long long>(v.stride));
}

// Sorts buffers by how their pointers come about.
void Executor::check_buffers() {
  using Kind = BufferSpec::Kind;
  int n = static_cast<int>(buffers_.size());
  std::vector<int> dynamic_root(n, -1);  // the dynamic view that a buffer hangs on
  followers_.resize(n);
  for (int id = 0; id < n; id++) {
    const BufferSpec& b = buffers_[id];
    if (b.nbytes > kLargest || b.offset > kLargest)
      fail("buffer %d: size %zu or offset %zu is beyond 2^62", id, b.nbytes, b.offset);
    if (b.kind == Kind::kExternal) externals_.push_back(id);
    if (b.kind == Kind::kConstant && !b.address && b.nbytes > 0)
      fail("buffer %d: constant without address", id);
    if (b.kind == Kind::kArena && b.offset % kAlignment)
      fail("buffer %d: arena offset %zu is not a multiple of %zu", id, b.offset, kAlignment);
    if (b.kind != Kind::kView) continue;
    check_view(id);
    dynamic_root[id] = b.start >= 0 ? id : dynamic_root[b.base];
    if (dynamic_root[id] < 0)
      fixed_views_.push_back(id);
    else if (dynamic_root[id] != id)
      followers_[dynamic_root[id]].push_back(id);
  }
}

void Executor::check_steps() {
  std::vector<bool> ready(buffers_.size(), true);
  for (size_t id = 0; id < buffers_.size(); id++)
    if (buffers_[id].start >= 0) {
      ready[id] = false;
      for (int follower : followers_[id]) ready[follower] = false;
    }
  size_t params_bytes = 0, most_in = 0, most_out = 0;
  for (size_t i = 0; i < steps_.size(); i++) {
    StepSpec& step = steps_[i];
    std::string who = place(static_cast<int>(i));
    auto require_ready = [&](int id) {
      require_id(id, buffers_.size(), who);
      if (!ready[id]) fail("%s uses the dynamic view %d before it is resolved", who.c_str(), id);
    };
    for (int id : step.in) require_ready(id);
    for (int id : step.out) require_ready(id);
    most_in = std::max(most_in, step.in.size());
    most_out = std::max(most_out, step.out.size());
    entries_.push_back(nullptr);
    params_offset_.push_back(params_bytes);
    if (step.kind == StepSpec::Kind::kKernel) {
      entries_.back() = &find_kernel(step.entry);
      params_bytes += aligned(step.params.size());
    } else if (step.kind == StepSpec::Kind::kCallback) {
      if (!step.callback) fail("%s has no callback", who.c_str());
    } else {
      require_id(step.buffer, buffers_.size(), who);
      const BufferSpec& view = buffers_[step.buffer];
      if (view.start < 0) fail("%s: buffer %d is not a dynamic view", who.c_str(), step.buffer);
      require_ready(view.base);
      require_ready(view.start);
      ready[step.buffer] = true;
      for (int follower : followers_[step.buffer]) ready[follower] = true;
    }
  }
  in_.resize(most_in);
  out_.resize(most_out);
  params_ = std::make_unique<AlignedMemory>(params_bytes);
  for (size_t i = 0; i < steps_.size(); i++)
    std::copy(steps_[i].params.begin(), steps_[i].params.end(), params_->data() + params_offset_[i]);
}

Sizes Executor::sizes_of(const StepSpec& step, int threads, std::vector<size_t>& bytes) const {
  bytes.clear();
  for (int id : step.in) bytes.push_back(buffers_[id].nbytes);
  for (int id : step.out) bytes.push_back(buffers_[id].nbytes);
  size_t index = &step - steps_.data();
  return {params_->data() + params_offset_[index],
          step.params.size(),
          bytes.data(),
          static_cast<int>(step.in.size()),
          bytes.data() + step.in.size(),
          static_cast<int>(step.out.size()),
          0,
          threads};
}

// The workspace depends on the number of threads, which may change between runs.
void Executor::fit_workspace(int threads) {
  if (threads == threads_) return;
  size_t bytes = workspace_for(threads);
  require_within_limit(arena_->size(), bytes, limit_);
  workspace_ = std::make_unique<AlignedMemory>(bytes + 2 * guard_);
  threads_ = threads;
}

size_t Executor::workspace_for(int threads) const {
  size_t most = 0;
  std::vector<size_t> bytes;
  for (size_t i = 0; i < steps_.size(); i++)
    if (entries_[i] && entries_[i]->workspace)
      most = std::max(most, entries_[i]->workspace(sizes_of(steps_[i], threads, bytes)));
  return most;
}

void Executor::lay_out() {
  int threads = ThreadPool::global().size();
  std::vector<size_t> bytes;
  for (size_t i = 0; i < steps_.size(); i++) {
    if (!entries_[i]) continue;
    try {
      entries_[i]->check(sizes_of(steps_[i], threads, bytes));
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(place(static_cast<int>(i)) + ": " + error.what());
    }
  }
  size_t arena = 0;
  for (const BufferSpec& b : buffers_)
    if (b.kind == BufferSpec::Kind::kArena) arena = std::max(arena, b.offset + b.nbytes);
  require_within_limit(arena, workspace_for(threads), limit_);
  arena_ = std::make_shared<AlignedMemory>(arena);
  fit_workspace(threads);
  pointers_.resize(buffers_.size());
  for (size_t id = 0; id < buffers_.size(); id++) {
    const BufferSpec& b = buffers_[id];
    pointers_[id] = b.kind == BufferSpec::Kind::kArena ? arena_->data() + b.offset : b.address;
  }
  profile_ns_.resize(steps_.size());
}

std::string Executor::place(int step) const {
  const StepSpec& s = steps_[step];
  std::string text = "step " + std::to_string(step);
  if (!s.label.empty()) text += ", " + s.label;
  if (s.kind == StepSpec::Kind::kKernel) text += " [" + s.entry + "]";
  return text;
}

}  // namespace symconv
