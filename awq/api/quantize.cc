#include "awq/api/quantize.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "awq/api/internal/choose_formats.h"
#include "awq/api/internal/loading.h"
#include "awq/api/internal/passport.h"
#include "awq/api/internal/passport_size.h"
#include "awq/api/internal/resources.h"
#include "awq/api/internal/run_identity.h"
#include "awq/api/internal/search_file.h"
#include "awq/api/internal/sensitivity.h"
#include "awq/api/internal/sensitivity_size.h"
#include "awq/api/version.h"
#include "awq/backend/make_backend.h"
#include "awq/base/clock.h"
#include "awq/checkpoint/companions.h"
#include "awq/checkpoint/manifest.h"
#include "awq/checkpoint/metadata.h"
#include "awq/checkpoint/shard_writer.h"
#include "awq/checkpoint/weights.h"
#include "awq/quant/calibration/calibration.h"
#include "awq/quant/fisher/metric_files.h"
#include "awq/quant/pipeline.h"
#include "awq/quant/plan.h"
#include "awq/quant/run_folder.h"
#include "awq/quant/starved_experts.h"

namespace awq {
namespace {

MethodOptions MakeMethodOptions(const QuantizeOptions& options, const PackFormat& format,
                                DType model_type) {
  MethodOptions out;
  out.rule.scheme = {.bits = options.bits, .group = options.group, .symmetric = options.symmetric};
  out.rule.scale_type = format.ScaleType(model_type);
  out.effort = options.effort;
  out.clip = options.clip;
  out.duo_scaling = options.duo_scaling;
  return out;
}

bool HasBudget(const QuantizeOptions& options) {
  return options.target_bits || options.max_kld || options.curve_only;
}

void CheckOptions(const QuantizeOptions& options) {
  AWQ_CHECK(options.bits == 4 || options.bits == 8, kInvalidArgument, "--w-bit ", options.bits,
            ": expected 4 (or 8 with compressed-tensors)");
  const bool group =
      options.group == -1 || options.group == 32 || options.group == 64 || options.group == 128;
  AWQ_CHECK(group, kInvalidArgument, "--group-size ", options.group,
            ": expected 32, 64, 128 or -1 (one group a row)");
  AWQ_CHECK(options.effort >= 0 && options.effort <= 3, kInvalidArgument, "--effort ",
            options.effort, ": expected 0 (fastest) to 3 (best)");
  AWQ_CHECK(!options.target_bits || !options.max_kld, kInvalidArgument,
            "--bits and --max-kld exclude each other");
  AWQ_CHECK(
      !HasBudget(options) || (options.bits == 4 && options.group > 0 && !options.autoawq_parity),
      kInvalidArgument,
      "a budget goes with --w-bit 4, a --group-size above 0, and without "
      "--autoawq-parity");
  AWQ_CHECK(options.eval_tokens >= 0, kInvalidArgument, "--eval-tokens: expected 0 or more, found ",
            options.eval_tokens);
  AWQ_CHECK(options.eval_text == "builtin" || std::filesystem::exists(options.eval_text), kNotFound,
            options.eval_text, ": no such file (--eval-text)");
  AWQ_CHECK(options.shard_bytes > 0, kInvalidArgument, "--shard-size: expected a positive size");
  AWQ_CHECK(!options.resume || !options.restart, kInvalidArgument,
            "--resume and --restart exclude each other");
  AWQ_CHECK(!options.autoawq_parity || options.method == "awq", kInvalidArgument,
            "--autoawq-parity goes with --method awq, not ", options.method);
}

std::string DescribeOptions(const QuantizeOptions& o) {
  RawJson json = {{"method", o.autoawq_parity ? "awq, AutoAWQ parity" : o.method},
                  {"format", o.format},
                  {"w_bit", o.bits},
                  {"group_size", o.group},
                  {"zero_point", !o.symmetric},
                  {"calib", std::filesystem::path(o.calib).filename().string()},
                  {"calib_column", o.calib_column},
                  {"calib_bos", o.calib_bos},
                  {"max_calib_samples", o.max_calib_samples},
                  {"max_calib_seq_len", o.max_calib_seq_len},
                  {"effort", o.effort},
                  {"clip", o.clip},
                  {"duo_scaling", o.duo_scaling},
                  {"seed", o.seed}};
  if (o.target_bits) json["bits"] = *o.target_bits;
  if (o.max_kld) json["max_kld"] = *o.max_kld;
  return json.dump();
}

// The methods compute on host tensors.
std::unique_ptr<Backend> MakeHostBackend(const QuantizeOptions& options) {
  AWQ_CHECK(options.device != "cuda", kUnsupported,
            "device cuda: quantization runs on the CPU; supported: auto, cpu, ref");
  return MakeBackend(options.device == "auto" ? "cpu" : options.device, options.threads);
}

// What the order of sums may depend on.
std::string MachineOf(const Backend& backend) {
  const BackendInfo info = backend.Info();
  return info.name + " " + info.device.substr(0, info.device.find(','));
}

bool IsAbsentOrEmpty(const std::filesystem::path& folder) {
  std::error_code ignored;
  return !std::filesystem::exists(folder, ignored) || std::filesystem::is_empty(folder, ignored);
}

// What the options name.
struct Subject {
  explicit Subject(const QuantizeOptions& options)
      : format(PackFormatByName(options.format)),
        checkpoint(OpenSource(options.model)),
        source(checkpoint, ReadModel(checkpoint->config())),
        method_options(MakeMethodOptions(options, format, checkpoint->model_type())),
        method(MakeQuantMethod(options.autoawq_parity ? "autoawq" : options.method)) {}

