// Calibration: texts or token ids from a file, cut into blocks of tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "awq/quant/activations.h"
#include "awq/text/tokenizer.h"

namespace awq {

struct CalibrationOptions {
  std::string source = "builtin";  // or a file: plain text, or JSONL with "text" or "tokens"
  int64_t max_samples = 128;       // blocks
  int64_t max_seq_len = 512;       // tokens a block
  uint64_t seed = 0;               // order of the texts
  // AutoAWQ's rules: texts in their order, stripped, encoded with special tokens, those longer than
  // max_seq_len dropped, the first max_samples joined and cut.
  bool autoawq_rules = false;
};

// Records of token ids are taken in their order, each a block. Texts are shuffled, encoded without
// special tokens, joined and cut; each block begins with the token that the tokenizer puts in front
// of a text, if it does. Fewer blocks than asked for is a warning, none an error
// (kInvalidArgument). Throws kNotFound, kCorrupt naming file and line; ids outside [0, vocab) are
// kCorrupt.
std::vector<TokenBlock> LoadCalibration(const CalibrationOptions& options,
                                        const Tokenizer& tokenizer, int64_t vocab,
                                        const std::function<void(const std::string&)>& warn);

}  // namespace awq
