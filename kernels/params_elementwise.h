// Params structs (params.h) of element-wise programs and loops.
#pragma once

// Runs n_ops instructions (kernels/elementwise_ops.h) over every element of the output shape, whose dimensions
// are merged where all inputs allow it. The tail holds n_in ElementwiseInput, then n_ops ElementwiseOp.
struct ElementwiseParams {
  int n_in;
  int n_out;
  int n_ops;
  int n_slots;
  int ndim;
  int unused;
  long long shape[8];
};

// Bit d of dims: the input extends along dimension d of the output; along the others it is broadcast.
struct ElementwiseInput {
  int dtype;
  int dims;
};

// Arguments below n_in are inputs, the others results of earlier instructions (n_in + index). The result goes
// to output -1 - place if place is negative, else to scratch slot `place`.
struct ElementwiseOp {
  int opcode;
  int operand_dtype;
  int result_dtype;
  int place;
  int args[3];
  int unused;
  double immediate;
};

// The generated element-wise kernels: `count` elements of a shape merged as in ElementwiseParams. The inputs that do
// not span it are broadcast in at most eight ways; way b steps stride[8 b + d] elements along dimension d. quad: the
// last dimension is a multiple of the elements that a thread does. multiplier, shift: of the lengths (params.h).
struct ElementwiseLoopParams {
  int ndim;
  int quad;
  long long count;
  long long shape[8];
  int multiplier[8];
  int shift[8];
  long long stride[64];
};
