// Max-pooling backwards where every maximum of a window counts, as Theano has it on the CPU:
//
//   every_tie_grad   dx[h, w] = sum of dy over the windows with x[h, w] = y         inputs x, y, dy
//   every_tie_pick   dy[i, j] = sum of v over the elements of the window with x = y   inputs x, y, v
//
// Window by window. Windows of 2 x 2 side by side, the commonest, write each element once.
#include "pool_common.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

template <class T>
void grad_of_pairs(const PoolParams& p, const T* x, const T* y, const T* dy, T* dx) {
  for (int i = 0; i < p.p; i++, y += p.q, dy += p.q) {
    for (int row = 0; row < 2; row++, x += p.w, dx += p.w) {
      for (int j = 0; j < p.q; j++) {
        dx[2 * j] = x[2 * j] == y[j] ? dy[j] : T(0);
        dx[2 * j + 1] = x[2 * j + 1] == y[j] ? dy[j] : T(0);
      }
      for (int w = 2 * p.q; w < p.w; w++) dx[w] = 0;
    }
  }
  memset(dx, 0, static_cast<size_t>(p.h - 2 * p.p) * static_cast<size_t>(p.w) * sizeof(T));
}

// f(element, window) for every element of every window.
template <class F>
void for_windows(const PoolParams& p, const F& f) {
  for (int i = 0; i < p.p; i++) {
    const Span rows = window_span(i, p.window_h, p.stride_h, p.top, p.h);
    for (int j = 0; j < p.q; j++) {
      const Span cols = window_span(j, p.window_w, p.stride_w, p.left, p.w);
      for (int h = rows.begin; h < rows.end; h++)
        for (int w = cols.begin; w < cols.end; w++)
          f(static_cast<long long>(h) * p.w + w, static_cast<long long>(i) * p.q + j);
    }
  }
}

bool in_pairs(const PoolParams& p) {
  return p.window_h == 2 && p.window_w == 2 && p.stride_h == 2 && p.stride_w == 2 && !p.top && !p.left &&
         p.p <= p.h / 2 && p.q <= p.w / 2;
}

template <class T, bool GRAD>
void run_typed(const Launch& l) {
  const PoolParams& p = params_as<PoolParams>(l);
  const long long image = static_cast<long long>(p.h) * p.w, pooled = static_cast<long long>(p.p) * p.q;
  for_planes(p, l.pool, [&](long long first, long long last, int) {
    for (long long k = first; k < last; k++) {
      const T *x = static_cast<const T*>(l.in[0]) + k * image,
              *y = static_cast<const T*>(l.in[1]) + k * pooled;
      const T* from = static_cast<const T*>(l.in[2]) + k * (GRAD ? pooled : image);
      T* to = static_cast<T*>(l.out[0]) + k * (GRAD ? image : pooled);
      if (GRAD && in_pairs(p)) {
        grad_of_pairs(p, x, y, from, to);
        continue;
      }
      memset(to, 0, static_cast<size_t>(GRAD ? image : pooled) * sizeof(T));
      for_windows(p, [&](long long at, long long window) {
        if (x[at] == y[window]) to[GRAD ? at : window] += from[GRAD ? window : at];
      });
    }
  });
}

template <bool GRAD>
void run(const Launch& l) {
  with_type(params_as<PoolParams>(l), [&](auto zero) { run_typed<decltype(zero), GRAD>(l); });
}

void check_grad(const Sizes& s) {
  const char* name = "every_tie_grad";
  const PoolParams& p = params_as<PoolParams>(s, name);
  check_pool(s, name, p, 3, s.in_bytes[0], s.in_bytes[1]);
  require_bytes(name, "dy", s.in_bytes[2], s.in_bytes[1]);
  require_bytes(name, "dx", s.out_bytes[0], s.in_bytes[0]);
}
void check_pick(const Sizes& s) {
  const char* name = "every_tie_pick";
  const PoolParams& p = params_as<PoolParams>(s, name);
  check_pool(s, name, p, 3, s.in_bytes[0], s.in_bytes[1]);
  require_bytes(name, "v", s.in_bytes[2], s.in_bytes[0]);
  require_bytes(name, "the sums", s.out_bytes[0], s.in_bytes[1]);
}

}  // namespace

void register_pool_ties(Registrar& r) {
  r.add({"every_tie_grad", run<true>, check_grad, nullptr});
  r.add({"every_tie_pick", run<false>, check_pick, nullptr});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
