#include "awq/base/threads.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <set>
#include <stdexcept>

namespace awq {
namespace {

TEST(ThreadPool, CoversEveryItemOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const int64_t count : {0, 1, 2, 7, 64, 1000, 10007}) {
      for (const int64_t grain : {-1, 0, 1, 3, 64, 1000, 100000}) {
        std::vector<std::atomic<int>> hits(static_cast<size_t>(count));
        std::atomic<int64_t> small{0};
        pool.For(count, grain, [&](int64_t begin, int64_t end) {
          ASSERT_LT(begin, end);
          ASSERT_LE(end, count);
          if (end - begin < grain) ++small;
          for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
        });
        for (const auto& h : hits) ASSERT_EQ(h, 1);
        EXPECT_LE(small, 1) << "only the last piece may be shorter than the grain";
      }
    }
  }
}

TEST(ThreadPool, SeveralThreadsTakePart) {
  ThreadPool pool(4);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  // Every piece waits until a second thread has come, or for so long that none will.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  pool.For(16, 1, [&](int64_t, int64_t) {
    while (std::chrono::steady_clock::now() < deadline) {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        seen.insert(std::this_thread::get_id());
        if (seen.size() > 1) return;
      }
      std::this_thread::yield();
    }
  });
  EXPECT_GT(seen.size(), 1u);
}

TEST(ThreadPool, ALoopInsideALoopRunsOnItsCaller) {
  ThreadPool pool(4);
  std::atomic<int64_t> sum{0};
  pool.For(8, 1, [&](int64_t begin, int64_t end) {
    const auto outer = std::this_thread::get_id();
    for (int64_t i = begin; i < end; ++i) {
      pool.For(100, 1, [&](int64_t b, int64_t e) {
        EXPECT_EQ(std::this_thread::get_id(), outer);
        for (int64_t j = b; j < e; ++j) sum += i * 100 + j;
      });
    }
  });
  EXPECT_EQ(sum, 800 * 799 / 2);
}

TEST(ThreadPool, AnExceptionReachesTheCallerAndThePoolLivesOn) {
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      try {
        pool.For(100, 1, [](int64_t begin, int64_t end) {
          if (begin <= 37 && 37 < end) throw std::runtime_error("at 37");
        });
        ADD_FAILURE() << "nothing thrown";
      } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "at 37");
      }
      std::atomic<int64_t> sum{0};
      pool.For(100, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) sum += i;
      });
      EXPECT_EQ(sum, 4950);
    }
  }
}

TEST(ThreadPool, WhenAllThrowOneArrives) {
  ThreadPool pool(4);
  EXPECT_THROW(pool.For(64, 1, [](int64_t, int64_t) { throw std::runtime_error("each"); }),
               std::runtime_error);
}

TEST(ThreadPool, AnExceptionInANestedLoopLeavesLaterLoopsParallel) {
  ThreadPool pool(2);
  EXPECT_THROW(pool.For(4, 1,
                        [&](int64_t, int64_t) {
                          pool.For(4, 1,
                                   [](int64_t, int64_t) { throw std::runtime_error("deep"); });
                        }),
               std::runtime_error);
  std::atomic<int> pieces{0};
  pool.For(4, 1, [&](int64_t, int64_t) { ++pieces; });
  EXPECT_EQ(pieces, 4);  // serial loops come in one piece
}

TEST(ThreadPool, ManyShortLoopsInARow) {
  ThreadPool pool(3);
  int64_t total = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::atomic<int64_t> sum{0};
    pool.For(6, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    total += sum;
  }
  EXPECT_EQ(total, 120'000);
}

TEST(ThreadPool, WritesAreVisibleAfterTheLoop) {
  ThreadPool pool(4);
  std::vector<int> plain(5000);
  for (int round = 1; round <= 200; ++round) {
    pool.For(5000, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) plain[static_cast<size_t>(i)] += round;
    });
  }
  for (const int v : plain) ASSERT_EQ(v, 20100);
}

TEST(ThreadPool, WakesAfterSleeping) {
  ThreadPool pool(2);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // past the spinning
    std::atomic<int> items{0};
    pool.For(10, 1, [&](int64_t begin, int64_t end) { items += static_cast<int>(end - begin); });
    EXPECT_EQ(items, 10);
  }
}

TEST(ThreadPool, SizesItselfByTheCores) {
  EXPECT_GE(ThreadPool::AvailableCores(), 1);
  EXPECT_EQ(ThreadPool().size(), ThreadPool::AvailableCores());
}

TEST(ThreadPool, IdlePoolsShutDown) {
  for (int i = 0; i < 100; ++i) ThreadPool pool(4);
}

}  // namespace
}  // namespace awq
