#pragma once

namespace symconv {

// Cores this process may use: distinct physical cores in its affinity mask, bounded by the cgroup's cpu quota
// (rounded up). At least 1.
int available_cpus();

}  // namespace symconv
