#include "awq/quant/pipeline.h"

#include <cmath>
#include <memory>
#include <set>

#include "awq/nn/batch_builder.h"

namespace awq {
namespace {

void CheckFinite(const WeightSource& source, const std::string& name, const TensorView& view) {
  for (float v : view.Span<const float>()) {
    if (std::isfinite(v)) continue;
    Fail(ErrorCode::kCorrupt, source.checkpoint().FileOf(name).string(), ": ", name,
         ": expected finite values, found ", v);
  }
}

// The layer in f32, all of it owned, checked.
LayerParams LoadLayer(const WeightSource& source, int64_t layer) {
  LayerParams out;
  for (const LinearShape& shape : LayerLinears(source.spec(), layer)) {
    LinearWeight from = source.Linear(shape, layer);
    LinearWeight& to = out.linears[shape.role];
    Tensor dense = source.DenseF32(shape, layer);
    CheckFinite(source, source.names().Weight(shape.role, layer), dense.view());
    to.weight = std::move(dense);
    if (!from.bias.empty()) {
      to.bias = ConvertTo(from.bias.view(), DType::kF32);
      CheckFinite(source, source.names().Bias(shape.role, layer), to.bias.view());
    }
  }
  for (const VectorShape& shape : LayerVectors(source.spec(), layer)) {
    Tensor v = source.Vector(shape.role, layer, shape.size);
    CheckFinite(source, source.names().Weight(shape.role, layer), v.view());
    out.vectors.emplace(shape.role, std::move(v));
  }
  return out;
}

// A copy that a method may change while the original still runs calibration.
LayerParams Clone(const LayerParams& from) {
  LayerParams out;
  for (const auto& [role, linear] : from.linears) {
    out.linears[role].weight = ConvertTo(DenseWeight(from, role), DType::kF32);
    if (!linear.bias.empty()) out.linears[role].bias = ConvertTo(linear.bias.view(), DType::kF32);
  }
  for (const auto& [role, v] : from.vectors) {
    out.vectors.emplace(role, ConvertTo(v.view(), DType::kF32));
  }
  return out;
}

// Embeds all calibration blocks into the store.
void EmbedBlocks(const PipelineJob& job, ActivationStore& store) {
  const Tensor table = job.source.Embedding();
  for (const auto& piece : store.Pieces(2048)) {
    BatchBuilder builder;
    const Batch batch = BuildFreshBatch(builder, job.backend, store.Blocks(piece));
    job.backend.Embed(batch.tokens, table.view(), store.Rows(piece));
  }
}

// Of activations kept within a layer, beside the stores.
constexpr int64_t kKeepBytes = int64_t{2} << 30;

class Pipeline {
 public:
  explicit Pipeline(const PipelineJob& job) : job_(job) {
    if (job.method.NeedsCalibration()) {
      store_ = std::make_unique<ActivationStore>(job.blocks, job.source.spec().hidden);
    }
    if (job.method.FollowsPrefix()) {
      prefix_ = std::make_unique<ActivationStore>(job.blocks, job.source.spec().hidden);
    }
  }

  void Run() {
    const ModelSpec& model = job_.source.spec();
    for (int64_t i = 0; i < model.num_layers(); ++i) {
      for (const LinearShape& s : LayerLinears(model, i)) {
        job_.format.Check(job_.options.rule.scheme, s.n, s.k,
                          job_.source.names().Module(s.role, i));
      }
    }
    if (store_) EmbedBlocks(job_, *store_);
    if (prefix_) EmbedBlocks(job_, *prefix_);
    for (int64_t i = 0; i < model.num_layers(); ++i) {
      job_.layer_begins(i);
      QuantizeLayer(i);
    }
    // Everything that belongs to no layer, as it is.
    for (const std::string& name : job_.source.checkpoint().Names()) {
      if (written_.contains(name)) continue;
      job_.poll();
      job_.writer.Write(name, job_.source.checkpoint().Get(name).view());
    }
  }

