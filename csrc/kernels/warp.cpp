// random_warp and its transpose: what symconv/ops/warp_field.py defines, bit for bit.
//
//   draw       the image's words; turn, scale, shear, translation, crop as one affine map
//   field      noise [H, 2, W] smoothed along y, then along x: two small products of whole numbers in float32, exact
//              (no sum reaches 2^24), so that fused multiply-add changes nothing there
//   cells      for every pixel the offset of its cell in the image with a border, and the fractions; once for all
//              channels
//   sample     four gathers and three linear steps (or, transposed, four scattered sums)
//
// A thread does whole images. Geometry and sampling must round as NumPy does, operation by operation:
// symconv: no-contract
#include <string.h>

#include "parallel.h"
#include "params.h"
#include "philox.h"
#include "turns.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kMaxSide = 1 << 15;
constexpr long long kStream = 0xA0600000;  // STREAM of warp_field.py
constexpr int kDrawWords = 8;              // NOISE_WORD
constexpr int kBefore = 1, kBehind = 2;    // rows and columns of the border
constexpr int kRows = 4;                   // of a product at a time

long long round_up(long long n, long long step) { return (n + step - 1) / step * step; }

// The places of a thread's memory; rows of fields and cells are `pitch` apart.
struct Scratch {
  long long pitch, wide;  // wide: of the image with its border
  size_t offsets, x, y, place, image, noise, field, smooth, columns, bytes;

  Scratch(const WarpParams& p, size_t itemsize) {
    pitch = round_up(p.width, 2 * VF_WIDTH);
    wide = p.width + kBefore + kBehind;
    size_t at = 0;
    auto take = [&](size_t n) {
      size_t here = at;
      at += round_up(n, 64);
      return here;
    };
    size_t cells = size_t(p.height) * pitch;
    offsets = take(cells * 4);
    x = take(cells * 4);
    y = take(cells * 4);
    place = take(pitch * 4);
    image = take(size_t(p.height + kBefore + kBehind) * wide * itemsize);
    noise = field = smooth = columns = at;
    if (p.elastic) {
      noise = take(round_up(2LL * p.height * p.width, 4 * kPhiloxWords));
      field = take(2 * cells * 4);
      smooth = take(2 * cells * 4);
      columns = take(size_t(p.width) * pitch * 4);
    }
    bytes = at;
  }
};

// ---- the affine map of one image: x = xx qx + xy qy + cx, y = yx qx + yy qy + cy
struct Affine {
  float xx, xy, yx, yy, cx, cy, start_x, start_y;
};

float signed_unit(uint32_t word) { return static_cast<float>(static_cast<int>(word >> 8)) * 0x1p-23f - 1.0f; }

float start_of(int size, int crop, uint32_t word, float shift) {
  float centre = static_cast<float>(size - 1) * 0.5f;
  int corner = static_cast<int>(static_cast<uint64_t>(word) * static_cast<uint64_t>(size - crop + 1) >> 32);
  return ((static_cast<float>(corner) - 0.5f) - centre) - shift;
}

Affine affine_of(const WarpParams& p, const uint32_t* words) {
  int64_t turn = ((static_cast<int64_t>(words[0] >> 8) - (1 << 23)) * p.turns) >> 23;
  vf sines, cosines;
  sin_cos<float, 24, 5, 6>(set1(static_cast<int32_t>(turn)), &sines, &cosines);
  float sine = sines[0], cosine = cosines[0];
  float z = 1.0f / (1.0f + signed_unit(words[1]) * p.scale);
  float k = signed_unit(words[2]) * p.shear;
  Affine a;
  a.xx = cosine * z;
  a.xy = (cosine * k - sine) * z;
  a.yx = sine * z;
  a.yy = (sine * k + cosine) * z;
  a.cx = static_cast<float>(p.width - 1) * 0.5f;
  a.cy = static_cast<float>(p.height - 1) * 0.5f;
  a.start_x = start_of(p.width, p.crop_width, words[5], signed_unit(words[3]) * p.shift_x);
  a.start_y = start_of(p.height, p.crop_height, words[6], signed_unit(words[4]) * p.shift_y);
  return a;
}

// ---- the elastic field
// c[r][j] = sum over k of a[r][k] b[k][j] for kCount rows and n columns, a multiple of 2 * VF_WIDTH.
template <int kCount, class F>
inline void product_rows(const float* a, long long a_pitch, const float* b, float* c, long long pitch,
                         long long n, int depth, const F& finish) {
  for (long long j = 0; j < n; j += 2 * VF_WIDTH) {
    vf sum[kCount][2] = {};
    for (int k = 0; k < depth; k++) {
      vf left = load(b + k * pitch + j), right = load(b + k * pitch + j + VF_WIDTH);
      for (int r = 0; r < kCount; r++) {
        vf factor = set1(a[r * a_pitch + k]);
        sum[r][0] = fma(factor, left, sum[r][0]);
        sum[r][1] = fma(factor, right, sum[r][1]);
      }
    }
    for (int r = 0; r < kCount; r++)
      for (int half = 0; half < 2; half++) store(c + r * pitch + j + half * VF_WIDTH, finish(sum[r][half]));
  }
}

