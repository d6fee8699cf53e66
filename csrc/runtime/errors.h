// Exceptions of the runtime. pybind11 turns std::invalid_argument into ValueError, std::out_of_range into
// IndexError, std::bad_alloc into MemoryError, std::runtime_error into RuntimeError.
#pragma once
#include <new>
#include <stdexcept>
#include <string>

namespace symconv {

// A MemoryError that says how much was asked for.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

}  // namespace symconv
