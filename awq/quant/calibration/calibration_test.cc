#include "awq/quant/calibration/calibration.h"

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
    const ByteTokenizer tokenizer;
    return LoadCalibration(options, &tokenizer, 257,
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

TEST_F(Calibration, TokenListsAreBlocksBehindBos) {
  // Too short, with BOS already, cut in two with a rest that is dropped.
  const std::string file =
      Write("{\"tokens\":[1,2,3]}\n\n{\"tokens\":[256,4,5,6]}\n[1,2,3,4,5,6,7]\n[9]\n");
  EXPECT_EQ(
      Load({.source = file, .max_samples = 4, .max_seq_len = 4}),
      (std::vector<TokenBlock>{{256, 1, 2, 3}, {256, 4, 5, 6}, {256, 1, 2, 3}, {256, 4, 5, 6}}));
  EXPECT_TRUE(warnings_.empty());
  EXPECT_EQ(Load({.source = file, .max_samples = 2, .max_seq_len = 4, .bos = false}),
            (std::vector<TokenBlock>{{1, 2, 3}, {256, 4, 5, 6}}));
  EXPECT_EQ(warnings_.size(), 1u);  // eight tokens were asked for
}

TEST_F(Calibration, BosIsNeverDoubled) {
  const auto blocks =
      Load({.source = Write("{\"text\":\"\"}\n{\"tokens\":[256]}\n"), .max_seq_len = 4});
  EXPECT_EQ(blocks, (std::vector<TokenBlock>{{256}}));
}

TEST_F(Calibration, ConversationsNeedATemplate) {
  const std::string file = Write(R"({"messages":[{"role":"user","content":"hi"}]})");
  EXPECT_EQ(Code({.source = file}), ErrorCode::kInvalidArgument);
  EXPECT_NE(message_.find(":1: \"messages\" need a chat template"), std::string::npos) << message_;
  const std::filesystem::path model = path_.string() + "_model";
  std::filesystem::create_directories(model);
  std::ofstream(model / "chat_template.jinja")
      << "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
  EXPECT_EQ(Load({.source = file, .max_seq_len = 16, .model = model}),
            (std::vector<TokenBlock>{{256, '<', 'u', 's', 'e', 'r', '>', 'h', 'i'}}));
  std::filesystem::remove_all(model);
}

TEST_F(Calibration, OnlyTheHeadOfALongSourceIsRead) {
  // Behind more text than the head holds lies a line that is no JSON.
  std::string text;
  const std::string line = "{\"text\":\"" + std::string(1 << 20, 'x') + "\"}\n";
  for (int i = 0; i < 64; ++i) text += line;
  const auto blocks = Load({.source = Write(text + "no JSON\n"), .max_samples = 4});
  EXPECT_EQ(blocks.size(), 4u);
  EXPECT_EQ(Code({.source = Write("{\"text\":\"x\"}\nno JSON\n")}), ErrorCode::kCorrupt);
}

TEST_F(Calibration, AutoAwqRules) {
  // The second text is too long with its special token, the third is stripped.
  const std::string file = Write(
      "{\"text\":\"ab\"}\n{\"text\":\"cdefg\"}\n{\"text\":\"  hi \"}\n{\"text\":\"never\"}\n");
  const auto blocks =
      Load({.source = file, .max_samples = 2, .max_seq_len = 5, .autoawq_rules = true});
  EXPECT_EQ(blocks, (std::vector<TokenBlock>{{256, 'a', 'b', 256, 'h'}}));
}

TEST_F(Calibration, AutoAwqTakesLinesOfPlainText) {
  const auto blocks = Load({.source = Write("\u3000ab\u00a0\n\ntoo long a line\ncd\n"),
                            .max_samples = 8,
                            .max_seq_len = 3,
                            .autoawq_rules = true});
  EXPECT_EQ(blocks, (std::vector<TokenBlock>{{256, 'a', 'b'}, {256, 256, 'c'}}));
}

TEST_F(Calibration, BadInputIsNamed) {
  EXPECT_EQ(Code({.source = "/no/such/file"}), ErrorCode::kNotFound);
  EXPECT_EQ(Code({.source = Write("{\"text\":\"a\"}\n{\"text\":")}), ErrorCode::kCorrupt);
  EXPECT_NE(message_.find(":2: bad JSON"), std::string::npos) << message_;
  EXPECT_EQ(Code({.source = Write("{\"tokens\":[1,257]}")}), ErrorCode::kCorrupt);
  EXPECT_NE(message_.find("257"), std::string::npos) << message_;
  EXPECT_EQ(Code({.source = Write("{\"body\":\"a\"}")}), ErrorCode::kCorrupt);
  EXPECT_EQ(Code({.source = Write("")}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Code({.source = Write("[1]\n\"a\"\n")}), ErrorCode::kCorrupt);
  EXPECT_EQ(Code({.source = Write("abc"), .max_samples = 0}), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace awq
