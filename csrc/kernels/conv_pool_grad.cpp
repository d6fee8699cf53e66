// conv_pool_grad: dx, dw, db of y = activation(maxpool(x * w) + b), from the places of the maxima.
//
//   g = dy activation'(y) [N, K, P, Q];  x, dx [N, C, H, W];  w, dw [K, C, R, S]
//   dw[k] += g x[patch at the maximum],  dx[patch at the maximum] += g w[k],  db[k] += g
//
// argmax_walk: images and weights are repacked channels-last, so that row r of a patch, and of w[k], are
// L = S C contiguous values. For each channel the non-zero g are gathered into lists (value, pixel).
// dw walks the list of a channel with a tile of [rows][vectors] of dw[k] in registers; dx takes the lists of
// an image sorted by pixel and keeps a tile of the pixel's patch in registers while it adds all channels that
// have their maximum there. Zeros cost nothing but their place in the gather. Each part of the pool owns a
// range of images and a copy of dw; the copies are added in order.
#include "conv_activation.h"
#include "conv_common.h"
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kMaxTile = 13;           // accumulators: 16 registers less one value and two in flight
constexpr int kGroupBytes = 20 << 10;  // of images whose patches are walked together: they stay in L1
constexpr double kShareFlops = 1e6;    // below this one thread does it all
constexpr int kMaxWindow = 255;

struct Plan {
  ConvPoolParams p;
  int hp, wp;      // padded input
  int rows, cols;  // pooled
  long long positions;
  long long length;  // S C: one row of a patch
  long long stride;  // the same, rounded up to whole vectors
  long long image;   // values of a packed image, with room for vectors that reach over its end
  int group;         // images walked together
  int parts;
};

template <class T>
Plan make_plan(const ConvPoolParams& p, int threads) {
  constexpr int W = Lanes<T>::W;
  Plan plan{};
  plan.p = p;
  plan.hp = p.h + p.top + p.bottom;
  plan.wp = p.w + p.left + p.right;
  plan.rows = (plan.hp - p.r + 1) / p.pool_h;
  plan.cols = (plan.wp - p.s + 1) / p.pool_w;
  plan.positions = static_cast<long long>(plan.rows) * plan.cols;
  plan.length = static_cast<long long>(p.s) * p.c;
  plan.stride = round_up(plan.length, W);
  plan.image = round_up(static_cast<long long>(plan.hp) * plan.wp * p.c + W, W);
  long long group = kGroupBytes / (plan.image * static_cast<long long>(sizeof(T)));
  plan.group = static_cast<int>(group < 1 ? 1 : group > 8 ? 8 : group);
  const double flops =
      2.0 * static_cast<double>(plan.positions * plan.length) * p.r * p.n * p.k * (p.need_dx ? 2 : 1);
  plan.parts = flops > kShareFlops ? threads : 1;
  if (plan.parts > p.n) plan.parts = p.n < 1 ? 1 : p.n;
  return plan;
}

// The non-zero gradients of one channel of one image.
template <class T>
struct List {
  T* g;
  int* pixel;
  int count;
};

template <class T>
struct Scratch {
  T* weights;  // [K][R][stride], shared
  T* dw;       // [K][R][stride]
  T* db;       // [K]
  T* x;        // [group][image]
  T* dx;       // [image]
  T* values;   // of the lists
  int* pixels;
  T* sorted;  // by pixel
  int* channels;
  int* starts;  // of each pixel in the above
  int* base;    // pixel of each pooled position's window
  List<T>* lists;
  T* patch;  // [R S C]: weights on their way between layouts
};

template <class T>
size_t carve(const Plan& plan, char* base, int part, Scratch<T>& out) {
  Carver c{base};
  const ConvPoolParams& p = plan.p;
  const long long kernel = p.k * p.r * plan.stride, slots = p.need_dx ? p.k : 1;
  constexpr int W = Lanes<T>::W;
  Scratch<T> s{};
  s.weights = c.take<T>(p.need_dx ? kernel : 0);
  for (int t = 0; t < plan.parts; t++) {
    s.dw = c.take<T>(kernel);
    s.db = c.take<T>(p.k);
    s.x = c.take<T>(plan.group * plan.image);
    s.values = c.take<T>(slots * plan.group * (plan.positions + W));
    s.pixels = c.take<int>(slots * plan.group * (plan.positions + W));
    s.base = c.take<int>(plan.positions + W);
    s.lists = c.take<List<T>>(slots * plan.group);
    s.patch = c.take<T>(p.r * plan.length);
    if (p.need_dx) {
      s.dx = c.take<T>(plan.image);
      s.sorted = c.take<T>(p.k * plan.positions);
      s.channels = c.take<int>(p.k * plan.positions);
      s.starts = c.take<int>(static_cast<long long>(plan.hp) * plan.wp + 1);
    }
    if (t == part) out = s;
  }
  return c.used;
}

