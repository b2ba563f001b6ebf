// How values are written: str(), repr() and JSON.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "awq/text/jinja/unicode.h"
#include "awq/text/jinja/value.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

std::string QuotePython(std::string_view s) {
  const bool single =
      s.find('\'') == std::string_view::npos || s.find('"') != std::string_view::npos;
  const char quote = single ? '\'' : '"';
  std::string out(1, quote);
  char code[16];
  while (!s.empty()) {
    const Utf8Char c = DecodeUtf8(s);
    if (c.code == static_cast<char32_t>(quote) || c.code == '\\') {
      out += {'\\', static_cast<char>(c.code)};
    } else if (c.code == '\n') {
      out += "\\n";
    } else if (c.code == '\r') {
      out += "\\r";
    } else if (c.code == '\t') {
      out += "\\t";
    } else if (IsPrintable(c.code)) {
      out += s.substr(0, c.length);
    } else {
      const char* format = c.code < 0x100 ? "\\x%02x" : c.code < 0x10000 ? "\\u%04x" : "\\U%08x";
      std::snprintf(code, sizeof code, format, static_cast<unsigned>(c.code));
      out += code;
    }
    s.remove_prefix(c.length);
  }
  return out + quote;
}

std::string QuoteJson(std::string_view s, bool ascii) {
  std::string out = "\"";
  char code[16];
  const auto escape = [&](unsigned unit) {
    std::snprintf(code, sizeof code, "\\u%04x", unit);
    out += code;
  };
  while (!s.empty()) {
    const Utf8Char c = DecodeUtf8(s);
    switch (c.code) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\b':
        out += "\\b";
        break;
      default:
        if (c.code < 0x20 || (ascii && c.code > 0x7e && c.code != 0x7f && c.code < 0x10000)) {
          escape(static_cast<unsigned>(c.code));
        } else if (ascii && c.code >= 0x10000) {
          escape(0xd800 + static_cast<unsigned>((c.code - 0x10000) >> 10));
          escape(0xdc00 + static_cast<unsigned>((c.code - 0x10000) & 0x3ff));
        } else {
          out += s.substr(0, c.length);
        }
    }
    s.remove_prefix(c.length);
  }
  return out + "\"";
}

struct JsonWriter {
  const std::string* indent;
  bool ascii, sorted;
  std::string_view item, colon;

  void NewLine(int level, std::string& out) const {
    if (indent == nullptr) return;
    out += "\n";
    for (int i = 0; i < level; ++i) out += *indent;
    if (out.size() > (size_t{256} << 20)) Raise("limit: the template makes too much text");
  }

  // A dictionary's key: what is no string is written as one.
  std::string Key(const Value& key) const {
    double number = 0;
    if (key.String() != nullptr) return *key.String();
    if (!key.IsNone() && !key.Number(number)) {
      Raise("keys must be str, int, float, bool or None, not " + TypeName(key));
    }
    std::string out;
    Write(key, 0, out);
    return out;
  }

  void Write(const Value& v, int level, std::string& out) const {
    if (v.IsNone()) {
      out += "null";
    } else if (const bool* b = v.As<bool>()) {
      out += *b ? "true" : "false";
    } else if (const double* d = v.As<double>()) {
      out += std::isnan(*d)   ? "NaN"
             : std::isinf(*d) ? (*d > 0 ? "Infinity" : "-Infinity")
                              : FormatDouble(*d);
    } else if (v.As<int64_t>() != nullptr) {
      out += ToString(v);
    } else if (const std::string* s = v.String()) {
      out += QuoteJson(*s, ascii);
    } else if (const List* l = v.AsList();
               l != nullptr && (l->kind == List::kList || l->IsTuple())) {
      out += "[";
      for (size_t i = 0; i < l->items.size(); ++i) {
        if (i > 0) out += item;
        NewLine(level + 1, out);
        Write(l->items[i], level + 1, out);
      }
      if (!l->items.empty()) NewLine(level, out);
      out += "]";
    } else if (const Dict* d = v.AsDict()) {
      WriteDict(*d, level, out);
    } else {
      Raise("Object of type " + TypeName(v) + " is not JSON serializable");
    }
  }

