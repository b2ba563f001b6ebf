#include "awq/api/internal/budget.h"

#include "awq/api/internal/resources.h"
#include "awq/api/internal/run_costs.h"
#include "awq/api/internal/search_file.h"
#include "awq/api/internal/sensitivity.h"
#include "awq/base/threads.h"

namespace awq {

FormatChoice ChooseWithinBudget(const QuantizeOptions& options, const Subject& subject,
                                const RawJson& input, Backend& backend,
                                const std::filesystem::path& work, RunLog& log) {
  ThreadPool pool(backend.Info().threads);
  std::vector<QuantScheme> schemes = SchemesOf(options, subject.format);
  std::string names;
  for (const QuantScheme& s : schemes) names += (names.empty() ? "" : ", ") + SchemeName(s);
  RawJson identity = {{"formats", names}, {"symmetric", options.symmetric}};
  std::vector<BudgetSet> sets;
  if (!options.reuse.empty()) {
    for (const auto& file : subject.checkpoint->files()) {  // not on what lies beside the weights
      const std::string name =
          file->path().lexically_relative(subject.checkpoint->folder()).string();
      identity["model"][name] = input.at("source").at(name);
    }
    identity["calibration"] = input.at("calibration");
    sets = LoadSearch(options.reuse, identity);
  }
  if (sets.empty()) {
    CheckSearchFits(options,
                    ProcessBytes() + CostOfSearch(options, subject, NominalSpeed()).memory);
    sets = MeasureSensitivity({subject.source, backend, pool, std::move(schemes),
                               subject.format.ScaleType(subject.checkpoint->model_type()),
                               subject.blocks, work / "search", log.callbacks().searching,
                               [&] { log.Poll(); }});
    if (!options.reuse.empty()) SaveSearch(options.reuse, identity, sets);
  }
  FormatChoice choice = ChooseFormats(options, subject.source, std::move(sets));
  log.report().curve = choice.curve;
  if (log.callbacks().curve) log.callbacks().curve(choice.curve);
  return choice;
}

void CompareWithBudget(const QuantizeOptions& options, const FormatChoice& choice, RunLog& log) {
  if (!log.report().quality) return;
  const double measured = log.report().quality->quantized.divergence.mean;
  const std::string again = options.reuse.empty()
                                ? "; with --reuse DIR a second run would know"
                                : "; the same command chooses by this measurement";
  if (options.max_kld && measured > *options.max_kld) {
    log.Warn(Cat("measured a KL divergence of ", measured, ", more than --max-kld ",
                 *options.max_kld, again));
  }
  if (!options.reuse.empty() && choice.predicted_rtn > 0) {
    RecordMethodFactor(options, measured / choice.predicted_rtn);
  }
}

}  // namespace awq
