"""House rules that no linter knows (the rules are in design.md's terms: one noun a module, nothing waits,
errors are ours)."""

from __future__ import annotations

import ast
import re
from itertools import dropwhile

from compose.local import ROOT

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 40
# The clock is where time passes, so that it can be replaced everywhere else.
MAY_SLEEP = {"certmill/clock.py"}


def functions(module):
    return (
        node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def called_name(call):
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def test_every_module_says_its_design(modules):
    silent = [module.name for module in modules if not ast.get_docstring(module.tree) and module.text.strip()]

    assert silent == []


def test_every_package_says_what_it_is_for_and_what_is_forbidden(modules):
    packages = [module for module in modules if module.path.name == "__init__.py"]

    wrong = {}
    for package in packages:
        docstring = ast.get_docstring(package.tree) or ""
        sentences = docstring.replace("\n", " ").count(". ") + docstring.endswith(".")
        if not docstring.strip() or len(docstring.splitlines()) > 8 or sentences < 2:
            wrong[package.name] = docstring

    assert wrong == {}, (
        "an __init__ says in two sentences to eight lines what the package is for, and what is forbidden in "
        "it"
    )


def test_modules_are_one_noun(modules):
    large = {
        module.name: len(module.text.splitlines())
        for module in modules
        if len(module.text.splitlines()) > MAX_MODULE_LINES
    }

    assert large == {}


def test_functions_are_short(modules):
    long = {
        f"{module.name}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for module in modules
        for node in functions(module)
        if node.end_lineno - node.lineno >= MAX_FUNCTION_LINES
    }

    assert long == {}


def test_every_redis_script_names_its_arguments_at_the_top():
    unnamed = {}
    for script in sorted((ROOT / "certmill" / "state").glob("*.lua")):
        code = [line for line in script.read_text().splitlines() if not line.startswith("--")]
        body = dropwhile(lambda line: line.startswith("local ") and re.search(r"= (KEYS|ARGV)\[", line), code)
        unnamed[script.name] = [line for line in body if re.search(r"(KEYS|ARGV)\[\d+\]", line)]

    assert {name: lines for name, lines in unnamed.items() if lines} == {}
    assert len(unnamed) > 10


def test_nothing_sleeps_in_the_engine(engine):
    sleeping = [
        f"{module.name}:{node.lineno}"
        for module in engine
        if module.name not in MAY_SLEEP
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and called_name(node) == "sleep"
    ]

    assert sleeping == []


def test_no_error_is_caught_broadly_in_the_engine(engine):
    def is_broad(kind):
        kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
        return kind is None or any(
            isinstance(one, ast.Name) and one.id in ("Exception", "BaseException") for one in kinds
        )

    broad = [
        f"{module.name}:{node.lineno}"
        for module in engine
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and is_broad(node.type)
    ]

    assert broad == []


def test_nothing_is_left_for_later(modules):
    words = ("TO" + "DO", "FIX" + "ME", "X" * 3, "NotImplemented" + "Error")
    left = [
        f"{module.name}:{number}"
        for module in modules
        for number, line in enumerate(module.text.splitlines(), 1)
        if any(w in line for w in words)
    ]

    assert left == []


def test_the_tree_of_errors_is_drawn_in_full(engine):
    (errors,) = (module for module in engine if module.name == "certmill/errors.py")
    drawing = ast.get_docstring(errors.tree) or ""
    classes = {node.name for node in errors.tree.body if isinstance(node, ast.ClassDef)} - {"FailureClass"}
    drawn = {line.split("──")[-1].split()[0] for line in drawing.splitlines() if "──" in line}

    assert drawn | {"CertmillError"} == classes


def assigns_to_itself(cls):
    targets = (
        target
        for node in ast.walk(cls)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    )
    return any(
        isinstance(target, ast.Attribute) and getattr(target.value, "id", "") == "self" for target in targets
    )


def test_values_are_slotted_keyword_only_and_frozen_unless_they_change_themselves(engine):
    loose = []
    for module in engine:
        for cls in (node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)):
            wanted = {"slots", "kw_only"} | (set() if assigns_to_itself(cls) else {"frozen"})
            for decorator in cls.decorator_list:
                options = (
                    {option.arg for option in decorator.keywords}
                    if isinstance(decorator, ast.Call)
                    else set()
                )
                if "dataclass" in ast.dump(decorator) and not wanted <= options:
                    loose.append(f"{module.name}:{cls.lineno} {cls.name}")

    assert loose == []


def test_every_module_has_postponed_annotations(modules):
    bare = [
        module.name
        for module in modules
        if any(not isinstance(node, ast.Expr) for node in module.tree.body)
        and "from __future__ import annotations" not in module.text
    ]

    assert bare == []
