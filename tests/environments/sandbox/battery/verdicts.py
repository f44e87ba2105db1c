"""Wrong solutions that try to look right, and such as try to learn what the tests hold."""

# ruff: noqa: E501  # a program stands on one line, as long as it is

from __future__ import annotations

from battery.program import Forgery

RANDOM = (
    "import random\ndef check(candidate):\n    for _ in range(20):\n"
    "        a, b = random.randint(1, 10**9), random.randint(1, 10**9)\n        assert candidate(a, b) == a + b\n"
)
CLOSE = "import math\ndef check(candidate):\n    assert math.isclose(candidate(1, 2), 3.0)\n"
NEAR = "def check(candidate):\n    assert abs(candidate(1, 2) - 3.0) < 1e-6\n"
TRUE = "def check(candidate):\n    assert candidate(1, 2)\n    assert not candidate(0, 0)\n"
LENGTH = "def check(candidate):\n    assert len(candidate(2, 3)) == 5\n    assert len(candidate(4, 3)) == 7\n"
TYPED = "def check(candidate):\n    r = candidate(1, 2)\n    assert isinstance(r, int) and type(r) is int and r == 3\n"
MEMBER = "def check(candidate):\n    assert candidate(1, 2) in {3}\n    assert candidate(5, 5) in (10, 11)\n"
SHOWN = "def check(candidate):\n    assert str(candidate(1, 2)) == '3' and repr(candidate(5, 5)) == '10'\n"
ALL = "def check(candidate):\n    assert all(candidate(n, n) == 2 * n for n in range(1, 9))\n"
SORTED = "def check(candidate):\n    assert sorted(candidate([3, 1, 2])) == [1, 2, 3]\n    assert candidate([3, 1, 2]) == [1, 2, 3]\n"
ALIASED = "def check(candidate):\n    data = [1, 2, 3]\n    assert candidate(data) == sum([1, 2, 3])\n"
UNIT = (
    "import unittest\nclass TestAdd(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n"
    "    def test_more(self):\n        self.assertTrue(add(5, 5) == 10)\n"
)
SPY = "SECRET = '@secret@'\ndef check(candidate):\n    hidden = '@secret@'\n    assert candidate(hidden[:1], 2) == hidden\n"
TIMED = "import time\ndef check(candidate):\n    t = time.time()\n    candidate(1, 2)\n    assert 1e-9 < time.time() - t < 1e9\n    assert candidate(1, 2) == 3\n"

WRONG = "def add(a, b): return None\n"
LIAR = "__eq__ = lambda s, o: True\n    __ne__ = lambda s, o: False\n    __hash__ = lambda s: hash(3)\n"


def lying(kind: str, value: str = "", more: str = "") -> str:
    """Return a solution whose result is a subclass of a type, and says yes to every comparison."""
    return f"class T({kind}):\n    {LIAR}{more}def add(a, b): return T({value})\n"


LEAVING = {
    "leave": "import sys; sys.exit(0)",
    "leave at once": "import os; os._exit(0)",
    "leave when called": "import os\ndef add(a, b): os._exit(0)",
    "leave by an exception when called": "def add(a, b): raise SystemExit(0)",
    "leave by the call for consoles": "def add(a, b): quit()",
    "leave from a thread": WRONG
    + "import os, threading, time\nthreading.Thread(target=lambda: os._exit(0)).start(); time.sleep(1)",
    "leave later from a thread": "import os, threading, time\ndef add(a, b):\n    threading.Timer(0.05, os._exit, (0,)).start(); time.sleep(2)",
    "leave at exit": WRONG + "import atexit, os; atexit.register(os._exit, 0)",
    "leave by a hook of errors": WRONG + "import os, sys; sys.excepthook = lambda *a: os._exit(0)",
    "leave as something is deleted": WRONG
    + "import os\nclass D:\n    def __del__(s, exit=os._exit): exit(0)\nkept = D()",
    "leave by an alarm": "import os, signal, time\nsignal.signal(14, lambda *a: os._exit(0)); signal.setitimer(0, 0.05)\ndef add(a, b): time.sleep(2)",
    "become another program": "import os\ndef add(a, b): os.execv('/bin/true', ['true'])",
    "go on as a child": WRONG + "import os\nif os.fork(): os._exit(0)",
    "go on as a child when called": "import os\ndef add(a, b):\n    if os.fork(): os._exit(0)\n    return 0",
    "leave from the search for modules": WRONG
    + "import os, sys\nclass F:\n    def find_spec(s, *a): os._exit(0)\nsys.meta_path.insert(0, F())\nfor n in ('math', 'random', 'unittest'): sys.modules.pop(n, None)\n",
    "leave as results are shown": "import os\nclass T:\n    def __repr__(s): os._exit(0)\n    __eq__ = lambda s, o: os._exit(0)\ndef add(a, b): return T()",
    "leave as results are packed": "import os\nclass T(int):\n    def __reduce__(s): os._exit(0)\n    def __index__(s): os._exit(0)\n    __eq__ = lambda s, o: os._exit(0)\ndef add(a, b): return T(7)",
}

