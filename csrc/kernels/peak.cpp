// What the machine can do at most, for the roofline of profiles (symconv/see/roofline.py). No op uses these.
//   peak_fma     `count` threads (0: all): `rounds` times 12 independent a = a * b + c on vectors each.
//                out[0] = operations done.
//   peak_handover  two threads answer one another `rounds` times through one cache line. out[0] = answers; fewer
//                where the second thread does not come, as with a pool of one.
//   peak_stream  c[i] = a[i] + 0.5 * b[i] for i < count, floats, `rounds` times over; every thread keeps to its part.
#include <algorithm>

#include "parallel.h"
#include "params.h"
#include "simd.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr long long kMostRounds = 1LL << 40;
constexpr int kChains = 12;  // the latency of an FMA times the units that a core has, or more

template <class T, class V>
double fma_chains(long long rounds, int lanes) {
  const V b = set1(T(0.999)), c = set1(T(0.001));
  V a[kChains];
  for (int k = 0; k < kChains; k++) a[k] = set1(T(k));
  for (long long r = 0; r < rounds; r++)
    for (int k = 0; k < kChains; k++) a[k] = fma(a[k], b, c);
  double sum = 0;
  for (int k = 0; k < kChains; k++)
    for (int i = 0; i < lanes; i++) sum += static_cast<double>(a[k][i]);
  return sum;
}

void run_peak_fma(const Launch& l) {
  const PeakParams& p = params_as<PeakParams>(l);
  double* out = static_cast<double*>(l.out[0]);
  int all = l.pool ? l.pool->size() : 1, lanes = p.itemsize == 4 ? VF_WIDTH : VD_WIDTH;
  int threads = p.count ? static_cast<int>(std::min<long long>(p.count, all)) : all;
  double* sums = static_cast<double*>(l.workspace);
  parallel_for(l.pool, threads, [&](int task, int) {
    sums[task] =
        p.itemsize == 4 ? fma_chains<float, vf>(p.rounds, lanes) : fma_chains<double, vd>(p.rounds, lanes);
  });
  out[0] = 2.0 * kChains * lanes * static_cast<double>(p.rounds) * threads;
  out[1] = 0;  // read by nobody: without it the compiler could leave the sums, and then the loops, out
  for (int t = 0; t < threads; t++) out[1] += sums[t];
}

void check_peak(const Sizes& s, const char* kernel) {
  const PeakParams& p = params_as<PeakParams>(s, kernel);
  if (p.itemsize != 4 && p.itemsize != 8) fail("%s: itemsize is %d, expected 4 or 8", kernel, p.itemsize);
  if (p.rounds < 0 || p.rounds > kMostRounds) fail("%s: rounds is %lld", kernel, p.rounds);
  if (p.count < 0 || p.count > kMostRounds) fail("%s: count is %lld", kernel, p.count);
}

void check_peak_fma(const Sizes& s) {
  require_counts(s, "peak_fma", 0, 1);
  check_peak(s, "peak_fma");
  require_bytes("peak_fma", "output", s.out_bytes[0], 2 * sizeof(double));
}

size_t workspace_peak_fma(const Sizes& s) { return static_cast<size_t>(s.threads) * sizeof(double); }

constexpr int kPatience = 1 << 20;  // looks at the line before a thread gives up

// Waits for `wanted` in a line of which the other thread is the writer.
bool awaited(const long long& line, long long wanted) {
  for (int i = 0; i < kPatience; i++)
    if (__atomic_load_n(&line, __ATOMIC_ACQUIRE) == wanted) return true;
  return false;
}

void run_peak_handover(const Launch& l) {
  const long long rounds = params_as<PeakParams>(l).rounds;
  alignas(64) long long line = 0;  // odd: written by the first thread
  alignas(64) bool alone = false;  // for whoever comes later
  long long answers = 0;
  parallel_for(l.pool, 2, [&](int task, int) {
    for (long long r = 0; r < rounds && !__atomic_load_n(&alone, __ATOMIC_RELAXED); r++) {
      if (task == 0) __atomic_store_n(&line, 2 * r + 1, __ATOMIC_RELEASE);
      if (!awaited(line, 2 * r + 2 - task)) {
        __atomic_store_n(&alone, true, __ATOMIC_RELAXED);
        break;
      }
      if (task == 0)
        answers++;
      else
        __atomic_store_n(&line, 2 * r + 2, __ATOMIC_RELEASE);
    }
  });
  *static_cast<double*>(l.out[0]) = static_cast<double>(answers);
}

void check_peak_handover(const Sizes& s) {
  require_counts(s, "peak_handover", 0, 1);
  check_peak(s, "peak_handover");
  require_bytes("peak_handover", "output", s.out_bytes[0], sizeof(double));
}

// Not in the lambda below: what that captures could be aliased by the stores, and would be read again every time.
void stream(const float* a, const float* b, float* c, long long count, long long rounds) {
  constexpr int kStep = 4 * VF_WIDTH;
  const vf half = set1(0.5f);
  for (long long r = 0; r < rounds; r++) {
    long long i = 0;
    for (; i + kStep <= count; i += kStep)
      for (int k = 0; k < kStep; k += VF_WIDTH) store(c + i + k, fma(load(b + i + k), half, load(a + i + k)));
    for (; i < count; i++) c[i] = a[i] + 0.5f * b[i];
    asm volatile("" ::: "memory");  // every round counts
  }
}

void run_peak_stream(const Launch& l) {
  const PeakParams& p = params_as<PeakParams>(l);
  parallel_range(l.pool, p.count, 64, [&](long long begin, long long end, int) {
    stream(static_cast<const float*>(l.in[0]) + begin, static_cast<const float*>(l.in[1]) + begin,
           static_cast<float*>(l.out[0]) + begin, end - begin, p.rounds);
  });
}

void check_peak_stream(const Sizes& s) {
  require_counts(s, "peak_stream", 2, 1);
  check_peak(s, "peak_stream");
  size_t bytes = static_cast<size_t>(params_as<PeakParams>(s, "peak_stream").count) * sizeof(float);
  for (int k = 0; k < 2; k++) require_bytes("peak_stream", "input", s.in_bytes[k], bytes);
  require_bytes("peak_stream", "output", s.out_bytes[0], bytes);
}

}  // namespace

void register_peak(Registrar& r) {
  r.add({"peak_fma", run_peak_fma, check_peak_fma, workspace_peak_fma});
  r.add({"peak_handover", run_peak_handover, check_peak_handover, nullptr});
  r.add({"peak_stream", run_peak_stream, check_peak_stream, nullptr});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
