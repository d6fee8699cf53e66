// elementwise: runs a program of element-wise instructions over every element of the output shape.
//
// A machine over blocks of a few hundred elements that stay in the first-level cache. Each instruction is one
// tight loop (elementwise_loops.h); inputs that span the output are read in place and the last instructions
// write into the output, so a chain of any length reads and writes memory once. Outputs that no cache holds are
// written past the caches (kStreamBytes), which spares reading them first. How a broadcast input is read:
//
//   single   one value for all elements: by the loops that take a single operand, else from a buffer filled with it
//   repeats  a pattern of up to kMaxPeriod elements: laid out once, a period longer than a block, read at its phase
//   spread   block by block into a buffer. Where the last dimension is long, blocks end with it, and within a
//            block such an input is read in place or is a single value
#include "elementwise_machine.h"
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr double kShareCost = 25000;  // additions (some 2 us) that each thread must have at least

// A line, past the caches; to: aligned.
void stream_line(char* to, const char* from) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(from));
#elif defined(__AVX2__)
  for (int i = 0; i < 64; i += 32)
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i),
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i)));
#elif defined(__x86_64__)
  for (int i = 0; i < 64; i += 16)
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + i),
                     _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
#else
  memcpy(to, from, 64);
#endif
}

// to[0, bytes) = from[0, bytes), past the caches by whole lines; meanwhile next[0, ahead) is fetched.
void stream(char* to, const char* from, size_t bytes, const char* next, size_t ahead) {
  size_t head = -reinterpret_cast<uintptr_t>(to) & 63;
  if (head > bytes) head = bytes;
  memcpy(to, from, head);
  size_t i = head;
  for (; i + 64 <= bytes && i < ahead; i += 64) {
    __builtin_prefetch(next + i);
    stream_line(to + i, from + i);
  }
  for (; i + 64 <= bytes; i += 64) stream_line(to + i, from + i);
  memcpy(to + i, from + i, bytes - i);
}

