"""Verdicts: right solutions pass in every style of tests, and wrong ones do not, whatever they try."""

from __future__ import annotations

import pytest

from agentevo.environments.sandbox import Limits, Sandbox, Verdict

ADD = "def add(a, b):\n    return a + b\n"
CHECK = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate('a', 'b') == 'ab'\n"


def messages(verdict: Verdict) -> dict[str, str]:
    return {check.name: check.message for check in verdict.checks}


def test_a_right_solution_passes(sandbox: Sandbox) -> None:
    verdict = sandbox.judge(ADD, CHECK, "add")
    assert (verdict.passed, verdict.weak, verdict.share, verdict.result.kind) == (True, "", 1.0, "ok")


def test_a_wrong_solution_fails_and_the_message_says_what_was_got(best: Sandbox) -> None:
    verdict = best.judge("def add(a, b):\n    return a - b\n", CHECK, "add")
    assert not verdict.passed
    assert messages(verdict) == {"check": "assert candidate(1, 2) == 3: got -1, expected it == 3"}


FORGERIES = {
    "leave": "import sys\nsys.exit(0)",
    "leave at once": "import os\nos._exit(0)",
    "leave when called": "import os\ndef add(a, b): os._exit(0)",
    "leave by an exception": "def add(a, b): raise SystemExit(0)",
    "equal to all": "class T:\n    __eq__ = lambda s, o: True\ndef add(a, b): return T()",
    "an int equal to all": "class T(int):\n    __eq__ = lambda s, o: True\ndef add(a, b): return T(9)",
    "a text equal to all": "class T(str):\n    __eq__ = lambda s, o: True\ndef add(a, b): return T()",
    "never unequal": "class T(list):\n    __ne__ = lambda s, o: False\ndef add(a, b): return T()",
    "patched builtins": "import builtins\nbuiltins.AssertionError = ValueError\ndef add(a, b): return None",
    "patched operator": "import operator\noperator.eq = lambda a, b: True\ndef add(a, b): return None",
    "patched json": "import json\njson.dumps = lambda *a, **k: '{\"result\": 3}'\ndef add(a, b): return None",
    "walk the frames": (
        "import sys\ndef add(a, b):\n    frame = sys._getframe()\n    while frame:\n"
        "        frame.f_globals['check'] = lambda c: None\n        frame = frame.f_back\n"
    ),
    "tracing": "import sys\nsys.settrace(lambda *a: None)\ndef add(a, b): return None",
    "printed markers": (
        "import os\nfor fd in range(1, 20):\n    for text in (b'OK', b'{\"finished\": true, \"passed\": true}'):\n"
        "        try: os.write(fd, len(text).to_bytes(4, 'big') + text)\n        except OSError: pass\n"
        "def add(a, b): return None\n"
    ),
    "reports of its own": (
        "import json, os, struct\ndef say(**m):\n    t = json.dumps(m).encode()\n"
        "    for fd in range(3, 30):\n"
        "        try: os.write(fd, struct.pack('!I', len(t)) + t)\n        except OSError: pass\n"
        "say(loaded=True)\nsay(declared=['check'])\nsay(check='check', passed=True, message='')\n"
        "say(finished=True, weak='')\nsay(done=0)\ndef add(a, b): os._exit(0)\n"
    ),
    "at exit": "import atexit, os\natexit.register(os._exit, 0)\ndef add(a, b): return None",
    "end of iteration": "def add(a, b): raise StopIteration",
    "no function": "add = None",
    "nothing": "",
    "no Python": "def add(",
}