template <class F>
void product(const float* a, long long a_pitch, const float* b, float* c, long long pitch, int rows,
             int depth, const F& finish) {
  int r = 0;
  for (; r + kRows <= rows; r += kRows)
    product_rows<kRows>(a + r * a_pitch, a_pitch, b, c + r * pitch, pitch, pitch, depth, finish);
  for (; r < rows; r++)
    product_rows<1>(a + r * a_pitch, a_pitch, b, c + r * pitch, pitch, pitch, depth, finish);
}

// The displacements in whole numbers, [2 H, pitch]: rows of x and of y in turn; in `field`.
void elastic_field(const WarpParams& p, const Scratch& s, const PhiloxKey& key, const float* rows,
                   char* scratch) {
  float* field = reinterpret_cast<float*>(scratch + s.field);
  float* smooth = reinterpret_cast<float*>(scratch + s.smooth);
  uint8_t* noise = reinterpret_cast<uint8_t*>(scratch + s.noise);
  long long count = 2LL * p.height * p.width;
  uint64_t block = kDrawWords / 4;
  for (long long at = 0; at < count; at += 4 * kPhiloxWords, block += kPhiloxBlocks) {
    uint32_t words[kPhiloxWords];
    philox_words(key, block, words);
    memcpy(noise + at, words, sizeof words);  // little-endian, as all we run on
  }
  for (int r = 0; r < 2 * p.height; r++) {
    float* to = field + r * s.pitch;
    const uint8_t* from = noise + static_cast<long long>(r) * p.width;
    for (int j = 0; j < p.width; j++) to[j] = 2.0f * static_cast<float>(static_cast<int>(from[j])) - 255.0f;
    for (long long j = p.width; j < s.pitch; j++) to[j] = 0;
  }
  // The two fields side by side are one product of twice the width.
  long long twice = 2 * s.pitch;
  product(rows, p.height, field, smooth, twice, p.height, p.height, [](vf v) { return floor(v * 0x1p-8f); });
  product(smooth, s.pitch, reinterpret_cast<const float*>(scratch + s.columns), field, s.pitch, 2 * p.height,
          p.width, [](vf v) { return v; });
}

// ---- cells
void find_cells(const WarpParams& p, const Scratch& s, const Affine& a, char* scratch) {
  int32_t* offsets = reinterpret_cast<int32_t*>(scratch + s.offsets);
  float* fx = reinterpret_cast<float*>(scratch + s.x);
  float* fy = reinterpret_cast<float*>(scratch + s.y);
  float* place = reinterpret_cast<float*>(scratch + s.place);
  const float* field = reinterpret_cast<const float*>(scratch + s.field);
  for (long long j = 0; j < s.pitch; j++)
    place[j] = (static_cast<float>(static_cast<int>(j)) + 0.5f) * p.step_x + a.start_x;
  vf low = set1(p.edge ? 0.0f : -1.0f);
  vf right = set1(static_cast<float>(p.width - (p.edge ? 1 : 0)));
  vf bottom = set1(static_cast<float>(p.height - (p.edge ? 1 : 0)));
  int32_t wide = static_cast<int32_t>(s.wide);
  for (int i = 0; i < p.height; i++) {
    vf line = set1((static_cast<float>(i) + 0.5f) * p.step_y + a.start_y);
    for (long long j = 0; j < s.pitch; j += VF_WIDTH) {
      vf qx = load(place + j), qy = line;
      if (p.elastic) {
        qx = qx + load(field + 2LL * i * s.pitch + j) * set1(p.bend);
        qy = qy + load(field + (2LL * i + 1) * s.pitch + j) * set1(p.bend);
      }
      vf x = (set1(a.xx) * qx + set1(a.xy) * qy) + set1(a.cx);
      vf y = (set1(a.yx) * qx + set1(a.yy) * qy) + set1(a.cy);
      x = min(max(x, low), right);
      y = min(max(y, low), bottom);
      vf left = floor(x), top = floor(y);
      long long at = i * s.pitch + j;
      store(offsets + at, (to_int(top) + kBefore) * wide + (to_int(left) + kBefore));
      store(fx + at, x - left);
      store(fy + at, y - top);
    }
  }
}

