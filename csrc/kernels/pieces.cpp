// pieces: a result put together by strided copies (strided.h), one after the other, each shared among the
// threads: slice, flip, transpose, broadcast_to, concatenate, pad, set_slice and inc_slice. Offsets may depend
// on int64 scalars that are known only when the kernel runs; these are checked against their bounds.
// slice_bound: the scalars themselves, by NumPy's rules.
#include "dtypes.h"
#include "strided.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

struct Piece {
  PieceParams where;
  StridedCopyParams copy;
};
static_assert(sizeof(Piece) == sizeof(PieceParams) + sizeof(StridedCopyParams), "the tail has no gaps");

const Piece* pieces_of(const void* params) {
  return reinterpret_cast<const Piece*>(static_cast<const char*>(params) + sizeof(PiecesParams));
}

// out += in, element by element.
struct AddBlock {
  template <class T>
  void operator()(const T* in, T* out, Dim rows, Dim cols) const {
    for (long long i = 0; i < rows.n; i++) {
      const T* a = in + i * rows.in;
      T* b = out + i * rows.out;
      if (cols.in == 1 && cols.out == 1) {
        for (long long j = 0; j < cols.n; j++) b[j] = b[j] + a[j];
      } else {
        for (long long j = 0; j < cols.n; j++) b[j * cols.out] = b[j * cols.out] + a[j * cols.in];
      }
    }
  }
};

void add_strided(const StridedCopyParams& p, int dtype, const void* in, void* out, ThreadPool* pool) {
  with_sum_type(dtype, [&](auto zero) {
    typedef decltype(zero) T;
    walk_nest(static_cast<const T*>(in) + p.in_offset, static_cast<T*>(out) + p.out_offset, make_nest(p),
              pool, AddBlock());
  });
}

bool is_empty(const StridedCopyParams& p) {
  for (int d = 0; d < p.ndim; d++)
    if (p.shape[d] == 0) return true;
  return false;
}

void run_pieces(const Launch& l) {
  const PiecesParams& p = params_as<PiecesParams>(l);
  const Piece* pieces = pieces_of(l.params);
  for (int i = 0; i < p.n_pieces; i++) {
    const PieceParams& w = pieces[i].where;
    StridedCopyParams copy = pieces[i].copy;
    const void* source = l.in[w.source];
    if (is_empty(copy) || (w.whole && source == l.out[0])) continue;
    for (int k = 0; k < w.n_starts; k++) {
      long long start = *static_cast<const int64_t*>(l.in[w.start_input[k]]);
      if (start < w.start_low[k] || start > w.start_high[k])
        fail_index("a slice begins at %lld, which is not in %lld..%lld", start, w.start_low[k],
                   w.start_high[k]);
      (w.moving ? copy.out_offset : copy.in_offset) += start * w.start_stride[k];
    }
    if (w.add)
      add_strided(copy, p.dtype, source, l.out[0], l.pool);
    else
      copy_strided(copy, source, l.out[0], l.pool);
  }
}

void check_pieces(const Sizes& s) {
  const PiecesParams& p = params_as<PiecesParams>(s, "pieces");
  require_dtype("pieces", p.dtype);
  if (s.n_out != 1) fail("pieces: got %d outputs, expected 1", s.n_out);
  if (p.n_pieces < 0 || s.params_bytes != sizeof p + static_cast<size_t>(p.n_pieces) * sizeof(Piece))
    fail("pieces: %zu bytes of params for %d pieces", s.params_bytes, p.n_pieces);
  for (int i = 0; i < p.n_pieces; i++) {
    const PieceParams& w = pieces_of(s.params)[i].where;
    const StridedCopyParams& copy = pieces_of(s.params)[i].copy;
    if (w.source < 0 || w.source >= s.n_in) fail("pieces: piece %d comes from input %d", i, w.source);
    if (w.n_starts < 0 || w.n_starts > 8) fail("pieces: piece %d has %d starts", i, w.n_starts);
    if (!check_shape("pieces", copy)) continue;
    if (copy.itemsize != dtype_size(p.dtype))
      fail("pieces: itemsize %d for dtype %d", copy.itemsize, p.dtype);
    long long first = 0, last = 0;
    for (int k = 0; k < w.n_starts; k++) {
      if (w.start_input[k] < 0 || w.start_input[k] >= s.n_in || s.in_bytes[w.start_input[k]] < 8)
        fail("pieces: start %d of piece %d is in input %d", k, i, w.start_input[k]);
      if (!in_limit(w.start_low[k]) || !in_limit(w.start_high[k]) || !in_limit(w.start_stride[k]))
        fail("pieces: start %d of piece %d reaches beyond 2^46", k, i);
      __int128 low = static_cast<__int128>(w.start_low[k]) * w.start_stride[k];
      __int128 high = static_cast<__int128>(w.start_high[k]) * w.start_stride[k];
      if (low > high || low < -kLimit || high > kLimit)
        fail("pieces: start %d of piece %d is unbounded", k, i);
      first += static_cast<long long>(low), last += static_cast<long long>(high);
    }
    const long long extremes[2] = {first, last};
    for (long long moved : extremes) {
      long long in = copy.in_offset + (w.moving ? 0 : moved), out = copy.out_offset + (w.moving ? moved : 0);
      require_extent("pieces", "input", copy, in, copy.in_stride, s.in_bytes[w.source]);
      require_extent("pieces", "output", copy, out, copy.out_stride, s.out_bytes[0]);
    }
  }
}

// ---- the scalars of slices
long long clipped(long long bound, long long dim, long long step) {
  if (bound < 0) bound += dim;
  long long low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;
  return bound < low ? low : bound > high ? high : bound;
}

void run_slice_bound(const Launch& l) {
  const SliceBoundParams& p = params_as<SliceBoundParams>(l);
  auto scalar = [&](int i) { return static_cast<long long>(*static_cast<const int64_t*>(l.in[i])); };
  long long dim = scalar(p.kind == 1 ? 2 : 1), result;
  if (p.kind == 0) {
    result = clipped(scalar(0), dim, p.step);
    if (result < 0) result = 0;
  } else if (p.kind == 1) {
    long long span = clipped(scalar(1), dim, p.step) - clipped(scalar(0), dim, p.step);
    bool empty = p.step > 0 ? span <= 0 : span >= 0;
    result = empty ? 0 : (span + p.step - (p.step > 0 ? 1 : -1)) / p.step;
  } else {
    result = scalar(0);
    if (result < -dim || result >= dim)
      fail_index("index %lld is out of range for axis %d of length %lld", result, p.axis, dim);
    if (result < 0) result += dim;
  }
  *static_cast<int64_t*>(l.out[0]) = result;
}

void check_slice_bound(const Sizes& s) {
  const SliceBoundParams& p = params_as<SliceBoundParams>(s, "slice_bound");
  if (p.kind < 0 || p.kind > 2) fail("slice_bound: kind is %d", p.kind);
  require_counts(s, "slice_bound", p.kind == 1 ? 3 : 2, 1);
  if (p.kind < 2 && p.step == 0) fail("slice_bound: step is 0");
  for (int i = 0; i < s.n_in; i++) require_bytes("slice_bound", "a scalar", s.in_bytes[i], 8);
  require_bytes("slice_bound", "output", s.out_bytes[0], 8);
}

}  // namespace

void register_pieces(Registrar& r) {
  r.add({"pieces", run_pieces, check_pieces, nullptr});
  r.add({"slice_bound", run_slice_bound, check_slice_bound, nullptr});
}

}  // namespace SYMCONV_ISA
}  // namespace symconv
