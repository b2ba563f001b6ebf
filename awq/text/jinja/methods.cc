// Methods of strings, lists and dictionaries.
#include <algorithm>

#include "awq/text/jinja/builtins.h"
#include "awq/text/jinja/unicode.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

using Strings = std::vector<std::string>;

Value ListOf(const Strings& parts) {
  std::vector<Value> out;
  for (const std::string& p : parts) out.emplace_back(p);
  return Value::MakeList(std::move(out));
}

// str.split and str.rsplit; without a separator runs of white space separate.
Strings Split(std::string_view text, const Value* separator, int64_t most, bool from_right) {
  Strings out;
  const bool spaces = separator == nullptr || separator->IsNone();
  if (most < 0) most = INT64_MAX;
  if (!spaces && (separator->String() == nullptr || separator->String()->empty()))
    Raise("empty separator");
  if (spaces) text = from_right ? StripRight(text) : StripLeft(text);
  const auto is_space = [](std::string_view c) { return IsSpace(DecodeUtf8(c).code); };
  while (most > 0 && !text.empty()) {
    size_t begin = std::string_view::npos;  // of the separator
    size_t length = 0;
    if (!spaces) {
      begin = from_right ? text.rfind(*separator->String()) : text.find(*separator->String());
      length = separator->String()->size();
    } else {
      size_t at = 0;
      for (std::string_view c : Characters(text)) {
        if (is_space(c)) {
          const bool joins = begin != std::string_view::npos && begin + length == at;
          if (begin != std::string_view::npos && !joins && !from_right) break;
          if (!joins) begin = at, length = 0;
          length += c.size();
        }
        at += c.size();
      }
    }
    if (begin == std::string_view::npos) break;
    if (from_right) {
      out.emplace_back(text.substr(begin + length));
      text = text.substr(0, begin);
    } else {
      out.emplace_back(text.substr(0, begin));
      text.remove_prefix(begin + length);
    }
    --most;
    if (spaces) text = from_right ? StripRight(text) : StripLeft(text);
    if (!spaces && text.empty()) {
      out.emplace_back();
      if (from_right) std::reverse(out.begin(), out.end());
      return out;
    }
  }
  if (!spaces || !text.empty()) out.emplace_back(text);
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

bool IsLineEnd(char32_t c) {
  return (c >= 0xa && c <= 0xd) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

Strings SplitLines(std::string_view text, bool keep) {
  Strings out;
  std::string line;
  const auto characters = Characters(text);
  for (size_t i = 0; i < characters.size(); ++i) {
    if (!IsLineEnd(DecodeUtf8(characters[i]).code)) {
      line += characters[i];
      continue;
    }
    if (keep) line += characters[i];
    if (characters[i] == "\r" && i + 1 < characters.size() && characters[i + 1] == "\n") {
      ++i;
      if (keep) line += "\n";
    }
    out.push_back(std::exchange(line, {}));
  }
  if (!line.empty()) out.push_back(line);
  return out;
}

bool Affix(const std::string& self, const Value& affixes, bool prefix) {
  if (affixes.AsList() != nullptr && affixes.AsList()->IsTuple()) {
    const auto& items = affixes.AsList()->items;
    return std::any_of(items.begin(), items.end(),
                       [&](const Value& v) { return Affix(self, v, prefix); });
  }
  if (affixes.String() == nullptr)
    Raise("startswith first arg must be str or a tuple of str, not " + TypeName(affixes));
  return prefix ? self.starts_with(*affixes.String()) : self.ends_with(*affixes.String());
}

Value FindIn(const std::string& self, const std::string& part, bool last, bool must) {
  const size_t at = last ? self.rfind(part) : self.find(part);
  if (at == std::string::npos) {
    if (must) Raise("substring not found");
    return Value(int64_t{-1});
  }
  return Value(CountCharacters(std::string_view(self).substr(0, at)));
}

Value CountIn(const std::string& self, const std::string& part) {
  if (part.empty()) return Value(CountCharacters(self) + 1);
  int64_t count = 0;
  for (size_t at = self.find(part); at != std::string::npos; at = self.find(part, at + part.size()))
    ++count;
  return Value(count);
}

Value Partition(const std::string& self, const std::string& separator, bool last) {
  if (separator.empty()) Raise("empty separator");
  const size_t at = last ? self.rfind(separator) : self.find(separator);
  if (at == std::string::npos) {
    return last ? Value::MakeList({"", "", self}, true) : Value::MakeList({self, "", ""}, true);
  }
  return Value::MakeList({self.substr(0, at), separator, self.substr(at + separator.size())}, true);
}

// left and right: on which sides the padding goes.
std::string Pad(Interpreter& in, const std::string& self, int64_t width, const std::string& fill,
                bool left, bool right) {
  if (CountCharacters(fill) != 1) Raise("The fill character must be exactly one character long");
  const int64_t missing = width - CountCharacters(self);
  if (missing <= 0) return self;
  in.Charge(static_cast<size_t>(missing) * fill.size());
  int64_t before = left ? missing : 0;
  if (left && right) before = missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < before; ++i) out += fill;
  out += self;
  for (int64_t i = before; i < missing && right; ++i) out += fill;
  return out;
}

bool AllOf(const std::string& self, bool (*is)(char32_t)) {
  const auto characters = Characters(self);
  return !characters.empty() &&
         std::all_of(characters.begin(), characters.end(),
                     [&](std::string_view c) { return is(DecodeUtf8(c).code); });
}

// "{} {0} {name}" with plain fields.
std::string FormatBraces(Interpreter& in, const std::string& self, const Arguments& a) {
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < self.size(); ++i) {
    const char c = self[i];
    if ((c == '{' || c == '}') && i + 1 < self.size() && self[i + 1] == c) {
      out += c;
      ++i;
    } else if (c == '}') {
      Raise("Single '}' encountered in format string");
    } else if (c != '{') {
      out += c;
    } else {
      const size_t end = self.find('}', i);
      if (end == std::string::npos) Raise("Single '{' encountered in format string");
      const std::string field = self.substr(i + 1, end - i - 1);
      if (field.find_first_of(":!.[") != std::string::npos)
        Raise("format: only plain fields are supported, found '{" + field + "}'");
      const bool is_index =
          std::all_of(field.begin(), field.end(), [](char d) { return d >= '0' && d <= '9'; });
      if (is_index) {
        const size_t index =
            field.empty() ? next++ : static_cast<size_t>(std::atoll(field.substr(0, 9).c_str()));
        if (index >= a.positional.size())
          Raise("Replacement index out of range for positional args tuple");
        out += ToString(a.positional[index]);
      } else {
        const auto it = std::find_if(a.named.begin(), a.named.end(),
                                     [&](const auto& n) { return n.first == field; });
        if (it == a.named.end()) Raise("format: no argument named '" + field + "'");
        out += ToString(it->second);
      }
      in.Charge(out.size() / 16);
      i = end;
    }
  }
  return out;
}

