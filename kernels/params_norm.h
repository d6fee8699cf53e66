// Params structs (params.h) of softmax, labels and normalisation.
#pragma once

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
