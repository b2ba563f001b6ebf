#include "awq/quant/calibration.h"

#include <algorithm>
#include <optional>
#include <random>
#include <string_view>

#include "awq/base/file.h"
#include "awq/base/json.h"

extern "C" {
// NOLINTBEGIN(readability-identifier-naming): the names that EmbedFile.cmake gives
extern const unsigned char awq_builtin_calibration[];
extern const size_t awq_builtin_calibration_size;
// NOLINTEND(readability-identifier-naming)
}

namespace awq {
namespace {

// One record of the source: a text, or ids.
struct Record {
  std::string text;
  std::vector<int32_t> tokens;
};

std::string_view Strip(std::string_view s) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const size_t first = s.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return s.substr(first, s.find_last_not_of(kSpace) - first + 1);
}

Record ParseRecord(std::string_view line, const std::string& where, int64_t vocab) {
  const Json json = Json::Parse(line, where);
  Record record;
  if (json.Has("tokens")) {
    for (const Json& id : json.At("tokens").AsArray()) {
      const int64_t value = id.AsInt();
      AWQ_CHECK(value >= 0 && value < vocab, kCorrupt, id.Where(), ": expected a token id in [0, ",
                vocab, "), found ", value);
      record.tokens.push_back(static_cast<int32_t>(value));
    }
    return record;
  }
  AWQ_CHECK(json.Has("text"), kCorrupt, where, ": expected a record with \"text\" or \"tokens\"");
  record.text = json.String("text");
  return record;
}

bool LooksLikeJsonl(std::string_view content) {
  const std::string_view start = Strip(content.substr(0, 4096));
  return !start.empty() && start.front() == '{';
}

std::vector<Record> ReadRecords(const std::string& source, int64_t vocab) {
  std::string content;
  std::string_view view(reinterpret_cast<const char*>(awq_builtin_calibration),
                        awq_builtin_calibration_size);
  if (source != "builtin") {
    content = ReadFile(source);
    view = content;
  }
  if (!LooksLikeJsonl(view)) return {Record{std::string(view), {}}};
  std::vector<Record> records;
  int64_t number = 0;
  while (!view.empty()) {
    const size_t end = std::min(view.find('\n'), view.size());
    const std::string_view line = Strip(view.substr(0, end));
    view.remove_prefix(std::min(end + 1, view.size()));
    ++number;
    if (!line.empty()) records.push_back(ParseRecord(line, Cat(source, " line ", number), vocab));
  }
  return records;
}

// Fisher–Yates; std::shuffle's order differs between standard libraries.
void Shuffle(std::vector<Record>& records, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (size_t i = records.size(); i > 1; --i) std::swap(records[i - 1], records[random() % i]);
}

std::vector<TokenBlock> Cut(const std::vector<int32_t>& ids, std::optional<int32_t> first,
                            const CalibrationOptions& options) {
  std::vector<TokenBlock> blocks;
  const auto length = static_cast<size_t>(options.max_seq_len) - (first ? 1 : 0);
  for (size_t at = 0; at + length <= ids.size(); at += length) {
    if (static_cast<int64_t>(blocks.size()) == options.max_samples) break;
    TokenBlock& block = blocks.emplace_back();
    if (first) block.push_back(*first);
    block.insert(block.end(), ids.begin() + static_cast<int64_t>(at),
                 ids.begin() + static_cast<int64_t>(at + length));
  }
  return blocks;
}

std::vector<TokenBlock> AutoAwqBlocks(const std::vector<Record>& records,
                                      const Tokenizer& tokenizer,
                                      const CalibrationOptions& options) {
  std::vector<int32_t> joined;
  int64_t kept = 0;
  for (const Record& record : records) {
    if (kept == options.max_samples) break;
    const std::vector<int32_t> ids =
        record.tokens.empty() ? tokenizer.Encode(Strip(record.text), true) : record.tokens;
    if (ids.empty() || static_cast<int64_t>(ids.size()) > options.max_seq_len) continue;
    joined.insert(joined.end(), ids.begin(), ids.end());
    ++kept;
  }
  return Cut(joined, std::nullopt, options);
}

std::vector<TokenBlock> TextBlocks(std::vector<Record> records, const Tokenizer& tokenizer,
                                   const CalibrationOptions& options) {
  Shuffle(records, options.seed);
  const std::vector<int32_t> prefix = tokenizer.Encode("", true);
  const std::optional<int32_t> first =
      prefix.empty() ? std::nullopt : std::optional<int32_t>(prefix.front());
  std::vector<int32_t> joined;
  const int64_t wanted = options.max_samples * options.max_seq_len;
  for (const Record& record : records) {
    if (static_cast<int64_t>(joined.size()) >= wanted) break;
    const std::vector<int32_t> ids = tokenizer.Encode(record.text, false);
    joined.insert(joined.end(), ids.begin(), ids.end());
  }
  std::vector<TokenBlock> blocks = Cut(joined, first, options);
  if (blocks.empty() && !joined.empty()) {  // too little text for a whole block
    if (first) joined.insert(joined.begin(), *first);
    blocks.push_back(std::move(joined));
  }
  return blocks;
}

std::vector<TokenBlock> TokenBlocks(std::vector<Record> records,
                                    const CalibrationOptions& options) {
  std::vector<TokenBlock> blocks;
  for (Record& record : records) {
    if (static_cast<int64_t>(blocks.size()) == options.max_samples) break;
    if (record.tokens.empty()) continue;
    if (static_cast<int64_t>(record.tokens.size()) > options.max_seq_len) {
      record.tokens.resize(static_cast<size_t>(options.max_seq_len));
    }
    blocks.push_back(std::move(record.tokens));
  }
  return blocks;
}

}  // namespace

std::vector<TokenBlock> LoadCalibration(const CalibrationOptions& options,
                                        const Tokenizer& tokenizer, int64_t vocab,
                                        const std::function<void(const std::string&)>& warn) {
  AWQ_CHECK(options.max_samples > 0 && options.max_seq_len > 1, kInvalidArgument,
            "calibration needs at least one sample of two tokens, asked for ", options.max_samples,
            " of ", options.max_seq_len);
  std::vector<Record> records = ReadRecords(options.source, vocab);
  const bool ids = std::any_of(records.begin(), records.end(),
                               [](const Record& r) { return !r.tokens.empty(); });
  std::vector<TokenBlock> blocks = options.autoawq_rules
                                       ? AutoAwqBlocks(records, tokenizer, options)
                                   : ids ? TokenBlocks(std::move(records), options)
                                         : TextBlocks(std::move(records), tokenizer, options);
  for (const TokenBlock& block : blocks) {
    for (int32_t id : block) {
      AWQ_CHECK(id >= 0 && id < vocab, kCorrupt, "tokenizer.json: token id ", id,
                " is outside the model's vocabulary of ", vocab);
    }
  }
  AWQ_CHECK(!blocks.empty(), kInvalidArgument, options.source,
            ": holds no usable calibration tokens");
  if (static_cast<int64_t>(blocks.size()) < options.max_samples) {
    warn(Cat(options.source, ": ", blocks.size(), " calibration blocks instead of ",
             options.max_samples));
  }
  return blocks;
}

}  // namespace awq