  static std::shared_ptr<const Checkpoint> OpenSource(const std::filesystem::path& model) {
    auto out = Checkpoint::Open(model);
    AWQ_CHECK(out->format() == nullptr, kInvalidArgument, model.string(),
              ": is already quantized (", out->format()->Name(), "); quantize the 16-bit original");
    return out;
  }

  const PackFormat& format;
  std::shared_ptr<const Checkpoint> checkpoint;
  WeightSource source;
  MethodOptions method_options;
  std::unique_ptr<QuantMethod> method;
};

class QuantizeRun {
 public:
  QuantizeRun(const QuantizeOptions& options, const QuantizeCallbacks& callbacks)
      : options_(options), callbacks_(callbacks) {
    CheckOptions(options_);
  }

  QuantizePlan Plan() {
    const Subject subject(options_);
    CheckFormat(subject);
    const std::vector<TokenBlock> blocks = LoadBlocks(*subject.method, subject.source);
    const auto backend = MakeHostBackend(options_);
    ThreadPool pool(backend->Info().threads);
    const PlanRequest request = Request(subject, blocks);  // with the memory held before measuring
    const MachineSpeed speed = MeasureSpeed(*backend, pool);
    const QuantPlan plan = MakePlan(request, &speed);
    WarnOfBlocks(plan);
    CountSource(*subject.checkpoint);
    QuantizePlan out;
    for (const PlanUnit& u : plan.units) {
      out.units.push_back({u.name, u.seconds, u.memory, u.largest});
    }
    // The source is hashed, the output too, after its shards have been copied once.
    const int64_t hashed = report_.source_bytes + 2 * plan.output_bytes;
    out.seconds = plan.seconds + static_cast<double>(hashed) / MeasureHashing();
    out.memory = plan.memory;
    if (options_.passport) AddPassport(subject, blocks, speed, request.process_bytes, out);
    out.memory_limit = options_.memory_limit;
    out.disk = plan.disk;
    if (HasBudget(options_)) AddSearch(subject, blocks, speed, request.process_bytes, out);
    out.free_disk = FreeDisk(options_.output);
    out.activation_bytes = plan.stream_bytes + plan.kept_bytes + plan.metric_bytes;
    out.output_bytes = plan.output_bytes;
    out.moment_columns = plan.moment_columns;
    out.calib_tokens = report_.calib_tokens;
    out.flops = speed.product;
    out.warnings = report_.warnings;
    return out;
  }

