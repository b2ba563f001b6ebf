#include "awq/api/quality.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "awq/api/internal/heldout_text.h"
#include "awq/api/internal/layer_stream.h"
#include "awq/api/internal/loading.h"
#include "awq/api/internal/scoring.h"
#include "awq/api/internal/windows.h"
#include "awq/api/internal/worst_tokens.h"
#include "awq/backend/make_backend.h"
#include "awq/base/clock.h"
#include "awq/quant/grid.h"

namespace awq {
namespace {

std::string NameOfFolder(const std::filesystem::path& folder) {
  const auto name = std::filesystem::absolute(folder / ".").lexically_normal().parent_path();
  return name.filename().string();
}

size_t BinOf(double divergence) {
  const double at = (std::log10(std::max(divergence, 1e-12)) + 6) * 4;
  return static_cast<size_t>(std::clamp(at, 0.0, static_cast<double>(kDivergenceBins - 1)));
}

// Standard error of the mean of all values, from the means of the windows.
double ErrorOfMean(std::span<const double> values, std::span<const size_t> window_ends) {
  const auto windows = static_cast<double>(window_ends.size());
  if (window_ends.size() < 2) return 0;
  double sum = 0;
  for (double v : values) sum += v;
  const double mean = sum / static_cast<double>(values.size());
  double squares = 0;
  size_t begin = 0;
  for (size_t end : window_ends) {
    double excess = 0;  // of the window's sum over what the mean makes expect
    for (size_t i = begin; i < end; ++i) excess += values[i] - mean;
    squares += excess * excess;
    begin = end;
  }
  return std::sqrt(squares * windows / (windows - 1)) / static_cast<double>(values.size());
}

class Measurement {
 public:
  Measurement(const QualityOptions& options, const QualityCallbacks& callbacks)
      : options_(options),
        callbacks_(callbacks),
        source_(OpenModel(options.source)),
        model_(OpenModel(options.model)),
        backend_(MakeBackend(options.device, options.threads)),
        pool_(backend_->Info().threads) {
    AWQ_CHECK(model_.checkpoint().format() != nullptr, kInvalidArgument, options.model.string(),
              ": is not quantized");
    AWQ_CHECK(source_.checkpoint().format() == nullptr, kInvalidArgument, options.source.string(),
              ": expected the 16-bit original, found a quantized checkpoint");
    const ModelSpec& a = source_.spec();
    const ModelSpec& b = model_.spec();
    AWQ_CHECK(a.arch == b.arch && a.vocab == b.vocab && a.hidden == b.hidden &&
                  a.num_layers() == b.num_layers(),
              kInvalidArgument, options.model.string(), ": expected the shape of its source ",
              options.source.string(), ", ", a.num_layers(), " layers of width ", a.hidden,
              ", found ", b.num_layers(), " of ", b.hidden);
  }

  QualityReport Run() {
    const auto start = Clock::now();
    ReadText();
    RunLayers();
    Score();
    SumBits();
    report_.model = NameOfFolder(options_.model);
    report_.source = NameOfFolder(options_.source);
    report_.seconds = SecondsSince(start);
    return std::move(report_);
  }

 private:
  void Poll() const {
    AWQ_CHECK(!callbacks_.cancelled || !callbacks_.cancelled(), kCancelled, "cancelled");
  }
  void Progress(double done) const {
    if (callbacks_.progress) callbacks_.progress(done);
  }

  void ReadText() {
    const HeldOutText text = ReadHeldOutText(options_.text);
    report_.text = text.name;
    report_.text_sha256 = text.sha256;
    tokenizer_ = Tokenizer::Load(options_.source);
    tokens_ = tokenizer_->Encode(text.content, false);
    const std::optional<TokenId> bos = PrefixToken(*tokenizer_);
    report_.window = std::min(options_.window, source_.spec().context);
    AWQ_CHECK(report_.window >= 2, kInvalidArgument, "window: expected at least 2 tokens, found ",
              report_.window);
    const int64_t most = options_.max_tokens == 0
                             ? 0
                             : std::max<int64_t>(1, options_.max_tokens / (report_.window - 1));
    windows_ = CutWindows(tokens_, report_.window, bos, most);
    AWQ_CHECK(!windows_.empty(), kInvalidArgument, options_.text, ": has ", tokens_.size(),
              " tokens, too few for one window of ", report_.window);
    report_.bos = bos.has_value();
    report_.windows = static_cast<int64_t>(windows_.size());
    for (const Window& w : windows_) {
      inputs_.push_back(w.inputs);
      for (int32_t id : w.inputs) {
        AWQ_CHECK(id >= 0 && id < source_.spec().vocab, kInvalidArgument, options_.source.string(),
                  ": token ", id, " of the text is outside the model's vocabulary of ",
                  source_.spec().vocab);
      }
    }
  }

