#include "awq/text/normalizer.h"

namespace awq {

NormalText Normalize(const NormalizerList& steps, std::string_view text, size_t head) {
  NormalText out{std::string(text), head};
  for (const auto& step : steps) step->Apply(out);
  return out;
}

}  // namespace awq