  QuantizeReport Execute() {
    Subject subject(options_);
    const auto& [format, checkpoint, source, method_options, method] = subject;
    if (!HasBudget(options_)) CheckFormat(subject);
    num_layers_ = source.spec().num_layers();
    for (int64_t i = 0; i < num_layers_; ++i) {
      layer_linears_.push_back(static_cast<int64_t>(QuantizableLinears(source.spec(), i).size()));
    }
    const bool exists = options_.resume && !IsAbsentOrEmpty(options_.output);
    std::optional<RunFolder> folder;
    if (!exists && !options_.curve_only) {
      folder.emplace(options_.output);
      CheckLeftovers(*folder);
    }

    const std::vector<TokenBlock> blocks = LoadBlocks(*method, source);
    const auto backend = MakeHostBackend(options_);
    FormatChoice choice;
    choice.groups.push_back({method_options.rule.scheme, {"Linear"}});
    if (HasBudget(options_)) {
      choice = Choose(source, format, *backend, blocks, folder ? folder->path() : WorkFolder());
      subject.method_options.schemes = choice.schemes;
      if (options_.curve_only) return std::move(report_);
    }
    std::vector<std::string> skipped = SkippedModules(source);
    skipped.insert(skipped.end(), choice.kept.begin(), choice.kept.end());
    const RawJson config = format.MixedConfig(choice.groups, skipped);
    const int64_t process = ProcessBytes();
    const QuantPlan plan = MakePlan(Request(subject, blocks), nullptr);
    CheckDisk(plan);
    WarnOfBlocks(plan);
    const RawJson described = RawJson::parse(DescribeOptions(options_));
    const RawJson input = IdentifyInput(*checkpoint, blocks, [&] { Poll(); });
    CountSource(*checkpoint);
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
      RunPipeline({source, *backend, pool, *method, format, method_options, blocks, writer,
                   folder->path(), journal.get(), plan.kept_memory, plan.moment_columns,
                   [&](int64_t layer) { LayerBegins(layer); },
                   [&](const LinearOutcome& o) { LinearDone(o); }, [&] { Poll(); },
                   callbacks_.weighing});
      for (const std::string& warning : starved_.Warnings()) Warn(warning);
      writer.Finish();
      WriteConfig(checkpoint->config(), config, folder->output());
      CopyCompanions(options_.model, folder->output());
      report_.seconds = SecondsSince(start_);
      const int64_t tokens = options_.passport ? TokensOfPassport(subject, blocks) : 0;
      if (tokens > 0 &&
          PassportFits(process + CostOfPassport(source, NominalSpeed(), tokens).memory)) {
        Measure(folder->output(), tokens, described, input.at("source"));
      }
      if (HasBudget(options_)) CompareWithBudget(choice);
      WriteManifest(folder->output(), Version(), described, input);
      Poll();
      folder->Commit();
      report_.output_bytes = writer.total_bytes();
    } catch (const Error& e) {
      Stop(e, *folder, *journal, plan);
    }
    report_.bits_per_weight =
        8.0 * static_cast<double>(packed_bytes_) / static_cast<double>(parameters_);
    return std::move(report_);
  }

 private:
  // A run's first unit, where no search was kept.
  void AddSearch(const Subject& subject, const std::vector<TokenBlock>& blocks,
                 const MachineSpeed& speed, int64_t process, QuantizePlan& plan) const {
    if (HasSearch(options_.reuse)) return;
    const SensitivityCost cost = CostOfSearch(subject.source, subject.format, blocks, speed);
    const int64_t memory = process + cost.memory;
    CheckSearchFits(memory);
    plan.units.insert(plan.units.begin(),
                      {"formats", cost.seconds, memory, "one layer, as it is and rounded"});
    plan.seconds += cost.seconds;
    plan.memory = std::max(plan.memory, memory);
    plan.disk = std::max(plan.disk, cost.disk);
  }

  SensitivityCost CostOfSearch(const WeightSource& source, const PackFormat& format,
                               const std::vector<TokenBlock>& blocks,
                               const MachineSpeed& speed) const {
    const auto schemes = static_cast<int64_t>(SchemesOf(options_, format).size());
    return CostOfSensitivity(source, schemes - 1, blocks, speed);  // one does not round
  }

