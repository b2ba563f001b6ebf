// QuantPipeline: streams a checkpoint layer by layer through calibration, a method and a pack
// format into a new checkpoint, each layer a unit that is finished for good once it is in the
// journal. Peak memory: plan.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "awq/base/threads.h"
#include "awq/checkpoint/shard_writer.h"
#include "awq/checkpoint/weights.h"
#include "awq/quant/journal.h"
#include "awq/quant/method.h"

namespace awq {

// One finished linear.
struct LinearOutcome {
  int64_t layer = 0;
  LinearId id;
  std::string alpha;
  double clipped = 0;
  double error_before = 0;
  double error_after = 0;
  int64_t tokens = -1;  // of the calibration that it read; -1: without calibration
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
  std::filesystem::path work;  // a folder for activations
  Journal* journal = nullptr;  // without it the run cannot be resumed
  // Of what is kept within a layer so that it need not be computed twice; the rest goes to a file.
  int64_t kept_memory = kKeptBytes;
  int64_t moment_columns = 0;  // 0, or the columns of the blocks that moments are cut into
  std::function<void(int64_t layer)> layer_begins;
  std::function<void(const LinearOutcome&)> linear_done;
  std::function<void()> poll;                           // throws kCancelled
  std::function<void(double done)> weighing = nullptr;  // of the pass back through the model, 0…1
};

// Units that the journal holds are not done again: their linears are told of at once, and the
// writer must be new. Throws kUnsupported before any work when the format cannot hold a linear;
// kCorrupt for weights (file, tensor) or inputs of linears (layer, linear) that are not finite;
// kInternal for a loss that is not (layer). The writer is left to be finished.
void RunPipeline(const PipelineJob& job);

// What RunPipeline checks first: throws kUnsupported when the format cannot hold a linear.
void CheckFormat(const WeightSource& source, const PackFormat& format,
                 const MethodOptions& options);

// Linears that stay in 16 bits, as the formats' skip lists name them.
std::vector<std::string> SkippedModules(const WeightSource& source);

}  // namespace awq
