// Memory that is read later, fetched a line at a time while sums are made: in one burst the lines would hold up the
// loads of the sums.
#pragma once

namespace symconv {
namespace SYMCONV_ISA {

// `left` lines, in runs of `run`, each run `step` elements behind the one before.
template <class T>
struct Ahead {
  static constexpr int kLine = 64 / sizeof(T);
  const T* at = nullptr;
  long long step = 0;
  int run = 0;
  long long left = 0;
  int done = 0;  // of the run

  // n elements, or fewer in the last line, from each of `runs` places.
  static Ahead of(const T* at, long long step, long long n, long long runs) {
    const int run = static_cast<int>((n + kLine - 1) / kLine);
    return {at, step, run, run * runs};
  }

  void fetch() {
    if (left <= 0) return;
    __builtin_prefetch(at, 0, 2);
    at += kLine, left--;
    if (++done == run) done = 0, at += step - static_cast<long long>(run) * kLine;
  }
};

}  // namespace SYMCONV_ISA
}  // namespace symconv