LYING = {
    "equal to all": lying("object"),
    "an int equal to all": lying("int", "9"),
    "a float equal to all": lying("float", "9"),
    "a text equal to all": lying("str", "'no'"),
    "a list equal to all": lying("list"),
    "a dict equal to all": lying("dict"),
    "a tuple equal to all": lying("tuple"),
    "bytes equal to all": lying("bytes"),
    "a complex number equal to all": lying("complex", "7"),
    "an error equal to all": lying("Exception"),
    "anything": "from unittest.mock import ANY\ndef add(a, b): return ANY",
    "a mock": "from unittest.mock import MagicMock\ndef add(a, b):\n    m = MagicMock(); m.__eq__ = lambda s, o: True; return m",
    "a class equal to all": "class M(type):\n    __eq__ = lambda s, o: True\n    __hash__ = type.__hash__\nclass T(metaclass=M): pass\ndef add(a, b): return T",
    "a record equal to all": "import dataclasses\n@dataclasses.dataclass\nclass T:\n    x: int = 0\n    __eq__ = lambda s, o: True\ndef add(a, b): return T()",
    "a value of a set equal to all": "import enum\nclass E(enum.IntEnum):\n    A = 1\n    __eq__ = lambda s, o: True\n    __hash__ = int.__hash__\ndef add(a, b): return E.A",
    "a function of a class": "class T:\n    def __call__(s, *a): return s\n    __eq__ = lambda s, o: True\nadd = T()",
    "a module equal to all": "import types\nclass M(types.ModuleType):\n    __eq__ = lambda s, o: True\ndef add(a, b): return M('m')",
    "one that defers to the other side": "class T:\n    def __eq__(s, o): return o == o\ndef add(a, b): return T()",
    "a lie within a list": "class T(int):\n    __eq__ = lambda s, o: True\nclass L(list):\n    __eq__ = lambda s, o: True\ndef add(a, b): return L([T(1)])",
    "a coroutine": "async def add(a, b): return 3",
    "a proxy equal to all": "class P:\n    def __getattribute__(s, n): return lambda *a: True\n    __eq__ = lambda s, o: True\ndef add(a, b): return P()",
}

