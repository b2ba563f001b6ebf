// tokenizer.json: reads the components of a Hugging Face tokenizer and puts them together.
#include <simdjson.h>

#include <filesystem>
#include <string>

#include "awq/base/error.h"
#include "awq/base/file.h"
#include "awq/base/json.h"
#include "awq/text/format/formats.h"
#include "awq/text/format/json_model.h"
#include "awq/text/format/json_parts.h"
#include "awq/text/pipeline.h"

namespace awq {
namespace {

namespace od = simdjson::ondemand;

// The members of an object as JSON again, without the vocabulary and merges of its model.
void CopySmall(od::object object, bool is_model, std::string& out) {
  out += '{';
  for (auto field : object) {
    const std::string key(std::string_view(field.unescaped_key()));
    if (is_model && (key == "vocab" || key == "merges")) continue;
    if (out.back() != '{') out += ',';
    out += RawJson(key).dump() + ":";
    od::value value = field.value();
    if (!is_model && key == "model" && value.type() == od::json_type::object) {
      CopySmall(value.get_object(), true, out);
    } else {
      out += std::string_view(simdjson::to_json_string(value));
    }
  }
  out += '}';
}

std::vector<AddedToken> ReadAddedTokens(const std::optional<Json>& list) {
  std::vector<AddedToken> out;
  if (!list) return out;
  for (const Json& o : list->AsArray()) {
    AddedToken token;
    // Its id is not used: Hugging Face takes that of the vocabulary, or the next behind it.
    const int64_t id = o.Int("id");
    AWQ_CHECK(id >= 0 && id <= Vocabulary::kMaxId, kCorrupt, o.Where(),
              ".id: expected a token id, found ", id);
    token.content = o.String("content");
    token.special = o.Bool("special", false);
    token.single_word = o.Bool("single_word", false);
    token.lstrip = o.Bool("lstrip", false);
    token.rstrip = o.Bool("rstrip", false);
    token.normalized = o.Bool("normalized", !token.special);
    out.push_back(std::move(token));
  }
  return out;
}

// `text` has room for simdjson's padding.
std::unique_ptr<const Tokenizer> Parse(const std::string& text, const std::string& origin) {
  od::parser parser;
  const simdjson::padded_string_view padded(text.data(), text.size(), text.capacity());
  od::document document;
  std::string small;
  try {
    document = parser.iterate(padded);
    CopySmall(document.get_object(), false, small);
    const char* rest = nullptr;
    AWQ_CHECK(document.current_location().get(rest) != simdjson::SUCCESS, kCorrupt, origin,
              ": bad JSON: text after the object, at byte ", rest - text.data());
    const Json json = Json::Parse(small, origin);
    PipelineParts parts;
    parts.normalizers = ReadNormalizers(json.Find("normalizer"));
    parts.pre_tokenizers = ReadPreTokenizers(json.Find("pre_tokenizer"));
    parts.post_processor = ReadPostProcessor(json.Find("post_processor"));
    parts.decoders = ReadDecoders(json.Find("decoder"));
    parts.added = ReadAddedTokens(json.Find("added_tokens"));
    parts.model = ReadModel(document, json.At("model"));
    return std::make_unique<Pipeline>(std::move(parts));
  } catch (const simdjson::simdjson_error& e) {
    Fail(ErrorCode::kCorrupt, origin, ": bad JSON: ", e.what());
  }
}

}  // namespace

std::unique_ptr<const Tokenizer> Tokenizer::FromJson(std::string_view text,
                                                     const std::string& origin) {
  std::string padded;
  padded.reserve(text.size() + simdjson::SIMDJSON_PADDING);
  padded = text;
  return Parse(padded, origin);
}

std::unique_ptr<const Tokenizer> LoadTokenizerJson(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "tokenizer.json";
  if (!std::filesystem::exists(file)) return nullptr;
  std::string text = ReadFile(file, simdjson::SIMDJSON_PADDING);
  text.reserve(text.size() + simdjson::SIMDJSON_PADDING);  // where the size was not known before
  return Parse(text, file.string());
}

}  // namespace awq
