// Max-pooling by the place of each maximum: its gradient, and the adjoint of that.
//
//   max_pool_grad: dx[place(i, j)] += dy[i, j]        max_pool_pick: y[i, j] = v[place(i, j)]
//
// place(i, j) is the first maximum of x in the window, in row-major order; a NaN is larger than all, padding is
// never picked. argmax_of_lanes: a plane of x is laid out once so that the windows of neighbouring outputs are
// neighbours (pool_common.h); a vector of outputs then walks the window together. The gradient through a small
// window is spread by comparing each of its places with the maximum's, in the same layout; through a large one it
// is added to one element at a time. paired_max_pool_grad: windows of 2 x 2 side by side, without a layout.
#include "pool_common.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

template <class T>
using Places = decltype(typename Lanes<T>::V{} == typename Lanes<T>::V{});  // integers as wide as T

template <class T>
struct Scratch {
  T* plane;   // [h][row layout]
  T* spread;  // the same, of dx
};

constexpr int kSmallWindow = 16;

bool small_window(const PoolParams& p) { return p.window_h * p.window_w <= kSmallWindow; }

template <class T>
size_t carve(const PoolParams& p, char* base, int threads, int part, Scratch<T>& out) {
  Carver c{base};
  const RowLayout r = row_layout<T>(p.q, p.window_w, p.stride_w);
  for (int t = 0; t < threads; t++) {
    c.begin_part(t);
    Scratch<T> s{};
    s.plane = c.take<T>(r.size * p.h);
    s.spread = c.take<T>(small_window(p) ? r.size * p.h : 0);
    if (t == part) out = s;
  }
  return c.used;
}

// f(row, column, rows, places): the rows its window covers, and the places of a vector of outputs, as h * w + column.
template <class T, class F>
void for_places(const PoolParams& p, const RowLayout& layout, const T* x, T* plane, const F& f) {
  using V = typename Lanes<T>::V;
  using P = Places<T>;
  constexpr int W = Lanes<T>::W;
  for (int h = 0; h < p.h; h++)
    lay_row(layout, x + static_cast<long long>(h) * p.w, p.w, p.left, plane + h * layout.size);
  P lane{};
  for (int i = 0; i < W; i++) lane[i] = i * p.stride_w;
  for (int i = 0; i < p.p; i++) {
    const Span rows = window_span(i, p.window_h, p.stride_h, p.top, p.h);
    for (int j = 0; j < p.q; j += W) {
      const P corner = lane + (j * p.stride_w - p.left);  // column of the window's first element
      V best = V{} - __builtin_inff();
      P place = (corner < 0 ? P{} : corner) + rows.begin * p.w;
      for (int h = rows.begin; h < rows.end; h++) {
        const T* row = plane + h * layout.size + j;
        ElementWalk element{layout};
        for (int k = 0; k < p.window_w; k++, element.next()) {
          const V value = load(row + element.at);
          const P wins = (value > best) | ((value != value) & (best == best));
          best = wins ? value : best;
          place = wins ? corner + (h * p.w + k) : place;
        }
      }
      f(i, j, rows, place);
    }
  }
}

template <class T>
void pick_plane(const PoolParams& p, const RowLayout& layout, const Scratch<T>& s, const T* x, const T* v,
                T* y) {
  for_places(p, layout, x, s.plane, [&](int i, int j, Span, Places<T> place) {
    T* to = y + static_cast<long long>(i) * p.q + j;
    for (int m = 0; m < Lanes<T>::W && j + m < p.q; m++) to[m] = v[place[m]];
  });
}

template <class T>
void add_plane(const PoolParams& p, const RowLayout& layout, const Scratch<T>& s, const T* x, const T* dy,
               T* dx) {
  memset(dx, 0, static_cast<size_t>(p.h) * static_cast<size_t>(p.w) * sizeof(T));
  for_places(p, layout, x, s.plane, [&](int i, int j, Span, Places<T> place) {
    const T* from = dy + static_cast<long long>(i) * p.q + j;
    for (int m = 0; m < Lanes<T>::W && j + m < p.q; m++) dx[place[m]] += from[m];
  });
}

