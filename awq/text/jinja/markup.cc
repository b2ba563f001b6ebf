#include "awq/text/jinja/markup.h"

#include <algorithm>

namespace awq::jinja {

std::string EscapeHtml(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string Escaped(const Value& v) {
  return v.As<Markup>() != nullptr ? *v.String() : EscapeHtml(ToString(v));
}

Value Like(const Value& model, std::string text) {
  return model.As<Markup>() != nullptr ? Value::MakeMarkup(std::move(text))
                                       : Value(std::move(text));
}

Value Marked(const Value& v) {
  if (const std::string* s = v.String()) return Value::MakeMarkup(*s);
  if (v.AsList() == nullptr) return v;
  std::vector<Value> items = v.AsList()->items;
  std::transform(items.begin(), items.end(), items.begin(), Marked);
  return Value::MakeList(std::move(items), v.AsList()->IsTuple());
}

Arguments EscapeArguments(std::string_view method, const Arguments& arguments) {
  Arguments out = arguments;
  auto& a = out.positional;
  const bool pads = method == "center" || method == "ljust" || method == "rjust";
  if ((pads || method == "replace") && a.size() > 1) a[1] = Value(Escaped(a[1]));
  if (method == "join" && !a.empty()) {
    std::vector<Value> items = Elements(a[0]);
    for (Value& item : items) item = Value(Escaped(item));
    a[0] = Value::MakeList(std::move(items));
  }
  return out;
}

}  // namespace awq::jinja
