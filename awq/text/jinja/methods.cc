// Methods of strings, lists and dictionaries.
#include <algorithm>

#include "awq/text/jinja/builtins.h"
#include "awq/text/jinja/markup.h"
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

bool Affix(std::string_view self, const Value& affixes, bool prefix) {
  if (affixes.AsList() != nullptr && affixes.AsList()->IsTuple()) {
    const auto& items = affixes.AsList()->items;
    return std::any_of(items.begin(), items.end(),
                       [&](const Value& v) { return Affix(self, v, prefix); });
  }
  if (affixes.String() == nullptr)
    Raise("startswith first arg must be str or a tuple of str, not " + TypeName(affixes));
  return prefix ? self.starts_with(*affixes.String()) : self.ends_with(*affixes.String());
}

// The part of a text that `start` and `end` give, as slices do.
struct Window {
  std::string_view text;
  int64_t begin = 0;  // in characters
  bool exists = true;
};

Window TakeWindow(const std::string& self, const Parameters& p) {
  const int64_t length = CountCharacters(self);
  const auto clip = [&](int64_t i) {
    if (i < 0) i = std::max<int64_t>(0, i < -length ? 0 : i + length);
    return i;
  };
  const int64_t begin = clip(p.IntOrNone(1, 0));
  const int64_t end = std::min(clip(p.IntOrNone(2, length)), length);
  if (begin > end) return {"", begin, false};
  const size_t from = Prefix(self, begin).size();
  return {std::string_view(self).substr(from, Prefix(self, end).size() - from), begin, true};
}

const std::string& Sub(const Parameters& p) {
  p.At(0);
  const std::string* sub = p.MaybeText(0);
  if (sub == nullptr) Raise("must be str, not NoneType");
  return *sub;
}

Value FindIn(const std::string& self, Arguments& a, bool last, bool must) {
  const Parameters p("find", a, {"sub", "start", "end"});
  const std::string& part = Sub(p);
  const Window w = TakeWindow(self, p);
  const size_t at = !w.exists ? std::string::npos : last ? w.text.rfind(part) : w.text.find(part);
  if (at == std::string::npos) {
    if (must) Raise("substring not found");
    return Value(int64_t{-1});
  }
  return Value(w.begin + CountCharacters(w.text.substr(0, at)));
}

Value CountIn(const std::string& self, Arguments& a) {
  const Parameters p("count", a, {"sub", "start", "end"});
  const std::string& part = Sub(p);
  const Window w = TakeWindow(self, p);
  if (!w.exists) return Value(int64_t{0});
  if (part.empty()) return Value(CountCharacters(w.text) + 1);
  int64_t count = 0;
  for (size_t at = w.text.find(part); at != std::string::npos;
       at = w.text.find(part, at + part.size()))
    ++count;
  return Value(count);
}

Value AffixIn(const std::string& self, Arguments& a, bool prefix) {
  const Parameters p(prefix ? "startswith" : "endswith", a, {"affix", "start", "end"});
  const Window w = TakeWindow(self, p);
  return Value(Affix(w.text, p.At(0), prefix) && w.exists);
}

Value StripIn(const std::string& self, Arguments& a, bool left, bool right) {
  const Parameters p("strip", a, {"chars"});
  std::string_view text = self;
  if (left) text = StripLeft(text, p.MaybeText(0));
  if (right) text = StripRight(text, p.MaybeText(0));
  return Value(std::string(text));
}

Value ExpandTabs(Interpreter& in, const std::string& self, Arguments& a) {
  const int64_t size = Parameters("expandtabs", a, {"tabsize"}).Int(0, 8);
  if (size > 1000) Raise("limit: tabs wider than 1000");
  std::string out;
  int64_t column = 0;
  for (char c : self) {
    if (c == '\t') {
      const int64_t width = size > 0 ? size - column % size : 0;
      in.Charge(static_cast<size_t>(width));
      out.append(static_cast<size_t>(width), ' ');
      column += width;
      continue;
    }
    out += c;
    if ((c & 0xc0) != 0x80) ++column;
    if (c == '\n' || c == '\r') column = 0;
  }
  return Value(std::move(out));
}

Value CaseFold(Interpreter&, const std::string& self, Arguments&) {
  const bool ascii = std::all_of(self.begin(), self.end(), [](char c) { return (c & 0x80) == 0; });
  if (!ascii) Raise("unsupported: casefold() of text that is not ASCII");
  return Value(Lower(self));
}

bool IsIdentifier(const std::string& self) {
  const auto characters = Characters(self);
  for (size_t i = 0; i < characters.size(); ++i) {
    const char32_t c = DecodeUtf8(characters[i]).code;
    if (!(i == 0 ? BeginsIdentifier(c) : ContinuesIdentifier(c))) return false;
  }
  return !characters.empty();
}

