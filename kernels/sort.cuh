// How sort and argsort go: a stable merge sort of the rows of x [outer, n, inner] along n, NaN last, as NumPy's.
//
// A tile has PLACES places in shared memory, for several short rows, one row, or a run of a long one; what it does not
// fill holds the largest key, which stays behind equal ones because it stood behind them. Keys are int (also for
// smaller integers and bools), ll, float or double; argsort carries the place in the row beside each key. Array 0 is
// x, 1 the output, 2 the workspace: two halves of keys, rows one after the other, then two of places.
// Place k lies at k + k / 32, so that the threads of a warp, EACH places apart, meet in no bank.
#pragma once

#include "divide.cuh"

#define EACH 8
#define PLACES (THREADS * EACH)
#define SKEWED (PLACES + PLACES / 32)

DEVICE int skewed(int k) { return k + (k >> 5); }

template <class K>
DEVICE bool before(K a, K b) {
  return a < b;
}
template <>
DEVICE bool before(float a, float b) {
  return a < b || (b != b && a == a);
}
template <>
DEVICE bool before(double a, double b) {
  return a < b || (b != b && a == a);
}

template <class K>
DEVICE K largest_key();
template <>
DEVICE int largest_key<int>() {
  return 0x7fffffff;
}
template <>
DEVICE ll largest_key<ll>() {
  return 0x7fffffffffffffffll;
}
template <>
DEVICE float largest_key<float>() {
  return NAN;
}
template <>
DEVICE double largest_key<double>() {
  return NAN;
}

// Element i of x as a key, and back.
template <class K>
DEVICE K key_at(const Args& args, int, ll i) {
  return args.get<const K>(0)[i];
}
template <>
DEVICE int key_at<int>(const Args& args, int dtype, ll i) {
  switch (dtype) {  // as in symconv's order
    case 1:
      return args.get<const signed char>(0)[i];
    case 3:
      return args.get<const short>(0)[i];
    case 4:
      return args.get<const int>(0)[i];
    default:
      return args.get<const unsigned char>(0)[i];
  }
}
template <class K>
DEVICE void put_key(const Args& args, int, ll i, K key) {
  args.get<K>(1)[i] = key;
}
template <>
DEVICE void put_key<int>(const Args& args, int dtype, ll i, int key) {
  switch (dtype) {
    case 1:
      args.get<signed char>(1)[i] = static_cast<signed char>(key);
      return;
    case 3:
      args.get<short>(1)[i] = static_cast<short>(key);
      return;
    case 4:
      args.get<int>(1)[i] = key;
      return;
    default:
      args.get<unsigned char>(1)[i] = static_cast<unsigned char>(key);
  }
}

// The tile's places.
template <class K, bool kPlaces>
struct Tile {
  SharedArray<K> keys;
  SharedArray<int> places;
  DEVICE explicit Tile(Shared shared)
      : keys(shared.array<K>(0, SKEWED)),
        places(shared.array<int>(SKEWED * sizeof(K), kPlaces ? SKEWED : 0)) {}
};

// The workspace.
template <class K, bool kPlaces>
struct Runs {
  Global<K> keys;
  Global<int> places;
  DEVICE Runs(const SortTileParams& p, const Args& args, int half)
      : keys(args.get<K>(2) + half * p.outer * p.n * p.inner),
        places(args.get<int>(2) +
               (2 * static_cast<ll>(sizeof(K) / 4) + (kPlaces ? half : 0)) * p.outer * p.n * p.inner) {}
};

