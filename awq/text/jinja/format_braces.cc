// Python's format.format(…), through Jinja's sandbox: {field!conversion:spec}. Markup escapes the
// fields.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "awq/text/jinja/builtins.h"
#include "awq/text/jinja/markup.h"
#include "awq/text/jinja/unicode.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

constexpr int kMaxWidth = 1000;

// [[fill]align][sign][z][#][0][width][grouping][.precision][type]
struct Spec {
  std::string fill = " ";
  char align = '\0';
  char sign = '-';
  bool alternate = false;
  bool zero = false;
  int width = 0;
  char grouping = '\0';
  int precision = -1;
  char type = '\0';
};

bool IsAlign(std::string_view c) { return c == "<" || c == ">" || c == "=" || c == "^"; }

Spec ReadSpec(std::string_view text, const Value& v) {
  Spec s;
  const auto characters = Characters(text);
  size_t at = 0;
  if (characters.size() > 1 && IsAlign(characters[1])) {
    s.fill = characters[0];
    s.align = characters[1][0];
    at = 2;
  } else if (!characters.empty() && IsAlign(characters[0])) {
    s.align = characters[0][0];
    at = 1;
  }
  const auto peek = [&] {
    return at < characters.size() && characters[at].size() == 1 ? characters[at][0] : '\0';
  };
  const auto take = [&](std::string_view any) {
    const char c = peek();
    if (c == '\0' || any.find(c) == std::string_view::npos) return '\0';
    ++at;
    return c;
  };
  const auto number = [&] {
    int n = 0;
    while (const char c = take("0123456789")) {
      n = n * 10 + (c - '0');
      if (n > kMaxWidth) Raise("limit: a format wider than 1000");
    }
    return n;
  };
  if (const char sign = take("+- ")) s.sign = sign;
  const bool signed_spec =
      at > 0 && std::string_view("+- ").find(characters[at - 1][0]) != std::string_view::npos;
  if (take("z") != '\0') Raise("unsupported: the format option 'z'");
  s.alternate = take("#") != '\0';
  s.zero = take("0") != '\0';
  s.width = number();
  s.grouping = take(",_");
  if (s.grouping != '\0' && take(",_") != '\0') Raise("Cannot specify both ',' and '_'.");
  if (take(".") != '\0') {
    const size_t begin = at;
    s.precision = number();
    if (at == begin) Raise("Format specifier missing precision");
  }
  if (at < characters.size()) s.type = take("bcdeEfFgGnosxX%");
  if (at < characters.size())
    Raise("Invalid format specifier '" + std::string(text) + "' for object of type '" +
          TypeName(v) + "'");
  if (v.String() != nullptr && (signed_spec && s.sign != '\0' && peek() == '\0') &&
      text.find_first_of("+- ") != std::string_view::npos && s.align == '\0')
    Raise("Sign not allowed in string format specifier");
  return s;
}

std::string PadTo(const Spec& s, std::string text, size_t sign_size, char otherwise) {
  const char align = s.align != '\0' ? s.align : s.zero && otherwise == '>' ? '=' : otherwise;
  const std::string fill = s.zero && s.fill == " " && s.align == '\0' ? "0" : s.fill;
  const int64_t missing = s.width - CountCharacters(text);
  if (missing <= 0) return text;
  const int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string before, after;
  for (int64_t i = 0; i < left; ++i) before += fill;
  for (int64_t i = left; i < missing; ++i) after += fill;
  if (align == '=') return text.substr(0, sign_size) + before + text.substr(sign_size);
  return before + text + after;
}

std::string Group(const std::string& digits, char separator, size_t each) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % each == 0) out += separator;
    out += digits[i];
  }
  return out;
}

std::string Number(const Spec& s, bool negative, const std::string& prefix, std::string digits,
                   const std::string& rest, size_t group) {
  if (s.grouping != '\0') {
    if (s.zero || s.align == '=') Raise("unsupported: a format that groups and pads with zeros");
    digits = Group(digits, s.grouping, group);
  }
  std::string sign = negative ? "-" : s.sign == '+' ? "+" : s.sign == ' ' ? " " : "";
  const size_t sign_size = sign.size() + prefix.size();
  return PadTo(s, sign + prefix + digits + rest, sign_size, '>');
}

