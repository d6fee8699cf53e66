// symconv._core: the module. Only bindings*.cpp and bindings.h know pybind11.
#include "bindings.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <cmath>
#include <cstring>

#include "runtime/foreign.h"
#include "runtime/registry.h"
#include "runtime/thread_pool.h"

namespace symconv {
namespace {

// ---- one kernel

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

// ---- running a plan

void run(PyExecutor& self, py::handle pointers) {
  Pointers p(*self.core, pointers);
  py::gil_scoped_release release;
  self.core->run(p.data(), p.size());
}

std::vector<FloatBuffer> read_float_buffers(const py::sequence& items) {
  std::vector<FloatBuffer> list;
  for (py::handle item : items) {
    auto [id, itemsize] = item.cast<std::pair<int, int>>();
    list.push_back({id, itemsize});
  }
  return list;
}

py::tuple run_many(PyExecutor& self, int64_t n, const py::sequence& externals, const py::object& progress,
                   const py::sequence& check) {
  std::vector<ExternalRange> ranges;
  for (py::handle item : externals) {
    auto [base, stride] = item.cast<std::pair<py::object, int64_t>>();
    size_t index = ranges.size(),
           nbytes = index < self.core->n_external() ? self.core->external_bytes(index) : 0;
    size_t last = 0;  // where the last iteration's buffer starts
    if (n > 1 && stride > 0 &&
        __builtin_mul_overflow(static_cast<size_t>(n - 1), static_cast<size_t>(stride), &last))
      fail("external buffer %zu: stride %lld is too large", index, static_cast<long long>(stride));
    if (__builtin_add_overflow(nbytes, last, &nbytes)) fail("external buffer %zu: too large", index);
    ranges.push_back({static_cast<char*>(address_of(base.ptr(), index, nbytes)), stride});
  }
  std::vector<FloatBuffer> checks = read_float_buffers(check);
  auto between = [&progress](int64_t done) {
    py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    return progress.is_none() || !progress(done).is(py::bool_(false));
  };
  LoopResult result;
  {
    py::gil_scoped_release release;
    result = self.core->run_many(n, ranges, between, checks);
  }
  return py::make_tuple(result.done, result.bad_buffer);
}

py::object run_watched(PyExecutor& self, py::handle pointers, const py::sequence& watch, double limit,
                       bool nan, bool infinity) {
  Pointers p(*self.core, pointers);
  std::vector<FloatBuffer> watched = read_float_buffers(watch);
  Nonfinite found;
  {
    py::gil_scoped_release release;
    found = self.core->run_watched(p.data(), p.size(), watched, {limit, nan, infinity});
  }
  if (found.step < 0) return py::none();
  return py::make_tuple(found.step, found.buffer);
}

// Callbacks often refer to the object that owns the executor: let the collector see through it.
int traverse(PyObject* object, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(object));
  if (py::detail::is_holder_constructed(object))
    for (py::object& held : py::cast<PyExecutor&>(py::handle(object)).held) Py_VISIT(held.ptr());
  return 0;
}

int clear(PyObject* object) {
  std::vector<py::object> dropped;  // destroyed after the executor no longer shows them
  if (py::detail::is_holder_constructed(object)) dropped.swap(py::cast<PyExecutor&>(py::handle(object)).held);
  return 0;
}

constexpr const char* kExecutorDoc = R"(Executor(buffers, steps, limit_bytes=0, keep=None, guard_bytes=0)

A plan, checked and ready to run. Buffers are numbered by their place in `buffers`, a sequence of tuples:

  ("external", nbytes)                    address given per run: inputs, shared variables, outputs
  ("constant", nbytes, address)           kept alive by `keep`
  ("arena", nbytes, offset)               in the executor's memory; offset a multiple of 64
  ("view", nbytes, base, offset)          `offset` bytes into buffer `base`, which comes before it
  ("view", nbytes, base, offset, start, stride, label)
                                          at offset + start[0] * stride bytes, start: id of an int64 buffer,
                                          stride > 0 in bytes; resolved by a step, bounds checked there

`steps` is a sequence of tuples, run in order:

  ("kernel", label, entry, params, ins, outs)    params: bytes; ins, outs: lists of buffer ids
  ("resolve", label, view)                       before the first use of a dynamic view (or of views of it)
  ("python", label, function, ins, outs)         function(inputs, outputs) gets two tuples of arrays over the
                                                 buffers' memory (inputs read-only) and writes into outputs;
                                                 ins, outs: lists of (buffer id, dtype, shape). The arrays must
                                                 not be kept after the call.
  ("loop", label, executor, n, ins, outs, places, copies, cleared, count)
                                                 n runs of another executor. places: per external buffer of it
                                                 ("in" or "out", place in ins or outs, byte offset, bytes from
                                                 one run to the next), or ("stop", 0, 0, 0) for a bool that ends
                                                 the loop. Before: copies, (in, out, bytes) from the start of an
                                                 input to that of an output; cleared, outputs set to zero. After:
                                                 the number of runs goes to output `count` (-1: nowhere). Signals
                                                 are served between runs, about every 0.1 s.

`keep` is any object to keep alive. limit_bytes > 0 bounds arena + workspace. guard_bytes stand on either side of
the workspace, for damage(). ValueError on anything that does not
fit (unknown entry, bad id, a kernel's own check), MemoryError naming the sizes when they exceed the limit or
cannot be allocated. Kernels are those of the instruction set in use at construction.)";

constexpr const char* kRunManyDoc = R"(n runs in one call.

externals: per external buffer (address or array, bytes from one iteration to the next). About every 0.1 s, between
iterations, signals are served (Ctrl-C raises KeyboardInterrupt) and progress(done) is called; the loop ends early
when it returns False. check: (buffer id, itemsize 4 or 8) of float buffers to look through after each iteration;
the loop ends at a NaN or infinity. Returns (iterations done, id of the bad buffer or -1). After an exception,
iterations_done tells how far it came; a Python step in the plan may be cut short by Ctrl-C within an iteration.)";

}  // namespace
}  // namespace symconv