  void CheckSearchFits(int64_t memory) const {
    AWQ_CHECK(options_.memory_limit == 0 || memory <= options_.memory_limit, kInvalidArgument,
              "--memory-limit ", Megabytes(options_.memory_limit),
              " is too little to measure what formats cost; --memory-limit ", Megabytes(memory),
              " will do");
  }

  // A run's last unit. It must fit the limit, or else is left out.
  void AddPassport(const Subject& subject, const std::vector<TokenBlock>& blocks,
                   const MachineSpeed& speed, int64_t process, QuantizePlan& plan) {
    const int64_t tokens = TokensOfPassport(subject, blocks);
    const PassportCost cost = CostOfPassport(subject.source, speed, tokens);
    const int64_t memory = process + cost.memory;
    if (!PassportFits(memory)) return;
    const double seconds = cost.seconds + static_cast<double>(tokens) * cost.token_seconds;
    plan.units.push_back({"quality passport", seconds, memory, "three models and their logits"});
    plan.seconds += seconds;
    plan.memory = std::max(plan.memory, memory);
  }

  bool PassportFits(int64_t memory) {
    if (options_.memory_limit == 0 || memory <= options_.memory_limit) return true;
    Warn(Cat("no quality passport: it takes ", Megabytes(memory), ", more than --memory-limit ",
             Megabytes(options_.memory_limit)));
    return false;
  }

  int64_t TokensOfPassport(const Subject& subject, const std::vector<TokenBlock>& blocks) const {
    if (options_.eval_tokens > 0) return options_.eval_tokens;
    const MachineSpeed nominal = NominalSpeed();
    PlanRequest request = Request(subject, blocks);
    request.memory_limit = 0;
    return PassportTokens(subject.source, MakePlan(request, &nominal));
  }

  // Before anything else is done.
  static void CheckFormat(const Subject& subject) {
    const ModelSpec& model = subject.source.spec();
    for (int64_t i = 0; i < model.num_layers(); ++i) {
      for (const LinearShape& s : QuantizableLinears(model, i)) {
        int64_t rows = 0;
        for (int64_t n : RowsOf(ModuleParts(subject.source.model(), i, s.id))) rows += n;
        subject.format.Check(subject.method_options.rule.scheme, rows, s.k,
                             subject.source.names().Module(s.id, i));
      }
    }
  }

  PlanRequest Request(const Subject& subject, const std::vector<TokenBlock>& blocks) const {
    int64_t longest = 0;
    for (const TokenBlock& b : blocks) longest = std::max(longest, static_cast<int64_t>(b.size()));
    return {.source = subject.source,
            .method = *subject.method,
            .options = subject.method_options,
            .tokens = report_.calib_tokens,
            .blocks = static_cast<int64_t>(blocks.size()),
            .longest_block = longest,
            .shard_bytes = options_.shard_bytes,
            .process_bytes = ProcessBytes(),
            .memory_limit = options_.memory_limit};
  }

  void WarnOfBlocks(const QuantPlan& plan) {
    if (plan.moment_columns == 0) return;
    Warn(Cat("--memory-limit: second moments are kept in blocks of ", plan.moment_columns,
             " columns, as if inputs further apart were unrelated; whole ones, which serve the "
             "quality, take --memory-limit ",
             Megabytes(plan.whole_memory)));
  }

  void CheckDisk(const QuantPlan& plan) const {
    const std::filesystem::path partial = RunFolder::PartialOf(options_.output);
    const int64_t missing = plan.disk - BytesIn(partial) - FreeDisk(options_.output);
    AWQ_CHECK(missing <= 0, kIo, options_.output.string(), ": the disk has too little room: about ",
              Megabytes(plan.disk), " are needed, ", Megabytes(missing), " more than are free");
  }

  // An interrupted run is neither mixed with another nor thrown away unasked.
  void CheckLeftovers(const RunFolder& folder) const {
    if (options_.resume || options_.restart) return;
    const auto journal = folder.OpenJournal();
    AWQ_CHECK(journal == nullptr, kInvalidArgument, folder.path().string(),
              ": holds an interrupted run, ", std::min(journal->size(), num_layers_), " of ",
              num_layers_, " layers done; --resume goes on with it, --restart discards it");
  }

