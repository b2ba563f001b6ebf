// FisherPass: what errors at the outputs of every linear cost the model, from the gradients of
// -log p(y), y drawn from the model's own predictions (the Fisher information): one pass forward
// and one back through the full-precision model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "awq/base/threads.h"
#include "awq/checkpoint/weights.h"
#include "awq/quant/activations.h"
#include "awq/quant/fisher/layer_gradient.h"
#include "awq/quant/fisher/metric_files.h"

namespace awq {

// Blocks go through in runs whose streams, kept between all layers, take no more than this.
inline constexpr int64_t kFisherStreamBytes = int64_t{4} << 30;

struct FisherJob {
  const WeightSource& source;
  Backend& backend;  // of the host
  ThreadPool& pool;
  std::span<const TokenBlock> blocks;
  std::filesystem::path folder;               // for the metrics, and the streams meanwhile
  std::function<void()> poll;                 // throws kCancelled
  std::function<void(double done)> weighing;  // 0…1; may be null
  int64_t stream_bytes = kFisherStreamBytes;
};

class FisherPass {
 public:
  explicit FisherPass(const FisherJob& job) : job_(job), files_(job.source.spec(), job.folder) {}

  // Goes on behind the runs of blocks that have been done.
  void Run();

 private:
  using Stores = std::vector<std::unique_ptr<ActivationStore>>;
  // Over some blocks, whose first token has this number.
  void RunBlocks(std::span<const TokenBlock> blocks, int64_t first_token);
  void Forward(Stores& inputs) const;
  void Head(const ActivationStore& last, int64_t first_token, ActivationStore& gradient) const;
  void Backward(int64_t layer, const ActivationStore& input, ActivationStore& gradient) const;
  void Tell(double tokens);

  const FisherJob& job_;
  MetricFiles files_;
  double work_done_ = 0;
};

// Tokens of a run of blocks whose streams take so many bytes; one block at least.
int64_t FisherTokensAtOnce(const ModelSpec& model, int64_t stream_bytes = kFisherStreamBytes);

}  // namespace awq
