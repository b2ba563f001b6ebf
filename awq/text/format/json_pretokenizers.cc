#include <array>

#include "awq/text/format/json_component.h"
#include "awq/text/format/json_parts.h"
#include "awq/text/pretokenizer/pretokenizers.h"

namespace awq {
namespace {

using Made = std::unique_ptr<const PreTokenizer>;

// An entry of a table {{name, value}, …}.
template <typename Table>
auto Choose(const Table& table, const Json& json) {
  const std::string found = json.AsString();
  std::string names;
  for (const auto& [name, value] : table) {
    if (name == found) return value;
    names += (names.empty() ? "" : ", ");
    names += name;
  }
  Fail(ErrorCode::kCorrupt, json.Where(), ": expected one of ", names, "; found \"", found, "\"");
}

SplitBehavior ReadBehavior(const Json& json) {
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors = {
      {{"Removed", SplitBehavior::kRemoved},
       {"Isolated", SplitBehavior::kIsolated},
       {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
       {"MergedWithNext", SplitBehavior::kMergedWithNext},
       {"Contiguous", SplitBehavior::kContiguous}}};
  return Choose(kBehaviors, json);
}

Made ReadSplit(const Json& o) {
  return MakeSplit(ReadPattern(o.At("pattern")).regex, ReadBehavior(o.At("behavior")),
                   o.Bool("invert", false));
}

Made ReadByteLevel(const Json& o) {
  return MakeByteLevel(o.Bool("add_prefix_space", true), o.Bool("use_regex", true));
}

Made ReadMetaspace(const Json& o) {
  constexpr std::array<std::pair<std::string_view, PrependScheme>, 3> kSchemes = {
      {{"first", PrependScheme::kFirst},
       {"never", PrependScheme::kNever},
       {"always", PrependScheme::kAlways}}};
  auto scheme = PrependScheme::kAlways;
  if (o.Has("prepend_scheme")) scheme = Choose(kSchemes, o.At("prepend_scheme"));
  // How files said it before there was a scheme.
  if (!o.Bool("add_prefix_space", true)) scheme = PrependScheme::kNever;
  return MakeMetaspace(ReadCharacter(o.At("replacement")), scheme, o.Bool("split", true));
}

Made ReadPunctuation(const Json& o) {
  return MakePunctuation(o.Has("behavior") ? ReadBehavior(o.At("behavior"))
                                           : SplitBehavior::kIsolated);
}

Made ReadFixedLength(const Json& o) {
  const int64_t length = o.Int("length", 5);
  AWQ_CHECK(length > 0, kCorrupt, o.Where(), ": expected a positive length, found ", length);
  return MakeFixedLength(static_cast<size_t>(length));
}

constexpr std::array<std::pair<std::string_view, Made (*)(const Json&)>, 11> kPreTokenizers = {{
    {"Split", ReadSplit},
    {"ByteLevel", ReadByteLevel},
    {"Metaspace", ReadMetaspace},
    {"Whitespace", [](const Json&) { return MakeWhitespace(); }},
    {"WhitespaceSplit", [](const Json&) { return MakeWhitespaceSplit(); }},
    {"Digits", [](const Json& o) { return MakeDigits(o.Bool("individual_digits", false)); }},
    {"Punctuation", ReadPunctuation},
    {"BertPreTokenizer", [](const Json&) { return MakeBertPreTokenizer(); }},
    {"CharDelimiterSplit",
     [](const Json& o) { return MakeCharDelimiterSplit(ReadCharacter(o.At("delimiter"))); }},
    {"UnicodeScripts", [](const Json&) { return MakeUnicodeScripts(); }},
    {"FixedLength", ReadFixedLength},
}};

}  // namespace

PreTokenizerList ReadPreTokenizers(const std::optional<Json>& component) {
  PreTokenizerList out;
  if (!component) return out;
  ForEachComponent(*component, "pretokenizers",
                   [&](const Json& o) { out.push_back(MakeComponent(kPreTokenizers, o)); });
  return out;
}

}  // namespace awq
