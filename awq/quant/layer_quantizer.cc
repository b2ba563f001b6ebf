#include "awq/quant/layer_quantizer.h"

#include "awq/quant/expert_stream.h"

namespace awq {
namespace {

std::map<LinearId, SiteMoments> Finish(int64_t layer, MomentsTap& tap) {
  std::map<LinearId, SiteMoments> out = tap.Finish();
  for (const auto& [site, moments] : out) CheckFinite(layer, site, moments);
  return out;
}

}  // namespace

std::map<LinearId, QuantizedLinear> LayerQuantizer::Run(LayerJob& work, LayerParams& params) {
  if (quantized_ != nullptr) {
    LayerPair pair(job_.backend, model_, work.layer, *full_, *quantized_, kept_,
                   job_.moment_columns);
    work.pair = &pair;
    return RunMethod(work, params);
  }
  if (full_ == nullptr) return RunMethod(work, params);
  if (job_.method.ReplaysInputs()) return Replaying(work, params);
  if (std::holds_alternative<MoeSpec>(model_.layers[static_cast<size_t>(work.layer)].ffn)) {
    return ByExpert(work, params);
  }
  MomentsTap tap(job_.backend, 0, job_.moment_columns);
  LayerRunner(job_.backend, model_, work.layer, *full_).Advance(params, &tap, job_.poll);
  work.moments = Finish(work.layer, tap);
  return RunMethod(work, params);
}

std::map<LinearId, QuantizedLinear> LayerQuantizer::Replaying(LayerJob& work, LayerParams& params) {
  LayerRunner runner(job_.backend, model_, work.layer, *full_);
  work.runner = &runner;
  MomentsTap tap(job_.backend, job_.method.SampleStride(full_->num_tokens()), job_.moment_columns);
  runner.Observe(params, &tap, job_.poll);
  work.moments = Finish(work.layer, tap);
  LayerParams changed = ShareAll(params);
  CopyVectors(changed);
  std::map<LinearId, QuantizedLinear> done = RunMethod(work, changed);
  runner.Advance(params, nullptr, job_.poll);
  params = std::move(changed);
  return done;
}

std::map<LinearId, QuantizedLinear> LayerQuantizer::ByExpert(LayerJob& work, LayerParams& params) {
  const LayerParams original = ShareAll(params);
  CopyVectors(params);
  MomentsTap tap(job_.backend, 0, job_.moment_columns);
  LayerRunner(job_.backend, model_, work.layer, *full_)
      .AdvanceToExperts(ShareDense(original), &tap, job_.poll);
  work.moments = Finish(work.layer, tap);
  const DecoderLayer rest =
      MakeDecoderLayer(job_.backend, model_, work.layer, ShareFeedForward(original));
  ExpertStream experts(
      job_.backend, model_, work.layer, [&](int64_t e) { return ShareExpert(original, e); }, rest,
      *full_, kept_);
  work.expert_moments = [&](int64_t expert) {
    experts.Observe(expert, tap, job_.poll);
    std::map<LinearId, SiteMoments> moments = Finish(work.layer, tap);
    FillFewTokens(model_, work.layer, expert, job_.moment_columns, moments);
    return moments;
  };
  std::map<LinearId, QuantizedLinear> done = RunMethod(work, params);
  experts.Advance(job_.poll);
  return done;
}

std::map<LinearId, QuantizedLinear> LayerQuantizer::RunMethod(LayerJob& work,
                                                              LayerParams& params) const {
  try {
    return job_.method.Run(work, params);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::kInternal) throw;
    Fail(e.code(), "layer ", work.layer, ": ", e.what());
  }
}

}  // namespace awq
