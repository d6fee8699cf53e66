// A kernel in a library of the user's: hands it ranges of its items, on all threads.
#include "runtime/foreign.h"

#include "parallel.h"
#include "params.h"

namespace symconv {
namespace SYMCONV_ISA {
namespace {

constexpr long long kMost = 1LL << 62;

void run_foreign(const Launch& l) {
  const ForeignParams& p = params_as<ForeignParams>(l);
  SymconvEntry entry = foreign_entry(p.number);
  SymconvArray arrays[SYMCONV_CALL_ARRAYS + 1];
  int count = 0;
  for (int i = 0; i < p.n_in; i++, count++)
    arrays[count] = {l.in[i], static_cast<unsigned long long>(p.bytes[count])};
  for (int i = 0; i < p.n_out; i++, count++)
    arrays[count] = {l.out[i], static_cast<unsigned long long>(p.bytes[count])};
  if (p.workspace) arrays[count++] = {l.workspace, static_cast<unsigned long long>(p.workspace)};
  parallel_range(
      l.pool, p.items, p.grain,
      [&](long long begin, long long end, int) {
        char message[512] = "";
        SymconvCall call{&p + 1, arrays, count, begin, end, message, sizeof message};
        if (entry(&call)) {
          message[sizeof message - 1] = 0;
          fail("%s", message[0] ? message : "the kernel failed and gave no reason");
        }
      },
      1);
}

void check_foreign(const Sizes& s) {
  const ForeignParams& p = params_as<ForeignParams>(s, "foreign");
  foreign_entry(p.number);
  require_counts(s, "foreign", p.n_in, p.n_out);
  if (p.n_in + p.n_out > SYMCONV_CALL_ARRAYS)
    fail("foreign: %d arrays, at most %d are handed on", p.n_in + p.n_out, SYMCONV_CALL_ARRAYS);
  if (p.items < 0 || p.items > kMost || p.grain < 1 || p.workspace < 0 || p.workspace > kMost)
    fail("foreign: %lld items, %lld at least for a thread, %lld bytes of workspace", p.items, p.grain,
         p.workspace);
  for (int i = 0; i < s.n_in + s.n_out; i++) {
    size_t have = i < s.n_in ? s.in_bytes[i] : s.out_bytes[i - s.n_in];
    if (p.bytes[i] < 0 || static_cast<size_t>(p.bytes[i]) != have)
      fail("foreign: array %d has %zu bytes, the params say %lld", i, have, p.bytes[i]);
  }
}

size_t workspace_foreign(const Sizes& s) {
  return static_cast<size_t>(params_as<ForeignParams>(s, "foreign").workspace);
}

}  // namespace

void register_foreign(Registrar& r) { r.add({"foreign", run_foreign, check_foreign, workspace_foreign}); }

}  // namespace SYMCONV_ISA
}  // namespace symconv
