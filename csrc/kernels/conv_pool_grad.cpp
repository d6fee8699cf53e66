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
#include "conv_pool_walk.h"
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kGroupBytes = 40 << 10;       // of images whose patches are walked together: they stay in L1
constexpr double kWalkFlops = 1.25e5;       // that each thread must have at least
constexpr long long kOwnBytes = 256 << 10;  // of packed weights that each thread makes for itself

struct Plan : PooledShape {
  ConvPoolParams p;
  long long length;  // S C: one row of a patch
  bool narrow;       // it fits into half a vector
  long long stride;  // the same, rounded up to whole vectors
  int pixels;        // of a packed image, with room for vectors that reach over its end
  long long image;   // their values
  int group;         // images walked together
  int parts;
  bool own;  // each part packs the weights for itself, which is sooner done than read from another core
  int n_tiles;
};

template <class T>
Plan make_plan(const ConvPoolParams& p, int threads) {
  constexpr int W = Lanes<T>::W;
  Plan plan{};
  static_cast<PooledShape&>(plan) = pooled_shape(p);
  plan.p = p;
  plan.length = static_cast<long long>(p.s) * p.c;
  plan.narrow = VF_WIDTH >= 8 && plan.length <= W / 2;
  plan.stride = round_up(plan.length, W);
  plan.pixels = plan.hp * plan.wp + (W + p.c - 1) / p.c;
  plan.image = static_cast<long long>(plan.pixels) * p.c;
  long long group = kGroupBytes / (plan.image * static_cast<long long>(sizeof(T)));
  plan.group = static_cast<int>(group < 1 ? 1 : group > 8 ? 8 : group);
  const double flops =
      2.0 * static_cast<double>(plan.positions * plan.length) * p.r * p.n * p.k * (p.need_dx ? 2 : 1);
  plan.parts = pays(flops, kWalkFlops, threads) ? threads : 1;
  if (plan.parts > p.n) plan.parts = p.n < 1 ? 1 : p.n;
  plan.own = p.k * p.r * plan.stride * static_cast<long long>(sizeof(T)) <= kOwnBytes;
  plan.n_tiles = cut_tiles(p.r, static_cast<int>(plan.stride / W), nullptr);
  return plan;
}

template <class T>
struct Scratch {
  T* weights;   // [K][R][stride]
  Tile* tiles;  // shared
  T* dw;        // [K][R][stride]
  T* db;        // [K][W]: lane by lane
  T* x;         // [group][image]
  T* dx;        // [image]
  T* values;    // of the lists
  int* pixels;
  Sorted<T> sorted;
  int* base;       // pixel of each pooled position's window
  List<T>* lists;  // [channel], of the group
  int* ends;       // [channel][image]: where the list of that image ends
  T* patch;        // [R S C]: weights on their way between layouts
};

// Values of one list: a whole vector may be written behind the last.
template <class T>
long long list_room(const Plan& plan) {
  return plan.group * plan.positions + Lanes<T>::W;
}

template <class T>
size_t carve(const Plan& plan, char* base, int part, Scratch<T>& out) {
  Carver c{base};
  const ConvPoolParams& p = plan.p;
  const long long kernel = p.k * p.r * plan.stride, slots = p.need_dx ? p.k : 1;
  constexpr int W = Lanes<T>::W;
  Scratch<T> s{};
  s.tiles = c.take<Tile>(plan.n_tiles);
  for (int t = 0; t < plan.parts; t++) {
    c.begin_part(t);
    if (t == 0 || plan.own) s.weights = c.take<T>(p.need_dx ? kernel : 0);
    s.dw = c.take<T>(kernel);
    s.db = c.take<T>(static_cast<long long>(p.k) * W);
    s.x = c.take<T>(plan.group * plan.image);
    s.values = c.take<T>(slots * list_room<T>(plan));
    s.pixels = c.take<int>(slots * list_room<T>(plan));
    s.base = c.take<int>(plan.positions + W);
    s.lists = c.take<List<T>>(slots);
    s.ends = c.take<int>(slots * plan.group);
    s.patch = c.take<T>(p.r * plan.length);
    if (p.need_dx) {
      s.dx = c.take<T>(plan.image);
      s.sorted.g = c.take<T>(p.k * plan.positions);
      s.sorted.channels = c.take<int>(p.k * plan.positions);
      s.sorted.starts = c.take<int>(static_cast<long long>(plan.hp) * plan.wp + 1);
      s.sorted.living = c.take<Living>(static_cast<long long>(plan.hp) * plan.wp);
      s.sorted.bins = c.take<int>(p.k + 2);
    }
    if (t == part) out = s;
  }
  return c.used;
}

