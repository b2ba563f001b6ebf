"""Small templates that pin down which variable a name is; for make_template_goldens.py. The context has `messages`."""

SHOW = "[{{ messages | default('-') | length }}]"
SET = "{% set messages = 'abcd' %}"

SCOPES = [
    # A block that reads a variable before the level above sets it, and the ways in which the level above may have read it.
    f"{{% for i in [1] %}}{SHOW}{{% endfor %}}{SET}{SHOW}", f"{{% for i in [1] %}}{SHOW}{{% endfor %}}{SHOW}{SET}", f"{SHOW}{{% for i in [1] %}}{SHOW}{{% endfor %}}{SET}",
    f"{{% for i in [1] %}}{SHOW}{SET}{SHOW}{{% endfor %}}{SHOW}", f"{{% for i in [1, 2] %}}{SHOW}{{% if i == 1 %}}{SET}{{% endif %}}{SHOW}{{% endfor %}}",
    f"{{% for i in [] %}}{{% else %}}{SHOW}{{% endfor %}}{SET}", f"{{% with %}}{SHOW}{{% endwith %}}{SET}", f"{{% with a = messages %}}{{{{ a | length }}}}{{% endwith %}}{SET}",
    f"{{% macro m() %}}{SHOW}{{% endmacro %}}{{{{ m() }}}}{SET}{{{{ m() }}}}", f"{{% macro m(a=messages) %}}{{{{ a | length }}}}{{% endmacro %}}{{{{ m() }}}}{SET}{{{{ m() }}}}",
    f"{{% filter upper %}}{SHOW}{{% endfilter %}}{SET}", f"{{% filter replace('4', messages | string) %}}{SHOW}{{% endfilter %}}{SET}", f"{{% set a %}}{SHOW}{{% endset %}}{{{{ a }}}}{SET}",
    f"{{% generation %}}{SHOW}{{% endgeneration %}}{SET}", f"{{% macro m() %}}{{{{ caller() }}}}{{% endmacro %}}{{% call m() %}}{SHOW}{{% endcall %}}{SET}",
    f"{{% for i in messages if messages %}}x{{% endfor %}}{SET}", f"{{% for messages in messages %}}{{{{ messages.role }}}} {{% endfor %}}", f"{{% set messages = messages %}}{SHOW}",
    # Branches: what only some of them set is the context's in the others.
    f"{{% if true %}}{SHOW}{{% endif %}}{SET}", f"{{% if false %}}{SET}{{% endif %}}{SHOW}", f"{{% if false %}}{SET}{{% else %}}{SHOW}{{% endif %}}{SHOW}", f"{{% if false %}}{{% elif true %}}{SHOW}{{% endif %}}{SET}",
    f"{{% if true %}}{SET}{{% endif %}}{{% for i in [1] %}}{SHOW}{{% endfor %}}", f"{{% for i in [1] %}}{{% if false %}}{SET}{{% endif %}}{SHOW}{{% endfor %}}{SHOW}",
    f"{{% for i in [1] %}}{{% if false %}}{{% elif false %}}{SET}{{% else %}}{SHOW}{{% endif %}}{{% endfor %}}{SET}{SHOW}", f"{{% if false %}}{{% if true %}}{SET}{{% endif %}}{{% endif %}}{{% with %}}{SHOW}{{% endwith %}}",
    # What a block sets ends with it; what it copies is what there was when it began.
    "{% set a = 1 %}{% for i in [1, 2] %}{{ a }}{% set a = a + i %}{{ a }} {% endfor %}{{ a }}", "{% set a = 1 %}{% with %}{% set a = 2 %}{% with %}{{ a }}{% set a = 3 %}{{ a }}{% endwith %}{{ a }}{% endwith %}{{ a }}",
    "{% set a = 1 %}{% set b %}{% set a = 2 %}{{ a }}{% endset %}{{ a }}{{ b }}", "{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}", "{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}",
    "{% for x in [1] %}{% for x in [2] %}{{ x }}{% endfor %}{{ x }}{% endfor %}{{ x }}|", "{% for x in [1, 2] %}{% else %}{{ x }}{% endfor %}|{{ x is defined }}",
    # Macros see the variables of their place as they are when they are called.
    "{% set a = 1 %}{% macro m() %}{{ a }}{% endmacro %}{% set a = 2 %}{{ m() }}", "{% macro m() %}{{ a }}{% set a = 3 %}{{ a }}{% endmacro %}{% set a = 2 %}{{ m() }}{{ a }}",
    "{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "{% set ns = namespace() %}{% for i in [1, 2] %}{% if i == 1 %}{% macro m() %}{{ i }}{% endmacro %}{% set ns.m = m %}{% endif %}{{ ns.m() }}{% endfor %}",
    "{% set ns = namespace() %}{% for i in [1] %}{% set j = 1 %}{% macro m() %}{{ j }}{% endmacro %}{% set ns.m = m %}{% endfor %}[{{ ns.m() }}]{% for i in [1] %}{% set j = 7 %}{{ ns.m() }}{% endfor %}",
    "{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{{ n }}{% endmacro %}{{ f(2) }}", "{% with %}{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}g{% endmacro %}{{ f() }}{% endwith %}",
    "{% macro m(a=b, b=1) %}{{ a }}|{{ b }}{% endmacro %}{% set b = 9 %}{{ m() }} {{ m(b=2) }}", "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m() }}|", "{% macro m(a) %}{{ m2(a) }}{% endmacro %}{% macro m2(x) %}<{{ x }}>{% endmacro %}{{ m(4) }}",
    # The special variables.
    "{% macro m() %}{{ caller is defined }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, b=2) }}", "{% macro m() %}{{ kwargs.keys()|list }}{% endmacro %}{% call m(a=1, **{'b': 2}) %}{% endcall %}", "{% macro m() %}{% set varargs = 1 %}{{ varargs }}{% endmacro %}{{ m(1) }}", "{% macro m() %}{% for caller in [1] %}{{ caller }}{% endfor %}{% endmacro %}{{ m() }}{{ m(caller=1) }}",
    "{% macro m(caller=5) %}{{ caller }}{% endmacro %}{{ m() }}{{ m(caller=6) }}{{ m.caller }}", "{% macro m(caller) %}{{ caller }}{% endmacro %}{{ m(1) }}", "{% macro m(caller) %}x{% endmacro %}{{ m(1) }}",
    "{% macro m() %}{% generation %}{{ caller is defined }}{{ varargs }}{% endgeneration %}{{ caller() }}{% endmacro %}{% call m() %}c{% endcall %}", "{% for i in [1] if loop.index %}{{ i }}{% endfor %}", "{% for i in [1, 2] %}{% for j in [3] if loop is defined %}{{ j }}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for i in [1, 2] %}{% for j in [] %}{% else %}{{ loop.index }}{% endfor %}{% endfor %}", "{{ self }}{{ self is defined }}{{ self.x is defined }}", "{% macro m() %}{{ loop is defined }}{% endmacro %}{% for i in [1] %}{{ m() }}{% macro n() %}{{ loop.index }}{% endmacro %}{{ n() }}{% endfor %}",
    "{% set a | default(b) %}x{% endset %}{{ a }}", "{% set b = 1 %}{% set a | default(b) %}x{% endset %}{{ a }}", "{% for i in [[1, [[2, []]]]] recursive %}{{ i[0] }}{{ loop.depth }}{% set i = i[1] %}{{ loop(i) }}{{ i | length }}{% endfor %}",
    # Loops take their items, and filter them, one after another.
    "{% set ns = namespace(n=0) %}{% for i in [1, 2, 3] if i > ns.n %}{{ i }}{% set ns.n = i + 1 %}{% endfor %}", "{% set g = [1, 2, 3, 4] | select %}{% for i in g %}{{ i }}{% if i == 2 %}{% break %}{% endif %}{% endfor %}|{{ g | list }}",
    "{% set g = [1, 2, 3, 4] | select %}{% for i in g %}{{ i }}{{ loop.nextitem }}{% if i == 2 %}{% break %}{% endif %}{% endfor %}|{{ g | list }}", "{% for i in [1, 2, 3, 4] | select %}{{ i }}{{ loop.revindex }}{{ loop.last }} {% endfor %}",
    "{% for a, b in [[1, 2], [3, 4]] if b %}{{ loop.nextitem }}{{ loop.previtem }}{{ loop.length }} {% endfor %}", "{% for i in [1, 2, 3] if i != 2 %}{{ loop.length }}{{ loop.last }} {% endfor %}",
    # Views are sets where they are compared, and numbers of filters may be floats until they are used.
    "{{ {'a': 1}.keys() < {'a': 2, 'b': 3}.keys() }}{{ {'a': 1}.items() <= {'a': 2}.items() }}{{ {'a': 1}.keys() >= {}.items() }}{{ {'a': 1}.keys() > {'a': 1}.keys() }}", "{{ {'a': 1}.values() < {'a': 1}.values() }}",
    "{{ true or (x | nosuch) }}{{ 0 and (x | nosuch) }}{{ (1 < 2) or (x is nosuch) }}", "{{ true and (x | nosuch) }}", "{{ y or (x | nosuch) }}", "{{ (false or 1) or (x | nosuch) }}",
    "{{ [] in {}.keys() }}", "{{ [] | map(x=1) | list }}{{ [] | map | list }}", "{{ [1] | map(attribute='a', x=1) | list }}", "{{ [1] | slice('a') | list }}", "{{ ([1] | slice('a')) is defined }}", "{{ ([], 1) in {}.items() }}", "{{ (1, []) in {}.items() }}{{ [] in {}.items() }}{{ 'a' in {'a': 1}.keys() }}{{ ('a', 1) in {'a': 1}.items() }}",
    "{{ 'abc' | truncate(5.5) }}{{ 'abc' | truncate(3.0, leeway=0.5) }}", "{{ 'abcdefghijkl' | truncate(3.0) }}", "{{ 'abc' | truncate(none) }}", "{{ [1, 2, 3] | batch(2.0) | list }}{{ [1, 2, 3] | batch(none) | list }}", "{{ [1, 2, 3] | batch(2.0, 'x') | list }}",
    "{{ 2.5 | round(none) }}{{ 1.25 | round(0.5, 'ceil') }}{{ '7' | int(base=none) }}{{ 'a' | replace('a', 'b', none) }}", "{{ 1.5 | round(1.0) }}", "{{ 'a' | indent(none) }}", "{{ 'a' | center(none) }}",
]
