// Params structs (params.h) of views, loops, users' kernels and the measured peak.
#pragma once

// The address of a view: `offset` bytes into its base, plus start * stride, start in 0..last, where has_start.
struct ResolveParams {
  long long offset;
  long long stride;
  long long last;
  int has_start;
};

// n pointers that move from step to step of a loop.
struct AdvanceParams {
  int n;
};

// A kernel in a library of the user's (kernels/call.h), with its own params behind this struct: which one, how many
// items of work, at least how many of them one thread takes, and the bytes of the workspace and of every array.
struct ForeignParams {
  long long number;
  long long items;
  long long grain;
  long long workspace;
  int n_in;
  int n_out;
  long long bytes[40];
};

// The largest rates of the machine: count floats, rounds times over; itemsize 4 or 8 of the arithmetic.
struct PeakParams {
  long long count;
  long long rounds;
  int itemsize;
};