// ---- gathering the non-zero gradients -----------------------------------------------------------------

#if defined(__AVX2__) && !defined(__AVX512F__)
// For each mask of 8 lanes, the lanes that are set, in order.
struct CompressTable {
  uint64_t lanes[256];
  constexpr CompressTable() : lanes{} {
    for (int mask = 0; mask < 256; mask++) {
      int at = 0;
      for (int lane = 0; lane < 8; lane++)
        if (mask >> lane & 1) lanes[mask] |= static_cast<uint64_t>(lane) << (8 * at++);
    }
  }
};
alignas(64) constexpr CompressTable kCompress;
#endif

// Appends the lanes of (g, pixel) with g != 0 behind `count`; may write a whole vector there.
inline int append(vf g, vi pixel, float* values, int* pixels, int count) {
#if defined(__AVX512F__)
  __mmask16 mask = _mm512_cmp_ps_mask((__m512)g, _mm512_setzero_ps(), _CMP_NEQ_UQ);
  _mm512_storeu_ps(values + count, _mm512_maskz_compress_ps(mask, (__m512)g));
  _mm512_storeu_si512(pixels + count, _mm512_maskz_compress_epi32(mask, (__m512i)pixel));
  return count + __builtin_popcount(mask);
#elif defined(__AVX2__)
  __m256 nonzero = _mm256_cmp_ps((__m256)g, _mm256_setzero_ps(), _CMP_NEQ_UQ);
  int mask = _mm256_movemask_ps(nonzero);
  __m256i order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(kCompress.lanes[mask])));
  _mm256_storeu_ps(values + count, _mm256_permutevar8x32_ps((__m256)g, order));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(pixels + count),
                      _mm256_permutevar8x32_epi32((__m256i)pixel, order));
  return count + __builtin_popcount(static_cast<unsigned>(mask));
#else
  for (int i = 0; i < VF_WIDTH; i++) {
    values[count] = g[i];
    pixels[count] = pixel[i];
    count += g[i] != 0;
  }
  return count;
#endif
}

// The list of one channel: g = dy activation'(y) where not zero. Returns the sum of g. base[] is the pixel
// of each window, delta[] what a place in the window adds.
inline float gather(int activation, const float* y, const float* dy, const uint8_t* argmax, const int* base,
                    const int* delta, long long n, List<float>& list) {
  vf sum{};
  int count = 0;
  for (long long i = 0; i < n; i += VF_WIDTH) {
    const int left = n - i < VF_WIDTH ? static_cast<int>(n - i) : VF_WIDTH;
    vf yv, dv;
    vi pixel{};
    if (left == VF_WIDTH) {
      yv = load(y + i), dv = load(dy + i);
      pixel = load(base + i);
      for (int j = 0; j < VF_WIDTH; j++) pixel[j] += delta[argmax[i + j]];
    } else {
      yv = load_n(y + i, left), dv = load_n(dy + i, left);
      for (int j = 0; j < left; j++) pixel[j] = base[i + j] + delta[argmax[i + j]];
    }
    vf g = activation_gradient(activation, yv, dv);
    sum += g;
    count = append(g, pixel, list.g, list.pixel, count);
  }
  list.count = count;
  return hsum(sum);
}

inline double gather(int activation, const double* y, const double* dy, const uint8_t* argmax,
                     const int* base, const int* delta, long long n, List<double>& list) {
  double sum = 0;
  int count = 0;
  for (long long i = 0; i < n; i++) {
    vd yv{}, dv{};
    yv[0] = y[i], dv[0] = dy[i];
    double g = activation_gradient(activation, yv, dv)[0];
    sum += g;
    list.g[count] = g;
    list.pixel[count] = base[i] + delta[argmax[i]];
    count += g != 0;
  }
  list.count = count;
  return sum;
}

// ---- tiles --------------------------------------------------------------------------------------------