// ---- sample
inline vf gather(const float* p, vi at) {
#if defined(__AVX512F__)
  return (vf)_mm512_i32gather_ps((__m512i)at, p, 4);
#elif defined(__AVX2__)
  return (vf)_mm256_i32gather_ps(p, (__m256i)at, 4);
#else
  vf v{};
  for (int i = 0; i < VF_WIDTH; i++) v[i] = p[at[i]];
  return v;
#endif
}

// One row of one channel.
inline void sample_row(const float* image, long long wide, const int32_t* offsets, const float* fx,
                       const float* fy, int n, float* out) {
  for (int j = 0; j < n; j += VF_WIDTH) {
    vi at = load(offsets + j);
    vf x = load(fx + j), y = load(fy + j);
    vf a = gather(image, at), b = gather(image + 1, at);
    vf c = gather(image + wide, at), d = gather(image + wide + 1, at);
    vf upper = a + x * (b - a), lower = c + x * (d - c);
    vf value = upper + y * (lower - upper);
    if (j + VF_WIDTH <= n)
      store(out + j, value);
    else
      store_n(out + j, value, n - j);
  }
}
inline void sample_row(const double* image, long long wide, const int32_t* offsets, const float* fx,
                       const float* fy, int n, double* out) {
  for (int j = 0; j < n; j++) {
    const double* p = image + offsets[j];
    double x = fx[j], y = fy[j];
    double upper = p[0] + x * (p[1] - p[0]), lower = p[wide] + x * (p[wide + 1] - p[wide]);
    out[j] = upper + y * (lower - upper);
  }
}

// A channel with its border of zeros or of the nearest pixels.
template <class T>
void set_border(const WarpParams& p, const Scratch& s, const T* from, T* image) {
  for (int i = -kBefore; i < p.height + kBehind; i++) {
    T* row = image + (i + kBefore) * s.wide;
    bool inside = i >= 0 && i < p.height;
    if (!inside && !p.edge) {
      memset(row, 0, s.wide * sizeof(T));
      continue;
    }
    int nearest = i < 0 ? 0 : i < p.height ? i : p.height - 1;
    const T* source = from + static_cast<long long>(nearest) * p.width;
    memcpy(row + kBefore, source, p.width * sizeof(T));
    row[0] = p.edge ? source[0] : T{0};
    for (int j = 0; j < kBehind; j++) row[kBefore + p.width + j] = p.edge ? source[p.width - 1] : T{0};
  }
}

template <class T>
void sample(const WarpParams& p, const Scratch& s, const T* from, T* to, char* scratch) {
  T* image = reinterpret_cast<T*>(scratch + s.image);
  const int32_t* offsets = reinterpret_cast<const int32_t*>(scratch + s.offsets);
  const float* fx = reinterpret_cast<const float*>(scratch + s.x);
  const float* fy = reinterpret_cast<const float*>(scratch + s.y);
  set_border(p, s, from, image);
  for (int i = 0; i < p.height; i++) {
    long long at = i * s.pitch;
    sample_row(image, s.wide, offsets + at, fx + at, fy + at, p.width,
               to + static_cast<long long>(i) * p.width);
  }
}

// The transpose: a pixel of `from` goes to the four of its cell, one corner of all cells after the other.
template <class T>
void spread(const WarpParams& p, const Scratch& s, const T* from, T* to, char* scratch) {
  T* image = reinterpret_cast<T*>(scratch + s.image);
  const int32_t* offsets = reinterpret_cast<const int32_t*>(scratch + s.offsets);
  const float* fx = reinterpret_cast<const float*>(scratch + s.x);
  const float* fy = reinterpret_cast<const float*>(scratch + s.y);
  memset(image, 0, size_t(p.height + kBefore + kBehind) * s.wide * sizeof(T));
  for (int corner = 0; corner < 4; corner++) {
    long long beside = corner / 2 * s.wide + corner % 2;
    for (int i = 0; i < p.height; i++)
      for (int j = 0; j < p.width; j++) {
        long long at = i * s.pitch + j;
        T x = fx[at], y = fy[at];
        T share = (corner / 2 ? y : T{1} - y) * (corner % 2 ? x : T{1} - x);
        image[offsets[at] + beside] += from[static_cast<long long>(i) * p.width + j] * share;
      }
  }
  for (int i = 0; i < p.height; i++)
    memcpy(to + static_cast<long long>(i) * p.width, image + (i + kBefore) * s.wide + kBefore,
           p.width * sizeof(T));
}

