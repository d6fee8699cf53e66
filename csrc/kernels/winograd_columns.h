// Winograd's transforms along columns alone: what the convolution (conv2d_winograd_columns.cpp) and its weight gradient
// (conv2d_winograd_columns_wgrad.cpp) share.
//
// A band is 4 rows of outputs. Its input rows are transformed, each column for itself, into `points` rows. A vertical
// stride of s parts the window's rows into s sets, of every s-th row, which meet different input rows; those and the rows
// of a long window are cut into pieces of the transform's length. Of each shape the transform with the fewest products is
// taken.
#pragma once
#include "winograd_adjoint.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kBandRows = 4;

// Rows of a window that one transform takes: every step-th from `first` on.
struct Piece {
  int first, taps;
};

inline int pieces_of(const ConvParams& p, int step, int window) {
  int pieces = 0;
  for (int a = 0; a < least(step, p.r); a++) pieces += ceil_div(ceil_div(p.r - a, step), window);
  return pieces;
}

inline Piece piece_at(const ConvParams& p, int step, int window, int i) {
  for (int a = 0;; a++) {
    const int taps = ceil_div(p.r - a, step), own = ceil_div(taps, window);
    if (i < own) return {a + i * window * step, least(window, taps - i * window)};
    i -= own;
  }
}

// The transform of a shape.
struct Columns {
  int window, points;  // rows of the window and of the inputs that it takes
  int pieces;          // of the window's rows
  int bands;           // of an image
  int last_row;        // of the inputs that the first band sees, from the first one
};

inline Columns make_columns(const ConvParams& p, int step, int rows) {
  Columns best{};
  for (int window = 3; window <= 5; window++) {
    const int pieces = pieces_of(p, step, window), points = kBandRows + window - 1;
    if (best.pieces && pieces * points >= best.pieces * best.points) continue;
    best.window = window, best.points = points, best.pieces = pieces;
  }
  best.bands = ceil_div(rows, kBandRows);
  for (int i = 0; i < best.pieces; i++)
    best.last_row = most(best.last_row, piece_at(p, step, best.window, i).first + (best.points - 1) * step);
  return best;
}

// Rows of zeros below the padding, as far as the last band's inputs lie; the first band's begin in padded row first_row.
inline void cover_bands(const Columns& columns, int first_row, Gather& g) {
  const int rows = first_row + (columns.bands - 1) * kBandRows * g.in_step_h + columns.last_row + 1;
  if (rows > g.hp) g.bottom += rows - g.hp, g.hp = rows;
  g.plane = static_cast<long long>(g.hp) * g.wp;
}

// Piece i of n things, [begin, end), cut into as few and as even pieces of at most `most` as possible.
struct Cut {
  int begin, end;
  int size() const { return end - begin; }
};
inline Cut cut(int n, int most, int i) {
  const int pieces = ceil_div(n, most);
  return {share_of(n, i, pieces), share_of(n, i + 1, pieces)};
}

// Calls f with the transform, which has the adjoints too.
template <class F>
void with_transform(const Columns& columns, F&& f) {
  if (columns.window == 3) return f(Adjoint3{});
  if (columns.window == 4) return f(Adjoint4{});
  f(Adjoint5{});
}

// Rows of inputs `row` apart -> rows of points `point` apart, of n columns and of what a last vector has beyond them.
template <class F>
void transform_columns(const float* in, long long row, int n, float* points, long long point) {
  for (int x = 0; x < n; x += VF_WIDTH) {
    vf d[F::inputs], t[F::points];
    for (int i = 0; i < F::inputs; i++) d[i] = load(in + i * row + x);
    F::input(d, t);
    for (int i = 0; i < F::points; i++) store(points + i * point + x, t[i]);
  }
}

}  // namespace
}  // namespace SYMCONV_ISA
}  // namespace symconv