// How many of the first `count` elements of the merged runs come from the first: ties are the first run's.
template <class K, class At>
DEVICE ll split_of(ll count, ll n_first, ll n_second, const At& first, const At& second) {
  ll low = count > n_second ? count - n_second : 0, high = count < n_first ? count : n_first;
  while (low < high) {
    ll middle = (low + high) >> 1;
    K a = first.at(middle), b = second.at(count - 1 - middle);
    if (before(b, a))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}
template <class K>
struct InShared {
  SharedArray<K> keys;
  int begin;
  DEVICE K at(ll i) const { return keys[skewed(begin + static_cast<int>(i))]; }
};
template <class K>
struct InGlobal {
  Global<K> keys;
  DEVICE K at(ll i) const { return keys[i]; }
};

// Merges runs of the tile: the first at `begin` with n_first places, the second behind it. This thread puts the EACH
// from the `from`-th of the result on into the places begin + from and following. All threads of the block take part.
template <class K, bool kPlaces>
DEVICE void merge_shared(const Tile<K, kPlaces>& tile, int begin, int n_first, int n_second, int from) {
  K key[EACH];
  int place[EACH];
  int n = n_first + n_second - from < EACH ? n_first + n_second - from : EACH;
  if (n > 0) {
    InShared<K> first{tile.keys, begin}, second{tile.keys, begin + n_first};
    int i = static_cast<int>(split_of<K>(from, n_first, n_second, first, second)), j = from - i;
    K a = i < n_first ? first.at(i) : largest_key<K>(), b = j < n_second ? second.at(j) : largest_key<K>();
    for (int k = 0; k < EACH; k++) {
      if (k >= n) continue;
      bool take_second = i >= n_first || (j < n_second && before(b, a));
      key[k] = take_second ? b : a;
      if (kPlaces) place[k] = tile.places[skewed(take_second ? begin + n_first + j : begin + i)];
      if (take_second) {
        if (++j < n_second) b = second.at(j);
      } else {
        if (++i < n_first) a = first.at(i);
      }
    }
  }
  __syncthreads();
  for (int k = 0; k < EACH; k++)
    if (k < n) {
      tile.keys[skewed(begin + from + k)] = key[k];
      if (kPlaces) tile.places[skewed(begin + from + k)] = place[k];
    }
  __syncthreads();
}

// Place `k` of the tile to element `i` of row (o, c), in the workspace or in the output.
template <class K, bool kPlaces>
DEVICE void put_place(const SortTileParams& p, const Args& args, const Tile<K, kPlaces>& tile, int k, ll row,
                      ll i) {
  K key = tile.keys[skewed(k)];
  int place = 0;
  if (kPlaces) place = tile.places[skewed(k)];
  if (p.target < 2) {
    Runs<K, kPlaces> runs(p, args, p.target);
    runs.keys[row * p.n + i] = key;
    if (kPlaces) runs.places[row * p.n + i] = place;
    return;
  }
  ll o = quotient(row, p.inner), at = (o * p.n + i) * p.inner + row - o * p.inner;
  if (kPlaces)
    args.get<ll>(1)[at] = place;
  else
    put_key<K>(args, p.dtype, at, key);
}

// Sorts a tile: rows of 2^width_bits places, or a run of PLACES of one row.
template <class K, bool kPlaces>
DEVICE void sort_tile(const SortTileParams& p, const Args& args, int number, Shared shared) {
  Tile<K, kPlaces> tile(shared);
  int width = 1 << p.width_bits, row_bits = 11 - p.width_bits;
  ll runs = quotient(p.n + width - 1, width), block = quotient(number, runs), run = number - block * runs;
  ll first = block << row_bits, rows = p.outer * p.inner;
#pragma unroll 2
  for (int t = threadIdx.x; t < PLACES; t += THREADS) {
    // neighbouring threads on neighbouring elements of x
    int r = p.inner > 1 ? t & ((1 << row_bits) - 1) : t >> p.width_bits;
    int i = p.inner > 1 ? t >> row_bits : t & (width - 1), k = (r << p.width_bits) + i;
    ll row = first + r, place = run * width + i;
    K key = largest_key<K>();
    if (row < rows && place < p.n) {
      ll o = quotient(row, p.inner);
      key = key_at<K>(args, p.dtype, (o * p.n + place) * p.inner + row - o * p.inner);
    }
    tile.keys[skewed(k)] = key;
    if (kPlaces) tile.places[skewed(k)] = static_cast<int>(place);
  }
  __syncthreads();
  // EACH neighbours in registers: exchanges of neighbours keep the order of equal ones
  int mine = threadIdx.x * EACH;
  K key[EACH];
  int place[EACH];
  for (int k = 0; k < EACH; k++) {
    key[k] = tile.keys[skewed(mine + k)];
    if (kPlaces) place[k] = tile.places[skewed(mine + k)];
  }
  for (int round = 0; round < EACH; round++)
    for (int k = round & 1; k + 1 < EACH; k += 2)
      if (before(key[k + 1], key[k])) {
        K swapped = key[k];
        key[k] = key[k + 1];
        key[k + 1] = swapped;
        if (kPlaces) {
          int other = place[k];
          place[k] = place[k + 1];
          place[k + 1] = other;
        }
      }
  for (int k = 0; k < EACH; k++) {
    tile.keys[skewed(mine + k)] = key[k];
    if (kPlaces) tile.places[skewed(mine + k)] = place[k];
  }
  __syncthreads();
#pragma unroll 1
  for (int length = EACH; length < width; length *= 2) {
    int begin = mine & ~(2 * length - 1);
    merge_shared(tile, begin, length, length, mine - begin);
  }
#pragma unroll 2
  for (int t = threadIdx.x; t < PLACES; t += THREADS) {
    int r = p.inner > 1 ? t & ((1 << row_bits) - 1) : t >> p.width_bits;
    int i = p.inner > 1 ? t >> row_bits : t & (width - 1);
    ll row = first + r, at = run * width + i;
    if (row < rows && at < p.n) put_place(p, args, tile, (r << p.width_bits) + i, row, at);
  }
}

// PLACES elements of the merge of two runs of the workspace.
template <class K, bool kPlaces>
DEVICE void merge_tile(const SortTileParams& p, const Args& args, int number, Shared shared) {
  Tile<K, kPlaces> tile(shared);
  SharedArray<int> split = shared.array<int>(SKEWED * (sizeof(K) + (kPlaces ? 4 : 0)), 2);
  ll tiles = quotient(p.n + PLACES - 1, PLACES), row = quotient(number, tiles);
  ll at = (number - row * tiles) * PLACES, begin = quotient(at, 2 * p.run) * (2 * p.run);
  ll rest = p.n - begin, n_first = rest < p.run ? rest : p.run;
  ll n_second = rest - n_first < p.run ? rest - n_first : p.run;
  ll from = at - begin, to = from + PLACES < n_first + n_second ? from + PLACES : n_first + n_second;
  Runs<K, kPlaces> runs(p, args, p.source);
  ll start = row * p.n + begin;
  if (threadIdx.x < 2) {
    InGlobal<K> first{runs.keys + start}, second{runs.keys + (start + n_first)};
    split[threadIdx.x] =
        static_cast<int>(split_of<K>(threadIdx.x ? to : from, n_first, n_second, first, second));
  }
  __syncthreads();
  ll a = split[0], a_end = split[1], b = from - a;
  int n = static_cast<int>(to - from), n_a = static_cast<int>(a_end - a);
#pragma unroll 2
  for (int k = threadIdx.x; k < n; k += THREADS) {
    ll i = start + (k < n_a ? a + k : n_first + b + k - n_a);
    K key = runs.keys[i];
    tile.keys[skewed(k)] = key;
    if (kPlaces) {
      int place = runs.places[i];
      tile.places[skewed(k)] = place;
    }
  }
  __syncthreads();
  merge_shared(tile, 0, n_a, n - n_a, static_cast<int>(threadIdx.x) * EACH);
#pragma unroll 2
  for (int k = threadIdx.x; k < n; k += THREADS) put_place(p, args, tile, k, row, at + k);
}
