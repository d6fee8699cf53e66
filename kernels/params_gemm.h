// Params structs (params.h) of matrix products.
#pragma once

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
