// conv_pool_grad by Winograd's transforms: better than the walk (conv_pool_grad.cpp) where few gradients are zero.
//
// winograd_conv_pool_grad: g = dy activation'(y) is put back to the places of the maxima, among zeros, and the
// gradients of the convolution follow as winograd_dgrad and winograd_wgrad have them. Windows of 3 x 3, float32.
#include "conv_geometry.h"
#include "conv_pool_common.h"
#include "conv_pool_gather.h"
#include "conv_winograd.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

struct Plan : PooledShape {
  ConvPoolParams p;
  ConvParams conv;
  long long plane;  // values of a map of the convolution
};

Plan make_plan(const ConvPoolParams& p) {
  Plan plan{};
  static_cast<PooledShape&>(plan) = pooled_shape(p);
  plan.p = p;
  plan.conv = {p.itemsize,        p.n, p.c, p.h,   p.w,    p.k, p.r, p.s, plan.hp - p.r + 1,
               plan.wp - p.s + 1, 1,   1,   p.top, p.left, 1,   1,   1};
  if (p.flip) plan.conv = flipped(plan.conv);
  plan.plane = static_cast<long long>(plan.conv.p) * plan.conv.q;
  return plan;
}

struct Scratch {
  float* g;  // [N, K, P, Q] before pooling
  PixelTable* table;
  int* base;         // of the table
  char* transforms;  // of one convolution after the other
};

size_t carve(const Plan& plan, char* from, Scratch& s) {
  Carver c{from};
  s.g = c.take<float>(plan.p.n * plan.p.k * plan.plane);
  s.table = c.take<PixelTable>(1);
  s.base = c.take<int>(plan.positions + VF_WIDTH);
  s.transforms = from ? from + c.used : nullptr;
  return c.used;
}

// Map k of all images. Returns the sum of its gradients.
template <int kActivation>
float put_back(const Plan& plan, const Launch& l, const Scratch& s, int k) {
  const float *y = static_cast<const float*>(l.in[2]), *dy = static_cast<const float*>(l.in[4]);
  const uint8_t* argmax = static_cast<const uint8_t*>(l.in[3]);
  vf sum{};
  for (long long image = 0; image < plan.p.n; image++) {
    const long long map = image * plan.p.k + k, first = map * plan.positions;
    float* g = s.g + map * plan.plane;
    memset(g, 0, static_cast<size_t>(plan.plane) * sizeof(float));
    for (long long i = 0; i < plan.positions; i += VF_WIDTH) {
      const int n = plan.positions - i < VF_WIDTH ? static_cast<int>(plan.positions - i) : VF_WIDTH;
      const vf value = activation_gradient(kActivation, load_n(y + first + i, n), load_n(dy + first + i, n));
      float values[VF_WIDTH];
      store(values, value);
      sum += value;
      for (int j = 0; j < n; j++) g[s.base[i + j] + s.table->delta[argmax[first + i + j]]] = values[j];
    }
  }
  return hsum(sum);
}

void run(const Launch& l) {
  const Plan plan = make_plan(params_as<ConvPoolParams>(l));
  const ConvPoolParams& p = plan.p;
  Scratch s{};
  carve(plan, static_cast<char*>(l.workspace), s);
  *s.table = pixel_table(p, plan, [&](int row, int col) { return row * plan.conv.q + col; }, s.base);
  void* const dw = l.out[p.need_dx];
  float* db = static_cast<float*>(l.out[p.need_dx + 1]);
  parallel_for(
      l.pool, p.k,
      [&](int k, int) {
        with_activation(p.activation, [&](auto act) { db[k] = put_back<act.value>(plan, l, s, k); });
      },
      pays(conv_flops(plan.conv), kConvPartFlops, l.pool));
  auto convolve = [&](void (*kernel)(const Launch&), void* first, void* second, void* out) {
    void* in[] = {first, second};
    kernel({&plan.conv, sizeof plan.conv, in, &out, s.transforms, l.pool});
  };
  if (p.need_dx) convolve(run_winograd_dgrad, s.g, l.in[1], l.out[0]);
  convolve(run_winograd_wgrad, l.in[0], s.g, dw);
}

size_t workspace(const Sizes& sizes) {
  const Plan plan = make_plan(params_as<ConvPoolParams>(sizes, "winograd_conv_pool_grad"));
  Sizes conv = sizes;
  conv.params = &plan.conv, conv.params_bytes = sizeof plan.conv;
  const size_t dgrad = plan.p.need_dx ? winograd_dgrad_workspace(conv) : 0,
               wgrad = winograd_wgrad_workspace(conv);
  Scratch s{};
  return carve(plan, nullptr, s) + (dgrad > wgrad ? dgrad : wgrad);
}

void check(const Sizes& s) {
  const char* name = "winograd_conv_pool_grad";
  check_conv_pool_grad(s, name);
  const Plan plan = make_plan(params_as<ConvPoolParams>(s, name));
  const ConvPoolParams& p = plan.p;
  if (p.itemsize != 4 || p.r != 3 || p.s != 3)
    fail("%s: windows of %d x %d, %d bytes a value", name, p.r, p.s, p.itemsize);
  check_conv(s, name, plan.conv, s.in_bytes[0], s.in_bytes[1],
             sizeof(float) * static_cast<size_t>(p.n * static_cast<long long>(p.k) * plan.plane));
}

}  // namespace

void register_conv_pool_grad_winograd(Registrar& r) {
  r.add({"winograd_conv_pool_grad", run, check, workspace});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
