"""Writes awq/text/jinja/case_tables.inc: where Python's str methods go beyond utf8proc's simple properties.

    python tools/make_case_tables.py
"""
import pathlib
import sys

OUT = pathlib.Path(__file__).resolve().parent.parent / "awq" / "text" / "jinja" / "case_tables.inc"
CHARACTERS = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]


def ranges(holds):
    out = []
    for c in map(ord, filter(holds, CHARACTERS)):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def rows(items, per_line):
    lines = [", ".join(items[i:i + per_line]) for i in range(0, len(items), per_line)]
    return ",\n    ".join(lines)


def table(name, comment, found):
    body = rows([f"{{0x{a:x}, 0x{b:x}}}" for a, b in found], 6)
    return f"// {comment}\nconstexpr char32_t {name}[][2] = {{\n    {body}}};\n"


def main():
    special = [c for c in CHARACTERS if len(c.upper()) > 1 or len(c.title()) > 1]
    code = lambda text: ", ".join(f"0x{ord(t):x}" for t in text.ljust(3, "\0"))  # noqa: E731
    cases = rows([f"{{0x{ord(c):x}, {{{code(c.upper())}}}, {{{code(c.title())}}}}}" for c in special], 2)
    import unicodedata
    category = unicodedata.category
    OUT.write_text("// Written by tools/make_case_tables.py.\n"
                   "// Characters whose upper or title case is more than one character.\n"
                   f"constexpr SpecialCase kSpecialCases[] = {{\n    {cases}}};\n"
                   + table("kOtherLower", "str.islower() beyond the category Ll.", ranges(lambda c: c.islower() and category(c) != "Ll"))
                   + table("kOtherUpper", "str.isupper() beyond the category Lu.", ranges(lambda c: c.isupper() and category(c) != "Lu"))
                   + table("kOtherDigits", "str.isdigit() beyond the category Nd.", ranges(lambda c: c.isdigit() and category(c) != "Nd"))
                   + table("kOtherNumeric", "str.isnumeric() beyond the categories Nd, Nl and No.", ranges(lambda c: c.isnumeric() and category(c)[0] != "N")))
    odd = [c for c in CHARACTERS if category(c) in ("Nl", "No") and not c.isnumeric()]
    assert not odd, odd


if __name__ == "__main__":
    main()
