// symconv._core: the only file that knows pybind11.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>

#include "runtime/memory.h"
#include "runtime/registry.h"
#include "runtime/thread_pool.h"

namespace py = pybind11;

namespace symconv {
namespace {

// Dense C-contiguous arrays only: a copy would hide what the kernel was given.
std::vector<py::array> as_arrays(const py::sequence& items, const char* what, bool writeable) {
  std::vector<py::array> arrays;
  for (size_t i = 0; i < items.size(); i++) {
    py::object item = items[i];
    if (!py::isinstance<py::array>(item)) fail("%s %zu is not a NumPy array", what, i);
    py::array array = py::reinterpret_borrow<py::array>(item);
    if (!(array.flags() & py::array::c_style)) fail("%s %zu is not C-contiguous", what, i);
    if (writeable && !array.writeable()) fail("%s %zu is read-only", what, i);
    arrays.push_back(std::move(array));
  }
  return arrays;
}

void call_kernel(const std::string& entry, const py::bytes& params, const py::sequence& inputs,
                 const py::sequence& outputs) {
  const KernelEntry& kernel = find_kernel(entry);
  std::vector<py::array> in = as_arrays(inputs, "input", false), out = as_arrays(outputs, "output", true);
  std::string_view bytes = params;
  AlignedMemory copy(bytes.size());
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  std::vector<size_t> in_bytes, out_bytes;
  std::vector<void*> in_pointers, out_pointers;
  for (py::array& a : in) {
    in_bytes.push_back(a.nbytes());
    in_pointers.push_back(const_cast<void*>(a.data()));
  }
  for (py::array& a : out) {
    out_bytes.push_back(a.nbytes());
    out_pointers.push_back(a.mutable_data());
  }
  py::gil_scoped_release release;
  ThreadPool& pool = ThreadPool::global();
  PoolUse use(pool);
  Sizes sizes{copy.data(),
              bytes.size(),
              in_bytes.data(),
              static_cast<int>(in.size()),
              out_bytes.data(),
              static_cast<int>(out.size()),
              0,
              pool.size()};
  kernel.check(sizes);
  AlignedMemory workspace(kernel.workspace ? kernel.workspace(sizes) : 0);
  kernel.run({copy.data(), bytes.size(), in_pointers.data(), out_pointers.data(), workspace.data(), &pool});
}

}  // namespace
}  // namespace symconv

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  using namespace symconv;
  m.doc() = "The C++ backend of symconv: kernels, thread pool, executor.";
  m.def("isa", &current_isa,
        "Instruction set in use: SYMCONV_ISA, or the best that was built and the machine runs.");
  m.def("isas", &available_isas, "Instruction sets built and supported by this machine, slowest first.");
  m.def("set_isa", &set_isa, py::arg("name"),
        "Choose the instruction set of kernels looked up from now on. ValueError if it cannot be had.");
  m.def("kernel_names", &kernel_names, "Sorted entry names.");
  m.def("num_threads", [] { return ThreadPool::global().size(); }, "Size of the thread pool.");
  m.def(
      "set_num_threads", [](int n) { ThreadPool::global().resize(n); }, py::arg("n"),
      py::call_guard<py::gil_scoped_release>(), "Resize the pool (1 to 512); waits for running plans.");
  m.def("call_kernel", &call_kernel, py::arg("entry"), py::arg("params"), py::arg("inputs"),
        py::arg("outputs"), "Run one kernel on C-contiguous NumPy arrays: check, workspace, run. For tests.");
}