// dw[r][v] += g x[pixel + r, v] over the lists, for NR rows and NV vectors.
template <class T, int NR, int NV>
void walk_dw(const List<T>* lists, long long list_step, int n_lists, const T* x, long long image,
             int channels, long long pitch, T* dw, long long dw_stride) {
  using V = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::W;
  constexpr int U = NR * NV <= 6 ? 2 : 1;  // entries at once: enough independent sums to hide the latency
  V acc[U][NR][NV];
  for (int r = 0; r < NR; r++)
    for (int v = 0; v < NV; v++) {
      acc[0][r][v] = load(dw + r * dw_stride + v * W);
      for (int u = 1; u < U; u++) acc[u][r][v] = V{};
    }
  for (int i = 0; i < n_lists; i++, x += image) {
    const List<T>& list = lists[i * list_step];
    const T* g = list.g;
    const int *pixel = list.pixel, *end = pixel + list.count;
    for (; pixel + U <= end; pixel += U, g += U)
      for (int u = 0; u < U; u++) {
        const V gv = set1(g[u]);
        const T* row = x + static_cast<long long>(pixel[u]) * channels;
        for (int r = 0; r < NR; r++)
          for (int v = 0; v < NV; v++) acc[u][r][v] = fma(gv, load(row + r * pitch + v * W), acc[u][r][v]);
      }
    if (U > 1 && pixel < end) {
      const V gv = set1(*g);
      const T* row = x + static_cast<long long>(*pixel) * channels;
      for (int r = 0; r < NR; r++)
        for (int v = 0; v < NV; v++) acc[0][r][v] = fma(gv, load(row + r * pitch + v * W), acc[0][r][v]);
    }
  }
  for (int r = 0; r < NR; r++)
    for (int v = 0; v < NV; v++) {
      V sum = acc[0][r][v];
      for (int u = 1; u < U; u++) sum += acc[u][r][v];
      store(dw + r * dw_stride + v * W, sum);
    }
}

// dx[pixel + r, v] += g w[k][r][v] over the pixels, for NR rows and NV vectors.
template <class T, int NR, int NV>
void walk_dx(const Scratch<T>& s, int pixels, int channels, long long pitch, long long kernel, const T* w,
             long long w_stride, T* dx) {
  using V = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::W;
  for (int pixel = 0; pixel < pixels; pixel++) {
    const int begin = s.starts[pixel], end = s.starts[pixel + 1];
    if (begin == end) continue;
    T* patch = dx + static_cast<long long>(pixel) * channels;
    V acc[NR][NV];
    for (int r = 0; r < NR; r++)
      for (int v = 0; v < NV; v++) acc[r][v] = load(patch + r * pitch + v * W);
    for (int e = begin; e < end; e++) {
      const V gv = set1(s.sorted[e]);
      const T* row = w + s.channels[e] * kernel;
      for (int r = 0; r < NR; r++)
        for (int v = 0; v < NV; v++) acc[r][v] = fma(gv, load(row + r * w_stride + v * W), acc[r][v]);
    }
    for (int r = 0; r < NR; r++)
      for (int v = 0; v < NV; v++) store(patch + r * pitch + v * W, acc[r][v]);
  }
}

// f(row, vector, tile) over a kernel of R rows x `vectors`, cut into near-equal tiles of at most kMaxTile.
template <class F>
void for_tiles(int rows, long long vectors, const F& f) {
  const long long chunks = (vectors + kMaxTile - 1) / kMaxTile;
  for (long long c = 0; c < chunks; c++) {
    const long long v = vectors * c / chunks;
    const int nv = static_cast<int>(vectors * (c + 1) / chunks - v);
    const int most = kMaxTile / nv, bands = (rows + most - 1) / most;
    for (int b = 0; b < bands; b++) {
      const int r = static_cast<int>(static_cast<long long>(rows) * b / bands);
      f(r, v, static_cast<int>(static_cast<long long>(rows) * (b + 1) / bands) - r, nv);
    }
  }
}