// ---- one part -----------------------------------------------------------------------------------------

template <class T>
struct Arrays {
  const T *x, *w, *y;
  const uint8_t* argmax;
  const T* dy;
  T *dx, *dw, *db;
};

template <int kActivation, class T>
void gather_channel(const Plan& plan, const Arrays<T>& a, const Scratch<T>& s, PixelTable& table, int first,
                    int count, int k) {
  const ConvPoolParams& p = plan.p;
  const int slot = p.need_dx ? k : 0;
  List<T>& list = s.lists[slot];
  list = {s.values + slot * list_room<T>(plan), s.pixels + slot * list_room<T>(plan), 0};
  for (int i = 0; i < count; i++) {
    const long long at = (static_cast<long long>(first + i) * p.k + k) * plan.positions;
    table.first = i * plan.pixels;
    gather<kActivation>(a.y + at, a.dy + at, a.argmax + at, table, plan.positions, list,
                        s.db + k * Lanes<T>::W);
    s.ends[slot * plan.group + i] = list.count;
  }
}

template <class T>
void add_dw(const Plan& plan, const Scratch<T>& s, int k) {
  const ConvPoolParams& p = plan.p;
  constexpr int W = Lanes<T>::W;
  const List<T>& list = s.lists[p.need_dx ? k : 0];
  const long long pitch = static_cast<long long>(plan.wp) * p.c;
  if (!list.count) return;
  for (int i = 0; i < plan.n_tiles; i++) {
    const Tile& t = s.tiles[i];
    T* dw = s.dw + (static_cast<long long>(k) * p.r + t.row) * plan.stride + t.vector * W;
    const auto walk = plan.narrow ? kTiles<T>.narrow[t.rows - 1] : kTiles<T>.dw[t.rows - 1][t.vectors - 1];
    walk(list, s.x + t.row * pitch + t.vector * W, p.c, pitch, dw, plan.stride);
  }
}

// The pixels that have any of at most `most` gradients, by their number.
template <class T>
void list_living(int pixels, int most, Sorted<T>& s) {
  memset(s.bins, 0, static_cast<size_t>(most + 2) * sizeof(int));
  for (int pixel = 0; pixel < pixels; pixel++) s.bins[s.starts[pixel + 1] - s.starts[pixel] + 1]++;
  const int dead = s.bins[1];
  s.bins[1] = 0;
  for (int n = 1; n <= most; n++) s.bins[n + 1] += s.bins[n];
  for (int pixel = 0; pixel < pixels; pixel++)
    if (const int begin = s.starts[pixel], n = s.starts[pixel + 1] - begin; n)
      s.living[s.bins[n]++] = {pixel, begin, n};
  s.n_living = pixels - dead;
}

// The lists of image i of the group, sorted by pixel (counting sort; within a pixel channels ascend).
template <class T>
void sort_by_pixel(const Plan& plan, Scratch<T>& s, int i) {
  const int pixels = plan.hp * plan.wp, first = i * plan.pixels;
  int* starts = s.sorted.starts;
  auto visit = [&](int k, auto&& entry) {
    const int* ends = s.ends + k * plan.group;
    const List<T>& list = s.lists[k];
    for (int e = i ? ends[i - 1] : 0; e < ends[i]; e++) entry(list.pixel[e] - first, list.g[e]);
  };
  memset(starts, 0, static_cast<size_t>(pixels + 1) * sizeof(int));
  for (int k = 0; k < plan.p.k; k++) visit(k, [&](int pixel, T) { starts[pixel]++; });
  int total = 0;
  for (int pixel = 0; pixel <= pixels; pixel++) total += starts[pixel], starts[pixel] = total;
  for (int k = plan.p.k - 1; k >= 0; k--)
    visit(k, [&](int pixel, T g) {
      const int at = --starts[pixel];
      s.sorted.g[at] = g;
      s.sorted.channels[at] = k;
    });
  list_living(pixels, plan.p.k, s.sorted);
}

