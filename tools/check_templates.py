"""Compares chat templates from files with jinja2 set up as Transformers does (jinja_env.py): the conversations of
make_template_goldens.py and random ones, text or kind of error, and what raise_exception says.

    tools/check_templates.py build/cpu/bin/awq_render [--random 60] [--seed 1] FOLDER|FILE…

A file is a template (.jinja, .jinja2, .j2) or a JSON object with "chat_template"; of a folder, all such files below it.
A template that tells the time is rendered again when it differs, since a second may have passed. What ours alone refuses
("limit: ", "unsupported: ") counts as a difference.
"""
import argparse
import collections
import json
import pathlib
import random
import sys

import jinja2
import jinja_env
import make_template_goldens as goldens
from fuzz_templates import Server

MESSAGES = [goldens.USER, goldens.ANSWER, goldens.AGAIN, goldens.CALL, goldens.CALL_TEXT, goldens.RESULT, goldens.RESULT2, goldens.THINK,
            goldens.REASON, goldens.PARTS, goldens.HOSTILE, goldens.EMPTY,
            {"role": "assistant", "content": ""}, {"role": "developer", "content": " Be brief.\n"}, {"role": "user", "content": "  spaces \n"},
            {"role": "assistant", "content": [{"type": "text", "text": "Parts."}]}, {"role": "user"}, {"role": "tool", "content": [{"type": "text", "text": "5"}]}]
DOCUMENTS = [{"title": "One", "text": "d1", "doc_id": 1}, {"title": "Two", "text": "d2", "doc_id": 2}]
OPTIONS = {"enable_thinking": [False, True], "thinking": [False, True], "reasoning_effort": ["low", "high"], "date_string": ["1 Jan 2025"], "documents": [DOCUMENTS],
           "builtin_tools": [["python"]], "tools_in_user_message": [False], "preserve_thinking": [True], "keep_past_thinking": [True], "custom_tools": [goldens.TOOLS],
           "controls": [{"length": 3}], "citations": ["on"], "model_identity": ["I am ours."], "xml_tools": [goldens.TOOLS], "python_tools": [["f"]]}


def conversation(rng):
    """A context of messages in any order, or of turns as most templates want them."""
    if rng.random() < 0.5:
        messages = rng.choices(MESSAGES, k=rng.randrange(1, 6))
    else:
        messages = [rng.choice(MESSAGES[:2] if i % 2 else [goldens.USER, goldens.AGAIN, goldens.PARTS]) for i in range(rng.randrange(1, 5))]
        if len(messages) > 2 and rng.random() < 0.5:
            messages[1:2] = [rng.choice([goldens.CALL, goldens.CALL_TEXT]), goldens.RESULT, rng.choice([goldens.THINK, goldens.REASON])]
    if rng.random() < 0.5:
        messages = [goldens.SYSTEM] + messages
    out = {"messages": messages, "add_generation_prompt": rng.random() < 0.5, "bos_token": rng.choice(["", "<s>"]), "eos_token": "</s>",
           "tools": rng.choice([None, goldens.TOOLS])}
    return out | {name: rng.choice(values) for name, values in OPTIONS.items() if rng.random() < 0.2}


def templates(path):
    """(name, template) of a file."""
    text = path.read_bytes().decode()
    if path.suffix != ".json":
        return [(str(path), text)]
    stored = json.loads(text).get("chat_template")
    if isinstance(stored, list):
        stored = {entry["name"]: entry["template"] for entry in stored}
    return [(f"{path}:{name}", template) for name, template in stored.items()] if isinstance(stored, dict) else [(str(path), stored)] if stored else []


def files(path):
    return [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file() and f.suffix in (".jinja", ".jinja2", ".j2", ".json"))


def difference(server, template, context):
    """(kind of jinja2's result, None or what differs)."""
    for _ in range(2 if "strftime_now" in template else 1):
        kind, theirs = jinja_env.render(template, context)
        status, ours = server(template, context)
        same = status == kind and (ours == theirs if kind == "text" else type(theirs) is not jinja2.TemplateError or str(theirs) in ours)
        if same:
            return kind, None
    return kind, f"ours {status} {ours!r}\n  theirs {kind} {theirs!r}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("paths", nargs="+", type=pathlib.Path)
    parser.add_argument("--random", type=int, default=60, metavar="CONVERSATIONS")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    contexts = goldens.contexts() + [conversation(rng) for _ in range(options.random)]
    server = Server(options.program)
    counts = collections.Counter()
    seen = set()
    bad = 0
    for name, template in (found for path in options.paths for file in files(path) for found in templates(file)):
        if template in seen:
            continue
        seen.add(template)
        differ = []
        for context in contexts:
            kind, what = difference(server, template, context)
            counts[kind] += 1
            differ += [f"{json.dumps(context, ensure_ascii=False)}\n  {what}"] if what else []
        bad += bool(differ)
        if differ:
            print(f"{name}: {len(differ)} of {len(contexts)} differ, first {differ[0]}", flush=True)
    print(f"{len(seen)} templates, {len(contexts)} conversations each: {counts['text']} texts, {counts['error']} errors, {counts['syntax']} syntax errors in jinja2; {bad} templates differ")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
