#include "awq/api/verify.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "awq/api/internal/loading.h"
#include "awq/api/internal/passport.h"
#include "awq/api/internal/weight_checks.h"
#include "awq/api/internal/window_scorer.h"
#include "awq/checkpoint/manifest.h"
#include "awq/quant/scale_edges.h"

namespace awq {
namespace {

constexpr double kWrongLinear = 0.5;  // relative error; 4-bit rounding gives about 0.1
constexpr double kWrongLogits = 4.0;  // nats a token; tiny random models reach 2, trained ones .1
constexpr size_t kNamedNotes = 5;

constexpr std::string_view kSample =
    "The lighthouse stood at the end of the breakwater, and every evening, when the last ferry had "
    "gone, its keeper climbed the 214 steps to light the lamp. In 1897 a storm broke two of the "
    "windows; for (int i = 0; i < n; ++i) sum += x[i]; nobody was hurt. ¿Qué hora es? Das Wetter "
    "ist schön.";

// The layer in f32, quantized linears dequantized.
LayerParams DenseLayer(const WeightSource& source, int64_t layer) {
  LayerParams out;
  for (const LinearShape& shape : LayerLinears(source.spec(), layer)) {
    out.linears.emplace(shape.id, LinearWeight{source.DenseF32(shape, layer), {}});
  }
  for (const VectorShape& shape : LayerVectors(source.spec(), layer)) {
    out.vectors.emplace(shape.role, source.Vector(shape, layer));
  }
  return out;
}

struct Sums {
  double original_squared = 0;
  double changed_squared = 0;
  double product = 0;
  double difference_squared = 0;
};
Sums Compare(const float* original, const float* changed, int64_t count) {
  Sums out;
  for (int64_t i = 0; i < count; ++i) {
    const auto a = static_cast<double>(original[i]);
    const auto b = static_cast<double>(changed[i]);
    out.original_squared += a * a;
    out.changed_squared += b * b;
    out.product += a * b;
    out.difference_squared += (a - b) * (a - b);
  }
  return out;
}

// The factor for each of the producer's channels that brings it closest to the original's.
std::vector<float> ProducerRatios(const ScaleEdge& edge, const LayerParams& original,
                                  const LayerParams& changed) {
  std::vector<float> out;
  const bool is_norm = original.vectors.contains(edge.producer.role);
  const auto data = [&](const LayerParams& layer) {
    return is_norm ? layer.vectors.at(edge.producer.role).As<const float>()
                   : DenseWeight(layer, edge.producer).As<const float>();
  };
  const int64_t width = is_norm ? 1 : DenseWeight(original, edge.producer).dim(1);
  for (int64_t c = 0; c < edge.channels; ++c) {
    const int64_t at = edge.Row(c) * width;
    const Sums s = Compare(data(original) + at, data(changed) + at, width);
    const double ratio = s.product / s.changed_squared;
    // A dead or flipped channel was not rescaled; its error is to be seen as it is.
    out.push_back(std::isfinite(ratio) && ratio > 0 ? static_cast<float>(ratio) : 1.0f);
  }
  return out;
}

class Verification {
 public:
  Verification(const VerifyOptions& options, const VerifyCallbacks& callbacks)
      : options_(options), callbacks_(callbacks), source_(OpenModel(options.model)) {}

  VerifyReport Run() {
    CheckFiles();
    CheckQuality();
    for (int64_t layer = 0; layer < source_.spec().num_layers(); ++layer) {
      Step(Cat("layer ", layer + 1, " of ", source_.spec().num_layers()));
      CheckLayer(layer);
    }
    CheckRest();
    NoteUnknownTensors();
    if (options_.source) CompareWithSource(OpenModel(*options_.source));
    if (options_.remeasure) Remeasure();
    return std::move(report_);
  }

 private:
  void Step(const std::string& what) const {
    AWQ_CHECK(!callbacks_.cancelled || !callbacks_.cancelled(), kCancelled, "cancelled");
    if (callbacks_.progress) callbacks_.progress(what);
  }

  void CheckFiles() {
    const auto manifest = ReadManifest(options_.model);
    if (!manifest) return report_.notes.push_back("no awq_manifest.json: files are not hashed");
    for (const auto& file : manifest->files) {
      Step(file.first);
      for (const std::string& wrong :
           CheckManifest(options_.model, {manifest->awq_version, manifest->options, {file}})) {
        report_.problems.push_back((options_.model / wrong).string());
      }
      ++report_.files_hashed;
    }
  }