template <class T>
void spread_plane(const PoolParams& p, const RowLayout& layout, const Scratch<T>& s, const T* x, const T* dy,
                  T* dx) {
  using V = typename Lanes<T>::V;
  using P = Places<T>;
  memset(s.spread, 0, static_cast<size_t>(layout.size * p.h) * sizeof(T));
  P lane{};
  for (int i = 0; i < Lanes<T>::W; i++) lane[i] = i * p.stride_w;
  for_places(p, layout, x, s.plane, [&](int i, int j, Span rows, P place) {
    const V d = load_part(dy + static_cast<long long>(i) * p.q + j, p.q - j);
    place -= lane + (j * p.stride_w - p.left);  // the same number for all lanes at each place of the window
    for (int h = rows.begin; h < rows.end; h++) {
      T* row = s.spread + h * layout.size + j;
      ElementWalk element{layout};
      for (int k = 0; k < p.window_w; k++, element.next())
        store(row + element.at, load(row + element.at) + (place == h * p.w + k ? d : V{}));
    }
  });
  for (int h = 0; h < p.h; h++)
    unlay_row(layout, s.spread + h * layout.size, p.w, p.left, dx + static_cast<long long>(h) * p.w);
}

// The gradient through windows of 2 x 2 side by side: two vectors of each row have one of outputs.
template <class T>
struct Pairs {
  using V = typename Lanes<T>::V;
  using P = Places<T>;
  V above0, above1, below0, below1;  // of x, then of dx

  void spread(V d) {
    V value[4];
    split_pairs(above0, above1, value[0], value[1]);
    split_pairs(below0, below1, value[2], value[3]);
    V best = value[0];
    P wins[4];
    for (int k = 1; k < 4; k++) {
      wins[k] = (value[k] > best) | ((value[k] != value[k]) & (best == best));
      best = wins[k] ? value[k] : best;
    }
    const V zero{};
    const V last = wins[3] ? d : zero, third = wins[3] ? zero : wins[2] ? d : zero;
    const P later = wins[3] | wins[2];
    const V second = later ? zero : wins[1] ? d : zero, first = (later | wins[1]) ? zero : d;
    join_pairs(first, second, above0, above1);
    join_pairs(third, last, below0, below1);
  }
};

template <class T>
void spread_pairs(const PoolParams& p, const T* x, const T* dy, T* dx) {
  constexpr int W = Lanes<T>::W;
  for (int i = 0; i < p.p; i++, x += 2LL * p.w, dx += 2LL * p.w, dy += p.q) {
    const T* below = x + p.w;
    T* to = dx + p.w;
    auto whole = [&](int j) {
      const int a = 2 * j, b = a + W;
      Pairs<T> pairs{load(x + a), load(x + b), load(below + a), load(below + b)};
      pairs.spread(load(dy + j));
      store(dx + a, pairs.above0), store(dx + b, pairs.above1);
      store(to + a, pairs.below0), store(to + b, pairs.below1);
    };
    int j = 0;
    for (; j + W <= p.q; j += W) whole(j);
    if (j < p.q && p.q >= W) {
      whole(p.q - W);  // the last vector overlaps the one before
    } else if (const int rest = 2 * (p.q - j), more = rest > W ? rest - W : 0, a = 2 * j, b = a + W; rest) {
      Pairs<T> pairs{load_part(x + a, rest), load_part(x + b, more), load_part(below + a, rest),
                     load_part(below + b, more)};
      pairs.spread(load_part(dy + j, p.q - j));
      store_part(dx + a, pairs.above0, rest), store_part(dx + b, pairs.above1, more);
      store_part(to + a, pairs.below0, rest), store_part(to + b, pairs.below1, more);
    }
    for (int k = 2 * p.q; k < p.w; k++) dx[k] = to[k] = 0;
  }
  memset(dx, 0, static_cast<size_t>(p.h - 2 * p.p) * static_cast<size_t>(p.w) * sizeof(T));
}

