// A call of a plan with arguments that need no conversion.
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bindings.h"

namespace symconv {
namespace {

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

constexpr const char* kCallerDoc = R"(Caller(executor, inputs, states, outputs)

Runs of a plan by arguments as they are. inputs, outputs: sequences of (dtype, shape, external buffers);
states: (shared variable, dtype, shape, external buffers), where a shared variable has its array in `_value` while `mirror`
is None. Every external buffer belongs to one of them.)";

}  // namespace

void define_caller(py::module_& m) {
  py::class_<Caller>(m, "Caller", kCallerDoc)
      .def(py::init<py::object, py::sequence, py::sequence, py::sequence>(), py::arg("executor"),
           py::arg("inputs"), py::arg("states"), py::arg("outputs"))
      .def("call", &Caller::call, py::arg("arguments"),
           "One run on a tuple of contiguous arrays of exactly the inputs' dtypes and shapes, or Python\n"
           "numbers for scalars: a list of new arrays. None, and nothing done, for other arguments.");
}

}  // namespace symconv