Value Zfill(Interpreter& in, const std::string& self, int64_t width) {
  const bool sign = self.starts_with('-') || self.starts_with('+');
  const std::string digits = self.substr(sign ? 1 : 0);
  return Value(self.substr(0, sign ? 1 : 0) +
               Pad(in, digits, width - (sign ? 1 : 0), "0", true, false));
}

Value JoinItems(Interpreter& in, const std::string& self, const Value& items) {
  std::string out;
  bool first = true;
  for (const Value& v : Elements(items)) {
    if (v.String() == nullptr)
      Raise("sequence item: expected str instance, " + TypeName(v) + " found");
    if (!std::exchange(first, false)) out += self;
    in.Charge(self.size() + v.String()->size());
    out += *v.String();
  }
  return Value(std::move(out));
}

Value ReplaceIn(Interpreter& in, const std::string& self, Arguments& a) {
  const Parameters p("replace", a, {"old", "new", "count"});
  if (p.At(0).String() == nullptr || p.At(1).String() == nullptr)
    Raise("replace() argument must be str");
  return in.ApplyFilter("replace", Value(self), a);
}

using StringMethod = Value (*)(Interpreter&, const std::string& self, Arguments&);
struct StringEntry {
  std::string_view name;
  StringMethod call;
};

using P = Parameters;
constexpr StringEntry kStringMethods[] = {
    {"capitalize",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(Capitalize(s)); }},
    {"casefold", [](Interpreter&, const std::string& s, Arguments&) { return Value(Lower(s)); }},
    {"center",
     [](Interpreter& in, const std::string& s, Arguments& a) {
       const P p("center", a, {"width", "fillchar"});
       return Value(Pad(in, s, p.Int(0, 0), p.Text(1, " "), true, true));
     }},
    {"count", [](Interpreter&, const std::string& s,
                 Arguments& a) { return CountIn(s, P("count", a, {"sub"}).Text(0, "")); }},
    {"endswith",
     [](Interpreter&, const std::string& s, Arguments& a) {
       return Value(Affix(s, P("endswith", a, {"suffix"}).At(0), false));
     }},
    {"find",
     [](Interpreter&, const std::string& s, Arguments& a) {
       return FindIn(s, P("find", a, {"sub"}).Text(0, ""), false, false);
     }},
    {"format", [](Interpreter& in, const std::string& s,
                  Arguments& a) { return Value(FormatBraces(in, s, a)); }},
    {"index",
     [](Interpreter&, const std::string& s, Arguments& a) {
       return FindIn(s, P("index", a, {"sub"}).Text(0, ""), false, true);
     }},
    {"isalnum",
     [](Interpreter&, const std::string& s, Arguments&) {
       return Value(AllOf(s, [](char32_t c) { return IsAlpha(c) || IsDigit(c); }));
     }},
    {"isalpha",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(AllOf(s, IsAlpha)); }},
    {"isdecimal",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(AllOf(s, IsDigit)); }},
    {"isdigit",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(AllOf(s, IsDigit)); }},
    {"islower", [](Interpreter& in, const std::string& s,
                   Arguments& a) { return Value(in.ApplyTest("lower", Value(s), a)); }},
    {"isnumeric",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(AllOf(s, IsDigit)); }},
    {"isspace",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(AllOf(s, IsSpace)); }},
    {"isupper", [](Interpreter& in, const std::string& s,
                   Arguments& a) { return Value(in.ApplyTest("upper", Value(s), a)); }},
    {"join", [](Interpreter& in, const std::string& s,
                Arguments& a) { return JoinItems(in, s, P("join", a, {"iterable"}).At(0)); }},
    {"ljust",
     [](Interpreter& in, const std::string& s, Arguments& a) {
       const P p("ljust", a, {"width", "fillchar"});
       return Value(Pad(in, s, p.Int(0, 0), p.Text(1, " "), false, true));
     }},
    {"lower", [](Interpreter&, const std::string& s, Arguments&) { return Value(Lower(s)); }},
    {"lstrip",
     [](Interpreter&, const std::string& s, Arguments& a) {
       return Value(std::string(StripLeft(s, P("lstrip", a, {"chars"}).Text(0, ""))));
     }},
    {"partition",
     [](Interpreter&, const std::string& s, Arguments& a) {
       return Partition(s, P("partition", a, {"sep"}).Text(0, ""), false);
     }},
    {"removeprefix",
     [](Interpreter&, const std::string& s, Arguments& a) {
       const std::string x = P("removeprefix", a, {"prefix"}).Text(0, "");
       return Value(s.starts_with(x) ? s.substr(x.size()) : s);
     }},
    {"removesuffix",
     [](Interpreter&, const std::string& s, Arguments& a) {
       const std::string x = P("removesuffix", a, {"suffix"}).Text(0, "");
       return Value(s.ends_with(x) ? s.substr(0, s.size() - x.size()) : s);
     }},
    {"replace", ReplaceIn},
    {"rfind",
     [](Interpreter&, const std::string& s, Arguments& a) {
       return FindIn(s, P("rfind", a, {"sub"}).Text(0, ""), true, false);
     }},
    {"rindex",
     [](Interpreter&, const std::string& s, Arguments& a) {
       return FindIn(s, P("rindex", a, {"sub"}).Text(0, ""), true, true);
     }},
    {"rjust",
     [](Interpreter& in, const std::string& s, Arguments& a) {
       const P p("rjust", a, {"width", "fillchar"});
       return Value(Pad(in, s, p.Int(0, 0), p.Text(1, " "), true, false));
     }},
    {"rpartition",
     [](Interpreter&, const std::string& s, Arguments& a) {
       return Partition(s, P("rpartition", a, {"sep"}).Text(0, ""), true);
     }},
    {"rsplit",
     [](Interpreter&, const std::string& s, Arguments& a) {
       const P p("rsplit", a, {"sep", "maxsplit"});
       return ListOf(Split(s, p.Find(0), p.Int(1, -1), true));
     }},
    {"rstrip",
     [](Interpreter&, const std::string& s, Arguments& a) {
       return Value(std::string(StripRight(s, P("rstrip", a, {"chars"}).Text(0, ""))));
     }},
    {"split",
     [](Interpreter&, const std::string& s, Arguments& a) {
       const P p("split", a, {"sep", "maxsplit"});
       return ListOf(Split(s, p.Find(0), p.Int(1, -1), false));
     }},
    {"splitlines",
     [](Interpreter&, const std::string& s, Arguments& a) {
       return ListOf(SplitLines(s, P("splitlines", a, {"keepends"}).Flag(0, false)));
     }},
    {"startswith",
     [](Interpreter&, const std::string& s, Arguments& a) {
       return Value(Affix(s, P("startswith", a, {"prefix"}).At(0), true));
     }},
    {"strip",
     [](Interpreter&, const std::string& s, Arguments& a) {
       return Value(std::string(Strip(s, P("strip", a, {"chars"}).Text(0, ""))));
     }},
    {"title", [](Interpreter&, const std::string& s, Arguments&) { return Value(Title(s)); }},
    {"upper", [](Interpreter&, const std::string& s, Arguments&) { return Value(Upper(s)); }},
    {"zfill", [](Interpreter& in, const std::string& s,
                 Arguments& a) { return Zfill(in, s, P("zfill", a, {"width"}).Int(0, 0)); }},
};