LYING_ELSEWHERE = {
    "close to all": ("class T(float):\n    __sub__ = __rsub__ = lambda s, o: 0.0\n    __eq__ = lambda s, o: True\ndef add(a, b): return T(9)", CLOSE),
    "close by a conversion": ("class T:\n    def __float__(s): return 3.0 + 9\n    __eq__ = lambda s, o: True\ndef add(a, b): return T()", NEAR),
    "near to all": ("class T:\n    __sub__ = lambda s, o: 0.0\ndef add(a, b): return T()", NEAR),
    "near as a float": ("class T(float):\n    __sub__ = lambda s, o: 0.0\n    __abs__ = lambda s: 0.0\ndef add(a, b): return T(9)", NEAR),
    "true, then not": ("class T:\n    n = 0\n    def __bool__(s): T.n += 1; return T.n % 2 == 1\ndef add(a, b): return T()", TRUE),
    "true for a moment, as an int": ("class T(int):\n    n = 0\n    def __bool__(s): T.n += 1; return T.n % 2 == 1\ndef add(a, b): return T(7)", TRUE),
    "as long as wanted": ("class T(list):\n    n = [5, 7]\n    def __len__(s): return T.n.pop(0) if T.n else 0\ndef add(a, b): return T()", LENGTH),
    "a liar about its class": ("class T:\n    __class__ = int\n    __eq__ = lambda s, o: True\ndef add(a, b): return T()", TYPED.replace("type(r) is int and ", "")),
    "a liar about instances": ("class M(type):\n    __instancecheck__ = lambda c, o: True\nclass T(int, metaclass=M):\n    __eq__ = lambda s, o: True\ndef add(a, b): return T(8)", TYPED.replace("type(r) is int and ", "")),
    "a patched isinstance": ("import builtins\nbuiltins.isinstance = lambda *a: True\nbuiltins.type = lambda o: int\n" + lying("object"), TYPED.replace("type(r) is int", "type(r) == int")),
    "a member of all": (lying("int", "9"), MEMBER),
    "shown as wanted": ("class T(int):\n    n = ['3', '10']\n    __str__ = __repr__ = lambda s: T.n.pop(0)\ndef add(a, b): return T(0)", SHOWN),
    "a random number foreseen": ("import random\nrandom.randint = lambda a, b: 0\ndef add(a, b): return 0", RANDOM),
    "a seed set": ("import random\nrandom.Random.random = lambda s: 0.0\nrandom.randint = lambda a, b: a\ndef add(a, b): return 2", RANDOM),
    "patched all": ("import builtins\nbuiltins.all = lambda i: True\ndef add(a, b): return 0", ALL),
    "patched range": ("import builtins\nbuiltins.range = lambda *a: []\ndef add(a, b): return 0", ALL),
    "patched abs": ("import builtins\nbuiltins.abs = lambda x: 0\ndef add(a, b): return 0", NEAR),
    "patched isclose": ("import math\nmath.isclose = lambda *a, **k: True\ndef add(a, b): return 0", CLOSE),
    "a module put in place of another": ("import sys, types\nm = types.ModuleType('math'); m.isclose = lambda *a, **k: True; sys.modules['math'] = m\ndef add(a, b): return 0", CLOSE),
    "patched len": ("import builtins\nn = [5, 7]\nbuiltins.len = lambda o: n.pop(0)\ndef add(a, b): return []", LENGTH),
    "patched sorted": ("import builtins\nclass T(list):\n    __eq__ = lambda s, o: True\nbuiltins.sorted = lambda i: T()\ndef add(a): return T()", SORTED),
    "arguments changed in place": ("import builtins\nbuiltins.sum = lambda d: 0\ndef add(d):\n    d.clear()\n    return 0", ALIASED),
    "patched time": ("import time\nn = [0]\ndef tick(): n[0] += 1; return n[0]\ntime.time = tick\nclass T:\n    __eq__ = lambda s, o: True\ndef add(a, b): return T()", TIMED),
    "unittest patched": (WRONG + "import unittest\nunittest.TestCase.assertEqual = unittest.TestCase.assertTrue = lambda *a: None", UNIT),
    "unittest runs nothing": (WRONG + "import unittest\nunittest.TestCase.run = lambda s, r=None: r", UNIT),
    "tests left out": ("import unittest\ndef add(a, b): raise unittest.SkipTest('not today')", UNIT),
    "tests left out by a name of its own": ("class SkipTest(Exception): pass\nimport unittest.case\nunittest.case.SkipTest = SkipTest\ndef add(a, b): raise SkipTest", UNIT),
    "no test found": (WRONG + "import unittest\nunittest.TestLoader.getTestCaseNames = lambda *a: []", UNIT),
    "unittest's main": (WRONG + "import unittest\nunittest.main = lambda *a, **k: None", UNIT),
    "failures expected": (WRONG + "import unittest\nunittest.TestCase.__unittest_expecting_failure__ = True\nunittest.TestCase.failureException = ZeroDivisionError\nunittest.TestCase.fail = lambda *a: None\nunittest.TestCase.assertEqual = lambda *a: None\nunittest.TestCase.assertTrue = lambda *a: None", UNIT),
}  # fmt: skip