// f.template operator()<NR, NV>() for the tile of nr rows and nv vectors.
template <int NR, int NV, class F>
bool try_tile(int nr, int nv, const F& f) {
  if constexpr (NR * NV <= kMaxTile) {
    if (nr == NR && nv == NV) {
      f.template operator()<NR, NV>();
      return true;
    }
  }
  return false;
}
template <int NV, class F>
bool with_rows(int nr, int nv, const F& f) {
  return try_tile<1, NV>(nr, nv, f) || try_tile<2, NV>(nr, nv, f) || try_tile<3, NV>(nr, nv, f) ||
         try_tile<4, NV>(nr, nv, f) || try_tile<5, NV>(nr, nv, f) || try_tile<6, NV>(nr, nv, f) ||
         try_tile<7, NV>(nr, nv, f) || try_tile<8, NV>(nr, nv, f) || try_tile<9, NV>(nr, nv, f) ||
         try_tile<10, NV>(nr, nv, f) || try_tile<11, NV>(nr, nv, f) || try_tile<12, NV>(nr, nv, f) ||
         try_tile<13, NV>(nr, nv, f);
}
template <class F>
void with_tile(int nr, int nv, const F& f) {
  with_rows<1>(nr, nv, f) || with_rows<2>(nr, nv, f) || with_rows<3>(nr, nv, f) || with_rows<4>(nr, nv, f) ||
      with_rows<5>(nr, nv, f) || with_rows<6>(nr, nv, f) || with_rows<7>(nr, nv, f) ||
      with_rows<8>(nr, nv, f) || with_rows<9>(nr, nv, f) || with_rows<10>(nr, nv, f) ||
      with_rows<11>(nr, nv, f) || with_rows<12>(nr, nv, f) || with_rows<13>(nr, nv, f);
}

// ---- one part -----------------------------------------------------------------------------------------

template <class T>
struct Arrays {
  const T *x, *w, *y;
  const uint8_t* argmax;
  const T* dy;
  T *dx, *dw, *db;
};

template <class T>
void gather_channel(const Plan& plan, const Arrays<T>& a, const Scratch<T>& s, const int* delta, int first,
                    int count, int k) {
  const ConvPoolParams& p = plan.p;
  const int slot = p.need_dx ? k : 0;
  for (int i = 0; i < count; i++) {
    List<T>& list = s.lists[slot * plan.group + i];
    const long long room = (slot * plan.group + i) * (plan.positions + Lanes<T>::W);
    list.g = s.values + room;
    list.pixel = s.pixels + room;
    const long long at = (static_cast<long long>(first + i) * p.k + k) * plan.positions;
    s.db[k] += gather(p.activation, a.y + at, a.dy + at, a.argmax + at, s.base, delta, plan.positions, list);
  }
}

template <class T>
void add_dw(const Plan& plan, const Scratch<T>& s, int count, int k) {
  const ConvPoolParams& p = plan.p;
  constexpr int W = Lanes<T>::W;
  const List<T>* lists = s.lists + (p.need_dx ? k : 0) * plan.group;
  const long long pitch = static_cast<long long>(plan.wp) * p.c;
  for_tiles(p.r, plan.stride / W, [&](int r, long long v, int nr, int nv) {
    with_tile(nr, nv, [&]<int NR, int NV>() {
      walk_dw<T, NR, NV>(lists, 1, count, s.x + r * pitch + v * W, plan.image, p.c, pitch,
                         s.dw + (static_cast<long long>(k) * p.r + r) * plan.stride + v * W, plan.stride);
    });
  });
}

// The lists of image i of the group, sorted by pixel (counting sort; within a pixel channels ascend).
template <class T>
void sort_by_pixel(const Plan& plan, const Scratch<T>& s, int i) {
  const int pixels = plan.hp * plan.wp;
  memset(s.starts, 0, static_cast<size_t>(pixels + 1) * sizeof(int));
  for (int k = 0; k < plan.p.k; k++) {
    const List<T>& list = s.lists[k * plan.group + i];
    for (int e = 0; e < list.count; e++) s.starts[list.pixel[e]]++;
  }
  int total = 0;
  for (int pixel = 0; pixel <= pixels; pixel++) total += s.starts[pixel], s.starts[pixel] = total;
  for (int k = plan.p.k - 1; k >= 0; k--) {
    const List<T>& list = s.lists[k * plan.group + i];
    for (int e = 0; e < list.count; e++) {
      const int at = --s.starts[list.pixel[e]];
      s.sorted[at] = list.g[e];
      s.channels[at] = k;
    }
  }
}

