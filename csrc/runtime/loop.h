// A step of a plan that runs another plan n times, over rows of the step's arrays.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "runtime/executor.h"

namespace symconv {

struct LoopSpec {
  // Where an external buffer of the inner plan lies in iteration i: offset + i * stride bytes into input or output
  // `index` of the step; or it is the one byte that says, after an iteration, whether to stop.
  struct Place {
    enum class Kind { kIn, kOut, kStop };
    Kind kind;
    int index;
    int64_t offset, stride;
  };
  // Before the first iteration: bytes of an input that go to the start of an output.
  struct Copy {
    int in, out;
    size_t nbytes;
  };
  int64_t n;
  std::vector<Place> places;  // per external buffer of the inner plan
  std::vector<Copy> copies;
  std::vector<int> cleared;  // outputs that start as zeros: a loop that stops early leaves rows of them out
  int count;                 // output that gets the number of iterations done, an int64, or -1
};

class Loop {
 public:
  // in_bytes, out_bytes: sizes of the step's buffers. Throws std::invalid_argument where an iteration would leave
  // them. The inner plan must outlive the loop.
  Loop(Executor& plan, LoopSpec spec, const std::vector<size_t>& in_bytes, std::vector<size_t> out_bytes);

  // between(done) is called about every 0.1 s between iterations; it may throw.
  void run(void* const* in, void* const* out, const std::function<bool(int64_t)>& between);

 private:
  Executor& plan_;
  LoopSpec spec_;
  std::vector<size_t> out_bytes_;
  std::vector<ExternalRange> ranges_;
};

}  // namespace symconv
