// SplitSpans: hands on the parts of a piece, given what in it matches.
#pragma once

#include <vector>

#include "awq/text/pretokenizer/pretokenizers.h"

namespace awq {

struct SplitSpan {
  size_t begin, end;
  bool match;
};

// `spans` cover the piece from left to right.
inline void SplitSpans(const Piece& piece, const std::vector<SplitSpan>& spans,
                       SplitBehavior behavior, const PieceSink& out) {
  const auto emit = [&](size_t begin, size_t end) {
    if (end > begin) out(piece.Part(begin, end));
  };
  // Joins a span to the one before where the behavior says so.
  const auto joined = [&](size_t i) {
    const bool match = spans[i].match;
    const bool previous = spans[i - 1].match;
    switch (behavior) {
      case SplitBehavior::kMergedWithPrevious:
        return match && !previous;
      case SplitBehavior::kMergedWithNext:
        return previous && !match;
      case SplitBehavior::kContiguous:
        return match == previous;
      default:
        return false;
    }
  };
  for (size_t i = 0; i < spans.size();) {
    const size_t first = i++;
    while (i < spans.size() && joined(i)) ++i;
    if (behavior == SplitBehavior::kRemoved && spans[first].match) continue;
    emit(spans[first].begin, spans[i - 1].end);
  }
}

}  // namespace awq
