// Where a process stands that hangs or dies in a kernel: `symconv kernel check` runs kernels in a process of its own, asks
// it by a signal when its time is up, and puts lines in the place of {library+offset}.
#include <dlfcn.h>
#include <execinfo.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

namespace {

constexpr int kFrames = 32;
struct sigaction before[NSIG];
char stack[1 << 16];  // a handler must work where the stack has overflown

void report(int signal) {
  void* frames[kFrames];
  int n = backtrace(frames, kFrames);
  for (int i = 0; i < n; i++) {
    Dl_info info;
    if (!dladdr(frames[i], &info) || !info.dli_fname) continue;
    char line[600];
    size_t offset = static_cast<const char*>(frames[i]) - static_cast<const char*>(info.dli_fbase) - 1;
    int size = std::snprintf(line, sizeof line, "at {%s+%zx}\n", info.dli_fname, offset);
    if (size > 0 && write(STDERR_FILENO, line, size) < 0) return;
  }
  if (signal == SIGUSR2) return;
  sigaction(signal, &before[signal], nullptr);  // Python's faulthandler, or the end
  raise(signal);
}

}  // namespace

// SIGUSR2, and signals that end the process, tell the stack first.
extern "C" __attribute__((visibility("default"))) void symconv_report_signals() {
  void* first[1];
  backtrace(first, 1);  // loads what it needs
  stack_t alternative = {};
  alternative.ss_sp = stack;
  alternative.ss_size = sizeof stack;
  sigaltstack(&alternative, nullptr);
  struct sigaction action = {};
  action.sa_handler = report;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  constexpr int signals[] = {SIGUSR2, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
  for (int s : signals) sigaction(s, &action, &before[s]);
}