  std::unique_ptr<Journal> OpenJournal(RunFolder& folder, const RawJson& identity) {
    auto journal = options_.resume ? folder.OpenJournal() : nullptr;
    if (journal == nullptr) return folder.Begin(identity);
    const std::string reason = WhyNotResumed(journal->identity(), identity);
    AWQ_CHECK(reason.empty(), kInvalidArgument, folder.path().string(), ": cannot resume: ", reason,
              "; --restart begins again");
    report_.resumed_layers = std::min(journal->size(), num_layers_);
    return journal;
  }

  // Leaves or removes what was done so far, and says so.
  [[noreturn]] void Stop(const Error& e, RunFolder& folder, const Journal& journal,
                         const QuantPlan& plan) const {
    const int64_t done = std::min(journal.size(), num_layers_);
    const std::string kept = Cat(folder.path().string(), " keeps ", done, " of ", num_layers_,
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
    report_.already_complete = true;
    report_.seconds = SecondsSince(start_);
    return std::move(report_);
  }

  void CountSource(const Checkpoint& checkpoint) {
    for (const auto& file : checkpoint.files()) {
      for (const std::string& name : file->Names()) {
        report_.source_bytes += file->Get(name).view().NumBytes();
      }
    }
  }

  // For streams where nothing is written.
  std::filesystem::path WorkFolder() const {
    if (!options_.reuse.empty()) return options_.reuse;
    return std::filesystem::temp_directory_path() / Cat("awq-", ::getpid());
  }

  // The formats within the budget, from what was measured now or before.
  FormatChoice Choose(const WeightSource& source, const PackFormat& format, Backend& backend,
                      const std::vector<TokenBlock>& blocks, const std::filesystem::path& work) {
    ThreadPool pool(backend.Info().threads);
    std::string tokens;
    for (const TokenBlock& b : blocks) {
      tokens.append(reinterpret_cast<const char*>(b.data()), b.size() * sizeof b.front());
    }
    std::vector<QuantScheme> schemes = SchemesOf(options_, format);
    std::string names;
    for (const QuantScheme& s : schemes) names += (names.empty() ? "" : ", ") + SchemeName(s);
    RawJson files = RawJson::object();
    if (!options_.reuse.empty()) {
      for (const auto& file : source.checkpoint().files()) {
        files[file->path().filename().string()] = Sha256(file->path());
      }
    }
    const RawJson identity = {{"model", files},
                              {"calibration", Sha256OfText(tokens)},
                              {"formats", names},
                              {"symmetric", options_.symmetric}};
    std::vector<BudgetSet> sets;
    if (!options_.reuse.empty()) sets = LoadSearch(options_.reuse, identity);
    if (sets.empty()) {
      CheckSearchFits(ProcessBytes() + CostOfSearch(source, format, blocks, NominalSpeed()).memory);
      sets = MeasureSensitivity({source, backend, pool, std::move(schemes),
                                 format.ScaleType(source.checkpoint().model_type()), blocks,
                                 work / "search", callbacks_.searching, [&] { Poll(); }});
      if (!options_.reuse.empty()) SaveSearch(options_.reuse, identity, sets);
    }
    FormatChoice choice = ChooseFormats(options_, source, std::move(sets));
    report_.curve = choice.curve;
    if (callbacks_.curve) callbacks_.curve(choice.curve);
    return choice;
  }

  void CompareWithBudget(const FormatChoice& choice) {
    if (!report_.quality) return;
    const double measured = report_.quality->quantized.divergence.mean;
    const std::string again = options_.reuse.empty()
                                  ? "; with --reuse DIR a second run would know"
                                  : "; the same command chooses by this measurement";
    if (options_.max_kld && measured > *options_.max_kld) {
      Warn(Cat("measured a KL divergence of ", measured, ", more than --max-kld ",
               *options_.max_kld, again));
    }
    if (!options_.reuse.empty() && choice.predicted_rtn > 0) {
      RecordMethodFactor(options_, measured / choice.predicted_rtn);
    }
  }

  std::vector<TokenBlock> LoadBlocks(const QuantMethod& method, const WeightSource& source) {
    if (!method.NeedsCalibration() && !HasBudget(options_)) return {};
    // Lists of token ids do without.
    const std::unique_ptr<const Tokenizer> tokenizer = options_.calib == "builtin"
                                                           ? Tokenizer::Load(options_.model)
                                                           : LoadTokenizerIfAny(options_.model);
    CalibrationOptions calibration{.source = options_.calib,
                                   .column = options_.calib_column,
                                   .max_samples = options_.max_calib_samples,
                                   .max_seq_len = options_.max_calib_seq_len,
                                   .bos = options_.calib_bos,
                                   .seed = options_.seed,
                                   .model = options_.model,
                                   .hub_caches = options_.hub_caches,
                                   .autoawq_rules = options_.autoawq_parity};
    // Learned positions end where the model's context does.
    if (source.spec().embed.positions > 0) {
      calibration.max_seq_len = std::min(calibration.max_seq_len, source.spec().context);
    }
    std::vector<TokenBlock> blocks = LoadCalibration(
        calibration, tokenizer.get(), source.spec().vocab, [&](const std::string& w) { Warn(w); });
    for (const TokenBlock& b : blocks) report_.calib_tokens += static_cast<int64_t>(b.size());
    return blocks;
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
      report_.quality = MeasureQuality(quality, {callbacks_.measuring, callbacks_.cancelled});
      WritePassport(output, {*report_.quality, described, report_.linears, source});
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kCancelled || e.code() == ErrorCode::kIo) throw;
      Warn(Cat("no quality passport: ", e.what()));
    }
  }

