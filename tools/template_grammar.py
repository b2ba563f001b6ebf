"""Random chat templates and contexts for them, for fuzz_templates.py: statements, expressions, filters, tests, methods and
white-space control, mostly of fitting types.
"""

STRINGS = ["", "a", "user", "assistant", "system", "tool", "Hello World", "it's", 'say "hi"', "a'b\"c", "  padded  ", "x\ny\n\nz", "\n", "tab\there", "back\\slash",
           "<think>\nplan\n</think>\n\nanswer", "a,b,,c", "ab cd  ef", "42", "-7", " 3.5 ", "1e3", "0x1f", "1_000", "inf", "nan", "+5", "12abc", "héllo", "ÉTOILE", "straße",
           "你好 世界", "👍🏽 ok", "ΟΔΟΣ Σ", "ǆ", "İstanbul", "ﬁne", "\u00a0nb\u00a0", "\x1c\x85", "²³", "٣", "Ⅷ", "½", "<b>&amp;'\"</b>", "{{ x }}", "{% if %}", "%s", "%d %5.2f", "100%",
           "{}", "{0} {1}", "{:>5}", "\r\nline\r", "\u2028sep", "a-b_c", "hello world foo bar", "They're Bill's", "\x00\x7f", "\u200b", "\ufeff", "e\u0301", "true", "None", "abcabc", "aXbXc",
           "http://x.y/z?q=1&r=é", "key", "role", "content", "items", "<|im_end|>", "line one\n  line two\nline three", "a.b", "_x"]
INTS = ["0", "1", "2", "3", "-1", "5", "7", "10", "-3", "100", "0x1f", "1_0", "2147483648", "9223372036854775807"]
FLOATS = ["0.0", "1.0", "1.5", "-2.5", "0.1", "1e3", "2.675", "1e-7", "1e16", "123456789.125", "0.5", "3.0e0", "1e22", "1.0e-5"]
NAMES = ["messages", "tools", "s", "t", "n", "f", "flag", "nothing", "xs", "ws", "d", "nested", "missing", "a", "b", "c", "x", "m", "message", "ns", "loop", "content", "role"]
ATTRIBUTES = ["role", "content", "name", "k", "v", "items", "a", "b", "missing", "tool_calls", "function", "x", "keys", "index", "grouper", "list"]

# name, [arguments by type]; input types in the table's key
STR_FILTERS = [("upper", []), ("lower", []), ("title", []), ("capitalize", []), ("trim", []), ("trim", ["chars"]), ("replace", ["str", "str"]), ("replace", ["str", "str", "int"]),
               ("indent", []), ("indent", ["width"]), ("indent", ["width", "bool"]), ("indent", ["width", "bool", "bool"]), ("indent", ["chars"]), ("string", []),
               ("truncate", ["width"]), ("truncate", ["width", "bool"]), ("truncate", ["width", "bool", "str", "int"]), ("center", ["width"]), ("wordcount", []),
               ("urlencode", []), ("striptags", []), ("wordwrap", ["width"]), ("wordwrap", ["width", "bool"]), ("length", []), ("list", []), ("reverse", []), ("first", []),
               ("last", []), ("int", []), ("int", ["any"]), ("float", []), ("tojson", []), ("default", ["any"]), ("d", ["any", "bool"]), ("format", ["any"]), ("join", ["str"]), ("count", []),
               ("filesizeformat", []), ("xmlattr", []), ("random", []), ("urlize", []), ("pprint", []), ("safe", []), ("escape", []), ("e", []), ("forceescape", [])]
LIST_FILTERS = [("length", []), ("first", []), ("last", []), ("list", []), ("reverse", []), ("join", []), ("join", ["str"]), ("join", ["str", "attr"]), ("sort", []), ("sort", ["bool"]),
                ("sort", ["bool", "bool"]), ("sort", ["bool", "bool", "attr"]), ("unique", []), ("unique", ["bool"]), ("min", []), ("max", []), ("sum", []), ("sum", ["attr"]), ("batch", ["size"]),
                ("batch", ["size", "any"]), ("slice", ["size"]), ("slice", ["size", "any"]), ("map", ["filter"]), ("select", []), ("reject", []), ("select", ["test"]), ("reject", ["test"]),
                ("select", ["test2", "any"]), ("reject", ["test2", "any"]), ("selectattr", ["attr"]), ("rejectattr", ["attr"]), ("selectattr", ["attr", "test"]),
                ("selectattr", ["attr", "test2", "any"]), ("rejectattr", ["attr", "test2", "any"]), ("groupby", ["attr"]), ("tojson", []), ("string", []), ("count", []), ("dictsort", []),
                ("items", []), ("default", ["any"]), ("pprint", [])]
