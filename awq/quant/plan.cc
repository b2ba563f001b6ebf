#include "awq/quant/plan.h"

#include <algorithm>
#include <set>

#include "awq/quant/fisher/fisher_pass.h"
#include "awq/quant/fisher/head_gradient.h"
#include "awq/quant/kept_rows.h"
#include "awq/quant/layer_plan.h"
#include "awq/quant/layer_runner.h"

namespace awq {
namespace {

constexpr int64_t kFloat = 4;

// The layers, with so many bytes of kept rows in memory.
std::vector<PlanUnit> Layers(const PlanRequest& request, const MachineSpeed* speed,
                             int64_t moment_columns, int64_t kept_memory) {
  std::vector<PlanUnit> out;
  for (int64_t i = 0; i < request.source.spec().num_layers(); ++i) {
    const LayerPlan plan(request, i, moment_columns);
    PlanUnit unit{.name = Cat("layer ", i + 1), .seconds = 0, .memory = 0, .largest = {}};
    for (const Phase& phase : plan.Phases()) {
      const int64_t memory = phase.bytes + std::min(phase.kept, kept_memory);
      if (memory <= unit.memory) continue;
      unit.memory = memory;
      unit.largest = phase.what;
    }
    if (speed != nullptr) unit.seconds = plan.Seconds(*speed);
    out.push_back(std::move(unit));
  }
  return out;
}

// Decides how much of the rows that are kept stays in memory: all, or what the limit leaves.
void PlanKept(const PlanRequest& request, QuantPlan& plan) {
  std::vector<Phase> phases;
  for (int64_t i = 0; i < request.source.spec().num_layers(); ++i) {
    for (Phase& p : LayerPlan(request, i, plan.moment_columns).Phases())
      phases.push_back(std::move(p));
  }
  int64_t most = 0;
  for (const Phase& p : phases) most = std::max(most, p.kept);
  plan.kept_memory = most;
  for (const Phase& p : phases) {
    const int64_t room = request.memory_limit - p.bytes;
    if (request.memory_limit > 0 && p.kept > room) {
      plan.kept_memory = std::min(plan.kept_memory, room);
    }
  }
  plan.kept_bytes = most - plan.kept_memory;
}

// The pass before the first layer; its memory is 0 where there is none.
PlanUnit Gradients(const PlanRequest& request, const MachineSpeed* speed) {
  PlanUnit out{
      .name = "gradients", .seconds = 0, .memory = 0, .largest = "weights and activations"};
  const auto tokens = static_cast<double>(WeighedTokens(request));
  if (tokens == 0) return out;
  const ModelSpec& model = request.source.spec();
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    const LayerPlan plan(request, i, 0);
    out.memory = std::max(out.memory, plan.GradientMemory());
    if (speed != nullptr) out.seconds += plan.GradientSeconds(*speed, tokens);
  }
  const HeadSlices slices;
  const int64_t rows = std::min<int64_t>(request.tokens, PieceTokens(model, 0));
  const int64_t logits = std::min(slices.logits, rows * model.vocab * kFloat);
  const int64_t weight = std::min(slices.weight, model.vocab * model.hidden * kFloat);
  const int64_t streams = 3 * rows * model.hidden * kFloat;
  out.memory = std::max(
      out.memory, request.process_bytes + logits + weight + streams + HeadOperandBytes(request));
  const double head = 4 * static_cast<double>(model.vocab * model.hidden) * tokens;
  if (speed != nullptr) {
    constexpr double kPasses = 4;  // over the logits
    out.seconds += head / speed->product +
                   kPasses * tokens * static_cast<double>(model.vocab) / speed->weights;
  }
  return out;
}

int64_t Largest(const std::vector<PlanUnit>& units) {
  int64_t out = 0;
  for (const PlanUnit& u : units) out = std::max(out, u.memory);
  return out;
}

int64_t WidestInput(const ModelSpec& model) {
  int64_t out = 0;
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    for (const LinearShape& l : LayerLinears(model, i)) out = std::max(out, l.k);
  }
  return out;
}

// Columns of blocks that moments may be cut into, widest first: whole groups, at least 512.
std::vector<int64_t> BlockChoices(const PlanRequest& request) {
  const int64_t group = request.options.rule.scheme.group;
  if (!request.method.NeedsCalibration() || request.method.ReplaysInputs() || group < 0) return {};
  constexpr int64_t kLeast = 512;
  std::vector<int64_t> out;
  const int64_t widest = WidestInput(request.source.spec());
  for (int64_t pieces = 2; widest / pieces >= kLeast; ++pieces) {
    out.push_back((widest / pieces + kLeast / 4 - 1) / (kLeast / 4) * (kLeast / 4));
  }
  return out;
}

