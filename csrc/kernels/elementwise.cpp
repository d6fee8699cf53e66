// elementwise: runs a program of element-wise instructions over every element of the output shape.
//
// A machine over blocks of a few hundred elements that stay in the first-level cache. Each instruction is one
// tight loop (elementwise_loops.h); inputs that span the output are read in place and the last instructions
// write into the output, so a chain of any length reads and writes memory once. Broadcast inputs come in three
// kinds: a single value is spread over a block-sized buffer once; a row that repeats (bias along the last
// dimension) once, over a buffer of a block and a period, and is then read at its phase; all others are
// spread block by block. Where the last dimension is long, blocks end at its end instead, and an input is
// either read in place or a single value within the block.
#include <string.h>

#include "elementwise_loops.h"
#include "parallel.h"
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kMaxInputs = 32, kMaxOps = 128, kMaxDims = 8;
constexpr long long kLongRow = 192;          // last dimensions from here on bound the blocks
constexpr long long kMaxPeriod = 1024;       // of a repeated row
constexpr long long kCacheBytes = 24 << 10;  // that the buffers of a block may take
constexpr double kShareCost = 60000;         // additions; below that one thread is sooner done

constexpr int kOperands[kOpcodes] = {
#define ELEMENTWISE_OP(name, operands, cost) operands,
#include "elementwise_ops.h"
#undef ELEMENTWISE_OP
};
constexpr int kCost[kOpcodes] = {
#define ELEMENTWISE_OP(name, operands, cost) cost,
#include "elementwise_ops.h"
#undef ELEMENTWISE_OP
};

Loop find_loop(const ElementwiseOp& op) {
  if (op.opcode == op_cast) return cast_loop(op.operand_dtype, op.result_dtype);
  Loop loop = arithmetic_loop(op.opcode, op.operand_dtype);
  if (!loop) loop = logic_loop(op.opcode, op.operand_dtype);
  if (!loop && op.operand_dtype == dtype_float32) loop = float32_loop(op.opcode);
  if (!loop && op.operand_dtype == dtype_float64) loop = float64_loop(op.opcode);
  return loop;
}

bool gives_bool(int opcode) {
  return (opcode >= op_eq && opcode <= op_ge) || (opcode >= op_isnan && opcode <= op_isfinite);
}

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

// How an input is read; `dims` are the bits of the dimensions it spans.
struct Source {
  Kind kind;
  long long period;            // of kRepeats
  long long stride[kMaxDims];  // of its elements along each dimension of the output; 0 where broadcast
};

Source source_of(const ElementwiseParams& p, int dims, bool rows) {
  Source s{};
  long long size = 1;
  for (int d = p.ndim - 1; d >= 0; d--)
    if (dims >> d & 1) {
      s.stride[d] = size;
      size *= p.shape[d];
    }
  int all = (1 << p.ndim) - 1;
  if (dims == all) {
    s.kind = kSpans;
  } else if (dims == 0) {
    s.kind = kSingle;
  } else {
    // The dimensions spanned are the last ones: the complement, shifted, is 0...01...1.
    bool last = ((all ^ dims) & ((all ^ dims) + 1)) == 0;
    s.kind = !rows && last && size <= kMaxPeriod ? kRepeats : kSpread;
    s.period = size;
  }
  return s;
}

// Sizes that check, workspace and run agree on.
struct Layout {
  bool rows;        // blocks end with the last dimension
  long long block;  // elements
  size_t buffer;    // bytes of one block-sized buffer, and of one thread's workspace
  size_t per_thread;
  Source source[kMaxInputs];
};

