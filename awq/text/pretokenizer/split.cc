#include "awq/text/pretokenizer/split_spans.h"

namespace awq {
namespace {

class PatternSplit : public PreTokenizer {
 public:
  PatternSplit(Regex pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void Split(const Piece& piece, const PieceSink& out) const override {
    size_t at = 0;
    if (behavior_ == SplitBehavior::kIsolated) {  // the common case, without a list of spans
      pattern_.Each(piece.text, [&](size_t begin, size_t end) {
        if (begin > at) out(piece.Part(at, begin));
        if (end > begin) out(piece.Part(begin, end));
        at = end;
      });
      if (at < piece.text.size()) out(piece.Part(at, piece.text.size()));
      return;
    }
    std::vector<SplitSpan> spans;
    pattern_.Each(piece.text, [&](size_t begin, size_t end) {
      if (begin > at) spans.push_back({at, begin, invert_});
      spans.push_back({begin, end, !invert_});
      at = end;
    });
    if (at < piece.text.size()) spans.push_back({at, piece.text.size(), invert_});
    SplitSpans(piece, spans, behavior_, out);
  }

 private:
  Regex pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

}  // namespace

std::unique_ptr<const PreTokenizer> MakeSplit(Regex pattern, SplitBehavior behavior, bool invert) {
  return std::make_unique<PatternSplit>(std::move(pattern), behavior, invert);
}

}  // namespace awq
