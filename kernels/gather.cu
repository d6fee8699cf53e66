// gather and scatter by integer arrays.
//
//   gather   out[o, j, i] = x[o, e(j), i]
//   scatter  out = x with out[o, e(j), i] = (or +=) y[o, j, i], repeated places in the order of j
// where e(j) is the place that the index arrays name at j; negative indices count from the end, others outside their
// axis are faults. Rungs:
//   gather  1. a thread takes an element of the output: stores coalesce, loads are runs of `inner`
//           2. units of up to 16 bytes where `inner` allows it; four units a thread where blocks abound
//   scatter 1. one thread goes through all j of its column, in order: no parallelism where inner = 1
//           2. an element of y a thread, with atomics: of floats, they would come in any order
//           3. (here) chunks of CHUNK places, one after the other. Within a chunk each place that occurs several times is
//              a list: its first j owns the output element and adds the others in order. So every element has one writer
//              and one order of its sum, on any grid. scatter_places works out places and lists of all chunks in one
//              launch (a block reads its chunk's indices into shared memory and looks through them), which also copies x
//              where the output is not in its memory; scatter_* are launched once a chunk
#include "copy.cuh"
#include "pick.cuh"

#define CHUNK 2048

// e(j), or -1 with the fault kept.
DEVICE ll place_of(const PickParams& p, const Args& args, ll j) {
  ll place = 0;
  for (int k = 0; k < p.n_index; k++) {
    ll at = j;
    if (!p.dense) {
      ll rest = j;
      at = 0;
      for (int d = p.ndim - 1; d >= 0; d--) {
        ll outer = quotient(rest, p.shape[d]);
        at += (rest - outer * p.shape[d]) * p.index_stride[8 * k + d];
        rest = outer;
      }
    }
    ll v = integer_of(args, p.first_index + k, p.index_dtype[k], at);
    if (v < 0 && v >= -p.extent[k]) v += p.extent[k];
    if (!check_index(args, v, j, p.extent[k])) return -1;
    place = place * p.extent[k] + v;
  }
  return place;
}

template <class U>
DEVICE void gather_tile(const PickParams& p, const Args& args, int tile, Shared) {
  Global<const U> x = args.get<const U>(0);
  Global<U> out = args.get<U>(p.output);
  bool whole = static_cast<int>(sizeof(U)) == p.itemsize || (fits_unit<U>(x) && fits_unit<U>(out));
  for (int k = 0; k < p.per; k++) {
    ll r = (static_cast<ll>(tile) * p.per + k) * THREADS + threadIdx.x;
    if (r >= p.outer * p.picked * p.inner) return;
    ll row = quotient(r, p.inner), o = quotient(row, p.picked);
    ll place = place_of(p, args, row - o * p.picked);
    if (place < 0) continue;
    ll from = (o * p.size + place) * p.inner + r - row * p.inner;
    if (whole) {
      U v = x[from];
      out[r] = v;
    } else {
      move_unit(args, 0, p.output, from, r, p.itemsize, static_cast<int>(sizeof(U)) / p.itemsize);
    }
  }
}

// The workspace of a scatter.
struct Lists {
  Global<ll> place;
  Global<int> next;   // with the same place, within the chunk; -1 at the end
  Global<int> first;  // none before it, within the chunk

  DEVICE Lists(const PickParams& p, const Args& args)
      : place(args.get<ll>(p.output + 1)),
        next(args.get<int>(p.output + 1) + 2 * p.picked),
        first(args.get<int>(p.output + 1) + 3 * p.picked) {}
};