template <class T>
void make_dx(const Plan& plan, const Scratch<T>& s, int i, T* dx) {
  const ConvPoolParams& p = plan.p;
  constexpr int W = Lanes<T>::W;
  const long long pitch = static_cast<long long>(plan.wp) * p.c, kernel = p.r * plan.stride;
  sort_by_pixel(plan, s, i);
  memset(s.dx, 0, static_cast<size_t>(plan.image) * sizeof(T));
  for_tiles(p.r, plan.stride / W, [&](int r, long long v, int nr, int nv) {
    with_tile(nr, nv, [&]<int NR, int NV>() {
      walk_dx<T, NR, NV>(s, plan.hp * plan.wp, p.c, pitch, kernel, s.weights + r * plan.stride + v * W,
                         plan.stride, s.dx + r * pitch + v * W);
    });
  });
  from_channels_last(s.dx, dx, p.c, p.h, p.w, p.top, p.left, plan.wp);
}

template <class T>
void run_part(const Plan& plan, const Arrays<T>& a, const Scratch<T>& s, int first, int last) {
  const ConvPoolParams& p = plan.p;
  int delta[256];
  for (int i = 0; i < 256; i++) delta[i] = (i / p.pool_w % p.pool_h) * plan.wp + i % p.pool_w;
  for (int i = 0; i < plan.rows; i++)
    for (int j = 0; j < plan.cols; j++) s.base[i * plan.cols + j] = i * p.pool_h * plan.wp + j * p.pool_w;
  memset(s.dw, 0, static_cast<size_t>(p.k * p.r * plan.stride) * sizeof(T));
  memset(s.db, 0, static_cast<size_t>(p.k) * sizeof(T));
  memset(s.x, 0, static_cast<size_t>(plan.group * plan.image) * sizeof(T));  // borders and ends stay zero
  const long long image = static_cast<long long>(p.c) * p.h * p.w;
  for (; first < last; first += plan.group) {
    const int count = last - first < plan.group ? last - first : plan.group;
    for (int i = 0; i < count; i++)
      to_channels_last(a.x + (first + i) * image, s.x + i * plan.image, p.c, p.h, p.w, p.top, p.left,
                       plan.wp);
    for (int k = 0; k < p.k; k++) {
      gather_channel(plan, a, s, delta, first, count, k);
      add_dw(plan, s, count, k);
    }
    if (p.need_dx)
      for (int i = 0; i < count; i++) make_dx(plan, s, i, a.dx + (first + i) * image);
  }
}

// ---- weights between [C][R][S] and [R][stride of S C] ---------------------------------------------------

template <class T>
void pack_weights(const Plan& plan, const T* w, T* patch, T* packed) {
  const ConvPoolParams& p = plan.p;
  const long long window = static_cast<long long>(p.r) * p.s;
  const bool dense = plan.stride == plan.length;
  transpose(w, window, dense ? packed : patch, p.c, p.c, window);
  if (dense) return;
  for (int r = 0; r < p.r; r++, packed += plan.stride) {
    memcpy(packed, patch + r * plan.length, static_cast<size_t>(plan.length) * sizeof(T));
    for (long long i = plan.length; i < plan.stride; i++) packed[i] = 0;
  }
}

// dw[k] = the parts' copies added in order.
template <class T>
void finish_channel(const Plan& plan, char* workspace, int k, T* patch, T* dw, T* db) {
  const ConvPoolParams& p = plan.p;
  const long long window = static_cast<long long>(p.r) * p.s;
  T sum = 0;
  for (int part = 0; part < plan.parts; part++) {
    Scratch<T> s{};
    carve(plan, workspace, part, s);
    const T* from = s.dw + k * p.r * plan.stride;
    for (int r = 0; r < p.r; r++, from += plan.stride) {
      T* to = patch + r * plan.length;
      if (part == 0)
        memcpy(to, from, static_cast<size_t>(plan.length) * sizeof(T));
      else
        for (long long i = 0; i < plan.length; i++) to[i] += from[i];
    }
    sum += s.db[k];
  }
  transpose(patch, p.c, dw + k * p.c * window, window, window, p.c);
  db[k] = sum;
}

