// TextInput: characters and lines of a text file that may be of any size, with line numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "awq/quant/calibration/byte_source.h"

namespace awq {

class TextInput {
 public:
  // No line or record may be longer, so that memory stays bounded.
  static constexpr size_t kLongest = size_t{64} << 20;

  // Skips a byte order mark. Throws kUnsupported for what is no UTF-8 text, saying what would do:
  // Parquet, Arrow, UTF-16, other compression, binary data.
  explicit TextInput(const std::filesystem::path& file);
  // Over text in memory, which must outlive this.
  TextInput(std::string name, std::string_view text);

  const std::string& name() const { return name_; }
  int64_t line() const { return line_; }  // of the next character, from 1
  std::string Where(int64_t line) const { return name_ + ":" + std::to_string(line); }

  // The first bytes, a few KiB at most; nothing is consumed.
  std::string_view Head() const { return Rest().substr(0, kHead); }
  // The next character; -1 at the end.
  int Peek();
  int Get();
  // The next line without its end; false at the end of the input. Throws kUnsupported.
  bool ReadLine(std::string& line);

 private:
  static constexpr size_t kHead = 4096;
  std::string_view Rest() const { return std::string_view(view_).substr(at_); }
  bool Fill();
  void RefuseBinary() const;

  std::string name_;
  std::unique_ptr<ByteSource> source_;  // null: all of it is in view_
  std::string buffer_;
  std::string_view view_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace awq
