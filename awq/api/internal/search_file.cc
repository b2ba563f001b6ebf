#include "awq/api/internal/search_file.h"

#include "awq/base/file.h"

namespace awq {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSearchName = "search.json";

RawJson ToJson(const QuantScheme& s) {
  return {{"bits", s.bits}, {"group", s.group}, {"symmetric", s.symmetric}};
}

}  // namespace

bool HasSearch(const fs::path& folder) {
  return !folder.empty() && fs::exists(folder / kSearchName);
}

void SaveSearch(const fs::path& folder, const RawJson& identity,
                const std::vector<BudgetSet>& sets) {
  RawJson list = RawJson::array();
  for (const BudgetSet& set : sets) {
    RawJson choices = RawJson::array();
    for (const BudgetSet::Choice& c : set.choices) {
      RawJson choice = ToJson(c.scheme);
      choice["bits_per_weight"] = c.bits;
      choice["kld"] = c.divergence;
      choices.push_back(std::move(choice));
    }
    list.push_back({{"layer", set.layer},
                    {"site", set.site},
                    {"parameters", set.parameters},
                    {"choices", std::move(choices)}});
  }
  fs::create_directories(folder);
  const RawJson json = {{"awq_search", 1}, {"made_for", identity}, {"sets", std::move(list)}};
  WriteFileAtomically(folder / kSearchName, json.dump(1) + "\n");
}

std::vector<BudgetSet> LoadSearch(const fs::path& folder, const RawJson& identity) {
  const fs::path file = folder / kSearchName;
  if (!fs::exists(file)) return {};
  const Json json = Json::Load(file);
  const Json made_for = json.At("made_for");
  for (const auto& [key, value] : identity.items()) {
    AWQ_CHECK(made_for.Has(key) && made_for.At(key).raw() == value, kInvalidArgument, file.string(),
              ": was made for another ", key, "; expected ", value.dump(), ", found ",
              made_for.Has(key) ? made_for.At(key).raw().dump() : "none",
              "; name another folder, or remove it");
  }
  std::vector<BudgetSet> sets;
  for (const Json& entry : json.At("sets").AsArray()) {
    BudgetSet set;
    set.layer = entry.Int("layer");
    set.site = entry.String("site");
    set.parameters = entry.Int("parameters");
    for (const Json& c : entry.At("choices").AsArray()) {
      const QuantScheme scheme{.bits = static_cast<int>(c.Int("bits")),
                               .group = c.Int("group"),
                               .symmetric = c.Bool("symmetric")};
      set.choices.push_back({scheme, c.Double("bits_per_weight"), c.Double("kld")});
    }
    AWQ_CHECK(set.parameters > 0 && !set.choices.empty(), kCorrupt, entry.Where(),
              ": expected parameters and choices");
    sets.push_back(std::move(set));
  }
  AWQ_CHECK(!sets.empty(), kCorrupt, file.string(), ": holds no sets");
  return sets;
}

}  // namespace awq
