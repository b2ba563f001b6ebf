#include "awq/quant/calibration.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "awq/base/error.h"

namespace awq {
namespace {

// One id a byte; 256 stands in front of every text.
class ByteTokenizer : public Tokenizer {
 public:
  std::vector<TokenId> Encode(std::string_view text, bool special) const override {
    std::vector<TokenId> ids;
    if (special) ids.push_back(256);
    for (char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  std::unique_ptr<TokenStream> StartDecoding(bool) const override { return nullptr; }
  int64_t VocabSize() const override { return 257; }
  std::string Piece(TokenId) const override { return {}; }
  std::optional<TokenId> Find(std::string_view) const override { return std::nullopt; }
  bool IsSpecial(TokenId id) const override { return id == 256; }
};

class Calibration : public ::testing::Test {
 protected:
  std::string Write(const std::string& content) {
    std::ofstream(path_) << content;
    return path_.string();
  }
  std::vector<TokenBlock> Load(const CalibrationOptions& options) {
    return LoadCalibration(options, ByteTokenizer(), 257,
                           [&](const std::string& w) { warnings_.push_back(w); });
  }
  ErrorCode Code(const CalibrationOptions& options) {
    try {
      Load(options);
    } catch (const Error& e) {
      message_ = e.what();
      return e.code();
    }
    ADD_FAILURE() << "no error";
    return ErrorCode::kInternal;
  }
  ~Calibration() override { std::filesystem::remove(path_); }

  const std::filesystem::path path_ =
      std::filesystem::path(::testing::TempDir()) /
      ::testing::UnitTest::GetInstance()->current_test_info()->name();
  std::vector<std::string> warnings_;
  std::string message_;
};

TEST_F(Calibration, BuiltinGivesTheBlocksAskedFor) {
  const auto blocks = Load({.max_samples = 64, .max_seq_len = 256});
  ASSERT_EQ(blocks.size(), 64u);
  for (const TokenBlock& b : blocks) {
    EXPECT_EQ(b.size(), 256u);
    EXPECT_EQ(b.front(), 256);
    EXPECT_EQ(std::count(b.begin(), b.end(), 256), 1);
  }
  EXPECT_TRUE(warnings_.empty());
  EXPECT_EQ(blocks, Load({.max_samples = 64, .max_seq_len = 256}));
  EXPECT_NE(blocks, Load({.max_samples = 64, .max_seq_len = 256, .seed = 1}));
}

TEST_F(Calibration, PlainTextIsCut) {
  const auto blocks = Load({.source = Write("abcdefgh"), .max_samples = 2, .max_seq_len = 4});
  EXPECT_EQ(blocks, (std::vector<TokenBlock>{{256, 'a', 'b', 'c'}, {256, 'd', 'e', 'f'}}));
}

TEST_F(Calibration, ShortTextIsOneBlockAndAWarning) {
  const auto blocks = Load({.source = Write("ab"), .max_samples = 2, .max_seq_len = 16});
  EXPECT_EQ(blocks, (std::vector<TokenBlock>{{256, 'a', 'b'}}));
  EXPECT_EQ(warnings_.size(), 1u);
}

TEST_F(Calibration, TokenRecordsAreBlocks) {
  const std::string file =
      Write("{\"tokens\":[1,2,3]}\n\n{\"tokens\":[4,5,6,7,8]}\n{\"tokens\":[9]}\n");
  const auto blocks = Load({.source = file, .max_samples = 2, .max_seq_len = 4});
  EXPECT_EQ(blocks, (std::vector<TokenBlock>{{1, 2, 3}, {4, 5, 6, 7}}));
}

TEST_F(Calibration, AutoAwqRules) {
  // The second text is too long with its special token, the third is stripped.
  const std::string file = Write(
      "{\"text\":\"ab\"}\n{\"text\":\"cdefg\"}\n{\"text\":\"  hi \"}\n{\"text\":\"never\"}\n");
  const auto blocks =
      Load({.source = file, .max_samples = 2, .max_seq_len = 5, .autoawq_rules = true});
  EXPECT_EQ(blocks, (std::vector<TokenBlock>{{256, 'a', 'b', 256, 'h'}}));
}

TEST_F(Calibration, BadInputIsNamed) {
  EXPECT_EQ(Code({.source = "/no/such/file"}), ErrorCode::kNotFound);
  EXPECT_EQ(Code({.source = Write("{\"text\":\"a\"}\n{\"text\":")}), ErrorCode::kCorrupt);
  EXPECT_NE(message_.find("line 2"), std::string::npos) << message_;
  EXPECT_EQ(Code({.source = Write("{\"tokens\":[1,257]}")}), ErrorCode::kCorrupt);
  EXPECT_NE(message_.find("257"), std::string::npos) << message_;
  EXPECT_EQ(Code({.source = Write("{\"body\":\"a\"}")}), ErrorCode::kCorrupt);
  EXPECT_EQ(Code({.source = Write("")}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Code({.source = Write("abc"), .max_samples = 0}), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace awq
