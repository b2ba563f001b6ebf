// The readers of calibration files: what they accept, and how they refuse.
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>

#include "awq/base/error.h"
#include "awq/quant/calibration/calibration_files.h"
#include "awq/quant/calibration/record_reader.h"

namespace awq {
namespace {

namespace fs = std::filesystem;

class Readers : public ::testing::Test {
 protected:
  Readers() { fs::create_directories(folder_); }
  ~Readers() override { fs::remove_all(folder_); }

  fs::path Write(const std::string& name, const std::string& content) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return folder_ / name;
  }

  static std::vector<CalibrationRecord> Read(const fs::path& file,
                                             const RecordOptions& options = {}) {
    const auto reader = MakeRecordReader(std::make_unique<TextInput>(file), file, options);
    std::vector<CalibrationRecord> out;
    CalibrationRecord record;
    while (reader->Next(record)) out.push_back(record);
    return out;
  }

  static std::vector<std::string> Texts(const fs::path& file, const RecordOptions& options = {}) {
    std::vector<std::string> out;
    for (const auto& r : Read(file, options)) out.push_back(r.text);
    return out;
  }

  void ExpectError(ErrorCode code, const std::string& part, const fs::path& file,
                   const RecordOptions& options = {}) const {
    try {
      Read(file, options);
      ADD_FAILURE() << "no error for " << file;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), code) << e.what();
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
    }
  }

  const fs::path folder_ = fs::path(::testing::TempDir()) /
                           ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

using Strings = std::vector<std::string>;

TEST_F(Readers, JsonLines) {
  EXPECT_EQ(Texts(Write("a.jsonl", "\xef\xbb\xbf{\"text\":\"a\"}\r\n\n{\"text\":\"b\",\"x\":1}")),
            (Strings{"a", "b"}));
  EXPECT_EQ(Texts(Write("b", "{\"body\":\"a\",\"text\":\"b\"}\n"), {.column = "body"}),
            Strings{"a"});
  const auto tokens = Read(Write("c.jsonl", "[1,2]\n{\"input_ids\":[3]}\n"));
  EXPECT_EQ(tokens[0].tokens, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(tokens[1].tokens, std::vector<int32_t>{3});
  ExpectError(ErrorCode::kCorrupt, "d.jsonl:2", Write("d.jsonl", "{\"text\":\"a\"}\n{\"text\""));
  ExpectError(ErrorCode::kCorrupt, "\"body\"", Write("e.jsonl", "{\"body\":\"a\"}"));
  ExpectError(ErrorCode::kCorrupt, "f.jsonl:1", Write("f.jsonl", "{\"text\":7}"));
  ExpectError(ErrorCode::kCorrupt, "-3", Write("g.jsonl", "{\"tokens\":[1,-3]}"));
}

TEST_F(Readers, JsonArray) {
  EXPECT_EQ(Texts(Write("a.json", " [\n \"a\", {\"text\": \"b]\\\"}\"}\n , \"c,d\" ]\n")),
            (Strings{"a", "b]\"}", "c,d"}));
  EXPECT_EQ(Read(Write("b.json", "[[1,2],[3]]"))[1].tokens, std::vector<int32_t>{3});
  EXPECT_TRUE(Read(Write("c.json", "[]")).empty());
  ExpectError(ErrorCode::kCorrupt, "d.json:2", Write("d.json", "[\"a\",\n{\"text\": }]"));
  ExpectError(ErrorCode::kCorrupt, "e.json:2", Write("e.json", "[\"a\",\n\"b\""));
  ExpectError(ErrorCode::kCorrupt, "f.json:2", Write("f.json", "[\"a\"]\n]"));
  ExpectError(ErrorCode::kCorrupt, "g.json:1", Write("g.json", "[{\"text\":\"a\"}\"b\"]"));
}

TEST_F(Readers, Conversations) {
  const auto records = Read(Write(
      "a.jsonl",
      R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,)"
      R"("tool_calls":[{"type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}}]}],)"
      R"("tools":[{"name":"f"}]})"
      "\n"
      R"({"conversations":[{"from":"human","value":"hi"},{"from":"gpt","value":"yo"}]})"
      "\n"
      R"([{"role":"user","content":"bare"}])"));
  ASSERT_EQ(records.size(), 3u);
  const RawJson& call = records[0].chat["messages"][1]["tool_calls"][0]["function"];
  EXPECT_EQ(call["arguments"]["x"], 1);
  EXPECT_EQ(records[0].chat["tools"][0]["name"], "f");
  EXPECT_EQ(
      records[1].chat["messages"],
      RawJson::parse(R"([{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}])"));
  EXPECT_EQ(records[2].chat["messages"][0]["content"], "bare");
  ExpectError(ErrorCode::kCorrupt, "\"role\"",
              Write("b.jsonl", R"({"messages":[{"content":"hi"}]})"));
}

