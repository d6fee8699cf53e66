// The program of an element-wise node, how its inputs are read, and the sizes of its buffers. Included by
// elementwise.cpp alone.
#pragma once
#include <string.h>

#include "elementwise_loops.h"
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kMaxInputs = 32, kMaxOps = 128, kMaxDims = 8;
constexpr long long kLongRow = 192;          // last dimensions from here on bound the blocks
constexpr long long kMaxPeriod = 4096;       // of a repeated pattern
constexpr long long kCacheBytes = 24 << 10;  // that the buffers of a block may take
constexpr long long kStreamBytes =
    32 << 20;  // of an output from which on it bypasses the caches: more than they hold

struct Program {
  const ElementwiseParams* params;
  const ElementwiseInput* inputs;
  const ElementwiseOp* ops;
};

Program program_at(const ElementwiseParams& p) {
  auto* inputs = reinterpret_cast<const ElementwiseInput*>(&p + 1);
  return {&p, inputs, reinterpret_cast<const ElementwiseOp*>(inputs + p.n_in)};
}

long long count(const ElementwiseParams& p) {
  long long n = 1;
  for (int d = 0; d < p.ndim; d++) n *= p.shape[d];
  return n;
}

enum Kind { kSpans, kSingle, kRepeats, kSpread };

// How an input is read.
struct Source {
  Kind kind;
  bool single;                 // one value within a block
  long long period;            // of kRepeats: elements after which it starts anew
  long long stride[kMaxDims];  // of its elements along each dimension of the output; 0 where broadcast
};

// `dims` are the bits of the dimensions that the input spans; `rows`: blocks end with the last dimension.
Source source_of(const ElementwiseParams& p, int dims, bool rows) {
  Source s;
  s.single = false;
  s.period = 1;
  long long size = 1, total = 1;
  int outermost = p.ndim;
  for (int d = p.ndim - 1; d >= 0; d--) {
    total *= p.shape[d];
    s.stride[d] = 0;
    if (!(dims >> d & 1)) continue;
    s.stride[d] = size;
    size *= p.shape[d];
    s.period = total;
    outermost = d;
  }
  if (dims == (1 << p.ndim) - 1) {
    s.kind = kSpans;
  } else if (dims == 0) {
    s.kind = kSingle;
    s.single = true;
  } else if (rows) {
    s.kind = kSpread;
    s.single = s.stride[p.ndim - 1] == 0;
  } else {
    s.kind = outermost > 0 && s.period <= kMaxPeriod && 2 * s.period <= total ? kRepeats : kSpread;
  }
  return s;
}

// Sizes that workspace and run agree on.
struct Layout {
  bool rows;
  bool streams;       // outputs are written block by block from buffers of their own, past the caches
  long long block;    // elements
  size_t buffer;      // bytes of one block-sized buffer
  size_t per_thread;  // bytes of one thread's workspace
  Source source[kMaxInputs];
};

Layout layout_of(const Program& program) {
  const ElementwiseParams& p = *program.params;
  Layout l;  // the sources are set one by one: there is room for many, and few are used
  bool partial = false;
  int widest = 1, buffers = p.n_slots + p.n_out;
  long long written = 0;  // bytes for each element
  int all = (1 << p.ndim) - 1;
  for (int i = 0; i < p.n_in; i++) {
    partial |= program.inputs[i].dims != all && program.inputs[i].dims != 0;
    int size = kItemSize[program.inputs[i].dtype];
    widest = size > widest ? size : widest;
  }
  for (int i = 0; i < p.n_ops; i++) {
    int size = kItemSize[program.ops[i].result_dtype];
    widest = size > widest ? size : widest;
    if (program.ops[i].place < 0) written += size;
  }
  buffers += p.n_in;
  l.rows = partial && p.shape[p.ndim - 1] >= kLongRow;
  l.block = kCacheBytes / (buffers * widest) / 64 * 64;
  l.block = l.block < 256 ? 256 : l.block > 2048 ? 2048 : l.block;
  long long n = count(p);
  if (l.rows && l.block > p.shape[p.ndim - 1]) l.block = p.shape[p.ndim - 1];
  if (l.block > n) l.block = n > 0 ? n : 1;
  l.streams = n * written >= kStreamBytes;
  l.buffer = (l.block * widest + 63) / 64 * 64 + 64;  // 64 more: buffers a multiple of 4 KiB apart collide
  l.per_thread = (p.n_slots + (l.streams ? p.n_out : 0)) * l.buffer;
  for (int i = 0; i < p.n_in; i++) {
    l.source[i] = source_of(p, program.inputs[i].dims, l.rows);
    if (l.source[i].kind == kRepeats)
      l.per_thread += (l.source[i].period * kItemSize[program.inputs[i].dtype] + 63) / 64 * 64;
    if (l.source[i].kind != kSpans) l.per_thread += l.buffer;
  }
  return l;
}

template <class T>
void fill(void* out, const void* value, long long n) {
  T v = *static_cast<const T*>(value);
  T* y = static_cast<T*>(out);
  for (long long i = 0; i < n; i++) y[i] = v;
}

void fill(void* out, const void* value, long long n, int itemsize) {
  switch (itemsize) {
    case 1:
      memset(out, *static_cast<const unsigned char*>(value), n);
      break;
    case 2:
      fill<short>(out, value, n);
      break;
    case 4:
      fill<int>(out, value, n);
      break;
    default:
      fill<long long>(out, value, n);
  }
}

// out[i] = x[(position + i) broadcast] for i < n, by runs along the last dimension.
template <class T>
void spread(const ElementwiseParams& p, const Source& s, const T* x, long long position, long long n,
            T* out) {
  int last = p.ndim - 1;
  long long index[kMaxDims], rest = position, at = 0;
  for (int d = last; d >= 0; d--) {
    index[d] = rest % p.shape[d];
    rest /= p.shape[d];
    at += index[d] * s.stride[d];
  }
  while (n > 0) {
    long long run = p.shape[last] - index[last];
    if (run > n) run = n;
    if (s.stride[last]) {
      for (long long i = 0; i < run; i++) out[i] = x[at + i];
    } else {
      T v = x[at];
      for (long long i = 0; i < run; i++) out[i] = v;
    }
    out += run;
    n -= run;
    at += run * s.stride[last];
    index[last] += run;
    for (int d = last; d > 0 && index[d] == p.shape[d]; d--) {
      at += s.stride[d - 1] - index[d] * s.stride[d];
      index[d] = 0;
      index[d - 1]++;
    }
  }
}

void spread(const ElementwiseParams& p, const Source& s, const void* x, long long position, long long n,
            void* out, int itemsize) {
  switch (itemsize) {
    case 1:
      return spread(p, s, static_cast<const char*>(x), position, n, static_cast<char*>(out));
    case 2:
      return spread(p, s, static_cast<const short*>(x), position, n, static_cast<short*>(out));
    case 4:
      return spread(p, s, static_cast<const int*>(x), position, n, static_cast<int*>(out));
    default:
      return spread(p, s, static_cast<const long long*>(x), position, n, static_cast<long long*>(out));
  }
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
