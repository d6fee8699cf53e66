#include "fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <new>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulator {

namespace {

constexpr size_t kStackBytes = 256 << 10;

thread_local Fiber* running = nullptr;

#if defined(__SANITIZE_ADDRESS__)
thread_local const void* scheduler_stack = nullptr;
thread_local size_t scheduler_bytes = 0;
#endif

}  // namespace

#if defined(__x86_64__) || defined(__aarch64__)
struct Fiber::Context {
  void* fiber;
  void* scheduler;
};
#endif

// ---- the switch: callee-saved registers on the old stack, then the same from the new one
#if defined(__x86_64__)
extern "C" void symconv_emulator_switch(void** save, void* load);
asm(R"(
.text
.hidden symconv_emulator_switch
.globl symconv_emulator_switch
.type symconv_emulator_switch,@function
symconv_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size symconv_emulator_switch,.-symconv_emulator_switch
)");

static void prepare(void** saved, char* top, void (*entry)()) {
  void** sp = reinterpret_cast<void**>(top - 8);  // as after a call: 8 below a multiple of 16
  *sp = nullptr;
  *--sp = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--sp = nullptr;
  *saved = sp;
}
#elif defined(__aarch64__)
extern "C" void symconv_emulator_switch(void** save, void* load);
asm(R"(
.text
.hidden symconv_emulator_switch
.globl symconv_emulator_switch
.type symconv_emulator_switch,%function
symconv_emulator_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size symconv_emulator_switch,.-symconv_emulator_switch
)");

static void prepare(void** saved, char* top, void (*entry)()) {
  char* sp = top - 160;
  std::memset(sp, 0, 160);
  void* address = reinterpret_cast<void*>(entry);
  std::memcpy(sp + 88, &address, sizeof address);  // x30, where `ret` goes
  *saved = sp;
}
#else
struct Fiber::Context {
  ucontext_t fiber;
  ucontext_t scheduler;
};
#endif

Fiber::Fiber(void (*entry)()) : context_(new Context) {
  size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  bytes_ = kStackBytes + page;
  stack_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack_ == MAP_FAILED) {
    delete context_;
    throw std::bad_alloc();
  }
  mprotect(stack_, page, PROT_NONE);
  // Tops 64 bytes apart: stacks that all start on a page would share the same few cache sets.
  static thread_local int stagger = 0;
  char* top = static_cast<char*>(stack_) + bytes_ - 64 * (stagger++ % 32);
#if defined(__x86_64__) || defined(__aarch64__)
  prepare(&context_->fiber, top, entry);
#else
  getcontext(&context_->fiber);
  context_->fiber.uc_stack.ss_sp = static_cast<char*>(stack_) + page;
  context_->fiber.uc_stack.ss_size = top - static_cast<char*>(stack_) - page;
  context_->fiber.uc_link = nullptr;
  makecontext(&context_->fiber, entry, 0);
#endif
}

Fiber::~Fiber() {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack_, bytes_);
#endif
  munmap(stack_, bytes_);
  delete context_;
}

void Fiber::enter() {
  running = this;
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, stack_, bytes_);
#endif
#if defined(__x86_64__) || defined(__aarch64__)
  symconv_emulator_switch(&context_->scheduler, context_->fiber);
#else
  swapcontext(&context_->scheduler, &context_->fiber);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
  running = nullptr;
}

void Fiber::leave() {
  Fiber* self = running;
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, scheduler_stack, scheduler_bytes);
#endif
#if defined(__x86_64__) || defined(__aarch64__)
  symconv_emulator_switch(&self->context_->fiber, self->context_->scheduler);
#else
  swapcontext(&self->context_->fiber, &self->context_->scheduler);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, &scheduler_stack, &scheduler_bytes);
#endif
}

#if defined(__SANITIZE_ADDRESS__)
void fiber_started() { __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_bytes); }
#else
void fiber_started() {}
#endif

}  // namespace emulator
