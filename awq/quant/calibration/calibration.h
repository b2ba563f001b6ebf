// Calibration: the blocks of tokens that a model is calibrated on, from whatever the user has.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "awq/quant/activations.h"
#include "awq/text/tokenizer.h"

namespace awq {

struct CalibrationOptions {
  // "builtin"; or a file, a folder, "-" for standard input, the name of a data set in a local hub
  // cache. Text, JSONL, a JSON array, CSV or TSV; also compressed by gzip or zstd.
  std::string source = "builtin";
  std::string column = {};           // of the samples; empty: "text", "tokens", "messages", …
  int64_t max_samples = 128;         // blocks
  int64_t max_seq_len = 512;         // tokens a block
  bool bos = true;                   // blocks begin with what the tokenizer puts in front of a text
  uint64_t seed = 0;                 // order of the texts
  std::filesystem::path model = {};  // its chat template renders conversations
  std::vector<std::filesystem::path> hub_caches = {};
  // AutoAWQ's rules: samples in their order (of plain text: its lines), stripped, encoded with
  // special tokens, those longer than max_seq_len dropped, the first max_samples joined and cut.
  bool autoawq_rules = false;
};

// Lists of token ids are taken in their order, each a block or several. Texts and rendered
// conversations are shuffled, encoded without special tokens, joined and cut. Of a long source the
// head is read: at most 64 MiB, or 64 bytes for each token asked for if that is more, shared evenly
// among the files; what is shuffled is the head, so that a seed gives the same blocks whatever
// follows. Fewer blocks than asked for is a warning, none an error (kInvalidArgument). Throws
// kNotFound, kUnsupported and kCorrupt naming file and line; ids outside [0, vocab) are kCorrupt.
// `tokenizer` may be null where all samples are lists of token ids.
std::vector<TokenBlock> LoadCalibration(const CalibrationOptions& options,
                                        const Tokenizer* tokenizer, int64_t vocab,
                                        const std::function<void(const std::string&)>& warn);

}  // namespace awq
