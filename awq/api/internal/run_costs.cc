#include "awq/api/internal/run_costs.h"

#include <algorithm>

#include "awq/api/internal/choose_formats.h"
#include "awq/api/internal/passport_size.h"
#include "awq/api/internal/quantize_options.h"
#include "awq/api/internal/resources.h"
#include "awq/api/internal/search_file.h"
#include "awq/base/error.h"
#include "awq/quant/run_folder.h"

namespace awq {

PlanRequest RequestOf(const QuantizeOptions& options, const Subject& subject) {
  int64_t longest = 0;
  for (const TokenBlock& b : subject.blocks) {
    longest = std::max(longest, static_cast<int64_t>(b.size()));
  }
  return {.source = subject.source,
          .method = *subject.method,
          .options = subject.method_options,
          .tokens = NumTokens(subject.blocks),
          .blocks = static_cast<int64_t>(subject.blocks.size()),
          .longest_block = longest,
          .shard_bytes = options.shard_bytes,
          .process_bytes = ProcessBytes(),
          .memory_limit = options.memory_limit};
}

SensitivityCost CostOfSearch(const QuantizeOptions& options, const Subject& subject,
                             const MachineSpeed& speed) {
  // One does not round.
  const auto formats = static_cast<int64_t>(SchemesOf(options, subject.format).size()) - 1;
  return CostOfSensitivity(subject.source, formats, subject.blocks, speed);
}

int64_t TokensOfPassport(const QuantizeOptions& options, const Subject& subject) {
  if (options.eval_tokens > 0) return options.eval_tokens;
  const MachineSpeed nominal = NominalSpeed();
  PlanRequest request = RequestOf(options, subject);
  request.memory_limit = 0;
  return PassportTokens(subject.source, MakePlan(request, &nominal));
}

void CheckSearchFits(const QuantizeOptions& options, int64_t memory) {
  AWQ_CHECK(options.memory_limit == 0 || memory <= options.memory_limit, kInvalidArgument,
            "--memory-limit ", Megabytes(options.memory_limit),
            " is too little to measure what formats cost; --memory-limit ", Megabytes(memory),
            " will do");
}

void CheckDisk(const QuantizeOptions& options, const QuantPlan& plan) {
  const std::filesystem::path partial = RunFolder::PartialOf(options.output);
  const int64_t missing = plan.disk - BytesIn(partial) - FreeDisk(options.output);
  AWQ_CHECK(missing <= 0, kIo, options.output.string(), ": the disk has too little room: about ",
            Megabytes(plan.disk), " are needed, ", Megabytes(missing), " more than are free");
}

bool PassportFits(const QuantizeOptions& options, int64_t memory, RunLog& log) {
  if (options.memory_limit == 0 || memory <= options.memory_limit) return true;
  log.Warn(Cat("no quality passport: it takes ", Megabytes(memory), ", more than --memory-limit ",
               Megabytes(options.memory_limit)));
  return false;
}

void WarnOfBlocks(const QuantPlan& plan, RunLog& log) {
  if (plan.moment_columns == 0) return;
  log.Warn(Cat("--memory-limit: second moments are kept in blocks of ", plan.moment_columns,
               " columns, as if inputs further apart were unrelated; whole ones, which serve the "
               "quality, take --memory-limit ",
               Megabytes(plan.whole_memory)));
}

namespace {

// A run's first unit, where no search was kept.
void AddSearch(const QuantizeOptions& options, const Subject& subject, const MachineSpeed& speed,
               int64_t process, QuantizePlan& plan) {
  if (HasSearch(options.reuse)) return;
  const SensitivityCost cost = CostOfSearch(options, subject, speed);
  const int64_t memory = process + cost.memory;
  CheckSearchFits(options, memory);
  plan.units.insert(plan.units.begin(),
                    {"formats", cost.seconds, memory, "one layer, as it is and rounded"});
  plan.seconds += cost.seconds;
  plan.memory = std::max(plan.memory, memory);
  plan.disk = std::max(plan.disk, cost.disk);
}

// A run's last unit. It must fit the limit, or else is left out.
void AddPassport(const QuantizeOptions& options, const Subject& subject, const MachineSpeed& speed,
                 int64_t process, RunLog& log, QuantizePlan& plan) {
  const int64_t tokens = TokensOfPassport(options, subject);
  const PassportCost cost = CostOfPassport(subject.source, speed, tokens);
  const int64_t memory = process + cost.memory;
  if (!PassportFits(options, memory, log)) return;
  const double seconds = cost.seconds + static_cast<double>(tokens) * cost.token_seconds;
  plan.units.push_back({"quality passport", seconds, memory, "three models and their logits"});
  plan.seconds += seconds;
  plan.memory = std::max(plan.memory, memory);
}

}  // namespace

QuantizePlan PlanRun(const QuantizeOptions& options, const Subject& subject, Backend& backend,
                     RunLog& log) {
  ThreadPool pool(backend.Info().threads);
  const PlanRequest request = RequestOf(options, subject);  // the memory held before measuring
  const MachineSpeed speed = MeasureSpeed(backend, pool);
  const QuantPlan plan = MakePlan(request, &speed);
  WarnOfBlocks(plan, log);
  QuantizePlan out;
  for (const PlanUnit& u : plan.units) {
    out.units.push_back({u.name, u.seconds, u.memory, u.largest});
  }
  // The source is hashed, the output too, after its shards have been copied once.
  const int64_t hashed = subject.NumBytes() + 2 * plan.output_bytes;
  out.seconds = plan.seconds + static_cast<double>(hashed) / MeasureHashing();
  out.memory = plan.memory;
  if (options.passport) AddPassport(options, subject, speed, request.process_bytes, log, out);
  out.memory_limit = options.memory_limit;
  out.disk = plan.disk;
  if (HasBudget(options)) AddSearch(options, subject, speed, request.process_bytes, out);
  out.free_disk = FreeDisk(options.output);
  out.activation_bytes = plan.stream_bytes + plan.kept_bytes + plan.metric_bytes;
  out.output_bytes = plan.output_bytes;
  out.moment_columns = plan.moment_columns;
  out.calib_tokens = request.tokens;
  out.flops = speed.product;
  out.warnings = log.report().warnings;
  return out;
}

}  // namespace awq