  void CheckQuality() {
    if (!std::filesystem::exists(options_.model / kPassportName)) {
      AWQ_CHECK(!options_.remeasure, kNotFound, (options_.model / kPassportName).string(),
                ": there is no quality passport to measure again");
      return;
    }
    Step(std::string(kPassportName));
    report_.passport = Json::Load(options_.model / kPassportName).String("digest");
    for (const std::string& wrong : CheckPassport(options_.model)) {
      report_.problems.push_back((options_.model / wrong).string());
    }
  }

  void Remeasure() {
    AWQ_CHECK(options_.source.has_value(), kInvalidArgument,
              "measuring again needs the source checkpoint (--source)");
    Step("measuring quality again");
    const Json passport = Json::Load(options_.model / kPassportName);
    const Json text = passport.At("results").At("text");
    const int64_t window = text.Int("window");
    const QualityReport measured = MeasureQuality({.model = options_.model,
                                                   .source = *options_.source,
                                                   .text = options_.eval_text,
                                                   .window = window,
                                                   .max_tokens = text.Int("windows") * (window - 1),
                                                   .device = options_.device,
                                                   .threads = options_.threads},
                                                  {{}, callbacks_.cancelled});
    for (const std::string& wrong : ComparePassport(passport.raw(), measured)) {
      report_.problems.push_back((options_.model / wrong).string());
    }
  }

  // Runs a check of one tensor or linear; what it throws or returns becomes a problem.
  template <typename Check>
  void Guard(const std::string& name, const Check& check) {
    ++report_.tensors_checked;
    try {
      if (const std::optional<std::string> bad = check()) {
        report_.problems.push_back(Cat(options_.model.string(), ": ", name, ": ", *bad));
      }
    } catch (const Error& e) {
      report_.problems.emplace_back(e.what());
    }
  }

  void CheckLayer(int64_t layer) {
    for (const LinearShape& shape : LayerLinears(source_.spec(), layer)) {
      const std::string module = source_.names().Module(shape.id, layer);
      known_.insert(module);
      Guard(module, [&]() -> std::optional<std::string> {
        const LinearWeight linear = source_.Linear(shape, layer);
        const auto* dense = std::get_if<Tensor>(&linear.weight);
        auto bad = dense != nullptr ? FindBadValue(dense->view())
                                    : FindBadValue(std::get<QuantizedWeight>(linear.weight));
        if (!bad && !linear.bias.empty()) {
          bad = FindBadValue(linear.bias.view());
          if (bad) bad = "bias: " + *bad;
        }
        return bad;
      });
    }
    for (const VectorShape& shape : LayerVectors(source_.spec(), layer)) {
      CheckVector(shape, layer);
    }
  }

  void CheckVector(const VectorShape& shape, int64_t layer) {
    known_.insert(source_.names().Module(shape.role, layer));
    Guard(source_.names().Weight(shape.role, layer),
          [&] { return FindBadValue(source_.Vector(shape, layer).view()); });
    if (!shape.bias) return;
    Guard(source_.names().Bias(shape.role, layer),
          [&] { return FindBadValue(source_.VectorBias(shape, layer).view()); });
  }

  void CheckOther(Role role, const Shape& shape) {
    known_.insert(source_.names().Module(role));
    Guard(source_.names().Weight(role),
          [&] { return FindBadValue(source_.Other(role, shape).view()); });
  }

  void CheckRest() {
    Step("embedding and head");
    const ModelSpec& model = source_.spec();
    for (const VectorShape& shape : OtherVectors(model)) CheckVector(shape, 0);
    if (model.embed.positions > 0) {
      CheckOther(Role::kPositions, {model.embed.positions, model.hidden});
    }
    if (model.has_projections()) {
      CheckOther(Role::kEmbedProjection, {model.hidden, model.embed_size()});
      CheckOther(Role::kHeadProjection, {model.embed_size(), model.hidden});
    }
    known_.insert(source_.names().Module(Role::kEmbed));
    known_.insert(source_.names().Module(Role::kHead));
    Guard(source_.names().Weight(Role::kEmbed),
          [&] { return FindBadValue(source_.Embedding().view()); });
    if (model.head.bias) {
      Guard(source_.names().Bias(Role::kHead),
            [&] { return FindBadValue(source_.HeadBias().view()); });
    }
    if (source_.HeadIsTied()) return;
    Guard(source_.names().Weight(Role::kHead), [&] { return FindBadValue(source_.Head().view()); });
  }

