"""Sums of log densities of which nothing but the sum is used, from the Op that computes them: no array of them, no node that adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Apply, Constant
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.scalar import Add
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.math import Sum
from pytensor.tensor.rewriting.basic import register_specialize

__all__ = ["Summable", "sums_from_the_op"]


class Summable(Op):
    """An Op with an output of log densities that may have a form, with `total`, in which that output is their sum."""

    total: bool = False
    summed: ClassVar[int] = 0
    """Which output."""

    def in_total(self) -> Summable | None:
        """The form that gives the sum; None where there is none."""
        return None


@register_specialize
@node_rewriter([Sum])
def sums_from_the_op(fgraph: Any, node: Apply) -> dict[Any, Any] | None:
    """The sum of all log densities, or of constants and other arrays of their shape added to them, as a sum of sums."""
    (whole,) = node.inputs
    shape = whole.type.shape
    if node.op.axis is not None and sorted(node.op.axis) != list(range(len(shape))):
        return None
    if node.outputs[0].type.dtype != "float64":
        return None
    adds = (
        whole.owner is not None and isinstance(whole.owner.op, Elemwise) and isinstance(whole.owner.op.scalar_op, Add)
    )
    terms = whole.owner.inputs if adds else [whole]
    own = [term for term in terms if _has_total(term) and _has_one_client(fgraph, term)]
    if not own or not _has_one_client(fgraph, whole):
        return None
    if adds and not all(_is_spread(term, shape) for term in terms):
        return None
    found: dict[Any, Any] = {}
    sums = []
    for term in terms:
        if any(term is one for one in own):
            outputs = term.owner.op.in_total()(*term.owner.inputs, return_list=True)
            sums.append(outputs[term.owner.op.summed])
            replaced = zip(term.owner.outputs, outputs, strict=True)
            found |= {old: new for old, new in replaced if old is not term}
        else:
            sums.append(_sum_over(term, shape))
    return {node.outputs[0]: pt.add(*sums) if len(sums) > 1 else sums[0], **found}


def _has_total(term: Any) -> bool:
    node = term.owner
    if node is None or not isinstance(node.op, Summable) or node.op.total or node.op.in_total() is None:
        return False
    return term is node.outputs[node.op.summed]


def _has_one_client(fgraph: Any, variable: Any) -> bool:
    return len(fgraph.clients[variable]) == 1


def _is_spread(term: Any, shape: Sequence[int | None]) -> bool:
    """Whether the sum of the term, spread over that shape, is known from its own: all lengths are."""
    if None in shape:
        return False
    return term.type.shape == tuple(shape) or (isinstance(term, Constant) and term.type.ndim == len(shape))


def _sum_over(term: Any, shape: Sequence[Any]) -> Any:
    if not isinstance(term, Constant):
        return pt.sum(term, dtype="float64")
    copies = 1
    for length, own in zip(shape, term.data.shape, strict=True):
        copies *= length if own == 1 else 1
    return pt.constant(copies * term.data.sum(dtype=np.float64))