  void WriteDict(const Dict& d, int level, std::string& out) const {
    std::vector<const std::pair<Value, Value>*> items;
    for (const auto& e : d.items) items.push_back(&e);
    if (sorted) {
      std::stable_sort(items.begin(), items.end(),
                       [](const auto* a, const auto* b) { return Less(a->first, b->first); });
    }
    out += "{";
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += item;
      NewLine(level + 1, out);
      out += QuoteJson(Key(items[i]->first), ascii);
      out += colon;
      Write(items[i]->second, level + 1, out);
    }
    if (!items.empty()) NewLine(level, out);
    out += "}";
  }
};

}  // namespace

std::string FormatDouble(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d > 0 ? "inf" : "-inf";
  // Shortest digits that read back the same, placed as Python places them.
  char buffer[32];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, d, std::chars_format::scientific).ptr;
  std::string text(buffer, end);
  const size_t e = text.find('e');
  const int exponent = std::atoi(text.c_str() + e + 1);
  if (exponent < -4 || exponent >= 16) return text;
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, d, std::chars_format::fixed).ptr;
  text.assign(buffer, fixed);
  return text.find('.') == std::string::npos ? text + ".0" : text;
}

namespace {

std::string ReprOfList(const List& l, const Value& v) {
  if (l.kind == List::kIterator) Raise("unsupported: a " + l.name + " cannot be written");
  std::string out;
  if (l.kind == List::kRange) {
    out = "range(" + std::to_string(l.range[0]) + ", " + std::to_string(l.range[1]);
    return out + (l.range[2] == 1 ? ")" : ", " + std::to_string(l.range[2]) + ")");
  }
  for (const Value& item : l.items) out += (out.empty() ? "" : ", ") + Repr(item);
  if (l.IsTuple()) return l.items.size() == 1 ? "(" + out + ",)" : "(" + out + ")";
  out = "[" + out + "]";
  return l.kind == List::kList ? out : TypeName(v) + "(" + out + ")";
}

std::string TextOfObject(const Object& o) {
  if (o.kind == "loop") {
    std::string out =
        "<LoopContext " + Repr(*o.Find("index"));  // Find's value lasts until the next
    out += "/" + Repr(*o.Find("length")) + ">";
    return out;
  }
  if (o.kind == "TemplateReference") return "<TemplateReference None>";
  if (o.kind != "Namespace") Raise("unsupported: a " + o.kind + " cannot be written");
  std::string out;
  for (const auto& [name, value] : o.attributes) {
    out += (out.empty() ? "" : ", ") + QuotePython(name) + ": " + Repr(value);
  }
  return "<Namespace {" + out + "}>";
}

}  // namespace

std::string ToString(const Value& v) {
  if (v.IsUndefined()) return "";
  if (const std::string* s = v.String()) return *s;
  if (const Object* o = v.AsObject()) return TextOfObject(*o);
  return Repr(v);
}

std::string Repr(const Value& v) {
  if (v.IsUndefined()) return "Undefined";
  if (v.IsNone()) return "None";
  if (const bool* b = v.As<bool>()) return *b ? "True" : "False";
  if (const int64_t* i = v.As<int64_t>()) return std::to_string(*i);
  if (const double* d = v.As<double>()) return FormatDouble(*d);
  if (v.As<Markup>() != nullptr) return "Markup(" + QuotePython(*v.String()) + ")";
  if (const std::string* s = v.String()) return QuotePython(*s);
  std::string out;
  if (const List* l = v.AsList()) return ReprOfList(*l, v);
  if (const Dict* d = v.AsDict()) {
    for (const auto& [key, value] : d->items) {
      out += (out.empty() ? "" : ", ") + Repr(key) + ": " + Repr(value);
    }
    return "{" + out + "}";
  }
  if (const Callable* c = v.AsCallable(); c != nullptr && c->macro != nullptr)
    return c->name == "caller" ? "<Macro anonymous>" : "<Macro " + QuotePython(c->name) + ">";
  Raise("unsupported: a " + TypeName(v) + " cannot be written");
}

std::string ToJson(const Value& v, const std::string* indent, bool ascii, bool sorted,
                   std::string_view item, std::string_view colon) {
  std::string out;
  JsonWriter{indent, ascii, sorted, item, colon}.Write(v, 0, out);
  return out;
}

}  // namespace awq::jinja
