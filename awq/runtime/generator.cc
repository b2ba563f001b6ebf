#include "awq/runtime/generator.h"

#include <algorithm>

#include "awq/nn/batch_builder.h"

namespace awq {
namespace {

// Whether keys depend on how long the sequence was when they were rotated.
bool KeysDependOnLength(const ModelSpec& model) {
  return std::any_of(model.layers.begin(), model.layers.end(),
                     [](const LayerSpec& l) { return RopeOf(l).DependsOnLength(); });
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

DecodeStep& Generator::StepFor(std::span<const DecodeStep::Row> rows) {
  auto step =
      std::find_if(steps_.begin(), steps_.end(), [&](const DecodeStep& s) { return s.Fits(rows); });
  if (step == steps_.end()) {
    constexpr size_t kMostSteps = 8;
    int64_t blocks = 16;
    for (const DecodeStep::Row& row : rows) {
      while (blocks < cache_.pool().PagesFor(row.cached + 1)) blocks *= 2;
    }
    if (steps_.size() == kMostSteps) steps_.pop_back();
    steps_.emplace_front(backend_, model_, cache_, options_.act, static_cast<int64_t>(rows.size()),
                         blocks);
  } else {
    steps_.splice(steps_.begin(), steps_, step);
  }
  return steps_.front();
}

void Generator::Decode(const std::vector<Share>& shares) {
  std::vector<DecodeStep::Row> rows;
  bool best = true;
  for (const auto& [sequence, count] : shares) {
    rows.push_back(
        {sequence->tokens.back(), sequence->cached, cache_.pool().Table(sequence->pages)});
    best = best && sequence->sampler.TakesBest();
  }
  DecodeStep& step = StepFor(rows);
  step.Run(rows);
  best_.assign(best ? rows.size() : 0, -1);
  if (best) {
    backend_.Copy(TensorView(best_.data(), DType::kI32, step.best().shape), step.best());
    backend_.Sync();
    best = std::all_of(best_.begin(), best_.end(), [](int32_t id) { return id >= 0; });
  }
  if (best) return;
  best_.clear();
  logits_.resize(rows.size() * static_cast<size_t>(model_.spec().vocab));
  backend_.Copy(TensorView(logits_.data(), DType::kF32, step.logits().shape), step.logits());
  backend_.Sync();
}

int32_t Generator::TakeToken(Sequence& s, size_t row) {
  if (!best_.empty()) {
    s.sampler.Accept(best_[row]);
    return best_[row];
  }
  const auto vocab = static_cast<size_t>(model_.spec().vocab);
  return s.sampler.Sample(std::span(logits_).subspan(vocab * row, vocab));
}

void Generator::Forward(const std::vector<Share>& shares) {
  const bool decode = std::all_of(shares.begin(), shares.end(),
                                  [](const Share& s) { return s.sequence->pending() == 1; });
  if (decode && !keys_depend_on_length_) return Decode(shares);
  best_.clear();
  const Workspace::Scope scope(scratch_);
  ExecContext ctx{backend_, scratch_, options_.act, nullptr};
  BatchBuilder builder;
  std::vector<int32_t> rows;
  for (const auto& [sequence, count] : shares) {
    const std::span<const int32_t> tokens(sequence->tokens.data() + sequence->cached,
                                          static_cast<size_t>(count));
    builder.Add(tokens, sequence->cached, cache_.pool().Table(sequence->pages));
    if (count == sequence->pending()) {
      rows.push_back(static_cast<int32_t>(builder.num_tokens() - 1));
    }
  }
  const Batch batch = builder.Build(backend_);
  const int64_t hidden_size = model_.spec().hidden;
  const TensorView hidden = scratch_.Take(DType::kF32, {batch.num_tokens(), hidden_size});
  model_.Forward(ctx, batch, cache_.layers(), hidden);
  logits_.resize(rows.size() * static_cast<size_t>(model_.spec().vocab));
  if (!rows.empty()) {
    const auto count = static_cast<int64_t>(rows.size());
    const TensorView index = scratch_.Take(DType::kI32, {count});
    const TensorView last = scratch_.Take(DType::kF32, {count, hidden_size});
    const TensorView logits = scratch_.Take(DType::kF32, {count, model_.spec().vocab});
    backend_.Copy(index, TensorView(rows.data(), DType::kI32, {count}));
    backend_.GatherRows(hidden, index, last);
    model_.Logits(ctx, last, logits);
    backend_.Copy(TensorView(logits_.data(), DType::kF32, logits.shape), logits);
  }
  backend_.Sync();
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
  Forward(shares);
  std::vector<StepOutput> outputs;
  size_t row = 0;
  for (const auto& [sequence, count] : shares) {
    const bool reads_on = count < sequence->pending();
    sequence->cached += count;
    if (reads_on) {
      outputs.push_back({.id = sequence->id});
      continue;
    }
    outputs.push_back(Advance(*sequence, TakeToken(*sequence, row++)));
    if (outputs.back().finish) Park(*sequence);
  }
  return outputs;
}

}  // namespace awq
