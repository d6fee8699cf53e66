// How the reductions share their work. A reduction K has
//
//   In, Acc, Out      element types; an Acc has 4 bytes or more
//   identity()        of combine
//   of(In, t)         term t as an Acc
//   combine(a, b)     commutative, bit by bit
//   exchange(a, bits) the Acc of the lane whose number differs in `bits`
//   result(Acc)       as an Out
//
// Thread = (group of outputs, lane of the output, column): columns are neighbouring outputs, so that loads coalesce
// where the innermost dimension is kept; where it is reduced, lanes are neighbouring terms. A thread has four
// accumulators and four or eight loads in flight, lanes meet in a tree of shuffles and, if an output has the whole block, in shared memory (WARPS x
// columns). The order depends on the sizes alone.
#pragma once

#include "divide.cuh"

// Where index i of the kept or reduced dimensions lies.
DEVICE ll kept_at(const ReduceTileParams& p, ll i) {
  ll at = 0;
  for (int d = p.kept_ndim - 1; d > 0; d--) {
    ll outer = divide(i, p.kept_shape[d], p.kept_multiplier[d], p.kept_shift[d]);
    at += (i - outer * p.kept_shape[d]) * p.kept_stride[d];
    i = outer;
  }
  return at + i * p.kept_stride[0];
}
DEVICE ll reduced_at(const ReduceTileParams& p, ll i) {
  ll at = 0;
  for (int d = p.reduced_ndim - 1; d > 0; d--) {
    ll outer = divide(i, p.reduced_shape[d], p.reduced_multiplier[d], p.reduced_shift[d]);
    at += (i - outer * p.reduced_shape[d]) * p.reduced_stride[d];
    i = outer;
  }
  return at + i * p.reduced_stride[0];
}

// Terms a constant step apart, and terms along several dimensions.
struct LinearTerms {
  ll stride;
  DEVICE explicit LinearTerms(const ReduceTileParams& p) : stride(p.reduced_stride[0]) {}
  DEVICE ll at(ll t) const { return t * stride; }
};
struct ScatteredTerms {
  const ReduceTileParams& p;
  DEVICE explicit ScatteredTerms(const ReduceTileParams& params) : p(params) {}
  DEVICE ll at(ll t) const { return reduced_at(p, t); }
};

// The terms t, t + step, ... < end of the output at x; kLoads of them in flight.
template <class K, int kLoads, class Terms>
DEVICE typename K::Acc reduce_terms(const Terms& terms, Global<const typename K::In> x, ll t, ll end,
                                    int step) {
  typedef typename K::In In;
  typename K::Acc acc[4] = {K::identity(), K::identity(), K::identity(), K::identity()};
  for (; t + (kLoads - 1) * step < end; t += kLoads * step) {
    In v[kLoads];
    for (int k = 0; k < kLoads; k++) v[k] = x[terms.at(t + k * step)];
    for (int k = 0; k < kLoads; k++) acc[k % 4] = K::combine(acc[k % 4], K::of(v[k], t + k * step));
  }
  for (; t < end; t += step) {
    In v = x[terms.at(t)];
    acc[0] = K::combine(acc[0], K::of(v, t));
  }
  return K::combine(K::combine(acc[0], acc[1]), K::combine(acc[2], acc[3]));
}

// Stage 2: a warp puts the groups of an output together; a tile is WARPS outputs.
template <class K>
DEVICE void reduce_groups(const ReduceTileParams& p, const Args& args, int tile) {
  typedef typename K::Acc Acc;
  Global<const Acc> partial = args.get<const Acc>(2);
  ll o = static_cast<ll>(tile) * WARPS + threadIdx.x / 32;
  if (o >= p.outputs) return;
  Acc acc = K::identity();
  for (ll g = threadIdx.x % 32; g < p.groups; g += 32) {
    Acc v = partial[g * p.outputs + o];
    acc = K::combine(acc, v);
  }
  for (int bits = 16; bits > 0; bits >>= 1) acc = K::combine(acc, K::exchange(acc, bits));
  if (threadIdx.x % 32 == 0) args.get<typename K::Out>(1)[o] = K::result(acc);
}

template <class K>
DEVICE void reduce_tile(const ReduceTileParams& p, const Args& args, int tile, Shared shared) {
  typedef typename K::Acc Acc;
  if (p.stage == 2) return reduce_groups<K>(p, args, tile);
  int width = 1 << p.width_bits, lanes = 1 << p.lane_bits, span = width * lanes;
  int column = threadIdx.x & (width - 1), lane = threadIdx.x >> p.width_bits & (lanes - 1);
  ll per_tile = THREADS / lanes, tiles = quotient(p.outputs + per_tile - 1, per_tile);
  ll g = quotient(tile, tiles), o = (tile - g * tiles) * per_tile + threadIdx.x / span * width + column;
  Acc acc = K::identity();
  if (o < p.outputs) {
    ll begin = g * p.per_group, end = begin + p.per_group < p.terms ? begin + p.per_group : p.terms;
    Global<const typename K::In> x = args.get<const typename K::In>(0) + kept_at(p, o);
    acc = p.reduced_ndim <= 1 ? reduce_terms<K, 8>(LinearTerms(p), x, begin + lane, end, lanes)
                              : reduce_terms<K, 4>(ScatteredTerms(p), x, begin + lane, end, lanes);
  }
  for (int bits = width; bits < span && bits < 32; bits <<= 1) acc = K::combine(acc, K::exchange(acc, bits));
  if (span > 32) {
    SharedArray<Acc> part = shared.array<Acc>(0, WARPS * width);
    int warp = threadIdx.x / 32;
    if (static_cast<int>(threadIdx.x % 32) < width) part[warp * width + column] = acc;
    __syncthreads();
    if (static_cast<int>(threadIdx.x) >= width) return;
    for (int w = 1; w < WARPS; w++) {
      Acc v = part[w * width + column];
      acc = K::combine(acc, v);
    }
  }
  if (lane != 0 || o >= p.outputs) return;
  if (p.stage == 1)
    args.get<Acc>(2)[g * p.outputs + o] = acc;
  else
    args.get<typename K::Out>(1)[o] = K::result(acc);
}
