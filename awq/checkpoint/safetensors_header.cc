#include "awq/checkpoint/safetensors_header.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <utility>

#include "awq/base/dtype.h"
#include "awq/base/error.h"

namespace awq {
namespace {

namespace dom = simdjson::dom;

struct NamedEntry {
  std::string name;
  SafetensorsEntry entry;
};

// Reads one header; its members share what every message names.
class Parser {
 public:
  Parser(std::span<const std::byte> file, const std::string& origin)
      : file_(file), origin_(origin) {}

  SafetensorsHeader Run() {
    const std::string_view text = HeaderText();
    dom::parser parser;
    dom::object root;
    const auto error = parser.parse(text.data(), text.size()).get(root);
    AWQ_CHECK(!error, kCorrupt, origin_,
              ": bad safetensors header: ", simdjson::error_message(error));
    SafetensorsHeader out;
    std::vector<NamedEntry> found;
    found.reserve(root.size());
    bool has_metadata = false;
    for (const auto field : root) {
      if (field.key == "__metadata__") {
        AWQ_CHECK(!std::exchange(has_metadata, true), kCorrupt, origin_,
                  ": __metadata__ appears twice in the header");
        ReadMetadata(field.value, out.metadata);
      } else {
        found.push_back({std::string(field.key), ReadEntry(field.key, field.value)});
      }
    }
    std::sort(found.begin(), found.end(), [](const NamedEntry& a, const NamedEntry& b) {
      return std::tie(a.entry.begin, a.entry.end, a.name) <
             std::tie(b.entry.begin, b.entry.end, b.name);
    });
    CheckTiling(found);
    Index(std::move(found), out);
    return out;
  }

 private:
  // The JSON text; sets data_begin_.
  std::string_view HeaderText() {
    const auto size = static_cast<int64_t>(file_.size());
    const char* bytes = reinterpret_cast<const char*>(file_.data());
    AWQ_CHECK(size >= 8, kCorrupt, origin_, ": expected at least 8 bytes of safetensors, found ",
              size);
    AWQ_CHECK(!std::string_view(bytes, 8).starts_with("version "), kCorrupt, origin_,
              ": this is a Git LFS pointer, not the weights; run \"git lfs pull\" in its folder");
    uint64_t length = 0;
    std::memcpy(&length, bytes, 8);
    AWQ_CHECK(length <= uint64_t{kMaxHeaderBytes}, kCorrupt, origin_, ": header of ", length,
              " bytes: at most ", kMaxHeaderBytes, " are allowed; is this a safetensors file?");
    AWQ_CHECK(static_cast<int64_t>(length) <= size - 8, kCorrupt, origin_, ": header of ", length,
              " bytes in a file of ", size, "; it is truncated: fetch it again");
    const std::string_view text(bytes + 8, length);
    AWQ_CHECK(text.starts_with('{'), kCorrupt, origin_,
              ": bad safetensors header: expected it to begin with {");
    data_begin_ = 8 + static_cast<int64_t>(length);
    return text;
  }

  void ReadMetadata(const dom::element& value, std::map<std::string, std::string>& out) const {
    dom::object members;
    AWQ_CHECK(!value.get(members), kCorrupt, origin_, ": __metadata__: expected an object");
    for (const auto field : members) {
      std::string_view text;
      AWQ_CHECK(!field.value.get(text), kCorrupt, origin_, ": __metadata__: ", field.key,
                ": expected a string");
      const bool added = out.emplace(field.key, text).second;
      AWQ_CHECK(added, kCorrupt, origin_, ": __metadata__: ", field.key, " appears twice");
    }
  }

  template <typename... Args>
  [[noreturn]] void FailEntry(std::string_view name, const Args&... args) const {
    Fail(ErrorCode::kCorrupt, origin_, ": ", name, ": ", args...);
  }

  int64_t ReadSize(std::string_view name, const dom::element& value) const {
    int64_t out = 0;
    if (value.get(out) || out < 0) {
      FailEntry(name, "expected sizes and offsets from 0 to 2^63 - 1");
    }
    return out;
  }

