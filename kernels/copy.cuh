// The parts of copy.cu: where a unit lies, and how units are moved.
#pragma once

#include "divide.cuh"

// Adds the moving starts to the offset that they move. False, with the fault kept, if one is out of its bounds.
DEVICE bool add_starts(const MoveParams& p, const Args& args, ll& in_at, ll& out_at) {
  bool good = true;
  for (int k = 0; k < p.n_starts; k++) {
    ll start = args.get<const ll>(p.start_input[k])[0];
    ll below = start < p.start_low[k] ? start - p.start_low[k] : start;  // negative if it is too low
    good = check_index(args, below, 0, p.start_high[k] + 1) && good;
    (p.moving ? out_at : in_at) += start * p.start_stride[k];
  }
  return good;
}

// Adds to the offsets where unit i lies, in the order of p.shape.
DEVICE void place_unit(const MoveParams& p, ll i, ll& in_at, ll& out_at) {
  for (int d = p.ndim - 1; d > 0; d--) {
    ll outer = divide(i, p.shape[d], p.multiplier[d], p.shift[d]), index = i - outer * p.shape[d];
    in_at += index * p.in_stride[d];
    out_at += index * p.out_stride[d];
    i = outer;
  }
  in_at += i * p.in_stride[0];
  out_at += i * p.out_stride[0];
}

template <class U, class P>
DEVICE bool fits_unit(P p) {
#if defined(SYMCONV_CHECKED)
  return p.aligned(sizeof(U));
#else
  return reinterpret_cast<unsigned long long>(p) % sizeof(U) == 0;
#endif
}

// Unit `to` of the output from unit `from` of an input, n elements each.
template <class E>
DEVICE void move_elements(const Args& args, int source, int output, ll from, ll to, int n) {
  Global<const E> in = args.get<const E>(source);
  Global<E> out = args.get<E>(output);
  for (int j = 0; j < n; j++) {
    E v = in[from * n + j];
    out[to * n + j] = v;
  }
}

// The same for elements of itemsize bytes: what is done where the arrays are not aligned to units.
DEVICE void move_unit(const Args& args, int source, int output, ll from, ll to, int itemsize, int n) {
  if (itemsize == 1)
    move_elements<unsigned char>(args, source, output, from, to, n);
  else if (itemsize == 2)
    move_elements<unsigned short>(args, source, output, from, to, n);
  else if (itemsize == 4)
    move_elements<unsigned>(args, source, output, from, to, n);
  else
    move_elements<unsigned long long>(args, source, output, from, to, n);
}

// Tile `tile` of a piece in units of U: THREADS * p.per of them.
template <class U>
DEVICE void move_units(const MoveParams& p, const Args& args, int tile) {
  if (p.whole && args.address(p.source) == args.address(p.output)) return;
  ll in_at = p.in_offset, out_at = p.out_offset;
  if (!add_starts(p, args, in_at, out_at)) return;
  Global<const U> in = args.get<const U>(p.source);
  Global<U> out = args.get<U>(p.output);
  ll first = static_cast<ll>(tile) * THREADS * p.per + threadIdx.x;
  if (static_cast<int>(sizeof(U)) > p.itemsize && !(fits_unit<U>(in) && fits_unit<U>(out))) {
    for (int k = 0; k < p.per; k++) {
      ll i = first + k * THREADS, from = in_at, to = out_at;
      if (i >= p.count) return;
      place_unit(p, i, from, to);
      move_unit(args, p.source, p.output, from, to, p.itemsize, static_cast<int>(sizeof(U)) / p.itemsize);
    }
  } else if (p.per == 1) {
    if (first >= p.count) return;
    place_unit(p, first, in_at, out_at);
    U v = in[in_at];
    out[out_at] = v;
  } else {
    U v[4];
    ll to[4];
    for (int k = 0; k < 4; k++) {
      ll i = first + k * THREADS, from = in_at;
      to[k] = out_at;
      if (i >= p.count) continue;
      place_unit(p, i, from, to[k]);
      v[k] = in[from];
    }
    for (int k = 0; k < 4; k++)
      if (first + k * THREADS < p.count) out[to[k]] = v[k];
  }
}

// ---- sums; integers come unsigned, so that they wrap
struct Bit {
  unsigned char value;
};
template <class T>
DEVICE T sum_of(T a, T b) {
  return static_cast<T>(a + b);
}
template <>
DEVICE Bit sum_of(Bit a, Bit b) {
  return {static_cast<unsigned char>(a.value | b.value)};
}