// What the pass back has in files, before anything else is written; it goes from layer to layer.
int64_t GradientDisk(const PlanRequest& request, QuantPlan& plan) {
  const int64_t tokens = WeighedTokens(request);
  if (tokens == 0) return 0;
  const ModelSpec& model = request.source.spec();
  const int64_t layers = model.num_layers();
  const int64_t most = FisherTokensAtOnce(model);
  const int64_t at_once = std::min(tokens, most + request.longest_block);
  const int64_t stream = at_once * kFloat * model.hidden;
  int64_t all = 0;
  int64_t kept = 0;
  for (int64_t i = 0; i < layers; ++i) {
    all += MetricFiles::Bytes(model, i);
    const auto* moe = std::get_if<MoeSpec>(&model.layers[static_cast<size_t>(i)].ffn);
    if (moe != nullptr) kept = std::max(kept, stream * moe->active);
  }
  int64_t metrics = tokens > most ? all : 0;  // of the run of blocks before
  plan.metric_bytes = metrics + all;
  int64_t out = metrics + (layers + 1) * stream + std::max(stream, std::min(kept, kKeptBytes));
  for (int64_t i = layers - 1; i >= 0; --i) {  // inputs up to its own, and two of the gradient
    metrics += MetricFiles::Bytes(model, i);
    out = std::max(out, metrics + (i + 3) * stream);
  }
  return out;
}

void PlanDisk(const PlanRequest& request, QuantPlan& plan) {
  const WeightSource& source = request.source;
  const ModelSpec& model = source.spec();
  std::set<std::string> quantized;
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    for (const LinearShape& l : QuantizableLinears(model, i)) {
      const QuantScheme scheme = request.options.SchemeOf(i, l.id);
      plan.output_bytes += scheme.bits == 16 ? 2 * l.n * l.k : PackedBytes(scheme, l.n, l.k);
      quantized.insert(source.SourceOf(l.id, i));
    }
  }
  int64_t rest = 0;
  for (const std::string& name : source.checkpoint().Names()) {
    if (!quantized.contains(name)) rest += source.checkpoint().Get(name).view().NumBytes();
  }
  const int64_t layers_bytes = plan.output_bytes;
  plan.output_bytes += rest;
  if (request.method.NeedsCalibration()) {
    const int64_t streams = request.method.FollowsPrefix() ? 2 : 1;
    plan.stream_bytes = 2 * streams * request.tokens * model.hidden * kFloat;
  }
  const int64_t run = GradientDisk(request, plan);
  const int64_t finishing = plan.output_bytes + std::min(request.shard_bytes, plan.output_bytes);
  plan.disk = std::max({plan.stream_bytes + plan.kept_bytes + plan.metric_bytes + layers_bytes,
                        plan.stream_bytes / 2 + run, finishing});
}

}  // namespace

int64_t PackedBytes(const QuantScheme& scheme, int64_t n, int64_t k) {
  const int64_t groups = n * scheme.Groups(k);
  return n * k * scheme.bits / 8 + groups * 2 + (scheme.symmetric ? 0 : groups * scheme.bits / 8);
}

QuantPlan MakePlan(const PlanRequest& request, const MachineSpeed* speed) {
  QuantPlan plan;
  plan.units = Layers(request, speed, 0, 0);
  const int64_t limit = request.memory_limit;
  const PlanUnit gradients = Gradients(request, speed);
  plan.memory = plan.whole_memory = std::max(Largest(plan.units), gradients.memory);
  for (const int64_t columns : BlockChoices(request)) {
    if (limit == 0 || plan.memory <= limit) break;
    plan.units = Layers(request, speed, columns, 0);
    plan.memory = std::max(Largest(plan.units), gradients.memory);
    plan.moment_columns = columns;
  }
  const auto megabytes = [](int64_t bytes) { return (bytes + 999999) / 1000000; };
  AWQ_CHECK(limit == 0 || plan.memory <= limit, kInvalidArgument, "--memory-limit ",
            megabytes(limit), "MB is too little for this model, method and calibration; ",
            "--memory-limit ", megabytes(plan.memory), "MB will do");
  PlanKept(request, plan);
  if (plan.kept_memory > 0) {
    plan.units = Layers(request, speed, plan.moment_columns, plan.kept_memory);
    plan.memory = std::max(Largest(plan.units), gradients.memory);
  }
  if (gradients.memory > 0) plan.units.insert(plan.units.begin(), gradients);
  PlanDisk(request, plan);
  PlanUnit rest;
  rest.name = "what is not quantized";
  plan.units.push_back(std::move(rest));
  for (const PlanUnit& u : plan.units) plan.seconds += u.seconds;
  return plan;
}

}  // namespace awq
