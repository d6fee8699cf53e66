// Accesses by plain pointers. A user's kernel is compiled with the compiler's instrumentation for ThreadSanitizer, of
// which we want no more than the calls before every load and store: these are its functions. In the same way those of
// UndefinedBehaviorSanitizer for divisions by zero and for indices of local arrays.
#include <dlfcn.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "block.h"
#include "exception.h"
#include "fiber.h"

namespace emulator {

namespace {

template <class T>
bool within(const char* address, size_t bytes, const T* first, size_t count) {
  auto* begin = reinterpret_cast<const char*>(first);
  return address >= begin && address + bytes <= begin + count * sizeof(T);
}

const void* image_of(const void* address) {
  Dl_info info;
  return dladdr(address, &info) ? info.dli_fbase : nullptr;
}

// f(record) for each traced unit that an access touches.
template <class F>
void for_traced(const EmulatedLaunch& launch, const char* address, size_t bytes, const F& f) {
  for (int k = 0; k < launch.n_traces; k++) {
    const EmulatedTrace& t = launch.traces[k];
    if (address < t.begin || address >= t.end) continue;
    size_t last = (address + bytes - 1 - t.begin) / t.unit;
    for (size_t i = (address - t.begin) / t.unit; i <= last; i++) f(t.writes[i]);
  }
}

}  // namespace

void Scheduler::note_write(const char* address, size_t bytes, Site site, const void* pc) {
  for_traced(*launch, address, bytes, [&](EmulatedWrite& w) {
    bool same = w.found && w.block == block->number && w.thread == thread->number;
    if (pc && same && w.file) return;            // the plain store inside a checked one
    if (w.found && w.other_thread >= 0) return;  // the two that met are kept
    bool ordered = !w.found || same || (w.block == block->number && w.epoch != block->epoch);
    if (!ordered && w.other_thread < 0) {
      w.other_line = w.line;
      w.other_block = w.block;
      w.other_thread = w.thread;
    }
    if (!w.found) w.other_line = w.other_block = w.other_thread = -1;
    w.file = pc ? nullptr : site.file;
    w.pc = pc;
    w.line = site.line;
    w.block = block->number;
    w.thread = thread->number;
    w.epoch = block->epoch;
    w.found = 1;
  });
}

void Scheduler::note_read(const char* address, size_t bytes, Site site, const void* pc) {
  for_traced(*launch, address, bytes, [&](EmulatedWrite& w) {
    if (w.found || w.read) return;
    w.read_file = pc ? nullptr : site.file;
    w.read_pc = pc;
    w.read_line = site.line;
    w.read = 1;
  });
}

void Scheduler::check_arg(int i, size_t itemsize, bool arithmetic, bool floating, Site site) {
  if (i < 0 || i >= launch->n_args)
    fail(site, "array %d: the kernel has %d arrays, counted from 0", i, launch->n_args);
  if (!launch->types || !launch->types[i].name || !arithmetic || itemsize == 1) return;
  const EmulatedType& t = launch->types[i];
  if (static_cast<size_t>(t.itemsize) != itemsize || static_cast<bool>(t.floating) != floating)
    fail(site, "array %d holds %s, get<> takes it for %s of %zu bytes (raw<> gives the bytes as any type)", i,
         t.name, floating ? "floats" : "whole numbers", itemsize);
}

// What the kernel's own code touches inside the emulator, and constants and variables of its library.
bool Scheduler::is_own(const char* address, size_t bytes, bool write, const void* pc) const {
  if (thread->fiber && thread->fiber->owns(address)) return true;
  if (within(address, bytes, block->shared, launch->shared_bytes)) return true;
  if (!write) {
    if (within(address, bytes, static_cast<const char*>(launch->params), launch->params_bytes) ||
        within(address, bytes, launch->args, launch->n_args) || within(address, bytes, launch, 1) ||
        within(address, bytes, this, 1) ||
        within(address, bytes, block->threads.data(), block->threads.size()) ||
        within(address, bytes, block->warps.data(), block->warps.size()) ||
        within(address, bytes, &current, 1))
      return true;
  }
  const void* image = image_of(pc);
  return image && image == image_of(address);
}

void Scheduler::touch_plain(const char* address, size_t bytes, bool write, const void* pc) {
  if (launch->failed) return;
  bool device = false;
  for (int i = 0; i < launch->n_memory && !device; i++)
    device = address >= launch->memory[i].begin && address + bytes <= launch->memory[i].end;
  if (!device && !is_own(address, bytes, write, pc)) {
    if (!address || reinterpret_cast<uintptr_t>(address) < 4096)
      fail_at(pc, "%s through a null pointer", write ? "store" : "load");
    fail_at(pc,
            "%s of %zu bytes at %p, which is no memory of the device: a host pointer, the heap, or an index "
            "far outside",
            write ? "store" : "load", bytes, static_cast<const void*>(address));
  }
  if (device && launch->n_traces)
    write ? note_write(address, bytes, {}, pc) : note_read(address, bytes, {}, pc);
}

void copy_text(const std::exception& error, char* text, size_t bytes) {
  std::snprintf(text, bytes, "%s", error.what());
}

void Scheduler::fail_at(const void* pc, const char* format, ...) {
  if (!launch->failed) {
    launch->failed = 1;
    Dl_info info;
    bool known = dladdr(pc, &info) && info.dli_fname;
    size_t offset = known ? static_cast<const char*>(pc) - static_cast<const char*>(info.dli_fbase) - 1 : 0;
    // symconv/backends/gpu/emulator_build.py puts the line in the place of {library+offset}
    int n = std::snprintf(launch->message, sizeof launch->message,
                          "kernel %s, block %d, thread %d, {%s+%zx}: ", kernel_, block->number,
                          thread->number, known ? info.dli_fname : "?", offset);
    va_list args;
    va_start(args, format);
    if (n > 0 && n < static_cast<int>(sizeof launch->message))
      std::vsnprintf(launch->message + n, sizeof launch->message - n, format, args);
    va_end(args);
  }
  for (;;) Fiber::leave();
}

}  // namespace emulator