  // The source's layer with every linear that the model quantizes rounded to nearest.
  LayerParams Rounded(int64_t layer, const LayerParams& model) const {
    LayerParams out = source_.Layer(layer);
    for (auto& [id, linear] : out.linears) {
      const auto* quantized = std::get_if<QuantizedWeight>(&model.linears.at(id).weight);
      if (quantized == nullptr) continue;
      GridRule rule;
      rule.scheme = quantized->scheme;
      rule.scale_type = model_.checkpoint().format()->ScaleType(model_.checkpoint().model_type());
      const Tensor dense = ConvertTo(std::get<Tensor>(linear.weight).view(), DType::kF32);
      linear.weight = QuantizeToNearest(rule, pool_, dense.view());
    }
    return out;
  }

  void RunLayers() {
    const auto ends = LoadEnds(*backend_, source_);
    const auto model_ends = HaveSameEnds(source_, model_) ? ends : LoadEnds(*backend_, model_);
    streams_.reserve(kStreams);
    streams_.emplace_back(*backend_, source_.spec(), ends, inputs_);
    streams_.emplace_back(*backend_, model_.spec(), model_ends, inputs_);
    streams_.emplace_back(*backend_, source_.spec(), ends, inputs_);
    const auto poll = [&] { Poll(); };
    const int64_t layers = source_.spec().num_layers();
    for (int64_t i = 0; i < layers; ++i) {
      streams_[kSource].Advance(i, source_.Layer(i), poll);
      const LayerParams model = model_.Layer(i);
      streams_[kModel].Advance(i, model, poll);
      streams_[kRounded].Advance(i, Rounded(i, model), poll);
      CountBits(model);
      report_.layers.push_back({StreamError(kModel), StreamError(kRounded)});
      Progress(0.9 * static_cast<double>(i + 1) / static_cast<double>(layers));
    }
  }

  double StreamError(size_t which) const {
    constexpr int64_t kRows = 256;
    const auto width = static_cast<size_t>(source_.spec().hidden);
    std::vector<float> a;
    std::vector<float> b;
    double sum = 0;
    const int64_t total = streams_[kSource].num_tokens();
    for (int64_t first = 0; first < total; first += kRows) {
      const int64_t count = std::min(kRows, total - first);
      streams_[kSource].Rows(first, count, a);
      streams_[which].Rows(first, count, b);
      for (size_t r = 0; r < static_cast<size_t>(count); ++r) {
        double error = 0;
        double norm = 0;
        for (size_t c = r * width; c < (r + 1) * width; ++c) {
          const double d = static_cast<double>(b[c]) - static_cast<double>(a[c]);
          error += d * d;
          norm += static_cast<double>(a[c]) * static_cast<double>(a[c]);
        }
        if (norm > 0) sum += error / norm;
      }
    }
    return sum / static_cast<double>(total);
  }

  std::span<const float> Row(size_t which, int64_t row) const {
    const auto size = static_cast<size_t>(source_.spec().vocab);
    return std::span(logits_[which]).subspan(static_cast<size_t>(row) * size, size);
  }

  void Score() {
    WorstTokens worst(*tokenizer_, tokens_);
    int64_t row = 0;
    int64_t position = 0;  // in tokens_, of the window's first target
    std::vector<size_t> window_ends;
    const int64_t block = std::max<int64_t>(1, kLogitBytes / (4 * source_.spec().vocab));
    for (size_t w = 0; w < windows_.size(); ++w) {
      const Window& window = windows_[w];
      const auto count = static_cast<int64_t>(window.targets.size());
      // Without BOS the window's first token is not scored.
      if (!report_.bos) ++position;
      for (int64_t begin = 0; begin < count; begin += block) {
        Poll();
        const int64_t rows = std::min(block, count - begin);
        ScoreRows(row + begin,
                  std::span(window.targets)
                      .subspan(static_cast<size_t>(begin), static_cast<size_t>(rows)),
                  position + begin, w, worst);
      }
      row += static_cast<int64_t>(window.inputs.size());
      position += count;
      window_ends.push_back(divergences_[kModel].size());
      Progress(0.9 + 0.1 * static_cast<double>(w + 1) / static_cast<double>(windows_.size()));
    }
    report_.tokens = scores_[kSource].tokens();
    report_.source_perplexity = std::exp(scores_[kSource].MeanNll());
    report_.quantized = Summary(kModel, window_ends);
    report_.rounded = Summary(kRounded, window_ends);
    report_.worst = worst.Take();
  }

