#include "runtime/cpu_count.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#if defined(__linux__)
#include <sched.h>
#endif
#include <unistd.h>

#include "runtime/kernel.h"
#include "runtime/thread_pool.h"

namespace symconv {

namespace {

#if defined(__linux__)
std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Hyperthreads of one core share its arithmetic units: they count once.
int physical_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0)
    return static_cast<int>(std::thread::hardware_concurrency());
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    std::string number = std::to_string(cpu);
    std::string siblings =
        first_line("/sys/devices/system/cpu/cpu" + number + "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? number : siblings);
  }
  return static_cast<int>(cores.size());
}

double quota_in(const std::string& directory) {
  std::string line = first_line(directory + "/cpu.max");  // cgroup v2: "max 100000" or "150000 100000"
  double quota = 0, period = 0;
  if (std::sscanf(line.c_str(), "%lf %lf", &quota, &period) == 2 && period > 0) return quota / period;
  quota = std::atof(first_line(directory + "/cpu.cfs_quota_us").c_str());  // v1: -1 for none
  period = std::atof(first_line(directory + "/cpu.cfs_period_us").c_str());
  return quota > 0 && period > 0 ? quota / period : HUGE_VAL;
}

// The smallest quota on the way from this process's cgroup to the root.
double cgroup_cpus() {
  double cpus = HUGE_VAL;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    if (!controllers.empty() && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    std::string root = controllers.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
    while (true) {
      cpus = std::fmin(cpus, quota_in(root + path));
      if (path.empty() || path == "/") break;
      path.resize(path.rfind('/'));
    }
  }
  return cpus;
}
#endif

}  // namespace

int available_cpus() {
#if defined(__linux__)
  double cpus = std::fmin(physical_cores(), std::ceil(cgroup_cpus()));
#else
  double cpus = std::thread::hardware_concurrency();
#endif
  return cpus < 1 ? 1 : static_cast<int>(cpus);
}

int default_threads() {
  const char* text = std::getenv("SYMCONV_NUM_THREADS");
  if (!text || !*text) return available_cpus() > 512 ? 512 : available_cpus();
  char* end = nullptr;
  long n = std::strtol(text, &end, 10);
  if (*end || n < 1 || n > 512)
    fail("SYMCONV_NUM_THREADS is '%s', expected a whole number from 1 to 512", text);
  return static_cast<int>(n);
}

long l1_data_bytes() {
  static const long bytes = [] {  // asked once: a virtual machine takes long to answer
    long told = 0;
#if defined(_SC_LEVEL1_DCACHE_SIZE)
    told = sysconf(_SC_LEVEL1_DCACHE_SIZE);
#endif
    return told > 0 ? told : 32L << 10;
  }();
  return bytes;
}

}  // namespace symconv
