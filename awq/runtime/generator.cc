#include "awq/runtime/generator.h"

#include <algorithm>
#include <bit>

#include "awq/nn/batch_builder.h"

namespace awq {
namespace {

// Whether keys depend on how long the sequence was when they were rotated.
bool KeysDependOnLength(const ModelSpec& model) {
  return std::any_of(model.layers.begin(), model.layers.end(),
                     [](const LayerSpec& l) { return RopeOf(l).DependsOnLength(); });
}

// Of as many seen tokens as the rows have, with room to grow.
int64_t RoomForSeen(std::span<const SampleRow> samples) {
  size_t most = 0;
  for (const SampleRow& row : samples) most = std::max(most, row.seen.size());
  return most == 0 ? 0 : static_cast<int64_t>(std::bit_ceil(most + 64));
}

}  // namespace

Generator::Generator(Backend& backend, const CausalLm& model, const Tokenizer& tokenizer,
                     const GeneratorOptions& options)
    : backend_(backend),
      model_(model),
      tokenizer_(tokenizer),
      options_(options),
      keys_depend_on_length_(KeysDependOnLength(model.spec())),
      scratch_(backend),
      cache_(backend, model.spec(), options.capacity, options.kv_type.value_or(options.act)) {
  AWQ_CHECK(options.chunk > 0 && options.context > 0, kInvalidArgument,
            "a generator with a chunk of ", options.chunk, " and a context of ", options.context,
            " tokens");
}

int64_t Generator::Submit(Request request) {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t total = prompt + request.max_tokens;
  AWQ_CHECK(prompt > 0, kInvalidArgument, "the prompt has no tokens");
  AWQ_CHECK(request.max_tokens > 0, kInvalidArgument, "max_tokens: expected at least 1, found ",
            request.max_tokens);
  AWQ_CHECK(total <= options_.context, kInvalidArgument, "the prompt has ", prompt, " tokens and ",
            request.max_tokens, " are to be generated: ", total, " exceed the context of ",
            options_.context, " tokens; shorten the prompt or lower max_tokens");
  for (int32_t id : request.prompt) {
    AWQ_CHECK(id >= 0 && id < model_.spec().vocab, kInvalidArgument, "prompt token ", id,
              " is outside the model's vocabulary of ", model_.spec().vocab);
  }
  Sampler sampler(request.sampling, request.prompt);
  TextStream text(tokenizer_, request.stop);

  PagePool& pool = cache_.pool();
  int64_t pages = -1;
  const int64_t reused = AdoptParked(request.prompt, pages);
  try {
    pool.Reserve(pages, total);
  } catch (const Error&) {
    pool.Close(pages);
    throw;
  }
  std::vector<int32_t> tokens = request.prompt;
  active_.push_back({.id = next_id_,
                     .pages = pages,
                     .tokens = std::move(tokens),
                     .cached = reused,
                     .reused = reused,
                     .request = std::move(request),
                     .sampler = std::move(sampler),
                     .text = std::move(text)});
  return next_id_++;
}

int64_t Generator::AdoptParked(const std::vector<int32_t>& prompt, int64_t& pages) {
  PagePool& pool = cache_.pool();
  int64_t common = 0;
  if (parked_) {
    const auto end =
        std::mismatch(prompt.begin(), prompt.end(), parked_->tokens.begin(), parked_->tokens.end());
    // At least one token must be run to know what follows it.
    common = std::min<int64_t>(end.first - prompt.begin(), static_cast<int64_t>(prompt.size()) - 1);
    if (keys_depend_on_length_) common = 0;
    pages = parked_->pages;
    pool.Shrink(pages, common);
    parked_.reset();
  } else {
    pages = pool.Open();
  }
  return common;
}

void Generator::Park(Sequence& sequence) {
  PagePool& pool = cache_.pool();
  if (parked_) pool.Close(parked_->pages);
  sequence.tokens.resize(static_cast<size_t>(sequence.cached));
  pool.Shrink(sequence.pages, sequence.cached);
  parked_ = Parked{sequence.pages, std::move(sequence.tokens)};
  active_.remove_if([&](const Sequence& s) { return &s == &sequence; });
}

Generator::Sequence& Generator::Find(int64_t id) {
  const auto it =
      std::find_if(active_.begin(), active_.end(), [&](const Sequence& s) { return s.id == id; });
  AWQ_CHECK(it != active_.end(), kInternal, "request ", id, " is not active");
  return *it;
}

int64_t Generator::reused_tokens(int64_t id) const {
  return const_cast<Generator*>(this)->Find(id).reused;
}

StepOutput Generator::Cancel(int64_t id) {
  Sequence& sequence = Find(id);
  StepOutput out{.id = id, .text = sequence.text.Finish(), .finish = FinishReason::kCancelled};
  Park(sequence);
  return out;
}

std::vector<Generator::Share> Generator::PlanStep() {
  std::vector<Share> shares;
  int64_t room = options_.chunk;
  for (Sequence& s : active_) {
    // Answers advance in every step, however long the prompts beside them are.
    const bool whole = s.pending() == 1 || keys_depend_on_length_;
    const int64_t count = whole ? s.pending() : std::min(s.pending(), room);
    if (count == 0) continue;
    if (!whole) room -= count;
    shares.push_back({&s, count});
  }
  return shares;
}

std::vector<SampleRow> Generator::NextSamples(const std::vector<Sequence*>& sequences) {
  std::vector<SampleRow> samples;
  if (std::all_of(sequences.begin(), sequences.end(),
                  [](const Sequence* s) { return s->sampler.TakesBest(); })) {
    return samples;
  }
  for (Sequence* s : sequences) samples.push_back(s->sampler.Next());
  return samples;
}

DecodeStep& Generator::StepFor(std::span<const DecodeStep::Row> rows,
                               std::span<const SampleRow> samples) {
  const auto step = std::find_if(steps_.begin(), steps_.end(),
                                 [&](const DecodeStep& s) { return s.Fits(rows, samples); });
  if (step != steps_.end()) {
    steps_.splice(steps_.begin(), steps_, step);
    return steps_.front();
  }
  constexpr size_t kMostSteps = 8;
  int64_t blocks = 16;
  for (const DecodeStep::Row& row : rows) {
    while (blocks < cache_.pool().PagesFor(row.cached + 1)) blocks *= 2;
  }
  if (steps_.size() == kMostSteps) steps_.pop_back();
  const std::optional<int64_t> seen =
      samples.empty() ? std::nullopt : std::optional(RoomForSeen(samples));
  steps_.emplace_front(backend_, model_, cache_, options_.act, static_cast<int64_t>(rows.size()),
                       blocks, seen);
  return steps_.front();
}

std::vector<int32_t> Generator::Fetch(const TensorView& tokens, const TensorView& logits) {
  std::vector<int32_t> out(static_cast<size_t>(tokens.dim(0)));
  backend_.Copy(TensorView(out.data(), DType::kI32, tokens.shape), tokens);
  backend_.Sync();
  const auto bad = std::find(out.begin(), out.end(), -1);
  if (bad == out.end()) return out;
  std::vector<float> row(static_cast<size_t>(logits.dim(1)));
  backend_.Copy(TensorView(row.data(), DType::kF32, {1, logits.dim(1)}),
                logits.Rows(bad - out.begin(), bad - out.begin() + 1));
  backend_.Sync();
  ArgMax(row);  // says why
  Fail(ErrorCode::kInternal, "the device found logits that are no numbers");
}

std::vector<int32_t> Generator::Decode(const std::vector<Share>& shares) {
  std::vector<DecodeStep::Row> rows;
  std::vector<Sequence*> sequences;
  for (const auto& [sequence, count] : shares) {
    rows.push_back(
        {sequence->tokens.back(), sequence->cached, cache_.pool().Table(sequence->pages)});
    sequences.push_back(sequence);
  }
  const std::vector<SampleRow> samples = NextSamples(sequences);
  DecodeStep& step = StepFor(rows, samples);
  step.Run(rows, samples);
  return Fetch(step.tokens(), step.logits());
}

std::vector<int32_t> Generator::Forward(const std::vector<Share>& shares) {
  const bool decode = std::all_of(shares.begin(), shares.end(),
                                  [](const Share& s) { return s.sequence->pending() == 1; });
  if (decode && !keys_depend_on_length_) return Decode(shares);
  const Workspace::Scope scope(scratch_);
  ExecContext ctx{backend_, scratch_, options_.act, nullptr};
  BatchBuilder builder;
  std::vector<int32_t> rows;
  std::vector<Sequence*> sequences;
  for (const auto& [sequence, count] : shares) {
    const std::span<const int32_t> tokens(sequence->tokens.data() + sequence->cached,
                                          static_cast<size_t>(count));
    builder.Add(tokens, sequence->cached, cache_.pool().Table(sequence->pages));
    if (count < sequence->pending()) continue;
    rows.push_back(static_cast<int32_t>(builder.num_tokens() - 1));
    sequences.push_back(sequence);
  }
  const Batch batch = builder.Build(backend_);
  const int64_t hidden_size = model_.spec().hidden;
  const TensorView hidden = scratch_.Take(DType::kF32, {batch.num_tokens(), hidden_size});
  model_.Forward(ctx, batch, cache_.layers(), hidden);
  if (rows.empty()) {
    backend_.Sync();
    return {};
  }
  const auto count = static_cast<int64_t>(rows.size());
  const TensorView index = scratch_.Take(DType::kI32, {count});
  const TensorView last = scratch_.Take(DType::kF32, {count, hidden_size});
  const TensorView logits = scratch_.Take(DType::kF32, {count, model_.spec().vocab});
  const TensorView next = scratch_.Take(DType::kI32, {count});
  backend_.Copy(index, TensorView(rows.data(), DType::kI32, {count}));
  backend_.GatherRows(hidden, index, last);
  model_.Logits(ctx, last, logits);
  const std::vector<SampleRow> samples = NextSamples(sequences);
  std::vector<int32_t> words;
  if (samples.empty()) {
    backend_.ArgMax(logits, next);
  } else {
    const SampleBatch sampling(count, RoomForSeen(samples));
    words.resize(static_cast<size_t>(sampling.size()));
    sampling.Pack(samples, words);
    const TensorView on_device = scratch_.Take(DType::kI32, {sampling.size()});
    backend_.Copy(on_device, TensorView(words.data(), DType::kI32, {sampling.size()}));
    backend_.Sample(sampling.Views(on_device), logits, next);
  }
  return Fetch(next, logits);
}

StepOutput Generator::Advance(Sequence& s, int32_t token) {
  StepOutput out{.id = s.id};
  out.token = token;
  const auto& stop_ids = s.request.stop_ids;
  ++s.generated;
  if (!s.request.ignore_eos &&
      std::find(stop_ids.begin(), stop_ids.end(), token) != stop_ids.end()) {
    out.finish = FinishReason::kStop;
  } else {
    s.tokens.push_back(token);
    out.text = s.text.Push(token);
    if (s.text.stopped()) {
      out.finish = FinishReason::kStop;
    } else if (s.generated == s.request.max_tokens) {
      out.finish = FinishReason::kLength;
    }
  }
  if (out.finish) {
    out.text += s.text.Finish();
    if (s.text.stopped()) out.finish = FinishReason::kStop;
  }
  return out;
}

std::vector<StepOutput> Generator::Step() {
  if (active_.empty()) return {};
  const std::vector<Share> shares = PlanStep();
  const std::vector<int32_t> tokens = Forward(shares);
  std::vector<StepOutput> outputs;
  size_t row = 0;
  for (const auto& [sequence, count] : shares) {
    const bool reads_on = count < sequence->pending();
    sequence->cached += count;
    if (reads_on) {
      outputs.push_back({.id = sequence->id});
      continue;
    }
    sequence->sampler.Accept(tokens[row]);
    outputs.push_back(Advance(*sequence, tokens[row++]));
    if (outputs.back().finish) Park(*sequence);
  }
  return outputs;
}

}  // namespace awq
