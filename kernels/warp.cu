// random_warp: images bent at random, as symconv/ops/warp_field.py defines them, bit for bit.
//
//   x, y [N, C, H, W]; y[n, c, i, j] is read from x[n, c] between the four pixels around a place of its own
//
// The ladder has one rung:
//   random_warp        a block does an image, its threads the pixels, and every thread draws the image's affine map for
//       itself (two Philox blocks). An elastic field is made by products of whole numbers, exact in any order, in the
//       block's part of the workspace: the noise's words as they are drawn, smoothed along y to [H, W] (x in the low
//       half of an int, y in the high one), and along x as each pixel is done. A place serves all channels.
//   random_warp_grad   the transpose: the places of all pixels go to the workspace, then a thread does a pixel of the
//       result and looks through all places for those that read it, in their order.
#include "philox.cuh"

struct WarpAffine {
  float xx, xy, yx, yy, cx, cy, start_x, start_y;
};

constexpr ll kWarpStream = 0xA0600000;  // STREAM of warp_field.py
constexpr int kWarpNoise = 8;           // NOISE_WORD

DEVICE float signed_unit(unsigned word) {
  return rounded_add(rounded_mul(static_cast<float>(static_cast<int>(word >> 8)), 0x1p-23f), -1.0f);
}

DEVICE float warp_centre(int size) { return rounded_mul(static_cast<float>(size - 1), 0.5f); }

DEVICE float warp_start(int size, int crop, unsigned word, float shift) {
  int corner =
      static_cast<int>(static_cast<unsigned long long>(word) * static_cast<unsigned>(size - crop + 1) >> 32);
  float start = rounded_add(static_cast<float>(corner), -0.5f);
  return rounded_add(rounded_add(start, -warp_centre(size)), -shift);
}

// a x + b y
DEVICE float warp_sum(float a, float x, float b, float y) {
  return rounded_add(rounded_mul(a, x), rounded_mul(b, y));
}

DEVICE WarpAffine warp_affine(const WarpParams& p, const PhiloxDraw& draw) {
  PhiloxBlock first = philox_block(draw, 0), second = philox_block(draw, 1);
  ll turn = (static_cast<ll>(first.word[0] >> 8) - (1 << 23)) * p.turns >> 23;
  float sine, cosine;
  sin_cos<float>(static_cast<int>(turn), sine, cosine);
  float z = rounded_div(1.0f, rounded_add(1.0f, rounded_mul(signed_unit(first.word[1]), p.scale)));
  float k = rounded_mul(signed_unit(first.word[2]), p.shear);
  WarpAffine a;
  a.xx = rounded_mul(cosine, z);
  a.xy = rounded_mul(rounded_add(rounded_mul(cosine, k), -sine), z);
  a.yx = rounded_mul(sine, z);
  a.yy = rounded_mul(rounded_add(rounded_mul(sine, k), cosine), z);
  a.cx = warp_centre(p.width);
  a.cy = warp_centre(p.height);
  a.start_x =
      warp_start(p.width, p.crop_width, second.word[1], rounded_mul(signed_unit(first.word[3]), p.shift_x));
  a.start_y = warp_start(p.height, p.crop_height, second.word[2],
                         rounded_mul(signed_unit(second.word[0]), p.shift_y));
  return a;
}

// Words of noise, in whole Philox blocks: a byte for each value of [H, 2, W].
DEVICE ll warp_words(const WarpParams& p) { return (2LL * p.height * p.width + 15) / 16 * 4; }

DEVICE float warp_noise(Global<unsigned> words, int at) {
  unsigned word = words[at / 4];
  return static_cast<float>(2 * static_cast<int>(word >> (at % 4 * 8) & 0xff) - 255);
}

