// Decoders that put spaces between words.
#include <array>
#include <optional>
#include <utility>

#include "awq/text/decoder/decoders.h"
#include "awq/text/decoder/step_maker.h"

namespace awq {
namespace {

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  size_t at = 0;
  for (size_t found; (found = text.find(from, at)) != std::string_view::npos;) {
    out += text.substr(at, found - at);
    out += to;
    at = found + from.size();
    if (!from.empty()) continue;
    // An empty text is found between any two characters.
    if (at == text.size()) break;
    do {
      out += text[at++];
    } while (at < text.size() && (text[at] & 0xc0) == 0x80);
  }
  if (at < text.size()) out += text.substr(at);
  return out;
}

// English as it is written, from words with spaces between them.
std::string CleanUp(std::string text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kRules = {
      {{" .", "."},
       {" ?", "?"},
       {" !", "!"},
       {" ,", ","},
       {" ' ", "'"},
       {" n't", "n't"},
       {" 'm", "'m"},
       {" do not", " don't"},
       {" 's", "'s"},
       {" 've", "'ve"},
       {" 're", "'re"}}};
  for (const auto& [from, to] : kRules) text = ReplaceAll(text, from, to);
  return text;
}

class WordPieceStep : public WholeTokenStep {
 public:
  WordPieceStep(DecodeStep* next, const std::string& prefix, bool cleanup)
      : WholeTokenStep(next), prefix_(prefix), cleanup_(cleanup) {}

 protected:
  void Token(std::string_view token) override {
    std::string text;
    if (!first_ && token.starts_with(prefix_)) {
      token.remove_prefix(prefix_.size());
    } else if (!first_) {
      text = " ";
    }
    first_ = false;
    text += token;
    Emit(cleanup_ ? CleanUp(std::move(text)) : text);
  }

 private:
  const std::string& prefix_;
  bool cleanup_;
  bool first_ = true;
};

// One token behind, since the last is treated differently.
class BpeStep : public WholeTokenStep {
 public:
  BpeStep(DecodeStep* next, const std::string& suffix) : WholeTokenStep(next), suffix_(suffix) {}

  void Finish() override {
    if (held_) Emit(ReplaceAll(*held_, suffix_, ""));
    next_->Finish();
  }

 protected:
  void Token(std::string_view token) override {
    if (held_) Emit(ReplaceAll(*held_, suffix_, " "));
    held_ = std::string(token);
  }

 private:
  const std::string& suffix_;
  std::optional<std::string> held_;
};

class CtcStep : public WholeTokenStep {
 public:
  CtcStep(DecodeStep* next, const std::string& pad, const std::string& delimiter, bool cleanup)
      : WholeTokenStep(next), pad_(pad), delimiter_(delimiter), cleanup_(cleanup) {}

 protected:
  void Token(std::string_view token) override {
    if (token == last_) return;
    last_ = std::string(token);
    std::string text = ReplaceAll(token, pad_, "");
    if (cleanup_) text = ReplaceAll(CleanUp(std::move(text)), delimiter_, " ");
    if (!text.empty()) Emit(text);
  }

 private:
  const std::string& pad_;
  const std::string& delimiter_;
  bool cleanup_;
  std::optional<std::string> last_;
};

}  // namespace

std::unique_ptr<const Decoder> MakeWordPieceDecoder(std::string prefix, bool cleanup) {
  return MakeDecoder<WordPieceStep>(std::move(prefix), cleanup);
}
std::unique_ptr<const Decoder> MakeBpeDecoder(std::string suffix) {
  return MakeDecoder<BpeStep>(std::move(suffix));
}
std::unique_ptr<const Decoder> MakeCtcDecoder(std::string pad, std::string delimiter,
                                              bool cleanup) {
  return MakeDecoder<CtcStep>(std::move(pad), std::move(delimiter), cleanup);
}

}  // namespace awq
