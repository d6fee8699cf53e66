// Params structs (params.h) of pooling.
#pragma once

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
