// Normalizers: Unicode normal forms applied before a text is cut.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace awq {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// Applies the forms one after another to valid UTF-8.
std::string Normalize(const std::vector<NormalForm>& forms, std::string_view text);

}  // namespace awq
