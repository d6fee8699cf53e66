// The params structs of all kernels: the one place that C++, CUDA and Python (symconv/graph/params.py, which parses
// this file) agree on. A plain subset of C: no includes, no nesting; fields are int, long long, float, double or
// fixed arrays of these; natural alignment. Field order is the memory order. A kernel may read a variable-length
// tail behind its struct (params.pack(..., tail=...)).
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

// The largest rates of the machine: count floats, rounds times over; itemsize 4 or 8 of the arithmetic.
struct PeakParams {
  long long count;
  long long rounds;
  int itemsize;
};

// softmax and its kin on [outer, k, inner] along k.
struct SoftmaxParams {
  long long outer;
  long long k;
  long long inner;
};

// Rows of k classes with one label each, an integer of label_bytes bytes.
struct LabelParams {
  long long n;
  long long k;
  int label_bytes;
  int label_unsigned;
};

// Batch normalisation of [outer, c, inner] with statistics [c].
struct BatchNormParams {
  long long outer;
  long long c;
  long long inner;
  double eps;
};

// Batch normalisation on CUDA: blocks take `width` channels and one of `slices` of their elements. Where the axes
// of the channels do not lie side by side, x has ndim axes of these shapes, those with their bit in `kept` being
// the channels', and outer is 1, inner the number of places; otherwise ndim is 0.
struct BatchNormSliceParams {
  long long outer;
  long long c;
  long long inner;
  double eps;
  int width;
  int slices;
  int ndim;
  int kept;
  long long shape[8];
};

// y[o, c, i] = sum of x[o, j, i] for j = c - before ... c + after, cut off at both ends.
struct WindowSumParams {
  long long outer;
  long long c;
  long long inner;
  long long before;
  long long after;
};

// n elements of draw `stream` of `seed` (both as symconv/ops/philox.py has them; seed's bits in a signed number).
struct RandomParams {
  long long n;
  long long seed;
  long long stream;
};

// n draws of a Mersenne twister (csrc/kernels/mt19937.cpp); step 1: a parameter for each draw, 0: one for all. dtype:
// that of the values.
struct MersenneParams {
  long long n;
  long long first_step;
  long long second_step;
  int dtype;
};

// n uniform values from `streams` streams of MRG31k3p, in turn.
struct MrgParams {
  long long n;
  long long streams;
};

// y[i] = half-word i >= threshold ? x[i] * factor : 0 for i < n.
struct DropoutParams {
  long long n;
  long long seed;
  long long stream;
  double factor;
  int threshold;
};

// Draws on CUDA: RandomParams, and the number of the output among the kernel's arrays.
struct RandomDrawParams {
  long long n;
  long long seed;
  long long stream;
  int out;
  int unused;
};

// random_warp of n images (symconv/ops/warp_field.py). turns: of 2^24; crop: the window's size; step: crop / size; bend:
// what a whole number of the elastic field stands for, in pixels.
struct WarpParams {
  long long n;
  long long seed;
  int channels;
  int height;
  int width;
  int crop_height;
  int crop_width;
  int turns;
  int elastic;
  int edge;
  float scale;
  float shear;
  float shift_y;
  float shift_x;
  float step_y;
  float step_x;
  float bend;
};

// random_permutation on CUDA: RandomDrawParams, and in the merging stages the runs of `width` that are sorted before
// stage `stage`, which writes the result if it is the last.
struct PermutationParams {
  long long n;
  long long seed;
  long long stream;
  long long width;
  int out;
  int stage;
  int last;
  int unused;
};

