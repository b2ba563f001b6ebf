// Decoders that change what tokens are spelled with.
#include "awq/text/decoder/decoders.h"
#include "awq/text/decoder/step_maker.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

class FuseStep : public DecodeStep {
 public:
  using DecodeStep::DecodeStep;
  void Push(std::string_view text, bool, bool) override {
    next_->Push(text, !begun_, false);
    begun_ = true;
  }
  void Finish() override {
    next_->Push({}, !begun_, true);
    next_->Finish();
  }

 private:
  bool begun_ = false;
};

class MetaspaceStep : public DecodeStep {
 public:
  MetaspaceStep(DecodeStep* next, const std::string& mark, bool strip_first)
      : DecodeStep(next), mark_(mark), strip_(strip_first) {}

  void Push(std::string_view text, bool begins, bool ends) override {
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const size_t next = std::min(text.find(mark_, at), text.size());
      out += text.substr(at, next - at);
      at = next;
      if (at == text.size()) break;
      if (!strip_) out += ' ';
      at += mark_.size();
    }
    if (ends) strip_ = false;
    next_->Push(out, begins, ends);
  }

 private:
  const std::string& mark_;
  bool strip_;  // still in the first token
};

class ReplaceStep : public WholeTokenStep {
 public:
  ReplaceStep(DecodeStep* next, const Regex& pattern, const std::string& content)
      : WholeTokenStep(next), pattern_(pattern), content_(content) {}

 protected:
  void Token(std::string_view token) override {
    std::string out;
    size_t at = 0;
    const auto replace = [&](size_t begin, size_t end) {
      out += token.substr(at, begin - at);
      out += content_;
      at = end;
    };
    if (!token.empty()) pattern_.Each(token, replace);
    out += token.substr(at);
    Emit(out);
  }

 private:
  const Regex& pattern_;
  const std::string& content_;
};

// Of a token in parts, only what may be the beginning of the literal is held back.
class ReplaceTextStep : public DecodeStep {
 public:
  ReplaceTextStep(DecodeStep* next, const std::string& literal, const std::string& content)
      : DecodeStep(next), literal_(literal), content_(content) {}

  void Push(std::string_view text, bool begins, bool ends) override {
    held_ += text;
    std::string out;
    size_t at = 0;
    for (size_t found; (found = held_.find(literal_, at)) != std::string::npos;) {
      out.append(held_, at, found - at);
      out += content_;
      at = found + literal_.size();
    }
    size_t keep = ends ? 0 : std::min(held_.size() - at, literal_.size() - 1);
    while (!std::string_view(literal_).starts_with(
        std::string_view(held_).substr(held_.size() - keep))) {
      --keep;
    }
    out.append(held_, at, held_.size() - keep - at);
    held_.erase(0, held_.size() - keep);
    next_->Push(out, begins, ends);
  }

 private:
  const std::string& literal_;
  const std::string& content_;
  std::string held_;
};

class StripStep : public DecodeStep {
 public:
  StripStep(DecodeStep* next, const std::string& content, size_t start, size_t stop)
      : DecodeStep(next), content_(content), start_(start), stop_(stop) {}

  void Push(std::string_view text, bool begins, bool ends) override {
    if (begins) to_strip_ = start_;
    while (to_strip_ > 0 && !text.empty()) {
      if (!text.starts_with(content_)) {
        to_strip_ = 0;
        break;
      }
      text.remove_prefix(content_.size());
      --to_strip_;
    }
    if (stop_ == 0) {
      next_->Push(text, begins, ends);
      return;
    }
    held_ += text;
    size_t run = 0;  // at the end of what is held, at most `stop_`
    std::string_view rest = held_;
    while (run < stop_ && rest.ends_with(content_)) {
      rest.remove_suffix(content_.size());
      ++run;
    }
    const std::string out(rest);
    held_.erase(0, out.size());
    if (ends) held_.clear();
    next_->Push(out, begins, ends);
  }

 private:
  const std::string& content_;
  size_t start_, stop_;
  size_t to_strip_ = 0;
  std::string held_;
};

class LeadingMarkStep : public WholeTokenStep {
 public:
  LeadingMarkStep(DecodeStep* next, const std::string& mark, bool every)
      : WholeTokenStep(next), mark_(mark), every_(every) {}

 protected:
  void Token(std::string_view token) override {
    if (!begun_) {
      const bool marked = token.starts_with(mark_);
      if (marked) token.remove_prefix(mark_.size());
      begun_ = !token.empty() || (marked && !every_);
    }
    Emit(token);
  }

 private:
  const std::string& mark_;
  bool every_;
  bool begun_ = false;
};

class JoinStep : public DecodeStep {
 public:
  using DecodeStep::DecodeStep;
  void Push(std::string_view text, bool begins, bool ends) override {
    if (begins && begun_) next_->Push(" ", true, true);
    begun_ = true;
    next_->Push(text, begins, ends);
  }

 private:
  bool begun_ = false;
};

std::string Spell(char32_t code) {
  std::string out;
  AppendUtf8(code, out);
  return out;
}

}  // namespace

std::unique_ptr<const Decoder> MakeFuse() { return MakeDecoder<FuseStep>(); }
std::unique_ptr<const Decoder> MakeJoinWithSpaces() { return MakeDecoder<JoinStep>(); }
std::unique_ptr<const Decoder> MakeMetaspaceDecoder(char32_t replacement, bool strip_first) {
  return MakeDecoder<MetaspaceStep>(Spell(replacement), strip_first);
}
std::unique_ptr<const Decoder> MakeReplaceDecoder(Regex pattern, std::string content) {
  return MakeDecoder<ReplaceStep>(std::move(pattern), std::move(content));
}
std::unique_ptr<const Decoder> MakeReplaceTextDecoder(std::string literal, std::string content) {
  return MakeDecoder<ReplaceTextStep>(std::move(literal), std::move(content));
}
std::unique_ptr<const Decoder> MakeLeadingMarkDecoder(std::string mark, bool every) {
  return MakeDecoder<LeadingMarkStep>(std::move(mark), every);
}
std::unique_ptr<const Decoder> MakeStripDecoder(char32_t content, size_t start, size_t stop) {
  return MakeDecoder<StripStep>(Spell(content), start, stop);
}

}  // namespace awq
