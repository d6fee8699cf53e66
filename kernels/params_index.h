// Params structs (params.h) of values picked by indices, and the scalars of slices.
#pragma once

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

// out[j, labels[j]] = one, the first itemsize bytes of `one`; 0 elsewhere. out is count x n.
struct OneHotParams {
  int index_dtype;
  int itemsize;
  long long count;
  long long n;
  long long one;
};

// int64 scalars of slices. kind 0: where start begins on an axis of length dim; 1: the length of start:stop on
// it; 2: an index, negative ones counted from the end, checked.
struct SliceBoundParams {
  int kind;
  int axis;
  long long step;
};