// Orders streamed writes before whatever tells other threads of them.
void end_streams() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// Output elements [begin, end).
void Machine::run(const Launch& launch, long long begin, long long end, int part) const {
  const ElementwiseParams& p = *program.params;
  char* scratch = static_cast<char*>(launch.workspace) + part_begin(part, layout.per_thread);
  void* value[kMaxInputs + kMaxOps];
  char* buffer[kMaxInputs];
  for (int i = 0; i < p.n_ops; i++)
    if (program.ops[i].place >= 0) value[p.n_in + i] = scratch + program.ops[i].place * layout.buffer;
  scratch += p.n_slots * layout.buffer;
  // An output that is an input too has been read already: nothing is spared.
  bool streams[kMaxOps];
  for (int i = 0; i < p.n_ops; i++) {
    const int place = program.ops[i].place;
    streams[i] = place < 0 && layout.streams;
    if (!streams[i]) continue;
    for (int k = 0; k < p.n_in; k++) streams[i] &= launch.in[k] != launch.out[-1 - place];
    value[p.n_in + i] = scratch + (-1 - place) * layout.buffer;
  }
  if (layout.streams) scratch += p.n_out * layout.buffer;
  for (int i = 0; i < p.n_in; i++) {
    const Source& s = layout.source[i];
    if (s.kind == kSpans) continue;
    int size = kItemSize[program.inputs[i].dtype];
    buffer[i] = scratch;
    scratch += layout.buffer;
    if (s.kind == kRepeats) {
      spread(p, s, launch.in[i], 0, layout.block + s.period, buffer[i], size);
      scratch += (s.period * size + 63) / 64 * 64;
    } else if (s.kind == kSingle) {
      value[i] = filled[i] ? buffer[i] : launch.in[i];
      if (filled[i]) fill(buffer[i], launch.in[i], layout.block, size);
    }
  }
  // With rows: where the row of the block begins in each spread input, and how far along it the block is.
  long long row = p.ndim ? p.shape[p.ndim - 1] : 1, index[kMaxDims], offset[kMaxInputs], column = 0;
  if (layout.rows) {
    column = begin % row;
    long long rest = begin / row;
    for (int d = p.ndim - 2; d >= 0; d--) {
      index[d] = rest % p.shape[d];
      rest /= p.shape[d];
    }
  }
  bool new_row = true;
  for (long long at = begin; at < end;) {
    long long n = end - at < layout.block ? end - at : layout.block;
    if (layout.rows && row - column < n) n = row - column;
    for (int i = 0; i < p.n_in; i++) {
      const Source& s = layout.source[i];
      int size = kItemSize[program.inputs[i].dtype];
      char* x = static_cast<char*>(launch.in[i]);
      if (s.kind == kSpans) {
        value[i] = x + at * size;
      } else if (s.kind == kRepeats) {
        value[i] = buffer[i] + at % s.period * size;
      } else if (s.kind == kSpread && !layout.rows) {
        spread(p, s, x, at, n, buffer[i], size);
        value[i] = buffer[i];
      } else if (s.kind == kSpread) {
        if (new_row) {
          offset[i] = 0;
          for (int d = 0; d < p.ndim - 1; d++) offset[i] += index[d] * s.stride[d];
        }
        if (!s.single) {
          value[i] = x + (offset[i] + column) * size;
        } else if (new_row) {
          value[i] = filled[i] ? buffer[i] : x + offset[i] * size;
          if (filled[i]) fill(buffer[i], x + offset[i] * size, layout.block, size);
        }
      }
    }
    for (int i = 0; i < p.n_ops; i++) {
      const ElementwiseOp& op = program.ops[i];
      if (op.place < 0 && !streams[i])
        value[p.n_in + i] = static_cast<char*>(launch.out[-1 - op.place]) + at * kItemSize[op.result_dtype];
    }
    for (int i = 0; i < n_instructions; i++) {
      const Instruction& instruction = instructions[i];
      const void* in[kMaxArgs];
      for (int k = 0; k < kMaxArgs; k++) {
        const int which = instruction.args[k];
        in[k] = which < 0 ? kSingles + (-1 - which) : value[which];
      }
      instruction.loop(in, value[p.n_in + instruction.result], n, instruction.immediate);
    }
    if (layout.streams) {
      const char* next = nullptr;
      size_t bytes = 0;
      if (ahead >= 0) {
        const int size = kItemSize[program.inputs[ahead].dtype];
        next = static_cast<const char*>(launch.in[ahead]) + (at + n) * size;
        bytes = static_cast<size_t>((end - at - n < n ? end - at - n : n) * size);
      }
      for (int i = 0; i < p.n_ops; i++) {
        if (!streams[i]) continue;
        const ElementwiseOp& op = program.ops[i];
        const size_t size = kItemSize[op.result_dtype];
        stream(static_cast<char*>(launch.out[-1 - op.place]) + at * size,
               static_cast<const char*>(value[p.n_in + i]), n * size, next, bytes);
        bytes = 0;  // it is under way
      }
    }
    at += n;
    if (!layout.rows) continue;
    column += n;
    new_row = column == row;
    if (!new_row) continue;
    column = 0;
    for (int d = p.ndim - 2; d >= 0 && ++index[d] == p.shape[d]; d--) index[d] = 0;
  }
  if (layout.streams) end_streams();
}

void run(const Launch& launch) {
  const ElementwiseParams& p = params_as<ElementwiseParams>(launch);
  const Machine machine(p);
  double cost = 0;
  for (int i = 0; i < p.n_ops; i++) {
    const ElementwiseOp& op = machine.program.ops[i];
    cost += kCost[op.opcode] * (op.operand_dtype == dtype_float64 ? 2.0 : 1.0);
  }
  for (int i = 0; i < p.n_in; i++) cost += machine.layout.source[i].kind == kSpans;  // it may miss the caches
  parallel_range(launch.pool, count(p), static_cast<long long>(kShareCost / cost) + 1,
                 [&](long long begin, long long end, int part) { machine.run(launch, begin, end, part); });
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
  return parts_end(s.threads,
                   layout_of(program_at(params_as<ElementwiseParams>(s, "elementwise"))).per_thread);
}

}  // namespace

void register_elementwise(Registrar& r);
void register_elementwise(Registrar& r) { r.add({"elementwise", run, check, workspace}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
