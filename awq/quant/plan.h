// QuantPlan: what a run needs of memory, disk and time, found before it starts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "awq/checkpoint/weights.h"
#include "awq/quant/method.h"

namespace awq {

// How fast this machine is at what quantization does, measured in a second or two.
struct MachineSpeed {
  double linear = 0;     // FLOP/s of forward passes
  double quantized = 0;  // of those through quantized weights
  double gram = 0;       // of x·xᵀ; a symmetric one costs half of its products
  double product = 0;    // of f32 products
  double solve = 0;      // of triangular solves and Cholesky factors
  double weights = 0;    // weights rounded in a second
  double decoded = 0;    // weights made of codes in a second, by one thread
  double ranges = 0;     // weights whose groups of 128 get the best range in a second
  double descents = 0;   // weights a pass of coordinate descent takes in a second, products apart
};
MachineSpeed MeasureSpeed(Backend& backend, ThreadPool& pool);
// Of two server cores: what depends on it is the same on every machine.
MachineSpeed NominalSpeed();

struct PlanRequest {
  const WeightSource& source;
  const QuantMethod& method;
  const MethodOptions& options;
  int64_t tokens = 0;         // of calibration
  int64_t blocks = 0;         // that they are in
  int64_t longest_block = 0;  // tokens
  int64_t shard_bytes = 0;
  int64_t process_bytes = 0;  // memory that the process has already
  int64_t memory_limit = 0;   // bytes; 0: none
};

struct PlanUnit {
  std::string name;     // "layer 3", "embedding, head and final norm"
  double seconds = 0;   // 0 without a speed
  int64_t memory = 0;   // bytes, without what the system caches of files
  std::string largest;  // where: "down: moments and factor"
};

struct QuantPlan {
  std::vector<PlanUnit> units;
  double seconds = 0;
  int64_t memory = 0;          // the largest of the units, with what is kept
  int64_t whole_memory = 0;    // what whole moments take
  int64_t stream_bytes = 0;    // files: activations between layers
  int64_t kept_bytes = 0;      // files: activations within a layer
  int64_t metric_bytes = 0;    // files: of the pass back, its streams not counted
  int64_t output_bytes = 0;    // tensors written
  int64_t disk = 0;            // the most that is in OUTPUT.partial at a time
  int64_t kept_memory = 0;     // for RunPipeline
  int64_t moment_columns = 0;  // for RunPipeline: 0, or the columns of a block of moments
};

// Chooses what fits the limit: whole moments if they do, else the largest blocks that do. Without
// `speed` times are 0. Throws kInvalidArgument, with the limit that would do, when nothing fits.
QuantPlan MakePlan(const PlanRequest& request, const MachineSpeed* speed);

// Bytes of a linear [n, k] in any of the formats.
int64_t PackedBytes(const QuantScheme& scheme, int64_t n, int64_t k);

}  // namespace awq
