#include "awq/quant/pipeline.h"

#include <future>
#include <limits>
#include <memory>
#include <optional>
#include <set>

#include "awq/checkpoint/fused_rows.h"
#include "awq/quant/embed_blocks.h"
#include "awq/quant/fisher/fisher_pass.h"
#include "awq/quant/layer_quantizer.h"

namespace awq {
namespace {

// One weight of all parts of a module, as the checkpoint keeps them.
QuantizedWeight WeightOf(const WeightSource& source, const std::vector<LinearShape>& parts,
                         std::map<LinearId, QuantizedLinear>& done) {
  if (parts.size() == 1) return std::move(done.at(parts[0].id).weight);
  std::vector<const QuantizedWeight*> weights;
  for (const LinearShape& part : parts) weights.push_back(&done.at(part.id).weight);
  return Fuse(weights, *source.names().FusedOf(parts[0].id.role));
}

Tensor BiasOf(const WeightSource& source, const std::vector<LinearShape>& parts,
              const LayerParams& params) {
  std::vector<TensorView> biases;
  for (const LinearShape& part : parts) biases.push_back(params.linears.at(part.id).bias.view());
  if (parts.size() == 1) return ConvertTo(biases[0], DType::kF32);
  return Fuse(biases, *source.names().FusedOf(parts[0].id.role));
}

// What stays in 16 bits, as f32.
Tensor KeptWeightOf(const WeightSource& source, const std::vector<LinearShape>& parts,
                    const LayerParams& params) {
  std::vector<Tensor> floats;
  std::vector<TensorView> views;
  for (const LinearShape& part : parts) {
    floats.push_back(ConvertTo(DenseWeight(params, part.id), DType::kF32));
    views.push_back(floats.back().view());
  }
  if (parts.size() == 1) return std::move(floats[0]);
  return Fuse(views, *source.names().FusedOf(parts[0].id.role));
}

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
      : job_(job), kept_(job.backend, kKeptBytes, job.kept_memory, job.work / "kept") {}
  ~Pipeline() {
    if (commit_.valid()) commit_.wait();
  }

  void Run() {
    const ModelSpec& model = job_.source.spec();
    for (int64_t i = 0; i < model.num_layers(); ++i) {
      for (const LinearShape& s : QuantizableLinears(model, i)) {
        const QuantScheme scheme = job_.options.SchemeOf(i, s.id);
        if (scheme.bits == 16) continue;
        int64_t rows = 0;
        for (int64_t n : RowsOf(ModuleParts(job_.source.model(), i, s.id))) rows += n;
        job_.format.Check(scheme, rows, s.k, job_.source.names().Module(s.id, i));
      }
    }
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
      CopyRest();
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
    for (const TokenBlock& b : job.blocks) weighed_tokens_ += static_cast<int64_t>(b.size());
    FisherPass(job).Run();
    metrics_.emplace(job_.source.spec(), MetricFolder());
  }

  // Everything that belongs to no layer, as it is: the last unit.
  void CopyRest() {
    const Checkpoint& checkpoint = job_.source.checkpoint();
    for (const std::string& name : checkpoint.Names()) {
      if (written_.contains(name)) continue;
      job_.poll();
      job_.writer.Write(name, checkpoint.Get(name).view());
      checkpoint.Release(name);
    }
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
    const NameMap& names = job_.source.names();
    job_.layer_begins(layer);
    for (const VectorShape& shape : LayerVectors(job_.source.spec(), layer)) {
      written_.insert(names.Weight(shape.role, layer));
      if (shape.bias) written_.insert(names.Bias(shape.role, layer));
    }
    for (const LinearShape& shape : LayerLinears(job_.source.spec(), layer)) {
      written_.insert(job_.source.SourceOf(shape.id, layer));
      if (shape.bias) written_.insert(names.Bias(shape.id, layer));
    }
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
    WriteLayer(layer, params, done);
    weights.Release();
  }

