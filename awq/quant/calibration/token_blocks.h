// Token blocks: calibration records as the blocks of ids that the model is run on.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "awq/quant/activations.h"
#include "awq/quant/calibration/record.h"

namespace awq {

struct BlockOptions {
  int64_t samples = 128;           // at most so many blocks
  int64_t seq_len = 512;           // of so many tokens
  std::optional<int32_t> first{};  // the id that begins each block, unless it is there already
};

// The ids of one record, with special tokens in front if asked for.
using RecordEncoder = std::function<std::vector<int32_t>(const CalibrationRecord&, bool special)>;

// Encodes texts in their order, joins them and cuts, until there are enough. Text too short for a
// whole block becomes one short block; what is left behind the last whole one is dropped.
std::vector<TokenBlock> JoinedBlocks(const std::vector<CalibrationRecord>& records,
                                     const RecordEncoder& encode, const BlockOptions& options);

// Each list of ids is a block; longer ones are cut into several, their rest is dropped.
std::vector<TokenBlock> ListedBlocks(const std::vector<CalibrationRecord>& records,
                                     const BlockOptions& options);

// AutoAWQ's way, record by record: empty ones and those longer than seq_len are left out, the first
// `samples` others are joined and cut; the rest is dropped.
class AutoAwqBlocks {
 public:
  AutoAwqBlocks(const RecordEncoder& encode, const BlockOptions& options)
      : encode_(encode), options_(options) {}
  // False once there are enough.
  bool Add(const CalibrationRecord& record);
  std::vector<TokenBlock> Cut() const;
  int64_t too_long() const { return too_long_; }

 private:
  const RecordEncoder& encode_;
  BlockOptions options_;
  std::vector<int32_t> joined_;
  int64_t kept_ = 0;
  int64_t too_long_ = 0;
};

}  // namespace awq
