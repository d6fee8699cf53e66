// sort, argsort: the elements of x [outer, n, inner] along n in ascending order, or where they lie. Rungs:
//   1. a thread a row, by insertion: n^2 steps, nothing coalesces, few rows leave the GPU empty
//   2. a bitonic net in shared memory: log^2 n rounds of exchanges, and the place beside each key to break ties, since
//      the net is not stable
//   3. (here) a merge sort, stable by itself: EACH elements in a thread's registers, then rounds of merges in shared
//      memory, in which every thread finds by a binary search where its EACH results begin: log n rounds, all threads
//      busy in each. Short rows share a tile
//   4. (here) rows beyond a tile: runs of PLACES are sorted, and merged two by two through global memory, a launch a
//      round; every tile makes PLACES results, whose sources it finds by the same search
#include "sort.cuh"

#define SORT_KERNELS(suffix, K)                                      \
  KERNEL(sort_tiles_##suffix, SortTileParams, sort_tile<K, false>)   \
  KERNEL(sort_merge_##suffix, SortTileParams, merge_tile<K, false>)  \
  KERNEL(argsort_tiles_##suffix, SortTileParams, sort_tile<K, true>) \
  KERNEL(argsort_merge_##suffix, SortTileParams, merge_tile<K, true>)

SORT_KERNELS(i32, int)
SORT_KERNELS(i64, ll)
SORT_KERNELS(f32, float)
SORT_KERNELS(f64, double)
