// TextStream: what is shown never contains, or ends in the beginning of, a stop string.
#include "awq/runtime/text_stream.h"

#include <gtest/gtest.h>

#include "awq/base/error.h"
#include "awq/runtime/byte_tokenizer.h"

namespace awq {
namespace {

struct Result {
  std::string text;
  bool stopped;
  std::vector<std::string> pieces;
};

Result Feed(const std::string& bytes, std::vector<std::string> stop) {
  const testing::ByteTokenizer tokenizer;
  TextStream stream(tokenizer, std::move(stop));
  Result result{};
  for (char c : bytes) {
    result.pieces.push_back(stream.Push(static_cast<unsigned char>(c)));
    result.text += result.pieces.back();
  }
  result.text += stream.Finish();
  result.stopped = stream.stopped();
  return result;
}

TEST(TextStream, WithoutStopStringsEverythingComesAtOnce) {
  const Result r = Feed("abc", {});
  EXPECT_EQ(r.pieces, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_FALSE(r.stopped);
}

TEST(TextStream, StopsBeforeTheStopString) {
  const Result r = Feed("one END two", {"END"});
  EXPECT_EQ(r.text, "one ");
  EXPECT_TRUE(r.stopped);
}

TEST(TextStream, HoldsBackWhatMayBecomeAStopString) {
  const Result r = Feed("xENEND", {"END"});
  EXPECT_EQ(r.pieces, (std::vector<std::string>{"x", "", "", "EN", "", ""}));
  EXPECT_TRUE(r.stopped);
}

TEST(TextStream, GivesBackWhatDidNot) {
  EXPECT_EQ(Feed("xEN", {"END"}).text, "xEN");
  EXPECT_FALSE(Feed("xEN", {"END"}).stopped);
  EXPECT_EQ(Feed("aab", {"aac"}).text, "aab");
  EXPECT_EQ(Feed("aaaac!", {"aac"}).text, "aa");
}

TEST(TextStream, TheEarliestOfSeveralWins) {
  EXPECT_EQ(Feed("a\n\nb###", {"###", "\n\n"}).text, "a");
  EXPECT_EQ(Feed("abcd", {"bcd", "abc"}).text, "");
}

TEST(TextStream, CharactersStayWhole) {
  const Result r = Feed("a\xe2\x82\xac!", {});
  EXPECT_EQ(r.pieces, (std::vector<std::string>{"a", "", "", "\xe2\x82\xac", "!"}));
  EXPECT_EQ(Feed("a\xe2\x82\xac.", {"\xe2\x82\xac"}).text, "a");
}

TEST(TextStream, EmptyStopStringsAreRefused) {
  const testing::ByteTokenizer tokenizer;
  EXPECT_THROW(TextStream(tokenizer, {"x", ""}), Error);
}

// Every text over {a, b} of seven letters, against the plain definition.
TEST(TextStream, ExhaustivelyEqualsSearchInTheWholeText) {
  for (int bits = 0; bits < 128; ++bits) {
    std::string text;
    for (int i = 0; i < 7; ++i) text += (bits >> i & 1) != 0 ? 'a' : 'b';
    for (const std::string stop : {"ab", "aa", "aba", "bbb", "abab"}) {
      const Result r = Feed(text, {stop});
      EXPECT_EQ(r.text, text.substr(0, text.find(stop)));
      EXPECT_EQ(r.stopped, text.find(stop) != std::string::npos);
    }
  }
}

}  // namespace
}  // namespace awq
