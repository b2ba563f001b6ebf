#include <array>

#include "awq/text/base64.h"
#include "awq/text/format/json_component.h"
#include "awq/text/format/json_parts.h"
#include "awq/text/normalizer/normalizers.h"

namespace awq {
namespace {

using Made = std::unique_ptr<const Normalizer>;

Made ReadBert(const Json& o) {
  BertNormalizerOptions options;
  options.clean_text = o.Bool("clean_text", true);
  options.handle_chinese_chars = o.Bool("handle_chinese_chars", true);
  options.lowercase = o.Bool("lowercase", true);
  options.strip_accents = o.Bool("strip_accents", options.lowercase);
  return MakeBert(options);
}

Made ReadReplace(const Json& o) {
  JsonPattern pattern = ReadPattern(o.At("pattern"));
  std::string content = o.String("content");
  return pattern.literal.empty() ? MakeReplace(std::move(pattern.regex), std::move(content))
                                 : MakeReplaceText(std::move(pattern.literal), std::move(content));
}

Made ReadPrecompiled(const Json& o) {
  const Json map = o.At("precompiled_charsmap");
  return AtPath(map, [&] { return MakePrecompiled(DecodeBase64(map.AsString())); });
}

constexpr std::array<std::pair<std::string_view, Made (*)(const Json&)>, 13> kNormalizers = {{
    {"NFC", [](const Json&) { return MakeUnicodeForm(NormalForm::kNfc); }},
    {"NFD", [](const Json&) { return MakeUnicodeForm(NormalForm::kNfd); }},
    {"NFKC", [](const Json&) { return MakeUnicodeForm(NormalForm::kNfkc); }},
    {"NFKD", [](const Json&) { return MakeUnicodeForm(NormalForm::kNfkd); }},
    {"Replace", ReadReplace},
    {"Prepend", [](const Json& o) { return MakePrepend(o.String("prepend")); }},
    {"Strip",
     [](const Json& o) {
       return MakeStrip(o.Bool("strip_left", true), o.Bool("strip_right", true));
     }},
    {"StripAccents", [](const Json&) { return MakeStripAccents(); }},
    {"Lowercase", [](const Json&) { return MakeLowercase(); }},
    {"Nmt", [](const Json&) { return MakeNmt(); }},
    {"BertNormalizer", ReadBert},
    {"ByteLevel", [](const Json&) { return MakeByteLevelNormalizer(); }},
    {"Precompiled", ReadPrecompiled},
}};

}  // namespace

NormalizerList ReadNormalizers(const std::optional<Json>& component) {
  NormalizerList out;
  if (!component) return out;
  ForEachComponent(*component, "normalizers",
                   [&](const Json& o) { out.push_back(MakeComponent(kNormalizers, o)); });
  return out;
}

}  // namespace awq
