// Pointers of emulated kernels. Checked ones know their bounds, and report every access to shared memory.
#pragma once

#include <source_location>
#include <type_traits>

#include "scheduler.h"

namespace emulator {

inline Site site_of(const std::source_location& l) { return {l.file_name(), static_cast<int>(l.line())}; }

// An index that remembers the line it was written on.
struct Index {
  long long value;
  std::source_location where;
  template <class I, class = std::enable_if_t<std::is_integral_v<I>>>
  Index(I i, std::source_location l = std::source_location::current())
      : value(static_cast<long long>(i)), where(l) {}
};

// T: the element, const where it is only read. Shared memory is watched by the scheduler's shadow.
template <class T, bool kShared>
class Pointer {
  using Value = std::remove_const_t<T>;
  static_assert(!kShared || sizeof(T) % 4 == 0, "shared arrays hold elements of 4 bytes or a multiple");

 public:
  Pointer() = default;
  Pointer(T* at, T* begin, T* end) : at_(at), begin_(begin), end_(end) {}
  template <class U, class = std::enable_if_t<std::is_same_v<const U, T>>>
  Pointer(const Pointer<U, kShared>& p) : at_(p.at_), begin_(p.begin_), end_(p.end_) {}

  class Reference {
   public:
    Reference(T* p, Site site) : p_(p), site_(site) {}
    operator Value() const { return get(); }
    Value get() const {
      touch(false);
      return *p_;
    }
    Value operator=(Value v) const {
      touch(true);
      return *p_ = v;
    }
    Value operator=(const Reference& r) const { return *this = r.get(); }
    Value operator+=(Value v) const { return *this = get() + v; }
    Value operator-=(Value v) const { return *this = get() - v; }
    Value operator*=(Value v) const { return *this = get() * v; }

   private:
    void touch(bool write) const {
      if constexpr (kShared)
        current->touch_shared(reinterpret_cast<const char*>(p_), sizeof(T), write, site_);
      else if (current->launch->n_traces) {
        auto* address = reinterpret_cast<const char*>(p_);
        write ? current->note_write(address, sizeof(T), site_, nullptr)
              : current->note_read(address, sizeof(T), site_, nullptr);
      }
    }
    T* p_;
    Site site_;
  };

  Reference operator[](Index i) const { return {check(i.value, 1, i.where), site_of(i.where)}; }
  Reference operator*() const { return (*this)[Index(0)]; }
  Pointer operator+(long long n) const { return {at_ + n, begin_, end_}; }
  Pointer operator-(long long n) const { return {at_ - n, begin_, end_}; }
  long long operator-(const Pointer& p) const { return at_ - p.at_; }
  Pointer& operator+=(long long n) { return at_ += n, *this; }
  Pointer& operator++() { return ++at_, *this; }
  bool aligned(size_t bytes) const { return reinterpret_cast<uintptr_t>(at_) % bytes == 0; }
  explicit operator bool() const { return at_ != nullptr; }

  // The address of n elements from [i], all within bounds and, if they are one vector, aligned.
  T* check(long long i, long long n, const std::source_location& where, size_t alignment = 1) const {
    T* p = at_ + i;
    if (p < begin_ || p + n > end_)
      current->fail(site_of(where),
                    "index %lld of %s memory is out of bounds: the array has %lld elements of %zu bytes",
                    static_cast<long long>(p - begin_), kShared ? "shared" : "global",
                    static_cast<long long>(end_ - begin_), sizeof(T));
    if (reinterpret_cast<uintptr_t>(p) % alignment)
      current->fail(site_of(where), "misaligned access: element %lld is not at a multiple of %zu bytes",
                    static_cast<long long>(p - begin_), alignment);
    return p;
  }

 private:
  template <class, bool>
  friend class Pointer;
  T *at_ = nullptr, *begin_ = nullptr, *end_ = nullptr;
};

}  // namespace emulator
