"""Differential fuzzer: random templates and contexts (template_grammar.py) rendered by our engine and by jinja2 set up as
Transformers does (jinja_env.py), until the time is over. Differences are made small and printed.

    nice python tools/fuzz_templates.py build/cpu/bin/awq_render [--seconds 3600] [--seed 1] [--stop-after 20]

Two errors are equal. An error of ours alone is no difference when it says "limit: " (a bound on time, memory or size, or a
number beyond 64 bits) or "unsupported: " (docs/text.md lists what is refused); both are counted, and --refused shows them.
"""
import argparse
import collections
import json
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import time

import jinja_env
import template_grammar


class Server:
    """awq_render --serve as a Python object."""

    def __init__(self, program):
        self.process = subprocess.Popen([program, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, template, context):
        """("text" | "error" | "syntax", text)."""
        data = json.dumps({"template": template, "context": context}).encode()
        self.process.stdin.write(struct.pack("<I", len(data)) + data)
        self.process.stdin.flush()
        head = self.process.stdout.read(5)
        if len(head) < 5:
            raise RuntimeError(f"awq_render ended with {self.process.wait()} on {template!r} {context!r}")
        status, size = struct.unpack("<BI", head)
        return ("text", "error", "syntax")[status], self.process.stdout.read(size).decode()


class TooLong(BaseException):
    pass


def too_long(*_):
    raise TooLong


def jinja(template, context):
    """As Server, or None where jinja2 takes too long."""
    signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, 5)
    try:
        kind, out = jinja_env.render(template, context)
    except (TooLong, MemoryError, RecursionError):
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return kind, out if kind == "text" else f"{type(out).__name__}: {out}"


def known(ours, theirs):
    """Whether docs/text.md names this difference."""
    old = sys.version_info < (3, 12) and ours[0] == "text" and "cannot be interpreted as an integer" in theirs[1]
    constant = theirs[0] == "syntax" and "unhashable type" in theirs[1]
    return old or constant


class Comparison:
    def __init__(self, program):
        self.server = Server(program)
        self.counts = collections.Counter()
        self.refused = collections.Counter()

    def difference(self, template, context, count=False):
        theirs = jinja(template, context)
        if theirs is None:
            return None
        ours = self.server(template, context)
        if count:
            self.counts[theirs[0]] += 1
        if ours[0] != "text":
            if theirs[0] != "text":
                return None
            refusal = re.search(r"(limit|unsupported): .*", ours[1])
            if refusal:
                if count:
                    self.counts[refusal.group(1)] += 1
                    self.refused[re.sub(r"'[^']*'", "…", refusal.group())] += 1
                return None
        elif theirs[0] == "text" and ours[1] == theirs[1]:
            return None
        if known(ours, theirs):
            self.counts["known"] += count
            return None
        return ours, theirs


TOKENS = re.compile(r"\{%[-+]?|[-+]?%\}|\{\{-?|-?\}\}|\w+|\s+|.", re.S)


def shrink(template, context, differs):
    def less(pieces):
        step = max(1, len(pieces) // 2)
        while step:
            at = 0
            while at < len(pieces):
                fewer = pieces[:at] + pieces[at + step:]
                if differs("".join(fewer), context):
                    pieces = fewer
                else:
                    at += step
            step //= 2
        return pieces
    deadline = time.monotonic() + 20
    size = None
    while size != len(template) and time.monotonic() < deadline:
        size = len(template)
        template = "".join(less(TOKENS.findall(template)))
    for key in list(context):
        fewer = {k: v for k, v in context.items() if k != key}
        if differs(template, fewer):
            context = fewer
    return template, context


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stop-after", type=int, default=20, metavar="DIFFERENCES")
    parser.add_argument("--refused", action="store_true", help="list what only ours refused")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.RLIM_INFINITY))
    print("jinja_env agrees with Transformers" if jinja_env.check() else "Transformers is not there; jinja_env restates its environment", flush=True)
    compare = Comparison(options.program)
    begin = reported = time.monotonic()
    cases = bad = 0
    while time.monotonic() - begin < options.seconds and bad < options.stop_after:
        grammar = template_grammar.Grammar(random.Random(f"{options.seed} {cases}"))
        template, context = grammar.template(), grammar.context()
        cases += 1
        if compare.difference(template, context, count=True):
            bad += 1
            template, context = shrink(template, context, compare.difference)
            ours, theirs = compare.difference(template, context)
            print(f"case {cases - 1}: {template!r}\n  context {context!r}\n  ours   {ours[0]} {ours[1]!r}\n  theirs {theirs[0]} {theirs[1]!r}", flush=True)
        if time.monotonic() - reported > 300:
            reported = time.monotonic()
            print(f"{(reported - begin) / 60:.0f} min: {cases} cases, {bad} differences", flush=True)
    counts = compare.counts
    print(f"{time.monotonic() - begin:.0f} s, seed {options.seed}: {cases} cases ({counts['text']} texts, {counts['error']} errors, {counts['syntax']} syntax errors in jinja2; "
          f"refused by ours alone: {counts['limit']} by limits, {counts['unsupported']} as unsupported; {counts['known']} known), {bad} differences")
    if options.refused:
        for text, count in compare.refused.most_common():
            print(f"{count:7} {text}")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
