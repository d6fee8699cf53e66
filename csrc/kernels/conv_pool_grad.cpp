// conv_pool_grad: dx, dw, db of y = activation(maxpool(x * w) + b), from the places of the maxima.
//
//   g = dy activation'(y) [N, K, P, Q];  x, dx [N, C, H, W];  w, dw [K, C, R, S]
//   dw[k] += g x[patch at the maximum],  dx[patch at the maximum] += g w[k],  db[k] += g
//
// argmax_walk: images and weights are repacked channels-last, so that row r of a patch, and of w[k], are
// L = S C contiguous values. The non-zero g of some images are gathered into a list (value, pixel), channel after
// channel. dw walks a channel's part of it with a tile of [rows][vectors] of dw[k] in registers; dx takes the list
// sorted by pixel and keeps a tile of the pixel's patch in registers while it adds all channels that
// have their maximum there. Zeros cost nothing but their place in the gather. Each part of the pool owns a
// range of images and a copy of dw; the copies are added in order.
//
// Lined images, where dx is not asked for and a row of a patch fills half a cache line at most: line i of an image's row
// holds its values from i half lines on, so each value but the first ones stands twice, and of the two places from which a
// patch's row can be read one is followed by enough of its line. Of plain rows two loads in five would cross lines.
#include <numeric>

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
  bool lined;        // rows of images are lines that overlap
  int step;          // values from pixel to pixel; 1 where lined: pixels are told by their values
  int pixels;        // of a packed image, with room for vectors that reach over its end
  long long pitch;   // values from row to row
  long long image;   // values of a packed image
  int group;         // images walked together
  bool shifts;       // sums are added to dx by aligned vectors (walk_dx)
  bool longer;       // which may be one more than those of the sums
  int parts;
  bool own;  // each part packs the weights for itself, which is sooner done than read from another core
  int n_tiles;
};

template <class T>
constexpr int kHalfLine = 32 / sizeof(T);

// Where a pixel stands in a packed image, in steps.
template <class T>
int place_of(const Plan& plan, int row, int col) {
  if (!plan.lined) return row * plan.wp + col;
  const int value = col * plan.p.c, half = value / kHalfLine<T>;
  return row * static_cast<int>(plan.pitch) + half * kHalfLine<T> + value;
}

template <class T>
Plan make_plan(const ConvPoolParams& p, int threads) {
  constexpr int W = Lanes<T>::W;
  Plan plan{};
  static_cast<PooledShape&>(plan) = pooled_shape(p);
  plan.p = p;
  plan.length = static_cast<long long>(p.s) * p.c;
  plan.narrow = VF_WIDTH >= 8 && plan.length <= W / 2;
  plan.stride = round_up(plan.length, W);
  // Windows do not cross a half line, so that a place in one is as far from its corner in each. Places are ints.
  plan.lined = !p.need_dx && (plan.narrow ? W / 2 : plan.stride) <= kHalfLine<T> &&
               kHalfLine<T> % (p.pool_w * p.c) == 0 &&
               static_cast<long long>(plan.hp) * plan.wp * p.c < (1 << 28);
  plan.step = plan.lined ? 1 : p.c;
  plan.pitch = static_cast<long long>(plan.wp) * p.c;
  if (plan.lined) plan.pitch = 2 * round_up(plan.pitch, kHalfLine<T>);
  plan.pixels = plan.hp * static_cast<int>(plan.pitch) / plan.step;
  if (!plan.lined) plan.pixels += (2 * W + p.c - 1) / p.c;
  plan.shifts = kShifts && p.c % W;
  plan.longer = plan.length + W - std::gcd(p.c, W) > plan.stride;
  plan.image = static_cast<long long>(plan.pixels) * plan.step;
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
  T* weights;     // [K][R][stride]
  Tile* tiles;    // shared
  T* dw;          // [K][R][stride]
  T* db;          // [K][W]: lane by lane
  T* x;           // [group][image]
  T* plain;       // an image on its way to lines
  T* dx;          // [group][image]
  List<T> list;   // of the group, channel after channel; without dx, of one channel
  int* channels;  // of its entries
  Sorted<T> sorted;
  int* base;  // pixel of each pooled position's window
  T* patch;   // [R S C]: weights on their way between layouts
};

// Of a plain image, and what the last line reaches over its end.
template <class T>
long long plain_values(const Plan& plan) {
  return static_cast<long long>(plan.hp) * plan.wp * plan.p.c + 2 * kHalfLine<T>;
}

