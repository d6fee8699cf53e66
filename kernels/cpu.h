// What a user's CPU kernel starts from. It is a function
//
//     void NAME(const PARAMS& p, const Args& args, ll begin, ll end);
//
// which does items begin to end - 1 of the work, and CPU_KERNEL(entry, PARAMS, NAME). args.get<const float>(i) is array i:
// inputs in the op's order, then outputs, then the workspace; raw<T>(i) is it as a plain pointer. Ranges of items run at
// once on different threads, so an element of the output belongs to one item. An exception ends the run with its text.
//
// `symconv kernel check` compiles the same text for the emulator: every item is then a thread of its own, whose accesses
// are checked.
#pragma once

#if defined(SYMCONV_EMULATED)
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>

#include "common.cuh"
#include "exception.h"

// A fiber that is left for good must not be left inside a handler: the text of an exception is kept.
#define CPU_KERNEL(entry, Params, ...)                                                                 \
  static void entry##_thread(const EmulatedLaunch& l) {                                                \
    Args args{l.args, static_cast<Fault*>(l.fault), l.step};                                           \
    char text[256];                                                                                    \
    try {                                                                                              \
      __VA_ARGS__(*static_cast<const Params*>(l.params), args, blockIdx.x, blockIdx.x + 1);            \
      return;                                                                                          \
    } catch (const std::exception& error) {                                                            \
      emulator::copy_text(error, text, sizeof text);                                                   \
    } catch (...) {                                                                                    \
      std::snprintf(text, sizeof text, "what is no std::exception");                                   \
    }                                                                                                  \
    emulator::current->fail(emulator::site_of(std::source_location::current()), "it threw: %s", text); \
  }                                                                                                    \
  extern "C" __attribute__((visibility("default"))) void entry(EmulatedLaunch* l) {                    \
    emulator::Scheduler(l, #entry, entry##_thread).run();                                              \
  }

#else

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>

#include "call.h"
#include "params.h"

typedef long long ll;

struct Args {
  const SymconvArray* arrays;
  template <class T>
  T* get(int i) const {
    return static_cast<T*>(arrays[i].data);
  }
  template <class T>
  T* raw(int i) const {
    return get<T>(i);
  }
};

#define CPU_KERNEL(entry, Params, ...)                                                                    \
  extern "C" {                                                                                            \
  extern __attribute__((visibility("default"))) const int entry##_abi;                                    \
  const int entry##_abi = SYMCONV_CALL_ABI;                                                               \
  __attribute__((visibility("default"))) int entry(const SymconvCall* call) {                             \
    try {                                                                                                 \
      __VA_ARGS__(*static_cast<const Params*>(call->params), Args{call->arrays}, call->begin, call->end); \
      return 0;                                                                                           \
    } catch (const std::exception& error) {                                                               \
      snprintf(call->message, call->message_bytes, "%s", error.what());                                   \
    } catch (...) {                                                                                       \
      snprintf(call->message, call->message_bytes, "the kernel threw what is no std::exception");         \
    }                                                                                                     \
    return 1;                                                                                             \
  }                                                                                                       \
  }
#endif
