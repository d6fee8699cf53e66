// Registers every kernel file of this instruction set.
#include "runtime/kernel.h"

namespace symconv {
namespace SYMCONV_ISA {

#define KERNEL_FILE(file) void register_##file(Registrar&);
#include "kernels.def"
#undef KERNEL_FILE

void register_all(Registrar& r);
void register_all(Registrar& r) {
#define KERNEL_FILE(file) register_##file(r);
#include "kernels.def"
#undef KERNEL_FILE
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
