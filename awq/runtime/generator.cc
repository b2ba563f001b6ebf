#include "awq/runtime/generator.h"

#include <algorithm>

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
    : model_(model),
      tokenizer_(tokenizer),
      options_(options),
      keys_depend_on_length_(KeysDependOnLength(model.spec())),
      cache_(backend, model.spec(), options.capacity, options.kv_type.value_or(options.act)),
      runner_(backend, model, cache_, options.act, !keys_depend_on_length_) {
  AWQ_CHECK(options.chunk > 0 && options.context > 0 && options.sequences > 0, kInvalidArgument,
            "a generator with a chunk of ", options.chunk, " and a context of ", options.context,
            " tokens for ", options.sequences, " sequences");
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
  const PagePool& pool = cache_.pool();
  AWQ_CHECK(pool.PagesFor(total) <= pool.pages(), kOutOfMemory, "KV cache: ", total,
            " tokens need ", pool.PagesFor(total), " pages of ", kKvPageSize, " tokens, it has ",
            pool.pages());
  Sampler sampler(request.sampling, request.prompt);
  TextStream text(tokenizer_, request.stop);
  std::vector<int32_t> tokens = request.prompt;
  waiting_.push_back({.id = next_id_,
                      .tokens = std::move(tokens),
                      .request = std::move(request),
                      .sampler = std::move(sampler),
                      .text = std::move(text)});
  return next_id_++;
}

bool Generator::HasRoom() const {
  if (waiting_.empty() || active() >= options_.sequences) return false;
  const PagePool& pool = cache_.pool();
  const auto parked = static_cast<int64_t>(parked_ ? pool.Table(parked_->pages).size() : size_t{0});
  return pool.PagesFor(waiting_.front().total()) <= pool.free_pages() + parked;
}

void Generator::Admit() {
  PagePool& pool = cache_.pool();
  while (HasRoom()) {
    Sequence& s = waiting_.front();
    s.cached = s.reused = AdoptParked(s.request.prompt, s.pages);
    pool.Reserve(s.pages, s.total());
    active_.splice(active_.end(), waiting_, waiting_.begin());
  }
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

StepOutput Generator::Cancel(int64_t id) {
  const auto has_id = [id](const Sequence& s) { return s.id == id; };
  const auto running = std::find_if(active_.begin(), active_.end(), has_id);
  const auto queued = std::find_if(waiting_.begin(), waiting_.end(), has_id);
  AWQ_CHECK(running != active_.end() || queued != waiting_.end(), kInternal, "request ", id,
            " is not there");
  StepOutput out{.id = id, .finish = FinishReason::kCancelled};
  if (queued != waiting_.end()) {
    waiting_.erase(queued);
    return out;
  }
  out.text = running->text.Finish();
  out.reused = running->reused;
  Park(*running);
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

StepOutput Generator::Advance(Sequence& s, int32_t token) {
  StepOutput out{.id = s.id, .token = token, .reused = s.reused};
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

bool Generator::CanRunOn() const {
  const auto goes_on = [](const Sequence& s, int64_t id) {
    return s.id == id && s.generated + 1 < s.request.max_tokens && !s.sampler.Penalizes();
  };
  return runner_.CanRunOn() && !HasRoom() &&
         std::equal(active_.begin(), active_.end(), running_.begin(), running_.end(), goes_on);
}

std::vector<StepOutput> Generator::Step() {
  const auto runs = [this](const Sequence& s) {
    return std::find(running_.begin(), running_.end(), s.id) != running_.end();
  };
  if (!running_.empty() && std::none_of(active_.begin(), active_.end(), runs)) {
    runner_.Await();  // nobody wants it any more
    running_.clear();
  }
  if (running_.empty()) {
    std::vector<StepOutput> outputs = BeginStep();
    if (running_.empty()) return outputs;
  }
  const std::vector<int64_t> ids = running_;
  if (CanRunOn()) {
    std::vector<Sampler*> samplers;
    for (Sequence& s : active_) samplers.push_back(&s.sampler);
    runner_.RunOn(samplers);
  } else {
    running_.clear();
  }
  const std::vector<int32_t> tokens = runner_.Await();
  std::vector<StepOutput> outputs;
  for (size_t row = 0; row < ids.size(); ++row) {
    const auto s = std::find_if(active_.begin(), active_.end(),
                                [&](const Sequence& a) { return a.id == ids[row]; });
    if (s == active_.end()) continue;  // it has ended meanwhile
    if (tokens[row] < 0) runner_.Explain(static_cast<int64_t>(row));
    ++s->cached;
    outputs.push_back(Accept(*s, tokens[row]));
  }
  return outputs;
}

std::vector<StepOutput> Generator::BeginStep() {
  Admit();
  const std::vector<Share> shares = PlanStep();
  if (shares.empty()) return {};
  std::vector<StepShare> step;
  for (const auto& [s, count] : shares) {
    step.push_back({.tokens = std::span(s->tokens).subspan(static_cast<size_t>(s->cached),
                                                           static_cast<size_t>(count)),
                    .cached = s->cached,
                    .pages = cache_.pool().Table(s->pages),
                    .sampler = count == s->pending() ? &s->sampler : nullptr});
  }
  if (runner_.CanBegin(step)) {
    runner_.Begin(step);
    for (const Share& share : shares) running_.push_back(share.sequence->id);
    return {};
  }
  const std::vector<int32_t> tokens = runner_.Run(step);
  std::vector<StepOutput> outputs;
  size_t row = 0;
  for (const auto& [s, count] : shares) {
    const bool draws = count == s->pending();
    s->cached += count;
    outputs.push_back(draws ? Accept(*s, tokens[row++])
                            : StepOutput{.id = s->id, .reused = s->reused});
  }
  return outputs;
}

StepOutput Generator::Accept(Sequence& sequence, int32_t token) {
  sequence.sampler.Accept(token);
  StepOutput output = Advance(sequence, token);
  if (output.finish) Park(sequence);
  return output;
}

}  // namespace awq
