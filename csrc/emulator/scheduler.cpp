#include "scheduler.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <utility>

#include "block.h"
#include "fiber.h"

namespace emulator {

constinit thread_local Scheduler* current = nullptr;

namespace {

// Fibers without a thread, kept for the next one and for the next launch.
struct Idle {
  std::vector<Fiber*> fibers;
  ~Idle() {
    for (Fiber* f : fibers) delete f;
  }
};
thread_local Idle idle;

constexpr unsigned char kPoison = 0xff;  // four of them are a NaN

}  // namespace

Scheduler::Scheduler(EmulatedLaunch* l, const char* kernel, void (*thread)(const EmulatedLaunch&))
    : launch(l),
      kernel_(kernel),
      thread_(thread),
      running_(new Running),
      seed_(static_cast<uint64_t>(l->order) * 0x9E3779B97F4A7C15ull) {}

Scheduler::~Scheduler() {
  for (Block& b : running_->blocks)
    for (Thread& t : b.threads) delete t.fiber;  // of a launch that failed: their threads never end
  delete running_;
}

uint32_t Scheduler::random() {
  seed_ = seed_ * 6364136223846793005ull + 1442695040888963407ull;
  return static_cast<uint32_t>(seed_ >> 33);
}

void Scheduler::start(Block& b, int number) {
  b.number = number;
  int n = launch->threads;
  b.threads.assign(n, Thread{});
  for (int i = 0; i < n; i++) {
    b.threads[i].number = i;
    b.threads[i].index.x = i;
  }
  b.warps.resize((n + kWarp - 1) / kWarp);
  for (size_t k = 0; k < b.warps.size(); k++) {
    Warp& w = b.warps[k];
    int lanes = n - static_cast<int>(k) * kWarp;
    w.existing = lanes >= kWarp ? ~0u : (1u << lanes) - 1;
    w.ended = 0;
    w.n_meetings = 0;
    w.epoch = 0;
    for (Exchange& e : w.exchanges) e.unread = 0;
  }
  size_t bytes = launch->shared_bytes;
  b.storage.resize(bytes + 16);
  b.shared = b.storage.data() + (16 - reinterpret_cast<uintptr_t>(b.storage.data()) % 16) % 16;
  std::memset(b.shared, kPoison, bytes);
#ifdef SYMCONV_CHECKED
  b.shadow.assign((bytes + 3) / 4, Shadow{});
#endif
  b.epoch = 1;
  b.live = n;
  b.arrived = b.count = b.at_grid = 0;
}

void Scheduler::enter(Block& b) {
  block = &b;
  block_number = b.number;
  shared = b.shared;
}

void Scheduler::run() {
  Scheduler* outer = current;
  current = this;
  std::vector<Block>& blocks = running_->blocks;
  running_->order.resize(launch->threads);
  int n = launch->blocks;
  auto place = [&](int k) { return launch->order == 1 ? n - 1 - k : k; };
  if (launch->cooperative) {
    blocks.resize(n);
    for (int k = 0; k < n; k++) start(blocks[k], k);
    int done = 0;
    while (done < n && !launch->failed) {
      done = 0;
      int waiting = 0;
      for (int k = 0; k < n && !launch->failed; k++) {
        Block& b = blocks[place(k)];
        advance(b);
        done += b.live == 0;
        waiting += b.live > 0 && b.at_grid == b.live;
      }
      if (launch->failed || done == n) break;
      if (waiting < n) {
        for (Block& b : blocks)
          if (b.live == 0 || b.at_grid < b.live) {
            report_stuck(b);
            break;
          }
        break;
      }
      for (Block& b : blocks) {
        b.epoch++;
        b.at_grid = 0;
        for (Thread& t : b.threads)
          if (t.state == State::kAtGrid) t.state = State::kReady;
      }
    }
  } else if (n > 0) {
    blocks.resize(1);
    for (int k = 0; k < n && !launch->failed; k++) {
      Block& b = blocks[0];
      start(b, place(k));
      advance(b);
      if (b.live > 0 && !launch->failed) report_stuck(b);
    }
  }
  current = outer;
}

bool Scheduler::advance(Block& b) {
  int n = launch->threads;
  bool any = false, again = true;
  std::vector<int>& order = running_->order;
  enter(b);
  while (again && !launch->failed) {
    again = false;
    for (int i = 0; i < n; i++) order[i] = launch->order == 1 ? n - 1 - i : i;
    if (launch->order > 1)
      for (int i = n - 1; i > 0; i--) std::swap(order[i], order[random() % (i + 1)]);
    for (int i = 0; i < n && !launch->failed; i++) {
      Thread& t = b.threads[order[i]];
      if (t.state != State::kReady) continue;
      resume(t);
      any = again = true;
    }
  }
  return any;
}

void Scheduler::resume(Thread& t) {
  if (!t.fiber) {
    if (idle.fibers.empty()) idle.fibers.push_back(new Fiber(work));
    t.fiber = idle.fibers.back();
    idle.fibers.pop_back();
  }
  thread = &t;
  t.fiber->enter();
  if (t.state == State::kDone && !launch->failed) {
    idle.fibers.push_back(t.fiber);  // it stands before its next thread
    t.fiber = nullptr;
  }
}

// The life of a fiber: one thread after the other.
void Scheduler::work() {
  fiber_started();
  for (;;) {
    current->thread_(*current->launch);
    current->finish();
    Fiber::leave();
  }
}

void Scheduler::finish() {
  thread->state = State::kDone;
  block->warps[thread->number / kWarp].ended |= 1u << thread->number % kWarp;
  block->live--;
  if (block->arrived > 0 && block->arrived >= block->live) {
    Site site;
    for (Thread& t : block->threads)
      if (t.state == State::kAtBarrier) site = t.site;
    fail(site, "divergent barrier: %d threads wait here, thread %d has ended", block->arrived,
         thread->number);
  }
}

void Scheduler::park(State state, Site site) {
  thread->state = state;
  thread->site = site;
  Fiber::leave();
}

void Scheduler::release_barrier() {
  block->barrier_count = block->count;
  block->arrived = block->count = 0;
  block->epoch++;
  for (Thread& t : block->threads)
    if (t.state == State::kAtBarrier) t.state = State::kReady;
}

int Scheduler::barrier(Site site, bool predicate) {
  for (Thread& t : block->threads)
    if (t.state == State::kAtBarrier) {
      if (t.site.line != site.line || std::strcmp(t.site.file, site.file))
        fail(site, "divergent barrier: thread %d waits at another one, %s:%d", t.number, t.site.file,
             t.site.line);
      break;
    }
  block->arrived++;
  block->count += predicate;
  if (block->live < launch->threads)
    fail(site, "divergent barrier: %d threads of the block have ended before it",
         launch->threads - block->live);
  if (block->arrived == block->live)
    release_barrier();
  else
    park(State::kAtBarrier, site);
  return block->barrier_count;
}

void Scheduler::grid_barrier(Site site) {
  if (!launch->cooperative) fail(site, "grid barrier in a launch that is not cooperative");
  block->at_grid++;
  park(State::kAtGrid, site);
}

const Exchange& Scheduler::exchange(uint32_t mask, const void* value, size_t bytes, Site site) {
  int lane = thread->number % kWarp;
  Warp& warp = block->warps[thread->number / kWarp];
  mask &= warp.existing;
  if (!(mask >> lane & 1)) fail(site, "warp operation: lane %d is not in its own mask %08x", lane, mask);
  if (mask & warp.ended)
    fail(site, "warp operation: lane %d of mask %08x has ended", __builtin_ctz(mask & warp.ended), mask);
  std::memcpy(warp.posted[lane], value, bytes);
  Meeting* meeting = nullptr;
  for (int i = 0; i < warp.n_meetings; i++) {
    Meeting& m = warp.meetings[i];
    if (m.mask == mask && m.site.line == site.line && m.site.file == site.file)
      meeting = &m;
    else if ((m.mask >> lane & 1) && (m.here & mask))  // they would wait for each other
      fail(site, "divergent warp operation: lane %d waits at %s:%d with mask %08x", __builtin_ctz(m.here),
           m.site.file, m.site.line, m.mask);
  }
  if (!meeting) {
    if (warp.n_meetings == Warp::kMeetings)
      fail(site, "more than %d masks of one warp at once", Warp::kMeetings);
    meeting = &warp.meetings[warp.n_meetings++];
    *meeting = {mask, 0, site};
  }
  meeting->here |= 1u << lane;
  if (meeting->here != mask) {
    park(State::kAtWarp, site);
    return block->warps[thread->number / kWarp].exchanges[thread->exchange];
  }
  *meeting = warp.meetings[--warp.n_meetings];
  int free = 0;
  while (free < Warp::kExchanges && warp.exchanges[free].unread) free++;
  if (free == Warp::kExchanges)
    fail(site, "more than %d warp operations of one warp in flight", Warp::kExchanges);
  Exchange& e = warp.exchanges[free];
  e.unread = mask;
  e.nonzero = 0;
  Thread* first = &block->threads[thread->number - lane];
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    int i = __builtin_ctz(rest), word = 0;
    std::memcpy(e.value[i], warp.posted[i], bytes);
    std::memcpy(&word, e.value[i], bytes < sizeof word ? bytes : sizeof word);
    e.nonzero |= static_cast<uint32_t>(word != 0) << i;
    first[i].exchange = free;
    if (first[i].state == State::kAtWarp) first[i].state = State::kReady;
  }
  if (mask == warp.existing) warp.epoch++;
  return e;
}

