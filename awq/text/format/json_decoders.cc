#include <algorithm>
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

// How many times longer a token can become. One `Replace` after the other multiplies: a short file
// could ask for a text of any length.
double Growth(const Json& o) {
  if (o.String("type") != "Replace") return 1;
  const size_t replaced = ReadPattern(o.At("pattern")).literal.size();
  const auto content = static_cast<double>(o.String("content").size());
  // A pattern may match nothing before every byte.
  return replaced == 0 ? content + 1 : std::max(1.0, content / static_cast<double>(replaced));
}

}  // namespace

DecoderList ReadDecoders(const std::optional<Json>& component) {
  DecoderList out;
  if (!component) {
    out.push_back(MakeJoinWithSpaces());
    return out;
  }
  constexpr double kMostGrowth = 4096;
  double growth = 1;
  ForEachComponent(*component, "decoders", [&](const Json& o) {
    growth *= Growth(o);
    AWQ_CHECK(growth <= kMostGrowth, kUnsupported, o.Where(),
              ": replacements up to here can make a token ", growth, " times longer; at most ",
              kMostGrowth, " times is supported");
    out.push_back(MakeComponent(kDecoders, o));
  });
  return out;
}

}  // namespace awq