 private:
  void QuantizeLayer(int64_t layer) {
    LayerParams params = LoadLayer(job_.source, layer);
    LayerJob work{job_.backend, job_.pool,    job_.source.spec(),
                  layer,        job_.options, {},
                  nullptr,      nullptr,      job_.source.checkpoint().model_type(),
                  job_.poll};
    std::unique_ptr<LayerRunner> runner;
    std::map<Role, QuantizedLinear> done;
    if (prefix_) {
      LayerPair pair(job_.backend, job_.source.spec(), layer, *store_, *prefix_, kKeepBytes);
      work.pair = &pair;
      done = RunMethod(work, params);
    } else if (store_) {
      runner = std::make_unique<LayerRunner>(job_.backend, job_.source.spec(), layer, *store_);
      work.runner = runner.get();
      MomentsTap tap(job_.backend, job_.method.SampleStride(store_->num_tokens()));
      if (job_.method.ReplaysInputs()) {
        runner->Observe(params, &tap, job_.poll);
        work.moments = tap.Finish();
        LayerParams changed = Clone(params);
        done = RunMethod(work, changed);
        runner->Advance(params, nullptr, job_.poll);
        params = std::move(changed);
      } else {
        runner->Advance(params, &tap, job_.poll);
        work.moments = tap.Finish();
        done = RunMethod(work, params);
      }
    } else {
      done = RunMethod(work, params);
    }
    WriteLayer(layer, params, done);
  }

  std::map<Role, QuantizedLinear> RunMethod(LayerJob& work, LayerParams& params) const {
    try {
      return job_.method.Run(work, params);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kInternal) throw;
      Fail(e.code(), "layer ", work.layer, ": ", e.what());
    }
  }

  void WriteLayer(int64_t layer, const LayerParams& params,
                  const std::map<Role, QuantizedLinear>& done) {
    const Checkpoint& checkpoint = job_.source.checkpoint();
    const NameMap& names = job_.source.names();
    for (const VectorShape& shape : LayerVectors(job_.source.spec(), layer)) {
      WriteLike(checkpoint, names.Weight(shape.role, layer), params.vectors.at(shape.role));
    }
    for (const LinearShape& shape : LayerLinears(job_.source.spec(), layer)) {
      job_.poll();
      const std::string module = names.Module(shape.role, layer);
      const QuantizedLinear& linear = done.at(shape.role);
      const std::vector<NamedTensor> packed =
          job_.format.Pack(linear.weight, module, checkpoint.model_type());
      int64_t bytes = 0;
      for (const NamedTensor& t : packed) bytes += t.tensor.view().NumBytes();
      job_.writer.Write(packed);
      written_.insert(module + ".weight");
      if (shape.bias) WriteLike(checkpoint, module + ".bias", params.linears.at(shape.role).bias);
      job_.linear_done({layer, shape.role, linear.alpha, linear.clipped, linear.error_before,
                        linear.error_after, shape.n * shape.k, bytes});
    }
  }

  // Writes f32 values in the type the checkpoint stores that tensor in.
  void WriteLike(const Checkpoint& checkpoint, const std::string& name, const Tensor& values) {
    const Tensor rounded = ConvertTo(values.view(), checkpoint.Get(name).dtype());
    job_.writer.Write(name, rounded.view());
    written_.insert(name);
  }

  const PipelineJob& job_;
  std::unique_ptr<ActivationStore> store_;   // the full-precision model's residual stream
  std::unique_ptr<ActivationStore> prefix_;  // the quantized one's, for methods that follow it
  std::set<std::string> written_;            // names of the source that are done
};

}  // namespace

void RunPipeline(const PipelineJob& job) { Pipeline(job).Run(); }

std::vector<std::string> SkippedModules(const WeightSource& source) {
  return {source.names().Module(Role::kHead)};
}

}  // namespace awq
