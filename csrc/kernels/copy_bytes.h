// memcpy in pieces. glibc copies more than 2 to 4 KiB at once by `rep movsb`, which on Zen 3 takes ten times as
// long where the destination lies a few bytes behind the source modulo 4096; smaller pieces go through vectors.
// Beyond 32 MiB memcpy writes past the caches, which is worth keeping.
#pragma once
#include <stddef.h>
#include <string.h>

namespace symconv {
namespace SYMCONV_ISA {

static inline void copy_bytes(void* to, const void* from, size_t bytes) {
  constexpr size_t kPiece = 2048, kPastCaches = size_t{32} << 20;
  char* out = static_cast<char*>(to);
  const char* in = static_cast<const char*>(from);
  if (bytes < kPastCaches)
    for (; bytes > kPiece; bytes -= kPiece, out += kPiece, in += kPiece) memcpy(out, in, kPiece);
  memcpy(out, in, bytes);
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