std::string FormatInteger(const Spec& s, int64_t i) {
  if (s.precision >= 0) Raise("Precision not allowed in integer format specifier");
  const bool negative = i < 0;
  uint64_t magnitude = negative ? -static_cast<uint64_t>(i) : static_cast<uint64_t>(i);
  if (s.type == 'c') {
    if (s.sign != '-' || s.alternate) Raise("Sign not allowed with integer format specifier 'c'");
    if (negative || magnitude > 0x10ffff) Raise("%c arg not in range(0x110000)");
    if (magnitude >= 0xd800 && magnitude < 0xe000) Raise("unsupported: a surrogate");
    std::string out;
    AppendUtf8(static_cast<char32_t>(magnitude), out);
    return PadTo(s, out, 0, '>');
  }
  const unsigned base = s.type == 'b'                    ? 2
                        : s.type == 'o'                  ? 8
                        : s.type == 'x' || s.type == 'X' ? 16
                                                         : 10;
  if (s.grouping == ',' && base != 10) Raise("Cannot specify ',' with this type.");
  const char* const shown = s.type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string digits;
  do {
    digits.insert(digits.begin(), shown[magnitude % base]);
    magnitude /= base;
  } while (magnitude > 0);
  const std::string prefix = s.alternate && base != 10 ? std::string("0") + s.type : "";
  return Number(s, negative, prefix, digits, "", base == 10 ? 3 : 4);
}

std::string FormatFloat(const Spec& s, double d) {
  std::string text;
  const bool negative = std::signbit(d) && !std::isnan(d);
  d = std::abs(d);
  const char type = s.type == 'n' ? 'g' : s.type;
  char buffer[2500];
  if (!std::isfinite(d)) {
    text = std::isnan(d) ? "nan" : "inf";
    if (type == 'E' || type == 'F' || type == 'G') text = Upper(text);
    if (type == '%') text += "%";
  } else if (type == '\0' && s.precision < 0) {
    text = FormatDouble(d);
  } else if (type == '\0') {
    // Like g, with at least one digit after the point.
    const int precision = std::max(1, s.precision);
    std::snprintf(buffer, sizeof buffer, "%.*e", precision - 1, d);
    const int exponent =
        std::atoi(std::string_view(buffer).substr(std::string_view(buffer).find('e') + 1).data());
    if (d != 0 && exponent >= -4 && exponent + 1 > precision - 1 && exponent < precision) {
      text = buffer;
      const size_t e = text.find('e');
      std::string mantissa = text.substr(0, e);
      if (mantissa.find('.') != std::string::npos) {
        while (mantissa.back() == '0') mantissa.pop_back();
        if (mantissa.back() == '.') mantissa.pop_back();
      }
      text = mantissa + text.substr(e);
    } else {
      std::snprintf(buffer, sizeof buffer, "%.*g", precision, d);
      text = buffer;
      if (text.find_first_of(".e") == std::string::npos) text += ".0";
    }
  } else {
    const std::string spec =
        std::string("%") + (s.alternate ? "#" : "") + ".*" + (type == '%' ? 'f' : type);
    std::snprintf(buffer, sizeof buffer, spec.c_str(), s.precision < 0 ? 6 : s.precision,
                  type == '%' ? d * 100 : d);
    text = buffer;
    if (type == '%') text += "%";
  }
  const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  return Number(s, negative, "", text.substr(0, end), text.substr(end), 3);
}