Value Pairs(const Dict& d) {
  std::vector<Value> out;
  for (const auto& [key, value] : d.items) out.push_back(Value::MakeList({key, value}, true));
  return Value::MakeSequence(std::move(out), List::kItems);
}

Value DictMethod(const Value& self, std::string_view name, Arguments& a) {
  const Dict& d = *self.AsDict();
  if (name == "get") {
    const Parameters p("get", a, {"key", "default"});
    if (const Value* v = d.Find(p.At(0))) return *v;
    return p.Find(1) != nullptr ? *p.Find(1) : Value(None{});
  }
  const Parameters none(name, a, {});
  if (name == "items") return Pairs(d);
  if (name == "copy") return self;
  std::vector<Value> out;
  for (const auto& [key, value] : d.items) out.push_back(name == "keys" ? key : value);
  return Value::MakeSequence(std::move(out), name == "keys" ? List::kKeys : List::kValues);
}

Value ListMethod(const Value& self, std::string_view name, Arguments& a) {
  const List& l = *self.AsList();
  if (name == "copy") return self;
  const Value& item = Parameters(name, a, {"value"}).At(0);
  if (name == "count") {
    return Value(static_cast<int64_t>(std::count_if(
        l.items.begin(), l.items.end(), [&](const Value& v) { return Equal(v, item); })));
  }
  for (size_t i = 0; i < l.items.size(); ++i) {
    if (Equal(l.items[i], item)) return Value(static_cast<int64_t>(i));
  }
  Raise(Repr(item) + " is not in list");
}

