// Draws of numpy.random.RandomState: MT19937 and the distributions of NumPy's legacy generator, in its order of draws
// and of floating-point operations, so that every value has the same bits.
//
//   state   int32[628]: 624 words, the position among them, whether a normal value is kept, its two halves
//   double  (a * 2^26 + b) / 2^53 of the upper 27 and 26 bits of two words
//
// The sequence of words has no parts that could be computed apart: one thread. But of the 624 words of a state 227
// do not depend on each other, so that new states, tempering and conversion go in vectors. Products and sums round
// one by one:
// symconv: no-contract
#include <math.h>
#include <string.h>

#include "dtypes.h"
#include "parallel.h"
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr int kWords = 624, kShift = 397;
constexpr int kPosition = kWords, kHasGauss = kWords + 1, kGauss = kWords + 2;
constexpr size_t kStateBytes = 628 * sizeof(int32_t);
constexpr int kChunk = 512;  // values drawn at a time

inline uint32_t twisted(uint32_t far, uint32_t upper, uint32_t lower) {
  uint32_t y = (upper & 0x80000000u) | (lower & 0x7fffffffu);
  return far ^ (y >> 1) ^ (-(lower & 1u) & 0x9908b0dfu);
}
inline uint32_t tempered(uint32_t y) {
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}
// An integer below 2^52 as a double, by way of the bits of 2^52 + x.
inline double exactly(uint64_t x) {
  uint64_t bits = x | 0x4330000000000000u;
  double value;
  memcpy(&value, &bits, sizeof value);
  return value - 0x1p52;
}

class Words {
 public:
  explicit Words(int32_t* state)
      : state_(reinterpret_cast<uint32_t*>(state)), position_(static_cast<int>(state[kPosition])) {
    if (position_ < 0 || position_ > kWords) fail("the position of a Mersenne twister is %d", position_);
  }
  // No destructor: the tables for unwinding would be shared between instruction sets.
  void save() { state_[kPosition] = static_cast<uint32_t>(position_); }
  Words(const Words&) = delete;
  Words& operator=(const Words&) = delete;

  uint32_t next() {
    if (position_ == kWords) refill();
    return tempered(state_[position_++]);
  }
  void take(uint32_t* out, int count) {
    while (count > 0) {
      if (position_ == kWords) refill();
      int n = count < kWords - position_ ? count : kWords - position_;
      const uint32_t* s = state_ + position_;
      for (int i = 0; i < n; i++) out[i] = tempered(s[i]);
      out += n, count -= n, position_ += n;
    }
  }
  // The next n <= kChunk doubles.
  void take_doubles(double* out, int n) {
    uint32_t words[2 * kChunk];
    take(words, 2 * n);
    for (int i = 0; i < n; i++) {
      uint64_t pair;
      memcpy(&pair, words + 2 * i, sizeof pair);
      out[i] = (exactly((pair & 0xffffffffu) >> 5) * 67108864.0 + exactly(pair >> 38)) * 0x1p-53;
    }
  }
  double next_double() {
    int32_t a = static_cast<int32_t>(next() >> 5), b = static_cast<int32_t>(next() >> 6);
    return (a * 67108864.0 + b) / 9007199254740992.0;
  }
  // Marsaglia's polar method; of two values the second is kept.
  double next_gauss() {
    double value;
    if (state_[kHasGauss]) {
      memcpy(&value, state_ + kGauss, sizeof value);
      state_[kHasGauss] = 0;
      memset(state_ + kGauss, 0, sizeof value);
      return value;
    }
    double x1, x2, r2;
    do {
      x1 = 2.0 * next_double() - 1.0;
      x2 = 2.0 * next_double() - 1.0;
      r2 = x1 * x1 + x2 * x2;
    } while (r2 >= 1.0 || r2 == 0.0);
    double f = sqrt(-2.0 * log(r2) / r2);
    value = f * x1;
    memcpy(state_ + kGauss, &value, sizeof value);
    state_[kHasGauss] = 1;
    return f * x2;
  }

 private:
  void refill() {
    uint32_t* s = state_;
    for (int i = 0; i < kWords - kShift; i++) s[i] = twisted(s[i + kShift], s[i], s[i + 1]);
    for (int i = kWords - kShift; i < kWords - 1; i++) s[i] = twisted(s[i + kShift - kWords], s[i], s[i + 1]);
    s[kWords - 1] = twisted(s[kShift - 1], s[kWords - 1], s[0]);
    position_ = 0;
  }
  uint32_t* state_;
  int position_;
};

// The state moves to the output, where the draws advance it.
int32_t* take_state(const Launch& l) {
  if (l.out[0] != l.in[0]) memcpy(l.out[0], l.in[0], kStateBytes);
  return static_cast<int32_t*>(l.out[0]);
}

// A parameter of the draws, or one for each of them.
template <class T>
struct Parameter {
  const T* values;
  long long step;
  T operator[](long long i) const { return values[i * step]; }
};

