#include "awq/api/quantize.h"

#include <chrono>
#include <memory>
#include <optional>

#include "awq/api/version.h"
#include "awq/backend/make_backend.h"
#include "awq/base/file.h"
#include "awq/checkpoint/companions.h"
#include "awq/checkpoint/manifest.h"
#include "awq/checkpoint/shard_writer.h"
#include "awq/checkpoint/weights.h"
#include "awq/quant/calibration.h"
#include "awq/quant/pipeline.h"

namespace awq {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

MethodOptions MakeMethodOptions(const QuantizeOptions& options, const PackFormat& format,
                                DType model_type) {
  MethodOptions out;
  out.rule.scheme = {.bits = options.bits, .group = options.group, .symmetric = options.symmetric};
  out.rule.scale_type = format.ScaleType(model_type);
  out.clip = options.clip;
  out.duo_scaling = options.duo_scaling;
  return out;
}

void CheckOptions(const QuantizeOptions& options) {
  AWQ_CHECK(options.bits == 4 || options.bits == 8, kInvalidArgument, "--w-bit ", options.bits,
            ": expected 4 (or 8 with compressed-tensors)");
  const bool group =
      options.group == -1 || options.group == 32 || options.group == 64 || options.group == 128;
  AWQ_CHECK(group, kInvalidArgument, "--group-size ", options.group,
            ": expected 32, 64, 128 or -1 (one group a row)");
  AWQ_CHECK(options.shard_bytes > 0, kInvalidArgument, "--shard-size: expected a positive size");
  AWQ_CHECK(!options.autoawq_parity || options.method == "awq", kInvalidArgument,
            "--autoawq-parity goes with --method awq, not ", options.method);
}

std::string DescribeOptions(const QuantizeOptions& o) {
  const RawJson json = {{"method", o.autoawq_parity ? "awq, AutoAWQ parity" : o.method},
                        {"format", o.format},
                        {"w_bit", o.bits},
                        {"group_size", o.group},
                        {"zero_point", !o.symmetric},
                        {"calib", std::filesystem::path(o.calib).filename().string()},
                        {"max_calib_samples", o.max_calib_samples},
                        {"max_calib_seq_len", o.max_calib_seq_len},
                        {"clip", o.clip},
                        {"duo_scaling", o.duo_scaling},
                        {"seed", o.seed}};
  return json.dump();
}

// The methods compute on host tensors.
std::unique_ptr<Backend> MakeHostBackend(const QuantizeOptions& options) {
  AWQ_CHECK(options.device != "cuda", kUnsupported,
            "device cuda: quantization runs on the CPU; supported: auto, cpu, ref");
  return MakeBackend(options.device == "auto" ? "cpu" : options.device, options.threads);
}

class QuantizeRun {
 public:
  QuantizeRun(const QuantizeOptions& options, const QuantizeCallbacks& callbacks)
      : options_(options), callbacks_(callbacks) {}

  QuantizeReport Execute() {
    CheckOptions(options_);
    const PackFormat& format = PackFormatByName(options_.format);
    const auto checkpoint = Checkpoint::Open(options_.model);
    AWQ_CHECK(checkpoint->format() == nullptr, kInvalidArgument, options_.model.string(),
              ": is already quantized (", checkpoint->format()->Name(),
              "); quantize the 16-bit original");
    const WeightSource source(checkpoint, ReadModel(checkpoint->config()));
    const MethodOptions method_options =
        MakeMethodOptions(options_, format, checkpoint->model_type());
    const auto method = MakeQuantMethod(options_.autoawq_parity ? "autoawq" : options_.method);
    OutputFolder output(options_.output);

    const std::vector<TokenBlock> blocks = LoadBlocks(*method, source);
    const auto backend = MakeHostBackend(options_);
    ThreadPool pool(backend->Info().threads);
    const std::string described = DescribeOptions(options_);
    ShardWriter writer(output.path(), options_.shard_bytes,
                       {{"quantized_by", Cat("awq.cpp ", Version())}, {"awq_options", described}});
    num_layers_ = source.spec().num_layers();
    RunPipeline({source, *backend, pool, *method, format, method_options, blocks, writer,
                 [&](int64_t layer) { LayerBegins(layer); },
                 [&](const LinearOutcome& o) { LinearDone(o); }, [&] { Poll(); }});
    writer.Finish();
    WriteConfig(checkpoint->config(),
                format.Config(method_options.rule.scheme, SkippedModules(source)), output.path());
    CopyCompanions(options_.model, output.path());
    WriteManifest(output.path(), Version(), RawJson::parse(described));
    Poll();
    output.Commit();

    for (const auto& file : checkpoint->files()) {
      for (const std::string& name : file->Names()) {
        report_.source_bytes += file->Get(name).view().NumBytes();
      }
    }
    report_.output_bytes = writer.total_bytes();
    report_.bits_per_weight =
        8.0 * static_cast<double>(packed_bytes_) / static_cast<double>(parameters_);
    report_.seconds = SecondsSince(start_);
    return std::move(report_);
  }

 private:
  std::vector<TokenBlock> LoadBlocks(const QuantMethod& method, const WeightSource& source) {
    if (!method.NeedsCalibration()) return {};
    const auto tokenizer = Tokenizer::Load(options_.model);
    const CalibrationOptions calibration{.source = options_.calib,
                                         .max_samples = options_.max_calib_samples,
                                         .max_seq_len = options_.max_calib_seq_len,
                                         .seed = options_.seed,
                                         .autoawq_rules = options_.autoawq_parity};
    std::vector<TokenBlock> blocks = LoadCalibration(calibration, *tokenizer, source.spec().vocab,
                                                     [&](const std::string& w) { Warn(w); });
    for (const TokenBlock& b : blocks) report_.calib_tokens += static_cast<int64_t>(b.size());
    return blocks;
  }

  void Warn(const std::string& warning) {
    report_.warnings.push_back(warning);
    if (callbacks_.warning) callbacks_.warning(warning);
  }

  void Poll() const {
    if (callbacks_.cancelled && callbacks_.cancelled()) {
      Fail(ErrorCode::kCancelled, "cancelled; nothing was written");
    }
  }

  double Eta() const {
    if (layers_done_ == 0) return 0;
    const double spent = std::chrono::duration<double>(last_layer_ - first_layer_).count();
    const auto left = static_cast<double>(num_layers_ - layers_done_);
    return std::max(0.0,
                    spent / static_cast<double>(layers_done_) * left - SecondsSince(last_layer_));
  }

  void Report(QuantizeEvent event) {
    event.num_layers = num_layers_;
    event.seconds = SecondsSince(start_);
    event.eta_seconds = Eta();
    if (callbacks_.progress) callbacks_.progress(event);
    if (!event.linear.empty()) report_.linears.push_back(std::move(event));
  }

  void LayerBegins(int64_t layer) {
    last_layer_ = Clock::now();
    if (layer == 0) first_layer_ = last_layer_;
    layers_done_ = layer;
    QuantizeEvent event;
    event.layer = layer;
    Report(std::move(event));
  }

  void LinearDone(const LinearOutcome& o) {
    packed_bytes_ += o.packed_bytes;
    parameters_ += o.parameters;
    QuantizeEvent event;
    event.layer = o.layer;
    event.linear = RoleName(o.role);
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
  int64_t layers_done_ = 0;
  int64_t packed_bytes_ = 0;
  int64_t parameters_ = 0;
  QuantizeReport report_;
};

}  // namespace

QuantizeReport Quantize(const QuantizeOptions& options, const QuantizeCallbacks& callbacks) {
  return QuantizeRun(options, callbacks).Execute();
}

}  // namespace awq
