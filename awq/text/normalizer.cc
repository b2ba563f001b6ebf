#include "awq/text/normalizer.h"

#include "awq/base/error.h"

namespace awq {

void NormalText::CheckLength(size_t size) const {
  AWQ_CHECK(size <= longest, kUnsupported, "the tokenizer's normalizer makes more than ", longest,
            " bytes of a text; at most 64 times its length and 1 MiB are expected");
}

NormalText Normalize(const NormalizerList& steps, std::string_view text, size_t head) {
  constexpr size_t kGrowth = 64;
  constexpr size_t kAtLeast = size_t{1} << 20;
  NormalText out{std::string(text), head, kAtLeast + kGrowth * text.size()};
  for (const auto& step : steps) {
    step->Apply(out);
    out.CheckLength(out.text.size());
  }
  return out;
}

}  // namespace awq
