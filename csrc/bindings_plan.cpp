// Reads a plan: tuples, the first element names the kind.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bindings.h"
#include "runtime/loop.h"
#include "runtime/memory.h"

namespace symconv {

void require_length(const py::tuple& t, size_t length, const char* what, size_t index) {
  if (t.size() != length) fail("%s %zu: got %zu values, expected %zu", what, index, t.size(), length);
}

namespace {

BufferSpec read_buffer(const py::tuple& t, size_t index) {
  BufferSpec b;
  if (t.size() < 2) fail("buffer %zu: expected (kind, nbytes, ...)", index);
  std::string kind = t[0].cast<std::string>();
  b.nbytes = t[1].cast<size_t>();
  if (kind == "external") {
    require_length(t, 2, "external buffer", index);
    b.kind = BufferSpec::Kind::kExternal;
  } else if (kind == "constant") {
    require_length(t, 3, "constant buffer", index);
    b.kind = BufferSpec::Kind::kConstant;
    b.address = reinterpret_cast<void*>(t[2].cast<uintptr_t>());
  } else if (kind == "arena") {
    require_length(t, 3, "arena buffer", index);
    b.kind = BufferSpec::Kind::kArena;
    b.offset = t[2].cast<size_t>();
  } else if (kind == "view") {
    b.kind = BufferSpec::Kind::kView;
    require_length(t, t.size() > 4 ? 7 : 4, "view", index);
    b.base = t[2].cast<int>();
    b.offset = t[3].cast<size_t>();
    if (t.size() == 7) {
      b.start = t[4].cast<int>();
      b.stride = t[5].cast<int64_t>();
      b.label = t[6].cast<std::string>();
      if (b.start < 0) fail("view %zu: its start is buffer %d", index, b.start);
    }
  } else {
    fail("buffer %zu: kind is '%s', expected external, constant, arena or view", index, kind.c_str());
  }
  return b;
}

// One array argument of a Python step.
struct ArraySpec {
  py::dtype dtype;
  std::vector<py::ssize_t> shape;
};

std::vector<ArraySpec> read_array_specs(const py::sequence& items, std::vector<int>& ids,
                                        const std::vector<BufferSpec>& buffers, size_t step) {
  std::vector<ArraySpec> specs;
  for (py::handle item : items) {
    py::tuple t = item.cast<py::tuple>();
    require_length(t, 3, "array of Python step", step);
    int id = t[0].cast<int>();
    ArraySpec spec{py::dtype::from_args(t[1]), t[2].cast<std::vector<py::ssize_t>>()};
    if (id < 0 || static_cast<size_t>(id) >= buffers.size())
      fail("step %zu names buffer %d, the plan has %zu buffers", step, id, buffers.size());
    size_t nbytes = spec.dtype.itemsize();
    for (py::ssize_t d : spec.shape)
      if (d < 0 || __builtin_mul_overflow(nbytes, static_cast<size_t>(d), &nbytes))
        fail("step %zu: impossible shape for buffer %d", step, id);
    if (spec.dtype.has_fields() || spec.dtype.kind() == 'O') fail("step %zu: dtype of buffer %d", step, id);
    if (nbytes > buffers[id].nbytes)
      fail("step %zu: an array of %zu bytes on buffer %d of %zu bytes", step, nbytes, id, buffers[id].nbytes);
    ids.push_back(id);
    specs.push_back(std::move(spec));
  }
  return specs;
}

// Arrays over the buffers' memory, without copies. `owner` keeps the arena alive should the callee keep an array.
py::tuple make_arrays(const std::vector<ArraySpec>& specs, void* const* pointers, py::handle owner,
                      bool writeable) {
  py::tuple arrays(specs.size());
  for (size_t i = 0; i < specs.size(); i++) {
    py::array array(specs[i].dtype, specs[i].shape, pointers[i], owner);
    if (!writeable) py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
    arrays[i] = std::move(array);
  }
  return arrays;
}

std::function<void(void* const*, void* const*)> read_loop(const py::tuple& t, size_t index, const StepSpec& s,
                                                          const std::vector<BufferSpec>& buffers) {
  LoopSpec spec;
  spec.n = t[3].cast<int64_t>();
  for (py::handle item : t[6].cast<py::sequence>()) {
    auto [kind, number, offset, stride] = item.cast<std::tuple<std::string, int, int64_t, int64_t>>();
    using Kind = LoopSpec::Place::Kind;
    if (kind != "in" && kind != "out" && kind != "stop")
      fail("loop %zu: a place in '%s'", index, kind.c_str());
    spec.places.push_back({kind == "in"    ? Kind::kIn
                           : kind == "out" ? Kind::kOut
                                           : Kind::kStop,
                           number, offset, stride});
  }
  for (py::handle item : t[7].cast<py::sequence>()) {
    auto [in, out, nbytes] = item.cast<std::tuple<int, int, size_t>>();
    spec.copies.push_back({in, out, nbytes});
  }
  spec.cleared = t[8].cast<std::vector<int>>();
  spec.count = t[9].cast<int>();
  auto sizes = [&](const std::vector<int>& ids) {
    std::vector<size_t> bytes;
    for (int id : ids) {
      if (id < 0 || static_cast<size_t>(id) >= buffers.size())
        fail("loop %zu names buffer %d, the plan has %zu buffers", index, id, buffers.size());
      bytes.push_back(buffers[id].nbytes);
    }
    return bytes;
  };
  auto loop =
      std::make_shared<Loop>(*t[2].cast<PyExecutor&>().core, std::move(spec), sizes(s.in), sizes(s.out));
  return [loop](void* const* in, void* const* out) {
    loop->run(in, out, [](int64_t) {
      py::gil_scoped_acquire gil;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      return true;
    });
  };
}

StepSpec read_step(const py::tuple& t, size_t index, const std::vector<BufferSpec>& buffers,
                   PyExecutor* self) {
  StepSpec s;
  if (t.size() < 2) fail("step %zu: expected (kind, label, ...)", index);
  std::string kind = t[0].cast<std::string>();
  s.label = t[1].cast<std::string>();
  if (kind == "kernel") {
    require_length(t, 6, "kernel step", index);
    s.kind = StepSpec::Kind::kKernel;
    s.entry = t[2].cast<std::string>();
    s.params = t[3].cast<std::string>();
    s.in = t[4].cast<std::vector<int>>();
    s.out = t[5].cast<std::vector<int>>();
  } else if (kind == "resolve") {
    require_length(t, 3, "resolve step", index);
    s.kind = StepSpec::Kind::kResolve;
    s.buffer = t[2].cast<int>();
  } else if (kind == "python") {
    require_length(t, 5, "python step", index);
    s.kind = StepSpec::Kind::kCallback;
    if (!PyCallable_Check(t[2].ptr())) fail("step %zu: its function cannot be called", index);
    self->held.push_back(t[2]);
    py::handle function = t[2];
    auto in = read_array_specs(t[3], s.in, buffers, index),
         out = read_array_specs(t[4], s.out, buffers, index);
    // The dtypes inside are Python objects: the executor is destroyed with the GIL held.
    s.callback = [self, function, in, out](void* const* in_pointers, void* const* out_pointers) {
      py::gil_scoped_acquire gil;
      py::capsule owner(new std::shared_ptr<AlignedMemory>(self->core->arena()),
                        [](void* p) { delete static_cast<std::shared_ptr<AlignedMemory>*>(p); });
      function(make_arrays(in, in_pointers, owner, false), make_arrays(out, out_pointers, owner, true));
    };
  } else if (kind == "loop") {
    require_length(t, 10, "loop step", index);
    s.kind = StepSpec::Kind::kCallback;
    s.in = t[4].cast<std::vector<int>>();
    s.out = t[5].cast<std::vector<int>>();
    s.callback = read_loop(t, index, s, buffers);
    self->held.push_back(t[2]);
  } else {
    fail("step %zu: kind is '%s', expected kernel, resolve, python or loop", index, kind.c_str());
  }
  return s;
}

}  // namespace

std::unique_ptr<PyExecutor> make_executor(const py::sequence& buffers, const py::sequence& steps,
                                          size_t limit_bytes, py::object keep, size_t guard_bytes) {
  auto self = std::make_unique<PyExecutor>();
  self->held.push_back(std::move(keep));
  std::vector<BufferSpec> buffer_specs;
  std::vector<StepSpec> step_specs;
  try {
    for (py::handle item : buffers)
      buffer_specs.push_back(read_buffer(item.cast<py::tuple>(), buffer_specs.size()));
  } catch (const py::cast_error&) {
    fail("buffer %zu: a value has the wrong type or sign", buffer_specs.size());
  }
  try {
    for (py::handle item : steps)
      step_specs.push_back(read_step(item.cast<py::tuple>(), step_specs.size(), buffer_specs, self.get()));
  } catch (const py::cast_error&) {
    fail("step %zu: a value has the wrong type", step_specs.size());
  }
  self->core =
      std::make_unique<Executor>(std::move(buffer_specs), std::move(step_specs), limit_bytes, guard_bytes);
  return self;
}

void* address_of(PyObject* item, size_t index, size_t nbytes) {
  if (!py::isinstance<py::array>(item)) {
    void* p = PyLong_AsVoidPtr(item);
    if (!p && PyErr_Occurred()) throw py::error_already_set();
    return p;
  }
  auto* array = py::detail::array_proxy(item);
  size_t have = static_cast<size_t>(py::reinterpret_borrow<py::array>(item).nbytes());
  if (!(array->flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_))
    fail("external buffer %zu: the array is not C-contiguous", index);
  if (have < nbytes)
    fail("external buffer %zu: the array has %zu bytes, the plan uses %zu", index, have, nbytes);
  return array->data;
}

}  // namespace symconv
