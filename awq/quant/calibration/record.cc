#include "awq/quant/calibration/record.h"

#include <limits>

#include "awq/base/error.h"

namespace awq {
namespace {

std::string Keys(const RawJson& object) {
  std::string out;
  for (const auto& [key, value] : object.items()) {
    if (out.size() > 80) return out + ", …";
    out += (out.empty() ? "\"" : ", \"") + key + "\"";
  }
  return out.empty() ? "none" : out;
}

std::vector<int32_t> Tokens(const Json& list) {
  std::vector<int32_t> out;
  for (const Json& id : list.AsArray()) {
    const int64_t value = id.AsInt();
    AWQ_CHECK(value >= 0 && value <= std::numeric_limits<int32_t>::max(), kCorrupt, id.Where(),
              ": expected a token id, found ", value);
    out.push_back(static_cast<int32_t>(value));
  }
  return out;
}

// Templates read the arguments of a tool call as an object, as Transformers documents; recorded
// conversations hold what the API sent, the object's text.
void ParseToolArguments(RawJson& message) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || !calls->is_array()) return;
  for (RawJson& call : *calls) {
    if (!call.is_object()) continue;
    RawJson& function =
        call.contains("function") && call["function"].is_object() ? call["function"] : call;
    const auto arguments = function.find("arguments");
    if (arguments == function.end() || !arguments->is_string()) continue;
    const RawJson parsed = RawJson::parse(arguments->get<std::string>(), nullptr, false);
    if (parsed.is_object()) *arguments = parsed;
  }
}

// ShareGPT's {"from", "value"} as {"role", "content"}.
RawJson Message(const Json& json) {
  RawJson message = json.raw();
  AWQ_CHECK(message.is_object(), kCorrupt, json.Where(), ": expected a message, an object");
  if (!message.contains("role") && message.contains("from")) {
    const std::string from = json.String("from");
    message["role"] = from == "human" ? "user" : from == "gpt" ? "assistant" : from;
    message["content"] = message.contains("value") ? message["value"] : RawJson("");
    message.erase("from");
    message.erase("value");
  }
  AWQ_CHECK(message.contains("role") && message["role"].is_string(), kCorrupt, json.Where(),
            ": expected a message with \"role\"; found ", Keys(message));
  ParseToolArguments(message);
  return message;
}

CalibrationRecord FromValue(const Json& value) {
  CalibrationRecord out;
  const RawJson& raw = value.raw();
  if (raw.is_string()) {
    out.text = raw.get<std::string>();
    out.bytes = out.text.size();
    return out;
  }
  AWQ_CHECK(raw.is_array(), kCorrupt, value.Where(),
            ": expected a text, a list of token ids or a list of messages, found ",
            raw.type_name());
  if (raw.empty()) return out;
  if (raw.front().is_object()) {
    RawJson messages = RawJson::array();
    for (const Json& message : value.AsArray()) messages.push_back(Message(message));
    out.chat["messages"] = std::move(messages);
    out.bytes = 4 * raw.dump(-1, ' ', false, RawJson::error_handler_t::replace).size();
    return out;
  }
  out.tokens = Tokens(value);
  out.bytes = 4 * out.tokens.size();
  return out;
}

std::string FindColumn(const Json& json, const std::string& column, const std::string& where) {
  const RawJson& raw = json.raw();
  if (!column.empty()) {
    AWQ_CHECK(raw.contains(column), kCorrupt, where, ": no column \"", column, "\"; found ",
              Keys(raw));
    return column;
  }
  for (const std::string& name : DefaultColumns()) {
    if (json.Has(name)) return name;
  }
  Fail(ErrorCode::kCorrupt, where, ": expected \"text\", \"tokens\" or \"messages\", found ",
       Keys(raw), "; name the column with --calib-column");
}

}  // namespace

const std::vector<std::string>& DefaultColumns() {
  static const std::vector<std::string> names = {"text", "tokens", "input_ids", "messages",
                                                 "conversations"};
  return names;
}

CalibrationRecord RecordFromJson(const Json& json, const std::string& column,
                                 const std::string& where) {
  CalibrationRecord out;
  if (json.raw().is_object()) {
    out = FromValue(json.At(FindColumn(json, column, where)));
    if (!out.chat.is_null()) {
      for (const char* key : {"tools", "documents"}) {
        if (json.Has(key)) out.chat[key] = json.At(key).raw();
      }
    }
  } else {
    out = FromValue(json);
  }
  out.where = where;
  out.bytes += sizeof out;
  return out;
}

}  // namespace awq
