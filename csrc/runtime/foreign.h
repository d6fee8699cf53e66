// Kernels of the user's, in libraries that are opened while the program runs (kernels/call.h).
#pragma once
#include <string>

#include "call.h"

namespace symconv {

// Opens the library and returns the number of its entry; the same for the same place. Throws
// std::invalid_argument where the library cannot be opened, or defines no such entry for this version of call.h.
// Libraries stay open: plans hold addresses of their entries.
int bind_library(const std::string& path, const std::string& entry);

// Throws std::invalid_argument on a number that bind_library has not given.
SymconvEntry foreign_entry(long long number);

}  // namespace symconv
