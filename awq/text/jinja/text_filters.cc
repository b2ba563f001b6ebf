// Filters of text.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "awq/text/jinja/filter_list.h"
#include "awq/text/jinja/markup.h"
#include "awq/text/jinja/unicode.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

Value Trim(Interpreter&, const Value& v, Arguments& a) {
  const Parameters p("trim", a, {"chars"});
  return Like(v, std::string(Strip(ToString(v), p.MaybeText(0))));
}

// Words begin after white space and some marks.
Value TitleFilter(Interpreter&, const Value& v, Arguments&) {
  std::string out;
  std::string word;
  const auto close = [&] {
    const std::string first = Prefix(word, 1);
    out += Upper(first) + Lower(word.substr(first.size()));
    word.clear();
  };
  const std::string text = ToString(v);
  for (std::string_view c : Characters(text)) {
    if (c == "-" || c == "(" || c == "{" || c == "[" || c == "<" || IsSpace(DecodeUtf8(c).code)) {
      close();
      out += c;
    } else {
      word += c;
    }
  }
  close();
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
  return Value(
      ReplaceAll(ToString(v), ToString(p.At(0)), ToString(p.At(1)), p.IntOrNone(2, -1), in));
}

// What Python gives for `value` where a str is needed.
const std::string& NeedText(const char* filter, const Value& v) {
  if (const auto* u = v.As<Undefined>()) Raise(u->what);
  if (v.String() == nullptr) Raise(std::string(filter) + ": expected str, not " + TypeName(v));
  return *v.String();
}