void Scheduler::release() {
  Warp& warp = block->warps[thread->number / kWarp];
  warp.exchanges[thread->exchange].unread &= ~(1u << thread->number % kWarp);
}

void Scheduler::reset_shared(Site site) {
  barrier(site, false);
  if (thread->number == 0) {
    std::memset(block->shared, kPoison, launch->shared_bytes);
    block->shadow.assign(block->shadow.size(), Shadow{});
  }
  barrier(site, false);
}

void Scheduler::touch_shared(const char* address, size_t bytes, bool write, Site site) {
  size_t offset = address - block->shared;
  uint32_t epoch = block->epoch;
  uint16_t me = static_cast<uint16_t>(thread->number);
  uint32_t warp_epoch = block->warps[me / kWarp].epoch;
  // Ordered after the access of `other`: by a barrier, or by an operation of the warp of both.
  auto ordered = [&](uint32_t at, uint32_t warp_at, uint16_t other) {
    return at != epoch || other == me || (other / kWarp == me / kWarp && warp_at < warp_epoch);
  };
  for (size_t i = offset / 4; i <= (offset + bytes - 1) / 4; i++) {
    Shadow& s = block->shadow[i];
    if (!write && !s.written)
      fail(site,
           "read of shared memory that nothing was written to, at byte %zu: a barrier or a store is missing",
           offset);
    if (s.write_epoch && !ordered(s.write_epoch, s.write_warp_epoch, s.writer))
      fail(site, "race on shared memory at byte %zu: thread %d wrote it since the last barrier", offset,
           s.writer);
    if (write) {
      if (s.read_epoch == epoch && s.more_readers)
        fail(site, "race on shared memory at byte %zu: other threads read it since the last barrier", offset);
      if (s.read_epoch && !ordered(s.read_epoch, s.read_warp_epoch, s.reader))
        fail(site, "race on shared memory at byte %zu: thread %d read it since the last barrier", offset,
             s.reader);
      s.write_epoch = epoch;
      s.write_warp_epoch = warp_epoch;
      s.writer = me;
      s.written = true;
    } else {
      bool same_epoch = s.read_epoch == epoch;
      s.more_readers = same_epoch && (s.more_readers || (s.reader != me && s.reader / kWarp != me / kWarp));
      s.read_epoch = epoch;
      s.read_warp_epoch = warp_epoch;
      s.reader = me;
    }
  }
}