template <class T>
void run_spread_pairs(const Launch& l) {
  const PoolParams& p = params_as<PoolParams>(l);
  const long long image = static_cast<long long>(p.h) * p.w, pooled = static_cast<long long>(p.p) * p.q;
  for_planes(p, l.pool, [&](long long first, long long last, int) {
    for (long long i = first; i < last; i++)
      spread_pairs(p, static_cast<const T*>(l.in[0]) + i * image, static_cast<const T*>(l.in[1]) + i * pooled,
                   static_cast<T*>(l.out[0]) + i * image);
  });
}

void run_paired(const Launch& l) {
  with_type(params_as<PoolParams>(l), [&](auto zero) { run_spread_pairs<decltype(zero)>(l); });
}

template <class T, bool GRAD>
void run_typed(const Launch& l) {
  const PoolParams& p = params_as<PoolParams>(l);
  const RowLayout layout = row_layout<T>(p.q, p.window_w, p.stride_w);
  const long long image = static_cast<long long>(p.h) * p.w, pooled = static_cast<long long>(p.p) * p.q;
  for_planes(p, l.pool, [&](long long first, long long last, int part) {
    Scratch<T> s{};
    carve(p, static_cast<char*>(l.workspace), l.pool->size(), part, s);
    for (long long i = 0; i < layout.size * p.h; i++) s.plane[i] = -__builtin_inff();
    for (long long i = first; i < last; i++) {
      const T* x = static_cast<const T*>(l.in[0]) + i * image;
      const T* from = static_cast<const T*>(l.in[1]) + i * (GRAD ? pooled : image);
      T* to = static_cast<T*>(l.out[0]) + i * (GRAD ? image : pooled);
      if (!GRAD)
        pick_plane(p, layout, s, x, from, to);
      else if (small_window(p))
        spread_plane(p, layout, s, x, from, to);
      else
        add_plane(p, layout, s, x, from, to);
    }
  });
}

template <bool GRAD>
void run(const Launch& l) {
  with_type(params_as<PoolParams>(l), [&](auto zero) { run_typed<decltype(zero), GRAD>(l); });
}

size_t workspace(const Sizes& s) {
  const PoolParams& p = params_as<PoolParams>(s, "max_pool");
  Scratch<float> f{};
  Scratch<double> d{};
  return p.itemsize == 4 ? carve(p, nullptr, s.threads, 0, f) : carve(p, nullptr, s.threads, 0, d);
}

void check_grad(const Sizes& s) {
  const PoolParams& p = params_as<PoolParams>(s, "max_pool_grad");
  check_pool(s, "max_pool_grad", p, 2, s.in_bytes[0], s.in_bytes[1]);
  require_bytes("max_pool_grad", "dx", s.out_bytes[0], s.in_bytes[0]);
}
void check_paired(const Sizes& s) {
  const PoolParams& p = params_as<PoolParams>(s, "paired_max_pool_grad");
  check_pool(s, "paired_max_pool_grad", p, 2, s.in_bytes[0], s.in_bytes[1]);
  require_bytes("paired_max_pool_grad", "dx", s.out_bytes[0], s.in_bytes[0]);
  check_pairs("paired_max_pool_grad", p);
}
void check_pick(const Sizes& s) {
  const PoolParams& p = params_as<PoolParams>(s, "max_pool_pick");
  check_pool(s, "max_pool_pick", p, 2, s.in_bytes[0], s.out_bytes[0]);
  require_bytes("max_pool_pick", "v", s.in_bytes[1], s.in_bytes[0]);
}

}  // namespace

void register_pool_argmax(Registrar& r) {
  r.add({"paired_max_pool_grad", run_paired, check_paired, nullptr});
  r.add({"max_pool_grad", run<true>, check_grad, workspace});
  r.add({"max_pool_pick", run<false>, check_pick, workspace});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
