// Kernel entries by name, one table per compiled instruction set.
#pragma once
#include <string>
#include <vector>

#include "runtime/kernel.h"

namespace symconv {

// Compiled instruction sets that this machine can run, slowest first.
std::vector<std::string> available_isas();

// The one in use: SYMCONV_ISA if set, else the last of available_isas(). Throws std::invalid_argument on a
// name that is unknown, not compiled or not supported by the machine.
std::string current_isa();
void set_isa(const std::string& name);

// Entry of the current instruction set; throws std::invalid_argument on an unknown name. The address is
// stable.
const KernelEntry& find_kernel(const std::string& name);
std::vector<std::string> kernel_names();

}  // namespace symconv
