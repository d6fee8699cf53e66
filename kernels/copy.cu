// Strided copies, and sums into strided places: slice, flip, transpose, broadcast_to, concatenate, pad, set_slice,
// inc_slice and the plain copy. fill: one value everywhere.
//
//   out[o + i . s_out] = (or +=) in[a + i . s_in]   for i in shape
// Dimensions stand in the output's order; what is contiguous in both is merged. Rungs:
//   1. move_b1 ... b8: a thread takes an element, threads follow the output: stores coalesce, loads follow the strides
//   2. move_b16 and the others on units of several elements, where the inner run, all strides and offsets allow it:
//      a copy of 16 bytes costs what one of 4 does. A base that is not aligned is found at run time and moved by element
//   3. four units a thread where that still leaves enough blocks: four loads in flight
//   4. transpose: where the input is dense along another dimension than the output, 32 x 32 elements go through
//      shared memory, so that loads and stores both coalesce; rows of 33, so that columns lie in different banks
// Coordinates come from multiplications (divide.cuh). Offsets may depend on int64 scalars, read and checked here.
// moves_b*: several pieces in one launch, a tile belonging to one of them.
#include "copy.cuh"

template <class U>
DEVICE void move_tile(const MoveParams& p, const Args& args, int tile, Shared) {
  move_units<U>(p, args, tile);
}

template <class U>
DEVICE void moves_tile(const MovesParams& p, const Args& args, int tile, Shared) {
  const MoveParams* piece = tail_of<MoveParams>(p);
  while (tile >= piece->first_tile + piece->tiles) piece++;
  move_units<U>(*piece, args, static_cast<int>(tile - piece->first_tile));
}

// A tile is 32 x 32 elements; warp w loads the rows of cols w, w + 8, ... and stores those of rows w, w + 8, ...
// Elements below 4 bytes stand in words.
template <class T>
struct TransposedWord {
  typedef T type;
};
template <>
struct TransposedWord<unsigned char> {
  typedef unsigned type;
};
template <>
struct TransposedWord<unsigned short> {
  typedef unsigned type;
};

template <class T>
DEVICE void transpose_tile(const MoveParams& p, const Args& args, int tile, Shared shared) {
  typedef typename TransposedWord<T>::type Word;
  SharedArray<Word> square = shared.array<Word>(0, 32 * 33);
  ll in_at = p.in_offset, out_at = p.out_offset;
  bool good = add_starts(p, args, in_at, out_at);
  Global<const T> in = args.get<const T>(p.source);
  Global<T> out = args.get<T>(p.output);
  ll rows = p.shape[p.rows], cols = p.shape[p.cols];
  ll row_tiles = (rows + 31) / 32, col_tiles = (cols + 31) / 32;
  ll rest = tile;
  ll j0 = rest % col_tiles * 32;
  rest /= col_tiles;
  ll i0 = rest % row_tiles * 32;
  rest /= row_tiles;
  for (int d = p.ndim - 1; d >= 0; d--) {
    if (d == p.rows || d == p.cols) continue;
    ll k = rest % p.shape[d];
    rest /= p.shape[d];
    in_at += k * p.in_stride[d];
    out_at += k * p.out_stride[d];
  }
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int r = 0; r < 32; r += WARPS) {
    ll i = i0 + lane, j = j0 + warp + r;
    if (good && i < rows && j < cols) {
      T v = in[in_at + i + j * p.in_stride[p.cols]];
      square[(warp + r) * 33 + lane] = v;
    }
  }
  __syncthreads();
  for (int r = 0; r < 32; r += WARPS) {
    ll i = i0 + warp + r, j = j0 + lane;
    if (good && i < rows && j < cols) {
      Word v = square[lane * 33 + warp + r];
      out[out_at + i * p.out_stride[p.rows] + j] = static_cast<T>(v);
    }
  }
}

template <class T>
DEVICE void add_tile(const MoveParams& p, const Args& args, int tile, Shared) {
  ll in_at = p.in_offset, out_at = p.out_offset;
  if (!add_starts(p, args, in_at, out_at)) return;
  Global<const T> in = args.get<const T>(p.source);
  Global<T> out = args.get<T>(p.output);
  ll i = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (i >= p.count) return;
  place_unit(p, i, in_at, out_at);
  T a = out[out_at], b = in[in_at];
  out[out_at] = sum_of(a, b);
}

// A thread stores 16 bytes: a tile is THREADS of them.
template <class T>
DEVICE void fill_tile(const FillArrayParams& p, const Args& args, int tile, Shared) {
  constexpr int kLength = 16 / sizeof(T);
  Global<T> out = args.get<T>(p.output);
  T v = static_cast<T>(p.value);
  ll i = (static_cast<ll>(tile) * THREADS + threadIdx.x) * kLength;
  if (i + kLength <= p.count && is_aligned(out)) {
    union {
      int4 v;
      T e[kLength];
    } bits;
    for (int k = 0; k < kLength; k++) bits.e[k] = v;
    store_vector(out, i, bits.v);
    return;
  }
  for (int k = 0; k < kLength; k++)
    if (i + k < p.count) out[i + k] = v;
}

KERNEL(move_b1, MoveParams, move_tile<unsigned char>)
KERNEL(move_b2, MoveParams, move_tile<unsigned short>)
KERNEL(move_b4, MoveParams, move_tile<unsigned>)
KERNEL(move_b8, MoveParams, move_tile<unsigned long long>)
KERNEL(move_b16, MoveParams, move_tile<int4>)
KERNEL_TAIL(moves_b1, MovesParams, moves_tile<unsigned char>)
KERNEL_TAIL(moves_b2, MovesParams, moves_tile<unsigned short>)
KERNEL_TAIL(moves_b4, MovesParams, moves_tile<unsigned>)
KERNEL_TAIL(moves_b8, MovesParams, moves_tile<unsigned long long>)
KERNEL_TAIL(moves_b16, MovesParams, moves_tile<int4>)
KERNEL(transpose_b1, MoveParams, transpose_tile<unsigned char>)
KERNEL(transpose_b2, MoveParams, transpose_tile<unsigned short>)
KERNEL(transpose_b4, MoveParams, transpose_tile<unsigned>)
KERNEL(transpose_b8, MoveParams, transpose_tile<unsigned long long>)
KERNEL(add_piece_bool, MoveParams, add_tile<Bit>)
KERNEL(add_piece_b1, MoveParams, add_tile<unsigned char>)
KERNEL(add_piece_b2, MoveParams, add_tile<unsigned short>)
KERNEL(add_piece_b4, MoveParams, add_tile<unsigned>)
KERNEL(add_piece_b8, MoveParams, add_tile<unsigned long long>)
KERNEL(add_piece_f32, MoveParams, add_tile<float>)
KERNEL(add_piece_f64, MoveParams, add_tile<double>)
KERNEL(fill_b1, FillArrayParams, fill_tile<unsigned char>)
KERNEL(fill_b2, FillArrayParams, fill_tile<unsigned short>)
KERNEL(fill_b4, FillArrayParams, fill_tile<unsigned>)
KERNEL(fill_b8, FillArrayParams, fill_tile<unsigned long long>)