  void WriteLayer(int64_t layer, const LayerParams& params,
                  std::map<LinearId, QuantizedLinear>& done) {
    const NameMap& names = job_.source.names();
    for (const VectorShape& shape : LayerVectors(job_.source.spec(), layer)) {
      Tensor stored = ConvertTo(params.vectors.at(shape.role).view(), DType::kF32);
      for (float& w : stored.Span<float>()) w -= static_cast<float>(shape.offset);
      WriteLike(names.Weight(shape.role, layer), stored);
      if (shape.bias) {
        WriteLike(names.Bias(shape.role, layer), params.vector_biases.at(shape.role));
      }
    }
    for (const LinearShape& shape : LayerLinears(job_.source.spec(), layer)) {
      job_.poll();
      if (!shape.quantizable) {  // rescaled perhaps
        WriteLike(names.Weight(shape.id, layer),
                  std::get<Tensor>(params.linears.at(shape.id).weight));
        continue;
      }
      const std::vector<LinearShape> parts = ModuleParts(job_.source.model(), layer, shape.id);
      if (shape.id == parts.front().id) WriteModule(layer, parts, params, done);
    }
  }

  void WriteModule(int64_t layer, const std::vector<LinearShape>& parts, const LayerParams& params,
                   std::map<LinearId, QuantizedLinear>& done) {
    const std::string module = job_.source.names().Module(parts[0].id, layer);
    int64_t rows = 0;
    for (const LinearShape& part : parts) rows += part.n;
    const int64_t bytes = WriteWeight(layer, module, parts, params, done);
    if (parts[0].bias) WriteLike(module + ".bias", BiasOf(job_.source, parts, params));
    for (const LinearShape& part : parts) {
      const QuantizedLinear& linear = done.at(part.id);
      const LinearOutcome outcome{layer,
                                  part.id,
                                  linear.alpha,
                                  linear.clipped,
                                  linear.error_before,
                                  linear.error_after,
                                  linear.tokens,
                                  part.n * part.k,
                                  bytes * part.n / rows};
      outcomes_.push_back(ToJson(outcome));
      job_.linear_done(outcome);
    }
  }

  // Packed, or as it was stored; returns the bytes.
  int64_t WriteWeight(int64_t layer, const std::string& module,
                      const std::vector<LinearShape>& parts, const LayerParams& params,
                      std::map<LinearId, QuantizedLinear>& done) {
    const std::string name = job_.source.SourceOf(parts[0].id, layer);
    if (done.at(parts[0].id).weight.codes.empty()) {
      WriteLike(name, KeptWeightOf(job_.source, parts, params));
      return job_.source.checkpoint().Get(name).view().NumBytes();
    }
    const QuantizedWeight weight = WeightOf(job_.source, parts, done);
    const std::vector<NamedTensor> packed =
        job_.format.Pack(weight, module, job_.source.checkpoint().model_type());
    int64_t bytes = 0;
    for (const NamedTensor& t : packed) bytes += t.tensor.view().NumBytes();
    job_.writer.Write(packed);
    written_.insert(name);
    return bytes;
  }

  // Writes f32 values in the type the checkpoint stores that tensor in.
  void WriteLike(const std::string& name, const Tensor& values) {
    const Tensor rounded = ConvertTo(values.view(), job_.source.checkpoint().Get(name).dtype());
    job_.writer.Write(name, rounded.view());
    written_.insert(name);
  }

  const PipelineJob& job_;
  KeptRows kept_;
  std::future<void> commit_;                 // of the last unit
  RawJson outcomes_ = RawJson::array();      // of the present one
  std::unique_ptr<ActivationStore> store_;   // the full-precision model's residual stream
  std::unique_ptr<ActivationStore> prefix_;  // the quantized one's, for methods that follow it
  std::optional<MetricFiles> metrics_;       // of methods that ask for them
  int64_t weighed_tokens_ = 0;
  std::set<std::string> written_;  // names of the source that are done
};

}  // namespace

void RunPipeline(const PipelineJob& job) { Pipeline(job).Run(); }

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
