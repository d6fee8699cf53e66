#include "runtime/memory.h"

#include <cstdint>
#include <cstdlib>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "runtime/errors.h"

namespace symconv {

AlignedMemory::AlignedMemory(size_t bytes) : data_(nullptr), size_(bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  if (bytes <= SIZE_MAX - alignment) {
    size_t rounded = (bytes + alignment) / alignment * alignment;  // at least one byte
    data_ = static_cast<char*>(std::aligned_alloc(alignment, rounded));
#if defined(__linux__)
    if (data_ && alignment == kHugePage)
      madvise(data_, rounded, MADV_HUGEPAGE);  // fewer TLB misses; may fail
#endif
  }
  if (!data_) throw OutOfMemory("cannot allocate " + std::to_string(bytes) + " bytes");
}

AlignedMemory::~AlignedMemory() { std::free(data_); }

}  // namespace symconv
