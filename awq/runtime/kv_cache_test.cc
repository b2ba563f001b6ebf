// PagePool: random schedules against a plain model of who holds how much, without any memory.
#include "awq/runtime/kv_cache.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "awq/base/error.h"

namespace awq {
namespace {

TEST(PagePool, RandomSchedulesKeepEveryPageOnce) {
  std::mt19937 random(1);
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  for (int round = 0; round < 20; ++round) {
    const int64_t pages = 1 + below(40);
    const int64_t page_size = 1 + below(16);
    PagePool pool(pages, page_size);
    std::map<int64_t, int64_t> tokens;  // of each open sequence
    const auto used = [&] {
      int64_t sum = 0;
      for (const auto& [id, count] : tokens) sum += (count + page_size - 1) / page_size;
      return sum;
    };
    for (int step = 0; step < 300; ++step) {
      auto chosen = tokens.begin();
      if (!tokens.empty()) std::advance(chosen, below(static_cast<int64_t>(tokens.size())));
      const int64_t action = below(10);
      if (tokens.empty() || action < 2) {
        const int64_t id = pool.Open();
        ASSERT_TRUE(tokens.emplace(id, 0).second) << "a number given twice";
      } else if (action < 7) {
        const int64_t wanted = chosen->second + below(3 * page_size);
        const int64_t more = pool.PagesFor(wanted) - pool.PagesFor(chosen->second);
        const std::vector<int32_t> before(pool.Table(chosen->first).begin(),
                                          pool.Table(chosen->first).end());
        if (more > pages - used()) {
          EXPECT_THROW(pool.Reserve(chosen->first, wanted), Error);
        } else {
          pool.Reserve(chosen->first, wanted);
          chosen->second = wanted;
        }
        const auto after = pool.Table(chosen->first);
        ASSERT_GE(after.size(), before.size());
        EXPECT_TRUE(std::equal(before.begin(), before.end(), after.begin())) << "pages moved";
      } else if (action < 9) {
        chosen->second = below(chosen->second + 1);
        pool.Shrink(chosen->first, chosen->second);
      } else {
        pool.Close(chosen->first);
        tokens.erase(chosen);
      }
      ASSERT_NO_THROW(pool.CheckIntegrity());
      ASSERT_EQ(pool.free_pages(), pages - used());
      std::set<int32_t> seen;
      for (const auto& [id, count] : tokens) {
        const auto table = pool.Table(id);
        ASSERT_EQ(static_cast<int64_t>(table.size()), pool.PagesFor(count));
        for (int32_t page : table) {
          ASSERT_TRUE(page >= 0 && page < pages);
          ASSERT_TRUE(seen.insert(page).second) << "a page in two tables";
        }
      }
    }
    for (const auto& [id, count] : tokens) pool.Close(id);
    EXPECT_EQ(pool.free_pages(), pages);
  }
}

TEST(PagePool, RefusalsNameTheCounts) {
  PagePool pool(4, 16);
  const int64_t a = pool.Open();
  pool.Reserve(a, 48);
  const int64_t b = pool.Open();
  try {
    pool.Reserve(b, 33);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kOutOfMemory);
    EXPECT_STREQ(e.what(), "KV cache: 33 tokens need 3 more pages of 16 tokens, 1 of 4 are free");
  }
  EXPECT_TRUE(pool.Table(b).empty());
  EXPECT_THROW(pool.Table(99), Error);
  pool.Close(a);
  EXPECT_THROW(pool.Close(a), Error);
  EXPECT_THROW(PagePool(0, 16), Error);
}

}  // namespace
}  // namespace awq
