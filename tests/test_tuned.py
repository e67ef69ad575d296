import ast
import inspect
import itertools
from pathlib import Path

from iic_tf import tuned


def test_every_constant_is_read_and_says_where_it_was_found():
    body = ast.parse(inspect.getsource(tuned)).body
    engine = Path(tuned.__file__).parent
    root = engine.parent
    readers = [p for p in engine.rglob("*.py") if p.name != "tuned.py"]
    code = "".join(p.read_text() for p in [*readers, root / "utils.py"])
    told = 0
    for line, words in itertools.pairwise(body):
        if not isinstance(line, ast.Assign):
            continue
        assert isinstance(words, ast.Expr) and len(words.value.value) > 40
        [target] = line.targets
        for name in target.elts if isinstance(target, ast.Tuple) else [target]:
            assert code.count(name.id) >= 2, f"{name.id} is read nowhere"
        told += 1
    assert told >= 12
