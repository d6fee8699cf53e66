#include "runtime/registry.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <stdexcept>

namespace symconv {

// register_all of each instruction set is in csrc/kernels/register_all.cpp.
#define SYMCONV_ISA_ENTRY(isa)     \
  namespace isa {                  \
  void register_all(Registrar& r); \
  }
SYMCONV_ISA_LIST
#undef SYMCONV_ISA_ENTRY

namespace {

struct Compiled {
  std::string isa;
  void (*register_all)(Registrar&);
};

const std::vector<Compiled>& compiled() {
#define SYMCONV_ISA_ENTRY(isa) {#isa, &isa::register_all},
  static const std::vector<Compiled> list = {SYMCONV_ISA_LIST};
#undef SYMCONV_ISA_ENTRY
  return list;
}

bool machine_runs(const std::string& isa) {
#if defined(__x86_64__)
  if (isa == "avx2") return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == "avx512")
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("fma");
#endif
  return isa == "baseline";
}

struct Table final : Registrar {
  std::map<std::string, KernelEntry> entries;
  void add(const KernelEntry& entry) override {
    if (!entry.name || !entry.run || !entry.check) fail("a kernel entry needs a name, run and check");
    if (!entries.emplace(entry.name, entry).second) fail("kernel '%s' is registered twice", entry.name);
  }
};

std::mutex mutex;
std::string chosen;  // empty: not chosen yet

// Tables are never freed: executors hold addresses of their entries.
const Table& table(const std::string& isa) {
  static auto& tables = *new std::map<std::string, Table>;
  auto [it, is_new] = tables.try_emplace(isa);
  if (is_new) {
    for (const Compiled& c : compiled())
      if (c.isa == isa) c.register_all(it->second);
  }
  return it->second;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string checked(const std::string& name, const char* source) {
  std::vector<std::string> available = available_isas();
  for (const std::string& isa : available)
    if (isa == name) return name;
  fail("%s: '%s' is not an instruction set that was compiled and that this machine runs (%s)", source,
       name.c_str(), joined(available).c_str());
}

const std::string& chosen_locked() {
  if (chosen.empty()) {
    const char* wanted = std::getenv("SYMCONV_ISA");
    std::vector<std::string> available = available_isas();
    if (available.empty()) fail("symconv._core holds no kernels that this machine can run");
    chosen = wanted && *wanted ? checked(wanted, "SYMCONV_ISA") : available.back();
  }
  return chosen;
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Compiled& c : compiled())
    if (machine_runs(c.isa)) names.push_back(c.isa);
  return names;
}

std::string current_isa() {
  std::lock_guard lock(mutex);
  return chosen_locked();
}

void set_isa(const std::string& name) {
  std::lock_guard lock(mutex);
  chosen = checked(name, "set_isa");
}

const KernelEntry& find_kernel(const std::string& name) {
  std::lock_guard lock(mutex);
  const Table& t = table(chosen_locked());
  auto it = t.entries.find(name);
  if (it == t.entries.end())
    fail("no kernel '%s' in the C++ core (instruction set %s, %zu kernels)", name.c_str(), chosen.c_str(),
         t.entries.size());
  return it->second;
}

std::vector<std::string> kernel_names() {
  std::lock_guard lock(mutex);
  std::vector<std::string> names;
  for (const auto& [name, entry] : table(chosen_locked()).entries) names.push_back(name);
  return names;
}

}  // namespace symconv
