// Ids and text against Hugging Face tokenizers: testdata/text/tokenizers, made by
// tools/make_text_goldens.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "awq/base/error.h"
#include "awq/base/file.h"
#include "awq/base/json.h"
#include "awq/text/tokenizer.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

namespace fs = std::filesystem;
const fs::path kFolder = fs::path(AWQ_TESTDATA) / "text" / "tokenizers";

std::vector<TokenId> Ids(const Json& list) {
  std::vector<TokenId> out;
  for (const Json& id : list.AsArray()) out.push_back(static_cast<TokenId>(id.AsInt()));
  return out;
}

// Nothing where the libraries differ by design.
std::optional<std::string> Expected(const Json& c, const char* key,
                                    std::optional<std::string> otherwise) {
  if (!c.raw().contains(key)) return otherwise;
  if (!c.Has(key)) return std::nullopt;
  return c.String(key);
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& e : fs::directory_iterator(kFolder)) names.push_back(e.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

// A sequence of replacements that each double the number of a's.
std::string Doublings(const std::string& list) {
  RawJson out = {{"type", "Sequence"}, {list, RawJson::array()}};
  for (int i = 0; i < 40; ++i) {
    out[list].push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}});
  }
  return out.dump();
}

class Golden : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<const Tokenizer> tokenizer_ = Tokenizer::Load(kFolder / GetParam());
  std::vector<Json> cases_ = Json::Load(kFolder / GetParam() / "golden.json").AsArray();
};

TEST_P(Golden, EncodesAndDecodes) {
  ASSERT_GT(cases_.size(), 80u);
  for (const Json& c : cases_) {
    const std::string text = c.String("text");
    const std::vector<TokenId> ids = Ids(c.At("ids"));
    const auto decoded = Expected(c, "decoded", text);
    SCOPED_TRACE(text);
    EXPECT_EQ(tokenizer_->Encode(text, true), ids);
    EXPECT_EQ(tokenizer_->Encode(text, false), c.Has("plain") ? Ids(c.At("plain")) : ids);
    if (decoded) {
      EXPECT_EQ(tokenizer_->Decode(ids, false), *decoded);
    }
    const auto skipped = Expected(c, "skipped", decoded);
    if (skipped) {
      EXPECT_EQ(tokenizer_->Decode(ids, true), *skipped);
    }
  }
}

TEST_P(Golden, StreamsWholeCharacters) {
  for (const Json& c : cases_) {
    const std::vector<TokenId> ids = Ids(c.At("ids"));
    const auto stream = tokenizer_->StartDecoding(false);
    std::string text;
    for (TokenId id : ids) {
      const std::string part = stream->Push(id);
      EXPECT_TRUE(IsValidUtf8(part));
      text += part;
    }
    EXPECT_EQ(text + stream->Finish(), tokenizer_->Decode(ids, false));
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, Golden, ::testing::ValuesIn(Names()),
                         [](const auto& info) { return info.param; });

TEST(Tokenizer, VocabularyLookup) {
  const auto t = Tokenizer::Load(kFolder / "llama3");
  const TokenId bos = t->Find("<|bos|>").value();
  EXPECT_EQ(t->Piece(bos), "<|bos|>");
  EXPECT_TRUE(t->IsSpecial(bos));
  EXPECT_FALSE(t->IsSpecial(t->Find("a").value()));
  EXPECT_EQ(t->Find("no such piece"), std::nullopt);
  EXPECT_EQ(t->Piece(-1), "");
  EXPECT_EQ(t->Piece(static_cast<TokenId>(t->VocabSize())), "");
  EXPECT_EQ(t->Decode({-5, 1 << 30}, false), "");
}

TEST(Tokenizer, InvalidUtf8IsReplaced) {
  const auto t = Tokenizer::Load(kFolder / "gpt2");
  EXPECT_EQ(t->Encode("a\xff\xf0\x9f\x98z", false), t->Encode("a\xEF\xBF\xBD\xEF\xBF\xBDz", false));
  const auto stream = t->StartDecoding(false);
  const auto smile = t->Encode("\xF0\x9F\x98\x80", false);
  ASSERT_GT(smile.size(), 1u);
  EXPECT_EQ(stream->Push(smile[0]), "");
  EXPECT_EQ(stream->Finish(), "\xEF\xBF\xBD");
}

TEST(Tokenizer, OptionalPartsMayBeAbsent) {
  RawJson file = RawJson::parse(ReadFile(kFolder / "gpt2" / "tokenizer.json"));
  for (const char* part : {"normalizer", "added_tokens", "post_processor"}) {
    file.erase(part);
  }
  const auto tokenizer = Tokenizer::FromJson(file.dump(), "tokenizer.json");
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("plain text", true), false), "plain text");
  // Without a decoder there is a space between tokens; without a pre-tokenizer one long piece.
  file.erase("decoder");
  file.erase("pre_tokenizer");
  const auto bare = Tokenizer::FromJson(file.dump(), "tokenizer.json");
  EXPECT_EQ(bare->Decode(bare->Encode("xyz", true), false), "x y z");
}