template <size_t N>
bool Has(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

constexpr std::string_view kDictMethods[] = {"get", "items", "keys", "values", "copy"};
constexpr std::string_view kListMethods[] = {"index", "count", "copy"};
constexpr std::string_view kTupleMethods[] = {"index", "count"};

}  // namespace

Value FindMethod(const Value& self, std::string_view name) {
  if (self.String() != nullptr) {
    const auto* it = std::find_if(std::begin(kStringMethods), std::end(kStringMethods),
                                  [&](const StringEntry& e) { return e.name == name; });
    if (it == std::end(kStringMethods)) return Value();
    return MakeFunction(std::string(name), [self, call = it->call](Interpreter& in, Arguments& a) {
      return call(in, *self.String(), a);
    });
  }
  // Methods that would change their object are undefined, as in Jinja's sandbox.
  const bool is_dict = self.AsDict() != nullptr;
  const List* list = self.AsList();
  const bool exists = is_dict ? Has(kDictMethods, name)
                              : list != nullptr && list->IsSequence() &&
                                    (list->kind == List::kList ? Has(kListMethods, name)
                                                               : Has(kTupleMethods, name));
  if (list != nullptr && list->kind == List::kGroup && (name == "grouper" || name == "list"))
    return list->items[name == "list" ? 1 : 0];
  if (!exists) return Value();
  const int depth = self.Depth() + 1;
  return MakeFunction(
      std::string(name),
      [self, is_dict, name = std::string(name)](Interpreter&, Arguments& a) {
        return is_dict ? DictMethod(self, name, a) : ListMethod(self, name, a);
      },
      depth);
}

}  // namespace awq::jinja
