#include "awq/api/bench.h"

#include <algorithm>
#include <limits>
#include <random>

#include "awq/api/internal/loading.h"
#include "awq/backend/make_backend.h"
#include "awq/base/clock.h"
#include "awq/nn/batch_builder.h"
#include "awq/ops/profiler.h"
#include "awq/runtime/decode_step.h"

namespace awq {
namespace {

// Every layer from the weights of the first.
CausalLm WithSameLayers(Backend& backend, const WeightSource& source, int head_bits) {
  const ModelSpec& model = source.spec();
  for (int64_t i = 1; i < model.num_layers(); ++i) {
    AWQ_CHECK(LayerLinears(model, i) == LayerLinears(model, 0), kUnsupported, "layers 0 and ", i,
              " differ: they cannot have the same weights");
  }
  const LayerParams first = source.Layer(0);
  return CausalLm(
      backend, source, [&](int64_t) { return first.Share(); }, head_bits);
}

int64_t KvBytes(const KvCache& cache) {
  int64_t bytes = 0;
  for (const PagedKv& layer : cache.layers()) {
    bytes += layer.keys.NumBytes() + (layer.values.empty() ? 0 : layer.values.NumBytes());
  }
  return bytes;
}

// A step is recorded first, and caches fill: not measured.
constexpr int64_t kFewestTokens = 4;

class Runner {
 public:
  Runner(const BenchOptions& options, const std::function<bool()>& cancelled)
      : options_(options),
        cancelled_(cancelled),
        start_(Clock::now()),
        source_(OpenModel(options.model)),
        device_(MakeBackend(options.device, options.threads, options.deterministic)),
        profiler_(*device_),
        act_(ActivationType(options.dtype, device_->Info(), false)),
        kv_type_(KvCacheType(options.kv_type, act_)),
        head_bits_(HeadBits(options.head_bits, device_->Info(), source_.checkpoint())),
        model_(options.same_layers ? WithSameLayers(*device_, source_, head_bits_)
                                   : CausalLm(*device_, source_, head_bits_)),
        scratch_(*device_) {
    device_->Sync();
    load_seconds_ = SecondsSince(start_);
    if (const auto memory = device_->Memory()) weights_held_ = memory->held;
  }

  BenchReport Describe() {
    BenchReport out;
    out.device = device_->Info().device;
    out.dtype = NameOf(act_);
    out.head_bits = head_bits_;
    out.kv_type = NameOf(kv_type_);
    out.load_seconds = load_seconds_;
    if (const auto memory = device_->Memory()) out.context_bytes = memory->outside;
    for (const auto& file : source_.checkpoint().files()) {
      for (const std::string& name : file->Names()) {
        out.weight_bytes += file->Get(name).view().NumBytes();
      }
    }
    if (options_.explain) {
      out.peak_bytes = PeakBytes();
      out.peak_flops = PeakFlops();
    }
    return out;
  }

  BenchResult Prefill(int64_t tokens) {
    KvCache cache(*device_, source_.spec(), tokens, kv_type_);
    const int64_t sequence = Open(cache, tokens);
    std::vector<double> times;
    for (int64_t i = -1; i < options_.repeats; ++i) {
      const auto start = Clock::now();
      Read(*device_, cache, sequence, tokens);
      if (i >= 0) times.push_back(SecondsSince(start));
    }
    BenchResult out = Summarize("prefill", 1, tokens, tokens, std::move(times));
    if (options_.explain) {
      for (int i = 0; i < 2; ++i) Read(profiler_, cache, sequence, tokens);  // the first warms up
      out.ops = Ops();
    }
    return out;
  }

