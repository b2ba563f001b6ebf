#include "awq/api/internal/subject.h"

#include <algorithm>

#include "awq/api/internal/loading.h"
#include "awq/api/internal/quantize_options.h"
#include "awq/base/error.h"
#include "awq/quant/plan.h"

namespace awq {
namespace {

std::shared_ptr<const Checkpoint> OpenSource(const std::filesystem::path& model) {
  auto out = Checkpoint::Open(model);
  AWQ_CHECK(out->format() == nullptr, kInvalidArgument, model.string(), ": is already quantized (",
            out->format()->Name(), "); quantize the 16-bit original");
  return out;
}

}  // namespace

Subject::Subject(const QuantizeOptions& options)
    : format(PackFormatByName(options.format)),
      checkpoint(OpenSource(options.model)),
      source(checkpoint, ReadModel(checkpoint->config())),
      method_options(MakeMethodOptions(options, format, checkpoint->model_type())),
      method(MakeQuantMethod(options.autoawq_parity ? "autoawq" : options.method)) {}

void Subject::LoadBlocks(const QuantizeOptions& options, RunLog& log) {
  if (!method->NeedsCalibration() && !HasBudget(options)) return;
  // Lists of token ids do without.
  const std::unique_ptr<const Tokenizer> tokenizer = options.calib == "builtin"
                                                         ? Tokenizer::Load(options.model)
                                                         : LoadTokenizerIfAny(options.model);
  CalibrationOptions calibration{.source = options.calib,
                                 .column = options.calib_column,
                                 .max_samples = options.max_calib_samples,
                                 .max_seq_len = options.max_calib_seq_len,
                                 .bos = options.calib_bos,
                                 .seed = options.seed,
                                 .model = options.model,
                                 .hub_caches = options.hub_caches,
                                 .autoawq_rules = options.autoawq_parity};
  // Learned positions end where the model's context does.
  if (source.spec().embed.positions > 0) {
    calibration.max_seq_len = std::min(calibration.max_seq_len, source.spec().context);
  }
  blocks = LoadCalibration(calibration, tokenizer.get(), source.spec().vocab,
                           [&](const std::string& w) { log.Warn(w); });
  log.report().calib_tokens = NumTokens(blocks);
}

std::vector<int64_t> Subject::NumLinears() const {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < source.spec().num_layers(); ++i) {
    out.push_back(static_cast<int64_t>(QuantizableLinears(source.spec(), i).size()));
  }
  return out;
}

int64_t Subject::NumBytes() const {
  int64_t bytes = 0;
  for (const auto& file : checkpoint->files()) {
    for (const std::string& name : file->Names()) bytes += file->Get(name).view().NumBytes();
  }
  return bytes;
}

}  // namespace awq
