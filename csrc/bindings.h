// What the files of the Python module share: an executor as Python holds it, and addresses of its external buffers.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <vector>

#include "runtime/errors.h"
#include "runtime/executor.h"

namespace py = pybind11;

namespace symconv {

// The Python objects that a plan refers to stand here, in sight of the garbage collector.
struct PyExecutor {
  std::vector<py::object> held;
  std::unique_ptr<Executor> core;
};

// Throws unless the tuple, number `index` of its kind, has that many values.
void require_length(const py::tuple& t, size_t length, const char* what, size_t index);

// A plan as kExecutorDoc describes it.
std::unique_ptr<PyExecutor> make_executor(const py::sequence& buffers, const py::sequence& steps,
                                          size_t limit_bytes, py::object keep, size_t guard_bytes);

// Adds the class Caller.
void define_caller(py::module_& m);

// Address of an external buffer, given as int or as array of which `nbytes` are used.
void* address_of(PyObject* item, size_t index, size_t nbytes);

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

}  // namespace symconv
