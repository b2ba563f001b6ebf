#include "awq/text/model.h"

#include <cstdio>

namespace awq {

std::vector<TokenId> FindByteTokens(const Vocabulary& vocabulary) {
  std::vector<TokenId> out;
  for (unsigned b = 0; b < 256; ++b) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", b);
    out.push_back(vocabulary.Find(name));
  }
  return out;
}

}  // namespace awq
