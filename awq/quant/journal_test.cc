#include "awq/quant/journal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "awq/base/testing.h"
#include "awq/quant/run_folder.h"

namespace awq {
namespace {
namespace fs = std::filesystem;

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    folder_ = fs::path(testing::TempDir()) /
              Cat("journal-", ::getpid(), "-",
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  ~JournalTest() override { fs::remove_all(folder_); }
  void Append(const std::string& text) const {
    FileWriter out(folder_ / "j", static_cast<int64_t>(fs::file_size(folder_ / "j")));
    out.Write(text);
  }
  fs::path folder_;
};

TEST_F(JournalTest, WhatWasAppendedIsThereAndATornLineIsNot) {
  const RawJson identity = {{"a", 1}};
  Journal::Create(folder_ / "j", identity)->Append({{"unit", 0}, {"error", 0.1}});
  const std::string whole = ReadFile(folder_ / "j");
  // Cut off anywhere behind the first record.
  for (const std::string& torn : {std::string(), std::string("{\"unit\": 1, \"er"),
                                  std::string("{\"unit\": 1}"), std::string("\0\0\0\n", 4)}) {
    SCOPED_TRACE(torn);
    WriteFileAtomically(folder_ / "j", whole);
    Append(torn);
    auto journal = Journal::Open(folder_ / "j");
    ASSERT_NE(journal, nullptr);
    EXPECT_EQ(journal->identity(), identity);
    ASSERT_EQ(journal->records().size(), 1u);
    EXPECT_EQ(journal->records()[0].at("error").get<double>(), 0.1);
    journal->Append({{"unit", 1}});
    EXPECT_EQ(journal->size(), 2);
    EXPECT_EQ(Journal::Open(folder_ / "j")->records()[1], RawJson({{"unit", 1}}));
  }
}

TEST_F(JournalTest, ATornIdentityIsNoJournalAndGarbageIsRefused) {
  EXPECT_EQ(Journal::Open(folder_ / "j"), nullptr);
  WriteFileAtomically(folder_ / "j", "{\"a\":");
  EXPECT_EQ(Journal::Open(folder_ / "j"), nullptr);
  WriteFileAtomically(folder_ / "j", "{\"a\":1}\nnonsense\n{\"unit\":0}\n");
  ExpectError(ErrorCode::kCorrupt, {"/j", "line 2 is not JSON"},
              [&] { Journal::Open(folder_ / "j"); });
}

TEST(FirstDifference, NamesWhatChanged) {
  const RawJson a = {{"program", "1"}, {"options", {{"seed", 0}, {"clip", true}}}};
  RawJson b = a;
  EXPECT_EQ(FirstDifference(a, b), "");
  b["options"]["seed"] = 7;
  EXPECT_EQ(FirstDifference(a, b), "options.seed: the interrupted run had 0, this one has 7");
  b = a;
  b["options"]["new"] = 1;
  EXPECT_EQ(FirstDifference(a, b), "options.new: this run has it, the interrupted one had not");
  EXPECT_EQ(FirstDifference(b, a), "options.new: the interrupted run had it, this one has not");
}

TEST_F(JournalTest, RunFoldersAreLockedAndBecomeTheirTarget) {
  const fs::path target = folder_ / "out";
  {
    RunFolder run(target);
    EXPECT_EQ(run.OpenJournal(), nullptr);
    run.Begin({{"a", 1}})->Append({{"unit", 0}});
    ExpectError(ErrorCode::kInvalidArgument, {"out.partial", "another process"},
                [&] { RunFolder again(target); });
    FileWriter(run.output() / "g.tmp-7").Write("cut off before its rename");
  }
  RunFolder run(target);  // the lock ends with its holder
  ASSERT_NE(run.OpenJournal(), nullptr);
  EXPECT_EQ(run.OpenJournal()->size(), 1);
  WriteFileAtomically(run.output() / "f", "x");
  run.Commit();
  EXPECT_FALSE(fs::exists(target / "g.tmp-7"));
  EXPECT_EQ(ReadFile(target / "f"), "x");
  EXPECT_FALSE(fs::exists(run.path()));
  ExpectError(ErrorCode::kInvalidArgument, {"output exists"}, [&] { RunFolder again(target); });
}

TEST_F(JournalTest, AFolderWithoutWorkLeavesNothing) {
  { RunFolder run(folder_ / "out/"); }
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace awq