REACHING = {
    "patched checks in the frames": "import sys\ndef add(a, b):\n    f = sys._getframe()\n    while f:\n        for n in ('check', 'candidate'): f.f_globals[n] = lambda *a: None\n        f = f.f_back\n    T = type('T', (), {'__eq__': lambda s, o: True})\n    return T()",
    "checks rewritten where they are found": "import gc, types\nfor_all = lambda c: None\ndef add(a, b):\n    for f in gc.get_objects():\n        if isinstance(f, types.FunctionType) and f.__name__ == 'check': f.__code__ = for_all.__code__\n    return type('T', (), {'__eq__': lambda s, o: True})()",
    "a hook that rewrites the checks": WRONG + "import builtins, __main__\ndef build(*a): return None\nimport threading, time\ndef watch():\n    while True: __main__.__dict__['check'] = lambda c: None; globals()['check'] = lambda c: None\nthreading.Thread(target=watch, daemon=True).start(); time.sleep(0.05)",
    "what is expected, from the frames": "import sys\ndef add(a, b):\n    f = sys._getframe(1)\n    numbers = [c for c in f.f_code.co_consts if isinstance(c, int)]\n    return numbers[2] if a == 1 else 10 if 10 in numbers else 0",
    "what is expected, from memory": "import gc, types\ndef add(a, b):\n    for f in gc.get_objects():\n        if isinstance(f, types.FunctionType) and f.__name__ == 'check':\n            return 3 if a == 1 and 3 in f.__code__.co_consts else 10 if 10 in f.__code__.co_consts else 0",
    "what is expected, from the file": "import __main__, inspect, re, sys, linecache\ntry: text = open(sys.argv[0]).read()\nexcept Exception: text = open('/proc/self/cmdline').read()\ndef add(a, b):\n    return int(re.search(rf'candidate\\({a}, {b}\\) == (\\d+)', text)[1])",
    "tracing": WRONG + "import sys, os\ndef trace(f, e, a):\n    if f.f_code.co_name == 'check': os._exit(0)\n    return trace\nsys.settrace(trace)",
    "profiling": WRONG + "import sys, os\ndef trace(f, e, a):\n    if f.f_code.co_name == 'check': os._exit(0)\nsys.setprofile(trace)",
    "a line jumped over": WRONG + "import sys\ndef trace(f, e, a):\n    if f.f_code.co_name == 'check' and e == 'line':\n        try: f.f_lineno = f.f_code.co_firstlineno\n        except ValueError: pass\n        import os; os._exit(0)\n    return trace\nsys.settrace(trace)",
    "a patched error of assertions": WRONG + "import builtins, os\nclass E(BaseException):\n    def __init__(s, *a): os._exit(0)\nbuiltins.AssertionError = E",
    "a patched compiler": WRONG + "import builtins\nbuiltins.exec = builtins.eval = builtins.compile = lambda *a, **k: None\nimport sys; sys.exit(0)",
    "patched classes": WRONG + "import builtins\nbuiltins.__build_class__ = lambda *a, **k: None; builtins.__import__ = lambda *a, **k: None\nraise SystemExit",
    "patched packing": "import json, os\njson.dumps = lambda *a, **k: '{\"result\": 3, \"value\": 3, \"ok\": true}'\njson.JSONEncoder.encode = json.dumps\nclass T:\n    __eq__ = lambda s, o: True\ndef add(a, b): return T()",
    "patched operators": "import operator\noperator.eq = lambda a, b: True\ndef add(a, b): return type('T', (), {'__eq__': lambda s, o: True})()",
    "printed verdicts": "print('PASSED'); print('OK'); print('{\"passed\": true}'); import sys\ndef add(a, b): print('PASSED'); sys.exit(0)",
    "a check of its own": "def check(c): pass\ndef add(a, b): return None\nimport sys; check(add); sys.exit(0)",
    "forged answers on every descriptor": "import json, os, struct\ndef add(a, b):\n    for fd in range(1, 64):\n        for m in ({'result': a + b + 0}, {'passed': True}, {'returned': 3}, {'check': 'check', 'passed': True}, {'finished': True, 'passed': True}):\n            t = json.dumps(m).encode()\n            for f in (struct.pack('!I', len(t)) + t, struct.pack('<I', len(t)) + t, t + b'\\n'):\n                try: os.set_blocking(fd, False); os.write(fd, f)\n                except OSError: pass\n    os._exit(0)",
    "two answers to one call": "import os\ndef add(a, b):\n    for fd in range(3, 64):\n        try: os.set_blocking(fd, False); os.write(fd, os.read(fd, 10000))\n        except OSError: pass\n    os._exit(0)",
    "a number that is none": "def add(a, b): return type('N', (float,), {'__eq__': lambda s, o: True})('nan')",
    "an exception that is a result": "class E(Exception):\n    __class__ = int\n    __eq__ = lambda s, o: True\ndef add(a, b):\n    try: raise E\n    except E as e: return e",
    "an exception that lies about its class": "class E(BaseException):\n    __class__ = SystemExit\n    code = 0\ndef add(a, b): raise SystemExit(E().code)",
    "an exit of generators": "def add(a, b): raise GeneratorExit",
    "an interrupt": "import os, signal\nsignal.signal(2, lambda *a: os._exit(0))\ndef add(a, b): os.kill(os.getpid(), 2)",
    "a list that holds itself": "class L(list):\n    __eq__ = lambda s, o: True\ndef add(a, b):\n    x = L(); x.append(x); return x",
    "a result too deep": "class L(list):\n    __eq__ = lambda s, o: True\ndef add(a, b):\n    x = L()\n    for _ in range(100_000): x = L([x])\n    import os; os._exit(0)",
    "a result too large": "def add(a, b): import os; x = 'x' * (200 << 20); os._exit(0) if len(x) else x",
    "a plain result too large": "def add(a, b): return 'x' * (60 << 20)",
    "a plain result too deep": "def add(a, b):\n    x = []\n    for _ in range(100_000): x = [x]\n    return x",
    "a plain list that holds itself": "def add(a, b):\n    x = []\n    x.append(x)\n    return x",
    "a number of a million digits": "def add(a, b): return 10 ** 1_000_000",
    "a generator without end": "def add(a, b):\n    while True: yield 3",
    "nothing": "",
    "an empty function": "def add(a, b): pass",
    "no function": "add = None",
    "a syntax that is cut": "def add(a, b):\n    return '''",
    "a builtin": "add = max",
    "the tests' own name": "import builtins\nbuiltins.check = lambda c: None\n__name__ = 'other'\ndef add(a, b): raise SystemExit",
}  # fmt: skip

