// The instructions of an element-wise program: for each the loop it runs, alone or with its neighbours. Included by
// elementwise.cpp alone.
#pragma once
#include "elementwise_layout.h"
#include "elementwise_loops.h"
#include "parallel.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

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

// The loop that takes one element for operand `which`, or null.
Loop find_single_loop(const ElementwiseOp& op, int which) {
  Loop loop = arithmetic_single_loop(op.opcode, op.operand_dtype, which);
  return loop ? loop : logic_single_loop(op.opcode, op.operand_dtype, which);
}

bool gives_bool(int opcode) {
  return (opcode >= op_eq && opcode <= op_ge) || (opcode >= op_isnan && opcode <= op_isfinite);
}

constexpr int kMaxArgs = 5;
constexpr int kOne = -1, kMinusZero = -2;  // operands that are no values of the program
constexpr float kSingles[] = {1, -0.0f};

struct Instruction {
  Loop loop;
  int args[kMaxArgs];
  int result;  // the op whose value it gives
  double immediate;
};

struct Machine {
  Program program;
  Layout layout;
  Instruction instructions[kMaxOps];
  int n_instructions = 0;
  bool filled[kMaxInputs];  // a single value that some loop wants as a block of copies
  int ahead = -1;           // the input whose next block is fetched while one is written past the caches

  explicit Machine(const ElementwiseParams& p) : program(program_at(p)), layout(layout_of(program)) {
    for (int i = 0; i < p.n_in; i++) filled[i] = false;
    if (layout.streams) ahead = only_spanning();
    for (int i = 0; i < p.n_ops; i++) {
      if (const int taken = add_scaled(i)) {
        i += taken - 1;
        continue;
      }
      if (i + 1 < p.n_ops && add_pair(i)) {
        i++;
        continue;
      }
      const ElementwiseOp& op = program.ops[i];
      int operands = kOperands[op.opcode], singles = 0, which = 0;
      for (int k = 0; k < operands; k++)
        if (is_single(op.args[k])) {
          singles++;
          which = k;
        }
      Loop loop = singles == 1 ? find_single_loop(op, which) : nullptr;
      if (!loop) {
        loop = find_loop(op);
        for (int k = 0; k < operands; k++)
          if (op.args[k] < p.n_in) filled[op.args[k]] = true;
      }
      Instruction& added = instructions[n_instructions++];
      added = {loop, {}, i, op.immediate};
      for (int k = 0; k < kMaxArgs; k++) added.args[k] = op.args[k < operands ? k : 0];
    }
  }

  // The one input that spans the output, or -1: requests for two get in each other's way.
  int only_spanning() const {
    int found = -1;
    for (int i = 0; i < program.params->n_in; i++)
      if (layout.source[i].kind == kSpans) {
        if (found >= 0) return -1;
        found = i;
      }
    return found;
  }

  bool is_single(int value) const { return value < program.params->n_in && layout.source[value].single; }

  // Whether the next op, and it alone, reads what op i gives, once: they may share a loop.
  bool feeds_next(int i) const {
    if (program.ops[i].place < 0) return false;
    int next = 0, all = 0;
    for (int j = i + 1; j < program.params->n_ops; j++)
      for (int k = 0; k < kOperands[program.ops[j].opcode]; k++)
        if (program.ops[j].args[k] == program.params->n_in + i) all++, next += j == i + 1;
    return next == 1 && all == 1;
  }

  // Op i, of float32, is `opcode` of `value` and a single one, which is given; else -1.
  int single_operand(int i, int opcode, int value) const {
    if (i >= program.params->n_ops) return -1;
    const ElementwiseOp& op = program.ops[i];
    if (op.opcode != opcode || op.operand_dtype != dtype_float32) return -1;
    for (int k = 0; k < 2; k++)
      if (op.args[k] == value && op.args[1 - k] != value && is_single(op.args[1 - k])) return op.args[1 - k];
    return -1;
  }

  // Ops from `begin` on as one instruction: a function of float32 with a scale and a shift before it, after it, or both.
  // Returns how many they are, or 0.
  int add_scaled(int begin) {
    const ElementwiseOp* ops = program.ops;
    const int n_in = program.params->n_in;
    int at = begin,
        value = ops[begin].args[kOperands[ops[begin].opcode] == 2 && is_single(ops[begin].args[0])];
    const int block = value;
    if (is_single(block)) return 0;
    int singles[] = {kOne, kMinusZero, kOne, kMinusZero};
    auto take = [&](int which, int opcode) {
      const int single = single_operand(at, opcode, value);
      if (single < 0 || (at > begin && !feeds_next(at - 1))) return;
      singles[which] = single, value = n_in + at++;
    };
    take(0, op_mul), take(1, op_add);
    const int function = at;
    if (function == program.params->n_ops || ops[function].args[0] != value ||
        ops[function].operand_dtype != dtype_float32 || (at > begin && !feeds_next(at - 1)))
      return 0;
    value = n_in + at++;
    take(2, op_mul), take(3, op_add);
    Loop loop = scaled_loop(ops[function].opcode, function > begin, at > function + 1);
    if (!loop || (at == begin + 1 && !layout.streams)) return 0;
    const bool fetches = !n_instructions && block == ahead;  // the next block, by itself
    if (fetches) ahead = -1;
    instructions[n_instructions++] = {loop,
                                      {block, singles[0], singles[1], singles[2], singles[3]},
                                      at - 1,
                                      fetches ? static_cast<double>(layout.block) : 0};
    return at - begin;
  }

  // Op i and the next as one instruction, where the next alone reads what i gives. False where they have no loop.
  bool add_pair(int i) {
    const ElementwiseOp &first = program.ops[i], &second = program.ops[i + 1];
    if (kOperands[first.opcode] != 2 || kOperands[second.opcode] != 2 || !feeds_next(i)) return false;
    const int between = program.params->n_in + i, at = second.args[1] == between;
    const int other = second.args[1 - at];
    const bool reversed = is_single(first.args[0]);
    const int a = first.args[reversed], b = first.args[1 - reversed];
    if (is_single(a)) return false;
    Loop loop = pair_loop_of({first.opcode, is_single(b), reversed},
                             {second.opcode, is_single(other), at == 1}, first.operand_dtype);
    if (!loop) return false;
    instructions[n_instructions++] = {loop, {a, b, other}, i + 1, 0};
    return true;
  }

  void run(const Launch& launch, long long begin, long long end, int part) const;
};

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
