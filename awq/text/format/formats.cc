#include "awq/text/format/formats.h"

#include <array>

namespace awq {

std::span<const TokenizerFormat> TokenizerFormats() {
  static constexpr std::array kFormats = {
      TokenizerFormat{"tokenizer.json", LoadTokenizerJson},
      TokenizerFormat{"tokenizer.model", LoadSentencePiece},
      TokenizerFormat{"*.tiktoken", LoadTiktoken},
  };
  return kFormats;
}

}  // namespace awq
