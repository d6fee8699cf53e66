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

// n elements of draw `stream` of `seed` (both as symconv/ops/philox.py has them; seed's bits in a signed number).
struct RandomParams {
  long long n;
  long long seed;
  long long stream;
};

// y[i] = half-word i >= threshold ? x[i] * factor : 0 for i < n.
struct DropoutParams {
  long long n;
  long long seed;
  long long stream;
  double factor;
  int threshold;
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
