"""TensorFlow's arithmetic: the same numbers come out wherever they are asked."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def sums_in_one_order() -> Iterator[None]:
    """Within it TensorFlow adds up in the order that is written; afterwards as before.

    Its rewritten sums come in another order in some processes, and beside what it does
    not rewrite. A resumed run would not end with the very weights of an uninterrupted
    one, nor start from the very neighbours. It costs no time.

    Examples:
        >>> import tensorflow as tf
        >>> from iic_tf.arithmetic import sums_in_one_order
        >>> @sums_in_one_order()
        ... def rewritten():
        ...     options = tf.config.optimizer.get_experimental_options()
        ...     return options["arithmetic_optimization"]
        >>> rewritten()
        False
    """
    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    try:
        yield
    finally:
        usual = before.get("arithmetic_optimization", True)
        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": usual})
