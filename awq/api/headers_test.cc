// The examples in the public headers compile as they stand, and versions look like versions.
#include <gtest/gtest.h>

#include <iostream>
#include <regex>

#include "awq/api/evaluate.h"
#include "awq/api/inspect.h"
#include "awq/api/llm.h"
#include "awq/api/quantize.h"
#include "awq/api/verify.h"
#include "awq/api/version.h"

namespace {

// llm.h
[[maybe_unused]] void LlmExample() {
  awq::Llm llm = awq::Llm::Load("models/demo");
  llm.Generate("The history of", {}, {.on_text = [](std::string_view text) { std::cout << text; }});
}

TEST(Headers, Version) {
  EXPECT_TRUE(std::regex_match(std::string(awq::Version()), std::regex(R"(\d+\.\d+\.\d+)")));
  EXPECT_TRUE(std::regex_match(std::string(awq::BuildId()), std::regex("[0-9a-f]{12}")));
}

}  // namespace
