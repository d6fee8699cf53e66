// Exceptions of emulated kernels.
#pragma once

#include <cstddef>
#include <exception>

namespace emulator {

// What an exception says, read outside of a kernel, whose accesses are watched.
__attribute__((visibility("default"))) void copy_text(const std::exception& error, char* text, size_t bytes);

}  // namespace emulator
