// Params structs (params.h) of reductions, running sums and sorting.
#pragma once

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
