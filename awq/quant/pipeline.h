// QuantPipeline: streams a checkpoint layer by layer through calibration, a method and a pack
// format into a new checkpoint. Peak memory: one layer with its moments, the activation store, one
// output header.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "awq/base/threads.h"
#include "awq/checkpoint/shard_writer.h"
#include "awq/checkpoint/weights.h"
#include "awq/quant/method.h"

namespace awq {

// One finished linear.
struct LinearOutcome {
  int64_t layer = 0;
  Role role = Role::kQ;
  std::string alpha;
  double clipped = 0;
  double error_before = 0;
  double error_after = 0;
  int64_t parameters = 0;
  int64_t packed_bytes = 0;  // scales and zeros included
};

struct PipelineJob {
  const WeightSource& source;
  Backend& backend;
  ThreadPool& pool;
  const QuantMethod& method;
  const PackFormat& format;
  const MethodOptions& options;
  const std::vector<TokenBlock>& blocks;  // empty for methods without calibration
  ShardWriter& writer;
  std::function<void(int64_t layer)> layer_begins;
  std::function<void(const LinearOutcome&)> linear_done;
  std::function<void()> poll;  // throws kCancelled
};

// Throws kUnsupported before any work when the format cannot hold a linear; kCorrupt for weights
// that are not finite (file, tensor); kInternal for a loss that is not (layer). The writer is left
// to be finished.
void RunPipeline(const PipelineJob& job);

// Linears that stay in 16 bits, as the formats' skip lists name them.
std::vector<std::string> SkippedModules(const WeightSource& source);

}  // namespace awq