Layout layout_of(const Program& program) {
  const ElementwiseParams& p = *program.params;
  Layout l{};
  bool partial = false;
  int widest = 1, buffers = p.n_slots + p.n_out;
  int all = (1 << p.ndim) - 1;
  for (int i = 0; i < p.n_in; i++) {
    partial |= program.inputs[i].dims != all && program.inputs[i].dims != 0;
    int size = kItemSize[program.inputs[i].dtype];
    widest = size > widest ? size : widest;
  }
  for (int i = 0; i < p.n_ops; i++) {
    int size = kItemSize[program.ops[i].result_dtype];
    widest = size > widest ? size : widest;
  }
  buffers += p.n_in;
  l.rows = partial && p.shape[p.ndim - 1] >= kLongRow;
  l.block = kCacheBytes / (buffers * widest) / 64 * 64;
  l.block = l.block < 256 ? 256 : l.block > 2048 ? 2048 : l.block;
  long long n = count(p);
  if (l.rows && l.block > p.shape[p.ndim - 1]) l.block = p.shape[p.ndim - 1];
  if (l.block > n) l.block = n > 0 ? n : 1;
  l.buffer = (l.block * widest + 63) / 64 * 64 + 64;  // 64 more: buffers a multiple of 4 KiB apart collide
  l.per_thread = p.n_slots * l.buffer;
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

struct Instruction {
  Loop loop;
  int args[3];
  int operands;
  double immediate;
};

// One thread's share: output elements [begin, end).
void run_range(const Launch& launch, const Program& program, const Layout& layout,
               const Instruction* instructions, long long begin, long long end, int part) {
  const ElementwiseParams& p = *program.params;
  char* scratch = static_cast<char*>(launch.workspace) + part * layout.per_thread;
  void* value[kMaxInputs + kMaxOps];
  char* buffer[kMaxInputs];
  auto take = [&](size_t bytes) {
    char* here = scratch;
    scratch += bytes;
    return here;
  };
  char* slots = take(p.n_slots * layout.buffer);
  for (int i = 0; i < p.n_ops; i++)
    if (program.ops[i].place >= 0) value[p.n_in + i] = slots + program.ops[i].place * layout.buffer;
  for (int i = 0; i < p.n_in; i++) {
    const Source& s = layout.source[i];
    int size = kItemSize[program.inputs[i].dtype];
    if (s.kind == kSpans) continue;
    buffer[i] = take(layout.buffer);
    if (s.kind == kSingle) {
      fill(buffer[i], launch.in[i], layout.block, size);
      value[i] = buffer[i];
    } else if (s.kind == kRepeats) {
      take((s.period * size + 63) / 64 * 64);
      long long filled = 0, whole = layout.block + s.period;
      for (; filled < whole; filled += s.period) {
        long long n = whole - filled < s.period ? whole - filled : s.period;
        memcpy(buffer[i] + filled * size, launch.in[i], n * size);
      }
    }
  }
  long long row = p.ndim ? p.shape[p.ndim - 1] : 1;
  for (long long at = begin; at < end;) {
    long long n = end - at < layout.block ? end - at : layout.block;
    if (layout.rows) {
      long long left = row - at % row;
      n = left < n ? left : n;
    }
    for (int i = 0; i < p.n_in; i++) {
      const Source& s = layout.source[i];
      int size = kItemSize[program.inputs[i].dtype];
      char* x = static_cast<char*>(launch.in[i]);
      if (s.kind == kSpans) {
        value[i] = x + at * size;
      } else if (s.kind == kRepeats) {
        value[i] = buffer[i] + at % s.period * size;
      } else if (s.kind == kSpread) {
        if (layout.rows) {
          long long offset = 0, rest = at;
          for (int d = p.ndim - 1; d >= 0; d--) {
            offset += rest % p.shape[d] * s.stride[d];
            rest /= p.shape[d];
          }
          if (s.stride[p.ndim - 1]) {
            value[i] = x + offset * size;
            continue;
          }
          fill(buffer[i], x + offset * size, n, size);
        } else {
          spread(p, s, x, at, n, buffer[i], size);
        }
        value[i] = buffer[i];
      }
    }
    for (int i = 0; i < p.n_ops; i++) {
      const ElementwiseOp& op = program.ops[i];
      if (op.place < 0)
        value[p.n_in + i] = static_cast<char*>(launch.out[-1 - op.place]) + at * kItemSize[op.result_dtype];
    }
    for (int i = 0; i < p.n_ops; i++) {
      const Instruction& instruction = instructions[i];
      const void* in[3];
      for (int k = 0; k < 3; k++) in[k] = value[instruction.args[k]];
      instruction.loop(in, value[p.n_in + i], n, instruction.immediate);
    }
    at += n;
  }
}

void run(const Launch& launch) {
  Program program = program_at(params_as<ElementwiseParams>(launch));
  const ElementwiseParams& p = *program.params;
  Layout layout = layout_of(program);
  Instruction instructions[kMaxOps];
  double cost = 0;
  for (int i = 0; i < p.n_ops; i++) {
    const ElementwiseOp& op = program.ops[i];
    instructions[i].loop = find_loop(op);
    instructions[i].immediate = op.immediate;
    for (int k = 0; k < 3; k++) instructions[i].args[k] = k < kOperands[op.opcode] ? op.args[k] : op.args[0];
    cost += kCost[op.opcode] * (op.operand_dtype == dtype_float64 ? 2.0 : 1.0);
  }
  for (int i = 0; i < p.n_in; i++)
    cost += layout.source[i].kind == kSpans;  // a load that may miss the caches
  long long n = count(p);
  parallel_range(launch.pool, n, static_cast<long long>(kShareCost / cost) + 1,
                 [&](long long begin, long long end, int part) {
                   run_range(launch, program, layout, instructions, begin, end, part);
                 });
}

void check(const Sizes& s) {
  const char* name = "elementwise";
  const ElementwiseParams& p = params_as<ElementwiseParams>(s, name);
  if (p.n_in < 0 || p.n_in > kMaxInputs || p.n_ops < 1 || p.n_ops > kMaxOps || p.ndim < 0 ||
      p.ndim > kMaxDims || p.n_slots < 0 || p.n_slots > kMaxOps)
    fail("%s: %d inputs, %d instructions, %d slots, %d dimensions", name, p.n_in, p.n_ops, p.n_slots, p.ndim);
  require_counts(s, name, p.n_in, p.n_out);
  size_t need = sizeof p + p.n_in * sizeof(ElementwiseInput) + p.n_ops * sizeof(ElementwiseOp);
  require_bytes(name, "the params", s.params_bytes, need);
  Program program = program_at(p);
  int dtype[kMaxInputs + kMaxOps];
  for (int d = 0; d < p.ndim; d++)
    if (p.shape[d] < 0) fail("%s: dimension %d is %lld", name, d, p.shape[d]);
  for (int i = 0; i < p.n_in; i++) {
    const ElementwiseInput& input = program.inputs[i];
    if (input.dtype < 0 || input.dtype >= kDTypes || input.dims < 0 || input.dims >> p.ndim)
      fail("%s: input %d has dtype %d, dimensions %#x", name, i, input.dtype, input.dims);
    dtype[i] = input.dtype;
    size_t bytes = kItemSize[input.dtype];
    for (int d = 0; d < p.ndim; d++)
      if (input.dims >> d & 1) bytes *= p.shape[d];
    require_bytes(name, "an input", s.in_bytes[i], bytes);
  }
  int written = 0;
  for (int i = 0; i < p.n_ops; i++) {
    const ElementwiseOp& op = program.ops[i];
    if (op.opcode < 0 || op.opcode >= kOpcodes) fail("%s: instruction %d has code %d", name, i, op.opcode);
    if (op.operand_dtype < 0 || op.operand_dtype >= kDTypes || op.result_dtype < 0 ||
        op.result_dtype >= kDTypes)
      fail("%s: instruction %d has dtypes %d, %d", name, i, op.operand_dtype, op.result_dtype);
    for (int k = 0; k < kOperands[op.opcode]; k++) {
      if (op.args[k] < 0 || op.args[k] >= p.n_in + i)
        fail("%s: instruction %d reads value %d", name, i, op.args[k]);
      int expected = op.opcode == op_where && k == 0 ? static_cast<int>(dtype_bool) : op.operand_dtype;
      if (dtype[op.args[k]] != expected)
        fail("%s: instruction %d operand %d has dtype %d, expected %d", name, i, k, dtype[op.args[k]],
             expected);
    }
    int result = op.opcode == op_cast    ? op.result_dtype
                 : gives_bool(op.opcode) ? static_cast<int>(dtype_bool)
                                         : op.operand_dtype;
    if (op.result_dtype != result || !find_loop(op))
      fail("%s: no instruction %d from dtype %d to %d", name, op.opcode, op.operand_dtype, op.result_dtype);
    dtype[p.n_in + i] = op.result_dtype;
    if (op.place >= 0) {
      if (op.place >= p.n_slots)
        fail("%s: instruction %d writes slot %d of %d", name, i, op.place, p.n_slots);
      continue;
    }
    if (-1 - op.place >= p.n_out) fail("%s: instruction %d writes output %d", name, i, -1 - op.place);
    require_bytes(name, "an output", s.out_bytes[-1 - op.place], count(p) * kItemSize[op.result_dtype]);
    written++;
  }
  if (written != p.n_out) fail("%s: %d of %d outputs are written", name, written, p.n_out);
}

size_t workspace(const Sizes& s) {
  return layout_of(program_at(params_as<ElementwiseParams>(s, "elementwise"))).per_thread * s.threads;
}

}  // namespace

void register_elementwise(Registrar& r);
void register_elementwise(Registrar& r) { r.add({"elementwise", run, check, workspace}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