PYBIND11_MODULE(_core, m) {
  using namespace symconv;
  m.doc() = "The C++ backend of symconv: kernels, thread pool, executor.";
  m.def("isa", &current_isa,
        "Instruction set in use: SYMCONV_ISA, or the best that was built and the machine runs.");
  m.def("isas", &available_isas, "Instruction sets built and supported by this machine, slowest first.");
  m.def("set_isa", &set_isa, py::arg("name"),
        "Choose the instruction set of kernels looked up from now on. ValueError if it cannot be had.");
  m.def("kernel_names", &kernel_names, "Sorted entry names.");
  m.def("bind_library", &bind_library, py::arg("path"), py::arg("entry"),
        py::call_guard<py::gil_scoped_release>(),
        "The number by which the kernel `foreign` knows this entry of a library (kernels/call.h).");
  m.def("num_threads", [] { return ThreadPool::global().size(); }, "Size of the thread pool.");
  m.def(
      "set_num_threads", [](int n) { ThreadPool::global().resize(n); }, py::arg("n"),
      py::call_guard<py::gil_scoped_release>(), "Resize the pool (1 to 512); waits for running plans.");
  m.def("call_kernel", &call_kernel, py::arg("entry"), py::arg("params"), py::arg("inputs"),
        py::arg("outputs"), "Run one kernel on C-contiguous NumPy arrays: check, workspace, run. For tests.");

  py::class_<PyExecutor>(m, "Executor", kExecutorDoc, py::custom_type_setup([](PyHeapTypeObject* heap_type) {
                           heap_type->ht_type.tp_flags |= Py_TPFLAGS_HAVE_GC;
                           heap_type->ht_type.tp_traverse = traverse;
                           heap_type->ht_type.tp_clear = clear;
                         }))
      .def(py::init(&make_executor), py::arg("buffers"), py::arg("steps"), py::arg("limit_bytes") = 0,
           py::arg("keep") = py::none(), py::arg("guard_bytes") = 0)
      .def("run", &run, py::arg("pointers"),
           "One run; per external buffer, in order of their ids, a C-contiguous array of at least its size,\n"
           "or an address (which is not checked).")
      .def("run_many", &run_many, py::arg("n"), py::arg("externals"), py::arg("progress") = py::none(),
           py::arg("check") = py::tuple(), kRunManyDoc)
      .def("run_watched", &run_watched, py::arg("pointers"), py::arg("watch"), py::arg("limit") = HUGE_VAL,
           py::arg("nan") = true, py::arg("infinity") = true,
           "One run that stops after the first step that writes NaN, an infinity, or a value of more than\n"
           "`limit` in magnitude into a buffer of watch ((id, itemsize) pairs). Returns (step, buffer id) or "
           "None.")
      .def(
          "set_profile", [](PyExecutor& s, bool on, size_t stamps) { s.core->set_profile(on, stamps); },
          py::arg("on"), py::arg("stamps") = 0,
          "Switch per-step timing; switching on starts from zero. Room for that many time stamps is kept.")
      .def(
          "profile", [](const PyExecutor& s) { return s.core->profile_ns(); }, "Nanoseconds per step.")
      .def(
          "profile_stamps",
          [](const PyExecutor& s) {
            py::array_t<int64_t> stamps({s.core->stamped_runs(), s.core->n_steps() + 1});
            if (stamps.size())
              std::memcpy(stamps.mutable_data(), s.core->stamps(), static_cast<size_t>(stamps.nbytes()));
            return stamps;
          },
          "int64 [runs, steps + 1], nanoseconds of time.perf_counter_ns: of the first runs that there was "
          "room\n"
          "for, the start and then the end of every step.")
      .def_property_readonly(
          "profile_runs", [](const PyExecutor& s) { return s.core->profile_runs(); },
          "Runs since timing was switched on that came to their end.")
      .def(
          "poison", [](PyExecutor& s, uint8_t byte) { s.core->poison(byte); }, py::arg("byte") = 0xff,
          "Fill arena and workspace with a byte (0xFF: NaN), which shows reads of unwritten memory.")
      .def(
          "damage", [](PyExecutor& s) { return s.core->damage(); },
          "Bytes changed since poison() in the guards (before, after) the workspace.")
      .def_property_readonly("arena_bytes", [](const PyExecutor& s) { return s.core->arena_bytes(); })
      .def_property_readonly("workspace_bytes", [](const PyExecutor& s) { return s.core->workspace_bytes(); })
      .def_property_readonly("n_external", [](const PyExecutor& s) { return s.core->n_external(); })
      .def_property_readonly(
          "iterations_done", [](const PyExecutor& s) { return s.core->iterations_done(); },
          "Of the last run_many, also when it raised.")
      .def_property_readonly(
          "failed_step", [](const PyExecutor& s) { return s.core->failed_step(); },
          "Index of the step that raised in the last run, else -1.");

  define_caller(m);
}
