#include "awq/api/quantize.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "awq/api/internal/budget.h"
#include "awq/api/internal/passport.h"
#include "awq/api/internal/passport_size.h"
#include "awq/api/internal/quantize_options.h"
#include "awq/api/internal/resources.h"
#include "awq/api/internal/run_costs.h"
#include "awq/api/internal/run_identity.h"
#include "awq/api/internal/run_log.h"
#include "awq/api/internal/subject.h"
#include "awq/api/version.h"
#include "awq/checkpoint/companions.h"
#include "awq/checkpoint/manifest.h"
#include "awq/checkpoint/metadata.h"
#include "awq/checkpoint/shard_writer.h"
#include "awq/quant/fisher/metric_files.h"
#include "awq/quant/pipeline.h"
#include "awq/quant/plan.h"
#include "awq/quant/run_folder.h"

namespace awq {
namespace {

// What the order of sums may depend on.
std::string MachineOf(const Backend& backend) {
  const BackendInfo info = backend.Info();
  return info.name + " " + info.device.substr(0, info.device.find(','));
}

bool IsAbsentOrEmpty(const std::filesystem::path& folder) {
  std::error_code ignored;
  return !std::filesystem::exists(folder, ignored) || std::filesystem::is_empty(folder, ignored);
}

class QuantizeRun {
 public:
  QuantizeRun(const QuantizeOptions& options, const QuantizeCallbacks& callbacks)
      : options_(options), callbacks_(callbacks), log_(callbacks) {
    CheckOptions(options_);
  }

  QuantizePlan Plan() {
    Subject subject(options_);
    CheckFormat(subject.source, subject.format, subject.method_options);
    subject.LoadBlocks(options_, log_);
    return PlanRun(options_, subject, *MakeHostBackend(options_), log_);
  }

  QuantizeReport Execute() {
    Subject subject(options_);
    const WeightSource& source = subject.source;
    if (!HasBudget(options_)) CheckFormat(source, subject.format, subject.method_options);
    log_.ExpectLayers(subject.NumLinears());
    const bool exists = options_.resume && !IsAbsentOrEmpty(options_.output);
    std::optional<RunFolder> folder;
    if (!exists && !options_.curve_only) {
      folder.emplace(options_.output);
      CheckLeftovers(*folder);
    }

    subject.LoadBlocks(options_, log_);
    const auto backend = MakeHostBackend(options_);
    RawJson input;  // reads the whole source: where it can, after what may end the run
    const auto identify = [&] {
      if (input.is_null()) {
        input = IdentifyInput(*subject.checkpoint, subject.blocks, [&] { log_.Poll(); });
      }
    };
    FormatChoice choice;
    choice.groups.push_back({subject.method_options.rule.scheme, {"Linear"}});
    if (HasBudget(options_)) {
      if (!options_.reuse.empty()) identify();
      choice = ChooseWithinBudget(options_, subject, input, *backend,
                                  folder ? folder->path() : WorkFolder(), log_);
      subject.method_options.schemes = choice.schemes;
      if (options_.curve_only) return std::move(log_.report());
    }
    std::vector<std::string> skipped = SkippedModules(source);
    skipped.insert(skipped.end(), choice.kept.begin(), choice.kept.end());
    const RawJson config = subject.format.MixedConfig(choice.groups, skipped);
    const int64_t process = ProcessBytes();
    const QuantPlan plan = MakePlan(RequestOf(options_, subject), nullptr);
    CheckDisk(options_, plan);
    WarnOfBlocks(plan, log_);
    const RawJson described = RawJson::parse(DescribeOptions(options_));
    identify();
    log_.report().source_bytes = subject.NumBytes();
    if (exists) return FinishedBefore(described, input);

    const RawJson identity = {
        {"program", Cat("awq.cpp ", Version())},  {"build", BuildId()},
        {"machine", MachineOf(*backend)},         {"options", described},
        {"shard_size", options_.shard_bytes},     {"moment_columns", plan.moment_columns},
        {"formats", Sha256OfText(config.dump())}, {"source", input.at("source")},
        {"calibration", input.at("calibration")}};
    const std::unique_ptr<Journal> journal = OpenJournal(*folder, identity);
    try {
      ThreadPool pool(backend->Info().threads);
      ShardWriter writer(folder->output(), options_.shard_bytes, Metadata(described.dump()));
      RunPipeline({source, *backend, pool, *subject.method, subject.format, subject.method_options,
                   subject.blocks, writer, folder->path(), journal.get(), plan.kept_memory,
                   plan.moment_columns, [&](int64_t layer) { log_.LayerBegins(layer); },
                   [&](const LinearOutcome& o) { log_.LinearDone(o); }, [&] { log_.Poll(); },
                   callbacks_.weighing});
      log_.LayersDone();
      writer.Finish();
      WriteConfig(subject.checkpoint->config(), config, folder->output());
      CopyCompanions(options_.model, folder->output());
      log_.report().seconds = log_.Seconds();
      const int64_t tokens = options_.passport ? TokensOfPassport(options_, subject) : 0;
      const auto memory = [&] { return CostOfPassport(source, NominalSpeed(), tokens).memory; };
      if (tokens > 0 && PassportFits(options_, process + memory(), log_)) {
        Measure(folder->output(), tokens, described, input.at("source"));
      }
      if (HasBudget(options_)) CompareWithBudget(options_, choice, log_);
      WriteManifest(folder->output(), Version(), described, input);
      log_.Poll();
      folder->Commit();
      log_.report().output_bytes = writer.total_bytes();
    } catch (const Error& e) {
      Stop(e, *folder, *journal, plan);
    }
    return std::move(log_.report());
  }

