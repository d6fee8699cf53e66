// Random draws and dropout. What each element is: symconv/ops/philox.py, which these kernels equal bit for bit.
//
//   a thread makes one Philox block: 4 floats, 2 doubles or integers, or 8 elements of a dropout; stores of 16 bytes.
//
// permutation: indices sorted by their 64-bit words, equal words by index. The place of an index is the number of words
// that come before its own.
// Ladder
//   rank    up to 4096 numbers: every thread counts for one index. The words are made again by every block, 256 at a
//           time in shared memory, which is cheaper than a launch to store them; one launch in all.
//   merge   runs of 1024 ranked so within a block, then merged two and two, stage after stage: a thread finds the place
//           of its entry in the other run by bisection, and so where it goes. All stages work on one workspace.
#include "philox.cuh"

// ---- kCount elements of an array of n from `at` on, or what there is of them
template <class T, int kCount>
DEVICE void load_values(Global<const T> x, ll at, ll n, T (&v)[kCount]) {
  if (at + kCount <= n && is_aligned(x)) {
#pragma unroll
    for (int i = 0; i < kCount; i += 16 / static_cast<int>(sizeof(T))) {
      if constexpr (sizeof(T) == 4) {
        float4 q = load_vector<float4>(x, at + i);
        v[i] = q.x, v[i + 1] = q.y, v[i + 2] = q.z, v[i + 3] = q.w;
      } else {
        double2 q = load_vector<double2>(x, at + i);
        v[i] = q.x, v[i + 1] = q.y;
      }
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; i++) v[i] = at + i < n ? T(x[at + i]) : T(0);
}

template <class T, int kCount>
DEVICE void store_values(Global<T> out, ll at, ll n, const T (&v)[kCount]) {
  if (at + kCount <= n && is_aligned(out)) {
#pragma unroll
    for (int i = 0; i < kCount; i += 16 / static_cast<int>(sizeof(T))) {
      if constexpr (sizeof(T) == 4)
        store_vector(out, at + i, float4{v[i], v[i + 1], v[i + 2], v[i + 3]});
      else
        store_vector(out, at + i, double2{v[i], v[i + 1]});
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; i++)
    if (at + i < n) out[at + i] = v[i];
}

// ---- draws. Inputs: the counter, then what the op adds.
template <class P>
DEVICE PhiloxDraw draw_of(const P& p, const Args& args, int counter) {
  ll draw = args.get<const ll>(counter)[0];
  return philox_draw(p.seed, p.stream, draw);
}

template <class T, bool kNormal>
DEVICE void random_floats(const RandomDrawParams& p, const Args& args, int tile, Shared) {
  constexpr int kCount = 16 / sizeof(T);
  ll block = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (block * kCount >= p.n) return;
  PhiloxBlock words = philox_block(draw_of(p, args, 0), block);
  T v[kCount];
  if (kNormal)
    normal_values(words, v);
  else
    uniform_values(words, v);
  store_values(args.get<T>(p.out), block * kCount, p.n, v);
}

// low + the high half of word * (high - low). Inputs counter, low, high and the dimensions.
DEVICE void random_integers_tile(const RandomDrawParams& p, const Args& args, int tile, Shared) {
  ll block = static_cast<ll>(tile) * THREADS + threadIdx.x;
  ll low = args.get<const ll>(1)[0], high = args.get<const ll>(2)[0];
  if (!check_range(args, low, high)) return;
  unsigned long long first = static_cast<unsigned long long>(low);
  unsigned long long span = static_cast<unsigned long long>(high) - first;
  PhiloxBlock words = philox_block(draw_of(p, args, 0), block);
  Global<ll> out = args.get<ll>(p.out);
  for (int i = 0; i < 2; i++)
    if (block * 2 + i < p.n) out[block * 2 + i] = static_cast<ll>(first + __umul64hi(words.wide(i), span));
}

// ---- permutation. Words and indices in the workspace: words[2][n], indices[2][n], a stage reads one half of each and
// writes the other.
typedef unsigned long long ull;

DEVICE ull permutation_word(const PhiloxDraw& draw, ll index) {
  PhiloxBlock words = philox_block(draw, index / 2);
  return index % 2 ? words.wide(1) : words.wide(0);
}

// How many of the words of indices begin ... end - 1 come before `word` of index `mine`. begin is even.
DEVICE ll words_before(const PhiloxDraw& draw, ull word, ll mine, ll begin, ll end, Shared shared) {
  constexpr int kChunk = 2 * THREADS;
  SharedArray<ull> words = shared.array<ull>(0, 2 * kChunk);
  ll before = 0;
  int half = 0;
  for (ll at = begin; at < end; at += kChunk, half ^= 1) {
    int count = static_cast<int>(min(end - at, static_cast<ll>(kChunk)));
    SharedArray<ull> chunk = words + half * kChunk;
    PhiloxBlock made = philox_block(draw, at / 2 + threadIdx.x);
    chunk[2 * threadIdx.x] = made.wide(0);
    chunk[2 * threadIdx.x + 1] = made.wide(1);
    __syncthreads();  // one a chunk: the other half may still be read
    int earlier = static_cast<int>(max(0LL, min(mine - at, static_cast<ll>(count)))), found = 0;
    for (int j = 0; j < earlier; j++) found += chunk[j] <= word;
    for (int j = earlier; j < count; j++) found += chunk[j] < word;
    before += found;
  }
  return before;
}

// One launch for all of a short permutation.
DEVICE void permutation_rank(const PermutationParams& p, const Args& args, int tile, Shared shared) {
  PhiloxDraw draw = draw_of(p, args, 0);
  ll index = static_cast<ll>(tile) * THREADS + threadIdx.x;
  ll place = words_before(draw, permutation_word(draw, index), index, 0, p.n, shared);
  if (index < p.n) args.get<ll>(p.out)[place] = index;
}

DEVICE void permutation_runs(const PermutationParams& p, const Args& args, int tile, Shared shared) {
  PhiloxDraw draw = draw_of(p, args, 0);
  ll index = static_cast<ll>(tile) * THREADS + threadIdx.x, begin = index / p.width * p.width;
  ull word = permutation_word(draw, index);
  ll place = begin + words_before(draw, word, index, begin, min(begin + p.width, p.n), shared);
  if (index >= p.n) return;
  Global<ull> words = args.get<ull>(p.out + 1);
  words[place] = word;
  words[2 * p.n + place] = static_cast<ull>(index);
}

DEVICE void permutation_merge(const PermutationParams& p, const Args& args, int tile, Shared) {
  ll at = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (at >= p.n) return;
  Global<ull> workspace = args.get<ull>(p.out + 1);
  Global<ull> words = workspace + (p.stage - 1) % 2 * p.n;
  ull word = words[at], index = words[2 * p.n + at];
  ll run = at / p.width, other = (run ^ 1) * p.width, place = at;
  if (other < p.n) {
    bool other_first = run % 2;  // its equal words stay in front
    ll low = other, high = min(other + p.width, p.n);
    while (low < high) {
      ll middle = (low + high) / 2;
      ull there = words[middle];
      if (there < word || (other_first && there == word))
        low = middle + 1;
      else
        high = middle;
    }
    place = min(run * p.width, other) + (at - run * p.width) + (low - other);
  }
  if (p.stage == p.last) {
    args.get<ll>(p.out)[place] = static_cast<ll>(index);
    return;
  }
  Global<ull> to = workspace + p.stage % 2 * p.n;
  to[place] = word;
  to[2 * p.n + place] = index;
}

// ---- dropout: y = half-word >= threshold ? x * factor : 0. Inputs x, counter.
template <class T>
DEVICE void dropout_tile(const DropoutParams& p, const Args& args, int tile, Shared) {
  ll block = static_cast<ll>(tile) * THREADS + threadIdx.x;
  if (block * 8 >= p.n) return;
  T v[8];
  load_values(args.get<const T>(0), block * 8, p.n, v);
  PhiloxBlock words = philox_block(draw_of(p, args, 1), block);
  T factor = static_cast<T>(p.factor);
#pragma unroll
  for (int i = 0; i < 8; i++) v[i] = words.half(i) >= p.threshold ? v[i] * factor : T(0);
  store_values(args.get<T>(2), block * 8, p.n, v);
}

KERNEL(random_uniform_f32, RandomDrawParams, random_floats<float, false>)
KERNEL(random_uniform_f64, RandomDrawParams, random_floats<double, false>)
KERNEL(random_normal_f32, RandomDrawParams, random_floats<float, true>)
KERNEL(random_normal_f64, RandomDrawParams, random_floats<double, true>)
KERNEL(random_integers, RandomDrawParams, random_integers_tile)
KERNEL(random_permutation, PermutationParams, permutation_rank)
KERNEL(random_permutation_runs, PermutationParams, permutation_runs)
KERNEL(random_permutation_merge, PermutationParams, permutation_merge)
KERNEL(dropout_f32, DropoutParams, dropout_tile<float>)
KERNEL(dropout_f64, DropoutParams, dropout_tile<double>)
