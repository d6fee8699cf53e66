// Integers of any width as indices.
#pragma once

#include "divide.cuh"

// Element i of an integer array.
DEVICE ll integer_of(const Args& args, int input, int dtype, ll i) {
  switch (dtype) {  // as in symconv's order: int8 is 1
    case 1:
      return args.get<const signed char>(input)[i];
    case 2:
      return args.get<const unsigned char>(input)[i];
    case 3:
      return args.get<const short>(input)[i];
    case 4:
      return args.get<const int>(input)[i];
    default:
      return args.get<const ll>(input)[i];
  }
}
