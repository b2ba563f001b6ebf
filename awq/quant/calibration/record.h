// CalibrationRecord: one sample of a calibration set, before it becomes tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "awq/base/json.h"

namespace awq {

// One of the three is filled.
struct CalibrationRecord {  // NOLINT(bugprone-exception-escape): of the JSON library
  std::string text;
  std::vector<int32_t> tokens;
  RawJson chat;       // {"messages": [...], "tools": [...]}, for the model's template
  std::string where;  // "file:line"
  size_t bytes = 0;   // about what it takes in memory
};

// A record of JSON: a text, a list of token ids, a list of messages, or an object with one of them
// under `column`, or, when that is empty, under "text", "tokens", "input_ids", "messages" or
// "conversations". Throws kCorrupt with `where`, the keys there are, and the cure.
CalibrationRecord RecordFromJson(const Json& json, const std::string& column,
                                 const std::string& where);

// The columns that are looked for without a name, in their order.
const std::vector<std::string>& DefaultColumns();

}  // namespace awq