TEST_F(Readers, Csv) {
  EXPECT_EQ(Texts(Write("a.csv", "id,text\r\n1,\"a, \"\"b\"\"\nc\"\r\n\n2,d\r\n")),
            (Strings{"a, \"b\"\nc", "d"}));
  EXPECT_EQ(Texts(Write("b.tsv", "q\ttext\n1\ta, b\n2\t")), (Strings{"a, b", ""}));
  EXPECT_EQ(Texts(Write("c.csv", "id;body\n1;x"), {.column = "body"}), Strings{"x"});
  EXPECT_EQ(Texts(Write("d.csv", "prompt\nx\ny")), (Strings{"x", "y"}));
  EXPECT_EQ(Read(Write("e.csv", "tokens\n\"[1, 2]\""))[0].tokens, (std::vector<int32_t>{1, 2}));
  ExpectError(ErrorCode::kCorrupt, "f.csv:2", Write("f.csv", "id,text\n1"));
  ExpectError(ErrorCode::kCorrupt, "g.csv:3", Write("g.csv", "id,text\n1,a\n2,\"b\n"));
  ExpectError(ErrorCode::kCorrupt, "h.csv:2", Write("h.csv", "id,text\n1,\"b\"c\n"));
  ExpectError(ErrorCode::kCorrupt, "\"id\", \"body\"", Write("i.csv", "id,body\n1,a"));
  ExpectError(ErrorCode::kCorrupt, "no column \"x\"", Write("j.csv", "id,body\n1,a"),
              {.column = "x"});
}

TEST_F(Readers, PlainTextIsCutBehindLines) {
  std::string text;
  for (int i = 0; text.size() < 300000; ++i) text += "line " + std::to_string(i) + "\n";
  const Strings pieces = Texts(Write("a.txt", text));
  EXPECT_GE(pieces.size(), 4u);
  std::string joined;
  for (const std::string& p : pieces) {
    EXPECT_EQ(p.back(), '\n');
    joined += p;
  }
  EXPECT_EQ(joined, text);
  EXPECT_EQ(Texts(Write("b.txt", "{\"a\"}\n[1")), Strings{"{\"a\"}\n[1"});
  EXPECT_EQ(Texts(Write("c", "[Chapter 1]\nx")), Strings{"[Chapter 1]\nx"});
  EXPECT_EQ(Texts(Write("d.txt", "a\nb\n"), {.by_line = true}), (Strings{"a", "b"}));
  // A text without lines is cut between characters.
  std::string euros;
  for (int i = 0; i < 60000; ++i) euros += "\xe2\x82\xac";
  for (const std::string& p : Texts(Write("e.txt", euros))) EXPECT_EQ(p.size() % 3, 0u);
}

TEST_F(Readers, Compressed) {
  const std::string content = "{\"text\":\"a\"}\n{\"text\":\"b\"}\n";
  const fs::path gz = folder_ / "a.jsonl.gz";
  for (const char* mode : {"wb", "ab"}) {  // two members
    const gzFile file = gzopen(gz.c_str(), mode);
    gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
    gzclose(file);
  }
  EXPECT_EQ(Texts(gz), (Strings{"a", "b", "a", "b"}));
  fs::copy(gz, folder_ / "cut.gz");
  fs::resize_file(folder_ / "cut.gz", fs::file_size(gz) - 5);
  ExpectError(ErrorCode::kCorrupt, "cut.gz: gzip", folder_ / "cut.gz");

  std::string zstd(ZSTD_compressBound(content.size()), '\0');
  zstd.resize(ZSTD_compress(zstd.data(), zstd.size(), content.data(), content.size(), 3));
  EXPECT_EQ(Texts(Write("a.zst", zstd)), (Strings{"a", "b"}));
  EXPECT_EQ(Texts(Write("b.jsonl.zst", zstd + zstd)), (Strings{"a", "b", "a", "b"}));
  ExpectError(ErrorCode::kCorrupt, "c.zst: zstd", Write("c.zst", zstd.substr(0, zstd.size() - 3)));
  zstd[8] = static_cast<char>(~zstd[8]);
  ExpectError(ErrorCode::kCorrupt, "d.zst", Write("d.zst", zstd));
}

TEST_F(Readers, ForeignFilesAreRefusedWithACure) {
  ExpectError(ErrorCode::kUnsupported, "Parquet", Write("a.parquet", "PAR1...."));
  ExpectError(ErrorCode::kUnsupported, "Arrow", Write("a.arrow", "ARROW1.."));
  ExpectError(ErrorCode::kUnsupported, "UTF-8",
              Write("a.txt",
                    "\xff\xfe"
                    "a"));
  ExpectError(ErrorCode::kUnsupported, "binary", Write("a.bin", std::string("a\0b", 3)));
  ExpectError(ErrorCode::kNotFound, "none.txt", folder_ / "none.txt");
}

TEST_F(Readers, FoldersAreReadInOrderOfPaths) {
  Write("f/b.txt", "b");
  Write("f/a/z.txt", "z");
  Write("f/README.md", "no");
  Write("f/.hidden/x.txt", "no");
  Write("f/.x.txt", "no");
  EXPECT_EQ(FindCalibrationFiles((folder_ / "f").string(), {}),
            (std::vector<fs::path>{folder_ / "f/a/z.txt", folder_ / "f/b.txt"}));
  fs::create_directories(folder_ / "empty");
  EXPECT_THROW(FindCalibrationFiles((folder_ / "empty").string(), {}), Error);
}

TEST_F(Readers, HubNamesResolveToLocalCopies) {
  Write("hub/datasets--org--set/refs/main", "abc\n");
  Write("hub/datasets--org--set/snapshots/abc/train.jsonl", "{\"text\":\"a\"}");
  Write("hub/datasets--org--set/snapshots/old/train.jsonl", "{\"text\":\"b\"}");
  EXPECT_EQ(FindCalibrationFiles("org/set", {folder_ / "none", folder_ / "hub"}),
            std::vector<fs::path>{folder_ / "hub/datasets--org--set/snapshots/abc/train.jsonl"});
  try {
    FindCalibrationFiles("org/other", {folder_ / "hub"});
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kNotFound);
    EXPECT_NE(std::string(e.what()).find("datasets--org--other"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("not downloaded"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace awq