// What differential fuzzing has found; ids of tokenizers 0.22.1 and sentencepiece 0.2.1.
TEST(Tokenizer, HardTexts) {
  const auto qwen2 = Tokenizer::Load(kFolder / "qwen2");
  EXPECT_EQ(qwen2->Encode("\uB744\u11A7", true),
            (std::vector<TokenId>{167, 251, 226, 157, 228, 100}));
  const auto unigram = Tokenizer::Load(kFolder / "spm_unigram");
  EXPECT_EQ(unigram->Encode("toolst", true), (std::vector<TokenId>{8, 7, 11, 2}));
  const auto suffix = Tokenizer::Load(kFolder / "spm_bpe_suffix");
  EXPECT_EQ(suffix->Decode(std::vector<TokenId>{8, 92}, true), " 0 ");
}

TEST(Tokenizer, ATextGrowsNoFurtherThanABound) {
  const std::string good = ReadFile(kFolder / "llama3" / "tokenizer.json");
  RawJson file = RawJson::parse(good);
  file["normalizer"] = RawJson::parse(Doublings("normalizers"));
  const auto tokenizer = Tokenizer::FromJson(file.dump(), "tokenizer.json");
  EXPECT_FALSE(tokenizer->Encode("bcd", false).empty());
  try {
    tokenizer->Encode("bad", false);
    ADD_FAILURE() << "was encoded";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kUnsupported) << e.what();
    EXPECT_NE(std::string(e.what()).find("normalizer"), std::string::npos) << e.what();
  }
}

// Each change of a good file is refused with the code and a message that names the component.
TEST(Tokenizer, RefusesWhatItCannotDo) {
  struct Bad {
    std::string path, value;
    ErrorCode code;
    std::string mention;
  };
  const std::string good = ReadFile(kFolder / "gpt2" / "tokenizer.json");
  const Bad all[] = {
      {"/model/type", "\"Neural\"", ErrorCode::kUnsupported, "Neural"},
      {"/model/type", "\"Unigram\"", ErrorCode::kCorrupt, "model.vocab: "},
      {"/model/vocab/a", "-1", ErrorCode::kCorrupt, "token id"},
      {"/model/vocab/a", "1.5", ErrorCode::kCorrupt, "\"a\": expected a token id"},
      {"/model/merges", "7", ErrorCode::kCorrupt, "model.merges: "},
      {"/model/merges/1", "\"a\"", ErrorCode::kCorrupt, "model.merges: entry 1: "},
      {"/model/dropout", "0.1", ErrorCode::kUnsupported, "dropout"},
      {"/model/merges/0", "[\"zzz\",\"q\"]", ErrorCode::kCorrupt, "zzz"},
      {"/model/vocab", "3", ErrorCode::kCorrupt, "vocab"},
      {"/normalizer", R"({"type":"Upper"})", ErrorCode::kUnsupported, "normalizer: type \"Upper\""},
      {"/normalizer", R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"X"}]})",
       ErrorCode::kUnsupported, "normalizer.normalizers[1]: type \"X\""},
      {"/normalizer", R"({"type":"Precompiled","precompiled_charsmap":"AAAA"})",
       ErrorCode::kCorrupt, "normalizer.precompiled_charsmap: "},
      {"/pre_tokenizer", R"({"type":"Metaspace","replacement":"ab"})", ErrorCode::kCorrupt,
       "pre_tokenizer.replacement: expected one character"},
      {"/pre_tokenizer",
       R"({"type":"Split","pattern":{"Regex":"(["},"behavior":"Isolated","invert":false})",
       ErrorCode::kCorrupt, "(["},
      {"/post_processor", "{\"type\":\"Magic\"}", ErrorCode::kUnsupported, "Magic"},
      {"/decoder", "{\"type\":\"Poem\"}", ErrorCode::kUnsupported, "Poem"},
      {"/decoder", Doublings("decoders"), ErrorCode::kUnsupported, "decoders[12]: replacements"},
      {"/added_tokens/0/id", "\"x\"", ErrorCode::kCorrupt, "added_tokens[0].id: "},
      {"/added_tokens/0/id", "-3", ErrorCode::kCorrupt, "token id"},
      {"/added_tokens/0/id", "2000000000", ErrorCode::kCorrupt, "token id"},
  };
  for (const Bad& bad : all) {
    RawJson file = RawJson::parse(good);
    file[RawJson::json_pointer(bad.path)] = RawJson::parse(bad.value);
    SCOPED_TRACE(bad.path + " = " + bad.value);
    try {
      Tokenizer::FromJson(file.dump(), "tokenizer.json");
      ADD_FAILURE() << "was accepted";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), bad.code) << e.what();
      EXPECT_NE(std::string(e.what()).find(bad.mention), std::string::npos) << e.what();
      EXPECT_TRUE(std::string(e.what()).starts_with("tokenizer.json: ")) << e.what();
    }
  }
  for (size_t cut : {size_t{0}, size_t{1}, good.size() / 2, good.size() - 2}) {
    EXPECT_THROW(Tokenizer::FromJson(good.substr(0, cut), "tokenizer.json"), Error);
  }
}

}  // namespace
}  // namespace awq
