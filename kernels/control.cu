// The steps of a plan that move no data: they keep pointers up to date on the device, so that the host need not look.
#include "common.cuh"

// word = address of base + offset + start * stride; start an int64 scalar that must lie in 0 to last. Inputs: base,
// start (any array if has_start is 0); output: the word.
DEVICE void resolve_tile(const ResolveParams& p, const Args& args, int, Shared) {
  if (threadIdx.x != 0) return;
  ll start = p.has_start ? ll(args.get<const ll>(1)[0]) : 0;
  if (p.has_start && !check_index(args, start, 0, p.last + 1)) start = 0;
  args.get<ll>(2)[0] = args.address(0) + p.offset + start * p.stride;
}

// words[k] += strides[k] for k < n: the inputs and outputs of the next step of a loop.
DEVICE void advance_tile(const AdvanceParams& p, const Args& args, int tile, Shared) {
  int k = tile * THREADS + threadIdx.x;
  if (k < p.n) args.get<ll>(1)[k] += args.get<const ll>(0)[k];
}

KERNEL(resolve, ResolveParams, resolve_tile)
KERNEL(advance, AdvanceParams, advance_tile)