template <class T>
Parameter<T> first_of(const Launch& l) {
  return {static_cast<const T*>(l.in[1]), params_as<MersenneParams>(l).first_step};
}
template <class T>
Parameter<T> second_of(const Launch& l) {
  return {static_cast<const T*>(l.in[2]), params_as<MersenneParams>(l).second_step};
}

void run_uniform(const Launch& l) {
  Words words(take_state(l));
  Parameter<double> lows = first_of<double>(l), highs = second_of<double>(l);
  double* y = static_cast<double*>(l.out[1]);
  long long n = params_as<MersenneParams>(l).n;
  double u[kChunk];
  for (long long first = 0; first < n; first += kChunk) {
    int count = static_cast<int>(n - first < kChunk ? n - first : kChunk);
    words.take_doubles(u, count);
    for (int k = 0; k < count; k++) {
      double low = lows[first + k], high = highs[first + k];
      if (!(fabs(high - low) <= 1.7976931348623157e308))
        fail("uniform: the range from %g to %g is too large", low, high);
      y[first + k] = low + (high - low) * u[k];
    }
  }
  words.save();
}

void run_normal(const Launch& l) {
  Words words(take_state(l));
  Parameter<double> means = first_of<double>(l), stds = second_of<double>(l);
  double* y = static_cast<double*>(l.out[1]);
  long long n = params_as<MersenneParams>(l).n;
  for (long long i = 0; i < n; i++) {
    if (!(stds[i] >= 0)) fail("normal: std must not be negative, got %g", stds[i]);
    y[i] = means[i] + stds[i] * words.next_gauss();
  }
  words.save();
}

// Inversion of the distribution function; n * min(p, 1 - p) <= 30, as the descriptor sees to.
struct Binomial {
  int64_t trials, bound;
  double p, q, none;
  bool flip;

  Binomial(int64_t n, double chance) : trials(n) {
    if (n < 0) fail("binomial: n must not be negative, got %lld", static_cast<long long>(n));
    if (!(chance >= 0 && chance <= 1)) fail("binomial: p must lie in [0, 1], got %g", chance);
    flip = chance > 0.5;
    p = flip ? 1.0 - chance : chance;
    q = 1.0 - p;
    none = exp(n * log(q));
    double mean = n * p, reach = mean + 10.0 * sqrt(mean * q + 1);
    bound = n < reach ? n : static_cast<int64_t>(reach);
  }
  int64_t draw(Words& words) const {
    int64_t x = 0;
    double px = none, u = words.next_double();
    while (u > px) {
      x++;
      if (x > bound) {
        x = 0;
        px = none;
        u = words.next_double();
      } else {
        u -= px;
        px = ((trials - x + 1) * p * px) / (x * q);
      }
    }
    return flip ? trials - x : x;
  }
};

void run_binomial(const Launch& l) {
  Words words(take_state(l));
  Parameter<int64_t> trials = first_of<int64_t>(l);
  Parameter<double> chances = second_of<double>(l);
  int64_t* y = static_cast<int64_t*>(l.out[1]);
  long long n = params_as<MersenneParams>(l).n;
  if (n == 0) return;
  if (trials.step == 0 && chances.step == 0) {
    Binomial law(trials[0], chances[0]);
    for (long long i = 0; i < n; i++) y[i] = law.draw(words);
  } else {
    for (long long i = 0; i < n; i++) y[i] = Binomial(trials[i], chances[i]).draw(words);
  }
  words.save();
}

// One trial: each value comes of one double u, as u > (1 - p)^1, unless rounding has left u beyond the sum of both
// probabilities. Such a u is dropped, and the next one takes its place.
struct Trial {
  double none, one;
  bool flip;

  explicit Trial(double chance) {
    Binomial law(1, chance);
    none = law.none, one = (law.p * law.none) / law.q, flip = law.flip;
  }
  bool drops(double u) const { return u - none > one; }
  bool value(double u) const { return (u > none) != flip; }
};

// A chunk at a time. guess(u, i, count, y) gives `count` values from the i-th on, and how many of them are unclear;
// then exact(i), the Trial of the i-th value, decides one by one.
template <class T, class Guess, class Exact>
void draw_trials(const Launch& l, const Guess& guess, const Exact& exact) {
  Words words(take_state(l));
  T* y = static_cast<T*>(l.out[1]);
  long long n = params_as<MersenneParams>(l).n;
  double u[kChunk];
  for (long long i = 0; i < n;) {
    int count = static_cast<int>(n - i < kChunk ? n - i : kChunk);
    words.take_doubles(u, count);
    if (!guess(u, i, count, y + i)) {
      i += count;
      continue;
    }
    for (int k = 0; k < count; k++) {
      const Trial& trial = exact(i);
      if (!trial.drops(u[k])) y[i++] = static_cast<T>(trial.value(u[k]));
    }
  }
  words.save();
}

template <class T>
void run_trials(const Launch& l, double chance) {
  const Trial trial(chance);
  const double none = trial.none, one = trial.one;
  const T above = static_cast<T>(trial.flip ? 0 : 1), below = static_cast<T>(trial.flip ? 1 : 0);
  auto guess = [=](const double* u, long long, int count, T* y) {
    int64_t dropped = 0;
    for (int k = 0; k < count; k++) {
      y[k] = u[k] > none ? above : below;
      dropped += u[k] - none > one;
    }
    return dropped;
  };
  draw_trials<T>(l, guess, [&](long long) -> const Trial& { return trial; });
}