  void ScoreRows(int64_t first, std::span<const int32_t> targets, int64_t position, size_t window,
                 WorstTokens& worst) {
    const auto rows = static_cast<int64_t>(targets.size());
    std::vector<RowSummary> summaries[kStreams];
    std::vector<double> kl[kStreams];
    for (size_t s = 0; s < kStreams; ++s) {
      streams_[s].Logits(first, rows, logits_[s]);
      summaries[s].resize(targets.size());
      kl[s].resize(targets.size());
      pool_.For(rows, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const auto at = static_cast<size_t>(i);
          summaries[s][at] = Summarize(Row(s, i));
          if (s == kSource) continue;
          kl[s][at] =
              KlDivergence(Row(kSource, i), summaries[kSource][at], Row(s, i), summaries[s][at]);
        }
      });
      for (size_t i = 0; i < targets.size(); ++i) {
        AWQ_CHECK(std::isfinite(summaries[s][i].log_sum), kInternal,
                  (s == kSource ? options_.source : options_.model).string(), ": logits of window ",
                  window, " are not finite; weights are damaged (awq verify)");
        const float logit = Row(s, static_cast<int64_t>(i))[static_cast<size_t>(targets[i])];
        scores_[s].Add(static_cast<double>(logit) - summaries[s][i].log_sum);
        if (s == kSource) continue;
        scores_[s].AddDivergence(kl[s][i], summaries[s][i].top == summaries[kSource][i].top);
        divergences_[s].push_back(kl[s][i]);
      }
    }
    for (size_t i = 0; i < targets.size(); ++i) {
      const auto r = static_cast<int64_t>(i);
      worst.Offer({.position = position + r,
                   .divergence = kl[kModel][i],
                   .source = Row(kSource, r),
                   .of_source = summaries[kSource][i],
                   .model = Row(kModel, r),
                   .of_model = summaries[kModel][i]});
    }
  }

  ModelQuality Summary(size_t which, std::span<const size_t> window_ends) const {
    ModelQuality out;
    out.perplexity = std::exp(scores_[which].MeanNll());
    out.divergence = scores_[which].Summary().value();
    out.divergence.reference_perplexity = report_.source_perplexity;
    out.mean_error = ErrorOfMean(divergences_[which], window_ends);
    for (double d : divergences_[which]) ++out.histogram[BinOf(d)];
    return out;
  }

  void CountBits(const LayerParams& model) {
    for (const auto& [id, linear] : model.linears) {
      const auto* q = std::get_if<QuantizedWeight>(&linear.weight);
      if (q == nullptr) continue;
      const QuantScheme& s = q->scheme;
      const int64_t zero_bits = s.symmetric ? 0 : s.bits;
      const int64_t bits = q->n() * q->k() * s.bits + q->n() * s.Groups(q->k()) * (16 + zero_bits);
      BitsShare& share = shares_[Cat(
          s.bits, s.group < 0 ? " bits, a group a row" : Cat(" bits, groups of ", s.group))];
      share.parameters += q->n() * q->k();
      share.bytes += (bits + 7) / 8;
    }
  }

  // Adds what is not quantized.
  void SumBits() {
    BitsShare rest{"not quantized", 0, 0};
    for (const std::string& name : source_.checkpoint().Names()) {
      rest.parameters += source_.checkpoint().Get(name).view().NumElements();
    }
    for (const std::string& name : model_.checkpoint().Names()) {
      if (!name.ends_with(".weight") && !name.ends_with(".bias")) continue;
      rest.bytes += model_.checkpoint().Get(name).view().NumBytes();
    }
    for (auto& [what, share] : shares_) {
      share.what = what;
      rest.parameters -= share.parameters;
      report_.bits.push_back(share);
    }
    report_.bits.push_back(rest);
  }

  static constexpr size_t kSource = 0;
  static constexpr size_t kModel = 1;
  static constexpr size_t kRounded = 2;
  static constexpr size_t kStreams = 3;

  const QualityOptions& options_;
  const QualityCallbacks& callbacks_;
  WeightSource source_;
  WeightSource model_;
  std::unique_ptr<Backend> backend_;
  mutable ThreadPool pool_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  std::vector<TokenId> tokens_;
  std::vector<Window> windows_;
  std::vector<std::vector<int32_t>> inputs_;
  std::vector<LayerStream> streams_;
  std::vector<float> logits_[kStreams];
  Scores scores_[kStreams];
  std::vector<double> divergences_[kStreams];
  std::map<std::string, BitsShare> shares_;  // by scheme
  QualityReport report_;
};

}  // namespace

QualityReport MeasureQuality(const QualityOptions& options, const QualityCallbacks& callbacks) {
  return Measurement(options, callbacks).Run();
}

}  // namespace awq
