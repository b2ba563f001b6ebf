"""Finds where Hugging Face `tokenizers` sees characters differently from utf8proc (its tables come from several
versions of Unicode), and writes awq/text/unicode_tables.inc;
and what its regex engine knows that PCRE2 does not, as regex_tables.inc. Takes a few minutes.

    .venv-oracle/bin/python tools/make_unicode_tables.py
"""
import ctypes
import ctypes.util
import pathlib

import oracle_env  # noqa: F401
from tokenizers import Regex, normalizers, pre_tokenizers

OUT = pathlib.Path(__file__).resolve().parent.parent / "awq" / "text" / "unicode_tables.inc"
CODES = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
CHARS = {c: chr(c) for c in CODES}

LIB = ctypes.CDLL(ctypes.util.find_library("utf8proc"))
LIB.utf8proc_map.restype = ctypes.c_ssize_t
LIBC = ctypes.CDLL(None)
CATEGORY = {c: LIB.utf8proc_category(c) for c in CODES}
(CN, LU, LL, LT, LM, LO, MN, MC, ME, ND, NL, NO, PC, PD, PS, PE, PI, PF, PO, SM, SC, SK, SO, ZS, ZL, ZP, CC, CF, CS, CO) = range(30)
STABLE, COMPAT, COMPOSE, DECOMPOSE = 2, 4, 8, 16


def mapped(text, options):
    out = ctypes.c_void_p()
    data = text.encode()
    size = LIB.utf8proc_map(data, ctypes.c_ssize_t(len(data)), ctypes.byref(out), options)
    result = ctypes.string_at(out, size).decode()
    LIBC.free(out)
    return result


def ranges(codes):
    out = []
    for c in codes:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def write(out, declaration, items):
    line = ""
    lines = []
    for item in items or ["{0, 0}"]:
        if len(line) + len(item) + 2 > 94:
            lines.append(line)
            line = ""
        line += (" " if line else "") + item + ","
    lines.append(line)
    out.append(f"constexpr {declaration}[] = {{\n" + "\n".join("    " + x for x in lines) + "\n};\n")


def property_tables(out, name, theirs, ours):
    """Exceptions both ways. Below U+0080 the code decides by itself."""
    codes = [c for c in CODES if c >= 0x80]
    for suffix, wanted in (("There", lambda c: theirs(c) and not ours(c)), ("Here", lambda c: ours(c) and not theirs(c))):
        found = ranges([c for c in codes if wanted(c)])
        if found or (name, suffix) in USED:
            write(out, f"CharRange k{name}{suffix}", [f"{{0x{a:x}, 0x{b:x}}}" for a, b in found])


USED = {(n, s) for n in ("Punctuation", "Mark", "Nonspacing", "Other") for s in ("There", "Here")}


def pieces(step):
    return lambda c: len(step.pre_tokenize_str("a" + CHARS[c] + "a"))


def drops(step):
    return lambda c: step.normalize_str("a" + CHARS[c] + "a") == "aa"


def scripts(step):
    """One string of all characters is cut where the script changes; then equal scripts are found by pairs."""
    def one(a, b):
        return len(step.pre_tokenize_str(a + b)) == 1

    def none(c):  # goes with anything
        return one("a", CHARS[c]) and one("\u0431", CHARS[c])

    classes = []  # a character of each
    out = [(0, next_class(classes, "\0", one))]
    previous = None
    for c in CODES:
        if none(c):
            number = -1
        elif previous is not None and out[-1][1] >= 0 and one(previous, CHARS[c]):
            number = out[-1][1]
        else:
            number = next_class(classes, CHARS[c], one)
        if number != out[-1][1]:
            out.append((c, number))
        previous = CHARS[c]
    return out


def next_class(classes, character, one):
    for i, representative in enumerate(classes):
        if one(representative, character):
            return i
    classes.append(character)
    return len(classes) - 1


PROPERTIES = ("Alphabetic L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp "
              "Han Latin Greek Cyrillic Arabic Hebrew Thai Hangul Hiragana Katakana Devanagari Bengali Tamil Telugu Kannada "
              "Malayalam Gujarati Gurmukhi Oriya Sinhala Armenian Georgian Ethiopic Khmer Lao Myanmar Mongolian Tibetan").split()


class Pcre2:
    def __init__(self):
        self.lib = ctypes.CDLL(ctypes.util.find_library("pcre2-8"))
        for name in ("pcre2_compile_8", "pcre2_match_data_create_8", "pcre2_get_ovector_pointer_8"):
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.lib.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(ctypes.c_size_t)

    def runs(self, pattern, data):
        """Spans of the matches in bytes."""
        error, offset = ctypes.c_int(), ctypes.c_size_t()
        code = ctypes.c_void_p(self.lib.pcre2_compile_8(pattern.encode(), ctypes.c_size_t(len(pattern)), 0x80000 | 0x20000,
                                                        ctypes.byref(error), ctypes.byref(offset), None))
        assert code, pattern
        match = ctypes.c_void_p(self.lib.pcre2_match_data_create_8(1, None))
        at = 0
        while self.lib.pcre2_match_8(code, data, ctypes.c_size_t(len(data)), ctypes.c_size_t(at), 0x40000000, match, None) > 0:
            span = self.lib.pcre2_get_ovector_pointer_8(match)
            yield span[0], span[1]
            at = span[1]


