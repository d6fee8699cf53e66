// Params structs (params.h) of random draws and what is made of them.
#pragma once

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