template <class T>
void run(const Launch& l) {
  const Plan plan = make_plan<T>(params_as<ConvPoolParams>(l), l.pool->size());
  const ConvPoolParams& p = plan.p;
  Arrays<T> a{};
  a.x = static_cast<const T*>(l.in[0]);
  a.w = static_cast<const T*>(l.in[1]);
  a.y = static_cast<const T*>(l.in[2]);
  a.argmax = static_cast<const uint8_t*>(l.in[3]);
  a.dy = static_cast<const T*>(l.in[4]);
  int out = 0;
  if (p.need_dx) a.dx = static_cast<T*>(l.out[out++]);
  a.dw = static_cast<T*>(l.out[out++]);
  a.db = static_cast<T*>(l.out[out]);
  char* workspace = static_cast<char*>(l.workspace);
  const long long kernel = static_cast<long long>(p.c) * p.r * p.s;
  const bool share = plan.parts > 1;
  auto range = [&](int part, int n, int parts) {
    return static_cast<int>(static_cast<long long>(n) * part / parts);
  };
  if (p.need_dx)
    parallel_for(
        l.pool, plan.parts,
        [&](int task, int) {
          Scratch<T> s{};
          carve(plan, workspace, task, s);
          for (int k = range(task, p.k, plan.parts); k < range(task + 1, p.k, plan.parts); k++)
            pack_weights(plan, a.w + k * kernel, s.patch, s.weights + k * p.r * plan.stride);
        },
        share);
  parallel_for(
      l.pool, plan.parts,
      [&](int task, int) {
        Scratch<T> s{};
        carve(plan, workspace, task, s);
        run_part(plan, a, s, range(task, p.n, plan.parts), range(task + 1, p.n, plan.parts));
      },
      share);
  parallel_for(
      l.pool, plan.parts,
      [&](int task, int) {
        Scratch<T> s{};
        carve(plan, workspace, task, s);
        for (int k = range(task, p.k, plan.parts); k < range(task + 1, p.k, plan.parts); k++)
          finish_channel(plan, workspace, k, s.patch, a.dw, a.db);
      },
      share);
}

void run_walk(const Launch& l) {
  if (params_as<ConvPoolParams>(l).itemsize == 4)
    run<float>(l);
  else
    run<double>(l);
}

size_t workspace(const Sizes& s) {
  const ConvPoolParams& p = params_as<ConvPoolParams>(s, "conv_pool_grad");
  if (p.itemsize == 4) {
    Scratch<float> scratch;
    return carve(make_plan<float>(p, s.threads), nullptr, 0, scratch);
  }
  Scratch<double> scratch;
  return carve(make_plan<double>(p, s.threads), nullptr, 0, scratch);
}

void check(const Sizes& s) {
  const char* name = "conv_pool_grad";
  const ConvPoolParams& p = params_as<ConvPoolParams>(s, name);
  require_counts(s, name, 5, p.need_dx ? 3 : 2);
  if (p.itemsize != 4 && p.itemsize != 8) fail("%s: itemsize is %d, expected 4 or 8", name, p.itemsize);
  if (p.n < 0 || p.c < 1 || p.h < 1 || p.w < 1 || p.k < 1 || p.r < 1 || p.s < 1 || p.pool_h < 1 ||
      p.pool_w < 1 || p.pool_h * p.pool_w > kMaxWindow || p.top < 0 || p.bottom < 0 || p.left < 0 ||
      p.right < 0)
    fail("%s: x [%d, %d, %d, %d], w [%d, .., %d, %d], window %d x %d", name, p.n, p.c, p.h, p.w, p.k, p.r,
         p.s, p.pool_h, p.pool_w);
  const Plan plan = make_plan<float>(p, s.threads);
  if (plan.rows < 1 || plan.cols < 1) fail("%s: no pooling window fits", name);
  const size_t item = static_cast<size_t>(p.itemsize), n = static_cast<size_t>(p.n),
               k = static_cast<size_t>(p.k);
  const size_t pooled = n * k * static_cast<size_t>(plan.positions),
               image = n * static_cast<size_t>(p.c) * static_cast<size_t>(p.h) * static_cast<size_t>(p.w),
               kernel = k * static_cast<size_t>(plan.length) * static_cast<size_t>(p.r);
  require_bytes(name, "x", s.in_bytes[0], image * item);
  require_bytes(name, "w", s.in_bytes[1], kernel * item);
  require_bytes(name, "y", s.in_bytes[2], pooled * item);
  require_bytes(name, "argmax", s.in_bytes[3], pooled);
  require_bytes(name, "dy", s.in_bytes[4], pooled * item);
  if (p.need_dx) require_bytes(name, "dx", s.out_bytes[0], image * item);
  require_bytes(name, "dw", s.out_bytes[p.need_dx], kernel * item);
  require_bytes(name, "db", s.out_bytes[p.need_dx + 1], k * item);
}

}  // namespace

void register_conv_pool_grad(Registrar& r) { r.add({"argmax_walk", run_walk, check, workspace}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