DICT_FILTERS = [("length", []), ("dictsort", []), ("dictsort", ["bool"]), ("items", []), ("tojson", []), ("list", []), ("first", []), ("join", ["str"]), ("string", []), ("xmlattr", []),
                ("sort", []), ("attr", ["attr"]), ("urlencode", []), ("default", ["any"]), ("reverse", []), ("max", []), ("pprint", [])]
NUMBER_FILTERS = [("abs", []), ("round", []), ("round", ["digits"]), ("round", ["digits", "method"]), ("int", []), ("float", []), ("string", []), ("tojson", []), ("default", ["any"]),
                  ("filesizeformat", []), ("filesizeformat", ["bool"])]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "sequence", "iterable", "callable", "odd", "even", "true", "false", "upper", "lower", "escaped"]
TESTS2 = ["eq", "ne", "lt", "gt", "le", "ge", "in", "sameas", "divisibleby", "equalto", "==", "!=", "<", ">=", "greaterthan", "lessthan"]
STR_METHODS = [("upper", []), ("lower", []), ("strip", []), ("strip", ["chars"]), ("lstrip", []), ("rstrip", ["chars"]), ("split", []), ("split", ["sep"]), ("split", ["sep", "int"]),
               ("rsplit", ["sep", "int"]), ("rsplit", []), ("split", ["nothing", "int"]), ("startswith", ["str"]), ("endswith", ["str"]), ("startswith", ["tuple"]), ("replace", ["str", "str"]),
               ("replace", ["str", "str", "int"]), ("title", []), ("capitalize", []), ("swapcase", []), ("casefold", []), ("find", ["str"]), ("rfind", ["str"]), ("find", ["str", "int"]),
               ("index", ["str"]), ("count", ["str"]), ("count", ["str", "int", "int"]), ("isdigit", []), ("isalpha", []), ("isalnum", []), ("isupper", []), ("islower", []), ("isspace", []),
               ("isnumeric", []), ("isdecimal", []), ("istitle", []), ("isidentifier", []), ("isascii", []), ("isprintable", []), ("zfill", ["width"]), ("center", ["width"]),
               ("center", ["width", "fill"]), ("ljust", ["width"]), ("rjust", ["width", "fill"]), ("partition", ["sep"]), ("rpartition", ["sep"]), ("splitlines", []), ("splitlines", ["bool"]),
               ("removeprefix", ["str"]), ("removesuffix", ["str"]), ("join", ["strs"]), ("format", ["any"]), ("format", ["any", "any"]), ("expandtabs", []), ("startswith", ["str", "int"]),
               ("encode", []), ("nosuch", [])]
LIST_METHODS = [("index", ["any"]), ("count", ["any"]), ("append", ["any"]), ("pop", []), ("copy", []), ("nosuch", [])]
DICT_METHODS = [("get", ["key"]), ("get", ["key", "any"]), ("items", []), ("keys", []), ("values", []), ("copy", []), ("update", ["dict"]), ("pop", ["key"]), ("nosuch", [])]