  void NoteUnknownTensors() {
    std::vector<std::string> unknown;
    for (const std::string& name : source_.checkpoint().Names()) {
      if (!known_.contains(name.substr(0, name.rfind('.')))) unknown.push_back(name);
    }
    for (size_t i = 0; i < std::min(unknown.size(), kNamedNotes); ++i) {
      report_.notes.push_back(unknown[i] + ": no part of the model");
    }
    if (unknown.size() > kNamedNotes) {
      report_.notes.push_back(Cat(unknown.size() - kNamedNotes, " more tensors are no part of it"));
    }
  }

  void CompareWithSource(const WeightSource& original) {
    RequireSameShape(original);
    if (!report_.ok()) {
      return report_.notes.push_back("not compared with the source because of the problems found");
    }
    for (int64_t layer = 0; layer < source_.spec().num_layers(); ++layer) {
      Step(Cat("layer ", layer + 1, " against its source"));
      CompareLayer(original, layer);
    }
    CompareLogits();
  }

  void RequireSameShape(const WeightSource& original) const {
    const ModelSpec& a = original.spec();
    const ModelSpec& b = source_.spec();
    bool same = a.arch == b.arch && a.vocab == b.vocab && a.num_layers() == b.num_layers();
    for (int64_t l = 0; same && l < a.num_layers(); ++l) {
      const auto x = LayerLinears(a, l);
      const auto y = LayerLinears(b, l);
      same = std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const auto& p, const auto& q) {
        return p.id == q.id && p.n == q.n && p.k == q.k && p.bias == q.bias;
      });
    }
    AWQ_CHECK(same, kInvalidArgument, options_.source->string(), ": is a ", a.arch, " with ",
              a.num_layers(), " layers of width ", a.hidden, ", not of the shape of ",
              options_.model.string(), ", a ", b.arch, " with ", b.num_layers(), " of ", b.hidden);
  }

  void CompareLayer(const WeightSource& original, int64_t layer) {
    const LayerParams before = DenseLayer(original, layer);
    LayerParams after = DenseLayer(source_, layer);
    for (const ScaleEdge& edge : DeriveScaleEdges(source_.spec(), layer)) {
      std::vector<float> undo = ProducerRatios(edge, before, after);
      for (float& s : undo) s = 1 / s;
      ApplyScale(edge, undo, after);
    }
    for (const LinearShape& shape : LayerLinears(source_.spec(), layer)) {
      const TensorView& a = DenseWeight(before, shape.id);
      const Sums sums = Compare(a.As<const float>(), DenseWeight(after, shape.id).As<const float>(),
                                a.NumElements());
      const double error = std::sqrt(sums.difference_squared / sums.original_squared);
      const std::string module = source_.names().Module(shape.id, layer);
      report_.linears.push_back({module, error});
      if (!(error < kWrongLinear)) {
        report_.problems.push_back(Cat(options_.model.string(), ": ", module,
                                       ": expected a relative ", "error below ", kWrongLinear,
                                       " against the source, found ", error));
      }
    }
  }

  std::vector<int32_t> SampleTokens() const {
    if (const auto tokenizer = LoadTokenizerIfAny(options_.model)) {
      return tokenizer->Encode(kSample, true);
    }
    std::vector<int32_t> out;
    for (int64_t i = 0; i < 64; ++i) {
      out.push_back(static_cast<int32_t>(i * 7919 % source_.spec().vocab));
    }
    return out;
  }

  void CompareLogits() {
    Step("logits against the source");
    Window window;
    window.inputs = SampleTokens();
    window.inputs.resize(
        std::min(window.inputs.size(), static_cast<size_t>(source_.spec().context)));
    window.targets.assign(window.inputs.begin() + 1, window.inputs.end());
    WindowScorer scorer({.models = {options_.model},
                         .reference = options_.source,
                         .window = static_cast<int64_t>(window.inputs.size()),
                         .device = options_.device,
                         .threads = options_.threads});
    scorer.Run(std::span(&window, 1), 0);
    const Divergence d = scorer.scores(0).Summary().value();
    report_.logits = LogitsCheck{scorer.scores(0).tokens(), d.mean, d.top1};
    if (!(d.mean < kWrongLogits)) {
      report_.problems.push_back(Cat(options_.model.string(), ": expected logits within ",
                                     kWrongLogits, " nats a token of the source's, found ",
                                     d.mean));
    }
  }

  const VerifyOptions& options_;
  const VerifyCallbacks& callbacks_;
  WeightSource source_;
  std::set<std::string> known_;  // modules
  VerifyReport report_;
};

}  // namespace

VerifyReport Verify(const VerifyOptions& options, const VerifyCallbacks& callbacks) {
  return Verification(options, callbacks).Run();
}

}  // namespace awq
