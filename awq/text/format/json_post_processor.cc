#include <array>

#include "awq/text/format/json_component.h"
#include "awq/text/format/json_parts.h"

namespace awq {
namespace {

using Items = std::vector<TemplateItem>;

TokenId ReadId(const Json& json) {
  const int64_t id = json.AsInt();
  AWQ_CHECK(id >= 0 && id <= Vocabulary::kMaxId, kCorrupt, json.Where(),
            ": expected a token id, found ", id);
  return static_cast<TokenId>(id);
}

// ["</s>", 2]
TokenId ReadPair(const Json& json) {
  const std::vector<Json> pair = json.AsArray();
  AWQ_CHECK(pair.size() == 2, kCorrupt, json.Where(), ": expected [token, id]");
  return ReadId(pair[1]);
}

Items ReadTemplate(const Json& o) {
  const Json special = o.At("special_tokens");
  Items items;
  for (const Json& item : o.At("single").AsArray()) {
    if (item.Has("Sequence")) {
      const std::string name = item.At("Sequence").String("id", "A");
      AWQ_CHECK(name == "A", kCorrupt, item.Where(), ": the template of one text names text \"",
                name, "\"");
      items.push_back(std::nullopt);
      continue;
    }
    const std::string name = item.At("SpecialToken").String("id");
    for (const Json& id : special.At(name).At("ids").AsArray()) items.push_back(ReadId(id));
  }
  return items;
}

Items ReadClsSep(const Json& o) {
  return {ReadPair(o.At("cls")), std::nullopt, ReadPair(o.At("sep"))};
}

constexpr std::array<std::pair<std::string_view, Items (*)(const Json&)>, 4> kPostProcessors = {{
    {"TemplateProcessing", ReadTemplate},
    {"BertProcessing", ReadClsSep},
    {"RobertaProcessing", ReadClsSep},
    {"ByteLevel", [](const Json&) { return Items{std::nullopt}; }},  // changes offsets alone
}};

}  // namespace

PostProcessor ReadPostProcessor(const std::optional<Json>& component) {
  PostProcessor out;
  if (!component) return out;
  ForEachComponent(*component, "processors",
                   [&](const Json& o) { out.Add(MakeComponent(kPostProcessors, o)); });
  return out;
}

}  // namespace awq