template <class T, bool kSpread>
void run_warp(const Launch& l) {
  const WarpParams& p = params_as<WarpParams>(l);
  const Scratch s(p, sizeof(T));
  const T* x = static_cast<const T*>(l.in[0]);
  const int64_t* index = static_cast<const int64_t*>(l.in[1]);
  uint64_t epoch = static_cast<uint64_t>(*static_cast<const int64_t*>(l.in[2])) << 32;
  T* y = static_cast<T*>(l.out[0]);
  long long plane = static_cast<long long>(p.height) * p.width;
  long long grain = 1 + (p.elastic ? 3000 : 12000) / plane;  // some 20 us of work
  parallel_range(
      l.pool, p.n, grain,
      [&](long long begin, long long end, int part) {
        char* scratch = static_cast<char*>(l.workspace) + part_begin(part, s.bytes);
        if (p.elastic) {
          const float* columns = static_cast<const float*>(l.in[4]);
          float* padded = reinterpret_cast<float*>(scratch + s.columns);
          for (int k = 0; k < p.width; k++)
            for (long long j = 0; j < s.pitch; j++)
              padded[k * s.pitch + j] = j < p.width ? columns[j * p.width + k] : 0.0f;
        }
        for (long long n = begin; n < end; n++) {
          uint64_t draw = epoch | (static_cast<uint64_t>(index[n]) & 0xffffffffu);
          PhiloxKey key = philox_key(p.seed, kStream, static_cast<long long>(draw));
          uint32_t words[kPhiloxWords];
          philox_words(key, 0, words);
          if (p.elastic) elastic_field(p, s, key, static_cast<const float*>(l.in[3]), scratch);
          find_cells(p, s, affine_of(p, words), scratch);
          for (int c = 0; c < p.channels; c++) {
            long long at = (n * p.channels + c) * plane;
            if (kSpread)
              spread(p, s, x + at, y + at, scratch);
            else
              sample(p, s, x + at, y + at, scratch);
          }
        }
      },
      1);
}

template <class T>
size_t warp_workspace(const Sizes& sizes) {
  return parts_end(sizes.threads, Scratch(*static_cast<const WarpParams*>(sizes.params), sizeof(T)).bytes);
}

void check_warp(const Sizes& s, const char* kernel, size_t itemsize) {
  const WarpParams& p = params_as<WarpParams>(s, kernel);
  require_counts(s, kernel, p.elastic ? 5 : 3, 1);
  if (p.height < 1 || p.width < 1 || p.height > kMaxSide || p.width > kMaxSide)
    fail("%s: images are %d x %d, expected sides of 1 to %d", kernel, p.height, p.width, kMaxSide);
  if (p.crop_height < 1 || p.crop_width < 1 || p.crop_height > p.height || p.crop_width > p.width)
    fail("%s: the crop is %d x %d, the images are %d x %d", kernel, p.crop_height, p.crop_width, p.height,
         p.width);
  if (p.turns < 0 || p.turns > 1 << 23) fail("%s: turns is %d, expected 0 to 2^23", kernel, p.turns);
  if (p.n < 0 || p.channels < 0) fail("%s: %lld images of %d channels", kernel, p.n, p.channels);
  size_t plane = size_t(p.height) * size_t(p.width), image = plane * size_t(p.channels);
  size_t have = s.in_bytes[0] < s.out_bytes[0] ? s.in_bytes[0] : s.out_bytes[0];
  if (p.n > 0 && have / itemsize / size_t(p.n) < image)
    fail("%s: %zu bytes do not hold %lld images of %zu values", kernel, have, p.n, image);
  require_bytes(kernel, "index", s.in_bytes[1] / 8, size_t(p.n));
  require_bytes(kernel, "epoch", s.in_bytes[2], 8);
  if (!p.elastic) return;
  require_bytes(kernel, "rows", s.in_bytes[3], size_t(p.height) * size_t(p.height) * 4);
  require_bytes(kernel, "columns", s.in_bytes[4], size_t(p.width) * size_t(p.width) * 4);
}
void check_warp_f32(const Sizes& s) { check_warp(s, "random_warp_f32", 4); }
void check_warp_f64(const Sizes& s) { check_warp(s, "random_warp_f64", 8); }
void check_warp_grad_f32(const Sizes& s) { check_warp(s, "random_warp_grad_f32", 4); }
void check_warp_grad_f64(const Sizes& s) { check_warp(s, "random_warp_grad_f64", 8); }

}  // namespace

void register_warp(Registrar& r) {
  r.add({"random_warp_f32", run_warp<float, false>, check_warp_f32, warp_workspace<float>});
  r.add({"random_warp_f64", run_warp<double, false>, check_warp_f64, warp_workspace<double>});
  r.add({"random_warp_grad_f32", run_warp<float, true>, check_warp_grad_f32, warp_workspace<float>});
  r.add({"random_warp_grad_f64", run_warp<double, true>, check_warp_grad_f64, warp_workspace<double>});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