int Scheduler::begin_message(const Thread& t, Site site) {
  launch->failed = 1;
  const char* name = std::strrchr(site.file, '/');
  int n = std::snprintf(launch->message, sizeof launch->message,
                        "kernel %s, block %d, thread %d, %s:%d: ", kernel_, block->number, t.number,
                        name ? name + 1 : site.file, site.line);
  return n < 0 ? 0 : n < static_cast<int>(sizeof launch->message) ? n : sizeof launch->message - 1;
}

void Scheduler::fail(Site site, const char* format, ...) {
  if (!launch->failed) {
    int n = begin_message(*thread, site);
    va_list args;
    va_start(args, format);
    std::vsnprintf(launch->message + n, sizeof launch->message - n, format, args);
    va_end(args);
  }
  for (;;) Fiber::leave();  // never resumed: the launch is over
}

void Scheduler::report_stuck(Block& b) {
  enter(b);
  for (Thread& t : b.threads) {
    if (t.state == State::kReady || t.state == State::kDone) continue;
    const char* what = t.state == State::kAtBarrier ? "the block's barrier"
                       : t.state == State::kAtGrid  ? "the grid's barrier"
                                                    : "a warp operation";
    int n = begin_message(t, t.site);
    std::snprintf(launch->message + n, sizeof launch->message - n,
                  "deadlock: it waits at %s for threads that never come", what);
    return;
  }
  launch->failed = 1;
  std::snprintf(launch->message, sizeof launch->message,
                "kernel %s, block %d: it has ended while others wait at the grid's barrier", kernel_,
                b.number);
}

}  // namespace emulator