// The noise, and its rows smoothed in `smooth`; ends with a barrier.
DEVICE void warp_smooth(const WarpParams& p, const PhiloxDraw& draw, Global<const float> rows,
                        Global<unsigned> words, Global<unsigned> smooth) {
  int blocks = static_cast<int>(warp_words(p) / 4);
  for (int b = threadIdx.x; b < blocks; b += THREADS) {
    PhiloxBlock made = philox_block(draw, kWarpNoise / 4 + b);
    for (int i = 0; i < 4; i++) words[4 * b + i] = made.word[i];
  }
  __syncthreads();
  for (int at = threadIdx.x; at < p.height * p.width; at += THREADS) {
    int i = at / p.width, j = at % p.width;
    float x = 0, y = 0;
    for (int k = 0; k < p.height; k++) {
      float weight = rows[i * p.height + k];
      x += weight * warp_noise(words, 2 * k * p.width + j);
      y += weight * warp_noise(words, (2 * k + 1) * p.width + j);
    }
    int low = static_cast<int>(floorf(x * 0x1p-8f)), high = static_cast<int>(floorf(y * 0x1p-8f));
    smooth[at] = static_cast<unsigned>(high) << 16 | (static_cast<unsigned>(low) & 0xffffu);
  }
  __syncthreads();
}

// The displacement of pixel (i, j), added to qx and qy.
DEVICE void warp_bend(const WarpParams& p, Global<const float> columns, Global<unsigned> smooth, int i, int j,
                      float& qx, float& qy) {
  float x = 0, y = 0;
  for (int k = 0; k < p.width; k++) {
    float weight = columns[j * p.width + k];
    unsigned both = smooth[i * p.width + k];
    x += static_cast<float>(static_cast<short>(both & 0xffffu)) * weight;
    y += static_cast<float>(static_cast<int>(both) >> 16) * weight;
  }
  qx = rounded_add(qx, rounded_mul(x, p.bend));
  qy = rounded_add(qy, rounded_mul(y, p.bend));
}

// Where pixels are read: the cell's upper left corner, held within a pixel of the image (within it, for edges), and
// the fractions.
struct WarpCell {
  int row, column;
  float x, y;
};

// f(pixel, cell) for the pixels of image `tile`, `workspace` being its part.
template <class F>
DEVICE void for_cells(const WarpParams& p, const Args& args, int tile, Global<unsigned> workspace, F f) {
  ll index = args.get<const ll>(1)[tile], epoch = args.get<const ll>(2)[0];
  unsigned long long number = static_cast<unsigned long long>(index) & 0xffffffffu;
  PhiloxDraw draw = philox_draw(p.seed, kWarpStream,
                                static_cast<ll>(static_cast<unsigned long long>(epoch) << 32 | number));
  const WarpAffine a = warp_affine(p, draw);
  Global<unsigned> smooth = workspace + (p.elastic ? warp_words(p) : 0);
  if (p.elastic) warp_smooth(p, draw, args.get<const float>(3), workspace, smooth);
  float low = p.edge ? 0.0f : -1.0f;
  float right = static_cast<float>(p.width - (p.edge ? 1 : 0));
  float bottom = static_cast<float>(p.height - (p.edge ? 1 : 0));
  for (int at = threadIdx.x; at < p.height * p.width; at += THREADS) {
    int i = at / p.width, j = at % p.width;
    float qx = warp_sum(rounded_add(static_cast<float>(j), 0.5f), p.step_x, a.start_x, 1.0f);
    float qy = warp_sum(rounded_add(static_cast<float>(i), 0.5f), p.step_y, a.start_y, 1.0f);
    if (p.elastic) warp_bend(p, args.get<const float>(4), smooth, i, j, qx, qy);
    float x = rounded_add(warp_sum(a.xx, qx, a.xy, qy), a.cx);
    float y = rounded_add(warp_sum(a.yx, qx, a.yy, qy), a.cy);
    x = x > low ? x : low, x = x < right ? x : right;
    y = y > low ? y : low, y = y < bottom ? y : bottom;
    float left = floorf(x), top = floorf(y);
    f(at,
      WarpCell{static_cast<int>(top), static_cast<int>(left), rounded_add(x, -left), rounded_add(y, -top)});
  }
}

// Words of an image's part of the workspace: the noise, the smoothed field, and for the transpose the cells.
DEVICE ll warp_part(const WarpParams& p, bool cells) {
  ll plane = static_cast<ll>(p.height) * p.width;
  return (p.elastic ? warp_words(p) + plane : 0) + (cells ? 4 * plane : 0);
}

