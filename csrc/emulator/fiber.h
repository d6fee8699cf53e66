// Fibers: stacks of their own between which one OS thread switches in some ten nanoseconds.
#pragma once

#include <cstddef>

namespace emulator {

class Fiber {
 public:
  // A fiber that will call entry(), which must not return. The stack has a guard page below it.
  explicit Fiber(void (*entry)());
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // True if the address is on the stack of the fiber.
  bool owns(const void* address) const {
    return address >= stack_ && address < static_cast<const char*>(stack_) + bytes_;
  }
  // From the scheduler's own stack into the fiber, until it calls leave().
  void enter();
  // From inside the fiber back to the scheduler.
  static void leave();

 private:
  void* stack_ = nullptr;
  size_t bytes_ = 0;
  struct Context;
  Context* context_;
};

// To be called first on a new fiber (AddressSanitizer wants to know).
void fiber_started();

}  // namespace emulator
