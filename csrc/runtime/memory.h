// 64-byte aligned memory with one owner.
#pragma once
#include <cstddef>

namespace symconv {

class AlignedMemory {
 public:
  // Uninitialised; data() is never null. Throws OutOfMemory with the size when the system refuses.
  explicit AlignedMemory(size_t bytes);
  ~AlignedMemory();
  AlignedMemory(const AlignedMemory&) = delete;
  AlignedMemory& operator=(const AlignedMemory&) = delete;

  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  char* data_;
  size_t size_;
};

}  // namespace symconv