  SafetensorsEntry ReadEntry(std::string_view name, const dom::element& value) const {
    dom::object members;
    if (value.get(members)) FailEntry(name, "expected an object");
    SafetensorsEntry out;
    dom::array dims, offsets;
    std::string_view type;
    std::array<int, 3> seen{};
    for (const auto field : members) {
      if (field.key == "dtype") {
        ++seen[0];
        if (field.value.get(type)) FailEntry(name, "dtype: expected a string");
      } else if (field.key == "shape") {
        ++seen[1];
        if (field.value.get(dims)) FailEntry(name, "shape: expected an array");
      } else if (field.key == "data_offsets") {
        ++seen[2];
        if (field.value.get(offsets)) FailEntry(name, "data_offsets: expected an array");
      }
    }
    if (seen != std::array<int, 3>{1, 1, 1}) {
      FailEntry(name, "expected dtype, shape and data_offsets once each");
    }
    out.type = type;
    const std::optional<int64_t> elements = ReadShape(name, dims, out);
    ReadOffsets(name, offsets, out);
    CheckSize(name, elements, out);
    return out;
  }

  // The number of elements; nothing when it is beyond counting.
  std::optional<int64_t> ReadShape(std::string_view name, const dom::array& dims,
                                   SafetensorsEntry& out) const {
    std::array<int64_t, kMaxRank> first{};
    int64_t nonzero = 1;  // bounding this also bounds the strides of an empty tensor
    bool overflow = false, empty = false;
    for (const dom::element dim : dims) {
      const int64_t size = ReadSize(name, dim);
      if (out.rank < kMaxRank) first[static_cast<size_t>(out.rank)] = size;
      ++out.rank;
      empty |= size == 0;
      overflow |= __builtin_mul_overflow(nonzero, std::max<int64_t>(size, 1), &nonzero);
    }
    if (overflow) return std::nullopt;
    if (out.rank <= kMaxRank) {
      out.shape = Shape(std::span(first.data(), static_cast<size_t>(out.rank)));
    }
    return empty ? 0 : nonzero;
  }

  void ReadOffsets(std::string_view name, const dom::array& offsets, SafetensorsEntry& out) const {
    if (offsets.size() != 2) FailEntry(name, "data_offsets: expected two");
    const int64_t begin = ReadSize(name, offsets.at(0).value_unsafe());
    const int64_t end = ReadSize(name, offsets.at(1).value_unsafe());
    const int64_t data = static_cast<int64_t>(file_.size()) - data_begin_;
    if (begin > end) FailEntry(name, "data_offsets [", begin, ", ", end, "] run backwards");
    if (end > data) {
      FailEntry(name, "data_offsets [", begin, ", ", end, "] in a file with ", data,
                " bytes of data; it is truncated: fetch it again");
    }
    out.begin = data_begin_ + begin;
    out.end = data_begin_ + end;
  }

  // Shape against bytes, where the element type is known.
  void CheckSize(std::string_view name, std::optional<int64_t> elements,
                 const SafetensorsEntry& entry) const {
    if (!elements) FailEntry(name, "its shape has 2^63 elements or more");
    const auto type = DTypeFromName(entry.type);
    if (!type || *type == DType::kU4) return;
    const int64_t width = BitsOf(*type) / 8;
    int64_t bytes = 0;
    const bool overflow = __builtin_mul_overflow(*elements, width, &bytes);
    if (overflow || bytes != entry.end - entry.begin) {
      FailEntry(name, "expected ", *elements, " elements of ", width, " bytes (", entry.type,
                "), found ", entry.end - entry.begin, " bytes");
    }
  }

  void CheckTiling(const std::vector<NamedEntry>& sorted) const {
    int64_t at = data_begin_;
    for (const auto& [name, entry] : sorted) {
      if (entry.begin != at) {
        FailEntry(name, "expected its data at offset ", at - data_begin_, ", found ",
                  entry.begin - data_begin_,
                  entry.begin < at ? ": it overlaps another tensor" : ": there is a gap before it");
      }
      at = entry.end;
    }
    const auto size = static_cast<int64_t>(file_.size());
    AWQ_CHECK(at == size, kCorrupt, origin_, ": expected ", at, " bytes by the header, found ",
              size);
  }

  void Index(std::vector<NamedEntry> sorted, SafetensorsHeader& out) const {
    out.names.reserve(sorted.size());
    out.entries.reserve(sorted.size());
    out.index.reserve(sorted.size());
    for (NamedEntry& e : sorted) {
      out.names.push_back(std::move(e.name));
      out.entries.push_back(std::move(e.entry));
    }
    for (size_t i = 0; i < out.names.size(); ++i) {
      const bool added = out.index.emplace(out.names[i], i).second;
      if (!added) FailEntry(out.names[i], "appears twice in the header");
    }
  }

  std::span<const std::byte> file_;
  const std::string& origin_;
  int64_t data_begin_ = 0;
};

}  // namespace

SafetensorsHeader ParseSafetensorsHeader(std::span<const std::byte> file,
                                         const std::string& origin) {
  return Parser(file, origin).Run();
}

}  // namespace awq
