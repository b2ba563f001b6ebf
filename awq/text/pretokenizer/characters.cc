// Pre-tokenizers that look at one character at a time.
#include <algorithm>
#include <limits>

#include "awq/text/pretokenizer/split_spans.h"
#include "awq/text/unicode.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

bool IsMatch(bool (*predicate)(char32_t), char32_t c) { return predicate(c); }
bool IsMatch(char32_t wanted, char32_t c) { return wanted == c; }

// Every matching character is a span of its own.
template <typename Predicate>
class CharacterSplit : public PreTokenizer {
 public:
  CharacterSplit(Predicate predicate, SplitBehavior behavior)
      : predicate_(predicate), behavior_(behavior) {}

  void Split(const Piece& piece, const PieceSink& out) const override {
    const bool simple =
        behavior_ == SplitBehavior::kRemoved || behavior_ == SplitBehavior::kIsolated;
    std::vector<SplitSpan> spans;
    size_t begin = 0;  // of what does not match
    size_t at = 0;
    const auto add = [&](size_t end, bool match) {
      if (end == begin) return;
      if (!simple) {
        spans.push_back({begin, end, match});
      } else if (!match || behavior_ == SplitBehavior::kIsolated) {
        out(piece.Part(begin, end));
      }
      begin = end;
    };
    while (at < piece.text.size()) {
      const Utf8Char c = DecodeUtf8(piece.text.substr(at));
      if (IsMatch(predicate_, c.code)) {
        add(at, false);
        add(at + c.length, true);
      }
      at += c.length;
    }
    add(at, false);
    if (!simple) SplitSpans(piece, spans, behavior_, out);
  }

 private:
  Predicate predicate_;
  SplitBehavior behavior_;
};

template <typename Predicate>
std::unique_ptr<const PreTokenizer> MakeCharacterSplit(Predicate predicate,
                                                       SplitBehavior behavior) {
  return std::make_unique<CharacterSplit<Predicate>>(predicate, behavior);
}

// Runs of word characters and runs of others; white space is dropped.
class Whitespace : public PreTokenizer {
 public:
  void Split(const Piece& piece, const PieceSink& out) const override {
    enum Kind { kSpace, kWord, kOther };
    Kind kind = kSpace;
    size_t begin = 0;
    for (size_t at = 0; at < piece.text.size();) {
      const Utf8Char c = DecodeUtf8(piece.text.substr(at));
      const Kind next = IsWord(c.code) ? kWord : IsSpace(c.code) ? kSpace : kOther;
      if (next != kind) {
        if (kind != kSpace) out(piece.Part(begin, at));
        kind = next;
        begin = at;
      }
      at += c.length;
    }
    if (kind != kSpace) out(piece.Part(begin, piece.text.size()));
  }
};

class BertPreTokenizer : public PreTokenizer {
 public:
  void Split(const Piece& piece, const PieceSink& out) const override {
    size_t begin = 0;
    for (size_t at = 0; at < piece.text.size();) {
      const Utf8Char c = DecodeUtf8(piece.text.substr(at));
      const bool space = IsSpace(c.code);
      if (space || IsPunctuation(c.code)) {
        if (at > begin) out(piece.Part(begin, at));
        begin = at + c.length;
        if (!space) out(piece.Part(at, begin));
      }
      at += c.length;
    }
    if (begin < piece.text.size()) out(piece.Part(begin, piece.text.size()));
  }
};

class FixedLength : public PreTokenizer {
 public:
  explicit FixedLength(size_t characters) : characters_(characters) {}

  void Split(const Piece& piece, const PieceSink& out) const override {
    size_t begin = 0;
    size_t characters = 0;
    for (size_t at = 0; at < piece.text.size();) {
      at += DecodeUtf8(piece.text.substr(at)).length;
      if (++characters < characters_ && at < piece.text.size()) continue;
      out(piece.Part(begin, at));
      begin = at;
      characters = 0;
    }
  }

 private:
  size_t characters_;
};

}  // namespace

std::unique_ptr<const PreTokenizer> MakeWhitespace() { return std::make_unique<Whitespace>(); }
std::unique_ptr<const PreTokenizer> MakeWhitespaceSplit() {
  return MakeCharacterSplit(IsSpace, SplitBehavior::kRemoved);
}
std::unique_ptr<const PreTokenizer> MakeDigits(bool individual) {
  return MakeCharacterSplit(IsNumeric,
                            individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
}
std::unique_ptr<const PreTokenizer> MakePunctuation(SplitBehavior behavior) {
  return MakeCharacterSplit(IsPunctuation, behavior);
}
std::unique_ptr<const PreTokenizer> MakeCharDelimiterSplit(char32_t delimiter) {
  return MakeCharacterSplit(delimiter, SplitBehavior::kRemoved);
}
std::unique_ptr<const PreTokenizer> MakeBertPreTokenizer() {
  return std::make_unique<BertPreTokenizer>();
}
std::unique_ptr<const PreTokenizer> MakeFixedLength(size_t characters) {
  return std::make_unique<FixedLength>(characters);
}

}  // namespace awq