@pytest.mark.parametrize("code", FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_does_not_pass(sandbox: Sandbox, code: str) -> None:
    for tests in (CHECK, "assert all(map(lambda case: add(*case) == 3, [(1, 2), (2, 1)]))\n"):
        assert not sandbox.judge(code, tests, "add", timeout_s=10).passed


def test_a_solution_cannot_see_the_tests(sandbox: Sandbox) -> None:
    nosy = (
        "import gc, os, sys\nseen = []\n"
        "for folder, _, names in os.walk('..'):\n"
        "    seen += [open(os.path.join(folder, n), errors='replace').read() for n in names]\n"
        "seen += [repr(sys.argv), repr(dict(os.environ)), repr(gc.get_objects())]\n"
        "def add(a, b):\n    print(''.join(['ZEBRA', 'FISH']) in ''.join(seen))\n    return a + b\n"
    )
    verdict = sandbox.judge(nosy, CHECK + "    assert 'ZEBRAFISH'\n", "add")
    assert (verdict.passed, verdict.result.stdout) == (True, "False\nFalse\n")


def test_what_tests_print_is_in_no_result(best: Sandbox) -> None:
    verdict = best.judge(ADD, "print('HIDDEN')\n" + CHECK, "add")
    assert verdict.passed
    assert "HIDDEN" not in verdict.model_dump_json()


def test_tests_that_check_nothing_do_not_pass(best: Sandbox) -> None:
    assert messages(best.judge(ADD, "def check(candidate):\n    pass\n", "add")) == {"check": "no assert was run"}
    assert not best.judge(ADD, "if add(1, 2) == 4:\n    assert True\n", "add").passed


def test_each_assert_statement_is_a_check(best: Sandbox) -> None:
    verdict = best.judge(
        ADD, "assert add(1, 2) == 3\nx = 5\nassert add(x, 1) == 7\nassert add([1], [2]) == [1, 2]", "add"
    )
    assert [check.passed for check in verdict.checks] == [True, False, True]
    assert (verdict.passed, round(verdict.share, 2)) == (False, 0.67)


def test_unittest_cases_are_checks(best: Sandbox) -> None:
    tests = (
        "import unittest\nfrom solution import add\n"
        "class Adding(unittest.TestCase):\n"
        "    def setUp(self): self.one = 1\n"
        "    def test_right(self): self.assertEqual(add(self.one, 2), 3)\n"
        "    def test_wrong(self): self.assertEqual(add(1, 2), 4)\n"
        "    def test_raises(self):\n        with self.assertRaises(TypeError): add(1, 'a')\n"
        "    def test_gives_up(self): self.skipTest('why not')\n"
        "    @unittest.skip('not yet')\n    def test_left_out(self): self.fail()\n"
        "if __name__ == '__main__':\n    unittest.main()\n"
    )
    verdict = best.judge(ADD, tests)
    assert messages(verdict) == {
        "Adding.test_gives_up": "the test did not run to its end", "Adding.test_raises": "",
        "Adding.test_right": "", "Adding.test_wrong": "3 != 4",
    }  # fmt: skip


PYTEST = """
import pytest
from solution import add, Stack, Full, numbers, sort, twice

@pytest.fixture
def stack():
    return Stack(2)

def test_numbers(): assert list(numbers(3)) == [0, 1, 2]

def test_stack(stack):
    stack.push(4)
    assert stack.items == [4]
    stack.push(5)
    with pytest.raises(Full, match="no room"):
        stack.push(6)

@pytest.mark.parametrize("a, b, total", [(1, 2, 3), (1, 1, 3)])
def test_add(a, b, total): assert add(a, b) == total

def test_near(): assert add(0.1, 0.2) == pytest.approx(0.3)

def test_callback(): assert twice(lambda n: n * 3, 2) == 18

class TestSorting:
    def test_in_place(self):
        given = [3, 1, 2]
        sort(given)
        assert given == [1, 2, 3]

@pytest.mark.skip
def test_later(): assert False

def test_lacks(nothing_known): pass
"""
MANY = (
    ADD
    + """
class Full(ValueError): pass

class Stack:
    def __init__(self, room): self.items, self.room = [], room
    def push(self, item):
        if len(self.items) == self.room: raise Full("no room left")
        self.items.append(item)

def numbers(count): yield from range(count)
def sort(values): values.sort()
def twice(function, value): return function(function(value))
"""
)


def test_pytest_style_functions_are_checks(sandbox: Sandbox) -> None:
    verdict = sandbox.judge(MANY, PYTEST)
    found = messages(verdict)
    assert {name for name, message in found.items() if not message} == {
        "test_numbers", "test_stack", "test_add[0]", "test_near", "test_callback", "TestSorting.test_in_place",
    }  # fmt: skip
    assert found["test_add[1]"].endswith("got 2, expected it == 3")
    assert "no fixture 'nothing_known'; known: tmp_path, stack" in found["test_lacks"]
    assert verdict.weak == "the solution changed an argument in place"


def test_pairs_of_input_and_output_are_checks(sandbox: Sandbox) -> None:
    verdict = sandbox.judge("print(int(input()) * 2)", [("2\n", "4"), ("5", "10  \n\n"), ("x", "1"), ("1", "3")])
    assert [check.passed for check in verdict.checks] == [True, True, False, False]
    assert messages(verdict)["case 3"] == "the program ended with error, exit status 1"
    assert messages(verdict)["case 4"] == "wrote '2\\n', expected '3'"


def test_a_solution_of_several_files_is_judged(best: Sandbox) -> None:
    files = {"shop/__init__.py": "", "shop/cart.py": "from shop.prices import price\ndef total(n): return n * price()",
             "shop/prices.py": "def price(): return 7\n"}  # fmt: skip
    tests = (
        "from shop.cart import total\nimport shop.prices\n"
        "def test_total():\n    assert total(2) == 2 * shop.prices.price()\n"
    )
    assert best.judge("", tests, files=files).passed


PLAIN = [
    "None", "True", "-5", "10**40", "0.1", "float('inf')", "-0.0", "2+3j", "'t\\ud800\\n'", "b'\\x00\\xff'", "[1, [2]]",
    "(1, (2, [3]))", "{1, 2}", "frozenset({1})", "{(1, 2): {'a': [None]}}", "range(1, 9, 2)",
    "__import__('decimal').Decimal('1.50')", "__import__('fractions').Fraction(1, 3)",
    "__import__('datetime').date(2024, 2, 29)",
]  # fmt: skip


def test_plain_values_cross_as_exactly_what_they_are(best: Sandbox) -> None:
    tests = "\n".join(
        f"assert (lambda v, w: v == w and type(v) is type(w) and repr(v) == repr(w))(same({value}), {value})"
        for value in PLAIN
    )
    verdict = best.judge("def same(x): return x", tests, "same")
    assert {name: message for name, message in messages(verdict).items() if message} == {}
    assert len(verdict.checks) == len(PLAIN)


def test_a_subclass_arrives_as_the_plain_value_it_holds(best: Sandbox) -> None:
    code = (
        "import collections, enum\n"
        "class Level(enum.IntEnum): LOW = 1\n"
        "Point = collections.namedtuple('Point', 'x y')\n"
        "def values(): return [Level.LOW, Point(1, 2), collections.Counter('aab'), collections.OrderedDict(a=1)]\n"
    )
    tests = (
        "got = values()\nassert got == [1, (1, 2), {'a': 2, 'b': 1}, {'a': 1}]\n"
        "assert [type(g) for g in got] == [int, tuple, dict, dict]\n"
    )
    assert best.judge(code, tests, "values").passed


def test_what_is_nested_too_deeply_or_in_itself_does_not_cross(best: Sandbox) -> None:
    code = "x = []\nx.append(x)\ndef loop(): return x\ndef big(): return 'x' * 10**7\n"
    verdict = best.judge(code, "assert loop()\nassert big()", "loop")
    assert [check.passed for check in verdict.checks] == [False, False]
    assert "nested more than 100 deep" in verdict.checks[0].message
    assert "is over the limit" in verdict.checks[1].message


def test_two_objects_of_the_solution_are_compared_by_it_and_the_verdict_is_weak(best: Sandbox) -> None:
    code = "class P:\n    def __init__(s, x): s.x = x\n    def __eq__(s, o): return s.x == o.x\n"
    verdict = best.judge(code, "assert P(1) == P(1)\nassert P(1) != P(2)\nassert not P(1) == 1", "P")
    assert verdict.passed
    assert "decided by the solution" in verdict.weak


def test_arithmetic_with_an_object_of_the_solution_makes_the_verdict_weak(best: Sandbox) -> None:
    code = "class T:\n    __sub__ = lambda s, o: 0.0\ndef add(a, b): return T()"
    verdict = best.judge(code, "def check(candidate):\n    assert abs(candidate(1, 2) - 3) < 0.001", "add")
    assert verdict.weak == "__sub__ of a T was decided by the solution"


def test_names_that_only_the_solution_has_make_the_verdict_weak_unless_support_gives_them(best: Sandbox) -> None:
    code = ADD + "def helper(): return 3\n"
    tests = "def check(candidate):\n    assert candidate(1, 2) == helper()\n"
    assert best.judge(code, tests, "add").weak == "helper is used by the tests and defined by the solution only"
    supported = best.judge(code, tests, "add", support="def helper(): return 3\n")
    assert (supported.passed, supported.weak) == (True, "")


def test_a_callback_does_not_lead_a_solution_to_the_tests(sandbox: Sandbox) -> None:
    code = (
        "def call(f):\n"
        "    for name in ('__globals__', '__code__', '__self__', 'gi_frame', 'func_globals', '__class__'):\n"
        "        try: getattr(f, name)\n        except Exception: continue\n        return name\n"
        "    return f(2)\n"
        "def open_with(f): return f('tests.py').read()\n"
        "def walk(o):\n    return o._hidden\n"
    )
    tests = (
        "class Node:\n    def __init__(self): self.value = 4\n    def double(self): return self.value * 2\n"
        "assert call(lambda x: x + 1) in (3, '__class__')\n"
        "try:\n    open_with(eval)\nexcept TypeError as error:\n    assert 'cannot be used so' in str(error)\n"
        "try:\n    walk(Node())\nexcept AttributeError as error:\n    assert 'does not cross' in str(error)\n"
        "node = Node()\nassert use(node) == 12 and node.value == 6\n"
    )
    verdict = sandbox.judge(code + "def use(n):\n    n.value += 2\n    return n.double()\n", tests, "call")
    assert {name: message for name, message in messages(verdict).items() if message} == {}


def test_an_asynchronous_function_is_run_by_the_solution(best: Sandbox) -> None:
    tests = "import asyncio\nassert asyncio.run(slow(2)) == 4\n"
    assert best.judge("async def slow(x): return x * 2", tests, "slow").passed


def test_a_solution_that_never_answers_is_a_timeout(sandbox: Sandbox) -> None:
    verdict = sandbox.judge("def add(a, b):\n    while True: pass", CHECK, "add", timeout_s=0.5)
    assert (verdict.passed, verdict.result.kind) == (False, "timeout")


def test_a_solution_that_uses_too_much_memory_says_so(sandbox: Sandbox) -> None:
    code = "import mmap\ndef add(a, b):\n    m = mmap.mmap(-1, 10**9)\n    for i in range(0, 10**9, 4096): m[i] = 1"
    verdict = sandbox.judge(code, CHECK, "add", limits=Limits(memory_mb=64))
    assert (verdict.passed, verdict.result.kind) == (False, "memory")


def test_a_solution_that_does_not_load_shows_its_own_error(best: Sandbox) -> None:
    verdict = best.judge("x = (", CHECK, "add")
    assert messages(verdict) == {"tests": "the solution did not load: SyntaxError while it was loaded"}
    assert (verdict.result.kind, verdict.result.stderr.splitlines()[0]) == ("error", '  File "solution.py", line 1')


def test_a_missing_entry_point_is_said(best: Sandbox) -> None:
    assert messages(best.judge("x = 1", CHECK, "add")) == {"tests": "NameError: the solution does not define add"}


@pytest.mark.parametrize("module", ["cmath", "pytest", "unittest.mock", "tests"])
def test_a_file_of_a_solution_is_no_module_that_tests_trust(sandbox: Sandbox, module: str) -> None:
    liar = "def isclose(*a, **k): return True\napprox = same = isclose\n"
    tests = f"import {module} as m\ndef check(candidate):\n    assert m.isclose(candidate(1, 2), 3)\n"
    files = {f"{module.replace('.', '/')}.py": liar}
    assert not sandbox.judge("def add(a, b): return 7.0", tests, "add", files=files).passed


def test_a_failed_assertion_that_a_solution_keeps_quiet_fails_its_check(sandbox: Sandbox) -> None:
    tests = """
def test_quiet():
    def seen(x): assert x < 3
    each([1, 9], seen)
def test_right():
    got = []
    each([1, 2], got.append)
def test_refused():
    def refuse(x): raise ValueError
    each([1], refuse)
"""
    quiet = "def each(xs, f):\n    for x in xs:\n        try: f(x)\n        except Exception: pass"
    verdict = sandbox.judge(quiet, tests, "each")
    assert [check.passed for check in verdict.checks] == [False, True, True]
    assert verdict.checks[0].message.startswith("an assertion failed in what the solution called: assert x < 3")


def test_a_change_of_an_object_of_the_tests_is_weak(sandbox: Sandbox) -> None:
    tests = "class Box: n = 5\ndef check(candidate):\n    box = Box()\n    assert candidate(box) == box.n\n"
    read = sandbox.judge("def add(box): return box.n", tests, "add")
    changed = sandbox.judge("def add(box):\n    box.n = 0\n    return 0", tests, "add")
    assert (read.passed, read.weak) == (True, "")
    assert changed.weak == "the solution changed an object of the tests"
