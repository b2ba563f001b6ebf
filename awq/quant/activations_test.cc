#include "awq/quant/activations.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "awq/backend/make_backend.h"
#include "awq/quant/kept_rows.h"

namespace awq {
namespace {
namespace fs = std::filesystem;

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    folder_ = fs::path(testing::TempDir()) /
              Cat("store-", ::getpid(), "-",
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  ~StoreTest() override { fs::remove_all(folder_); }

  static Tensor Filled(int64_t rows, int64_t columns, float value) {
    Tensor out = MakeTensor(DType::kF32, {rows, columns});
    for (float& v : out.Span<float>()) v = value++;
    return out;
  }
  // Adds one to everything.
  static void Step(ActivationStore& store) {
    for (const auto& piece : store.Pieces(4)) {
      const Tensor rows = MakeTensor(DType::kF32, {piece.rows(), store.hidden()});
      store.Read(piece, rows.view());
      for (float& v : rows.Span<float>()) v += 1;
      store.Write(piece, rows.view());
    }
    store.Flip();
  }
  static float First(const ActivationStore& store) {
    const auto piece = store.Pieces(1).front();
    const Tensor rows = MakeTensor(DType::kF32, {piece.rows(), store.hidden()});
    store.Read(piece, rows.view());
    return rows.As<float>()[0];
  }

  std::vector<TokenBlock> blocks_ = {{1, 2, 3}, {4}, {5, 6, 7, 8, 9}, {10, 11}};
  fs::path folder_;
};

TEST_F(StoreTest, TheStreamOfTheLastCommitIsLeftAloneUntilTheNext) {
  int settled = 0;
  int current = 0;
  {
    ActivationStore store(blocks_, 3, folder_ / "x");
    EXPECT_EQ(store.num_tokens(), 11);
    for (const auto& piece : store.Pieces(4)) {
      store.Write(piece, Filled(piece.rows(), 3, 0).view());
    }
    store.Flip();
    current = store.Commit();
    store.BeforeOverwrite([&] { ++settled; });
    Step(store);
    Step(store);  // a layer advances its stream twice
    EXPECT_EQ(First(store), 2);
    EXPECT_EQ(settled, 1);
    {
      // What another process would find now.
      const ActivationStore again(blocks_, 3, folder_ / "x", current);
      EXPECT_EQ(First(again), 0);
    }
    EXPECT_NE(store.Commit(), current);
    current = 1 - current;
    store.Sync();
    Step(store);
    EXPECT_EQ(settled, 2);
  }
  ActivationStore store(blocks_, 3, folder_ / "x", current);
  EXPECT_EQ(First(store), 2);
  store.Remove();
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(StoreTest, KeptRowsAreTheSameInMemoryAndInTheFile) {
  const auto backend = MakeBackend("ref", 1);
  constexpr int64_t kBytes = 4 * 3 * 4;  // of one piece
  for (const int64_t memory : {int64_t{0}, kBytes, 10 * kBytes}) {
    SCOPED_TRACE(memory);
    KeptRows kept(*backend, 3 * kBytes, memory, folder_ / "kept");
    for (int round = 0; round < 2; ++round) {
      for (int i = 0; i < 5; ++i) kept.Keep(Filled(4, 3, static_cast<float>(100 * i)).view());
      ASSERT_EQ(kept.pieces(), 3u);  // the limit, whatever is in memory
      for (size_t i = 0; i < 3; ++i) {
        const Tensor rows = MakeTensor(DType::kF32, {4, 3});
        kept.Read(i, rows.view());
        EXPECT_EQ(rows.As<float>()[1], static_cast<float>(100 * i + 1));
      }
      kept.Clear();
      EXPECT_EQ(kept.pieces(), 0u);
    }
    EXPECT_EQ(fs::exists(folder_ / "kept"), memory < 3 * kBytes);
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace awq
