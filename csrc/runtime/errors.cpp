#include "runtime/errors.h"

#include <cstdarg>
#include <cstdio>

#include "runtime/kernel.h"

namespace symconv {

static std::string formatted(const char* format, va_list arguments) {
  char text[1024];
  std::vsnprintf(text, sizeof text, format, arguments);
  return text;
}

void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string text = formatted(format, arguments);
  va_end(arguments);
  throw std::invalid_argument(text);
}

void fail_index(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string text = formatted(format, arguments);
  va_end(arguments);
  throw std::out_of_range(text);
}

}  // namespace symconv
