#include "awq/text/pretokenize.h"

#include <algorithm>

namespace awq {
namespace {

struct Span {
  size_t begin, end;
  bool match;
};

// Matches and what lies between them, covering the piece.
std::vector<Span> Cover(const Regex& pattern, std::string_view piece, bool invert) {
  std::vector<Span> spans;
  size_t at = 0;
  pattern.Each(piece, [&](size_t begin, size_t end) {
    if (begin > at) spans.push_back({at, begin, invert});
    spans.push_back({begin, end, !invert});
    at = end;
  });
  if (at < piece.size()) spans.push_back({at, piece.size(), invert});
  return spans;
}

// Joins each span that `joins` says to the last of the result.
template <typename Joins>
std::vector<Span> Fold(const std::vector<Span>& spans, const Joins& joins) {
  std::vector<Span> out;
  bool previous = false;
  for (const Span& s : spans) {
    if (joins(s.match, previous) && !out.empty()) {
      out.back().begin = std::min(out.back().begin, s.begin);
      out.back().end = std::max(out.back().end, s.end);
    } else {
      out.push_back(s);
    }
    previous = s.match;
  }
  return out;
}

std::vector<Span> Apply(SplitBehavior behavior, std::vector<Span> spans) {
  const auto first_of_matches = [](bool match, bool previous) { return match && !previous; };
  switch (behavior) {
    case SplitBehavior::kIsolated:
      return spans;
    case SplitBehavior::kRemoved:
      std::erase_if(spans, [](const Span& s) { return s.match; });
      return spans;
    case SplitBehavior::kMergedWithPrevious:
      return Fold(spans, first_of_matches);
    case SplitBehavior::kMergedWithNext: {
      std::reverse(spans.begin(), spans.end());
      spans = Fold(spans, first_of_matches);
      std::reverse(spans.begin(), spans.end());
      return spans;
    }
    case SplitBehavior::kContiguous:
      return Fold(spans, [](bool match, bool previous) { return match == previous; });
  }
  return spans;
}

class SplitStep : public PreTokenizer {
 public:
  SplitStep(Regex pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void Split(std::string_view piece, std::vector<std::string_view>& out,
             std::vector<std::unique_ptr<std::string>>&) const override {
    if (behavior_ == SplitBehavior::kIsolated) {  // the common case, without a list of spans
      size_t at = 0;
      pattern_.Each(piece, [&](size_t begin, size_t end) {
        if (begin > at) out.push_back(piece.substr(at, begin - at));
        out.push_back(piece.substr(begin, end - begin));
        at = end;
      });
      if (at < piece.size()) out.push_back(piece.substr(at));
      return;
    }
    for (const Span& s : Apply(behavior_, Cover(pattern_, piece, invert_))) {
      if (s.end > s.begin) out.push_back(piece.substr(s.begin, s.end - s.begin));
    }
  }

 private:
  Regex pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class ByteLevelStep : public PreTokenizer {
 public:
  ByteLevelStep(bool add_prefix_space, bool use_regex) : add_prefix_space_(add_prefix_space) {
    if (use_regex) split_ = MakeSplit(Regex(kGpt2Pattern), SplitBehavior::kIsolated, false);
  }

  void Split(std::string_view piece, std::vector<std::string_view>& out,
             std::vector<std::unique_ptr<std::string>>& arena) const override {
    if (add_prefix_space_ && !piece.starts_with(' ')) {
      arena.push_back(std::make_unique<std::string>(" " + std::string(piece)));
      piece = *arena.back();
    }
    if (split_) {
      split_->Split(piece, out, arena);
    } else if (!piece.empty()) {
      out.push_back(piece);
    }
  }

 private:
  bool add_prefix_space_;
  std::unique_ptr<const PreTokenizer> split_;
};

}  // namespace

std::unique_ptr<const PreTokenizer> MakeSplit(Regex pattern, SplitBehavior behavior, bool invert) {
  return std::make_unique<SplitStep>(std::move(pattern), behavior, invert);
}

std::unique_ptr<const PreTokenizer> MakeByteLevel(bool add_prefix_space, bool use_regex) {
  return std::make_unique<ByteLevelStep>(add_prefix_space, use_regex);
}

}  // namespace awq