Value RefusedMethod(Interpreter&, const std::string&, Arguments&) {
  Raise("unsupported: this method of str");
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
    {"casefold", CaseFold},
    {"center",
     [](Interpreter& in, const std::string& s, Arguments& a) {
       const P p("center", a, {"width", "fillchar"});
       return Value(Pad(in, s, p.Int(0, 0), p.Text(1, " "), true, true));
     }},
    {"count", [](Interpreter&, const std::string& s, Arguments& a) { return CountIn(s, a); }},
    {"endswith",
     [](Interpreter&, const std::string& s, Arguments& a) { return AffixIn(s, a, false); }},
    {"find",
     [](Interpreter&, const std::string& s, Arguments& a) { return FindIn(s, a, false, false); }},
    {"index",
     [](Interpreter&, const std::string& s, Arguments& a) { return FindIn(s, a, false, true); }},
    {"isalnum",
     [](Interpreter&, const std::string& s, Arguments&) {
       return Value(AllOf(s, [](char32_t c) { return IsAlpha(c) || IsNumeric(c); }));
     }},
    {"isascii",
     [](Interpreter&, const std::string& s, Arguments&) {
       return Value(CountCharacters(s) == static_cast<int64_t>(s.size()));
     }},
    {"isidentifier",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(IsIdentifier(s)); }},
    {"isprintable", [](Interpreter&, const std::string& s,
                       Arguments&) { return Value(s.empty() || AllOf(s, IsPrintable)); }},
    {"istitle", [](Interpreter&, const std::string& s, Arguments&) { return Value(IsTitle(s)); }},
    {"swapcase", [](Interpreter&, const std::string& s, Arguments&) { return Value(SwapCase(s)); }},
    {"expandtabs", ExpandTabs},
    {"encode", RefusedMethod},
    {"format_map", RefusedMethod},
    {"translate", RefusedMethod},
    {"maketrans", RefusedMethod},
    {"isalpha",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(AllOf(s, IsAlpha)); }},
    {"isdecimal",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(AllOf(s, IsDecimal)); }},
    {"isdigit",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(AllOf(s, IsDigit)); }},
    {"islower",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(IsOneCase(s, false)); }},
    {"isnumeric",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(AllOf(s, IsNumeric)); }},
    {"isspace",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(AllOf(s, IsSpace)); }},
    {"isupper",
     [](Interpreter&, const std::string& s, Arguments&) { return Value(IsOneCase(s, true)); }},
    {"join", [](Interpreter& in, const std::string& s,
                Arguments& a) { return JoinItems(in, s, P("join", a, {"iterable"}).At(0)); }},
    {"ljust",
     [](Interpreter& in, const std::string& s, Arguments& a) {
       const P p("ljust", a, {"width", "fillchar"});
       return Value(Pad(in, s, p.Int(0, 0), p.Text(1, " "), false, true));
     }},
    {"lower", [](Interpreter&, const std::string& s, Arguments&) { return Value(Lower(s)); }},
    {"lstrip",
     [](Interpreter&, const std::string& s, Arguments& a) { return StripIn(s, a, true, false); }},
    {"partition",
     [](Interpreter&, const std::string& s, Arguments& a) {
       return Partition(s, P("partition", a, {"sep"}).Text(0, ""), false);
     }},
    {"removeprefix",
     [](Interpreter&, const std::string& s, Arguments& a) {
       const P p("removeprefix", a, {"prefix"});
       const std::string& x = Sub(p);
       return Value(s.starts_with(x) ? s.substr(x.size()) : s);
     }},
    {"removesuffix",
     [](Interpreter&, const std::string& s, Arguments& a) {
       const P p("removesuffix", a, {"suffix"});
       const std::string& x = Sub(p);
       return Value(s.ends_with(x) ? s.substr(0, s.size() - x.size()) : s);
     }},
    {"replace", ReplaceIn},
    {"rfind",
     [](Interpreter&, const std::string& s, Arguments& a) { return FindIn(s, a, true, false); }},
    {"rindex",
     [](Interpreter&, const std::string& s, Arguments& a) { return FindIn(s, a, true, true); }},
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
     [](Interpreter&, const std::string& s, Arguments& a) { return StripIn(s, a, false, true); }},
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
     [](Interpreter&, const std::string& s, Arguments& a) { return AffixIn(s, a, true); }},
    {"strip",
     [](Interpreter&, const std::string& s, Arguments& a) { return StripIn(s, a, true, true); }},
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
    CheckKey(p.At(0));
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

Value MethodOfText(const Value& self, std::string_view name) {
  const auto* it = std::find_if(std::begin(kStringMethods), std::end(kStringMethods),
                                [&](const StringEntry& e) { return e.name == name; });
  const bool is_markup = self.As<Markup>() != nullptr;
  if (is_markup && (name == "escape" || name == "striptags" || name == "unescape"))
    Raise("unsupported: this method of Markup");
  if (name == "format") {
    return MakeFunction(
        "format", [self](Interpreter& in, Arguments& a) { return FormatBraces(in, self, a); },
        self);
  }
  if (it == std::end(kStringMethods)) return Value();
  return MakeFunction(
      std::string(name),
      [self, is_markup, it](Interpreter& in, Arguments& a) {
        if (!is_markup) return it->call(in, *self.String(), a);
        Arguments escaped = EscapeArguments(it->name, a);
        return Marked(it->call(in, *self.String(), escaped));
      },
      self);
}

}  // namespace

Value FindMethod(const Value& self, std::string_view name) {
  if (self.String() != nullptr) return MethodOfText(self, name);
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
  return MakeFunction(
      std::string(name),
      [self, is_dict, name = std::string(name)](Interpreter&, Arguments& a) {
        return is_dict ? DictMethod(self, name, a) : ListMethod(self, name, a);
      },
      self);
}

}  // namespace awq::jinja