  BenchResult Decode(int64_t batch) {
    const auto context_of = [&](int64_t b) {
      return options_.contexts[static_cast<size_t>(b) % options_.contexts.size()];
    };
    int64_t most_pages = 0;
    int64_t all_pages = 0;
    int64_t all_tokens = 0;  // read before
    for (int64_t b = 0; b < batch; ++b) {
      const int64_t pages = PagesFor(context_of(b) + options_.tokens);
      most_pages = std::max(most_pages, pages);
      all_pages += pages;
      all_tokens += context_of(b);
    }
    KvCache cache(*device_, source_.spec(), all_pages * kKvPageSize, kv_type_);
    const auto with_cache = device_->Memory();
    std::vector<DecodeStep::Row> rows;
    for (int64_t b = 0; b < batch; ++b) {
      const int64_t sequence = Open(cache, context_of(b) + options_.tokens);
      Read(*device_, cache, sequence, context_of(b));
      rows.push_back({RandomToken(), context_of(b), cache.pool().Table(sequence)});
    }
    BenchResult out = Summarize("decode", batch, all_tokens / batch, batch,
                                StepTimes(*device_, cache, rows, most_pages, options_.tokens));
    if (with_cache) {
      const int64_t kv_cache = KvBytes(cache);
      out.memory = BenchMemory{.weights = weights_held_,
                               .kv_cache = kv_cache,
                               .workspace = device_->Memory()->most - weights_held_ - kv_cache};
    }
    if (options_.explain) {
      StepTimes(profiler_, cache, rows, most_pages, kFewestTokens);
      out.ops = Ops();
    }
    return out;
  }

 private:
  int64_t Open(KvCache& cache, int64_t tokens) {
    const int64_t sequence = cache.pool().Open();
    cache.pool().Reserve(sequence, tokens);
    return sequence;
  }
  int32_t RandomToken() {
    return static_cast<int32_t>(random_() % static_cast<uint64_t>(source_.spec().vocab));
  }
  // Of steps that begin after rows, but the first ones.
  std::vector<double> StepTimes(Backend& backend, KvCache& cache,
                                const std::vector<DecodeStep::Row>& rows, int64_t pages,
                                int64_t tokens) {
    std::vector<SampleRow> samples;
    if (options_.sample) {
      samples.assign(rows.size(), SampleRow{.top_k = 50, .top_p = 0.95f});
    }
    const std::optional<int64_t> seen = options_.sample ? std::optional<int64_t>(0) : std::nullopt;
    DecodeStep step(backend, model_, cache, act_, static_cast<int64_t>(rows.size()), pages, seen);
    const auto run_on = [&] {
      if (!step.recorded()) profiler_.Begin();
      for (SampleRow& row : samples) row.random = random_();
      step.RunOn(samples);
    };
    std::vector<double> times;
    step.Run(rows, samples);
    auto start = Clock::now();
    for (int64_t i = 0; i < tokens; ++i) {
      Poll();
      // As an engine does it: where a device repeats steps by itself, the next one begins before
      // this one's tokens are known.
      const bool more = i + 1 < tokens;
      const bool ahead = step.recorded();
      if (more && ahead) run_on();
      const std::span<const int32_t> drawn = step.Await();
      if (i >= kFewestTokens - 1) times.push_back(SecondsSince(start));
      start = Clock::now();
      AWQ_CHECK(std::find(drawn.begin(), drawn.end(), -1) == drawn.end(), kInternal, "step ", i,
                ": logits that are no numbers");
      if (more && !ahead) run_on();
    }
    return times;
  }
  // Reads random tokens into an empty sequence, in chunks, and finds what follows them.
  void Read(Backend& backend, KvCache& cache, int64_t sequence, int64_t tokens) {
    profiler_.Begin();
    for (int64_t done = 0; done < tokens; done += options_.chunk) {
      Poll();
      const int64_t count = std::min(options_.chunk, tokens - done);
      std::vector<int32_t> ids(static_cast<size_t>(count));
      for (int32_t& id : ids) id = RandomToken();
      const Workspace::Scope scope(scratch_);
      ExecContext ctx{backend, scratch_, act_, nullptr};
      BatchBuilder builder;
      builder.Add(ids, done, cache.pool().Table(sequence));
      const Batch batch = builder.Build(backend);
      const TensorView hidden = scratch_.Take(DType::kF32, {count, source_.spec().hidden});
      model_.Forward(ctx, batch, cache.layers(), hidden);
      if (done + count < tokens) continue;
      const TensorView logits = scratch_.Take(DType::kF32, {1, source_.spec().vocab});
      model_.Logits(ctx, hidden.Rows(count - 1, count), logits);
      backend.Sync();
    }
  }
  void Poll() const {
    if (cancelled_ && cancelled_()) Fail(ErrorCode::kCancelled, "cancelled");
  }
  // The best of three, in seconds a call.
  double Best(int calls, const std::function<void()>& call) {
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < 4; ++i) {
      device_->Mark(0);
      for (int c = 0; c < calls; ++c) call();
      device_->Mark(1);
      device_->Sync();
      if (i > 0) best = std::min(best, device_->SecondsBetween(0, 1) / calls);
    }
    return best;
  }
  double PeakBytes() {
    const Shape shape{device_->Info().name == "cuda" ? int64_t{1} << 30 : int64_t{1} << 27};
    const Tensor from = device_->Alloc(DType::kU8, shape);
    const Tensor to = device_->Alloc(DType::kU8, shape);
    const double seconds = Best(3, [&] { device_->Copy(to.view(), from.view()); });
    return 2.0 * static_cast<double>(shape[0]) / seconds;
  }
  double PeakFlops() {
    const int64_t n = device_->Info().name == "cuda" ? 8192 : 1024;
    const DType type = device_->Info().activation;
    const Tensor host = MakeTensor(type, {n, n});
    for (int64_t i = 0; i < n * n; ++i) {
      StoreFloat(host.view(), i, static_cast<float>(random_() % 2001) * 1e-3f - 1.0f);
    }
    const auto weight = device_->PrepareDense(host.view(), type);
    const Tensor x = device_->Alloc(type, {n, n});
    const Tensor y = device_->Alloc(type, {n, n});
    device_->Copy(x.view(), host.view());
    const double seconds = Best(3, [&] { device_->Linear(*weight, x.view(), {}, y.view()); });
    return 2.0 * static_cast<double>(n * n) * static_cast<double>(n) / seconds;
  }
  std::vector<BenchOp> Ops() {
    std::vector<BenchOp> out;
    for (OpProfile& p : profiler_.Take()) {
      out.push_back({std::move(p.name), p.calls, p.seconds, p.bytes, p.flops});
    }
    return out;
  }
  static BenchResult Summarize(std::string name, int64_t batch, int64_t tokens, int64_t work,
                               std::vector<double> times) {
    std::sort(times.begin(), times.end());
    BenchResult out{.name = std::move(name), .batch = batch, .tokens = tokens};
    out.median = times[times.size() / 2];
    out.least = times.front();
    out.most = times.back();
    out.tokens_per_second = static_cast<double>(work) / out.median;
    return out;
  }