template <class T>
void make_dx(const Plan& plan, Scratch<T>& s, int i, T* dx) {
  const ConvPoolParams& p = plan.p;
  constexpr int W = Lanes<T>::W;
  const long long pitch = static_cast<long long>(plan.wp) * p.c, kernel = p.r * plan.stride;
  sort_by_pixel(plan, s, i);
  memset(s.dx, 0, static_cast<size_t>(plan.image) * sizeof(T));
  for (int j = 0; j < plan.n_tiles; j++) {
    const Tile& t = s.tiles[j];
    kTiles<T>.dx[t.rows - 1][t.vectors - 1](s.sorted, p.c, pitch, kernel,
                                            s.weights + t.row * plan.stride + t.vector * W, plan.stride,
                                            s.dx + t.row * pitch + t.vector * W);
  }
  from_channels_last(s.dx, dx, p.c, p.h, p.w, p.top, p.left, plan.wp);
}

template <class T>
void run_part(const Plan& plan, const Arrays<T>& a, Scratch<T>& s, int first, int last) {
  const ConvPoolParams& p = plan.p;
  PixelTable table = pixel_table(p, plan, plan.wp, s.base);
  memset(s.dw, 0, static_cast<size_t>(p.k * p.r * plan.stride) * sizeof(T));
  memset(s.db, 0, static_cast<size_t>(p.k) * sizeof(typename Lanes<T>::V));
  memset(s.x, 0, static_cast<size_t>(plan.group * plan.image) * sizeof(T));  // borders and ends stay zero
  const long long image = static_cast<long long>(p.c) * p.h * p.w;
  for (; first < last; first += plan.group) {
    const int count = last - first < plan.group ? last - first : plan.group;
    for (int i = 0; i < count; i++)
      to_channels_last(a.x + (first + i) * image, s.x + i * plan.image, p.c, p.h, p.w, p.top, p.left,
                       plan.wp);
    for (int k = 0; k < p.k; k++) {
      with_activation(p.activation,
                      [&](auto act) { gather_channel<act.value>(plan, a, s, table, first, count, k); });
      add_dw(plan, s, k);
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
  T* to = dense ? packed : patch;
  const Order order = in_order(window, p.c, p.flip);
  transpose(w, window, to + order.first, order.step, p.c, window);
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
    sum += hsum(load(s.db + k * Lanes<T>::W));
  }
  const Order order = in_order(window, p.c, p.flip);
  transpose(patch + order.first, order.step, dw + k * p.c * window, window, window, p.c);
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
  Scratch<T> shared{};
  carve(plan, workspace, 0, shared);
  cut_tiles(p.r, static_cast<int>(plan.stride / Lanes<T>::W), shared.tiles);
  auto range = [&](int part, int n, int parts) {
    return static_cast<int>(static_cast<long long>(n) * part / parts);
  };
  auto pack = [&](const Scratch<T>& s, int begin, int end) {
    for (int k = begin; k < end; k++)
      pack_weights(plan, a.w + k * kernel, s.patch, s.weights + k * p.r * plan.stride);
  };
  if (p.need_dx && !plan.own)
    parallel_for(
        l.pool, plan.parts,
        [&](int task, int) {
          Scratch<T> s{};
          carve(plan, workspace, task, s);
          pack(s, range(task, p.k, plan.parts), range(task + 1, p.k, plan.parts));
        },
        share);
  parallel_for(
      l.pool, plan.parts,
      [&](int task, int) {
        Scratch<T> s{};
        carve(plan, workspace, task, s);
        if (p.need_dx && plan.own) pack(s, 0, p.k);
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
  with_type(params_as<ConvPoolParams>(l), [&](auto zero) { run<decltype(zero)>(l); });
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

void check(const Sizes& s) { check_conv_pool_grad(s, "argmax_walk"); }

}  // namespace

void register_conv_pool_grad(Registrar& r) { r.add({"argmax_walk", run_walk, check, workspace}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