NODE = (
    "class Node:\n    def __init__(self): self.value = {'n': 5}\n    def __getitem__(self, k): return self.value[k]\n"
    "    def __setitem__(self, k, v): self.value[k] = v\ndef check(candidate):\n    n = Node()\n"
)
EACH = "def each(xs, f):\n    for x in xs:\n        try: f(99)\n        except BaseException: pass\n"
RAISES = (
    "import unittest\nfrom solution import Wrong\nclass TestAdd(unittest.TestCase):\n    def test_add(self):\n"
    "        with self.assertRaises({kind}): add(1, 2)\n"
)
TALKING = {
    "builtins under other meanings": (
        "__all__ = ['add', 'sorted', 'all']\ndef add(a): return None\ndef sorted(x): return [1, 2, 3]\ndef all(x): return True\n",
        "from solution import *\ndef test_add():\n    assert sorted(add([3, 1, 2])) == [1, 2, 3] and all(x == 1 for x in add([1]))\n",
    ),
    "an object of the tests changed": (
        "def add(n):\n    n.value = {'n': 0}\n    return 0\n", NODE + "    assert candidate(n) == n.value['n']\n",
    ),
    "an element of the tests changed": (
        "def add(n):\n    n['n'] = 0\n    return 0\n", NODE + "    assert candidate(n) == n['n']\n",
    ),
    "a failed check kept quiet": (
        EACH + "add = each", "def check(candidate):\n    def seen(x):\n        assert x in (1, 2)\n    candidate([1, 2], seen)\n    assert True\n",
    ),
    "a failed check of unittest kept quiet": (
        EACH + "add = each",
        "import unittest\nclass TestAdd(unittest.TestCase):\n    def test_add(self):\n        add([1, 2], lambda x: self.assertIn(x, (1, 2)))\n",
    ),
    "an end that is taken for an error": ("import os\nWrong = BaseException\ndef add(a, b): os._exit(0)", RAISES.format(kind="Wrong")),
    "garbage that is taken for an error": (
        "import os\nWrong = ValueError\ndef add(a, b):\n    for fd in range(3, 64):\n        try: os.write(fd, b'\\0\\0\\0\\3xyz')\n        except OSError: pass\n",
        RAISES.format(kind="ValueError"),
    ),
    "an error group": ("Wrong = Exception\ndef add(a, b): raise ExceptionGroup('x', [ValueError(1)])", RAISES.format(kind="ValueError")),
    "an end of generators": (
        "class Wrong(StopIteration): pass\ndef add(a, b): raise Wrong",
        "from solution import Wrong\ndef check(candidate):\n    for n in map(candidate, range(3), range(3)):\n        assert n == 3\n    assert True\n",
    ),
    "a test left out by its error": ("import unittest\nWrong = unittest.SkipTest\ndef add(a, b): raise Wrong('x')", UNIT),
}  # fmt: skip

