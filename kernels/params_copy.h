// Params structs (params.h) of copies, fills and what is put together of them.
#pragma once

// out[out_offset + i . out_stride] = in[in_offset + i . in_stride] for i in shape; offsets and strides count
// elements of itemsize bytes (1, 2, 4 or 8). A stride of 0 or less is fine on the input.
struct StridedCopyParams {
  int ndim;
  int itemsize;
  long long in_offset;
  long long out_offset;
  long long shape[8];
  long long in_stride[8];
  long long out_stride[8];
};

// out[:count] = value, the first itemsize bytes (1, 2, 4 or 8) of `value`.
struct FillParams {
  int itemsize;
  long long count;
  long long value;
};

// Array `output`, of `count` elements, filled with `value`, of which the first bytes count.
struct FillArrayParams {
  int output;
  int unused;
  long long count;
  long long value;
};

// pieces: a result put together by strided copies (slice, concatenate, pad, set_slice). dtype counts in
// symconv's order: bool int8 uint8 int16 int32 int64 float32 float64. The tail holds, for each piece, a
// PieceParams and a StridedCopyParams.
struct PiecesParams {
  int n_pieces;
  int dtype;
};

// One piece: from input `source` into the output. add: += instead of =. whole: the piece is the identity, left
// out where input and output are one buffer. Each int64 scalar in input start_input[i], which must lie in
// start_low..start_high, adds start_stride elements to the offset of the input (moving 0) or output (1).
struct PieceParams {
  int source;
  int add;
  int whole;
  int moving;
  int n_starts;
  int start_input[8];
  long long start_stride[8];
  long long start_low[8];
  long long start_high[8];
};

// out[out_offset + i . out_stride] = (or +=) inputs[source][in_offset + i . in_stride], in units of one or more
// elements (unit bytes); ndim >= 1. Starts and `whole` as in PieceParams. per: units of a thread. Along rows the
// input is dense, along cols the output, for the kernel that transposes. first_tile: of this piece among others.
struct MoveParams {
  int source;
  int output;
  int itemsize;
  int unit;
  int ndim;
  int per;
  int whole;
  int moving;
  int rows;
  int cols;
  int n_starts;
  int tiles;
  long long first_tile;
  long long count;
  long long in_offset;
  long long out_offset;
  long long shape[8];
  long long in_stride[8];
  long long out_stride[8];
  int multiplier[8];
  int shift[8];
  int start_input[8];
  long long start_stride[8];
  long long start_low[8];
  long long start_high[8];
};

// Several pieces of one output, which touch different elements; their MoveParams are the tail.
struct MovesParams {
  int n_pieces;
  int unused;
};

// out[i] = start + i * step for i < count; start and step are inputs of the same dtype.
struct ArangeParams {
  int dtype;
  long long count;
};

// out[i, j] = one where j - i == k, 0 elsewhere; out is n x m.
struct EyeParams {
  int itemsize;
  long long n;
  long long m;
  long long k;
  long long one;
};
