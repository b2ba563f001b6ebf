#include "awq/base/dtype.h"

#include <array>

namespace awq {
namespace {

struct Entry {
  DType type;
  std::string_view name;
  int bits;
};

constexpr std::array kEntries = {
    Entry{DType::kF64, "F64", 64},       Entry{DType::kF32, "F32", 32},
    Entry{DType::kF16, "F16", 16},       Entry{DType::kBF16, "BF16", 16},
    Entry{DType::kI64, "I64", 64},       Entry{DType::kI32, "I32", 32},
    Entry{DType::kI16, "I16", 16},       Entry{DType::kI8, "I8", 8},
    Entry{DType::kU8, "U8", 8},          Entry{DType::kU4, "U4", 4},
    Entry{DType::kBool, "BOOL", 8},      Entry{DType::kF8E4M3, "F8_E4M3", 8},
    Entry{DType::kF8E5M2, "F8_E5M2", 8},
};

const Entry& EntryOf(DType type) {
  for (const Entry& e : kEntries) {
    if (e.type == type) return e;
  }
  return kEntries.front();
}

}  // namespace

int BitsOf(DType type) { return EntryOf(type).bits; }
std::string_view NameOf(DType type) { return EntryOf(type).name; }

std::optional<DType> DTypeFromName(std::string_view name) {
  for (const Entry& e : kEntries) {
    if (e.name == name) return e.type;
  }
  return std::nullopt;
}

}  // namespace awq