class Grammar:
    def __init__(self, rng):
        self.rng = rng

    # ---- contexts

    def string(self):
        rng = self.rng
        if rng.random() < 0.75:
            return rng.choice(STRINGS)
        if rng.random() < 0.5:
            return rng.choice(STRINGS) + rng.choice(["", " ", "\n", "-"]) + rng.choice(STRINGS)
        low, high = rng.choice([(0x20, 0x7E), (0, 0x2FF), (0x370, 0x5FF), (0x1E00, 0x206F), (0x2100, 0x24FF), (0x3040, 0x30FF), (0xFB00, 0xFB20), (0x10400, 0x10450), (0x1F600, 0x1F64F)])
        return "".join(chr(rng.randint(low, high)) for _ in range(rng.randrange(1, 6)))

    def value(self, depth=2):
        rng = self.rng
        kind = rng.randrange(10 if depth > 0 else 7)
        if kind < 3:
            return self.string()
        if kind == 3:
            return rng.choice([0, 1, 2, -1, 7, 41, 10 ** 12])
        if kind == 4:
            return rng.choice([0.5, 1.0, -2.25, 1e20, 0.1, 3.14159])
        if kind == 5:
            return rng.choice([True, False])
        if kind == 6:
            return None
        if kind < 9:
            return [self.value(depth - 1) for _ in range(rng.randrange(4))]
        return {rng.choice(["a", "b", "k", "v", "name", "role", "items", self.string()]): self.value(depth - 1) for _ in range(rng.randrange(4))}

    def message(self):
        rng = self.rng
        out = {"role": rng.choice(["system", "user", "assistant", "tool"]), "content": rng.choice([self.string, self.string, self.string, lambda: None, lambda: self.value(1)])()}
        if rng.random() < 0.25:
            out["tool_calls"] = [{"type": "function", "function": {"name": self.string(), "arguments": self.value(2)}} for _ in range(rng.randrange(1, 3))]
        if rng.random() < 0.15:
            out["name"] = self.string()
        return out

    def context(self):
        rng = self.rng
        out = {"messages": [self.message() for _ in range(rng.randrange(5))], "tools": rng.choice([None, [self.value(2) for _ in range(2)]]), "s": self.string(), "t": self.string(),
               "n": rng.choice([0, 1, 2, 3, 5, -1, 17]), "f": rng.choice([0.5, 2.0, -1.25, 1e17, 2.675]), "flag": rng.random() < 0.5, "nothing": None,
               "xs": [rng.randrange(-3, 9) for _ in range(rng.randrange(6))], "ws": [self.string() for _ in range(rng.randrange(5))],
               "d": {rng.choice(["a", "b", "c", "k", self.string()]): self.value(1) for _ in range(rng.randrange(4))}, "nested": self.value(3)}
        return out

    # ---- expressions

    def literal(self, text):
        rng = self.rng
        quote = rng.choice("'\"")
        out = ""
        for c in text:
            if c == quote or c == "\\":
                out += "\\" + c
            elif c == "\n":
                out += rng.choice(["\\n", "\\n", "\n"])
            elif c == "\r" or ord(c) < 32:
                out += f"\\x{ord(c):02x}"
            elif ord(c) > 0x7E and rng.random() < 0.1:
                out += f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"
            else:
                out += c
        return quote + out + quote

    def argument(self, kind, depth):
        rng = self.rng
        if kind == "chars":
            return self.literal(rng.choice(["x", " ", "\n", "ab", "- ", ">", "é", ""]))
        if kind == "sep":
            return self.literal(rng.choice([",", " ", "</think>", "\n", "a", "", "X", "::"]))
        if kind == "fill":
            return self.literal(rng.choice(["*", "é", "", "ab"]))
        if kind == "width":
            return rng.choice(["0", "1", "3", "5", "8", "11", "20", "-2", "n", "f", "5.0", "true"] + ["none"] * (rng.random() < 0.3))
        if kind == "size":
            return rng.choice(["1", "2", "3", "4", "n", "0", "2.0", "2.5", "none", "true"])
        if kind == "digits":
            return rng.choice(["0", "1", "2", "3", "-1", "-2", "n", "1.0", "0.5", "none", "true"])
        if kind == "method":
            return rng.choice(["'common'", "'ceil'", "'floor'", "'x'"])
        if kind == "attr":
            return rng.choice(["'role'", "'content'", "'a'", "'k'", "0", "1", "'0'", "'a.b'", "'function.name'", "'missing'"])
        if kind == "filter":
            name = rng.choice(["'upper'", "'length'", "'string'", "'first'", "'trim'", "'int'", "'list'", "'tojson'", "'nosuch'", "attribute='role'", "attribute='a', default='z'", "attribute=0",
                               "'replace', 'a', 'b'", "'default', 'q'", "'abs'", "'join', '-'"])
            return name
        if kind == "test":
            return "'" + rng.choice(TESTS) + "'"
        if kind == "test2":
            return "'" + rng.choice(TESTS2) + "'"
        if kind == "tuple":
            return "(" + ", ".join(self.literal(self.string()) for _ in range(2)) + ")"
        if kind == "key":
            return rng.choice(["'a'", "'k'", "'role'", "1", "none", "s"])
        if kind == "strs":
            return rng.choice(["ws", "['a', 'b']", "s", "xs"])
        if kind == "nothing":
            return "none"
        return self.expression(kind, depth - 1)

    def arguments(self, kinds, depth):
        return ", ".join(self.argument(k, depth) for k in kinds)

    def filtered(self, kind, depth):
        rng = self.rng
        table = {"str": STR_FILTERS, "list": LIST_FILTERS, "dict": DICT_FILTERS, "int": NUMBER_FILTERS, "float": NUMBER_FILTERS}.get(kind) or rng.choice(
            [STR_FILTERS, LIST_FILTERS, DICT_FILTERS, NUMBER_FILTERS])
        name, kinds = rng.choice(table)
        if name == "random":
            name = "upper"
        arguments = self.arguments(kinds, depth)
        if name == "tojson" and rng.random() < 0.4:
            arguments = rng.choice(["indent=2", "ensure_ascii=true", "sort_keys=true", "separators=(',', ':')", "indent=0", "4", "false, 2", "indent='  '", "indent=4, sort_keys=true"])
        return f"{self.expression(kind, depth - 1, True)}{rng.choice(['|', ' | '])}{name}" + (f"({arguments})" if arguments or rng.random() < 0.1 else "")

    def method(self, kind, depth):
        name, kinds = self.rng.choice({"str": STR_METHODS, "list": LIST_METHODS, "dict": DICT_METHODS}[kind])
        return f"{self.atom(kind)}.{name}({self.arguments(kinds, depth)})"

    def atom(self, kind):
        rng = self.rng
        if rng.random() < 0.06:
            kind = rng.choice(["int", "float", "str", "bool", "list", "dict", "none"])
        if kind == "int":
            return rng.choice(INTS[:10] * 3 + INTS + ["n", "n", "loop.index", "messages|length", "xs[0]"]) if rng.random() < 0.95 else "missing"
        if kind == "float":
            return rng.choice(FLOATS + ["f", "f"])
        if kind == "str":
            return rng.choice([lambda: self.literal(self.string()), lambda: "s", lambda: "t", lambda: "messages[0].content", lambda: "messages[-1]['role']", lambda: rng.choice(["x", "m.content", "a"])])()
        if kind == "bool":
            return rng.choice(["true", "false", "True", "flag"])
        if kind == "none":
            return rng.choice(["none", "None", "nothing", "missing"])
        if kind == "list":
            return rng.choice(["xs", "ws", "messages", "messages", "tools", "[]", "[1, 2, 3]", "['a', 'B', 'c']", "range(4)", "range(n)", "(1, 'a')", "d.items()", "[xs, ws]", "nested", "[[2, 'b'], [1, 'a']]",
                               "messages|map(attribute='role')", "xs|select", "range(5, 0, -2)", "d.keys()", "d.values()", "[1.5, 1, true]", "[{'a': 2, 'k': 'x'}, {'a': 1, 'k': 'Y'}]"])
        if kind == "dict":
            return rng.choice(["d", "d", "messages[0]", "{}", "{'a': 1, 'b': [1, 2]}", "{'k': s, 1: none}", "dict(a=1, b='x')", "{'b': 2, 'A': 1, 'c': 0}", "nested", "{(1, 2): 'x', 1.5: true}", "loop"])
        return rng.choice(NAMES)

    def expression(self, kind="any", depth=3, tight=False):
        rng = self.rng
        if kind == "any" or rng.random() < 0.05:
            kind = rng.choice(["int", "float", "str", "str", "str", "bool", "list", "list", "dict", "none", "name"])
        text = self.untyped(kind, depth) if depth > 0 and rng.random() < 0.75 else self.atom(kind)
        return f"({text})" if tight and not text.isalnum() and rng.random() < 0.8 else text

    def untyped(self, kind, depth):
        rng = self.rng
        sub = lambda k, tight=True: self.expression(k, depth - 1, tight)  # noqa: E731
        roll = rng.randrange(24)
        if roll < 6:
            return self.filtered(kind, depth)
        if roll < 9 and kind in ("str", "list", "dict"):
            return self.method(kind, depth)
        if roll == 9:
            return f"{sub('any')} if {sub('bool')}" + (f" else {sub('any')}" if rng.random() < 0.8 else "")
        if roll == 10:
            return f"{sub(kind)} {rng.choice(['==', '!=', '<', '<=', '>', '>=', 'in', 'not in'])} {sub(rng.choice([kind, 'list', 'any']))}"
        if roll == 11:
            return f"{sub('int')} {rng.choice(['<', '<=', '>', '==', '!='])} {sub('int')} {rng.choice(['<', '<=', '>', '=='])} {sub('float')}"
        if roll == 12:
            return f"{rng.choice(['not ', ''])}{sub('any')} {rng.choice(['and', 'or'])} {sub('any')}"
        if roll == 13:
            test = rng.choice(TESTS) if rng.random() < 0.65 else f"{rng.choice([t for t in TESTS2 if t[0].isalpha()])}{rng.choice(['(', ' ('])}{sub('any', False)})"
            return f"{sub(rng.choice([kind, 'any', 'name']))} is {rng.choice(['', 'not '])}{test}"
        if roll == 14:
            return " ~ ".join(sub("any") for _ in range(rng.randrange(2, 4)))
        if roll == 15:
            return f"{self.atom(rng.choice(['list', 'dict', 'name', 'str']))}.{rng.choice(ATTRIBUTES)}"
        if roll == 16:
            return f"{self.atom(rng.choice(['list', 'dict', 'str']))}[{rng.choice(['0', '-1', '1', repr(rng.choice(ATTRIBUTES)), 'n', 's', '99', 'none', 'true', '1.0'])}]"
        if roll == 17:
            bound = lambda: rng.choice(["", "0", "1", "2", "-1", "-2", "n", "99", "-99", "none"])  # noqa: E731
            step = rng.choice(["", "", ":", ":1", ":2", ":-1", ":-2", ":n", ":0"])
            return f"{rng.choice(['s', 't', 'xs', 'ws', 'messages', 'nested', 'd', 'range(n)', 'f', self.literal(self.string()), '[1, 2, 3]'])}[{bound()}:{bound()}{step}]"
        if kind == "str":
            return rng.choice([lambda: f"{sub('str')} + {sub('str')}", lambda: f"{sub('str')} * {rng.choice(['0', '2', '-1', 'n', 'true'])}",
                               lambda: f"{self.literal(self.percent())} % {rng.choice([sub('any'), '(' + sub('any') + ', ' + sub('int') + ')', 'd'])}",
                               lambda: f"{self.literal(self.braces())}.format({sub('any', False)}, {sub('any', False)}, k={sub('any', False)})", lambda: f"{self.literal(self.percent())}|format({sub('any', False)})",
                               lambda: f"{self.literal('x')} {self.literal('y')}", lambda: "m1(" + sub("any", False) + ")", lambda: f"m2({sub('any', False)}, b={sub('any', False)})"])()
        if kind in ("int", "float"):
            op = rng.choice(["+", "-", "*", "/", "//", "%", "+", "-", "*", "**"])
            if op == "**":
                return f"{rng.choice(['2', '-3', '1.5', 'n', '0', '10'])} ** {rng.choice(['0', '2', '3', '-1', '0.5', '-2', '9'])}"
            return rng.choice([lambda: f"{sub(kind)} {op} {sub(rng.choice(['int', 'float']))}", lambda: f"-{sub(kind)}", lambda: f"+{sub(kind)}"])()
        if kind == "list":
            return rng.choice([lambda: f"[{', '.join(sub('any', False) for _ in range(rng.randrange(4)))}]", lambda: f"({sub('any', False)}, {sub('any', False)})", lambda: f"{sub('list')} + {sub('list')}",
                               lambda: f"{sub('list')} * {rng.choice(['0', '2', 'n'])}"])()
        if kind == "dict":
            return "{" + ", ".join(f"{sub(rng.choice(['str', 'int', 'any']))}: {sub('any')}" for _ in range(rng.randrange(3))) + "}"
        return self.atom(kind)

    def percent(self):
        rng = self.rng
        return "".join(rng.choice(["%s", "%d", "%r", "%5s|", "%-6s|", "%05d", "%.2f", "%x", "%%", "%+d", "%e", "%g", "%(a)s", "%c", "%i", "%.3s", "%#x", "%10.3e", " ", "%a", "% d", "text", "%o", "%*d", "%y"])
                       for _ in range(rng.randrange(1, 4)))

    def braces(self):
        rng = self.rng
        return "".join(rng.choice(["{}", "{0}", "{1}", "{k}", "{{", "}}", "x", "{!r}", "{:>8}", "{:<6}|", "{:^7}|", "{:05d}", "{:.2f}", "{0!s:>5}", "{:,}", "{:x}", "{:*^9}", "{:+d}", "{:e}", "{:%}", "{:g}",
                                   "{:s}", "{:d}", "{k[0]}", "{k.a}", "{", "}", "{:#x}", "{:_}", "{:b}", "{:.3}", "{:10.3f}", "{2}"]) for _ in range(rng.randrange(1, 4)))

    # ---- statements

    def gap(self):
        return self.rng.choice(["", "", "", "\n", " ", "\n    ", "text", "  \n\n", "é", "\t", " x\n"])

    def tag(self, inside):
        rng = self.rng
        left = rng.choice(["", "", "-", "-", "+"])
        right = rng.choice(["", "", "-", "", "+"])
        return "{%" + left + " " + inside + " " + right + "%}"

    def body(self, depth):
        return "".join(self.gap() + self.statement(depth - 1) for _ in range(self.rng.choice([0, 1, 1, 2, 2, 3]))) + self.gap()

    def statement(self, depth):
        rng = self.rng
        roll = rng.randrange(39 if rng.random() < 0.7 else 40) if depth > 0 else rng.randrange(8)
        if roll == 13:
            return "{{ " + self.expression("any", 2, True) + self.rng.choice(["|e", "|escape", "|safe", "|forceescape"]) + " }}"
        if roll < 13:
            return "{{" + rng.choice(["", "", "-"]) + " " + self.expression("any", rng.choice([1, 2, 3])) + " " + rng.choice(["", "", "-"]) + "}}"
        tag, expression, body = self.tag, self.expression, self.body
        if roll < 17:
            return tag(f"set {rng.choice(['a', 'b', 'c', 'x', 'content', 's', 'n', 'loop', 'a, b', 'ns.a', 'ns.v'])} = {expression()}")
        if roll < 22:
            middle = "".join(tag(f"elif {expression('bool')}") + body(depth) for _ in range(rng.choice([0, 0, 1])))
            middle += tag("else") + body(depth) if rng.random() < 0.5 else ""
            return tag(f"if {expression('bool')}") + body(depth) + middle + tag("endif")
        if roll < 29:
            target = rng.choice(["x", "m", "message", "a", "x", "a, b", "x", "c, (a, b)"])
            source = rng.choice(["xs", "ws", "messages", "d.items()", "d|items", "d|dictsort", "range(3)", "s", "[]", "missing", "tools", "messages[::-1]", "xs|reverse", expression("list", 2)])
            condition = rng.choice(["", "", "", f" if {expression('bool', 2)}"]) + rng.choice(["", "", "", "", " recursive"])
            inner = body(depth) + rng.choice(["", "", tag("if loop.last") + "L" + tag("endif"), "{{ loop." + rng.choice(
                ["index", "index0", "first", "last", "length", "revindex", "revindex0", "previtem", "nextitem", "depth", "depth0", "cycle('a', 'b')", "changed(x)", "missing"]) + " }}",
                tag(f"if {expression('bool', 1)}") + tag(rng.choice(["break", "continue"])) + tag("endif"), "{{ loop(x) }}" if rng.random() < 0.2 else ""])
            inner += body(depth) if rng.random() < 0.3 else ""
            other = tag("else") + body(depth) if rng.random() < 0.25 else ""
            return tag(f"for {target} in {source}{condition}") + inner + other + tag("endfor")
        if roll == 29:
            parameters = rng.choice(["a", "a, b=2", "a='z', b=none", "", "a, b=a"])
            extra = rng.choice(["", "{{ varargs }}", "{{ kwargs }}", "{{ caller() if caller is defined }}", "{{ caller(1) }}", ""])
            return tag(f"macro {rng.choice(['m1', 'm2', 'm3'])}({parameters})") + "[{{ a }}]" + body(depth) + extra + tag("endmacro")
        if roll == 30:
            return tag(f"call{rng.choice(['', '(x)', '(a, b=1)'])} {rng.choice(['m1', 'm2', 'm3', 'missing'])}({rng.choice(['', '1', '1, 2', 'a=s', 'b=1, c=2', '*xs', '**d'])})") + body(depth) + tag("endcall")
        if roll == 31:
            return "{{ " + rng.choice(["m1", "m2", "m3", "m1.name", "m1.arguments", "m2.catch_kwargs", "m1.caller"]) + rng.choice(["", f"({expression()})", f"({expression()}, {expression()})", f"(b={expression()})", "(*xs)",
                                                                                                                                       "(**d)"]) + " }}"
        if roll == 32:
            return tag(f"filter {rng.choice(['upper', 'trim', 'replace(s, t)', 'indent(2)', 'length', 'list', 'upper|trim'])}") + body(depth) + tag("endfilter")
        if roll == 33:
            return tag(f"with {rng.choice(['', f'a = {expression()}', f'a = 1, b = a', f'x = {expression()}, c = x'])}") + body(depth) + tag("endwith")
        if roll == 34:
            return tag(f"set {rng.choice(['a', 'b', 'x'])}{rng.choice(['', '', ' | trim', ' | upper | length'])}") + body(depth) + tag("endset")
        if roll == 35:
            return tag("generation") + body(depth) + tag("endgeneration")
        if roll == 36:
            return rng.choice(["{#", "{#-", "{#+"]) + rng.choice([" note ", "", "\n", " {{ x }} "]) + rng.choice(["#}", "-#}", "+#}"])
        if roll == 37:
            return tag("raw") + rng.choice(["{{ x }}", " {% if %} ", "\n", "{# #}", " "]) + tag("endraw")
        if roll == 38:
            return tag(f"set ns = namespace({rng.choice(['', 'a=1', 'a=[], v=s', 'd', 'a=n, b=2', '[(1, 2)]'])})") + rng.choice(["{{ ns.a }}", "", tag("set ns.a = ns.a + 1"), "{{ ns }}", tag("set messages = [ns] + messages"), tag("set x = [ns, {'a': ns}]")])
        return rng.choice([lambda: tag(rng.choice(["break", "continue", "do 1", "include 'x'", "extends 'x'", "import 'x' as y", "block b", "autoescape true", "nosuch", "endif", "else", "set", "for", "debug", "trans"])),
                           lambda: "{{ " + rng.choice(["", "1 +", "a b", "(", "'x", "a.", "a|", "?", "a[", "{'a'}", "f(a=1, 2)", "1 is", "a if", "-", "not", "*a", "a..b", "1.2.3", "0x", "a$", "}}"]) + " }}"])()

    # ---- templates whose statements set and read a few variables in each other's blocks

    def scoped_value(self):
        rng = self.rng
        name = rng.choice(["s", "t", "n", "a", "b"])
        return rng.choice([f"{name}", f"{name} ~ {rng.randrange(9)}", str(rng.randrange(9)), f"'{name}' ~ ({rng.choice('ab')} | default('-'))", "m1(a)", "loop.index", "none", "xs[0]"])

    def scoped_body(self, depth):
        return "".join(self.scoped_statement(depth - 1) for _ in range(self.rng.choice([1, 1, 2, 2, 3, 4])))

    def scoped_statement(self, depth):
        rng, tag, body, value = self.rng, self.tag, self.scoped_body, self.scoped_value
        name = rng.choice(["s", "t", "n", "a", "b", "a", "b", "caller", "varargs", "kwargs"] if rng.random() < 0.1 else ["s", "t", "n", "a", "b", "a", "b"])
        roll = rng.randrange(24) if depth > 0 else rng.randrange(9)
        if roll < 5:
            return f"[{{{{ {name} }}}}]"
        if roll < 8:
            return tag(f"set {name} = {value()}")
        if roll == 8:
            return rng.choice([lambda: "{{ m1(" + value() + ") }}", lambda: "{{ m2(b=" + value() + ") }}", lambda: "{{ ns.f(" + value() + ") if ns.f }}", lambda: tag("set ns.a = " + value()) + "{{ ns.a }}",
                               lambda: tag(f"set ns.f = {rng.choice(['m1', 'm2', 'm3', 'caller'])}"), lambda: tag(f"set a, {name} = 1, {value()}"),
                               lambda: tag(f"if {name}") + tag(rng.choice(["break", "continue"])) + tag("endif"), lambda: "{{ loop(xs[:1]) }}" if depth > 0 else "", lambda: "{{ self }}"])()
        if roll < 12:
            middle = "".join(tag(f"elif {value()}") + body(depth) for _ in range(rng.choice([0, 0, 1, 2])))
            return tag(f"if {rng.choice([name, value(), 'true', 'false'])}") + body(depth) + middle + (tag("else") + body(depth) if rng.random() < 0.4 else "") + tag("endif")
        if roll < 16:
            target = rng.choice(["a", "b", name, "s", "a, b"])
            source = rng.choice(["xs", "range(2)", "[]", "d.items()", "ws", "[[1, 2], [3, 4]]", "[a, b]", "xs|select"])
            condition = rng.choice(["", "", f" if {rng.choice([target.split(',')[0], name, 'ns.a', 'not ' + name])}"]) + rng.choice(["", "", " recursive"])
            position = rng.choice(["", "", "", "{{ loop.length }}", "{{ loop.last }}", "{{ loop.nextitem }}", "{{ loop.previtem }}"])
            return tag(f"for {target} in {source}{condition}") + position + body(depth) + (tag("else") + body(depth) if rng.random() < 0.3 else "") + tag("endfor")
        if roll == 16:
            return tag(f"with {rng.choice(['', f'{name} = {value()}', f'a = {value()}, b = a'])}") + body(depth) + tag("endwith")
        if roll == 17:
            return tag(f"set {name}{rng.choice(['', '', ' | upper', f' | default({rng.choice([name, repr(name)])})'])}") + body(depth) + tag("endset")
        if roll == 18:
            return tag(f"filter {rng.choice(['upper', f'replace({name}, {name})', 'trim'])}") + body(depth) + tag("endfilter")
        if roll == 19:
            return tag("generation") + body(depth) + tag("endgeneration")
        if roll == 20:
            return tag(f"call{rng.choice(['', '(a)', '(s, t=1)', '(b=a)'])} {rng.choice(['m1', 'm2', 'm3'])}({rng.choice(['', value(), 'b=1'])})") + body(depth) + tag("endcall")
        parameters = rng.choice(["a", "a, b=2", "a='z', b=none", "", "a=b, b=a", f"{name}={value()}", "s=s", "caller=1", "a, kwargs=1"])
        extra = rng.choice(["", "", "{{ varargs }}", "{{ kwargs }}", "{{ caller() if caller }}", "{{ caller(1) if caller else '-' }}"])
        return tag(f"macro {rng.choice(['m1', 'm2', 'm3'])}({parameters})") + body(depth) + extra + tag("endmacro")

    def scoped_template(self):
        start = "".join(part for part in ["{% macro m1(a, b=2) %}<{{ a }}|{{ b }}{{ t }}{{ caller(b) if caller }}>{% endmacro %}", "{%- macro m2(b=s) -%}{{ b }}{{ a }}{{ caller() if caller }}{%- endmacro -%}",
                                          "{% set ns = namespace(a=1, f=none) %}"] if self.rng.random() < 0.7)
        return start + self.scoped_body(4)

    def template(self):
        if self.rng.random() < 0.3:
            return self.scoped_template()
        start = "".join(part for part in [
            "{% macro m1(a, b=2) %}<{{ a }}|{{ b }}>{% endmacro %}", "{%- macro m2(a='z') -%}{{ a }}{{ varargs }}{{ caller(a) if caller }}{%- endmacro -%}",
            "{% macro m3() %}{{ kwargs }}{{ caller is defined }}{% endmacro %}", "{% set ns = namespace(a=1, v='') %}", "{% set x = 1 %}", "{% set m = messages | last | default({}) %}",
            "{%- set a, b, c = 1, 'b', [2] -%}\n"] if self.rng.random() < 0.6)
        return start + "".join(self.statement(3) + self.gap() for _ in range(self.rng.choice([1, 1, 2, 3, 4])))