  void Warn(const std::string& warning) {
    report_.warnings.push_back(warning);
    if (callbacks_.warning) callbacks_.warning(warning);
  }

  void Poll() const {
    if (callbacks_.cancelled && callbacks_.cancelled()) {
      Fail(ErrorCode::kCancelled, "stopped; nothing was written");
    }
  }

  double Eta() const {
    const int64_t measured = layers_done_ - report_.resumed_layers;
    if (measured <= 0) return 0;
    const double spent = std::chrono::duration<double>(last_layer_ - first_layer_).count();
    const auto left = static_cast<double>(num_layers_ - layers_done_);
    return std::max(0.0, spent / static_cast<double>(measured) * left - SecondsSince(last_layer_));
  }

  void Report(QuantizeEvent event) {
    event.num_layers = num_layers_;
    event.layer_linears = layer_linears_.at(static_cast<size_t>(event.layer));
    event.seconds = SecondsSince(start_);
    event.eta_seconds = Eta();
    if (callbacks_.progress) callbacks_.progress(event);
    if (!event.linear.empty()) report_.linears.push_back(std::move(event));
  }

  void LayerBegins(int64_t layer) {
    last_layer_ = Clock::now();
    if (layer <= report_.resumed_layers) first_layer_ = last_layer_;
    layers_done_ = layer;
    QuantizeEvent event;
    event.layer = layer;
    Report(std::move(event));
  }

  void LinearDone(const LinearOutcome& o) {
    starved_.Note(o);
    packed_bytes_ += o.packed_bytes;
    parameters_ += o.parameters;
    QuantizeEvent event;
    event.layer = o.layer;
    event.linear = LinearName(o.id);
    event.alpha = o.alpha;
    event.clipped = o.clipped;
    event.error_before = o.error_before;
    event.error_after = o.error_after;
    Report(std::move(event));
  }

  const QuantizeOptions& options_;
  const QuantizeCallbacks& callbacks_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point first_layer_ = start_;
  Clock::time_point last_layer_ = start_;
  int64_t num_layers_ = 0;
  std::vector<int64_t> layer_linears_;  // that are quantized
  int64_t layers_done_ = 0;
  int64_t packed_bytes_ = 0;
  int64_t parameters_ = 0;
  StarvedExperts starved_;
  QuantizeReport report_;
};

}  // namespace

QuantizePlan PlanQuantize(const QuantizeOptions& options, const QuantizeCallbacks& callbacks) {
  return QuantizeRun(options, callbacks).Plan();
}

QuantizeReport Quantize(const QuantizeOptions& options, const QuantizeCallbacks& callbacks) {
  return QuantizeRun(options, callbacks).Execute();
}

}  // namespace awq