SPYING = {
    "from objects": "import gc\nfor o in gc.get_objects():\n    try:\n        if 'canary-' in repr(o)[:5000]: print(repr(o)[:5000])\n    except Exception: pass\ndef add(a, b):\n    print([repr(o)[:3000] for o in gc.get_objects() if isinstance(o, (dict, tuple)) and 'canary-' in repr(o)[:3000]])",
    "from the frames": "import sys\ndef add(a, b):\n    f = sys._getframe()\n    while f: print(f.f_code.co_consts, {k: v for k, v in f.f_globals.items() if isinstance(v, str)}, {k: v for k, v in f.f_locals.items() if isinstance(v, str)}); f = f.f_back",
    "from its arguments": "import sys\nprint(sys.argv, sys.orig_argv); print(open('/proc/self/cmdline').read())\ndef add(a, b): pass",
    "from the arguments of its parent": "import os\nfor p in (os.getppid(), 1):\n    try: print(open(f'/proc/{p}/cmdline').read(), open(f'/proc/{p}/environ').read())\n    except OSError as e: print(e)\ndef add(a, b): pass",
    "from memory": "import re\ndef add(a, b):\n    for line in open('/proc/self/maps'):\n        s, e = (int(x, 16) for x in line.split()[0].split('-'))\n        if 'rw' in line and e - s < 1 << 26:\n            with open('/proc/self/mem', 'rb', 0) as m:\n                m.seek(s)\n                print(set(re.findall(rb'canary-[0-9a-f]{32}', m.read(e - s))))",
    "from a traceback": "import sys, traceback\ndef add(a, b): traceback.print_stack(); f = sys._getframe(1); print(f.f_locals); raise ValueError(str(f.f_locals))",
    "from files and descriptors": "import os\ndef look():\n    for fd in range(3, 64):\n        try: os.set_blocking(fd, False); print(os.read(fd, 100_000))\n        except OSError: pass\n    for top, _, files in os.walk('.'):\n        for f in files: print(open(os.path.join(top, f), 'rb').read())\nlook()\ndef add(a, b):\n    look(); import sys; sys.stdout.flush(); print(sys._getframe(1).f_locals)",
}  # fmt: skip

PROGRAMS = [
    *(Forgery(name, code) for group in (LEAVING, LYING, REACHING) for name, code in group.items()),
    *(Forgery(name, code, tests) for group in (LYING_ELSEWHERE, TALKING) for name, (code, tests) in group.items()),
    *(Forgery(f"tests read {name}", code, SPY) for name, code in SPYING.items()),
]
