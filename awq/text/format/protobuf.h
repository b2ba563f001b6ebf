// Protobuf: reads the fields of a message (Protocol Buffers wire format, proto2).
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "awq/base/error.h"

namespace awq {

class ProtobufField {
 public:
  uint32_t number() const { return number_; }
  // Each throws kCorrupt when the field is of another kind.
  uint64_t Varint() const {
    Expect(0);
    return value_;
  }
  bool Bool() const { return Varint() != 0; }
  float Float() const {
    Expect(5);
    float out = 0;
    const auto bits = static_cast<uint32_t>(value_);
    std::memcpy(&out, &bits, sizeof out);
    return out;
  }
  std::string_view Bytes() const {
    Expect(2);
    return bytes_;
  }

 private:
  friend class ProtobufReader;
  void Expect(uint32_t kind) const {
    AWQ_CHECK(kind_ == kind, kCorrupt, "field ", number_, ": expected wire type ", kind, ", found ",
              kind_);
  }
  uint32_t number_ = 0;
  uint32_t kind_ = 0;
  uint64_t value_ = 0;
  std::string_view bytes_;
};

class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view message) : rest_(message) {}

  // False at the end. Throws kCorrupt where the message breaks off or is none.
  bool Next(ProtobufField& field) {
    if (rest_.empty()) return false;
    const uint64_t tag = Varint();
    field.number_ = static_cast<uint32_t>(tag >> 3);
    field.kind_ = static_cast<uint32_t>(tag & 7);
    field.value_ = 0;
    field.bytes_ = {};
    AWQ_CHECK(tag >> 32 == 0 && field.number_ > 0, kCorrupt, "a field without a number");
    switch (field.kind_) {
      case 0:
        field.value_ = Varint();
        return true;
      case 1:
        field.value_ = Fixed(8);
        return true;
      case 2:
        field.bytes_ = Take(Varint());
        return true;
      case 5:
        field.value_ = Fixed(4);
        return true;
      default:
        Fail(ErrorCode::kCorrupt, "field ", field.number_, " of wire type ", field.kind_);
    }
  }

 private:
  std::string_view Take(uint64_t size) {
    AWQ_CHECK(size <= rest_.size(), kCorrupt, "a field of ", size, " bytes where ", rest_.size(),
              " are left");
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  uint64_t Varint() {
    uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(Take(1)[0]);
      out |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return out;
    }
    Fail(ErrorCode::kCorrupt, "a number of more than 64 bits");
  }
  uint64_t Fixed(size_t size) {
    uint64_t out = 0;
    std::memcpy(&out, Take(size).data(), size);  // little endian, as this machine
    return out;
  }

  std::string_view rest_;
};

}  // namespace awq