def property_additions(out):
    """Characters that have a property in Hugging Face's regex engine but not yet in this PCRE2."""
    pcre2 = Pcre2()

    def theirs(name, codes):
        """Those with the property, by a text of them all."""
        text = "".join(map(chr, codes))
        left = set()
        for _, (begin, end) in pre_tokenizers.Split(Regex(rf"\p{{{name}}}"), "removed").pre_tokenize_str(text):
            left.update(codes[begin:end])
        return [c for c in codes if c not in left]

    def ours(name, codes):
        data = "".join(map(chr, codes)).encode()
        return {ord(c) for begin, end in pcre2.runs(rf"\p{{{name}}}+", data) for c in data[begin:end].decode()}

    unassigned = sorted(ours("Cn", [c for c in CODES if c < 0x40000 or 0xE0000 <= c < 0xE1000]))
    there = set(theirs("Cn", unassigned))
    new = [c for c in unassigned if c not in there]
    items = []
    for name in sorted(PROPERTIES):
        known = ours(name, new)
        for first, last in ranges([c for c in theirs(name, new) if c not in known]):
            items.append(f'{{"{name}", 0x{first:x}, 0x{last:x}}}')
    write(out, "PropertyRange kAddedThere", items)


def main():
    regex = ["// Made by tools/make_unicode_tables.py.\n"]
    property_additions(regex)
    (OUT.parent / "regex_tables.inc").write_text("\n".join(regex))
    out = ["// Made by tools/make_unicode_tables.py. There: Hugging Face tokenizers. Here: utf8proc.\n"]
    word, numeric = pre_tokenizers.Whitespace(), pre_tokenizers.Digits(True)
    punctuation = pre_tokenizers.Punctuation("removed")
    property_tables(out, "Word", lambda c: pieces(word)(c) == 1, lambda c: LU <= CATEGORY[c] <= ND or CATEGORY[c] == PC)
    property_tables(out, "Numeric", lambda c: pieces(numeric)(c) == 3, lambda c: ND <= CATEGORY[c] <= NO)
    property_tables(out, "Punctuation", lambda c: pieces(punctuation)(c) == 2, lambda c: PC <= CATEGORY[c] <= PO)
    property_tables(out, "Mark", drops(normalizers.StripAccents()), lambda c: MN <= CATEGORY[c] <= ME)
    property_tables(out, "Other", lambda c: c != 0xFFFD and drops(normalizers.BertNormalizer(True, False, False, False))(c),
                    lambda c: CATEGORY[c] >= CC)
    nonspacing = normalizers.BertNormalizer(False, False, True, False)
    property_tables(out, "Nonspacing", drops(nonspacing), lambda c: CATEGORY[c] == MN)

    lower = normalizers.Lowercase()
    differ = [(c, lower.normalize_str(CHARS[c])) for c in CODES if c != 0x130]
    differ = [(c, s) for c, s in differ if s != chr(LIB.utf8proc_tolower(c))]
    assert all(len(s) == 1 for _, s in differ)
    write(out, "LowerCase kLowerThere", [f"{{0x{c:x}, 0x{ord(s):x}}}" for c, s in differ])

    forms = [(normalizers.NFC(), COMPOSE), (normalizers.NFD(), DECOMPOSE), (normalizers.NFKC(), COMPOSE | COMPAT),
             (normalizers.NFKD(), DECOMPOSE | COMPAT)]
    changed = [c for c in CODES if any(f.normalize_str(CHARS[c]) != mapped(CHARS[c], STABLE | o) for f, o in forms)]
    assert all(f.normalize_str(CHARS[c]) == CHARS[c] for c in changed for f, _ in forms), "known there, but differently"
    # Marks that are none there: those before and after them (of classes 230 and 220) are not put in order with them.
    nfd = normalizers.NFD()
    marked = [(c, text) for c in CODES for text in (f"a\u0301{chr(c)}", f"a{chr(c)}\u0316") if not 0xD800 <= c < 0xE000]
    changed = sorted(set(changed) | {c for c, text in marked if nfd.normalize_str(text) != mapped(text, STABLE | DECOMPOSE)})
    # The second half of what only utf8proc puts together.
    halves = [mapped(CHARS[c], STABLE | DECOMPOSE) for c in changed]
    changed = sorted(set(changed) | {ord(h[1]) for h in halves if len(h) == 2})
    write(out, "CharRange kNormalizedHere", [f"{{0x{a:x}, 0x{b:x}}}" for a, b in ranges(changed)])

    write(out, "ScriptRange kScripts", [f"{{0x{c:x}, {n}}}" for c, n in scripts(pre_tokenizers.UnicodeScripts())])
    OUT.write_text("\n".join(out))


if __name__ == "__main__":
    main()