// conv_pool and conv_pool_grad: x [n, c, h, w] with (top, bottom, left, right) of zeros around it, weights
// [k, c, r, s], windows of pool_h x pool_w. activation: 0 linear, 1 relu, 2 sigmoid, 3 tanh.
struct ConvPoolParams {
  int itemsize;
  int n;
  int c;
  int h;
  int w;
  int k;
  int r;
  int s;
  int pool_h;
  int pool_w;
  int top;
  int bottom;
  int left;
  int right;
  int activation;
  int need_dx;
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

// gather: out[o, p, i] = x[o, e0, e1, ..., i], where ek = index k at place p of the shape `picked` (ndim
// dimensions) that the index arrays broadcast to. scatter: x with the same places set to y[o, p, i], or
// increased (add). index_stride[8 k + d] is that of index array k along dimension d.
struct GatherParams {
  int n_index;
  int ndim;
  int dtype;
  int itemsize;
  int add;
  int axis;
  long long outer;
  long long inner;
  long long picked[8];
  long long extent[8];
  int index_dtype[8];
  long long index_stride[64];
};

// out[j, labels[j]] = one, the first itemsize bytes of `one`; 0 elsewhere. out is count x n.
struct OneHotParams {
  int index_dtype;
  int itemsize;
  long long count;
  long long n;
  long long one;
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

// int64 scalars of slices. kind 0: where start begins on an axis of length dim; 1: the length of start:stop on
// it; 2: an index, negative ones counted from the end, checked.
struct SliceBoundParams {
  int kind;
  int axis;
  long long step;
};

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

// The generated element-wise kernels: `count` elements of a shape merged as in ElementwiseParams. The inputs that do
// not span it are broadcast in at most eight ways; way b steps stride[8 b + d] elements along dimension d. quad: the
// last dimension is a multiple of the elements that a thread does. With (multiplier, shift) of a dimension of
// length n, an index i < 2^31 divided by n is (mulhi(i, multiplier) + i) >> shift.
struct ElementwiseLoopParams {
  int ndim;
  int quad;
  long long count;
  long long shape[8];
  int multiplier[8];
  int shift[8];
  long long stride[64];
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

// Reduces the dimensions d of the input with bit d in `reduced`; neighbours of one kind are merged, so they
// alternate. Positions (argmax, argmin) count over the reduced dimensions in C order.
struct ReduceParams {
  int op;
  int dtype;
  int ndim;
  int reduced;
  long long shape[8];
};

// A reduction on CUDA. An output has 2^lane_bits threads, 2^width_bits neighbouring outputs lie side by side in a warp.
// The terms of an output are cut into groups of per_group. stage 0: one group, into the output; 1: all groups, into
// the workspace; 2: from there into the output. Dimensions of either kind without the other, in order.
struct ReduceTileParams {
  int width_bits;
  int lane_bits;
  int stage;
  int kept_ndim;
  int reduced_ndim;
  int unused;
  long long outputs;
  long long terms;
  long long groups;
  long long per_group;
  long long kept_shape[4];
  long long kept_stride[4];
  long long reduced_shape[4];
  long long reduced_stride[4];
  int kept_multiplier[4];
  int kept_shift[4];
  int reduced_multiplier[4];
  int reduced_shift[4];
};

// out[M, N] = epilogue(alpha op(a) op(b) + beta c), for every member of a batch; op(x) swaps rows and columns
// where trans_x is set. Inputs by form: 0 dot (a, b); 1 gemm (c, a, b, alpha, beta); 2 dense_act (x, w, bias);
// 3 dot_mul_act_grad (dy, w, y). activation: 0 linear, 1 relu, 2 sigmoid, 3 tanh, 4 mul.
// dtype: 0 bool, 1 int8, 2 uint8, 3 int16, 4 int32, 5 int64, 6 float32, 7 float64. Batches (form 0 only): member
// (i0, i1, ...) < batch_shape lies a_stride . i elements into a, likewise in b (a stride of 0 repeats one
// matrix); outputs follow each other.
struct GemmParams {
  int form;
  int dtype;
  int trans_a;
  int trans_b;
  int activation;
  int batch_ndim;
  long long m;
  long long n;
  long long k;
  long long batch_shape[6];
  long long a_stride[6];
  long long b_stride[6];
};

// conv2d and its gradients: x [n, c, h, w], w [k, c / groups, r, s], y [n, k, p, q];
// y[., ., i, j] sees x[., ., i * stride_h - top + r * dilation_h, j * stride_w - left + s * dilation_w].
struct ConvParams {
  int itemsize;
  int n;
  int c;
  int h;
  int w;
  int k;
  int r;
  int s;
  int p;
  int q;
  int stride_h;
  int stride_w;
  int top;
  int left;
  int dilation_h;
  int dilation_w;
  int groups;
};

// Pooling of `planes` images [h, w] to [p, q] by windows at (i * stride_h - top, j * stride_w - left), clipped to
// the image. mode divides sums by: 0 the elements of the window on the image or its padding (top, bottom, left,
// right), 1 those on the image, 2 nothing. exponent: of Lp pooling.
struct PoolParams {
  int itemsize;
  int h;
  int w;
  int p;
  int q;
  int window_h;
  int window_w;
  int stride_h;
  int stride_w;
  int top;
  int bottom;
  int left;
  int right;
  int mode;
  long long planes;
  double exponent;
};

// The address of a view: `offset` bytes into its base, plus start * stride, start in 0..last, where has_start.
struct ResolveParams {
  long long offset;
  long long stride;
  long long last;
  int has_start;
};

// n pointers that move from step to step of a loop.
struct AdvanceParams {
  int n;
};

// conv_pool on CUDA: ConvPoolParams, and what a tile does: `rows` pooled rows of `images` images, `groups` groups of
// channels (how many in a group is the kernel's), the input channels shared among `splits` threads and brought
// into shared memory `channels` at a time, in planes `plane` apart. These images take `blocks` tiles along the
// channels and `bands` along the rows. All 0: no tiles, a thread does one output.
struct ConvPoolTileParams {
  int n;
  int c;
  int h;
  int w;
  int k;
  int r;
  int s;
  int pool_h;
  int pool_w;
  int top;
  int bottom;
  int left;
  int right;
  int activation;
  int rows;
  int images;
  int groups;
  int splits;
  int channels;
  int plane;
  int blocks;
  int bands;
};

// conv_pool_grad on CUDA. dx: a tile is `dx_rows` rows of one image in `dx_groups` groups of `dx_channels`
// channels, from `windows` windows and `maps` output channels at a time; dx_stage: with its weights in shared memory.
// dw: a tile is one channel k and `dw_values` values of dw[k], from one of `parts` of the images.
struct ConvPoolGradTileParams {
  int n;
  int c;
  int h;
  int w;
  int k;
  int r;
  int s;
  int pool_h;
  int pool_w;
  int top;
  int bottom;
  int left;
  int right;
  int activation;
  int need_dx;
  int dw_tiles;
  int dx_rows;
  int dx_groups;
  int dx_channels;
  int dx_stage;
  int windows;
  int maps;
  int dw_values;
  int parts;
};

// On CUDA an index i is divided by a length n as multiplier and shift say: (mulhi(i, multiplier) + i) >> shift, for
// i < 2^31; shift -1 stands for a division of 64 bits.

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

// Array `output`, of `count` elements, filled with `value`, of which the first bytes count.
struct FillArrayParams {
  int output;
  int unused;
  long long count;
  long long value;
};

// conv2d and its gradients on CUDA: ConvParams, the parts that a weight gradient's sum over positions is cut
// into, and how many threads (32 or 256) add up one of its elements.
struct ConvTileParams {
  int n;
  int c;
  int h;
  int w;
  int k;
  int r;
  int s;
  int p;
  int q;
  int stride_h;
  int stride_w;
  int top;
  int left;
  int dilation_h;
  int dilation_w;
  int groups;
  int parts;
  int threads;
};

// gather and scatter on CUDA: x [outer, size, inner], y [outer, picked, inner] in units of one or more elements, size
// being the product of the n_index extents. Index array k, input first_index + k of the op, has index_stride[8 k + d]
// along dimension d of the shape that all of them broadcast to; dense: all have that shape. per: units of a thread.
// A scatter copies copy_bytes of x in copy_tiles tiles, and in each of its launches writes the places first to last - 1.
struct PickParams {
  int first_index;
  int n_index;
  int ndim;
  int dense;
  int itemsize;
  int per;
  int output;
  int copy_tiles;
  long long outer;
  long long size;
  long long inner;
  long long picked;
  long long copy_bytes;
  long long first;
  long long last;
  long long shape[8];
  long long extent[8];
  int index_dtype[8];
  long long index_stride[64];
};

// Pooling on CUDA: PoolParams, whether a warp shares a window, and how many rows of the image a tile of the
// gradient has, with room for how many windows.
struct PoolTileParams {
  int h;
  int w;
  int p;
  int q;
  int window_h;
  int window_w;
  int stride_h;
  int stride_w;
  int top;
  int bottom;
  int left;
  int right;
  int mode;
  int by_warp;
  int rows;
  int windows;
  long long planes;
  double exponent;
};

// A kernel in a library of the user's (kernels/call.h), with its own params behind this struct: which one, how many
// items of work, at least how many of them one thread takes, and the bytes of the workspace and of every array.
struct ForeignParams {
  long long number;
  long long items;
  long long grain;
  long long workspace;
  int n_in;
  int n_out;
  long long bytes[40];
};

// Running sums (op 0) and products (op 1) on [outer, n, inner] along n, from the end where reverse.
struct CumulativeParams {
  int op;
  int dtype;
  int reverse;
  int unused;
  long long outer;
  long long n;
  long long inner;
};

// The same on CUDA: 2^lane_bits threads a row, rows in `groups` groups of per_group elements. Stage 0: one group;
// 1: the groups' totals; 2: the running results.
struct CumulativeTileParams {
  int reverse;
  int lane_bits;
  int stage;
  int unused;
  long long outer;
  long long n;
  long long inner;
  long long groups;
  long long per_group;
};

// Sorting [outer, n, inner] along n.
struct SortParams {
  int dtype;
  int unused;
  long long outer;
  long long n;
  long long inner;
};

// The same on CUDA. A tile has 2^width_bits places for a row, or for a run of one. Merges: sorted runs of `run`
// elements, two by two. source, target: the halves 0 and 1 of the workspace, or 2, the output.
struct SortTileParams {
  int dtype;
  int width_bits;
  int source;
  int target;
  long long outer;
  long long n;
  long long inner;
  long long run;
};
