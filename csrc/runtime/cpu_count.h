#pragma once

namespace symconv {

// Cores this process may use: distinct physical cores in its affinity mask, bounded by the cgroup's cpu quota
// (rounded up). At least 1.
int available_cpus();

// Of the first data cache of a core; 32 KB where the system does not tell.
long l1_data_bytes();

}  // namespace symconv