 private:
  // An interrupted run is neither mixed with another nor thrown away unasked.
  void CheckLeftovers(const RunFolder& folder) const {
    if (options_.resume || options_.restart) return;
    const auto journal = folder.OpenJournal();
    AWQ_CHECK(journal == nullptr, kInvalidArgument, folder.path().string(),
              ": holds an interrupted run, ", std::min(journal->size(), log_.num_layers()), " of ",
              log_.num_layers(), " layers done; --resume goes on with it, --restart discards it");
  }

  std::unique_ptr<Journal> OpenJournal(RunFolder& folder, const RawJson& identity) {
    auto journal = options_.resume ? folder.OpenJournal() : nullptr;
    if (journal == nullptr) return folder.Begin(identity);
    const std::string reason = WhyNotResumed(journal->identity(), identity);
    AWQ_CHECK(reason.empty(), kInvalidArgument, folder.path().string(), ": cannot resume: ", reason,
              "; --restart begins again");
    log_.report().resumed_layers = std::min(journal->size(), log_.num_layers());
    return journal;
  }

  // Leaves or removes what was done so far, and says so.
  [[noreturn]] void Stop(const Error& e, RunFolder& folder, const Journal& journal,
                         const QuantPlan& plan) const {
    const int64_t done = std::min(journal.size(), log_.num_layers());
    const std::string kept = Cat(folder.path().string(), " keeps ", done, " of ", log_.num_layers(),
                                 " layers; the same command with --resume goes on");
    const bool worth = done > 0 || MetricFiles::AnyIn(folder.path());
    if (e.code() == ErrorCode::kCancelled && worth) Fail(e.code(), "stopped; ", kept);
    if (e.code() == ErrorCode::kIo || e.code() == ErrorCode::kOutOfMemory) {
      const int64_t missing = plan.disk - BytesIn(folder.path()) - FreeDisk(folder.target());
      const bool full = e.code() == ErrorCode::kIo && missing > 0;
      Fail(e.code(), e.what(), full ? Cat("; about ", Megabytes(missing), " more are needed") : "",
           "; ", kept);
    }
    folder.Discard();
    if (e.code() == ErrorCode::kCancelled) {
      Fail(e.code(), "stopped before the first layer was done; nothing was written");
    }
    throw e;
  }

  QuantizeReport FinishedBefore(const RawJson& described, const RawJson& input) {
    AWQ_CHECK(IsFinished(options_.output, Version(), described, input), kInvalidArgument,
              options_.output.string(),
              ": output exists and is not the result of this command; remove it or choose another "
              "name");
    std::error_code ignored;
    std::filesystem::remove_all(RunFolder::PartialOf(options_.output), ignored);
    log_.report().already_complete = true;
    log_.report().seconds = log_.Seconds();
    return std::move(log_.report());
  }

  // For streams where nothing is written.
  std::filesystem::path WorkFolder() const {
    if (!options_.reuse.empty()) return options_.reuse;
    return std::filesystem::temp_directory_path() / Cat("awq-", ::getpid());
  }

  std::map<std::string, std::string> Metadata(const std::string& options) const {
    std::map<std::string, std::string> out = {{"quantized_by", Cat("awq.cpp ", Version())},
                                              {"awq_options", options}};
    if (options_.passport) out.emplace(kDigestKey, ReservedMetadata(kDigestBytes));
    return out;
  }

  // On a number of tokens that depends on nothing but the options, so that equal runs write equal
  // files. What goes wrong here is no reason to lose the checkpoint.
  void Measure(const std::filesystem::path& output, int64_t tokens, const RawJson& described,
               const RawJson& source) {
    const QualityOptions quality{.model = output,
                                 .source = options_.model,
                                 .text = options_.eval_text,
                                 .max_tokens = tokens,
                                 .device = options_.device == "auto" ? "cpu" : options_.device,
                                 .threads = options_.threads};
    try {
      log_.report().quality = MeasureQuality(quality, {callbacks_.measuring, callbacks_.cancelled});
      WritePassport(output, {*log_.report().quality, described, log_.report().linears, source});
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kCancelled || e.code() == ErrorCode::kIo) throw;
      log_.Warn(Cat("no quality passport: ", e.what()));
    }
  }

  const QuantizeOptions& options_;
  const QuantizeCallbacks& callbacks_;
  RunLog log_;
};

}  // namespace

QuantizePlan PlanQuantize(const QuantizeOptions& options, const QuantizeCallbacks& callbacks) {
  return QuantizeRun(options, callbacks).Plan();
}

QuantizeReport Quantize(const QuantizeOptions& options, const QuantizeCallbacks& callbacks) {
  return QuantizeRun(options, callbacks).Execute();
}

}  // namespace awq