Value Indent(Interpreter& in, const Value& v, Arguments& a) {
  const Parameters p("indent", a, {"width", "first", "blank"});
  std::string margin;
  if (p.Find(0) != nullptr && p.Find(0)->String() != nullptr) {
    margin = *p.Find(0)->String();
  } else {
    const int64_t width = p.Int(0, 4);
    if (width > 10000) Raise("limit: indent by more than 10000");
    margin.assign(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  const bool blank = p.Flag(2, false);
  const auto lines = SplitLines(NeedText("indent", v) + "\n", false);
  in.Charge(lines.size() * margin.size());
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += "\n";
    if (i > 0 ? blank || !lines[i].empty() : p.Flag(1, false)) out += margin;
    out += lines[i];
  }
  return Like(v, std::move(out));
}

Value Escape(Interpreter&, const Value& v, Arguments& a) {
  const Parameters none("escape", a, {});
  return Value::MakeMarkup(Escaped(v));
}

Value ForceEscape(Interpreter&, const Value& v, Arguments& a) {
  const Parameters none("forceescape", a, {});
  return Value::MakeMarkup(EscapeHtml(ToString(v)));
}

Value XmlAttributes(Interpreter& in, const Value& v, Arguments& a) {
  const Parameters p("xmlattr", a, {"autospace"});
  if (v.AsDict() == nullptr) Raise("xmlattr: expected a mapping, not " + TypeName(v));
  std::string out;
  for (const auto& [key, value] : v.AsDict()->items) {
    if (value.IsNone() || value.IsUndefined()) continue;
    const std::string& name = NeedText("xmlattr", key);
    if (name.find_first_of(" \t\n\r\f\v/>=") != std::string::npos)
      Raise("Invalid character in attribute name: " + Repr(key));
    const std::string text = Escaped(value);
    in.Charge(text.size());
    if (!out.empty()) out += " ";
    out += Escaped(key) + "=\"" + text + "\"";
  }
  return Value(p.Flag(0, true) && !out.empty() ? " " + out : out);
}

std::string QuoteUrl(std::string_view text, bool for_query) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte < 0x80 && std::isalnum(byte) != 0) || c == '_' || c == '.' ||
                       c == '-' || c == '~' || (c == '/' && !for_query);
    if (plain) {
      out += c;
    } else if (c == ' ' && for_query) {
      out += '+';
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

Value UrlEncode(Interpreter&, const Value& v, Arguments& a) {
  const Parameters none("urlencode", a, {});
  if (v.AsList() == nullptr && v.AsDict() == nullptr && !v.IsUndefined())
    return Value(QuoteUrl(ToString(v), false));
  std::string out;
  const auto add = [&](const Value& key, const Value& value) {
    if (!out.empty()) out += "&";
    out += QuoteUrl(ToString(key), true) + "=" + QuoteUrl(ToString(value), true);
  };
  if (v.AsDict() != nullptr) {
    for (const auto& [key, value] : v.AsDict()->items) add(key, value);
    return Value(std::move(out));
  }
  for (const Value& pair : Elements(v)) {
    const auto both = Elements(pair);
    if (both.size() != 2) Raise("urlencode: expected pairs");
    add(both[0], both[1]);
  }
  return Value(std::move(out));
}

Value FileSize(Interpreter&, const Value& v, Arguments& a) {
  const Parameters p("filesizeformat", a, {"binary"});
  const bool binary = p.Flag(0, false);
  double bytes = 0;
  if (!v.Number(bytes) && (v.String() == nullptr || !ReadDouble(*v.String(), bytes)))
    Raise("could not convert " + TypeName(v) + " to float");
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return Value("1 Byte");
  if (bytes < base) {
    if (std::isinf(bytes)) Raise("cannot convert float infinity to integer");
    if (!(std::abs(bytes) < 9.2e18)) Raise("limit: an integer beyond 64 bits");
    return Value(std::to_string(static_cast<int64_t>(bytes)) + " Bytes");
  }
  if (std::isnan(bytes)) bytes = NAN;
  double unit = base;
  std::string prefix;
  for (char c : std::string_view("kMGTPEZY")) {
    unit *= base;
    prefix = c == 'k' && binary ? "K" : std::string(1, c);
    if (bytes < unit) break;
  }
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.1f ", base * bytes / unit);
  std::string text = buffer;
  if (std::isnan(bytes)) text = "nan ";
  return Value(text + prefix + (binary ? "iB" : "B"));
}

Value WordCount(Interpreter&, const Value& v, Arguments&) {
  int64_t count = 0;
  bool inside = false;
  const std::string text = ToString(v);
  for (std::string_view c : Characters(text)) {
    const char32_t code = DecodeUtf8(c).code;
    const bool word = IsAlpha(code) || IsNumeric(code) || c == "_";
    count += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value(count);
}

Value Truncate(Interpreter& in, const Value& v, Arguments& a) {
  const Parameters p("truncate", a, {"length", "killwords", "end", "leeway"});
  double limit = 255;
  if (p.Find(0) != nullptr && !p.Find(0)->Number(limit)) p.Int(0, 0);  // throws
  double leeway = 5;
  if (p.Find(3) != nullptr && !p.Find(3)->Number(leeway)) p.IntOrNone(3, 5);
  const int64_t least = p.Find(2) != nullptr ? Length(*p.Find(2)) : 3;
  if (limit < static_cast<double>(least)) Raise("expected length >= " + std::to_string(least));
  if (leeway < 0) Raise("expected leeway >= 0");
  // Anything that has a length; only when it is cut numbers must be whole.
  if (static_cast<double>(Length(v)) <= limit + leeway) return v;
  const int64_t length = p.Int(0, 255);
  const std::string end = p.Text(2, "...");
  const std::string& text = NeedText("truncate", v);
  std::string out = Prefix(text, length - CountCharacters(end));
  if (!p.Flag(1, false)) out = out.substr(0, out.rfind(' '));
  return Arithmetic(in, "+", Like(v, std::move(out)),
                    p.Find(2) != nullptr ? *p.Find(2) : Value(end));
}

Value Center(Interpreter& in, const Value& v, Arguments& a) {
  Arguments width;
  width.positional.emplace_back(Parameters("center", a, {"width"}).Int(0, 80));
  return in.Call(FindMethod(Like(v, ToString(v)), "center"), width);
}

// Refused: what these give is of no use in a prompt, or not the same twice.
Value Refused(Interpreter&, const Value&, Arguments&) { Raise("unsupported: this filter"); }

Value Format(Interpreter&, const Value& v, Arguments& a) {
  if (!a.named.empty() && !a.positional.empty())
    Raise("can't handle positional and keyword arguments at the same time");
  if (a.named.empty())
    return FormatPercent(Like(v, ToString(v)), Value::MakeList(a.positional, true));
  auto dict = std::make_shared<Dict>();
  for (auto& [name, value] : a.named) dict->Set(Value(name), value);
  return FormatPercent(Like(v, ToString(v)), Value(std::shared_ptr<const Dict>(dict)));
}

Value ToJsonFilter(Interpreter& in, const Value& v, Arguments& a) {
  const Parameters p("tojson", a, {"ensure_ascii", "indent", "separators", "sort_keys"});
  // The text of one level; absent when all stands in one line.
  std::optional<std::string> indent;
  if (p.Find(1) != nullptr && p.Find(1)->String() != nullptr) {
    indent = *p.Find(1)->String();
  } else if (p.Find(1) != nullptr && !p.Find(1)->IsNone()) {
    const int64_t width = p.Int(1, 0);
    if (width > 1000) Raise("limit: an indent of more than 1000");
    indent = std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  std::string item = indent ? "," : ", ";
  std::string colon = ": ";
  if (p.Find(2) != nullptr && !p.Find(2)->IsNone()) {
    const auto both = Elements(*p.Find(2));
    if (both.size() != 2) Raise("tojson: expected two separators");
    item = NeedText("tojson", both[0]);
    colon = NeedText("tojson", both[1]);
  }
  if (const auto* u = v.As<Undefined>())
    Raise(u->what.empty() ? "Undefined is not JSON serializable" : u->what);
  std::string out =
      ToJson(v, indent ? &*indent : nullptr, p.Flag(0, false), p.Flag(3, false), item, colon);
  in.Charge(out.size());
  return Value(std::move(out));
}

constexpr FilterEntry kFilters[] = {
    {"capitalize",
     [](Interpreter&, const Value& v, Arguments&) { return Like(v, Capitalize(ToString(v))); }},
    {"center", Center},
    {"e", Escape},
    {"escape", Escape},
    {"filesizeformat", FileSize},
    {"forceescape", ForceEscape},
    {"format", Format},
    {"indent", Indent},
    {"lower", [](Interpreter&, const Value& v, Arguments&) { return Like(v, Lower(ToString(v))); }},
    {"replace", Replace},
    {"pprint", Refused},
    {"random", Refused},
    {"safe",
     [](Interpreter&, const Value& v, Arguments&) { return Value::MakeMarkup(ToString(v)); }},
    {"string", [](Interpreter&, const Value& v, Arguments&) { return Like(v, ToString(v)); }},
    {"title", TitleFilter},
    {"tojson", ToJsonFilter},
    {"trim", Trim},
    {"truncate", Truncate},
    {"striptags", Refused},
    {"urlencode", UrlEncode},
    {"urlize", Refused},
    {"upper", [](Interpreter&, const Value& v, Arguments&) { return Like(v, Upper(ToString(v))); }},
    {"wordcount", WordCount},
    {"wordwrap", Refused},
    {"xmlattr", XmlAttributes},
};

}  // namespace

std::span<const FilterEntry> TextFilters() { return kFilters; }

}  // namespace awq::jinja