template <class T>
size_t carve(const Plan& plan, char* base, int part, Scratch<T>& out) {
  Carver c{base};
  const ConvPoolParams& p = plan.p;
  constexpr int W = Lanes<T>::W;
  // Of the list: a whole vector may be written behind its last entry.
  const long long kernel = p.k * p.r * plan.stride,
                  room = (p.need_dx ? p.k : 1) * plan.group * plan.positions + W;
  Scratch<T> s{};
  s.tiles = c.take<Tile>(plan.n_tiles);
  for (int t = 0; t < plan.parts; t++) {
    c.begin_part(t);
    if (t == 0 || plan.own) s.weights = c.take<T>(p.need_dx ? kernel : 0);
    s.dw = c.take<T>(kernel);
    s.db = c.take<T>(static_cast<long long>(p.k) * W);
    s.x = c.take<T>(plan.group * plan.image);
    if (plan.lined) s.plain = c.take<T>(plain_values<T>(plan));
    s.list = {c.take<T>(room), c.take<int>(room), 0};
    s.base = c.take<int>(plan.positions + W);
    s.patch = c.take<T>(p.r * plan.length);
    if (p.need_dx) {
      const long long pixels = static_cast<long long>(plan.group) * plan.pixels;
      s.dx = c.take<T>(plan.group * plan.image);
      s.channels = c.take<int>(room);
      s.sorted.g = c.take<T>(room);
      s.sorted.channels = c.take<int>(room);
      s.sorted.starts = c.take<int>(pixels + 1);
      s.sorted.living = c.take<Living>(pixels);
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

// Appends the gradients of channel k of `count` images from `first` on; returns where its list begins.
template <int kActivation, class T>
int gather_channel(const Plan& plan, const Arrays<T>& a, Scratch<T>& s, PixelTable& table, int first,
                   int count, int k) {
  const ConvPoolParams& p = plan.p;
  if (!p.need_dx) s.list.count = 0;
  const int begin = s.list.count;
  for (int i = 0; i < count; i++) {
    const long long at = (static_cast<long long>(first + i) * p.k + k) * plan.positions;
    table.first = i * plan.pixels;
    gather<kActivation>(a.y + at, a.dy + at, a.argmax + at, table, plan.positions, s.list,
                        s.db + k * Lanes<T>::W);
  }
  if (p.need_dx)
    for (int e = begin; e < s.list.count; e++) s.channels[e] = k;
  return begin;
}

template <class T>
void add_dw(const Plan& plan, const Scratch<T>& s, int k, int begin) {
  const ConvPoolParams& p = plan.p;
  constexpr int W = Lanes<T>::W;
  const List<T> list{s.list.g + begin, s.list.pixel + begin, s.list.count - begin};
  if (!list.count) return;
  for (int i = 0; i < plan.n_tiles; i++) {
    const Tile& t = s.tiles[i];
    T* dw = s.dw + (static_cast<long long>(k) * p.r + t.row) * plan.stride + t.vector * W;
    const auto walk = plan.narrow ? kTiles<T>.narrow[t.rows - 1] : kTiles<T>.dw[t.rows - 1][t.vectors - 1];
    walk(list, s.x + t.row * plan.pitch + t.vector * W, plan.step, plan.pitch, dw, plan.stride);
  }
}

// The pixels of `count` images that have any of at most `most` gradients, by their number. Neighbours in the list lie in
// different images and rows, so that none waits for what the one before adds to dx.
template <class T>
void list_living(const Plan& plan, int count, int most, Sorted<T>& s) {
  const int rows = plan.hp - plan.p.r + 1, cols = plan.wp - plan.p.s + 1;
  auto visit = [&](auto&& pixel) {
    for (int col = 0; col < cols; col++)
      for (int row = 0; row < rows; row++)
        for (int i = 0; i < count; i++) pixel(i * plan.pixels + row * plan.wp + col);
  };
  memset(s.bins, 0, static_cast<size_t>(most + 2) * sizeof(int));
  visit([&](int pixel) { s.bins[s.starts[pixel + 1] - s.starts[pixel] + 1]++; });
  const int dead = s.bins[1];
  s.bins[1] = 0;
  for (int n = 1; n <= most; n++) s.bins[n + 1] += s.bins[n];
  visit([&](int pixel) {
    if (const int begin = s.starts[pixel], n = s.starts[pixel + 1] - begin; n)
      s.living[s.bins[n]++] = {pixel, begin, n};
  });
  s.n_living = count * rows * cols - dead;
}

// The list of `count` images by pixel (counting sort; within a pixel channels ascend).
template <class T>
void sort_by_pixel(const Plan& plan, Scratch<T>& s, int count) {
  const int pixels = count * plan.pixels;
  int* starts = s.sorted.starts;
  memset(starts, 0, static_cast<size_t>(pixels + 1) * sizeof(int));
  for (int e = 0; e < s.list.count; e++) starts[s.list.pixel[e]]++;
  int total = 0;
  for (int pixel = 0; pixel <= pixels; pixel++) total += starts[pixel], starts[pixel] = total;
  for (int e = s.list.count - 1; e >= 0; e--) {
    const int at = --starts[s.list.pixel[e]];
    s.sorted.g[at] = s.list.g[e];
    s.sorted.channels[at] = s.channels[e];
  }
  list_living(plan, count, plan.p.k, s.sorted);
}

template <class T>
void make_dx(const Plan& plan, Scratch<T>& s, int count, T* dx) {
  const ConvPoolParams& p = plan.p;
  constexpr int W = Lanes<T>::W;
  const long long kernel = p.r * plan.stride;
  sort_by_pixel(plan, s, count);
  memset(s.dx, 0, static_cast<size_t>(count * plan.image) * sizeof(T));
  for (int j = 0; j < plan.n_tiles; j++) {
    const Tile& t = s.tiles[j];
    kTiles<T>.dx[t.rows - 1][t.vectors - 1](s.sorted, p.c, plan.pitch, kernel,
                                            s.weights + t.row * plan.stride + t.vector * W, plan.stride,
                                            s.dx + t.row * plan.pitch + t.vector * W, plan.shifts,
                                            (t.vector + t.vectors) * W != plan.stride || plan.longer);
  }
  for (int i = 0; i < count; i++, dx += static_cast<long long>(p.c) * p.h * p.w)
    from_channels_last(s.dx + i * plan.image, dx, p.c, p.h, p.w, p.top, p.left, plan.wp);
}

// Image i of a group; its border is zero.
template <class T>
void pack_image(const Plan& plan, const Scratch<T>& s, const T* x, int i) {
  const ConvPoolParams& p = plan.p;
  T* to = s.x + i * plan.image;
  to_channels_last(x, plan.lined ? s.plain : to, p.c, p.h, p.w, p.top, p.left, plan.wp);
  if (!plan.lined) return;
  constexpr int kLine = 2 * kHalfLine<T>;
  const T* row = s.plain;
  for (int h = 0; h < plan.hp; h++, row += static_cast<long long>(plan.wp) * p.c, to += plan.pitch)
    for (long long at = 0; at < plan.pitch; at += kLine) memcpy(to + at, row + at / 2, kLine * sizeof(T));
}

template <class T>
void run_part(const Plan& plan, const Arrays<T>& a, Scratch<T>& s, int first, int last) {
  const ConvPoolParams& p = plan.p;
  PixelTable table =
      pixel_table(p, plan, [&](int row, int col) { return place_of<T>(plan, row, col); }, s.base);
  memset(s.dw, 0, static_cast<size_t>(p.k * p.r * plan.stride) * sizeof(T));
  memset(s.db, 0, static_cast<size_t>(p.k) * sizeof(typename Lanes<T>::V));
  // borders and ends stay zero
  if (plan.lined)
    memset(s.plain, 0, static_cast<size_t>(plain_values<T>(plan)) * sizeof(T));
  else
    memset(s.x, 0, static_cast<size_t>(plan.group * plan.image) * sizeof(T));
  const long long image = static_cast<long long>(p.c) * p.h * p.w;
  for (; first < last; first += plan.group) {
    const int count = last - first < plan.group ? last - first : plan.group;
    s.list.count = 0;
    for (int i = 0; i < count; i++) pack_image(plan, s, a.x + (first + i) * image, i);
    for (int k = 0; k < p.k; k++) {
      int begin = 0;
      with_activation(p.activation, [&](auto act) {
        begin = gather_channel<act.value>(plan, a, s, table, first, count, k);
      });
      add_dw(plan, s, k, begin);
    }
    if (p.need_dx) make_dx(plan, s, count, a.dx + first * image);
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
