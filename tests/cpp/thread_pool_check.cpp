// Checks of csrc/runtime/thread_pool, run by tests/test_thread_pool.py: one argument names the check.
#include "runtime/thread_pool.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using symconv::PoolUse;
using symconv::ThreadPool;

static void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::exit(1);
}

using Task = std::function<void(int task, int part)>;

static void parallel(int n, const Task& f) {
  ThreadPool::global().parallel(
      n, [](void* ctx, int task, int part) { (*static_cast<const Task*>(ctx))(task, part); },
      const_cast<Task*>(&f));
}

// Every task runs once, and the parts are the contiguous ranges promised.
static void check_partition() {
  for (int size : {1, 2, 3, 8}) {
    ThreadPool::global().resize(size);
    for (int n : {0, 1, 2, 3, 7, 8, 9, 1000}) {
      std::vector<int> count(n), part_of(n);
      parallel(n, [&](int task, int part) { count[task]++, part_of[task] = part; });
      int parts = n < size ? n : size;
      for (int t = 0; t < n; t++) {
        require(count[t] == 1, "each task runs once");
        require(part_of[t] < parts && (t == 0 || part_of[t] >= part_of[t - 1]), "parts are ordered ranges");
      }
      for (int p = 0; p < parts; p++)
        require(part_of[static_cast<long long>(n) * p / parts] == p, "part p starts at n * p / parts");
    }
  }
}

static void check_many_regions() {
  ThreadPool::global().resize(3);
  long long total = 0;
  for (int region = 0; region < 20000; region++) {
    long long sums[3] = {0, 0, 0};
    parallel(5, [&](int task, int part) { sums[part] += task + region; });
    total += sums[0] + sums[1] + sums[2];
    if (region % 5000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // workers fall asleep
  }
  require(total == 20000LL * 10 + 5LL * (20000LL * 19999 / 2), "sum over many regions");
}

static void check_exceptions() {
  ThreadPool::global().resize(4);
  for (int round = 0; round < 200; round++) {
    std::string text;
    try {
      parallel(8, [&](int task, int) {
        if (task >= 3) throw std::runtime_error("task " + std::to_string(task));
      });
    } catch (const std::runtime_error& error) {
      text = error.what();
    }
    require(text == "task 3", "the lowest part's exception is thrown");
    std::atomic<int> count{0};
    parallel(8, [&](int, int) { count++; });
    require(count == 8, "the pool works after an exception");
  }
}

static void check_nested() {
  ThreadPool::global().resize(2);
  std::atomic<int> count{0};
  parallel(4, [&](int, int) { parallel(6, [&](int, int) { count++; }); });
  require(count == 24, "nested regions run all tasks");
  bool refused = false;
  parallel(1, [&](int, int) {});
  try {
    parallel(2, [&](int, int) { ThreadPool::global().resize(1); });
  } catch (const std::runtime_error&) {
    refused = true;
  }
  require(refused, "resize inside a task is refused");
}

static void check_concurrent() {
  ThreadPool::global().resize(3);
  std::vector<std::thread> callers;
  std::atomic<long long> total{0};
  for (int c = 0; c < 4; c++)
    callers.emplace_back([&] {
      for (int i = 0; i < 2000; i++) {
        PoolUse use(ThreadPool::global());
        long long sums[8] = {};
        parallel(7, [&](int task, int part) { sums[part] += task; });
        for (long long s : sums) total += s;
      }
    });
  for (int size : {1, 5, 2, 8, 3}) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ThreadPool::global().resize(size);
  }
  for (std::thread& t : callers) t.join();
  require(total == 4LL * 2000 * 21, "concurrent callers and resizes");
}

static int sum_in_pool() {
  std::atomic<int> sum{0};
  parallel(10, [&](int task, int) { sum += task; });
  return sum;
}

static void check_fork() {
  ThreadPool::global().resize(3);
  require(sum_in_pool() == 45, "sum before fork");
  PoolUse use(ThreadPool::global());
  for (int i = 0; i < 5; i++) {
    pid_t child = fork();
    if (child == 0) {
      alarm(20);  // a child that waits for workers it does not have must not hang the test
      bool ok = sum_in_pool() == 45 && sum_in_pool() == 45;
      _exit(ok ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "sum in the child");
    require(sum_in_pool() == 45, "sum in the parent after fork");
  }
}

// Far more threads than cores: nothing may depend on workers running.
static void check_oversubscription() {
  ThreadPool::global().resize(64);
  for (int region = 0; region < 300; region++) {
    std::vector<long long> sums(64);
    parallel(1000, [&](int task, int part) { sums[part] += task; });
    long long total = 0;
    for (long long s : sums) total += s;
    require(total == 499500, "sum with 64 threads");
  }
}

static void check_sizes() {
  for (int size : {0, -1, 513}) {
    bool refused = false;
    try {
      ThreadPool::global().resize(size);
    } catch (const std::invalid_argument&) {
      refused = true;
    }
    require(refused, "size outside 1 to 512");
  }
}

// Prints the median time of an empty fork-join. Not part of the tests.
static void measure_latency() {
  std::vector<double> us;
  for (int i = 0; i < 20000; i++) {
    auto start = std::chrono::steady_clock::now();
    ThreadPool::global().parallel(ThreadPool::global().size(), [](void*, int, int) {}, nullptr);
    us.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(us.begin(), us.end());
  std::printf("%d threads: median %.2f us, 90 %% %.2f us\n", ThreadPool::global().size(), us[us.size() / 2],
              us[us.size() * 9 / 10]);
}

int main(int argc, char** argv) {
  const std::map<std::string, void (*)()> checks = {{"partition", check_partition},
                                                    {"many_regions", check_many_regions},
                                                    {"exceptions", check_exceptions},
                                                    {"nested", check_nested},
                                                    {"concurrent", check_concurrent},
                                                    {"fork", check_fork},
                                                    {"oversubscription", check_oversubscription},
                                                    {"sizes", check_sizes},
                                                    {"latency", measure_latency}};
  auto check = checks.find(argc > 1 ? argv[1] : "");
  if (check == checks.end()) {
    for (const auto& [name, function] : checks) std::printf("%s\n", name.c_str());
    return 2;
  }
  check->second();
  return 0;
}
