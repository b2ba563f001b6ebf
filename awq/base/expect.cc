#include "awq/base/expect.h"

#include <algorithm>
#include <charconv>

namespace awq {

void Dims::Expect(std::string_view tensor, const TensorView& view,
                  std::initializer_list<std::string_view> letters,
                  std::initializer_list<DType> types) {
  std::string expected;
  bool matches = view.rank() == static_cast<int>(letters.size());
  int i = 0;
  for (std::string_view letter : letters) {
    int64_t value = 0;
    const auto number = std::from_chars(letter.data(), letter.data() + letter.size(), value);
    bool known = number.ec == std::errc() && number.ptr == letter.data() + letter.size();
    if (!known) {
      const auto it = bound_.find(letter);
      known = it != bound_.end();
      if (known) value = it->second;
    }
    if (i < view.rank()) {
      if (!known) bound_.emplace(letter, view.dim(i));
      if (known && view.dim(i) != value) matches = false;
    }
    expected += (i ? ", " : "") + std::string(letter);
    if (known) expected += "=" + std::to_string(value);
    ++i;
  }
  AWQ_CHECK(matches, kInternal, where_, ": ", tensor, ": expected [", expected, "], found ",
            view.shape);
  if (types.size() != 0 && std::find(types.begin(), types.end(), view.dtype) == types.end()) {
    std::string names;
    for (DType t : types) names += (names.empty() ? "" : " or ") + std::string(NameOf(t));
    Fail(ErrorCode::kInternal, where_, ": ", tensor, ": expected ", names, ", found ",
         NameOf(view.dtype));
  }
}

int64_t Dims::operator[](std::string_view letter) const {
  const auto it = bound_.find(letter);
  AWQ_CHECK(it != bound_.end(), kInternal, where_, ": unbound letter ", letter);
  return it->second;
}

}  // namespace awq
