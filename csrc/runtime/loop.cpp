#include "runtime/loop.h"

#include <cstring>

#include "runtime/errors.h"

namespace symconv {

namespace {

void require_index(const char* what, int index, size_t count) {
  if (index < 0 || static_cast<size_t>(index) >= count)
    fail("loop: %s %d, there are %zu", what, index, count);
}

}  // namespace

Loop::Loop(Executor& plan, LoopSpec spec, const std::vector<size_t>& in_bytes, std::vector<size_t> out_bytes)
    : plan_(plan), spec_(std::move(spec)), out_bytes_(std::move(out_bytes)) {
  if (spec_.n < 1) fail("loop: %lld iterations", static_cast<long long>(spec_.n));
  if (spec_.places.size() != plan_.n_external())
    fail("loop: %zu places for %zu external buffers", spec_.places.size(), plan_.n_external());
  for (size_t k = 0; k < spec_.places.size(); k++) {
    const LoopSpec::Place& p = spec_.places[k];
    size_t nbytes = plan_.external_bytes(k);
    if (p.kind == LoopSpec::Place::Kind::kStop) {
      if (nbytes != 1) fail("loop: the condition has %zu bytes, expected 1", nbytes);
      continue;
    }
    const std::vector<size_t>& sizes = p.kind == LoopSpec::Place::Kind::kIn ? in_bytes : out_bytes_;
    require_index("array", p.index, sizes.size());
    int64_t span, last;
    if (__builtin_mul_overflow(spec_.n - 1, p.stride, &span) || __builtin_add_overflow(p.offset, span, &last))
      fail("loop: external buffer %zu moves too far", k);
    size_t size = sizes[p.index];
    for (int64_t at : {p.offset, last})
      if (at < 0 || static_cast<size_t>(at) > size || nbytes > size - static_cast<size_t>(at))
        fail("loop: external buffer %zu of %zu bytes at %lld leaves an array of %zu bytes", k, nbytes,
             static_cast<long long>(at), size);
  }
  for (const LoopSpec::Copy& c : spec_.copies) {
    require_index("input", c.in, in_bytes.size());
    require_index("output", c.out, out_bytes_.size());
    if (c.nbytes > in_bytes[c.in] || c.nbytes > out_bytes_[c.out])
      fail("loop: a copy of %zu bytes from %zu to %zu", c.nbytes, in_bytes[c.in], out_bytes_[c.out]);
  }
  for (int out : spec_.cleared) require_index("output", out, out_bytes_.size());
  if (spec_.count >= 0) {
    require_index("output", spec_.count, out_bytes_.size());
    if (out_bytes_[spec_.count] != sizeof(int64_t))
      fail("loop: the count has %zu bytes", out_bytes_[spec_.count]);
  }
  ranges_.resize(spec_.places.size());
}

void Loop::run(void* const* in, void* const* out, const std::function<bool(int64_t)>& between) {
  char stop = 0;
  bool stops = false;
  for (int k : spec_.cleared) std::memset(out[k], 0, out_bytes_[k]);
  for (const LoopSpec::Copy& c : spec_.copies)
    if (in[c.in] != out[c.out]) std::memcpy(out[c.out], in[c.in], c.nbytes);
  for (size_t k = 0; k < ranges_.size(); k++) {
    const LoopSpec::Place& p = spec_.places[k];
    if (p.kind == LoopSpec::Place::Kind::kStop) {
      ranges_[k] = {&stop, 0};
      stops = true;
      continue;
    }
    void* base = p.kind == LoopSpec::Place::Kind::kIn ? in[p.index] : out[p.index];
    ranges_[k] = {static_cast<char*>(base) + p.offset, p.stride};
  }
  int64_t done;
  try {
    done = plan_.run_many(spec_.n, ranges_, between, {}, stops ? &stop : nullptr).done;
  } catch (const std::out_of_range& error) {
    throw std::out_of_range("iteration " + std::to_string(plan_.iterations_done()) + ", " + error.what());
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument("iteration " + std::to_string(plan_.iterations_done()) + ", " + error.what());
  }
  if (spec_.count >= 0) std::memcpy(out[spec_.count], &done, sizeof done);
}

}  // namespace symconv
