#include "awq/base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "awq/base/testing.h"

namespace awq {
namespace {
namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  FileTest() {
    folder_ = fs::path(testing::TempDir()) /
              Cat("file-", ::getpid(), "-",
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  ~FileTest() override { fs::remove_all(folder_); }

  static std::vector<std::string> Names(const fs::path& folder) {
    std::vector<std::string> out;
    for (const auto& e : fs::directory_iterator(folder)) out.push_back(e.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }
  // Read by other means than those under test.
  static std::string Slurp(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fs::path folder_;
};

using Strings = std::vector<std::string>;

TEST_F(FileTest, WritesAndReadsAllBytes) {
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += static_cast<char>(i * 7);
  FileWriter out(folder_ / "a");
  out.Write(text);
  out.Write("tail");
  EXPECT_EQ(out.bytes_written(), 300'004);
  out.WriteAt(1, "XY");
  EXPECT_EQ(out.bytes_written(), 300'004);
  out.Close();
  text.replace(1, 2, "XY");
  EXPECT_EQ(Slurp(folder_ / "a"), text + "tail");
  EXPECT_EQ(ReadFile(folder_ / "a"), text + "tail");
}

TEST_F(FileTest, WriterTruncatesWhatWasThere) {
  { FileWriter(folder_ / "a").Write("longer"); }
  FileWriter out(folder_ / "a");
  out.Write("x");
  out.Close();
  EXPECT_EQ(Slurp(folder_ / "a"), "x");
}

TEST_F(FileTest, ErrorsNameTheFileAndTheReason) {
  const fs::path absent = folder_ / "absent";
  ExpectError(ErrorCode::kNotFound, {absent.string(), "No such file"},
              [&] { (void)ReadFile(absent); });
  ExpectError(ErrorCode::kNotFound, {absent.string()}, [&] { (void)MappedFile::Open(absent); });
  ExpectError(ErrorCode::kNotFound, {"absent/b", "cannot create"},
              [&] { FileWriter(absent / "b"); });
  ExpectError(ErrorCode::kIo, {folder_.string(), "not a regular file"},
              [&] { (void)MappedFile::Open(folder_); });
  ExpectError(ErrorCode::kIo, {folder_.string(), "cannot read"}, [&] { (void)ReadFile(folder_); });
}

TEST_F(FileTest, AFullDiskIsAnError) {
  if (!fs::exists("/dev/full")) GTEST_SKIP();
  FileWriter out("/dev/full");
  ExpectError(ErrorCode::kIo, {"/dev/full", "No space left"}, [&] { out.Write("x"); });
}

TEST_F(FileTest, AtomicWritesReplaceAndLeaveNothingElse) {
  WriteFileAtomically(folder_ / "a", "one");
  WriteFileAtomically(folder_ / "a", "two");
  EXPECT_EQ(Slurp(folder_ / "a"), "two");
  EXPECT_EQ(Names(folder_), Strings{"a"});
  fs::create_directories(folder_ / "d" / "e");
  ExpectError(ErrorCode::kIo, {"rename"}, [&] { WriteFileAtomically(folder_ / "d", "x"); });
  EXPECT_EQ(Names(folder_), (Strings{"a", "d"}));
}

TEST_F(FileTest, OutputFolderAppearsWhole) {
  const fs::path target = folder_ / "out";
  {
    OutputFolder out(target);
    EXPECT_EQ(out.target(), target);
    WriteFileAtomically(out.path() / "a", "x");
    EXPECT_FALSE(fs::exists(target));
    out.Commit();
    EXPECT_EQ(Slurp(target / "a"), "x");
  }
  EXPECT_EQ(Names(folder_), Strings{"out"});
  EXPECT_EQ(Names(target), Strings{"a"});
}

TEST_F(FileTest, OutputFolderVanishesWithoutCommit) {
  {
    OutputFolder out(folder_ / "out");
    WriteFileAtomically(out.path() / "a", "x");
  }
  EXPECT_TRUE(Names(folder_).empty());
}

TEST_F(FileTest, OutputFolderTakesATrailingSlashAndMissingParents) {
  OutputFolder out(folder_ / "p" / "q" / "");
  out.Commit();
  EXPECT_TRUE(fs::is_directory(folder_ / "p" / "q"));
}

TEST_F(FileTest, OutputFolderRefusesWhatExists) {
  fs::create_directories(folder_ / "empty");
  OutputFolder(folder_ / "empty").Commit();
  fs::create_directories(folder_ / "full");
  WriteFileAtomically(folder_ / "full" / "a", "x");
  WriteFileAtomically(folder_ / "file", "x");
  fs::create_symlink("nowhere", folder_ / "link");
  for (const char* name : {"full", "file", "link"}) {
    ExpectError(ErrorCode::kInvalidArgument, {name, "choose another"},
                [&] { OutputFolder(folder_ / name); });
  }
  ExpectError(ErrorCode::kIo, {"file/sub"}, [&] { OutputFolder(folder_ / "file" / "sub"); });
  EXPECT_EQ(Slurp(folder_ / "full" / "a"), "x");
}

TEST_F(FileTest, OutputFolderKeepsWhatFilledMeanwhile) {
  OutputFolder out(folder_ / "out");
  fs::create_directories(folder_ / "out");
  WriteFileAtomically(folder_ / "out" / "theirs", "x");
  ExpectError(ErrorCode::kIo, {"out", "rename"}, [&] { out.Commit(); });
  EXPECT_EQ(Slurp(folder_ / "out" / "theirs"), "x");
}

TEST_F(FileTest, MapsAndReleases) {
  const std::string text(100'000, 'x');
  WriteFileAtomically(folder_ / "a", text);
  const auto file = MappedFile::Open(folder_ / "a");
  ASSERT_EQ(file->bytes().size(), text.size());
  EXPECT_EQ(std::memcmp(file->bytes().data(), text.data(), text.size()), 0);
  file->Release(file->bytes().data() + 10, 50'000);
  EXPECT_EQ(std::memcmp(file->bytes().data(), text.data(), text.size()), 0);  // they come back
  fs::remove(folder_ / "a");
  EXPECT_EQ(static_cast<char>(file->bytes()[99'999]), 'x');
  EXPECT_EQ(file->path(), folder_ / "a");
  WriteFileAtomically(folder_ / "none", "");
  EXPECT_TRUE(MappedFile::Open(folder_ / "none")->bytes().empty());
}

}  // namespace
}  // namespace awq
