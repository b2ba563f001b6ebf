#include "awq/base/threads.h"

#include <sched.h>

#include <algorithm>

namespace awq {
namespace {

thread_local bool inside_loop = false;

// Decode steps issue loops every few microseconds; sleeping between them would cost more than they
// do. Where waits turn out long, as between the loops of calibration, spinning is given up soon.
constexpr int kMostSpins = 4000;
constexpr int kLeastSpins = 500;

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Waits for `done` a while; longer next time if that was enough, else shorter.
template <typename Done>
bool Spin(int& spins, const Done& done) {
  for (int i = 0; i < spins; ++i) {
    if (done()) {
      spins = std::min(2 * spins, kMostSpins);
      return true;
    }
    Pause();
  }
  spins = std::max(spins / 2, kLeastSpins);
  return done();
}

}  // namespace

int ThreadPool::AvailableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

ThreadPool::ThreadPool(int threads) : spins_(kMostSpins) {
  if (threads <= 0) threads = AvailableCores();
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { Work(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    ++generation_;
  }
  start_.notify_all();
  for (std::thread& t : workers_) t.join();
}

void ThreadPool::RunPieces() {
  inside_loop = true;
  while (true) {
    const int64_t begin = next_.fetch_add(piece_);
    if (begin >= count_) break;
    try {
      (*body_)(begin, std::min(begin + piece_, count_));
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_ = count_;
    }
  }
  inside_loop = false;
}

void ThreadPool::Work() {
  uint64_t seen = 0;
  int spins = kMostSpins;
  while (true) {
    if (!Spin(spins, [&] { return generation_.load() != seen; })) {
      std::unique_lock<std::mutex> lock(mutex_);
      start_.wait(lock, [&] { return generation_.load() != seen; });
    }
    seen = generation_.load();
    if (stop_) return;
    RunPieces();
    if (active_.fetch_sub(1) == 1) {
      const std::lock_guard<std::mutex> lock(mutex_);
      done_.notify_one();
    }
  }
}

void ThreadPool::For(int64_t count, int64_t grain,
                     const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (workers_.empty() || inside_loop || count <= grain) {
    body(0, count);
    return;
  }
  // A few pieces a thread even out uneven ones without much contention on the counter.
  const int64_t pieces = std::min<int64_t>((count + grain - 1) / grain, int64_t{4} * size());
  body_ = &body;
  count_ = count;
  piece_ = std::max(grain, (count + pieces - 1) / pieces);
  next_ = 0;
  failure_ = nullptr;
  active_ = static_cast<int>(workers_.size());
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++generation_;
  }
  start_.notify_all();
  RunPieces();
  if (!Spin(spins_, [&] { return active_.load() == 0; })) {
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [&] { return active_.load() == 0; });
  }
  // A worker that finished last may still hold the mutex to notify; wait until it has let go.
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace awq
