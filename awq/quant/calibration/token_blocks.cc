#include "awq/quant/calibration/token_blocks.h"

#include <algorithm>
#include <span>

namespace awq {
namespace {

// The block that begins with ids[at]; `at` moves behind it. Never two `first` in a row.
TokenBlock TakeBlock(std::span<const int32_t> ids, size_t& at, const BlockOptions& options) {
  TokenBlock block;
  if (options.first && ids[at] != *options.first) block.push_back(*options.first);
  const size_t count = static_cast<size_t>(options.seq_len) - block.size();
  const auto taken = ids.subspan(at, std::min(count, ids.size() - at));
  block.insert(block.end(), taken.begin(), taken.end());
  at += taken.size();
  return block;
}

void AppendBlocks(std::span<const int32_t> ids, const BlockOptions& options, bool keep_short,
                  std::vector<TokenBlock>& blocks) {
  for (size_t at = 0; at < ids.size();) {
    if (static_cast<int64_t>(blocks.size()) == options.samples) break;
    const bool begins = at == 0;
    TokenBlock block = TakeBlock(ids, at, options);
    const bool whole = static_cast<int64_t>(block.size()) == options.seq_len;
    if (whole || (keep_short && begins)) blocks.push_back(std::move(block));
  }
}

}  // namespace

std::vector<TokenBlock> JoinedBlocks(const std::vector<CalibrationRecord>& records,
                                     const RecordEncoder& encode, const BlockOptions& options) {
  std::vector<int32_t> joined;
  for (const CalibrationRecord& record : records) {
    if (static_cast<int64_t>(joined.size()) >= options.samples * options.seq_len) break;
    const std::vector<int32_t> ids = encode(record, false);
    joined.insert(joined.end(), ids.begin(), ids.end());
  }
  std::vector<TokenBlock> blocks;
  AppendBlocks(joined, options, true, blocks);
  return blocks;
}

std::vector<TokenBlock> ListedBlocks(const std::vector<CalibrationRecord>& records,
                                     const BlockOptions& options) {
  std::vector<TokenBlock> blocks;
  for (const CalibrationRecord& record : records) {
    AppendBlocks(record.tokens, options, true, blocks);
  }
  return blocks;
}

bool AutoAwqBlocks::Add(const CalibrationRecord& record) {
  const std::vector<int32_t> ids = record.tokens.empty() ? encode_(record, true) : record.tokens;
  const bool fits = static_cast<int64_t>(ids.size()) <= options_.seq_len;
  if (!fits) ++too_long_;
  if (fits && !ids.empty()) {
    joined_.insert(joined_.end(), ids.begin(), ids.end());
    ++kept_;
  }
  return kept_ < options_.samples;
}

std::vector<TokenBlock> AutoAwqBlocks::Cut() const {
  BlockOptions plain = options_;
  plain.first.reset();
  std::vector<TokenBlock> blocks;
  AppendBlocks(joined_, plain, false, blocks);
  return blocks;
}

}  // namespace awq
