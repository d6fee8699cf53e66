#include "runtime/foreign.h"

#include <dlfcn.h>

#include <mutex>
#include <vector>

#include "runtime/kernel.h"

namespace symconv {

namespace {

std::mutex mutex;
std::vector<SymconvEntry>& entries() {
  static auto& list = *new std::vector<SymconvEntry>;
  return list;
}

std::string last_error() {
  const char* text = dlerror();
  return text ? text : "unknown error";
}

}  // namespace

int bind_library(const std::string& path, const std::string& entry) {
  std::lock_guard lock(mutex);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) fail("the library %s cannot be opened: %s", path.c_str(), last_error().c_str());
  void* function = dlsym(library, entry.c_str());
  if (!function) fail("the library %s defines no '%s'", path.c_str(), entry.c_str());
  auto* abi = static_cast<const int*>(dlsym(library, (entry + "_abi").c_str()));
  if (!abi || *abi != SYMCONV_CALL_ABI)
    fail(
        "the library %s does not define %s_abi = %d: '%s' is no kernel of symconv, or one for another "
        "version",
        path.c_str(), entry.c_str(), SYMCONV_CALL_ABI, entry.c_str());
  auto* found = reinterpret_cast<SymconvEntry>(function);
  std::vector<SymconvEntry>& list = entries();
  for (size_t i = 0; i < list.size(); i++)
    if (list[i] == found) return static_cast<int>(i);
  list.push_back(found);
  return static_cast<int>(list.size()) - 1;
}

SymconvEntry foreign_entry(long long number) {
  std::lock_guard lock(mutex);
  const std::vector<SymconvEntry>& list = entries();
  if (number < 0 || static_cast<size_t>(number) >= list.size())
    fail("foreign: %lld is not the number of a bound entry", number);
  return list[static_cast<size_t>(number)];
}

}  // namespace symconv