using emulator::current;

#define EXPORT extern "C" __attribute__((visibility("default")))
#define PC __builtin_return_address(0)

static inline void touch(void* p, size_t bytes, bool write, const void* pc) {
  if (current && current->launch->n_memory)
    current->touch_plain(static_cast<const char*>(p), bytes, write, pc);
}

#define HOOKS(bytes)                                                                \
  EXPORT void __tsan_read##bytes(void* p) { touch(p, bytes, false, PC); }           \
  EXPORT void __tsan_write##bytes(void* p) { touch(p, bytes, true, PC); }           \
  EXPORT void __tsan_unaligned_read##bytes(void* p) { touch(p, bytes, false, PC); } \
  EXPORT void __tsan_unaligned_write##bytes(void* p) { touch(p, bytes, true, PC); } \
  EXPORT void __tsan_volatile_read##bytes(void* p) { touch(p, bytes, false, PC); }  \
  EXPORT void __tsan_volatile_write##bytes(void* p) { touch(p, bytes, true, PC); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

EXPORT void __tsan_read_range(void* p, size_t bytes) { touch(p, bytes, false, PC); }
EXPORT void __tsan_write_range(void* p, size_t bytes) { touch(p, bytes, true, PC); }
EXPORT void __tsan_vptr_update(void**, void*) {}
EXPORT void __tsan_vptr_read(void**) {}
EXPORT void __tsan_func_entry(void*) {}
EXPORT void __tsan_func_exit() {}
EXPORT void __tsan_init() {}

// The head of what the compiler hands to every handler.
struct UndefinedAt {
  const char* file;
  uint32_t line, column;
};

static void undefined(const UndefinedAt* at, const char* what) {
  if (current) current->fail({at->file, static_cast<int>(at->line)}, "%s", what);
}

EXPORT void __ubsan_handle_divrem_overflow(const UndefinedAt* at, void*, void*) {
  undefined(at, "integer division by zero, or of the smallest integer by -1");
}
EXPORT void __ubsan_handle_divrem_overflow_abort(const UndefinedAt* at, void*, void*) {
  undefined(at, "integer division by zero, or of the smallest integer by -1");
}
EXPORT void __ubsan_handle_out_of_bounds(const UndefinedAt* at, void* index) {
  if (current)
    current->fail({at->file, static_cast<int>(at->line)}, "index %lld of a local array is out of bounds",
                  static_cast<long long>(reinterpret_cast<intptr_t>(index)));
}
EXPORT void __ubsan_handle_out_of_bounds_abort(const UndefinedAt* at, void* index) {
  __ubsan_handle_out_of_bounds(at, index);
}
EXPORT void __ubsan_handle_missing_return(const UndefinedAt* at) {
  undefined(at, "a function that has a result ended without one");
}
EXPORT void __ubsan_handle_builtin_unreachable(const UndefinedAt* at) {
  undefined(at, "code that cannot be reached was reached");
}
