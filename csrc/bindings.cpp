// symconv._core: the only file that knows pybind11.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/executor.h"
#include "runtime/foreign.h"
#include "runtime/loop.h"
#include "runtime/memory.h"
#include "runtime/registry.h"
#include "runtime/thread_pool.h"

namespace py = pybind11;

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

// ---- reading a plan: tuples, the first element names the kind

void require_length(const py::tuple& t, size_t length, const char* what, size_t index) {
  if (t.size() != length) fail("%s %zu: got %zu values, expected %zu", what, index, t.size(), length);
}

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

// The Python objects that a plan refers to stand here, in sight of the garbage collector.
struct PyExecutor {
  std::vector<py::object> held;
  std::unique_ptr<Executor> core;
};

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

// ---- running a plan

// Address of an external buffer, given as int or as array of which `nbytes` are used.
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

// `count` values, on the stack where they are few.
template <class T>
class Few {
 public:
  explicit Few(size_t count) : count_(count), many_(count > kFew ? count : 0) {}
  T* data() { return count_ > kFew ? many_.data() : few_; }
  T& operator[](size_t i) { return data()[i]; }
  size_t size() const { return count_; }

 private:
  static constexpr size_t kFew = 64;
  size_t count_;
  T few_[kFew];
  std::vector<T> many_;
};

// Addresses from a list or tuple. Called at every run: no casts through C++ containers.
class Pointers : public Few<void*> {
 public:
  Pointers(const Executor& plan, py::handle sequence) : Few(plan.n_external()) {
    py::object fast = py::reinterpret_steal<py::object>(
        PySequence_Fast(sequence.ptr(), "externals: expected a sequence of addresses or arrays"));
    if (!fast) throw py::error_already_set();
    size_t count = static_cast<size_t>(PySequence_Fast_GET_SIZE(fast.ptr()));
    if (count != size()) fail("run got %zu pointers, the plan has %zu external buffers", count, size());
    for (size_t i = 0; i < count; i++)
      data()[i] = address_of(PySequence_Fast_GET_ITEM(fast.ptr(), static_cast<py::ssize_t>(i)), i,
                             plan.external_bytes(i));
  }
};

void run(PyExecutor& self, py::handle pointers) {
  Pointers p(*self.core, pointers);
  py::gil_scoped_release release;
  self.core->run(p.data(), p.size());
}

// ---- a call with arguments that need no conversion

// An array argument of a plan and its places among the external buffers: a state that is overwritten has several.
struct Slot {
  py::dtype dtype;
  std::vector<py::ssize_t> shape;
  std::vector<size_t> places;
  size_t nbytes() const {
    size_t n = dtype.itemsize();
    for (py::ssize_t d : shape) n *= static_cast<size_t>(d);
    return n;
  }
  void point(Few<void*>& pointers, void* address) const {
    for (size_t place : places) pointers[place] = address;
  }
  // The very dtype object, so that byte order needs no look.
  bool fits(PyObject* item) const {
    const auto& api = py::detail::npy_api::get();
    if (Py_TYPE(item) != api.PyArray_Type_) return false;
    auto* array = py::detail::array_proxy(item);
    constexpr int kWanted =
        py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    if (array->descr != dtype.ptr() || (array->flags & kWanted) != kWanted) return false;
    return static_cast<size_t>(array->nd) == shape.size() &&
           std::equal(shape.begin(), shape.end(), array->dimensions);
  }
  // A Python int for int64 or float for a float scalar, as NumPy would convert it.
  bool store_scalar(PyObject* item, double& into) const {
    if (!shape.empty()) return false;
    if (dtype.num() == py::dtype::of<int64_t>().num() && PyLong_CheckExact(item)) {
      int overflow = 0;
      int64_t value = PyLong_AsLongLongAndOverflow(item, &overflow);
      std::memcpy(&into, &value, sizeof value);
      return overflow == 0;
    }
    if (dtype.kind() != 'f' || !PyFloat_CheckExact(item)) return false;
    into = PyFloat_AS_DOUBLE(item);
    if (dtype.itemsize() == 8) return true;
    float narrow = static_cast<float>(into);
    if (std::isinf(narrow) && !std::isinf(into)) return false;  // NumPy warns
    std::memcpy(&into, &narrow, sizeof narrow);
    return true;
  }
};

