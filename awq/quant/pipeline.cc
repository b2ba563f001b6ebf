#include "awq/quant/pipeline.h"

#include <future>
#include <limits>
#include <memory>
#include <optional>

#include "awq/quant/embed_blocks.h"
#include "awq/quant/fisher/fisher_pass.h"
#include "awq/quant/layer_quantizer.h"
#include "awq/quant/layer_writer.h"

namespace awq {
namespace {

RawJson ToJson(const LinearOutcome& o) {
  return {LinearName(o.id), o.alpha,  o.clipped,    o.error_before,
          o.error_after,    o.tokens, o.parameters, o.packed_bytes};
}

// JSON has no NaN or infinity.
double Number(const RawJson& json) {
  return json.is_number() ? json.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

class Pipeline {
 public:
  explicit Pipeline(const PipelineJob& job)
      : job_(job),
        kept_(job.backend, kKeptBytes, job.kept_memory, job.work / "kept"),
        writer_(job) {}
  ~Pipeline() {
    if (commit_.valid()) commit_.wait();
  }

  void Run() {
    const ModelSpec& model = job_.source.spec();
    CheckFormat(job_.source, job_.format, job_.options);
    const int64_t first = Restore();
    if (first < model.num_layers()) WeighOutputs();
    for (int64_t i = first; i < model.num_layers(); ++i) {
      job_.layer_begins(i);
      QuantizeLayer(i);
      Commit(i);
    }
    Settle();
    for (auto* store : {&store_, &prefix_}) {
      if (*store) (*store)->Remove();
      store->reset();
    }
    std::filesystem::remove_all(MetricFolder());
    if (first <= model.num_layers()) {
      writer_.CopyRest();
      Commit(model.num_layers());
      Settle();
    }
  }

 private:
  std::filesystem::path MetricFolder() const { return job_.work / kMetricFolder; }

  // A pass back through the model, if the method asks for one and it has not been made yet.
  void WeighOutputs() {
    const auto blocks = static_cast<int64_t>(job_.blocks.size());
    const auto weighed = static_cast<size_t>(job_.method.WeighedBlocks(job_.options, blocks));
    if (weighed == 0) return;
    const FisherJob job{
        job_.source,    job_.backend, job_.pool,    std::span(job_.blocks).first(weighed),
        MetricFolder(), job_.poll,    job_.weighing};
    weighed_tokens_ = NumTokens(job.blocks);
    FisherPass(job).Run();
    metrics_.emplace(job_.source.spec(), MetricFolder());
  }

  // Takes up the work where the journal ends. Returns the first unit that is to be done.
  int64_t Restore() {
    std::vector<RawJson> logs;
    int full = 0;
    int quantized = 0;
    int64_t next = 0;
    for (const RawJson& record : job_.journal ? job_.journal->records() : std::vector<RawJson>()) {
      logs.push_back(record.at("tensors"));
      full = record.at("stream").get<int>();
      quantized = record.at("prefix").get<int>();
      const auto unit = record.at("unit").get<int64_t>();
      if (unit < job_.source.spec().num_layers()) ReplayLayer(unit, record.at("linears"));
      next = unit + 1;
    }
    job_.writer.Restore(logs);
    if (next >= job_.source.spec().num_layers()) return next;
    const int64_t hidden = job_.source.spec().hidden;
    if (job_.method.NeedsCalibration()) {
      store_ = std::make_unique<ActivationStore>(job_.blocks, hidden, job_.work / "stream", full);
    }
    if (job_.method.FollowsPrefix()) {
      prefix_ =
          std::make_unique<ActivationStore>(job_.blocks, hidden, job_.work / "prefix", quantized);
    }
    for (ActivationStore* store : {store_.get(), prefix_.get()}) {
      if (store == nullptr) continue;
      if (next == 0) {
        EmbedBlocks(job_.backend, job_.source, *store, job_.poll);
        store->Commit();
      }
      store->BeforeOverwrite([this] { Settle(); });
    }
    return next;
  }

  void ReplayLayer(int64_t layer, const RawJson& linears) {
    job_.layer_begins(layer);
    writer_.Skip(layer);
    size_t i = 0;
    for (const LinearShape& shape : QuantizableLinears(job_.source.spec(), layer)) {
      const RawJson& l = linears.at(i++);
      job_.linear_done({layer, shape.id, l.at(1).get<std::string>(), Number(l.at(2)),
                        Number(l.at(3)), Number(l.at(4)), l.at(5).get<int64_t>(),
                        l.at(6).get<int64_t>(), l.at(7).get<int64_t>()});
    }
  }

  // Makes the unit final: its tensors and the streams behind it are flushed, then the journal says
  // so. The device works on that while the next layer is computed; Settle() waits for it.
  void Commit(int64_t unit) {
    const int full = store_ ? store_->Commit() : 0;
    const int quantized = prefix_ ? prefix_->Commit() : 0;
    if (job_.journal == nullptr) return;
    RawJson record = {{"unit", unit},
                      {"stream", full},
                      {"prefix", quantized},
                      {"linears", std::exchange(outcomes_, RawJson::array())},
                      {"tensors", job_.writer.Log()}};
    commit_ = std::async(std::launch::async, [this, record = std::move(record)] {
      job_.writer.Sync();
      if (store_) store_->Sync();
      if (prefix_) prefix_->Sync();
      job_.journal->Append(record);
    });
  }
  // Nothing that the last unit rests on may be overwritten before.
  void Settle() {
    if (commit_.valid()) commit_.get();
  }

  void QuantizeLayer(int64_t layer) {
    const LayerWeights weights(job_.source, layer);
    LayerParams params = weights.Stored();
    LayerJob work{job_.backend,
                  job_.pool,
                  job_.source.spec(),
                  layer,
                  job_.options,
                  weights,
                  {},
                  nullptr,
                  nullptr,
                  job_.source.checkpoint().model_type(),
                  job_.poll};
    if (metrics_) {
      work.metric = [&](LinearId id) { return metrics_->Read(layer, id); };
      work.metric_tokens = weighed_tokens_;
    }
    std::map<LinearId, QuantizedLinear> done =
        LayerQuantizer(job_, store_.get(), prefix_.get(), kept_).Run(work, params);
    Settle();
    writer_.Write(layer, params, done, [&](const LinearOutcome& outcome) {
      outcomes_.push_back(ToJson(outcome));
      job_.linear_done(outcome);
    });
    weights.Release();
  }

  const PipelineJob& job_;
  KeptRows kept_;
  LayerWriter writer_;
  std::future<void> commit_;                 // of the last unit
  RawJson outcomes_ = RawJson::array();      // of the present one
  std::unique_ptr<ActivationStore> store_;   // the full-precision model's residual stream
  std::unique_ptr<ActivationStore> prefix_;  // the quantized one's, for methods that follow it
  std::optional<MetricFiles> metrics_;       // of methods that ask for them
  int64_t weighed_tokens_ = 0;
};

}  // namespace

void RunPipeline(const PipelineJob& job) { Pipeline(job).Run(); }

void CheckFormat(const WeightSource& source, const PackFormat& format,
                 const MethodOptions& options) {
  const ModelSpec& model = source.spec();
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    for (const LinearShape& s : QuantizableLinears(model, i)) {
      const QuantScheme scheme = options.SchemeOf(i, s.id);
      if (scheme.bits == 16) continue;
      int64_t rows = 0;
      for (int64_t n : RowsOf(ModuleParts(source.model(), i, s.id))) rows += n;
      format.Check(scheme, rows, s.k, source.names().Module(s.id, i));
    }
  }
}

std::vector<std::string> SkippedModules(const WeightSource& source) {
  std::vector<std::string> out = {source.names().Module(Role::kHead)};
  for (int64_t layer = 0; layer < source.spec().num_layers(); ++layer) {
    for (const LinearShape& shape : LayerLinears(source.spec(), layer)) {
      if (!shape.quantizable) out.push_back(source.names().Module(shape.id, layer));
    }
  }
  if (source.spec().has_projections()) {
    out.push_back(source.names().Module(Role::kEmbedProjection));
    out.push_back(source.names().Module(Role::kHeadProjection));
  }
  return out;
}

}  // namespace awq
