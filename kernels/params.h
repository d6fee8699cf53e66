// The params structs of all kernels: the one place that C++, CUDA and Python (symconv/graph/params.py, which parses
// these files) agree on. A plain subset of C: no nesting, no includes but those here; fields are int, long long, float,
// double or fixed arrays of these; natural alignment. Field order is the memory order. A kernel may read a
// variable-length tail behind its struct (params.pack(..., tail=...)).
//
// On CUDA an index i is divided by a length n as multiplier and shift say: (mulhi(i, multiplier) + i) >> shift, for
// i < 2^31; shift -1 stands for a division of 64 bits (divide.cuh).
#pragma once

#include "params_conv.h"
#include "params_copy.h"
#include "params_elementwise.h"
#include "params_gemm.h"
#include "params_index.h"
#include "params_norm.h"
#include "params_pool.h"
#include "params_random.h"
#include "params_reduce.h"
#include "params_runtime.h"