DEVICE void scatter_places_tile(const PickParams& p, const Args& args, int tile, Shared shared) {
  if (tile < p.copy_tiles) {
    if (args.address(0) == args.address(p.output)) return;
    Global<const unsigned char> x = args.get<const unsigned char>(0);
    Global<unsigned char> out = args.get<unsigned char>(p.output);
    ll at = (static_cast<ll>(tile) * THREADS + threadIdx.x) * 16;
    if (at + 16 <= p.copy_bytes && is_aligned(x) && is_aligned(out)) {
      store_vector(out, at, load_vector<int4>(x, at));
    } else {
      for (ll b = at; b < at + 16 && b < p.copy_bytes; b++) {
        unsigned char v = x[b];
        out[b] = v;
      }
    }
    return;
  }
  SharedArray<ll> places = shared.array<ll>(0, CHUNK);
  ll mine = static_cast<ll>(tile - p.copy_tiles) * THREADS + threadIdx.x, begin = mine / CHUNK * CHUNK;
  int n = static_cast<int>(p.picked - begin < CHUNK ? p.picked - begin : CHUNK);
  for (int j = threadIdx.x; j < n; j += THREADS) places[j] = place_of(p, args, begin + j);
  __syncthreads();
  if (mine >= p.picked) return;
  int self = static_cast<int>(mine - begin), next = -1;
  ll place = places[self];
  bool first = place >= 0;
  for (int j = 0; j < self && first; j++) first = places[j] != place;
  for (int j = self + 1; j < n && next < 0 && place >= 0; j++)
    if (places[j] == place) next = j;
  Lists lists(p, args);
  lists.place[mine] = place;
  lists.next[mine] = next;
  lists.first[mine] = first;
}

// The places of one chunk: an element of y a thread.
template <class T, bool kAdd>
DEVICE void scatter_tile(const PickParams& p, const Args& args, int tile, Shared) {
  Lists lists(p, args);
  Global<const T> y = args.get<const T>(1);
  Global<T> out = args.get<T>(p.output);
  ll r = static_cast<ll>(tile) * THREADS + threadIdx.x, n = p.last - p.first;
  if (r >= p.outer * n * p.inner) return;
  ll row = quotient(r, p.inner), o = quotient(row, n), i = r - row * p.inner;
  ll j = p.first + row - o * n;
  if (!lists.first[j]) return;
  ll to = (o * p.size + lists.place[j]) * p.inner + i, from = o * p.picked * p.inner + i;
  if constexpr (kAdd) {
    T total = out[to];
    while (true) {
      T v = y[from + j * p.inner];
      total = sum_of(total, v);
      int next = lists.next[j];
      if (next < 0) break;
      j = p.first + next;
    }
    out[to] = total;
  } else {
    for (int next = lists.next[j]; next >= 0; next = lists.next[j]) j = p.first + next;
    T v = y[from + j * p.inner];
    out[to] = v;
  }
}

KERNEL(gather_b1, PickParams, gather_tile<unsigned char>)
KERNEL(gather_b2, PickParams, gather_tile<unsigned short>)
KERNEL(gather_b4, PickParams, gather_tile<unsigned>)
KERNEL(gather_b8, PickParams, gather_tile<unsigned long long>)
KERNEL(gather_b16, PickParams, gather_tile<int4>)
KERNEL(scatter_places, PickParams, scatter_places_tile)
KERNEL(scatter_b1, PickParams, scatter_tile<unsigned char, false>)
KERNEL(scatter_b2, PickParams, scatter_tile<unsigned short, false>)
KERNEL(scatter_b4, PickParams, scatter_tile<unsigned, false>)
KERNEL(scatter_b8, PickParams, scatter_tile<unsigned long long, false>)
KERNEL(scatter_add_bool, PickParams, scatter_tile<Bit, true>)
KERNEL(scatter_add_b1, PickParams, scatter_tile<unsigned char, true>)
KERNEL(scatter_add_b2, PickParams, scatter_tile<unsigned short, true>)
KERNEL(scatter_add_b4, PickParams, scatter_tile<unsigned, true>)
KERNEL(scatter_add_b8, PickParams, scatter_tile<unsigned long long, true>)
KERNEL(scatter_add_f32, PickParams, scatter_tile<float, true>)
KERNEL(scatter_add_f64, PickParams, scatter_tile<double, true>)
