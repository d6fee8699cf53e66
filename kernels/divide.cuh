// Division of an index by a length that the host knew: a multiplication and a shift in place of some thirty
// instructions.
#pragma once

#include "common.cuh"

// i / n with multiplier and shift from symconv/ops/dividers.py; shift -1: i may be 2^31 or more.
DEVICE ll divide(ll i, ll n, int multiplier, int shift) {
  if (shift < 0) return i / n;
  unsigned u = static_cast<unsigned>(i);
  return (__umulhi(u, static_cast<unsigned>(multiplier)) + u) >> shift;
}

// i / n for a length that only the kernel knows: in 32 bits, at a third of the cost, where both fit.
DEVICE ll quotient(ll i, ll n) {
  if (((i | n) >> 31) == 0) return static_cast<unsigned>(i) / static_cast<unsigned>(n);
  return i / n;
}
