#include "awq/api/internal/windows.h"

#include <algorithm>

namespace awq {

std::vector<Window> CutWindows(std::span<const int32_t> tokens, int64_t window,
                               std::optional<int32_t> bos, int64_t max_windows) {
  std::vector<Window> out;
  const auto total = static_cast<int64_t>(tokens.size());
  const int64_t step = bos ? window - 1 : window;
  for (int64_t begin = 0; begin < total; begin += step) {
    if (max_windows > 0 && static_cast<int64_t>(out.size()) == max_windows) break;
    const auto piece = tokens.subspan(static_cast<size_t>(begin),
                                      static_cast<size_t>(std::min(step, total - begin)));
    Window w;
    if (bos) {
      w.inputs.push_back(*bos);
      w.targets.assign(piece.begin(), piece.end());
    } else {
      if (static_cast<int64_t>(piece.size()) < window) break;
      w.targets.assign(piece.begin() + 1, piece.end());
    }
    w.inputs.insert(w.inputs.end(), piece.begin(), piece.end());
    out.push_back(std::move(w));
  }
  return out;
}

}  // namespace awq
