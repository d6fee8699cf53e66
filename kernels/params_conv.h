// Params structs (params.h) of convolutions, and those fused with pooling.
#pragma once

// conv2d and its gradients: x [n, c, h, w], w [k, c / groups, r, s], y [n, k, p, q];
// y[., ., i, j] sees x[., ., i * stride_h - top + r * dilation_h, j * stride_w - left + s * dilation_w]. Windows that
// are flipped have negative dilations: element (0, 0) is then the last one, and `top` and `left` are its.
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

// conv_pool and conv_pool_grad: x [n, c, h, w] with (top, bottom, left, right) of zeros around it, weights
// [k, c, r, s], windows of pool_h x pool_w. activation: 0 linear, 1 relu, 2 sigmoid, 3 tanh. flip: the windows of the
// weights are reversed along both axes, a convolution in the strict sense.
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
  int flip;
  int need_dx;
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
  int flip;
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
  int flip;
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
