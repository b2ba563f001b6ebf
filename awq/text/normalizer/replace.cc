#include "awq/text/normalizer/normalizers.h"

namespace awq {
namespace {

// Collects a text in which spans are replaced.
class Replacer {
 public:
  Replacer(NormalText& text, const std::string& content) : text_(text), content_(content) {
    out_.reserve(text.text.size() + text.text.size() / 4);
  }

  void Replace(size_t begin, size_t end) {
    Copy(begin);
    out_ += content_;
    text_.CheckLength(out_.size());
    // What is put in belongs to the last character that it replaces.
    if (end <= text_.head || end == 0) head_ = out_.size();
    at_ = end;
  }

  void Finish() {
    if (at_ == 0 && out_.empty()) return;
    Copy(text_.text.size());
    text_.text = std::move(out_);
    text_.head = head_;
  }

 private:
  void Copy(size_t end) {
    const size_t before = out_.size();
    out_.append(text_.text, at_, end - at_);
    if (at_ < text_.head) head_ = before + std::min(end, text_.head) - at_;
  }

  NormalText& text_;
  const std::string& content_;
  std::string out_;
  size_t at_ = 0;
  size_t head_ = 0;
};

class ReplacePattern : public Normalizer {
 public:
  ReplacePattern(Regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void Apply(NormalText& text) const override {
    if (text.text.empty()) return;
    Replacer replacer(text, content_);
    const auto replace = [&](size_t begin, size_t end) { replacer.Replace(begin, end); };
    pattern_.Each(text.text, replace);
    replacer.Finish();
  }

 private:
  Regex pattern_;
  std::string content_;
};

class ReplaceText : public Normalizer {
 public:
  ReplaceText(std::string literal, std::string content)
      : literal_(std::move(literal)), content_(std::move(content)) {}

  void Apply(NormalText& text) const override {
    Replacer replacer(text, content_);
    for (size_t at = 0; (at = text.text.find(literal_, at)) != std::string::npos;) {
      replacer.Replace(at, at + literal_.size());
      at += literal_.size();
    }
    replacer.Finish();
  }

 private:
  std::string literal_;
  std::string content_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string content) : content_(std::move(content)) {}

  void Apply(NormalText& text) const override {
    if (text.text.empty()) return;
    text.text.insert(0, content_);
    if (text.head > 0) text.head += content_.size();
  }

 private:
  std::string content_;
};

}  // namespace

std::unique_ptr<const Normalizer> MakeReplace(Regex pattern, std::string content) {
  return std::make_unique<ReplacePattern>(std::move(pattern), std::move(content));
}

std::unique_ptr<const Normalizer> MakeReplaceText(std::string literal, std::string content) {
  return std::make_unique<ReplaceText>(std::move(literal), std::move(content));
}

std::unique_ptr<const Normalizer> MakePrepend(std::string content) {
  return std::make_unique<Prepend>(std::move(content));
}

}  // namespace awq
