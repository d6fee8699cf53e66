// What the C++ plan hands to a kernel in a library of the user's. Plain C, so that any compiler can make one.
//
//     int entry(const SymconvCall* call);
//     const int entry_abi = SYMCONV_CALL_ABI;
//
// does items begin to end - 1 of the work and returns 0, or writes why not into `message` and returns anything else.
// Calls for different items may run at once, on different threads.
#pragma once

#define SYMCONV_CALL_ABI 1
#define SYMCONV_CALL_ARRAYS 40

typedef struct SymconvArray {
  void* data;
  unsigned long long bytes;
} SymconvArray;

typedef struct SymconvCall {
  const void* params;          // the struct, on a multiple of 8 bytes
  const SymconvArray* arrays;  // inputs in the op's order, outputs, then the workspace if there is one
  int count;
  long long begin, end;
  char* message;
  unsigned long long message_bytes;
} SymconvCall;

typedef int (*SymconvEntry)(const SymconvCall* call);
