#include <array>

#include "awq/text/decoder/decoders.h"
#include "awq/text/format/json_component.h"
#include "awq/text/format/json_parts.h"

namespace awq {
namespace {

using Made = std::unique_ptr<const Decoder>;

Made ReadReplace(const Json& o) {
  JsonPattern pattern = ReadPattern(o.At("pattern"));
  std::string content = o.String("content");
  return pattern.literal.empty()
             ? MakeReplaceDecoder(std::move(pattern.regex), std::move(content))
             : MakeReplaceTextDecoder(std::move(pattern.literal), std::move(content));
}

Made ReadMetaspace(const Json& o) {
  const bool never =
      o.String("prepend_scheme", "always") == "never" || !o.Bool("add_prefix_space", true);
  return MakeMetaspaceDecoder(ReadCharacter(o.At("replacement")), !never);
}

Made ReadStrip(const Json& o) {
  const int64_t start = o.Int("start");
  const int64_t stop = o.Int("stop");
  AWQ_CHECK(start >= 0 && stop >= 0, kCorrupt, o.Where(), ": expected counts, found ", start,
            " and ", stop);
  return MakeStripDecoder(ReadCharacter(o.At("content")), static_cast<size_t>(start),
                          static_cast<size_t>(stop));
}

Made ReadCtc(const Json& o) {
  return MakeCtcDecoder(o.String("pad_token", "<pad>"), o.String("word_delimiter_token", "|"),
                        o.Bool("cleanup", true));
}

constexpr std::array<std::pair<std::string_view, Made (*)(const Json&)>, 9> kDecoders = {{
    {"ByteLevel", [](const Json&) { return MakeByteLevelDecoder(); }},
    {"ByteFallback", [](const Json&) { return MakeByteFallback(); }},
    {"Fuse", [](const Json&) { return MakeFuse(); }},
    {"Metaspace", ReadMetaspace},
    {"Replace", ReadReplace},
    {"Strip", ReadStrip},
    {"WordPiece",
     [](const Json& o) {
       return MakeWordPieceDecoder(o.String("prefix", "##"), o.Bool("cleanup", true));
     }},
    {"BPEDecoder", [](const Json& o) { return MakeBpeDecoder(o.String("suffix", "</w>")); }},
    {"CTC", ReadCtc},
}};

}  // namespace

DecoderList ReadDecoders(const std::optional<Json>& component) {
  DecoderList out;
  if (!component) {
    out.push_back(MakeJoinWithSpaces());
    return out;
  }
  ForEachComponent(*component, "decoders",
                   [&](const Json& o) { out.push_back(MakeComponent(kDecoders, o)); });
  return out;
}

}  // namespace awq