// The pixel of x at (i, j), of the nearest or zero beyond the border.
template <class T>
DEVICE T warp_pixel(const WarpParams& p, Global<const T> x, int i, int j) {
  if (p.edge) {
    i = min(i, p.height - 1);
    j = min(j, p.width - 1);
  }
  if (i < 0 || i >= p.height || j < 0 || j >= p.width) return T(0);
  T value = x[static_cast<ll>(i) * p.width + j];
  return value;
}

// a + f (b - a)
template <class T>
DEVICE T warp_between(T a, T b, T f) {
  return rounded_add(a, rounded_mul(f, rounded_add(b, -a)));
}

template <class T>
DEVICE void random_warp_tile(const WarpParams& p, const Args& args, int tile, Shared) {
  int out = p.elastic ? 5 : 3, plane = p.height * p.width;
  ll part = warp_part(p, false);
  Global<const T> x = args.get<const T>(0);
  Global<T> y = args.get<T>(out);
  Global<unsigned> workspace = args.get<unsigned>(part ? out + 1 : out) + tile * part;
  for_cells(p, args, tile, workspace, [&](int at, const WarpCell& cell) {
    T u = static_cast<T>(cell.x), v = static_cast<T>(cell.y);
    for (int c = 0; c < p.channels; c++) {
      ll start = (static_cast<ll>(tile) * p.channels + c) * plane;
      Global<const T> image = x + start;
      T upper = warp_between(warp_pixel<T>(p, image, cell.row, cell.column),
                             warp_pixel<T>(p, image, cell.row, cell.column + 1), u);
      T lower = warp_between(warp_pixel<T>(p, image, cell.row + 1, cell.column),
                             warp_pixel<T>(p, image, cell.row + 1, cell.column + 1), u);
      y[start + at] = warp_between(upper, lower, v);
    }
  });
}

// The cells of the image in the workspace: row, column, x and y, each [H, W].
template <class T>
DEVICE void random_warp_grad_tile(const WarpParams& p, const Args& args, int tile, Shared) {
  int out = p.elastic ? 5 : 3, plane = p.height * p.width;
  Global<const T> dy = args.get<const T>(0);
  Global<T> dx = args.get<T>(out);
  Global<unsigned> workspace = args.get<unsigned>(out + 1) + tile * warp_part(p, true);
  Global<unsigned> cells = workspace + warp_part(p, false);
  for_cells(p, args, tile, workspace, [&](int at, const WarpCell& cell) {
    cells[at] = static_cast<unsigned>(cell.row);
    cells[plane + at] = static_cast<unsigned>(cell.column);
    cells[2 * plane + at] = static_cast<unsigned>(__float_as_int(cell.x));
    cells[3 * plane + at] = static_cast<unsigned>(__float_as_int(cell.y));
  });
  __syncthreads();
  for (int at = threadIdx.x; at < plane; at += THREADS) {
    int i = at / p.width, j = at % p.width;
    for (int c = 0; c < p.channels; c++) {
      ll start = (static_cast<ll>(tile) * p.channels + c) * plane;
      T sum = 0;
      for (int k = 0; k < plane; k++) {
        unsigned row = cells[k], column = cells[plane + k];
        int below = i - static_cast<int>(row), right = j - static_cast<int>(column);
        if (below < 0 || below > 1 || right < 0 || right > 1) continue;
        unsigned u = cells[2 * plane + k], v = cells[3 * plane + k];
        T x = static_cast<T>(__int_as_float(static_cast<int>(u)));
        T y = static_cast<T>(__int_as_float(static_cast<int>(v)));
        T value = dy[start + k];
        sum += value * (below ? y : T(1) - y) * (right ? x : T(1) - x);
      }
      dx[start + at] = sum;
    }
  }
}

KERNEL(random_warp_f32, WarpParams, random_warp_tile<float>)
KERNEL(random_warp_f64, WarpParams, random_warp_tile<double>)
KERNEL(random_warp_grad_f32, WarpParams, random_warp_grad_tile<float>)
KERNEL(random_warp_grad_f64, WarpParams, random_warp_grad_tile<double>)