  const BenchOptions& options_;
  const std::function<bool()>& cancelled_;
  Clock::time_point start_;
  WeightSource source_;
  std::unique_ptr<Backend> device_;
  Profiler profiler_;  // for a pass of its own, since it keeps operations apart
  DType act_;
  DType kv_type_;
  int head_bits_;
  CausalLm model_;
  Workspace scratch_;
  double load_seconds_ = 0;
  int64_t weights_held_ = 0;  // bytes of the device
  std::mt19937_64 random_{1};
};

void CheckOptions(const BenchOptions& o, int64_t context) {
  const auto check = [&](bool ok, const char* name, int64_t value, const char* range) {
    AWQ_CHECK(ok, kInvalidArgument, name, ": expected ", range, ", found ", value);
  };
  for (int64_t p : o.prompts) {
    check(p > 0 && p <= context, "prompt", p, Cat("1 … ", context).c_str());
  }
  for (int64_t b : o.batches) check(b > 0 && b <= 4096, "batch", b, "1 … 4096");
  AWQ_CHECK(!o.contexts.empty(), kInvalidArgument, "ctx: expected at least one, found none");
  for (int64_t c : o.contexts) {
    check(c > 0 && c + kFewestTokens <= context, "ctx", c,
          Cat("1 … ", context - kFewestTokens, " for a model of ", context, " tokens").c_str());
    check(o.tokens >= kFewestTokens && c + o.tokens <= context, "tokens", o.tokens,
          Cat(kFewestTokens, " … ", context - c, " beside the context").c_str());
  }
  check(o.repeats > 0, "repeats", o.repeats, "at least 1");
  check(o.chunk > 0, "chunk", o.chunk, "at least 1");
}

}  // namespace

BenchReport Bench(const BenchOptions& options, const std::function<void(const BenchResult&)>& done,
                  const std::function<bool()>& cancelled) {
  CheckOptions(options, OpenModel(options.model).spec().context);
  Runner runner(options, cancelled);
  BenchReport report = runner.Describe();
  const auto add = [&](BenchResult result) {
    if (done) done(result);
    report.results.push_back(std::move(result));
  };
  for (int64_t batch : options.batches) add(runner.Decode(batch));
  for (int64_t tokens : options.prompts) add(runner.Prefill(tokens));
  return report;
}

}  // namespace awq
