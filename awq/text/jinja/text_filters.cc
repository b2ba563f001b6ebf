// Filters of text.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "awq/text/jinja/filter_list.h"
#include "awq/text/jinja/unicode.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

Value Trim(Interpreter&, const Value& v, Arguments& a) {
  const Parameters p("trim", a, {"chars"});
  return Value(std::string(Strip(ToString(v), p.Text(0, ""))));
}

Value TitleFilter(Interpreter&, const Value& v, Arguments&) {
  std::string out;
  bool begins = true;
  const std::string text = ToString(v);
  for (std::string_view c : Characters(text)) {
    out += begins ? Upper(c) : Lower(c);
    begins =
        c == "-" || c == "(" || c == "{" || c == "[" || c == "<" || IsSpace(DecodeUtf8(c).code);
  }
  return Value(std::move(out));
}

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to,
                       int64_t count, Interpreter& in) {
  std::string out;
  if (from.empty()) {  // between all characters
    for (std::string_view c : Characters(text)) {
      if (count != 0) out += to, --count;
      out += c;
    }
    if (count != 0) out += to;
    in.Charge(out.size());
    return out;
  }
  for (;;) {
    const size_t at = count == 0 ? std::string_view::npos : text.find(from);
    if (at == std::string_view::npos) break;
    in.Charge(at + to.size());
    out += text.substr(0, at);
    out += to;
    text.remove_prefix(at + from.size());
    --count;
  }
  return out.append(text);
}

Value Replace(Interpreter& in, const Value& v, Arguments& a) {
  const Parameters p("replace", a, {"old", "new", "count"});
  return Value(ReplaceAll(ToString(v), ToString(p.At(0)), ToString(p.At(1)), p.Int(2, -1), in));
}

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    out.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

Value Indent(Interpreter& in, const Value& v, Arguments& a) {
  const Parameters p("indent", a, {"width", "first", "blank"});
  std::string margin;
  if (p.Find(0) != nullptr && p.Find(0)->String() != nullptr) {
    margin = *p.Find(0)->String();
  } else {
    margin.assign(static_cast<size_t>(std::clamp<int64_t>(p.Int(0, 4), 0, 10000)), ' ');
  }
  const bool blank = p.Flag(2, false);
  const auto lines = Lines(ToString(v) + "\n");
  in.Charge(lines.size() * margin.size());
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += "\n";
    if (i > 0 ? blank || !lines[i].empty() : p.Flag(1, false)) out += margin;
    out += lines[i];
  }
  return Value(std::move(out));
}

Value Escape(Interpreter&, const Value& v, Arguments&) {
  std::string out;
  for (char c : ToString(v)) {
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
  return Value(std::move(out));
}

Value WordCount(Interpreter&, const Value& v, Arguments&) {
  int64_t count = 0;
  bool inside = false;
  const std::string text = ToString(v);
  for (std::string_view c : Characters(text)) {
    const char32_t code = DecodeUtf8(c).code;
    const bool word = IsAlpha(code) || IsDigit(code) || c == "_";
    count += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value(count);
}

Value Truncate(Interpreter&, const Value& v, Arguments& a) {
  const Parameters p("truncate", a, {"length", "killwords", "end", "leeway"});
  const std::string text = ToString(v);
  const std::string end = p.Text(2, "...");
  const int64_t length = p.Int(0, 255);
  const auto characters = Characters(text);
  if (static_cast<int64_t>(characters.size()) <= length + p.Int(3, 5)) return v;
  const int64_t keep = length - CountCharacters(end);
  if (keep < 0) Raise("truncate: expected length >= " + std::to_string(CountCharacters(end)));
  std::string out;
  for (int64_t i = 0; i < keep; ++i) out += characters[static_cast<size_t>(i)];
  if (!p.Flag(1, false)) out = out.substr(0, out.rfind(' '));
  return Value(out + end);
}

Value Center(Interpreter& in, const Value& v, Arguments& a) {
  Arguments width;
  width.positional.emplace_back(Parameters("center", a, {"width"}).Int(0, 80));
  return in.Call(FindMethod(Value(ToString(v)), "center"), width);
}

Value Format(Interpreter&, const Value& v, Arguments& a) {
  if (a.named.empty())
    return Value(FormatPercent(ToString(v), Value::MakeList(a.positional, true)));
  auto dict = std::make_shared<Dict>();
  for (auto& [name, value] : a.named) dict->Set(Value(name), value);
  return Value(FormatPercent(ToString(v), Value(std::shared_ptr<const Dict>(dict))));
}

Value ToJsonFilter(Interpreter& in, const Value& v, Arguments& a) {
  const Parameters p("tojson", a, {"ensure_ascii", "indent", "separators", "sort_keys"});
  const auto indent = static_cast<int>(std::clamp<int64_t>(p.Int(1, -1), -1, 100));
  std::string item = indent < 0 ? ", " : ",";
  std::string colon = ": ";
  if (p.Find(2) != nullptr && !p.Find(2)->IsNone()) {
    const auto both = Elements(*p.Find(2));
    if (both.size() != 2) Raise("tojson: expected two separators");
    item = ToString(both[0]);
    colon = ToString(both[1]);
  }
  if (const auto* u = v.As<Undefined>())
    Raise(u->what.empty() ? "Undefined is not JSON serializable" : u->what);
  std::string out = ToJson(v, indent, p.Flag(0, false), p.Flag(3, false), item, colon);
  in.Charge(out.size());
  return Value(std::move(out));
}

constexpr FilterEntry kFilters[] = {
    {"capitalize",
     [](Interpreter&, const Value& v, Arguments&) { return Value(Capitalize(ToString(v))); }},
    {"center", Center},
    {"e", Escape},
    {"escape", Escape},
    {"format", Format},
    {"indent", Indent},
    {"lower", [](Interpreter&, const Value& v, Arguments&) { return Value(Lower(ToString(v))); }},
    {"replace", Replace},
    {"safe", [](Interpreter&, const Value& v, Arguments&) { return Value(ToString(v)); }},
    {"string", [](Interpreter&, const Value& v, Arguments&) { return Value(ToString(v)); }},
    {"title", TitleFilter},
    {"tojson", ToJsonFilter},
    {"trim", Trim},
    {"truncate", Truncate},
    {"upper", [](Interpreter&, const Value& v, Arguments&) { return Value(Upper(ToString(v))); }},
    {"wordcount", WordCount},
};

}  // namespace

std::span<const FilterEntry> TextFilters() { return kFilters; }

}  // namespace awq::jinja
