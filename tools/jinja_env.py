"""The jinja2 environment in which Transformers renders chat templates, restated so that it needs jinja2 alone. Where
Transformers is importable, check() asserts that both behave alike.
"""
import datetime
import functools
import json

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    """{% generation %}: what a model says, marked for training. It renders its body in a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


class Dict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)

    def fromkeys(self, *args, **kwargs):
        return dict.fromkeys(*args, **kwargs)


def _check_name(name):
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace's attribute may not begin with an underscore: {name!r}")


class Namespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        attributes = dict(*args[1:], **kwargs)
        for name in attributes:
            _check_name(name)
        jinja2.utils.Namespace.__init__(args[0], attributes)

    def __setitem__(self, name, value):
        _check_name(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)


def _raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def _tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


@functools.cache
def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = _tojson
    env.globals["raise_exception"] = _raise_exception
    env.globals["strftime_now"] = lambda format: datetime.datetime.now().strftime(format)
    env.globals["dict"] = Dict()
    env.globals["namespace"] = Namespace
    return env


@functools.lru_cache(8)
def _compile(template):
    return environment().from_string(template)


def render(template, context):
    """("text", the text), ("error", the exception) or ("syntax", the exception)."""
    try:
        compiled = _compile(template)
    except Exception as e:  # a TemplateSyntaxError, or Python's SyntaxError for what jinja2 made of the template
        return "syntax", e
    try:
        return "text", compiled.render(**context)
    except Exception as e:
        return "error", e


PROBES = [
    "{% set ns = namespace(a=1) %}{% set ns._b = 2 %}{{ ns._b }}", "{% set ns = namespace({'_a': 1}) %}", "{{ dict(a=1) }}{{ dict([(1, 2)]) }}",
    "{{ dict.fromkeys(['a']) }}", "{{ [1, {'é': '<'}] | tojson }}", "{{ {'b': 1, 'a': 2} | tojson(indent=1, sort_keys=true) }}", "  {% if 1 %}  \n x {% endif %}\n y",
    "{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "{% set a = 1 %}{% generation %}{% set a = 2 %}{{ a }}{% endgeneration %}{{ a }}",
    "{{ [].append(1) }}", "{{ raise_exception('x') }}", "{% do 1 %}", "{{ ''.__class__ }}", "{{ strftime_now('%Y') | length }}", "{{ 'a' | tojson(separators=(1, 2)) }}",
]


def check():
    """True when Transformers is there and agrees."""
    try:
        from transformers.utils.chat_template_utils import _compile_jinja_template
    except ImportError:
        return False
    for probe in PROBES:
        kind, ours = render(probe, {})
        try:
            theirs = _compile_jinja_template(probe).render()
        except Exception:
            theirs = None
        assert (ours if kind == "text" else None) == theirs, (probe, kind, ours, theirs)
    return True


if __name__ == "__main__":
    print("agrees with Transformers" if check() else "Transformers is not there")