class Caller {
 public:
  Caller(py::object executor, const py::sequence& inputs, const py::sequence& states,
         const py::sequence& outputs)
      : executor_(std::move(executor)), plan_(*executor_.cast<PyExecutor&>().core) {
    std::vector<bool> taken(plan_.n_external());
    inputs_ = read(inputs, taken);
    outputs_ = read(outputs, taken);
    py::list specs;
    for (py::handle item : states) {
      py::tuple t = item.cast<py::tuple>();
      require_length(t, 4, "state", shared_.size());
      shared_.push_back(t[0]);
      specs.append(py::make_tuple(t[1], t[2], t[3]));
    }
    states_ = read(specs, taken);
    if (std::find(taken.begin(), taken.end(), false) != taken.end())
      fail("Caller: an external buffer has no argument");
  }

  // A list of new arrays, or None where an argument needs a conversion or an error message.
  py::object call(const py::tuple& arguments) {
    if (arguments.size() != inputs_.size()) return py::none();
    Few<void*> pointers(plan_.n_external());
    Few<double> scalars(inputs_.size());
    for (size_t i = 0; i < inputs_.size(); i++) {
      PyObject* item = PyTuple_GET_ITEM(arguments.ptr(), static_cast<py::ssize_t>(i));
      if (inputs_[i].fits(item))
        inputs_[i].point(pointers, py::detail::array_proxy(item)->data);
      else if (inputs_[i].store_scalar(item, scalars[i]))
        inputs_[i].point(pointers, &scalars[i]);
      else
        return py::none();
    }
    std::vector<py::object> held;  // other threads may give a shared variable another array meanwhile
    held.reserve(states_.size());
    for (size_t i = 0; i < states_.size(); i++) {
      if (!shared_[i].attr(mirror_).is_none()) return py::none();
      held.push_back(shared_[i].attr(value_));
      if (!states_[i].fits(held.back().ptr())) return py::none();
      states_[i].point(pointers, py::detail::array_proxy(held.back().ptr())->data);
    }
    py::list results(outputs_.size());
    for (size_t i = 0; i < outputs_.size(); i++) {
      py::array array(outputs_[i].dtype, outputs_[i].shape);
      outputs_[i].point(pointers, array.mutable_data());
      results[i] = std::move(array);
    }
    py::gil_scoped_release release;
    plan_.run(pointers.data(), pointers.size());
    return results;
  }

 private:
  std::vector<Slot> read(const py::sequence& items, std::vector<bool>& taken) const {
    std::vector<Slot> slots;
    for (py::handle item : items) {
      py::tuple t = item.cast<py::tuple>();
      require_length(t, 3, "argument", slots.size());
      Slot slot{py::dtype::from_args(t[0]), t[1].cast<std::vector<py::ssize_t>>(),
                t[2].cast<std::vector<size_t>>()};
      for (size_t place : slot.places) {
        if (place >= taken.size() || taken[place])
          fail("Caller: external buffer %zu is not there, or has an argument", place);
        taken[place] = true;
        if (slot.nbytes() < plan_.external_bytes(place))
          fail("Caller: argument %zu has %zu bytes, external buffer %zu has %zu", slots.size(), slot.nbytes(),
               place, plan_.external_bytes(place));
      }
      slots.push_back(std::move(slot));
    }
    return slots;
  }

  py::object executor_;
  Executor& plan_;
  std::vector<Slot> inputs_, states_, outputs_;
  std::vector<py::object> shared_;
  py::str value_{"_value"}, mirror_{"mirror"};
};

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

constexpr const char* kCallerDoc = R"(Caller(executor, inputs, states, outputs)

Runs of a plan by arguments as they are. inputs, outputs: sequences of (dtype, shape, external buffers);
states: (shared variable, dtype, shape, external buffers), where a shared variable has its array in `_value` while `mirror`
is None. Every external buffer belongs to one of them.)";

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

  py::class_<Caller>(m, "Caller", kCallerDoc)
      .def(py::init<py::object, py::sequence, py::sequence, py::sequence>(), py::arg("executor"),
           py::arg("inputs"), py::arg("states"), py::arg("outputs"))
      .def("call", &Caller::call, py::arg("arguments"),
           "One run on a tuple of contiguous arrays of exactly the inputs' dtypes and shapes, or Python\n"
           "numbers for scalars: a list of new arrays. None, and nothing done, for other arguments.");
}