// A probability for each value. exp(log(1 - p)), with which NumPy compares u, lies within a few roundings of 1 - p,
// so that only a u close to it, or close to 1, needs those functions.
template <class T>
void run_trials(const Launch& l, const double* chances) {
  constexpr double kClose = 1e-9;
  auto guess = [=](const double* u, long long i, int count, T* y) {
    int64_t unclear = 0;
    for (int k = 0; k < count; k++) {
      double chance = chances[i + k];
      bool flip = chance > 0.5;
      double none = flip ? 1.0 - (1.0 - chance) : 1.0 - chance, away = u[k] - none;
      y[k] = static_cast<T>((away > 0.0) != flip);
      // false for a NaN, so that Trial refuses it
      bool clear =
          (away < 0.0 ? -away : away) > kClose && u[k] < 1.0 - kClose && chance >= 0.0 && chance <= 1.0;
      unclear += !clear;
    }
    return unclear;
  };
  draw_trials<T>(l, guess, [&](long long i) { return Trial(chances[i]); });
}

// f(T{}) for a type in which the 0 and 1 of a dtype are stored.
template <class F>
void with_number_type(int dtype, const F& f) {
  if (dtype == kFloat32) return f(float{});
  if (dtype == kFloat64) return f(double{});
  with_bits(dtype_size(dtype), f);
}

// A binomial draw with n = 1 whose values go out in any dtype.
void run_bernoulli(const Launch& l) {
  const MersenneParams& p = params_as<MersenneParams>(l);
  const double* chances = static_cast<const double*>(l.in[2]);
  with_number_type(p.dtype, [&](auto zero) {
    typedef decltype(zero) T;
    if (p.second_step)
      run_trials<T>(l, chances);
    else
      run_trials<T>(l, *chances);
  });
}

// low <= y <= high, by rejection of masked words.
void run_integers(const Launch& l) {
  Words words(take_state(l));
  int64_t low = first_of<int64_t>(l)[0], high = second_of<int64_t>(l)[0];
  if (low > high)
    fail("random_integers: nothing lies between %lld and %lld", static_cast<long long>(low),
         static_cast<long long>(high));
  uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low), mask = range;
  for (int shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
  int64_t* y = static_cast<int64_t*>(l.out[1]);
  long long n = params_as<MersenneParams>(l).n;
  for (long long i = 0; i < n; i++) {
    uint64_t value = 0;
    if (range > 0xffffffffull) {
      do {
        value = static_cast<uint64_t>(words.next()) << 32;
        value = (value | words.next()) & mask;
      } while (value > range);
    } else if (range > 0) {
      do value = words.next() & mask;
      while (value > range);
    }
    y[i] = static_cast<int64_t>(static_cast<uint64_t>(low) + value);
  }
  words.save();
}

void check_draw(const Sizes& s) {
  if (s.n_in < 3) fail("mt19937: %d inputs, expected a state, two parameters and the dimensions", s.n_in);
  require_counts(s, "mt19937", s.n_in, 2);
  const MersenneParams& p = params_as<MersenneParams>(s, "mt19937");
  if (p.n < 0) fail("mt19937: %lld elements", p.n);
  require_bytes("mt19937", "state", s.in_bytes[0], kStateBytes);
  if ((p.first_step | p.second_step) & ~1LL)
    fail("mt19937: steps %lld and %lld of parameters", p.first_step, p.second_step);
  require_bytes("mt19937", "first parameter", s.in_bytes[1], p.first_step ? static_cast<size_t>(p.n) * 8 : 8);
  require_bytes("mt19937", "second parameter", s.in_bytes[2],
                p.second_step ? static_cast<size_t>(p.n) * 8 : 8);
  require_bytes("mt19937", "new state", s.out_bytes[0], kStateBytes);
  require_dtype("mt19937", p.dtype);
  require_bytes("mt19937", "y", s.out_bytes[1],
                static_cast<size_t>(p.n) * static_cast<size_t>(dtype_size(p.dtype)));
}

// All others write 8 bytes for a value, whatever the params say.
void check_wide_draw(const Sizes& s) {
  check_draw(s);
  int dtype = params_as<MersenneParams>(s, "mt19937").dtype;
  if (dtype_size(dtype) != 8) fail("mt19937: values of dtype %d, expected int64 or float64", dtype);
}

}  // namespace

void register_mt19937(Registrar& r) {
  r.add({"mt19937_uniform", run_uniform, check_wide_draw, nullptr});
  r.add({"mt19937_normal", run_normal, check_wide_draw, nullptr});
  r.add({"mt19937_bernoulli", run_bernoulli, check_draw, nullptr});
  r.add({"mt19937_binomial", run_binomial, check_wide_draw, nullptr});
  r.add({"mt19937_integers", run_integers, check_wide_draw, nullptr});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
