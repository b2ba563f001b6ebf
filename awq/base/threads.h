// A fixed set of worker threads for data-parallel loops.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace awq {

// Calls come from one thread at a time; a loop inside a loop runs serially on its caller.
class ThreadPool {
 public:
  // 0: as many as the cores this process may use. The calling thread is one of them.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end) on pieces of at least `grain` items (the last may be shorter) until all
  // of [0, count) is done; pieces are claimed as threads become free. The first exception is
  // rethrown.
  void For(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

  static int AvailableCores();

 private:
  void Work();
  void RunPieces();

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable start_;
  std::condition_variable done_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> active_{0};
  std::atomic<bool> stop_{false};

  const std::function<void(int64_t, int64_t)>* body_ = nullptr;
  int64_t count_ = 0;
  int64_t piece_ = 1;
  int spins_;  // of the caller
  std::atomic<int64_t> next_{0};
  std::exception_ptr failure_;
};

}  // namespace awq
