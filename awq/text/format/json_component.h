// Helpers of the readers of tokenizer.json's components.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "awq/base/error.h"
#include "awq/base/json.h"
#include "awq/text/regex.h"
#include "awq/text/utf8.h"

namespace awq {

// Calls each(component), or that for every member of a Sequence, which lists them under `list`.
template <typename Each>
void ForEachComponent(const Json& component, std::string_view list, const Each& each,
                      int depth = 0) {
  constexpr int kDeepest = 16;
  AWQ_CHECK(depth < kDeepest, kCorrupt, component.Where(), ": Sequences nested too deep");
  if (component.String("type") != "Sequence") {
    each(component);
    return;
  }
  for (const Json& member : component.At(list).AsArray()) {
    ForEachComponent(member, list, each, depth + 1);
  }
}

// What call() returns; its errors, which know nothing of JSON, get the file and path in front.
template <typename Call>
auto AtPath(const Json& json, const Call& call) {
  try {
    return call();
  } catch (const Error& e) {
    Fail(e.code(), json.Where(), ": ", e.what());
  }
}

// {"String": …} or {"Regex": …}. The regex of a literal text that is not empty need not be used.
struct JsonPattern {
  std::string literal;
  Regex regex;
};
inline JsonPattern ReadPattern(const Json& pattern) {
  if (pattern.Has("Regex")) {
    return {"", AtPath(pattern, [&] { return Regex(pattern.String("Regex")); })};
  }
  std::string literal = pattern.String("String");
  Regex regex = AtPath(pattern, [&] { return Regex(EscapeRegex(literal)); });
  return {std::move(literal), std::move(regex)};
}

// A string of one character.
inline char32_t ReadCharacter(const Json& json) {
  const std::string text = json.AsString();
  const Utf8Char c = text.empty() ? Utf8Char() : DecodeUtf8(text);
  AWQ_CHECK(c.valid && c.length == text.size(), kCorrupt, json.Where(),
            ": expected one character, found \"", text, "\"");
  return c.code;
}

// Calls the entry of a table {{name, function}, …} that the component's type names.
template <typename Table>
auto MakeComponent(const Table& table, const Json& component) {
  const std::string type = component.String("type");
  std::string names;
  for (const auto& [name, make] : table) {
    if (name == type) return make(component);
    names += (names.empty() ? "" : ", ");
    names += name;
  }
  Fail(ErrorCode::kUnsupported, component.Where(), ": type \"", type, "\"; supported: ", names,
       ", Sequence");
}

}  // namespace awq
