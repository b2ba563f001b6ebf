// RecordReader: the records of one calibration file, one after the other.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "awq/quant/calibration/record.h"
#include "awq/quant/calibration/text_input.h"

namespace awq {

class RecordReader {
 public:
  virtual ~RecordReader() = default;
  // False at the end. Throws kCorrupt naming file and line.
  virtual bool Next(CalibrationRecord& record) = 0;
};

struct RecordOptions {
  std::string column = {};  // of the samples; empty: see RecordFromJson
  bool by_line = false;     // a plain text's samples are its lines, not pieces of it
};

// The readers, one file each.
std::unique_ptr<RecordReader> MakeTextReader(std::unique_ptr<TextInput> in, bool by_line);
std::unique_ptr<RecordReader> MakeJsonLinesReader(std::unique_ptr<TextInput> in,
                                                  std::string column);
std::unique_ptr<RecordReader> MakeJsonArrayReader(std::unique_ptr<TextInput> in,
                                                  std::string column);
// Throws kCorrupt for a header without the column, kUnsupported without a hint which it is.
std::unique_ptr<RecordReader> MakeCsvReader(std::unique_ptr<TextInput> in, char separator,
                                            const std::string& column);

// By the name's extension, .gz or .zst taken off; without a known one, by what the text begins
// with.
std::unique_ptr<RecordReader> MakeRecordReader(std::unique_ptr<TextInput> in,
                                               const std::filesystem::path& file,
                                               const RecordOptions& options);

}  // namespace awq
