#include "awq/base/json.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "awq/base/error.h"
#include "awq/base/file.h"

namespace awq {
namespace {

constexpr int kMaxDepth = 256;

// "line 3, column 7"
std::string Place(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const auto newline = before.rfind('\n');
  const auto column = newline == std::string_view::npos ? offset + 1 : offset - newline;
  return Cat("line ", line, ", column ", column);
}

// Where the first number stands that no double can hold.
size_t FindHugeNumber(std::string_view text) {
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      in_string = !in_string;
    } else if (!in_string &&
               std::string_view("-0123456789").find(text[i]) != std::string_view::npos) {
      const size_t end = std::min(text.find_first_not_of("+-.0123456789eE", i), text.size());
      if (std::isinf(std::strtod(std::string(text.substr(i, end - i)).c_str(), nullptr))) return i;
      i = end - 1;
    }
  }
  return 0;
}

}  // namespace

RawJson FiniteOrNull(double value) {
  return std::isfinite(value) ? RawJson(value) : RawJson(nullptr);
}

Json::Json(std::shared_ptr<const RawJson> document, const RawJson* value, std::string origin,
           std::string path)
    : document_(std::move(document)),
      value_(value),
      origin_(std::move(origin)),
      path_(std::move(path)) {}

Json Json::Load(const std::filesystem::path& file) { return Parse(ReadFile(file), file.string()); }

Json Json::Parse(std::string_view text, std::string origin) {
  // Nesting is bounded: a value of hostile depth would overflow the stack when it is destroyed.
  int depth = 0;
  const auto bounded = [&depth](int, nlohmann::json::parse_event_t event, const RawJson&) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) ++depth;
    if (event == Event::object_end || event == Event::array_end) --depth;
    AWQ_CHECK(depth <= kMaxDepth, kCorrupt, "JSON nested deeper than ", kMaxDepth, " levels");
    return true;
  };
  try {
    auto document = std::make_shared<RawJson>(RawJson::parse(text, bounded));
    const RawJson* value = document.get();
    return Json(std::move(document), value, std::move(origin), "");
  } catch (const nlohmann::json::parse_error& e) {
    const auto offset = std::min(e.byte > 0 ? e.byte - 1 : 0, text.size());
    Fail(ErrorCode::kCorrupt, origin, ": bad JSON at ", Place(text, offset));
  } catch (const nlohmann::json::out_of_range&) {
    Fail(ErrorCode::kCorrupt, origin, ": a number beyond the range of double at ",
         Place(text, FindHugeNumber(text)));
  } catch (const Error& e) {
    Fail(e.code(), origin, ": ", e.what());
  }
}

std::string Json::Where() const { return path_.empty() ? origin_ : origin_ + ": " + path_; }

void Json::Mismatch(std::string_view expected) const {
  std::string found = value_->dump(-1, ' ', false, RawJson::error_handler_t::replace);
  if (found.size() > 60) found = found.substr(0, 57) + "...";
  Fail(ErrorCode::kCorrupt, Where(), ": expected ", expected, ", found ", found);
}

bool Json::Has(std::string_view key) const {
  if (!value_->is_object()) return false;
  const auto it = value_->find(std::string(key));
  return it != value_->end() && !it->is_null();
}

Json Json::At(std::string_view key) const {
  if (!value_->is_object()) Mismatch("an object");
  const auto it = value_->find(std::string(key));
  if (it == value_->end()) Fail(ErrorCode::kCorrupt, Where(), ": missing key \"", key, "\"");
  return Json(document_, &*it, origin_, path_.empty() ? std::string(key) : Cat(path_, ".", key));
}

std::optional<Json> Json::Find(std::string_view key) const {
  if (!Has(key)) return std::nullopt;
  return At(key);
}

int64_t Json::AsInt() const {
  if (value_->is_number_integer()) {
    if (value_->is_number_unsigned() && value_->get<uint64_t>() > uint64_t{INT64_MAX}) {
      Mismatch("an integer below 2^63");
    }
    return value_->get<int64_t>();
  }
  if (value_->is_number_float()) {
    const double v = value_->get<double>();
    if (v == std::floor(v) && std::abs(v) < 9e15) return static_cast<int64_t>(v);
  }
  Mismatch("an integer");
}

double Json::AsDouble() const {
  if (!value_->is_number()) Mismatch("a number");
  return value_->get<double>();
}

bool Json::AsBool() const {
  if (!value_->is_boolean()) Mismatch("true or false");
  return value_->get<bool>();
}

std::string Json::AsString() const {
  if (!value_->is_string()) Mismatch("a string");
  return value_->get<std::string>();
}

std::vector<Json> Json::AsArray() const {
  if (!value_->is_array()) Mismatch("an array");
  std::vector<Json> out;
  out.reserve(value_->size());
  for (size_t i = 0; i < value_->size(); ++i) {
    out.push_back(Json(document_, &(*value_)[i], origin_, Cat(path_, "[", i, "]")));
  }
  return out;
}

int64_t Json::Int(std::string_view key, int64_t otherwise) const {
  return Has(key) ? At(key).AsInt() : otherwise;
}
double Json::Double(std::string_view key, double otherwise) const {
  return Has(key) ? At(key).AsDouble() : otherwise;
}
bool Json::Bool(std::string_view key, bool otherwise) const {
  return Has(key) ? At(key).AsBool() : otherwise;
}
std::string Json::String(std::string_view key, std::string otherwise) const {
  return Has(key) ? At(key).AsString() : std::move(otherwise);
}

}  // namespace awq
