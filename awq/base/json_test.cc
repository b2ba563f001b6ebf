#include "awq/base/json.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "awq/base/file.h"
#include "awq/base/testing.h"

namespace awq {
namespace {

Json Parse(const std::string& text) { return Json::Parse(text, "c.json"); }

TEST(Json, TypedGetters) {
  const Json j = Parse(R"({"i": -3, "f": 2.5, "whole": 1e3, "b": true, "s": "x", "n": null,
                           "a": [1, [2]], "o": {"p": {"q": 7}}})");
  EXPECT_EQ(j.Int("i"), -3);
  EXPECT_EQ(j.Int("whole"), 1000);  // some writers store integers as floats
  EXPECT_EQ(j.Double("f"), 2.5);
  EXPECT_EQ(j.Double("i"), -3.0);
  EXPECT_TRUE(j.Bool("b"));
  EXPECT_EQ(j.String("s"), "x");
  EXPECT_EQ(j.At("o").At("p").Int("q"), 7);
  EXPECT_EQ(j.At("a").AsArray()[1].AsArray()[0].AsInt(), 2);
  EXPECT_EQ(j.At("a").AsArray().size(), 2u);
}

TEST(Json, AbsentAndNullMeanTheSameToFallbacks) {
  const Json j = Parse(R"({"n": null, "i": 1})");
  EXPECT_FALSE(j.Has("n"));
  EXPECT_FALSE(j.Has("absent"));
  EXPECT_TRUE(j.Has("i"));
  EXPECT_FALSE(j.Find("n").has_value());
  EXPECT_EQ(j.Find("i")->AsInt(), 1);
  EXPECT_EQ(j.Int("n", 5), 5);
  EXPECT_EQ(j.Int("i", 5), 1);
  EXPECT_EQ(j.Double("absent", 0.5), 0.5);
  EXPECT_TRUE(j.Bool("absent", true));
  EXPECT_EQ(j.String("absent", "d"), "d");
  EXPECT_FALSE(Parse("[1]").Has("x"));
}

TEST(Json, ErrorsNameFilePathExpectedAndFound) {
  const Json j = Parse(R"({"o": {"a": [1, "two"]}, "big": 18446744073709551615, "half": 0.5})");
  const auto corrupt = [](std::string_view part, const auto& body) {
    ExpectError(ErrorCode::kCorrupt, {part}, body);
  };
  corrupt("c.json: o.a[1]: expected an integer, found \"two\"",
          [&] { (void)j.At("o").At("a").AsArray()[1].AsInt(); });
  corrupt("c.json: o: missing key \"b\"", [&] { (void)j.At("o").At("b"); });
  corrupt("c.json: missing key \"b\"", [&] { (void)j.At("b"); });
  corrupt("c.json: o.a: expected an object", [&] { (void)j.At("o").At("a").At("x"); });
  corrupt("c.json: big: expected an integer below 2^63", [&] { (void)j.Int("big"); });
  corrupt("c.json: half: expected an integer, found 0.5", [&] { (void)j.Int("half"); });
  corrupt("expected true or false, found 0.5", [&] { (void)j.Bool("half"); });
  corrupt("expected a string, found 0.5", [&] { (void)j.String("half"); });
  corrupt("expected a number", [&] { (void)j.Double("o"); });
  corrupt("expected an array", [&] { (void)j.At("o").AsArray(); });
  corrupt("expected an integer", [&] { (void)j.Int("o", 3); });  // a fallback is no excuse
  EXPECT_EQ(j.At("o").At("a").Where(), "c.json: o.a");
  EXPECT_EQ(j.Where(), "c.json");
}

TEST(Json, LongValuesAreCutInMessages) {
  const Json j = Parse("{\"s\": \"" + std::string(1000, 'x') + "\"}");
  try {
    (void)j.Int("s");
    FAIL();
  } catch (const Error& e) {
    EXPECT_LT(std::string(e.what()).size(), 150u);
  }
}

TEST(Json, NumbersBeyondDoubleAreErrors) {
  ExpectError(ErrorCode::kCorrupt,
              {"c.json: a number beyond the range of double at line 2, column 7"},
              [] { (void)Parse("{\"1e999\": 1,\n \"b\": -1e999}"); });
  for (const char* text : {"1e999", "[1, -1e400]", "{\"a\\\"9e999\": 1E+999}"}) {
    ExpectError(ErrorCode::kCorrupt, {"c.json: a number beyond"}, [&] { (void)Parse(text); });
  }
  EXPECT_EQ(Parse("[1e-999]").AsArray()[0].AsDouble(), 0.0);
}

TEST(Json, SyntaxErrorsNameLineAndColumn) {
  ExpectError(ErrorCode::kCorrupt, {"c.json: bad JSON at line 2, column 8"},
              [] { (void)Parse("{\"a\": 1,\n \"b\" : x}"); });
  for (const char* text : {"", "{", "[1,]", "{\"a\":}", "nul", "\"\\x\"", "\"\xff\"", "1 2"}) {
    ExpectError(ErrorCode::kCorrupt, {"c.json: bad JSON at line 1"}, [&] { (void)Parse(text); });
  }
}

TEST(Json, HostileDepthIsRefused) {
  (void)Parse(std::string(200, '[') + std::string(200, ']'));
  for (const size_t depth : {size_t{300}, size_t{1'000'000}}) {
    ExpectError(ErrorCode::kCorrupt, {"c.json", "deeper"},
                [&] { (void)Parse(std::string(depth, '[')); });
  }
}

TEST(Json, ValuesKeepTheDocumentAlive) {
  std::optional<Json> inner;
  {
    const Json j = Parse(R"({"a": {"b": "kept"}})");
    inner = j.At("a");
  }
  EXPECT_EQ(inner->String("b"), "kept");
}

TEST(Json, KeepsTheOrderOfKeys) {
  EXPECT_EQ(Parse(R"({"z":1,"a":2})").raw().dump(), R"({"z":1,"a":2})");
}

TEST(Json, LoadsFiles) {
  const auto file = std::filesystem::path(testing::TempDir()) / Cat("json-", ::getpid(), ".json");
  WriteFileAtomically(file, R"({"a": 1})");
  EXPECT_EQ(Json::Load(file).Int("a"), 1);
  ExpectError(ErrorCode::kCorrupt, {file.string(), "missing key"},
              [&] { (void)Json::Load(file).Int("b"); });
  std::filesystem::remove(file);
  ExpectError(ErrorCode::kNotFound, {file.string()}, [&] { (void)Json::Load(file); });
}

}  // namespace
}  // namespace awq