std::string FormatValue(const Value& v, std::string_view spec) {
  if (spec.empty()) return ToString(v);
  int64_t i = 0;
  double d = 0;
  const bool is_number = v.Number(d);
  if (v.String() == nullptr && !is_number)
    Raise("unsupported format string passed to " + TypeName(v) + ".__format__");
  const Spec s = ReadSpec(spec, v);
  const auto bad_type = [&] {
    Raise(std::string("Unknown format code '") + s.type + "' for object of type '" + TypeName(v) +
          "'");
  };
  if (const std::string* text = v.String()) {
    if (s.type != '\0' && s.type != 's') bad_type();
    if (s.align == '=' || s.grouping != '\0' || s.alternate)
      Raise("this option is not allowed in a string format specifier");
    return PadTo(s, s.precision < 0 ? *text : Prefix(*text, s.precision), 0, '<');
  }
  if (v.Integer(i)) {
    if (s.type == 's') bad_type();
    if (s.type == '\0' || std::string_view("bcdnoxX").find(s.type) != std::string_view::npos) {
      return FormatInteger(s, i);
    }
  } else if (std::string_view("bcdosxX").find(s.type) != std::string_view::npos && s.type != '\0') {
    bad_type();
  }
  return FormatFloat(s, d);
}

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& in, const Arguments& arguments, bool escapes)
      : in_(in), arguments_(arguments), escapes_(escapes) {}

  std::string Run(std::string_view format, int depth) {
    if (depth > 2) Raise("Max string recursion exceeded");
    std::string out;
    for (size_t at = 0; at < format.size();) {
      const char c = format[at];
      if ((c == '{' || c == '}') && at + 1 < format.size() && format[at + 1] == c) {
        out += c;
        at += 2;
      } else if (c == '}') {
        Raise("Single '}' encountered in format string");
      } else if (c != '{') {
        out += c;
        ++at;
      } else {
        const size_t end = FieldEnd(format, at);
        out += Field(format.substr(at + 1, end - at - 1), depth);
        at = end + 1;
      }
      in_.Charge(1);
      if (out.size() > (size_t{64} << 20)) Raise("limit: the template makes too much text");
    }
    return out;
  }

 private:
  // The closing brace of the field that opens at `at`.
  static size_t FieldEnd(std::string_view format, size_t at) {
    int open = 0;
    bool in_index = false;
    bool in_spec = false;
    for (size_t i = at; i < format.size(); ++i) {
      const char c = format[i];
      if (in_index) {
        in_index = c != ']';
        continue;
      }
      if (c == '[' && !in_spec) {
        in_index = true;
      } else if (c == ':' || c == '!') {
        in_spec = true;
      } else if (c == '{') {
        ++open;
      } else if (c == '}' && --open == 0) {
        return i;
      }
    }
    Raise(at + 1 == format.size() ? "Single '{' encountered in format string"
                                  : "expected '}' before end of string");
  }

  std::string Field(std::string_view field, int depth) {
    size_t end = 0;
    for (bool in_index = false; end < field.size(); ++end) {
      const char c = field[end];
      if (in_index) {
        in_index = c != ']';
        continue;
      }
      if (c == '[') in_index = true;
      if (c == ':' || c == '!') break;
      if (c == '{' || c == '}') Raise("unexpected '{' in field name");
    }
    Value v = Find(field.substr(0, end));
    field.remove_prefix(end);
    if (field.starts_with('!')) {
      if (field.size() < 2) Raise("end of string while looking for conversion specifier");
      const char conversion = field[1];
      field.remove_prefix(2);
      if (!field.empty() && field[0] != ':') Raise("expected ':' after conversion specifier");
      if (conversion == 'a') Raise("unsupported: the conversion !a");
      if (conversion != 's' && conversion != 'r') Raise("Unknown conversion specifier");
      v = Value(conversion == 's' ? ToString(v) : Repr(v));
    }
    if (field.starts_with(':')) field.remove_prefix(1);
    const std::string spec = field.find_first_of("{}") == std::string_view::npos
                                 ? std::string(field)
                                 : Run(field, depth + 1);
    if (!escapes_) return FormatValue(v, spec);
    if (v.As<Markup>() == nullptr) return EscapeHtml(FormatValue(v, spec));
    if (!spec.empty()) Raise("Unsupported format specification for Markup.");
    return *v.String();
  }

  static bool IsDigits(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  }

  Value Find(std::string_view path) {
    const size_t first_end = std::min(path.find_first_of(".["), path.size());
    Value v = First(path.substr(0, first_end), path.size() == first_end);
    path.remove_prefix(first_end);
    while (!path.empty()) {
      if (path[0] == '.') {
        const size_t end = std::min(path.find_first_of(".[", 1), path.size());
        if (end == 1) Raise("Empty attribute in format string");
        v = in_.Attribute(v, path.substr(1, end - 1));
        path.remove_prefix(end);
      } else if (path[0] == '[') {
        const size_t end = path.find(']');
        if (end == std::string_view::npos) Raise("Missing ']' in format string");
        const std::string_view index = path.substr(1, end - 1);
        if (index.empty()) Raise("Empty attribute in format string");
        v = in_.Item(v, IsDigits(index) && index.size() < 18
                            ? Value(static_cast<int64_t>(std::atoll(std::string(index).c_str())))
                            : Value(std::string(index)));
        path.remove_prefix(end + 1);
      } else {
        Raise("Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return v;
  }

  Value First(std::string_view name, bool whole) {
    size_t index = 0;
    if (name.empty() && whole) {
      if (numbering_ == 'm')
        Raise("cannot switch from manual field specification to automatic field numbering");
      numbering_ = 'a';
      index = next_++;
    } else if (IsDigits(name)) {
      if (whole) {
        if (numbering_ == 'a')
          Raise("cannot switch from manual field specification to automatic field numbering");
        numbering_ = 'm';
      }
      if (name.size() > 9) Raise("Too many decimal digits in format string");
      index = static_cast<size_t>(std::atoll(std::string(name).c_str()));
    } else {
      const auto it = std::find_if(arguments_.named.begin(), arguments_.named.end(),
                                   [&](const auto& n) { return n.first == name; });
      if (it == arguments_.named.end())
        Raise("format: no argument named '" + std::string(name) + "'");
      return it->second;
    }
    if (index >= arguments_.positional.size())
      Raise("Replacement index " + std::to_string(index) +
            " out of range for positional args tuple");
    return arguments_.positional[index];
  }

  Interpreter& in_;
  const Arguments& arguments_;
  bool escapes_;
  char numbering_ = '\0';  // a: automatic, m: manual
  size_t next_ = 0;
};

}  // namespace

Value FormatBraces(Interpreter& in, const Value& format, const Arguments& arguments) {
  const bool escapes = format.As<Markup>() != nullptr;
  return Like(format, BraceFormatter(in, arguments, escapes).Run(*format.String(), 1));
}

}  // namespace awq::jinja
